//! The pages that a merchant sees: the authorization page of PC and mobile, and its form.

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;
use url::{Host, Url};

use crate::simulator::{SimError, Simulator};
use crate::state::State as Wechat;
use crate::state::account::Account;
use crate::state::status::AccountStatus;

mod chat;
pub(crate) mod home;
mod html;
mod permission;

/// The `auth_type` of a PC link without one: 公众号 and 小程序. The mobile page refuses such a link.
const DEFAULT_PC_AUTH_TYPE: &str = "3";

/// The pages of `mp.weixin.qq.com` and `open.weixin.qq.com` for authorization, and the page at `/`.
pub(crate) fn routes() -> Router<Simulator> {
    Router::new()
        .route("/", get(home_page))
        // A browser asks for it with its first page.
        .route("/favicon.ico", get(StatusCode::NO_CONTENT))
        .route("/cgi-bin/componentloginpage", get(pc_page))
        .route("/wxaopen/safe/bindcomponent", get(mobile_page))
        .route("/safe/bindcomponent", get(mobile_page))
        .route("/_sim/chat", get(chat::show).post(chat::say))
        .route("/_sim/consent", post(decide))
}

/// The query of an authorization link.
///
/// Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Authorization_Process_Technical_Description.html>
#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    component_appid: String,
    #[serde(default)]
    pre_auth_code: String,
    #[serde(default)]
    redirect_uri: String,
    #[serde(default)]
    auth_type: String,
    #[serde(default)]
    biz_appid: String,
}

/// What the consent page sends.
#[derive(Deserialize)]
struct ConsentForm {
    pre_auth_code: String,
    redirect_uri: String,
    #[serde(default)]
    authorizer_appid: String,
    decision: String,
}

/// Why WeChat shows a refusal instead of the consent page.
pub(crate) enum PageError {
    ComponentAppid,
    PreAuthCode,
    AuthType,
    RedirectUri,
    BizAppid,
    AuthorizerAppid,
    /// The entry page, the redirect address and the console do not name the same host.
    Domain {
        entry: Option<String>,
        redirect: String,
    },
}

/// Where the merchant came from.
enum Entry {
    /// Host and port of the Referer.
    Pc(Option<String>),
    /// The mobile link works from anywhere in WeChat.
    Mobile,
}

impl Link {
    /// The page on a phone for the same link, at this host.
    fn scan(&self, host: &str) -> Option<html::Scan> {
        let mut url = Url::parse(&format!("http://{host}/wxaopen/safe/bindcomponent")).ok()?;
        let auth_type = match self.auth_type.as_str() {
            "" => DEFAULT_PC_AUTH_TYPE,
            given => given,
        };
        url.query_pairs_mut()
            .append_pair("action", "bindcomponent")
            .append_pair("no_scan", "1")
            .append_pair("component_appid", &self.component_appid)
            .append_pair("pre_auth_code", &self.pre_auth_code)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("auth_type", auth_type)
            .append_pair("biz_appid", &self.biz_appid);
        let is_loopback = match url.host()? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        Some(html::Scan {
            address: url.into(),
            is_loopback,
        })
    }
}

async fn home_page(State(simulator): State<Simulator>) -> Html<String> {
    let state = simulator.state();
    Html(home::home(&state.settings.component_appid))
}

async fn pc_page(
    State(simulator): State<Simulator>,
    headers: HeaderMap,
    Query(link): Query<Link>,
) -> Response {
    let referer = headers
        .get(header::REFERER)
        .and_then(|referer| Url::parse(referer.to_str().ok()?).ok());
    let entry = Entry::Pc(referer.as_ref().and_then(authority));
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let scan = host.and_then(|host| link.scan(host));
    consent_page(&simulator, &link, entry, scan.as_ref())
}

async fn mobile_page(State(simulator): State<Simulator>, Query(link): Query<Link>) -> Response {
    consent_page(&simulator, &link, Entry::Mobile, None)
}

fn consent_page(
    simulator: &Simulator,
    link: &Link,
    entry: Entry,
    scan: Option<&html::Scan>,
) -> Response {
    let now = simulator.clock().now();
    let state = simulator.state();
    let by_default = match entry {
        Entry::Pc(_) => DEFAULT_PC_AUTH_TYPE,
        Entry::Mobile => "",
    };
    let auth_type = match link.auth_type.as_str() {
        "" => by_default,
        given => given,
    };
    let page = check_link(&state, link, entry, now)
        .and_then(|()| fitting_accounts(&state, link, auth_type))
        .map_or_else(
            |error| html::refusal(&error, &link.redirect_uri),
            |accounts| {
                html::consent(&html::Consent {
                    platform: &state.settings.platform_name,
                    pre_auth_code: &link.pre_auth_code,
                    redirect_uri: &link.redirect_uri,
                    accounts: &accounts,
                    scan,
                })
            },
        );
    Html(page).into_response()
}

