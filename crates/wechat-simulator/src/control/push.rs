//! Ordered pushes: any notice, duplicates, old ones, and messages to an account.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, ControlError, read};
use crate::push::notice::{GrantNotice, Notice};
use crate::push::{Attempt, MessageOutcome};
use crate::simulator::{SimError, Simulator};
use crate::state::account::DEMO_APPIDS;
use crate::state::authorizers::AUTH_CODE_LIFE_SECS;

/// Openid of the follower, if the order names none.
const EXAMPLE_OPENID: &str = "oEXAMPLE_openid_000000000001";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    info_type: Option<InfoType>,
    xml: Option<String>,
    xml_base64: Option<String>,
    authorizer_appid: Option<String>,
    create_time: Option<u64>,
    authorization_code: Option<String>,
    pre_auth_code: Option<String>,
    ticket: Option<String>,
    #[serde(default = "once")]
    times: u32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum InfoType {
    ComponentVerifyTicket,
    Authorized,
    #[serde(rename = "updateauthorized")]
    UpdateAuthorized,
    Unauthorized,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    authorizer_appid: String,
    openid: Option<String>,
    text: Option<String>,
    xml: Option<String>,
}

fn once() -> u32 {
    1
}

/// Pushes one plain text `times` times, each time sealed anew.
pub(super) async fn push(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let (plaintext, times) = plaintext(&simulator, &body)?;
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut delivered = true;
    for _ in 0..times {
        let outcome = simulator.push_bytes(&plaintext).await;
        delivered &= outcome.delivered;
        attempts.extend(outcome.attempts);
    }
    Ok(Json(json!({"attempts": attempts, "delivered": delivered})))
}

/// What the order pushes, and how many times. A body that starts with `<` is pushed as it is.
fn plaintext(simulator: &Simulator, body: &Bytes) -> Result<(Vec<u8>, u32), ControlError> {
    if body.trim_ascii_start().starts_with(b"<") {
        return Ok((body.to_vec(), 1));
    }
    let order: Order = read(body)?;
    if order.times == 0 {
        return Err(ControlError::bad_request("times must be at least 1"));
    }
    let plaintext = match (&order.xml, &order.xml_base64, order.info_type) {
        (Some(xml), None, None) => xml.clone().into_bytes(),
        (None, Some(text), None) => BASE64
            .decode(text.as_bytes())
            .map_err(|_| ControlError::bad_request("xml_base64 is not base64"))?,
        (None, None, Some(info_type)) => notice(simulator, &order, info_type)?.into_bytes(),
        _ => {
            let message = "one of info_type, xml and xml_base64 is needed";
            return Err(ControlError::bad_request(message));
        }
    };
    Ok((plaintext, order.times))
}

/// Pushes a follower's message to the message URL.
pub(super) async fn message(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let order: Message = read(&body)?;
    let appid = &order.authorizer_appid;
    let outcome: MessageOutcome = match (&order.xml, &order.text) {
        (Some(xml), _) => simulator.push_message(appid, xml).await?,
        (None, Some(text)) => {
            let openid = order.openid.as_deref().unwrap_or(EXAMPLE_OPENID);
            simulator.push_text(appid, openid, text).await?
        }
        (None, None) => return Err(ControlError::bad_request("text or xml is needed")),
    };
    Ok(Json(json!(outcome)))
}

fn notice(simulator: &Simulator, order: &Order, info_type: InfoType) -> Result<String, SimError> {
    let now = simulator.clock().now();
    let create_time = order.create_time.unwrap_or(now);
    let notice = match info_type {
        InfoType::ComponentVerifyTicket => Notice::ComponentVerifyTicket {
            ticket: ticket(simulator, order, now),
        },
        InfoType::Authorized => Notice::Authorized(grant(simulator, order, create_time, now)?),
        InfoType::UpdateAuthorized => {
            Notice::UpdateAuthorized(grant(simulator, order, create_time, now)?)
        }
        InfoType::Unauthorized => Notice::Unauthorized {
            authorizer_appid: order.appid(),
        },
    };
    let state = simulator.state();
    Ok(notice.to_xml(&state.settings.component_appid, create_time))
}

fn ticket(simulator: &Simulator, order: &Order, now: u64) -> String {
    order.ticket.clone().unwrap_or_else(|| {
        let state = &mut *simulator.state();
        state.component.new_ticket(now, &mut state.mint)
    })
}

/// If the order has no code, the account authorizes anew.
///
/// If the notice is older than the account's authorization, it carries a spent code instead.
fn grant(
    simulator: &Simulator,
    order: &Order,
    create_time: u64,
    now: u64,
) -> Result<GrantNotice, SimError> {
    let appid = order.appid();
    let state = &mut *simulator.state();
    let authorization_code = if let Some(code) = &order.authorization_code {
        code.clone()
    } else {
        let granted = state.authorizers.find(&appid);
        let granted = granted.and_then(|authorizer| authorizer.authorization.as_ref());
        if granted.is_some_and(|granted| create_time < granted.auth_time) {
            state
                .authorizers
                .make_spent_code(now, &appid, &mut state.mint)
        } else {
            let grant = state.authorizers.authorize(now, &appid, &mut state.mint);
            grant.ok_or(SimError::UnknownAccount)?.auth_code
        }
    };
    Ok(GrantNotice {
        authorizer_appid: appid,
        authorization_code,
        expires_at: create_time.saturating_add(AUTH_CODE_LIFE_SECS),
        pre_auth_code: order.pre_auth_code.clone(),
    })
}

impl Order {
    fn appid(&self) -> String {
        let [first, ..] = DEMO_APPIDS;
        self.authorizer_appid.as_deref().unwrap_or(first).to_owned()
    }
}
