//! The rows of the table, as a test reads and changes them.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use local::emulators::TABLE;

use super::World;

impl World {
    /// A row as it is stored.
    pub(crate) async fn row(&self, pk: &str) -> Option<HashMap<String, AttributeValue>> {
        let key = AttributeValue::S(pk.to_owned());
        let get = self
            .emulators
            .dynamodb
            .get_item()
            .table_name(TABLE)
            .key("pk", key);
        get.consistent_read(true).send().await.unwrap().item
    }

    /// Writes one attribute of a row without a condition.
    pub(crate) async fn set(&self, pk: &str, name: &str, value: AttributeValue) {
        let update = self
            .emulators
            .dynamodb
            .update_item()
            .table_name(TABLE)
            .key("pk", AttributeValue::S(pk.to_owned()))
            .update_expression("SET #name = :value")
            .expression_attribute_names("#name", name)
            .expression_attribute_values(":value", value);
        update.send().await.unwrap();
    }

    /// All rows of the table, by key.
    pub(crate) async fn rows(&self) -> BTreeMap<String, HashMap<String, AttributeValue>> {
        let scan = self.emulators.dynamodb.scan().table_name(TABLE);
        let items = scan.send().await.unwrap().items.unwrap_or_default();
        let keyed = |item: HashMap<String, AttributeValue>| (text(&item, "pk"), item);
        items.into_iter().map(keyed).collect()
    }

    /// The authorizer's row.
    pub(crate) async fn authorizer_row(&self, appid: &str) -> HashMap<String, AttributeValue> {
        self.row(&format!("authorizer#{appid}"))
            .await
            .expect("the authorizer has a row")
    }
}

pub(crate) fn text(item: &HashMap<String, AttributeValue>, name: &str) -> String {
    item[name].as_s().unwrap().clone()
}

pub(crate) fn number(item: &HashMap<String, AttributeValue>, name: &str) -> u64 {
    item[name].as_n().unwrap().parse().unwrap()
}
