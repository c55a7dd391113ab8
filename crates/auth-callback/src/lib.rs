//! WeChat's redirect -> state -> exchange the code -> result page.

use component_core::authorizer::{Authorizer, Standing};
use component_core::browser::Browser;
use component_core::error::Error;
use component_core::exchange::{Bringer, Exchanged};
use component_core::page::{self, Language, Page};
use component_core::renew::Tokens;
use component_core::store::{Start, StartRefused};
use component_core::time::Deadline;
use component_core::token::{AuthorizationCode, Secret};
use lambda_http::http::StatusCode;
use lambda_http::{Request, Response};
use url::{Url, form_urlencoded};

/// Takes merchants back from WeChat's page.
pub struct AuthCallback {
    /// The table and WeChat.
    pub tokens: Tokens,
}

/// What the redirect's query says.
struct Return {
    state: String,
    code: Secret<AuthorizationCode>,
}

/// How a merchant's way ended, if not well.
enum Failure {
    /// The redirect is not one of WeChat's.
    Malformed,
    /// The browser carries no cookie.
    NoCookie,
    /// The state is not good.
    Refused(StartRefused),
    /// The code was spent, or a newer revocation stands.
    NotConfirmed,
    /// Something did not work; it may the next time.
    Error(Error),
}

impl AuthCallback {
    /// Answers a browser that WeChat sent back.
    pub async fn handle(&self, request: Request, deadline: Deadline) -> Response<String> {
        let language = Language::of(request.headers());
        match self.connect(&request, deadline).await {
            Ok((row, start)) => {
                tracing::info!(authorizer_appid = %row.appid, "a merchant has authorized");
                connected(language, &row, &start)
            }
            Err(failure) => failed(language, &failure),
        }
    }

    async fn connect(
        &self,
        request: &Request,
        deadline: Deadline,
    ) -> Result<(Authorizer, Start), Failure> {
        let query = request.uri().query().unwrap_or_default();
        let back = Return::parse(query).ok_or(Failure::Malformed)?;
        let browser = Browser::of(request.headers()).ok_or(Failure::NoCookie)?;
        let store = &self.tokens.store;
        let now = self.tokens.clock.now();
        let start = store
            .take_start(&back.state, &browser.sha256(), now)
            .await
            .map_err(Failure::Error)?
            .map_err(Failure::Refused)?;
        let bringer = Bringer::Redirect {
            since: start.started_at,
            reference: start.reference.as_deref(),
        };
        match self.tokens.exchange(&back.code, bringer, deadline).await {
            Ok(Exchanged::Stored(row)) => Ok((*row, start)),
            Ok(Exchanged::Superseded(_)) | Err(Error::CodeSpent) => Err(Failure::NotConfirmed),
            Err(error) => {
                // The code is still good, so the page may be loaded again.
                if let Err(error) = store.give_back_start(&back.state).await {
                    error.log("giving an authorization attempt back");
                }
                Err(Failure::Error(error))
            }
        }
    }
}

impl Return {
    fn parse(query: &str) -> Option<Self> {
        let value = |name: &str| {
            let mut values =
                form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
            let (_, value) = values.next()?;
            values.next().is_none().then(|| value.into_owned())
        };
        let state = value("state")?;
        let ours = state.len() == 32 && state.bytes().all(|b| b.is_ascii_hexdigit());
        Some(Self {
            state: ours.then_some(state)?,
            code: Secret::parse(&value("auth_code")?)?,
        })
    }
}

fn connected(language: Language, row: &Authorizer, start: &Start) -> Response<String> {
    let result = match row.standing {
        Standing::ReauthorizationRequired => "reauthorization_required",
        Standing::Authorized | Standing::Revoked => "connected",
    };
    if let Some(mut url) = start
        .return_to
        .as_deref()
        .and_then(|url| Url::parse(url).ok())
    {
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair("authorizer_appid", row.appid.as_str());
        if let Some(reference) = &start.reference {
            pairs.append_pair("reference", reference);
        }
        pairs.append_pair("result", result);
        drop(pairs);
        return page::see_other(url.as_str());
    }
    let account = row.name.as_deref().unwrap_or_default();
    let account = format!("{account} {}", row.appid);
    if row.standing == Standing::ReauthorizationRequired {
        return Page {
            language,
            title: language.of_two("授权未完成", "Not connected yet"),
            paragraphs: &[
                account.trim(),
                language.of_two(
                    "微信没有为该账号开放接口权限。请先在微信公众平台取消授权，然后重新授权。",
                    "WeChat granted no API permission for this account. Withdraw the authorization on WeChat's platform and authorize again.",
                ),
            ],
            button: None,
            form_origins: &[],
        }
        .response(StatusCode::OK);
    }
    Page {
        language,
        title: language.of_two("授权成功", "Connected"),
        paragraphs: &[
            account.trim(),
            language.of_two("您可以关闭此页面。", "You may close this page."),
        ],
        button: None,
        form_origins: &[],
    }
    .response(StatusCode::OK)
}

fn failed(language: Language, failure: &Failure) -> Response<String> {
    let status = match failure {
        Failure::Error(error) => {
            error.log("finishing an authorization");
            StatusCode::SERVICE_UNAVAILABLE
        }
        Failure::Malformed | Failure::NoCookie | Failure::Refused(_) | Failure::NotConfirmed => {
            StatusCode::BAD_REQUEST
        }
    };
    let (title, what_to_do) = failure.text(language);
    Page {
        language,
        title,
        paragraphs: &[what_to_do],
        button: None,
        form_origins: &[],
    }
    .response(status)
}

impl Failure {
    /// What went wrong, and what the merchant can do.
    fn text(&self, language: Language) -> (&'static str, &'static str) {
        let (titles, texts) = match self {
            Self::Malformed => (
                ("授权未完成", "Not connected"),
                (
                    "此页面只能由微信授权页跳转打开，请从授权链接重新开始。",
                    "This page opens only from WeChat's authorization page. Start again from your authorization link.",
                ),
            ),
            Self::NoCookie | Self::Refused(StartRefused::Foreign) => (
                ("请使用同一浏览器", "Use the same browser"),
                (
                    "授权必须在同一浏览器中开始和完成，并允许使用 Cookie。请从授权链接重新开始。",
                    "An authorization must begin and end in the same browser, with cookies allowed. Start again from your authorization link.",
                ),
            ),
            Self::Refused(StartRefused::Used) => (
                ("此页面已使用过", "This page was used before"),
                (
                    "如果之前已显示授权成功，则无需再操作；否则请从授权链接重新开始。",
                    "If it said before that your account is connected, there is nothing left to do. If not, start again from your authorization link.",
                ),
            ),
            Self::Refused(StartRefused::Expired) => (
                ("授权页面已过期", "This page has expired"),
                (
                    "请从授权链接重新开始。",
                    "Start again from your authorization link.",
                ),
            ),
            Self::NotConfirmed => (
                ("微信尚未确认授权", "WeChat has not confirmed yet"),
                (
                    "请一分钟后向服务商确认账号是否已连接；如果没有，请从授权链接重新开始。",
                    "Ask in a minute whether your account is connected. If it is not, start again from your authorization link.",
                ),
            ),
            Self::Error(_) => (
                ("暂时无法完成授权", "This does not work at the moment"),
                ("请稍后刷新此页面。", "Load this page again in a while."),
            ),
        };
        (
            language.of_two(titles.0, titles.1),
            language.of_two(texts.0, texts.1),
        )
    }
}
