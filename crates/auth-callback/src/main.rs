//! Wiring of the callback.

use std::time::Duration;

use auth_callback::AuthCallback;
use component_core::aws::Aws;
use component_core::component::Component;
use component_core::credentials::Vault;
use component_core::store::Store;
use component_core::time::{Clock, Deadline};
use component_core::wechat::Wechat;
use component_core::{config, door, http};
use lambda_runtime::{Error, LambdaEvent, run, service_fn, tracing};
use merchant_pages::brand::Brand;
use serde_json::Value;

/// To deliver the answer.
const MARGIN: Duration = Duration::from_millis(500);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let table = config::required("TABLE_NAME")?;
    let secret = config::required("COMPONENT_SECRET_ARN")?;
    let wechat = config::required("WECHAT_API_BASE_URL")?;
    let brand = Brand::from_env()?;

    let aws = Aws::from_env(http::client()?)?;
    let clock = Clock::system();
    let vault = Vault::open(aws.secretsmanager(), secret, clock.clone());
    let wechat = Wechat::new(aws.http.clone(), &wechat, clock.clone())?;
    let (vault, (), ()) = tokio::join!(vault, aws.warm_dynamodb(), wechat.warm());

    let callback = AuthCallback {
        component: Component::new(Store::new(aws.dynamodb(), table), wechat, vault?, clock),
        brand,
    };
    let answer = async |event: LambdaEvent<Value>| {
        let deadline = Deadline::of_invocation(event.context.deadline(), MARGIN);
        let response = match door::request(event.payload) {
            Ok(request) => callback.handle(request, deadline).await,
            Err(no_request) => no_request.answer(),
        };
        Ok::<_, Error>(door::response(response))
    };
    run(service_fn(answer)).await
}
