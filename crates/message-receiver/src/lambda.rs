//! The vendor's reply function as a Lambda function.

use std::pin::Pin;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::{BehaviorVersion, Region};
use aws_sdk_lambda::primitives::Blob;
use component_core::aws::Aws;
use component_core::config;
use message_receiver::{AskError, ReplyFunction};

/// A function that is invoked once for each message.
pub(crate) struct LambdaFunction {
    client: Client,
    arn: String,
}

impl LambdaFunction {
    /// The function with this ARN.
    pub(crate) fn boxed(aws: &Aws, arn: String) -> Box<dyn ReplyFunction> {
        let url = config::optional("AWS_ENDPOINT_URL_LAMBDA");
        let url = url.or_else(|| config::optional("AWS_ENDPOINT_URL"));
        let mut config = aws_sdk_lambda::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(aws.region.clone()))
            .credentials_provider(aws.credentials.clone())
            .http_client(aws.http_client())
            // WeChat waits: a second try would come too late, and the function might act twice.
            .retry_config(RetryConfig::disabled());
        config.set_endpoint_url(url);
        let client = Client::from_conf(config.build());
        Box::new(Self { client, arn })
    }

    async fn invoke(&self, detail: &str) -> Result<Vec<u8>, AskError> {
        let answer = self
            .client
            .invoke()
            .function_name(&self.arn)
            .payload(Blob::new(detail))
            .send()
            .await
            .map_err(|error| AskError::Uncalled(error.into()))?;
        let payload = answer.payload.map(Blob::into_inner).unwrap_or_default();
        match answer.function_error {
            None => Ok(payload),
            Some(kind) => Err(AskError::Failed(kind)),
        }
    }
}

impl ReplyFunction for LambdaFunction {
    fn ask<'a>(
        &'a self,
        detail: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, AskError>> + Send + 'a>> {
        Box::pin(self.invoke(detail))
    }
}
