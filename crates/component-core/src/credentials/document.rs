//! One version of the secret, as the operator stored it: a JSON object.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use component_api::id::ComponentAppId;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::config::Misconfigured;
use crate::push::PushKeys;
use crate::push::cipher::AesKey;

/// What the operator copied from WeChat's console into the secret.
pub struct Credentials {
    /// What seals and opens pushes.
    pub push: PushKeys,
    /// `component_appsecret`.
    pub appsecret: SecretString,
    /// `link_signing_key`.
    pub link_signing: LinkSigning,
    /// `accept_previous`: whether the version before this one is still accepted, for a time.
    pub accept_previous: bool,
}

/// Whether authorization links must be signed.
pub enum LinkSigning {
    /// The version has no `link_signing_key`: any link is good.
    NotRequired,
    /// Links must be signed with this key.
    Required(SecretSlice<u8>),
    /// Links must be signed, but the key cannot be read. It is the trouble of links alone.
    Malformed(Misconfigured),
}

/// The JSON object.
#[derive(Deserialize)]
struct Document {
    component_appid: String,
    component_appsecret: SecretString,
    token: SecretString,
    encoding_aes_key: SecretString,
    link_signing_key: Option<Text>,
    accept_previous: Option<bool>,
}

/// A text, or anything else in its place.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Is(SecretString),
    IsNot(IgnoredAny),
}

/// The least length of a signing key, in bytes.
const MIN_SIGNING_KEY_BYTES: usize = 32;

impl Credentials {
    /// Reads the secret's JSON object.
    ///
    /// # Errors
    /// [`Misconfigured`], which names the field and never its value.
    pub fn parse(json: &str) -> Result<Self, Misconfigured> {
        // Some editors begin a file so.
        let json = json.trim_start_matches('\u{feff}');
        let document: Document =
            serde_json::from_str(json).map_err(|error| not_a_document(&error))?;
        if document.component_appsecret.expose_secret().is_empty()
            || document.token.expose_secret().is_empty()
        {
            return Err(wrong("component_appsecret or token is empty"));
        }
        Ok(Self {
            push: PushKeys {
                component_appid: ComponentAppId::parse(&document.component_appid)
                    .map_err(|error| wrong(&format!("component_appid: {error}")))?,
                token: document.token,
                aes_key: AesKey::parse(document.encoding_aes_key.expose_secret())
                    .ok_or_else(|| wrong("encoding_aes_key is not 43 characters of base64"))?,
            },
            appsecret: document.component_appsecret,
            link_signing: document
                .link_signing_key
                .map_or(LinkSigning::NotRequired, LinkSigning::parse),
            accept_previous: document.accept_previous.unwrap_or(true),
        })
    }
}

impl LinkSigning {
    fn parse(key: Text) -> Self {
        let bytes = match key {
            Text::Is(key) => STANDARD.decode(key.expose_secret()).unwrap_or_default(),
            Text::IsNot(IgnoredAny) => Vec::new(),
        };
        if bytes.len() < MIN_SIGNING_KEY_BYTES {
            return Self::Malformed(wrong("link_signing_key is not base64 of 32 bytes or more"));
        }
        Self::Required(bytes.into())
    }
}

/// What of the object is wrong. serde's own message may quote what it found.
fn not_a_document(error: &serde_json::Error) -> Misconfigured {
    const FIELDS: [&str; 4] = [
        "component_appid",
        "component_appsecret",
        "token",
        "encoding_aes_key",
    ];
    if !error.is_data() {
        let (line, column) = (error.line(), error.column());
        return wrong(&format!(
            "it is not a JSON object: line {line}, column {column}"
        ));
    }
    let message = error.to_string();
    let missing = FIELDS
        .iter()
        .find(|field| message.starts_with(&format!("missing field `{field}`")));
    match missing {
        Some(field) => wrong(&format!("{field} is missing")),
        None => wrong(
            "it is not a JSON object with the strings component_appid, component_appsecret, token and encoding_aes_key, and accept_previous, if at all, true or false",
        ),
    }
}

fn wrong(what: &str) -> Misconfigured {
    Misconfigured(format!("the component's secret: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"component_appid":"wx0123456789abcdef","component_appsecret":"SECRET","token":"TOKEN",
        "encoding_aes_key":"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"}"#;

    /// The good secret with one more field.
    fn with(field: &str, value: &str) -> String {
        GOOD.replace('}', &format!(",\"{field}\":{value}}}"))
    }

    #[track_caller]
    fn check(json: &str, names: &str) {
        let error = Credentials::parse(json).err().unwrap().to_string();
        check_names(&error, names);
    }

    #[track_caller]
    fn check_names(error: &str, names: &str) {
        assert!(error.contains(names), "{error}");
        assert!(
            !error.contains("SECRET") && !error.contains("TOKEN"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_secret_is_named_by_its_field_and_never_quoted() {
        assert!(Credentials::parse(GOOD).is_ok());
        check("SECRET", "JSON object");
        check(&GOOD[..GOOD.len() / 2], "line 1, column ");
        check("{}", "component_appid is missing");
        check(&GOOD.replace("\"token\"", "\"Token\""), "token is missing");
        assert!(Credentials::parse(&format!("\u{feff}{GOOD}")).is_ok());
        check(&GOOD.replace("\"SECRET\"", "{\"SECRET\":1}"), "JSON object");
        check(&GOOD.replace("\"SECRET\"", "\"\""), "component_appsecret");
        check(
            &GOOD.replace("wx0123456789abcdef", "TOKEN"),
            "component_appid",
        );
        check(&GOOD.replace("G\"}", "\"}"), "encoding_aes_key");
        for wrong in ["\"TOKEN\"", "0", "\"false\""] {
            check(&with("accept_previous", wrong), "accept_previous");
        }
    }

    #[test]
    fn the_previous_version_is_accepted_unless_the_secret_says_no() {
        for (json, accepted) in [
            (GOOD.to_owned(), true),
            (with("accept_previous", "true"), true),
            (with("accept_previous", "null"), true),
            (with("accept_previous", "false"), false),
        ] {
            let credentials = Credentials::parse(&json).unwrap();
            assert_eq!(credentials.accept_previous, accepted, "{json}");
        }
    }

    #[test]
    fn a_wrong_signing_key_leaves_the_rest_of_the_secret_good() {
        let signing = |json: &str| Credentials::parse(json).unwrap().link_signing;
        for none in [GOOD, &with("link_signing_key", "null")] {
            assert!(matches!(signing(none), LinkSigning::NotRequired));
        }
        let key = format!("\"{}=\"", "A".repeat(43));
        let good = signing(&with("link_signing_key", &key));
        assert!(matches!(good, LinkSigning::Required(_)));
        let short = format!("\"{}\"", "a".repeat(40));
        for wrong in ["\"TOKEN\"", "\"\"", "7", "{\"TOKEN\":1}", "[]", &short] {
            match signing(&with("link_signing_key", wrong)) {
                LinkSigning::Malformed(error) => {
                    check_names(&error.to_string(), "link_signing_key");
                }
                _ => panic!("{wrong}"),
            }
        }
    }
}
