//! What AWS keeps: the table, the secret and the bus.

use std::collections::BTreeMap;
use std::path::Path;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
    TimeToLiveSpecification,
};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use axum::Router;
use component_core::aws::Aws;
use dynoxide::Database;
use serde_json::json;
use tokio::net::TcpListener;
use wechat_simulator::Settings;

use crate::Error;
use crate::events::EventBus;
use crate::secrets::SecretsManager;

/// The name of the table.
pub const TABLE: &str = "wechat-component";

const REGION: &str = "us-east-1";

/// Embedded services, and clients of them.
pub struct Emulators {
    /// The database, for what an SDK client of the table cannot see: its stream.
    pub database: Database,
    /// Where it is served.
    pub dynamodb_url: String,
    /// The real SDK on it.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The secret, to be changed from outside.
    pub secrets: SecretsManager,
    /// Where it is served.
    pub secretsmanager_url: String,
    /// The real SDK on it.
    pub secretsmanager: aws_sdk_secretsmanager::Client,
    /// The bus, to be looked at.
    pub bus: EventBus,
    /// Where it is served.
    pub eventbridge_url: String,
    /// The real SDK on it.
    pub eventbridge: aws_sdk_eventbridge::Client,
}

impl Emulators {
    /// Starts them, with the table in memory or in the file `data`, and with `secrets`.
    ///
    /// # Errors
    /// Whatever keeps one of them from starting.
    pub async fn start(
        http: &SharedHttpConnector,
        data: Option<&Path>,
        secrets: SecretsManager,
    ) -> Result<Self, Error> {
        let database = match data {
            Some(file) => Database::new(file.to_str().ok_or("the data file's name is not UTF-8")?)?,
            None => Database::memory()?,
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let dynamodb_url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(dynoxide::server::serve_on(listener, database.clone()));
        let secretsmanager_url = serve(secrets.router()).await?;
        let bus = EventBus::default();
        let eventbridge_url = serve(bus.service()).await?;
        let aws = Aws {
            region: REGION.to_owned(),
            credentials: Credentials::new("local", "local", None, None, "local"),
            dynamodb_url: Some(dynamodb_url.clone()),
            secretsmanager_url: Some(secretsmanager_url.clone()),
            eventbridge_url: Some(eventbridge_url.clone()),
            http: http.clone(),
        };
        let dynamodb = aws.dynamodb();
        if database.get_table_metadata(TABLE)?.is_none() {
            create_table(&dynamodb).await?;
        }
        Ok(Self {
            database,
            dynamodb_url,
            dynamodb,
            secrets,
            secretsmanager_url,
            secretsmanager: aws.secretsmanager(),
            bus,
            eventbridge_url,
            eventbridge: aws.eventbridge(),
        })
    }

    /// Adds a `link_signing_key` (base64) to the secret: authorization links must then be signed
    /// with it.
    pub fn sign_links(&self, settings: &Settings, key: &str) {
        let mut fields = fields(settings);
        fields.insert("link_signing_key", key);
        self.secrets.put(json!(fields).to_string());
    }
}

/// Serves a router on a free port; answers its address.
async fn serve(router: Router) -> Result<String, Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(url)
}

/// The secret that fits a simulated WeChat.
pub fn secret(settings: &Settings) -> String {
    json!(fields(settings)).to_string()
}

fn fields(settings: &Settings) -> BTreeMap<&str, &str> {
    BTreeMap::from([
        ("component_appid", settings.component_appid.as_str()),
        ("component_appsecret", &settings.component_appsecret),
        ("token", &settings.token),
        ("encoding_aes_key", &settings.encoding_aes_key),
    ])
}

/// The table as `template.yaml` has it.
async fn create_table(dynamodb: &aws_sdk_dynamodb::Client) -> Result<(), Error> {
    let attribute = |name, kind| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(kind)
            .build()
    };
    let key = |name, kind| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
    };
    let due = GlobalSecondaryIndex::builder()
        .index_name("due")
        .key_schema(key("due_shard", KeyType::Hash)?)
        .key_schema(key("due_at", KeyType::Range)?)
        .projection(
            Projection::builder()
                .projection_type(ProjectionType::KeysOnly)
                .build(),
        );
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::KeysOnly);
    dynamodb
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("due_shard", ScalarAttributeType::N)?)
        .attribute_definitions(attribute("due_at", ScalarAttributeType::N)?)
        .key_schema(key("pk", KeyType::Hash)?)
        .global_secondary_indexes(due.build()?)
        .stream_specification(stream.build()?)
        .send()
        .await?;
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("ttl");
    dynamodb
        .update_time_to_live()
        .table_name(TABLE)
        .time_to_live_specification(ttl.build()?)
        .send()
        .await?;
    Ok(())
}
