//! Under which address the browser has reached us, and whether a post comes from one of our pages.

use http::{HeaderMap, HeaderValue, Request, header};
use merchant_pages::START_PATH;
use url::Url;

/// What comes before our routes in the browser's address: the origin, and the base path of a custom
/// domain's mapping or the segment of a stage. WeChat compares its host with the Referer's and with
/// the one in its console.
pub(crate) fn our_base(request: &Request<Vec<u8>>) -> Option<String> {
    let base_path = request.uri().path().strip_suffix(START_PATH);
    let base_path = base_path.filter(|path| is_base_path(path));
    Some(our_origin(request.headers())? + base_path.unwrap_or_default())
}

/// Whether a post comes from a page of another site.
///
/// What the browser says itself counts first: behind a proxy our origin may have another name. Some
/// in-app browsers say nothing, or do not name the origin of our own page (`null`).
pub(crate) fn is_foreign(request: &Request<Vec<u8>>) -> bool {
    let headers = request.headers();
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(b"same-origin" | b"none") => false,
        Some(_) => true,
        None => headers.get_all(header::ORIGIN).iter().any(|origin| {
            let ours = our_origin(headers);
            origin != "null" && ours.is_none_or(|ours| origin != ours.as_str())
        }),
    }
}

fn our_origin(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // A chain of proxies tells the browser's own protocol first.
    let proto = text(header::HeaderName::from_static("x-forwarded-proto"));
    let proto = proto.and_then(|chain| chain.split(',').next());
    let proto = match proto.map(str::trim) {
        Some("http") => "http",
        _ => "https",
    };
    let origin = Url::parse(&format!("{proto}://{}", text(header::HOST)?)).ok()?;
    let bare = origin.path() == "/" && origin.query().is_none() && origin.username().is_empty();
    bare.then(|| origin.origin().ascii_serialization())
}

/// Whether API Gateway would have such a base path: no segment is empty or leads elsewhere.
///
/// Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html>
fn is_base_path(path: &str) -> bool {
    let mut segments = path.split('/');
    let allowed = |c: char| c.is_ascii_alphanumeric() || "$-_.+!*'()".contains(c);
    segments.next() == Some("")
        && segments
            .all(|segment| !["", ".", ".."].contains(&segment) && segment.chars().all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, headers: &[(&'static str, &str)]) -> Request<Vec<u8>> {
        let mut request = Request::new(Vec::new());
        *request.uri_mut() = path.parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request
    }

    #[track_caller]
    fn check_base(path: &str, headers: &[(&'static str, &str)], base: Option<&str>) {
        let request = request(path, headers);
        assert_eq!(our_base(&request).as_deref(), base, "{path} {headers:?}");
    }

    #[test]
    fn the_base_is_where_the_browser_is() {
        let host = ("host", "auth.vendor.example");
        check_base("/auth/start", &[host], Some("https://auth.vendor.example"));
        for (path, base) in [
            ("/pay/auth/start", "/pay"),
            ("/prod/auth/start?a=b", "/prod"),
            ("/a/b-1_$.+!*'()/auth/start", "/a/b-1_$.+!*'()"),
            ("/auth/start/auth/start", "/auth/start"),
        ] {
            let base = format!("https://auth.vendor.example{base}");
            check_base(path, &[host], Some(&base));
        }
        for elsewhere in [
            "/",
            "/auth/start/",
            "/pay/AUTH/START",
            "//evil.example/auth/start",
            "/pay//auth/start",
            "/../auth/start",
            "/./auth/start",
            "/a%2Fb/auth/start",
            "/%22%3E/auth/start",
            "/a:b@c/auth/start",
        ] {
            check_base(elsewhere, &[host], Some("https://auth.vendor.example"));
        }
    }

    #[test]
    fn the_origin_is_the_one_the_browser_knows() {
        let check = |host: &str, proto: &str, base: Option<&str>| {
            let headers = [("host", host), ("x-forwarded-proto", proto)];
            check_base("/auth/start", &headers, base);
        };
        check("Shop.example:443", "https", Some("https://shop.example"));
        check("shop.example:80", "http", Some("http://shop.example"));
        check("127.0.0.1:8080", "http", Some("http://127.0.0.1:8080"));
        check("shop.example", "http, https", Some("http://shop.example"));
        check("shop.example", "https,http", Some("https://shop.example"));
        check("shop.example", "ftp", Some("https://shop.example"));
        for wrong in [
            "",
            "a b",
            "shop.example/a",
            "user@shop.example",
            "shop.example?a",
            "<",
            "[",
            "a:99999",
        ] {
            check(wrong, "https", None);
        }
        check_base("/auth/start", &[], None);
    }

    #[track_caller]
    fn check_foreign(headers: &[(&'static str, &str)], foreign: bool) {
        let mut all = vec![("host", "auth.vendor.example")];
        all.extend(headers);
        assert_eq!(
            is_foreign(&request("/auth/start", &all)),
            foreign,
            "{headers:?}"
        );
    }

    #[test]
    fn a_post_is_foreign_if_the_browser_says_so() {
        let (site, origin) = ("sec-fetch-site", "origin");
        let ours = (origin, "https://auth.vendor.example");
        let theirs = (origin, "https://evil.example");
        check_foreign(&[], false);
        check_foreign(&[ours], false);
        check_foreign(&[(origin, "null")], false);
        check_foreign(&[(site, "same-origin"), ours], false);
        check_foreign(&[(site, "none")], false);
        // A proxy in front of us has another name.
        check_foreign(&[(site, "same-origin"), theirs], false);
        check_foreign(&[(site, "cross-site")], true);
        check_foreign(&[(site, "cross-site"), (origin, "null")], true);
        check_foreign(
            &[(site, "same-site"), (origin, "https://vendor.example")],
            true,
        );
        check_foreign(&[(site, "same-origin, cross-site")], true);
        check_foreign(&[(site, "")], true);
        check_foreign(&[theirs], true);
        check_foreign(&[ours, theirs], true);
        check_foreign(&[(origin, "")], true);
        check_foreign(&[(origin, "http://auth.vendor.example")], true);
        check_foreign(&[(origin, "https://auth.vendor.example:8443")], true);
        check_foreign(
            &[(origin, "https://auth.vendor.example.evil.example")],
            true,
        );
    }
}
