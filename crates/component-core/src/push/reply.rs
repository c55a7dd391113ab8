//! What a function of the vendor answers to a message -> the sealed XML of a passive reply.
//!
//! Source: <https://developers.weixin.qq.com/doc/service/guide/product/message/Passive_user_reply_message.html>

use std::fmt::Write as _;

use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::{PushKeys, cipher, signature};
use crate::time::Timestamp;

/// What a reply's XML names itself: who sends it to whom, and when.
#[derive(Clone, Copy, Debug)]
pub struct Addresses<'a> {
    /// The customer.
    pub to: &'a str,
    /// The account.
    pub from: &'a str,
    /// Now.
    pub at: Timestamp,
}

/// Why an answer is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// It is not JSON.
    #[error("the answer is not JSON")]
    NotJson,
    /// It is an object with other fields, or with more than one.
    #[error("the answer is not an object with `reply`, `answer` or `xml` alone")]
    UnknownShape,
    /// `reply` or `answer` is no object with children, or `xml` no text that is not empty.
    #[error("`reply` and `answer` must be objects with fields, and `xml` a text")]
    WrongType,
    /// A reply without the field that WeChat tells replies by.
    #[error("`reply` has no MsgType")]
    NoMsgType,
    /// XML has no name or text for it.
    #[error("a name or a text in the answer cannot stand in XML")]
    NotXml,
    /// It is larger than a push may be.
    #[error("the answer is too large")]
    TooLarge,
}

/// The largest reply, in bytes: as large as a push.
const MAX_XML_BYTES: usize = 64 * 1024;

/// JSON that is nested deeper is no reply.
const MAX_DEPTH: usize = 32;

/// What an array becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrays {
    /// One element, with an `item` for each entry: in `reply`.
    Items,
    /// As many elements of one name: in `answer`.
    Siblings,
}

/// The XML that a function's answer stands for; `None` if it answers nothing: `null` or `{}`.
///
/// # Errors
/// [`NoReply`].
pub fn xml(answer: &[u8], addresses: Addresses<'_>) -> Result<Option<String>, NoReply> {
    let answer: Value = serde_json::from_slice(answer).map_err(|_error| NoReply::NotJson)?;
    let fields = match answer {
        Value::Null => return Ok(None),
        Value::Object(fields) if fields.is_empty() => return Ok(None),
        Value::Object(fields) if fields.len() == 1 => fields,
        _ => return Err(NoReply::UnknownShape),
    };
    let Some((name, value)) = fields.into_iter().next() else {
        return Ok(None);
    };
    let xml = match (name.as_str(), value) {
        ("reply", Value::Object(reply)) => addressed(reply, addresses)?,
        ("answer", Value::Object(answer)) if !answer.is_empty() => bare(&answer)?,
        ("xml", Value::String(xml)) if !xml.trim().is_empty() => xml,
        ("reply" | "answer" | "xml", _) => return Err(NoReply::WrongType),
        _ => return Err(NoReply::UnknownShape),
    };
    if xml.len() > MAX_XML_BYTES {
        return Err(NoReply::TooLarge);
    }
    Ok(Some(xml))
}

/// Seals a reply as WeChat wants it: with the keys under which the message came.
///
/// `random` and `nonce` must be new for each reply.
pub fn seal(xml: &str, keys: &PushKeys, random: &[u8; 16], nonce: &str, now: Timestamp) -> String {
    let encrypt = cipher::encrypt(&keys.aes_key, random, xml.as_bytes(), &keys.component_appid);
    let timestamp = now.to_string();
    let signature = signature::sign(keys.token.expose_secret(), &timestamp, nonce, &encrypt);
    let signature = String::from_utf8_lossy(&signature);
    format!(
        "<xml><Encrypt><![CDATA[{encrypt}]]></Encrypt><MsgSignature><![CDATA[{signature}]]></MsgSignature><TimeStamp>{timestamp}</TimeStamp><Nonce><![CDATA[{nonce}]]></Nonce></xml>"
    )
}

/// The XML of a text to a customer.
///
/// # Errors
/// [`NoReply::NotXml`].
pub fn text(content: &str, addresses: Addresses<'_>) -> Result<String, NoReply> {
    let mut reply = Map::new();
    reply.insert("MsgType".to_owned(), "text".into());
    reply.insert("Content".to_owned(), content.into());
    addressed(reply, addresses)
}

/// A reply with its addresses, which are ours to fill in.
fn addressed(mut reply: Map<String, Value>, addresses: Addresses<'_>) -> Result<String, NoReply> {
    let msg_type = reply.get("MsgType").and_then(Value::as_str);
    if msg_type.is_none_or(str::is_empty) {
        return Err(NoReply::NoMsgType);
    }
    let mut xml = String::from("<xml>");
    for (name, value) in [
        ("ToUserName", Value::from(addresses.to)),
        ("FromUserName", Value::from(addresses.from)),
        ("CreateTime", Value::from(addresses.at.as_secs())),
    ] {
        reply.remove(name);
        write_element(&mut xml, name, &value, Arrays::Items, 0)?;
    }
    write_fields(&mut xml, &reply, Arrays::Items, 0)?;
    xml.push_str("</xml>");
    Ok(xml)
}

/// An answer as it is.
fn bare(answer: &Map<String, Value>) -> Result<String, NoReply> {
    let mut xml = String::from("<xml>");
    write_fields(&mut xml, answer, Arrays::Siblings, 0)?;
    xml.push_str("</xml>");
    Ok(xml)
}

fn write_fields(
    xml: &mut String,
    fields: &Map<String, Value>,
    arrays: Arrays,
    depth: usize,
) -> Result<(), NoReply> {
    for (name, value) in fields {
        match value {
            Value::Array(values) if arrays == Arrays::Siblings => {
                for value in values {
                    write_element(xml, name, value, arrays, depth)?;
                }
            }
            value => write_element(xml, name, value, arrays, depth)?,
        }
    }
    Ok(())
}

/// Writes one element; none for `null`.
fn write_element(
    xml: &mut String,
    name: &str,
    value: &Value,
    arrays: Arrays,
    depth: usize,
) -> Result<(), NoReply> {
    if !is_name(name) || depth > MAX_DEPTH {
        return Err(NoReply::NotXml);
    }
    if value.is_null() {
        return Ok(());
    }
    let _ = write!(xml, "<{name}>");
    match value {
        Value::Object(fields) => write_fields(xml, fields, arrays, depth + 1)?,
        Value::Array(items) => {
            for item in items {
                write_element(xml, "item", item, arrays, depth + 1)?;
            }
        }
        Value::String(text) => write_text(xml, text)?,
        number_or_bool => {
            let _ = write!(xml, "{number_or_bool}");
        }
    }
    let _ = write!(xml, "</{name}>");
    Ok(())
}

/// Writes CDATA; its own end, in the text, is split over two.
fn write_text(xml: &mut String, text: &str) -> Result<(), NoReply> {
    if !text.chars().all(is_xml) {
        return Err(NoReply::NotXml);
    }
    xml.push_str("<![CDATA[");
    xml.push_str(&text.replace("]]>", "]]]]><![CDATA[>"));
    xml.push_str("]]>");
    Ok(())
}

/// Whether XML 1.0 has the character.
/// Source: <https://www.w3.org/TR/xml/#charsets>
const fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    let begins = |c: char| c.is_alphabetic() || c == '_';
    characters.next().is_some_and(begins)
        && characters.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests;
