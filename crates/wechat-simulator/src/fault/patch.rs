//! Changes to the fields of an answer, addressed by JSON pointer.

use serde_json::{Map, Value};

/// Changes to the fields of an answer, applied one after another.
///
/// A field is named by a JSON pointer: `/authorization_info/expires_in`, `/list/0`, `/list/-` for
/// one more entry, or the empty pointer for the whole answer. The first `/` may be missing. Missing
/// objects on the way are made. If a pointer leads through a string, a number or a missing entry of
/// a list, it changes nothing, and a warning is logged.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc6901>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerPatch(pub(super) Vec<(String, Change)>);

/// What happens to one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Set(Value),
    Remove,
    Raw(Vec<u8>),
}

impl AnswerPatch {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a field, which may be missing before, to any JSON value.
    #[must_use]
    pub fn set(self, pointer: &str, value: Value) -> Self {
        self.with(pointer, Change::Set(value))
    }

    /// Removes a field.
    #[must_use]
    pub fn remove(self, pointer: &str) -> Self {
        self.with(pointer, Change::Remove)
    }

    /// Puts these bytes in the place of a field's value: they need be neither JSON nor UTF-8.
    #[must_use]
    pub fn raw(self, pointer: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.with(pointer, Change::Raw(bytes.into()))
    }

    fn with(mut self, pointer: &str, change: Change) -> Self {
        self.0.push((pointer.to_owned(), change));
        self
    }

    /// The bytes of the patched answer.
    pub(crate) fn apply(&self, mut answer: Value) -> Vec<u8> {
        let mut raws = Vec::new();
        for (pointer, change) in &self.0 {
            let applied = match change {
                Change::Set(value) => put(&mut answer, pointer, value.clone()),
                Change::Remove => remove(&mut answer, pointer),
                Change::Raw(bytes) => {
                    let mark = Value::String(mark(raws.len()));
                    raws.push((mark.to_string(), bytes));
                    put(&mut answer, pointer, mark)
                }
            };
            if applied.is_none() {
                tracing::warn!(pointer, "the answer has no such field to patch");
            }
        }
        let mut text = answer.to_string().into_bytes();
        for (mark, bytes) in raws {
            replace(&mut text, mark.as_bytes(), bytes);
        }
        text
    }
}

/// A text that stands for raw bytes until the answer is serialized. No account has such a name.
fn mark(number: usize) -> String {
    format!("\u{e000}raw bytes {number}\u{e000}")
}

fn replace(text: &mut Vec<u8>, mark: &[u8], bytes: &[u8]) {
    let at = text.windows(mark.len()).position(|window| window == mark);
    if let Some(at) = at {
        text.splice(at..at + mark.len(), bytes.iter().copied());
    }
}

fn segments(pointer: &str) -> Vec<String> {
    if pointer.is_empty() {
        return Vec::new();
    }
    let path = pointer.strip_prefix('/').unwrap_or(pointer);
    path.split('/')
        .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
        .collect()
}

fn put(answer: &mut Value, pointer: &str, value: Value) -> Option<()> {
    let mut field = answer;
    for segment in segments(pointer) {
        field = child(field, segment)?;
    }
    *field = value;
    Some(())
}

fn child(parent: &mut Value, segment: String) -> Option<&mut Value> {
    if parent.is_null() {
        *parent = Value::Object(Map::new());
    }
    match parent {
        Value::Object(fields) => Some(fields.entry(segment).or_insert(Value::Null)),
        Value::Array(entries) => {
            let index = if segment == "-" {
                entries.push(Value::Null);
                entries.len() - 1
            } else {
                segment.parse::<usize>().ok()?
            };
            entries.get_mut(index)
        }
        _ => None,
    }
}

fn remove(answer: &mut Value, pointer: &str) -> Option<()> {
    let mut path = segments(pointer);
    let last = path.pop()?;
    let mut parent = answer;
    for segment in path {
        parent = match parent {
            Value::Object(fields) => fields.get_mut(&segment)?,
            Value::Array(entries) => entries.get_mut(segment.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    match parent {
        Value::Object(fields) => fields.remove(&last).map(drop),
        Value::Array(entries) => {
            let index = last.parse::<usize>().ok()?;
            (index < entries.len()).then(|| drop(entries.remove(index)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(patch: &AnswerPatch, expected: &[u8]) {
        let answer = json!({"a": {"b": 1}, "list": [{"x": 1}, {"x": 2}], "t": "text"});
        let patched = patch.apply(answer);
        let texts = [&patched[..], expected].map(String::from_utf8_lossy);
        assert_eq!(texts[0], texts[1]);
    }

    #[test]
    fn a_field_is_set_made_or_removed() {
        let patch = AnswerPatch::new()
            .set("/a/b", json!(null))
            .set("c/d~1e", json!("7200"))
            .remove("/t");
        check(
            &patch,
            br#"{"a":{"b":null},"c":{"d/e":"7200"},"list":[{"x":1},{"x":2}]}"#,
        );
    }

    #[test]
    fn a_list_is_changed_by_index() {
        let patch = AnswerPatch::new()
            .remove("/list/1")
            .set("/list/0/x", json!(7.5))
            .set("/list/-", json!("odd"))
            .remove("/a")
            .remove("/t");
        check(&patch, br#"{"list":[{"x":7.5},"odd"]}"#);
    }

    #[test]
    fn raw_bytes_need_not_be_json_or_utf_8() {
        let patch = AnswerPatch::new()
            .raw("/a", &br#""\ud83d""#[..])
            .raw("/list", [0xff, 0xfe])
            .raw("/t", "NaN");
        check(&patch, b"{\"a\":\"\\ud83d\",\"list\":\xff\xfe,\"t\":NaN}");
        check(&AnswerPatch::new().raw("", "<html>"), b"<html>");
    }

    #[test]
    fn a_pointer_to_no_field_changes_nothing() {
        let patch = AnswerPatch::new()
            .set("/t/x", json!(1))
            .set("/list/9", json!(1))
            .remove("/list/9")
            .remove("/none/x");
        check(
            &patch,
            br#"{"a":{"b":1},"list":[{"x":1},{"x":2}],"t":"text"}"#,
        );
    }
}
