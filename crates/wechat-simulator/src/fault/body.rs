//! A fault as JSON: the body of `POST /_sim/faults`, and an entry of `GET /_sim/faults`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::patch::{AnswerPatch, Change};
use super::{Fault, FaultEffect, FaultError};

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultBody {
    endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer_appid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lasts_secs: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    delay_ms: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    answer_delay_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    errcode: Option<Errcode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(default, skip_serializing_if = "is_false")]
    answer_lost: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    reset: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    set: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remove: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    raw: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    raw_base64: BTreeMap<String, String>,
}

/// An `errcode` as WeChat sends it, or as the string that it sometimes sends.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Errcode {
    Number(i64),
    Text(String),
}

/// Why a body makes no fault.
pub(super) enum BodyError {
    Fault(FaultError),
    SeveralEffects,
    Base64(String),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(error) => error.fmt(f),
            Self::SeveralEffects => f.write_str(
                "a fault has one of errcode, http_status, body, reset, answer_lost, or a patch",
            ),
            Self::Base64(pointer) => write!(f, "raw_base64 of {pointer:?} is not base64"),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl FaultBody {
    fn patch(&mut self) -> Result<Option<FaultEffect>, BodyError> {
        let mut changes = Vec::new();
        for (pointer, value) in std::mem::take(&mut self.set) {
            changes.push((pointer, Change::Set(value)));
        }
        for (pointer, text) in std::mem::take(&mut self.raw) {
            changes.push((pointer, Change::Raw(text.into_bytes())));
        }
        for (pointer, text) in std::mem::take(&mut self.raw_base64) {
            match BASE64.decode(text.as_bytes()) {
                Ok(bytes) => changes.push((pointer, Change::Raw(bytes))),
                Err(_) => return Err(BodyError::Base64(pointer)),
            }
        }
        for pointer in std::mem::take(&mut self.remove) {
            changes.push((pointer, Change::Remove));
        }
        Ok((!changes.is_empty()).then_some(FaultEffect::Patch(AnswerPatch(changes))))
    }
}

impl TryFrom<FaultBody> for Fault {
    type Error = BodyError;

