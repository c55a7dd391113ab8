//! Ordered failures of the next calls to an endpoint.

use std::time::Duration;

use serde::Deserialize;

/// Spoils the next calls to one endpoint. Deserializes from the body of `POST /_sim/faults`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "FaultBody")]
pub struct Fault {
    /// The last segment of the endpoint's path, such as `api_query_auth`, or `*` for any.
    pub endpoint: String,
    /// How many calls are spoiled.
    pub times: u32,
    /// Real time that passes before anything else happens.
    pub delay: Duration,
    /// What happens to the call after the delay. None: it goes through.
    pub effect: Option<FaultEffect>,
    /// Real time between the call's effect and its answer.
    ///
    /// If the caller hangs up meanwhile, the effect stays.
    pub answer_delay: Duration,
}

/// What happens to a spoiled call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultEffect {
    /// WeChat refuses with this `errcode`; nothing happens.
    Errcode(i64),
    /// An empty answer with this HTTP status, as from a gateway; nothing happens.
    HttpStatus(u16),
    /// The call takes effect, then the connection closes without an answer.
    AnswerLost,
    /// The connection closes; nothing happens.
    Reset,
    /// HTTP 200 with this body; nothing happens.
    Body(String),
}

impl Fault {
    /// Spoils one call to `endpoint`.
    pub fn new(endpoint: &str, effect: FaultEffect) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            times: 1,
            delay: Duration::ZERO,
            effect: Some(effect),
            answer_delay: Duration::ZERO,
        }
    }

    /// Delays one call to `endpoint`, which then goes through.
    pub fn delay(endpoint: &str, delay: Duration) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            times: 1,
            delay,
            effect: None,
            answer_delay: Duration::ZERO,
        }
    }

    /// Lets one call to `endpoint` through at once and delays its answer.
    pub fn late_answer(endpoint: &str, answer_delay: Duration) -> Self {
        Self {
            answer_delay,
            ..Self::delay(endpoint, Duration::ZERO)
        }
    }

    /// Spoils `times` calls instead of one.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    /// Lets `delay` pass first.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    fn hits(&self, endpoint: &str) -> bool {
        self.times > 0 && (self.endpoint == "*" || self.endpoint == endpoint)
    }
}

/// The remaining faults, oldest first.
#[derive(Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Takes the faults of one call: the first with an effect, and the first pure delay.
    pub(crate) fn strike(&mut self, endpoint: &str) -> Stroke {
        let mut stroke = Stroke::default();
        for with_effect in [true, false] {
            let next = self
                .0
                .iter_mut()
                .find(|fault| fault.effect.is_some() == with_effect && fault.hits(endpoint));
            if let Some(fault) = next {
                fault.times -= 1;
                stroke.delay += fault.delay;
                stroke.answer_delay += fault.answer_delay;
                stroke.effect = stroke.effect.or_else(|| fault.effect.clone());
            }
        }
        self.0.retain(|fault| fault.times > 0);
        stroke
    }
}

/// The faults of one call, put together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stroke {
    pub(crate) delay: Duration,
    pub(crate) effect: Option<FaultEffect>,
    pub(crate) answer_delay: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultBody {
    endpoint: String,
    #[serde(default = "once")]
    times: u32,
    #[serde(default)]
    delay_ms: u64,
    #[serde(default)]
    answer_delay_ms: u64,
    errcode: Option<i64>,
    http_status: Option<u16>,
    #[serde(default)]
    answer_lost: bool,
    #[serde(default)]
    reset: bool,
    body: Option<String>,
}

fn once() -> u32 {
    1
}

impl From<FaultBody> for Fault {
    fn from(body: FaultBody) -> Self {
        let effect = (body.answer_lost.then_some(FaultEffect::AnswerLost))
            .or(body.reset.then_some(FaultEffect::Reset))
            .or(body.errcode.map(FaultEffect::Errcode))
            .or(body.http_status.map(FaultEffect::HttpStatus))
            .or(body.body.map(FaultEffect::Body));
        Self {
            endpoint: body.endpoint,
            times: body.times,
            delay: Duration::from_millis(body.delay_ms),
            effect,
            answer_delay: Duration::from_millis(body.answer_delay_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_its_endpoint_as_often_as_told() {
        let mut faults = Faults::default();
        let fault = Fault::new("api_query_auth", FaultEffect::Errcode(-1));
        faults.add(fault.times(2));
        assert_eq!(faults.strike("api_component_token"), Stroke::default());
        for _ in 0..2 {
            let effect = faults.strike("api_query_auth").effect;
            assert_eq!(effect, Some(FaultEffect::Errcode(-1)));
        }
        assert_eq!(faults.strike("api_query_auth"), Stroke::default());
    }

    #[test]
    fn a_delay_combines_with_another_fault() {
        let mut faults = Faults::default();
        let second = Duration::from_secs(1);
        faults.add(Fault::delay("*", second));
        faults.add(Fault::new("send", FaultEffect::Reset).after(second));
        let expected = Stroke {
            delay: second * 2,
            effect: Some(FaultEffect::Reset),
            answer_delay: Duration::ZERO,
        };
        assert_eq!(faults.strike("send"), expected);
        assert_eq!(faults.strike("send"), Stroke::default());
    }

    #[test]
    fn every_form_of_the_control_api_is_understood() {
        let cases = [
            (
                r#"{"endpoint":"a","errcode":45009}"#,
                Some(FaultEffect::Errcode(45009)),
            ),
            (
                r#"{"endpoint":"a","http_status":500}"#,
                Some(FaultEffect::HttpStatus(500)),
            ),
            (
                r#"{"endpoint":"a","answer_lost":true}"#,
                Some(FaultEffect::AnswerLost),
            ),
            (r#"{"endpoint":"a","reset":true}"#, Some(FaultEffect::Reset)),
            (
                r#"{"endpoint":"a","body":"x"}"#,
                Some(FaultEffect::Body("x".into())),
            ),
            (r#"{"endpoint":"a","delay_ms":6000}"#, None),
        ];
        for (json, effect) in cases {
            let fault: Fault = serde_json::from_str(json).unwrap();
            assert_eq!((fault.times, fault.effect), (1, effect), "{json}");
        }
        assert!(serde_json::from_str::<Fault>(r#"{"endpoint":"a","tmies":2}"#).is_err());
    }
}
