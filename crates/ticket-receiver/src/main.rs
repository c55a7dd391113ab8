//! Wiring of the ticket receiver.

use component_core::aws::Aws;
use component_core::credentials::Vault;
use component_core::store::Store;
use component_core::time::Clock;
use component_core::{config, door, http};
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use serde_json::Value;
use ticket_receiver::TicketReceiver;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let table = config::required("TABLE_NAME")?;
    let secret = config::required("COMPONENT_SECRET_ARN")?;

    let aws = Aws::from_env(http::client()?)?;
    let clock = Clock::system();
    let vault = Vault::open(aws.secretsmanager(), secret, clock.clone());
    let (vault, ()) = tokio::join!(vault, aws.warm_dynamodb());

    let receiver = TicketReceiver {
        vault: vault?,
        store: Store::new(aws.dynamodb(), table),
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