    fn try_from(mut body: FaultBody) -> Result<Self, BodyError> {
        let errcode = body.errcode.take().map(|errcode| match errcode {
            Errcode::Number(number) => FaultEffect::Errcode(number),
            Errcode::Text(text) => FaultEffect::ErrcodeText(text),
        });
        let effects = [
            body.answer_lost.then_some(FaultEffect::AnswerLost),
            body.reset.then_some(FaultEffect::Reset),
            errcode,
            body.http_status.map(FaultEffect::HttpStatus),
            body.body.take().map(FaultEffect::Body),
            body.patch()?,
        ];
        let mut effects = effects.into_iter().flatten();
        let (effect, None) = (effects.next(), effects.next()) else {
            return Err(BodyError::SeveralEffects);
        };
        let by_default = body.lasts_secs.map_or(1, |_| u32::MAX);
        let fault = Self {
            endpoint: body.endpoint,
            authorizer_appid: body.authorizer_appid,
            times: body.times.unwrap_or(by_default),
            lasts_secs: body.lasts_secs,
            delay: Duration::from_millis(body.delay_ms),
            effect,
            answer_delay: Duration::from_millis(body.answer_delay_ms),
        };
        fault.check().map_err(BodyError::Fault)?;
        Ok(fault)
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut body = FaultBody {
            endpoint: self.endpoint.clone(),
            authorizer_appid: self.authorizer_appid.clone(),
            times: (self.lasts_secs.is_none() || self.times != u32::MAX).then_some(self.times),
            lasts_secs: self.lasts_secs,
            delay_ms: millis(self.delay),
            answer_delay_ms: millis(self.answer_delay),
            ..FaultBody::default()
        };
        match self.effect.clone() {
            None => {}
            Some(FaultEffect::Errcode(number)) => body.errcode = Some(Errcode::Number(number)),
            Some(FaultEffect::ErrcodeText(text)) => body.errcode = Some(Errcode::Text(text)),
            Some(FaultEffect::HttpStatus(status)) => body.http_status = Some(status),
            Some(FaultEffect::AnswerLost) => body.answer_lost = true,
            Some(FaultEffect::Reset) => body.reset = true,
            Some(FaultEffect::Body(text)) => body.body = Some(text),
            Some(FaultEffect::Patch(patch)) => describe(patch, &mut body),
        }
        body.serialize(serializer)
    }
}

fn describe(patch: AnswerPatch, body: &mut FaultBody) {
    for (pointer, change) in patch.0 {
        match change {
            Change::Set(value) => drop(body.set.insert(pointer, value)),
            Change::Remove => body.remove.push(pointer),
            Change::Raw(bytes) => match String::from_utf8(bytes) {
                Ok(text) => drop(body.raw.insert(pointer, text)),
                Err(error) => {
                    let text = BASE64.encode(error.as_bytes());
                    body.raw_base64.insert(pointer, text);
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_of_the_control_api_is_read_and_shown() {
        let patch = AnswerPatch::new()
            .set("/func_info", json!(null))
            .raw("/name", &br#""\ud83d""#[..])
            .raw("/odd", [0xff])
            .remove("/expires_in");
        let cases = [
            (json!({"errcode": 45009}), Some(FaultEffect::Errcode(45009))),
            (
                json!({"errcode": "61003"}),
                Some(FaultEffect::ErrcodeText("61003".into())),
            ),
            (
                json!({"http_status": 500}),
                Some(FaultEffect::HttpStatus(500)),
            ),
            (json!({"answer_lost": true}), Some(FaultEffect::AnswerLost)),
            (json!({"reset": true}), Some(FaultEffect::Reset)),
            (json!({"body": "x"}), Some(FaultEffect::Body("x".into()))),
            (json!({"delay_ms": 6000}), None),
            (json!({"answer_delay_ms": 6000}), None),
            (
                json!({
                    "set": {"/func_info": null}, "raw": {"/name": "\"\\ud83d\""},
                    "raw_base64": {"/odd": "/w=="}, "remove": ["/expires_in"],
                }),
                Some(FaultEffect::Patch(patch)),
            ),
        ];
        for (mut json, effect) in cases {
            json["endpoint"] = json!("api_query_auth");
            json["authorizer_appid"] = json!("wx1a2b3c4d5e6f7081");
            let fault: Fault = serde_json::from_value(json.clone()).unwrap();
            assert_eq!((fault.times, &fault.effect), (1, &effect), "{json}");
            json["times"] = json!(1);
            assert_eq!(json!(fault), json);
        }
    }

    #[test]
    fn a_lasting_fault_is_shown_without_a_number_of_calls() {
        let fault = Fault::new("*", FaultEffect::Reset).lasting(60);
        let json = json!({"endpoint": "*", "reset": true, "lasts_secs": 60});
        assert_eq!(json!(fault), json);
        assert_eq!(serde_json::from_value::<Fault>(json).unwrap(), fault);
    }

    #[test]
    fn a_body_that_could_never_spoil_a_call_is_refused() {
        for (body, why) in [
            (
                json!({"endpoint": "api_query", "reset": true}),
                "no endpoint",
            ),
            (
                json!({"endpoint": "*", "reset": true, "times": 0}),
                "at least 1",
            ),
            (
                json!({"endpoint": "*", "reset": true, "lasts_secs": 0}),
                "at least 1",
            ),
            (json!({"endpoint": "*"}), "neither"),
            (
                json!({"endpoint": "*", "reset": true, "errcode": 1}),
                "one of",
            ),
            (json!({"endpoint": "*", "http_status": 99}), "200 to 599"),
            (
                json!({"endpoint": "*", "raw_base64": {"/a": "?"}}),
                "not base64",
            ),
            (json!({"endpoint": "*", "reset": true, "tmies": 2}), "tmies"),
            (
                json!({"endpoint": "api_component_token", "authorizer_appid": "wxa", "errcode": 1}),
                "names an authorizer_appid",
            ),
        ] {
            let error = serde_json::from_value::<Fault>(body.clone()).unwrap_err();
            assert!(error.to_string().contains(why), "{body}: {error}");
        }
    }
}
