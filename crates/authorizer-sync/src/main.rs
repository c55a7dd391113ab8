//! Wiring of the authorizer sync.

use std::time::Duration;

use authorizer_sync::AuthorizerSync;
use component_core::aws::Aws;
use component_core::bus::Bus;
use component_core::component::Component;
use component_core::credentials::Vault;
use component_core::store::Store;
use component_core::time::{Clock, Deadline};
use component_core::wechat::Wechat;
use component_core::{config, http};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, run, service_fn, tracing};
use serde_json::Value;

/// To finish and write what is in flight.
const MARGIN: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let table = config::required("TABLE_NAME")?;
    let secret = config::required("COMPONENT_SECRET_ARN")?;
    let wechat = config::required("WECHAT_API_BASE_URL")?;
    let bus = config::required("EVENT_BUS_NAME")?;

    let aws = Aws::from_env(http::client()?)?;
    let clock = Clock::system();
    let vault = Vault::open(aws.secretsmanager(), secret, clock.clone());
    let wechat = Wechat::new(aws.http.clone(), &wechat, clock.clone())?;
    // The release check waits for seconds, and finds every connection open.
    let (vault, (), (), ()) = tokio::join!(
        vault,
        aws.warm_dynamodb(),
        aws.warm_eventbridge(),
        wechat.warm()
    );

    let component = Component::new(Store::new(aws.dynamodb(), table), wechat, vault?, clock);
    let bus = Bus::new(aws.eventbridge(), bus);
    let sync = AuthorizerSync { component, bus };
    let answer = async |event: LambdaEvent<Value>| {
        let deadline = Deadline::of_invocation(event.context.deadline(), MARGIN);
        let answer = sync.handle(&event.payload, deadline).await;
        answer.map_err(|error| {
            error.log("reconciling");
            Diagnostic {
                error_type: error.code().to_string(),
                error_message: error.advice(),
            }
        })
    };
    run(service_fn(answer)).await
}
