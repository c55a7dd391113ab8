//! XML -> JSON: element names and texts as they came.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};
use serde_json::{Map, Value};

use super::{MAX_DEPTH, arrays, is_secret};

/// An element, with its children in their order.
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

/// The list element that WeChat uses most: an element of nothing but these is an array.
const ITEM: &str = "item";

/// The children of `<xml>`; `None` if the text is not one well-formed `<xml>` element with at least
/// one child.
pub(super) fn read(text: &str) -> Option<Map<String, Value>> {
    let root = root(text)?;
    if root.name != "xml" || root.children.is_empty() {
        return None;
    }
    let event = root.children.iter().find(|child| child.name == "Event");
    let arrays = arrays::of(event.map_or("", |event| event.text.as_str()));
    Some(object(root, "", arrays))
}

/// The one element of a text.
fn root(text: &str) -> Option<Element> {
    let mut reader = Reader::from_str(text);
    // A bare `&` is text, as in an address.
    reader.config_mut().allow_dangling_amp = true;
    let (mut open, mut root): (Vec<Element>, _) = (Vec::new(), None);
    loop {
        let ended = match reader.read_event().ok()? {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return None;
                }
                open.push(Element::new(start.name().as_ref()));
                continue;
            }
            Event::Empty(empty) => Element::new(empty.name().as_ref()),
            Event::End(_) => open.pop()?,
            Event::Eof => return root.filter(|_| open.is_empty()),
            piece => {
                if let Some(element) = open.last_mut() {
                    element.add(&piece);
                }
                continue;
            }
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(ended),
            None if root.is_none() => root = Some(ended),
            None => return None,
        }
    }
}

/// The children of an element by their names, without those that bring a secret.
fn object(element: Element, path: &str, arrays: &[&str]) -> Map<String, Value> {
    let mut values: Vec<(String, Vec<Value>)> = Vec::new();
    for child in element.children {
        if is_secret(&element.name, &child.name) {
            continue;
        }
        let name = child.name.clone();
        let value = value(child, &inside(path, &name), arrays);
        match values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, siblings)) => siblings.push(value),
            None => values.push((name, vec![value])),
        }
    }
    let named = values.into_iter().map(|(name, siblings)| {
        let always = arrays.contains(&inside(path, &name).as_str());
        (name, joined(siblings, always))
    });
    named.collect()
}

/// One element: its text, or what its children make.
fn value(element: Element, path: &str, arrays: &[&str]) -> Value {
    if element.children.is_empty() {
        return Value::String(element.text);
    }
    let items_path = inside(path, ITEM);
    let is_list = element.children.iter().all(|child| child.name == ITEM);
    if is_list && !arrays.contains(&items_path.as_str()) {
        let items = element.children.into_iter();
        return items.map(|item| value(item, &items_path, arrays)).collect();
    }
    Value::Object(object(element, path, arrays))
}

/// Siblings of one name: an array if there are more than one, or always.
fn joined(mut siblings: Vec<Value>, always: bool) -> Value {
    if siblings.len() > 1 {
        return Value::Array(siblings);
    }
    match siblings.pop() {
        Some(list @ Value::Array(_)) if always => list,
        Some(Value::String(empty)) if always && empty.trim().is_empty() => Value::Array(Vec::new()),
        Some(one) if always => Value::Array(vec![one]),
        Some(one) => one,
        None => Value::Null,
    }
}

fn inside(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

impl Element {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: String::new(),
            children: Vec::new(),
        }
    }

    /// Adds a piece of text as it came; no line end is changed.
    fn add(&mut self, piece: &Event<'_>) {
        match piece {
            Event::Text(text) => self.text.push_str(text),
            Event::CData(text) => self.text.push_str(text),
            Event::GeneralRef(reference) => self.add_reference(reference),
            _ => {}
        }
    }

    /// Adds the character that a reference names. One that names none is text.
    fn add_reference(&mut self, reference: &BytesRef<'_>) {
        match (reference.resolve_char_ref(), resolve_xml_entity(reference)) {
            (Ok(Some(character)), _) => self.text.push(character),
            (Ok(None), Some(entity)) => self.text.push_str(entity),
            _ => {
                self.text.push('&');
                self.text.push_str(reference);
                self.text.push(';');
            }
        }
    }
}
