//! Changes to the console's settings while the simulator runs, such as a rotated key.

use std::net::IpAddr;

use axum::body::Bytes;
use axum::extract::State;
use serde::{Deserialize, Deserializer};

use super::{Answer, ControlError, done, read};
use crate::cipher::AesKey;
use crate::simulator::Simulator;

/// A partial update: a missing field changes nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    #[serde(default)]
    allowed_ips: AllowedIps,
    events_url: Option<String>,
    messages_url: Option<String>,
    authorization_host: Option<String>,
    rotate_refresh_tokens: Option<bool>,
    token: Option<String>,
    encoding_aes_key: Option<String>,
    component_appsecret: Option<String>,
    component_token_daily_quota: Option<u64>,
    ticket_pushes: Option<bool>,
    callback_ips: Option<Vec<String>>,
}

/// A list, `null` for any address, or a missing field.
#[derive(Default)]
enum AllowedIps {
    #[default]
    Unchanged,
    Any,
    Only(Vec<IpAddr>),
}

impl<'de> Deserialize<'de> for AllowedIps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Option::<Vec<IpAddr>>::deserialize(deserializer)?;
        Ok(list.map_or(Self::Any, Self::Only))
    }
}

/// Applies all of the changes, or none if one of them is wrong.
pub(super) async fn change(State(simulator): State<Simulator>, body: Bytes) -> Answer {
    let changes: Changes = read(&body)?;
    if let Some(key) = &changes.encoding_aes_key {
        AesKey::parse(key).map_err(|_| {
            ControlError::bad_request("encoding_aes_key is not 43 characters of base64")
        })?;
    }
    apply(&simulator, changes);
    Ok(done())
}

fn apply(simulator: &Simulator, changes: Changes) {
    let state = &mut *simulator.state();
    match changes.allowed_ips {
        AllowedIps::Unchanged => {}
        AllowedIps::Any => state.settings.allowed_ips = None,
        AllowedIps::Only(list) => state.settings.allowed_ips = Some(list),
    }
    state.events_url = changes.events_url.or(state.events_url.take());
    state.messages_url = changes.messages_url.or(state.messages_url.take());
    let settings = &mut state.settings;
    settings.authorization_host = changes
        .authorization_host
        .or(settings.authorization_host.take());
    replace(
        &mut state.authorizers.rotate_refresh_tokens,
        changes.rotate_refresh_tokens,
    );
    replace(&mut settings.token, changes.token);
    replace(&mut settings.encoding_aes_key, changes.encoding_aes_key);
    replace(
        &mut settings.component_appsecret,
        changes.component_appsecret,
    );
    replace(
        &mut settings.component_token_daily_quota,
        changes.component_token_daily_quota,
    );
    replace(&mut state.ticket_pushes, changes.ticket_pushes);
    replace(&mut state.callback_ips, changes.callback_ips);
}

fn replace<T>(value: &mut T, change: Option<T>) {
    if let Some(change) = change {
        *value = change;
    }
}
