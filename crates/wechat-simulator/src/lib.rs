//! A stateful, strict WeChat Open Platform for one component, to test an SDK against.
//!
//! It gives what WeChat gives: tickets, tokens, codes, notices and the authorization page. It
//! refuses what WeChat refuses, by a clock that a test can move. All its state is in memory. It
//! serves plain HTTP.
//!
//! # Layout
//!
//! - [`clock`]: Unix seconds, the only reader of the system's clock
//! - `settings`: the console's settings; `simulator`: [`Simulator`], which a test calls
//! - `server`: all routes in one router
//! - `api`: the endpoints of `api.weixin.qq.com`; `api/answer` has one function for each
//! - `pages`: the authorization page of PC and mobile, and the merchant's decision
//! - `push`: seals and delivers tickets, notices and messages; `control`: the calls below
//! - `state`: all rules, without I/O; `fault`: ordered failures; `mint`: random values
//! - `cipher`: seals and opens pushes; `endpoint`: paths and names; `errcode`: WeChat's error codes
//!
//! # WeChat's side
//!
//! Under `/cgi-bin/component/`: `api_start_push_ticket`, `api_component_token`,
//! `api_create_preauthcode`, `api_query_auth`, `api_authorizer_token`, `api_get_authorizer_info`,
//! `api_get_authorizer_list`, `api_get_authorizer_option`, `api_set_authorizer_option`,
//! `get_authorizer_option`, `set_authorizer_option`, `clear_quota`, `clear_quota/v2`. Also
//! `/cgi-bin/clear_quota`, `/cgi-bin/openapi/quota/get`, `/cgi-bin/getcallbackip`, and
//! `/cgi-bin/message/custom/send` as a business call, which needs a good authorizer access token.
//! Any other path is refused with 40066 and HTTP 200.
//!
//! Pages: `/`, which lists all pages and calls, `/_sim/chat`, on which a person writes to an account
//! as its customer and sees what comes back, `/cgi-bin/componentloginpage`,
//! `/wxaopen/safe/bindcomponent`, `/safe/bindcomponent`. A refusal has HTTP 200 and an attribute
//! `data-error`. A PC link without `auth_type` means 3; the mobile pages refuse it.
//!
//! If WeChat's behaviour is not documented, the simulator takes the strict one. So a new
//! authorization ends the tokens and codes of the earlier one at once, with or without a revocation
//! in between.
//!
//! A confirmation of the same permission sets as before ends them too, and pushes nothing: its code
//! comes by the redirect only.
//!
//! # What vendors have seen
//!
//! - WeChat refuses the very refresh token that info names: `{"endpoint": "api_authorizer_token",
//!   "authorizer_appid": .., "errcode": 61023, "lasts_secs": 3600}` to `/_sim/faults`
//! - info refuses for one account: `{"endpoint": "api_get_authorizer_info", "authorizer_appid": ..,
//!   "errcode": 48001, "lasts_secs": 3600}`, or answers garbage: `"body": "null"` in place of the
//!   errcode
//! - an `errcode` is a string: `{"endpoint": .., "errcode": "61003"}`
//! - `func_info` is null: `{"endpoint": "api_query_auth", "set": {"/authorization_info/func_info":
//!   null}}`
//! - `authorizer_info` is missing: `{"endpoint": "api_get_authorizer_info", "remove":
//!   ["/authorizer_info"]}`
//! - a name is no valid JSON: `{"endpoint": "api_get_authorizer_info", "raw":
//!   {"/authorizer_info/nick_name": "\"\\ud83d\""}}`
//! - the list has an odd entry: `{"endpoint": "api_get_authorizer_list", "set": {"/list/-": null}}`
//! - an account is frozen without a push: `{"authorizer_appid": .., "status": "frozen"}` to
//!   `/_sim/status`
//! - a trial mini program authorizes without a code:
//!   `<xml>..<InfoType>authorized</InfoType>..</xml>` to `/_sim/push`
//!
//! # Control API
//!
//! JSON in and out. A refused call is answered with 400, 404 or 405 and `{"error": ".."}`. `?`
//! marks an optional field. Any content type is accepted, so plain `curl -d` works:
//!
//! ```text
//! curl localhost:8081/_sim/calls
//! curl localhost:8081/_sim/faults -d '{"endpoint": "api_query_auth", "answer_lost": true}'
//! curl localhost:8081/_sim/push -d '{"info_type": "component_verify_ticket", "times": 2}'
//! curl localhost:8081/_sim/clock -d '{"advance_secs": 7200}'
//! ```
//!
//! - `GET /_sim/calls` answers `{"api_component_token": 1, ..}`: the calls by the last segment of
//!   their path (`clear_quota` for its version 2 too, `quota/get`). Failed calls count, and unknown
//!   paths under `/cgi-bin/`. Pages and other unknown paths do not. `POST /_sim/calls/reset` starts
//!   from zero.
//! - `POST /_sim/faults` spoils the next calls to an endpoint, or to any (`"*"`). One of
//!   `{"endpoint": "api_query_auth", "errcode": -1}` (refused; `"61003"` gives a string), `{..,
//!   "http_status": 500}` (an empty answer with this status), `{.., "body": "garbage"}` (HTTP 200
//!   with this body), `{.., "reset": true}` (the connection closes and nothing has happened), `{..,
//!   "answer_lost": true}` (the call takes effect, then the connection closes), `{.., "set"?:
//!   {"/authorization_info/func_info": null}, "remove"?: ["/expires_in"], "raw"?:
//!   {"/authorizer_info/nick_name": "\"\\ud83d\""}, "raw_base64"?: {"/list": "/w=="}}` (the call
//!   takes effect; its answer is patched by JSON pointer, see [`AnswerPatch`]), `{.., "delay_ms":
//!   6000}` (real time; alone, or before any of the others), `{.., "answer_delay_ms": 6000}` (real
//!   time between effect and answer). `times`? is the number of spoiled calls, 1 by default. With
//!   `lasts_secs`? the fault ends by the simulator's clock, and spoils any number of calls by
//!   default. With `authorizer_appid`? it spoils only calls that name this account. If the caller
//!   hangs up meanwhile, the effect stays. A fault that could never spoil a call is refused. `GET`
//!   lists the remaining faults in the same form, `DELETE` drops them all.
//! - `POST /_sim/push` pushes to the event URL. It answers `{"attempts": [{"status": 200,
//!   "body_is_success": true}], "delivered": true}`. `{"info_type": ..}` is
//!   `component_verify_ticket` (`ticket`?, by default a new one), `authorized`, `updateauthorized`
//!   (`authorization_code`?, `pre_auth_code`?) or `unauthorized`, with `authorizer_appid`? (by
//!   default the first demo account) and `create_time`? (by default now). Without a code, the
//!   account authorizes anew; if `create_time` is before its authorization, the notice carries a
//!   spent code. `unauthorized` only pushes the notice; it revokes nothing. `{"xml":
//!   "<xml>..</xml>"}` pushes any text, sealed right: other types, events with `MsgType`, odd
//!   shapes, no XML at all. `{"xml_base64": ".."}` pushes any bytes. A body that starts with `<` is
//!   itself the text. `times`? pushes the same text again, each time sealed anew.
//! - `POST /_sim/message` `{"authorizer_appid": .., "text": .., "openid"?: ..}` or
//!   `{"authorizer_appid": .., "xml": ..}` pushes to the message URL. It answers the attempts, and
//!   `reply`, the decrypted passive reply.
//! - `POST /_sim/release-check` `{"group"?: 0}` plays WeChat's release check (全网发布检测) with the
//!   accounts of one of its five groups, in its real timing, and answers its report: `{"lines":
//!   [{"kind": .., "name": "组件ticket正确接收", "failure": null}]}`.
//! - `GET /_sim/messages` lists what `message/custom/send` has sent.
//! - `POST /_sim/authorize` `{"authorizer_appid": .., "pre_auth_code"?: .., "permission_sets"?: [1,
//!   2], "push"?: false}` confirms as the merchant does. It answers `{"auth_code": ..,
//!   "expires_in": 3600, "push": {..}}`, with `push` if the notice was pushed: if the account
//!   granted the same permission sets before, WeChat pushes nothing.
//! - `POST /_sim/revoke` `{"authorizer_appid": .., "push"?: false}` revokes; answers the attempts.
//! - `POST /_sim/accounts` `{"appid": .., "name": .., "kind": "official_account" | "mini_program",
//!   "permission_sets"?: [1]}` adds an account, or renames it. It grants these permission sets with
//!   the next confirmation.
//! - `POST /_sim/status` `{"authorizer_appid": .., "status": "frozen"}` changes whether WeChat
//!   serves the account: `normal`, `frozen` (50002), `deregistered` (40013 and not listed),
//!   `migrated` (50002 and not listed).
//! - `POST /_sim/clock` `{"advance_secs": 3600}`, `{"now": 1700000000}` or `{}` answers `{"now":
//!   ..}`, as `GET` does.
//! - `POST /_sim/settings` changes the named settings: `allowed_ips` (`null` for any),
//!   `events_url`, `messages_url`, `authorization_host`, `rotate_refresh_tokens`, `token`,
//!   `encoding_aes_key`, `component_appsecret`, `component_token_daily_quota`, `ticket_pushes`,
//!   `callback_ips`.
//! - `GET /_sim/state` shows accounts, settings and the latest pushes, without secrets.

// For tests.
pub mod clock;
mod settings;
mod simulator;

// What is served.
mod api;
mod control;
mod pages;
mod push;
mod server;

// What both use.
mod cipher;
mod endpoint;
mod errcode;
mod fault;
mod mint;
mod state;

#[cfg(test)]
mod tests;

pub use clock::SimClock;
pub use fault::{AnswerPatch, Fault, FaultEffect, FaultError};
pub use push::{Attempt, MessageOutcome, PushOutcome, SealedPush};
pub use settings::Settings;
pub use simulator::{AuthorizerView, Consent, ReleaseLine, SimError, Simulator, UnpushedConsent};
pub use state::SentMessage;
pub use state::account::{AccountKind, DEMO_APPIDS};
pub use state::authorization::Remembered;
pub use state::status::AccountStatus;
