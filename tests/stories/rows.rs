//! Rows as each version of the functions writes them. Functions are not replaced in one instant,
//! and rows stay for years.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use component_core::component::Component;
use component_core::store::{DUE_SHARDS, Due, PERISHABLE_SHARDS, Store};
use component_core::time::Timestamp;
use local::emulators::TABLE;
use serde_json::{Value, json};

use crate::world::World;

mod authorizers;
mod components;
mod ways;
mod written;

type Item = HashMap<String, AttributeValue>;

/// Rows by what they are an example of, as the functions of some version wrote them.
///
/// Each must be readable for ever. None is changed; what a later version writes otherwise is added.
const ROWS: &str = include_str!("../fixtures/rows.json");

/// The names and types of the attributes that are written now, by what the row is an example of.
///
/// The version before reads them too. One goes or changes only once no version that needs it is
/// deployed any more.
const ATTRIBUTES: &str = include_str!("../fixtures/attributes.json");

const SECOND: Duration = Duration::from_secs(1);

const fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// The row that is recorded under a name.
#[track_caller]
fn recorded(name: &str) -> Item {
    let rows: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(ROWS).unwrap();
    let row = rows.get(name).unwrap_or_else(|| panic!("no {name}"));
    let attributes = row.iter();
    attributes
        .map(|(name, value)| (name.clone(), of_json(value)))
        .collect()
}

/// A world at the time `now`, without a ticket, whose table holds these rows alone.
async fn world_with(rows: &[Item], now: u64) -> World {
    let world = World::new().await;
    for row in rows {
        let put = world.emulators.dynamodb.put_item().table_name(TABLE);
        put.set_item(Some(row.clone())).send().await.unwrap();
    }
    world.clock.set(now);
    world
}

fn component(world: &World) -> &Component {
    &world.functions.token_getter.component
}

fn store(world: &World) -> &Store {
    &component(world).store
}

/// What follows the kind in a row's key.
#[track_caller]
fn id(row: &Item) -> &str {
    let pk = row["pk"].as_s().unwrap();
    pk.split_once('#').unwrap().1
}

/// Whether the refresher finds something by `until`.
async fn is_due(world: &World, until: Timestamp, is_it: impl Fn(&Due) -> bool) -> bool {
    let mut found = false;
    for shard in DUE_SHARDS.chain(PERISHABLE_SHARDS) {
        let page = store(world).due(shard, until, None).await.unwrap();
        found |= page.due.iter().any(&is_it);
    }
    found
}

/// The refresher finds something from `due_at` on, or never.
async fn check_due(world: &World, due_at: Option<u64>, is_it: impl Fn(&Due) -> bool) {
    let ever = is_due(world, at(u64::from(u32::MAX)), &is_it).await;
    assert_eq!(ever, due_at.is_some());
    if let Some(due_at) = due_at {
        assert!(is_due(world, at(due_at), &is_it).await);
        assert!(!is_due(world, at(due_at) - SECOND, &is_it).await);
    }
}

/// An attribute out of DynamoDB's JSON.
fn of_json(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    let text = || value.as_str().unwrap().to_owned();
    match kind.as_str() {
        "S" => AttributeValue::S(text()),
        "N" => AttributeValue::N(text()),
        "L" => AttributeValue::L(value.as_array().unwrap().iter().map(of_json).collect()),
        other => panic!("no row has {other}"),
    }
}

/// An attribute in DynamoDB's JSON.
fn to_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::L(values) => {
            json!({ "L": values.iter().map(to_json).collect::<Vec<_>>() })
        }
        other => panic!("no row has {other:?}"),
    }
}

/// The type of an attribute; of a list, that of what is in it.
fn kind(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(_) => "S".to_owned(),
        AttributeValue::N(_) => "N".to_owned(),
        AttributeValue::L(values) => {
            let mut kinds: Vec<_> = values.iter().map(kind).collect();
            kinds.dedup();
            format!("L of {}", kinds.join(" and "))
        }
        other => panic!("no row has {other:?}"),
    }
}

#[tokio::test]
async fn each_row_is_written_with_the_recorded_attributes() {
    let recorded: BTreeMap<&str, Vec<String>> = serde_json::from_str(ATTRIBUTES).unwrap();
    let written: BTreeMap<_, Vec<_>> = written::written()
        .await
        .into_iter()
        .map(|(name, row)| {
            let attributes = row.iter();
            let mut attributes: Vec<_> = attributes
                .map(|(name, value)| format!("{name} {}", kind(value)))
                .collect();
            attributes.sort();
            (name, attributes)
        })
        .collect();
    let names: Vec<_> = written.keys().collect();
    assert_eq!(names, recorded.keys().collect::<Vec<_>>());
    for (name, attributes) in written {
        assert_eq!(attributes, recorded[name], "{name}");
    }
}

/// Prints what is written now, for `fixtures/rows.json`.
#[tokio::test]
#[ignore = "it checks nothing"]
async fn print_the_rows_that_are_written() {
    let rows = written::written().await;
    let rows: BTreeMap<_, BTreeMap<_, _>> = rows
        .iter()
        .map(|(name, row)| {
            let row = row.iter().map(|(name, value)| (name, to_json(value)));
            (name, row.collect())
        })
        .collect();
    println!("{}", serde_json::to_string_pretty(&rows).unwrap());
}
