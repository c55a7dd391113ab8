//! Wiring of the token getter.

use std::time::Duration;

use component_core::aws::Aws;
use component_core::component::Component;
use component_core::credentials::Vault;
use component_core::store::Store;
use component_core::time::{Clock, Deadline};
use component_core::wechat::Wechat;
use component_core::{config, http};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, run, service_fn, tracing};
use serde_json::Value;
use token_getter::TokenGetter;

/// To deliver the answer.
const MARGIN: Duration = Duration::from_millis(500);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let table = config::required("TABLE_NAME")?;
    let secret = config::required("COMPONENT_SECRET_ARN")?;
    let wechat = config::required("WECHAT_API_BASE_URL")?;

    let aws = Aws::from_env(http::client()?)?;
    let clock = Clock::system();
    let wechat = Wechat::new(aws.http.clone(), &wechat, clock.clone())?;
    // Only a renewal needs the secret: fresh tokens are served while it cannot be fetched.
    let vault = Vault::on_demand(aws.secretsmanager(), secret, clock.clone());
    aws.warm_dynamodb().await;

    let component = Component::new(Store::new(aws.dynamodb(), table), wechat, vault, clock);
    let getter = TokenGetter { component };
    let answer = async |event: LambdaEvent<Value>| {
        let deadline = Deadline::of_invocation(event.context.deadline(), MARGIN);
        let answer = getter.handle(&event.payload, deadline).await;
        answer.map_err(|error| {
            error.log("getting a token");
            Diagnostic {
                error_type: error.code().to_string(),
                error_message: error.advice(),
            }
        })
    };
    run(service_fn(answer)).await
}
