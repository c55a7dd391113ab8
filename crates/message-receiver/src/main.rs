//! Wiring of the message receiver.

use component_core::aws::Aws;
use component_core::bus::Bus;
use component_core::credentials::Vault;
use component_core::store::Store;
use component_core::time::Clock;
use component_core::{config, door, http};
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use message_receiver::{Accounts, MessageReceiver};
use serde_json::Value;

mod lambda;

use lambda::LambdaFunction;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let table = config::required("TABLE_NAME")?;
    let secret = config::required("COMPONENT_SECRET_ARN")?;
    let bus = config::required("EVENT_BUS_NAME")?;
    let reply_function = config::optional("REPLY_FUNCTION_ARN");

    let aws = Aws::from_env(http::client()?)?;
    let clock = Clock::system();
    let vault = Vault::open(aws.secretsmanager(), secret, clock.clone());
    let (vault, (), ()) = tokio::join!(vault, aws.warm_dynamodb(), aws.warm_eventbridge());

    let receiver = MessageReceiver {
        vault: vault?,
        store: Store::new(aws.dynamodb(), table),
        bus: Bus::new(aws.eventbridge(), bus),
        replies: reply_function.map(|arn| LambdaFunction::boxed(&aws, arn)),
        accounts: Accounts::default(),
        clock,
    };
    let answer = async |event: LambdaEvent<Value>| {
        let response = match door::request(event.payload) {
            Ok(request) => receiver.handle(request).await,
            Err(no_request) => no_request.answer(),
        };
        Ok::<_, Error>(door::response(response))
    };
    run(service_fn(answer)).await
}