fn check_link(state: &Wechat, link: &Link, entry: Entry, now: u64) -> Result<(), PageError> {
    if link.component_appid != state.settings.component_appid {
        return Err(PageError::ComponentAppid);
    }
    if !state
        .component
        .pre_auth_code_is_open(now, &link.pre_auth_code)
    {
        return Err(PageError::PreAuthCode);
    }
    let redirect = redirect_address(&link.redirect_uri).and_then(|url| authority(&url));
    let redirect = redirect.ok_or(PageError::RedirectUri)?;
    let registered = state.settings.authorization_host.as_ref();
    let is_registered = registered.is_none_or(|host| is_same_host(host, &redirect));
    let entry = match entry {
        Entry::Mobile if is_registered => return Ok(()),
        Entry::Mobile => None,
        Entry::Pc(host) if is_registered && host.as_ref() == Some(&redirect) => return Ok(()),
        Entry::Pc(host) => host,
    };
    Err(PageError::Domain { entry, redirect })
}

/// The accounts that the page offers: `biz_appid` overrides `auth_type`.
fn fitting_accounts(
    state: &Wechat,
    link: &Link,
    auth_type: &str,
) -> Result<Vec<Account>, PageError> {
    let auth_type = auth_type.parse::<u8>().unwrap_or_default();
    if !matches!(auth_type, 1..=6 | 8) {
        return Err(PageError::AuthType);
    }
    let mut accounts = state
        .authorizers
        .all()
        .filter(|authorizer| authorizer.status == AccountStatus::Normal)
        .map(|authorizer| &authorizer.account);
    if link.biz_appid.is_empty() {
        let fitting = accounts.filter(|account| account.kind.fits(auth_type));
        return Ok(fitting.cloned().collect());
    }
    let account = accounts.find(|account| account.appid == link.biz_appid);
    Ok(vec![account.ok_or(PageError::BizAppid)?.clone()])
}

async fn decide(State(simulator): State<Simulator>, Form(form): Form<ConsentForm>) -> Response {
    if form.decision != "confirm" {
        return Html(html::denied(&form.redirect_uri)).into_response();
    }
    match confirm(&simulator, &form) {
        Ok(address) => (StatusCode::FOUND, [(header::LOCATION, address)]).into_response(),
        Err(error) => Html(html::refusal(&error, &form.redirect_uri)).into_response(),
    }
}

/// Makes the code and pushes the notice in the background. Returns the address of the redirect.
fn confirm(simulator: &Simulator, form: &ConsentForm) -> Result<String, PageError> {
    let mut address = redirect_address(&form.redirect_uri).ok_or(PageError::RedirectUri)?;
    let granted = simulator
        .consent_unpushed(&form.pre_auth_code, &form.authorizer_appid)
        .map_err(|error| match error {
            SimError::PreAuthCode => PageError::PreAuthCode,
            SimError::UnknownAccount | SimError::NotAuthorized | SimError::NotServed => {
                PageError::AuthorizerAppid
            }
        })?;
    let code: String = byte_serialize(granted.auth_code.as_bytes()).collect();
    let added = format!("auth_code={code}&expires_in={}", granted.expires_in);
    let query = match address.query() {
        None | Some("") => added,
        Some(own) => format!("{own}&{added}"),
    };
    address.set_query(Some(&query));
    if simulator.notice_is_pushed(&form.authorizer_appid) {
        let simulator = simulator.clone();
        tokio::spawn(async move { simulator.push_xml(&granted.notice).await });
    }
    Ok(address.into())
}

fn redirect_address(redirect_uri: &str) -> Option<Url> {
    Url::parse(redirect_uri)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// Whether two hosts are one. This machine has two names, and a person may type either.
fn is_same_host(one: &str, other: &str) -> bool {
    let on_this_machine = |host: &str| {
        let port = host.strip_prefix("localhost");
        let port = port.filter(|port| port.is_empty() || port.starts_with(':'));
        port.map_or_else(|| host.to_owned(), |port| format!("127.0.0.1{port}"))
    };
    on_this_machine(one).eq_ignore_ascii_case(&on_this_machine(other))
}

/// Host, and port if it is not the scheme's default.
fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(
        url.port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
    )
}
