//! What `local` has around its routes and no API Gateway has.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, HeaderName, Request, Response, StatusCode, Version, header};
use axum::middleware::{Next, from_fn};
use url::{Host, Url};

use super::{CALLBACK_PATH, MAX_BODY_BYTES, unknown};

/// Keeps these routes for processes on this machine that speak to this very port. The proxy that
/// brings WeChat and merchants is such a process too: it is known by what it adds, and by the host,
/// which it passes on.
pub fn for_this_machine(routes: Router) -> Router {
    routes.route_layer(from_fn(
        async |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request<Body>, next: Next| {
            // Proxies speak the old version unless they are told otherwise, and a program does not.
            let is_old = request.version() < Version::HTTP_11;
            let is_near = peer.ip().to_canonical().is_loopback() && !is_old;
            if is_near && names_this_machine(request.headers()) {
                Ok(next.run(request).await)
            } else {
                let path = request.uri().path();
                tracing::warn!(path, "refused: this is for processes on this machine, and the request comes from another one or through a proxy");
                Err(unknown().await)
            }
        },
    ))
}

/// Headers by which a proxy says for whom it speaks; that they end so counts.
const OF_PROXIES: [&str; 6] = [
    "forwarded",
    "via",
    "-forwarded-for",
    "-forwarded-host",
    "-forwarded-proto",
    "-ip",
];

fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let url = host.and_then(|host| Url::parse(&format!("http://{host}")).ok());
    let here = match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let of_proxy = |name: &HeaderName| OF_PROXIES.iter().any(|end| name.as_str().ends_with(end));
    here && !headers.keys().any(of_proxy)
}

/// Lets a browser on another machine keep the cookie of an attempt. It takes no cookie with `Secure`,
/// and none whose name begins with `__Host-`, from a plain-http address but that of its own machine.
pub fn over_plain_http(routes: Router) -> Router {
    routes.layer(from_fn(async |mut request: Request<Body>, next: Next| {
        let headers = request.headers_mut();
        let is_plain = !names_this_machine(headers) && !headers.contains_key("x-forwarded-proto");
        if !is_plain {
            return next.run(request).await;
        }
        rewrite(headers, &header::COOKIE, |cookie| {
            cookie.replace(PLAIN, SECURE)
        });
        let mut response = next.run(request).await;
        rewrite(response.headers_mut(), &header::SET_COOKIE, |cookie| {
            cookie.replace(SECURE, PLAIN).replace("; Secure", "")
        });
        response
    }))
}

fn rewrite(headers: &mut HeaderMap, name: &HeaderName, change: fn(&str) -> String) {
    let text = headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(changed) = text.and_then(|text| change(text).parse().ok()) {
        headers.insert(name, changed);
    }
}

/// How the cookies of merchants' pages begin, and what stands for it where no cookie is secure.
const SECURE: &str = "__Host-";
const PLAIN: &str = "plain-http-";

/// Tells on the page of an account that was connected how to ask for its token at `app_url`.
pub fn with_a_hint(routes: Router, app_url: String) -> Router {
    routes.layer(from_fn(move |request: Request<Body>, next: Next| {
        let app_url = app_url.clone();
        async move {
            let is_result = request.uri().path() == CALLBACK_PATH;
            let response = next.run(request).await;
            if !is_result || response.status() != StatusCode::OK {
                return Ok(response);
            }
            let (mut parts, body) = response.into_parts();
            let page = to_bytes(body, MAX_BODY_BYTES).await;
            let page = page.map_err(|_torn| StatusCode::INTERNAL_SERVER_ERROR)?;
            let page = String::from_utf8_lossy(&page);
            let hinted = hinted(&page, &app_url).unwrap_or_else(|| page.into_owned());
            parts.headers.remove(header::CONTENT_LENGTH);
            Ok::<_, StatusCode>(Response::from_parts(parts, Body::from(hinted)))
        }
    }))
}

/// The page with a command for its account; `None` if it names none.
fn hinted(page: &str, app_url: &str) -> Option<String> {
    let (_, account) = page.split_once("<p class=\"account\">")?;
    let (account, _) = account.split_once("</p>")?;
    let (_, appid) = account.rsplit_once("<span>")?;
    let (appid, _) = appid.split_once("</span>")?;
    let command =
        format!("curl -s {app_url}/_local/token -d '{{\"authorizer_appid\":\"{appid}\"}}'");
    let hint = format!(
        "<p class=\"soft local\">获取该账号的令牌 · get its token<br><code>{command}</code></p>"
    );
    let (message, rest) = page.split_at_checked(page.rfind("</div>")?)?;
    Some(format!("{message}{hint}{rest}"))
}
