//! What AWS keeps: the table, the secret and the bus.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
    TimeToLiveSpecification,
};
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use axum::Router;
use component_core::aws::Aws;
use dynoxide::Database;
use serde_json::json;
use tokio::net::TcpListener;
use wechat_simulator::{Settings, SimClock};

use crate::Error;
use crate::events::EventBus;
use crate::secrets::SecretsManager;

/// The name of the table.
pub const TABLE: &str = "wechat-component";

const REGION: &str = "us-east-1";

const YEAR_SECS: u64 = 365 * 86_400;

/// A time that WeChat told is no time if it lies this far ahead of the functions' own: milliseconds,
/// say, from which the clock could never come back. A year is more than a clock is moved by hand to
/// see what becomes of a stack, and far less than any mistake of a unit.
const MAX_AHEAD_OF_OURS_SECS: u64 = YEAR_SECS;

/// The functions' own times go as far ahead as their clock went, and it may have run a thousand times
/// too fast. Further ahead than this it went by such a time of WeChat's.
const MAX_AHEAD_SECS: u64 = 100 * YEAR_SECS;

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
    /// Starts them, with the table in memory or in the file `data`, and the secret that fits
    /// `settings`, which was made by `clock`.
    ///
    /// # Errors
    /// Whatever keeps one of them from starting.
    pub async fn start(
        http: &SharedHttpConnector,
        data: Option<&Path>,
        settings: &Settings,
        clock: SimClock,
    ) -> Result<Self, Error> {
        let database = match data {
            Some(file) => Database::new(file.to_str().ok_or("the data file's name is not UTF-8")?)?,
            None => Database::memory()?,
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let dynamodb_url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(dynoxide::server::serve_on(listener, database.clone()));
        let secrets = SecretsManager::new(secret(settings), clock);
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

    /// Removes from a kept table what only the simulated WeChat of the last run knew: its ticket
    /// and its access tokens. The new one remembers nothing.
    ///
    /// The answer is the latest time in the table, in Unix seconds, or `now`. If the clock started
    /// before it, new events would count as old.
    ///
    /// # Errors
    /// If the table cannot be read or written.
    pub async fn forget_wechat(&self, now: u64) -> Result<u64, Error> {
        const OURS: [&str; 3] = ["last_push_at", "received_at", "handled_at"];
        const OF_WECHAT: [&str; 3] = ["auth_epoch", "revoked_at", "create_time"];
        let mut latest = now;
        let mut told = Vec::new();
        let mut pages = self
            .dynamodb
            .scan()
            .table_name(TABLE)
            .into_paginator()
            .items()
            .send();
        while let Some(mut row) = pages.try_next().await? {
            let ours = times(&row, OURS).filter(|time| *time <= now + MAX_AHEAD_SECS);
            latest = ours.fold(latest, u64::max);
            told.extend(times(&row, OF_WECHAT));
            let pk = row
                .get("pk")
                .and_then(|pk| pk.as_s().ok())
                .cloned()
                .unwrap_or_default();
            if pk.starts_with("component#") {
                let delete = self.dynamodb.delete_item().table_name(TABLE);
                delete.key("pk", AttributeValue::S(pk)).send().await?;
            } else if row.remove("access_token").is_some() {
                let put = self.dynamodb.put_item().table_name(TABLE);
                put.set_item(Some(row)).send().await?;
            }
        }
        let told = told.into_iter();
        let credible = told.filter(|time| *time <= latest + MAX_AHEAD_OF_OURS_SECS);
        Ok(credible.fold(latest, u64::max))
    }
}

/// Serves a router on a free port; answers its address.
async fn serve(router: Router) -> Result<String, Error> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, router).into_future());
    Ok(url)
}

fn times<const N: usize>(
    row: &HashMap<String, AttributeValue>,
    names: [&'static str; N],
) -> impl Iterator<Item = u64> {
    names
        .into_iter()
        .filter_map(|name| row.get(name)?.as_n().ok()?.parse().ok())
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
