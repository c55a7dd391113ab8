//! The event of an API Gateway HTTP API (payload format 2.0) as a request, and a response as its
//! answer.
//!
//! Both are total: no byte that a client can send may end the process, which would also end for the
//! next client.
//!
//! Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value, json};

/// An event that is no request: what it lacks, or has wrong.
#[derive(Debug)]
pub struct NoRequest(&'static str);

/// What ends a query, or cannot be in one.
const NOT_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

const NOT_IN_PATH: &AsciiSet = &NOT_IN_QUERY.add(b'?').add(b'`').add(b'{').add(b'}');

const UNREADABLE: &str = "this request cannot be read";

/// The request that an event tells of.
///
/// The path is the one that the browser sees: the base path of a custom domain's mapping, or the
/// segment of a stage, comes before the route. A query is kept byte by byte, since signatures are
/// made over it; only what an address cannot hold is percent-encoded.
///
/// # Errors
/// [`NoRequest`] if the event is not one of an HTTP API, or its body is not what it says.
pub fn request(mut event: Value) -> Result<Request<Vec<u8>>, NoRequest> {
    let method = text(&event, "/requestContext/http/method")?
        .and_then(|method| Method::from_bytes(method.as_bytes()).ok())
        .ok_or(NoRequest("it has no method"))?;
    let uri = uri(&event)?;
    let headers = headers(&event)?;
    let encoded = match event.get("isBase64Encoded") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(encoded)) => *encoded,
        Some(_) => return Err(NoRequest("isBase64Encoded is neither true nor false")),
    };
    let body = match event.get_mut("body").map(Value::take) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(body)) if encoded => STANDARD
            .decode(body)
            .map_err(|_garbage| NoRequest("its body is not base64"))?,
        Some(Value::String(body)) => body.into_bytes(),
        Some(_) => return Err(NoRequest("its body is no text")),
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The answer of a function whose response this is. What is no text travels in base64.
pub fn response<B: Into<Vec<u8>>>(response: Response<B>) -> Value {
    let (parts, body) = response.into_parts();
    let texts = |name: &HeaderName| -> Vec<&str> {
        let values = parts.headers.get_all(name).into_iter();
        values.filter_map(|value| value.to_str().ok()).collect()
    };
    let names = parts.headers.keys().filter(|name| *name != SET_COOKIE);
    let headers: Map<String, Value> = names
        .map(|name| (name.to_string(), texts(name).join(", ").into()))
        .collect();
    let (body, encoded) = match String::from_utf8(body.into()) {
        Ok(text) => (text, false),
        Err(bytes) => (STANDARD.encode(bytes.as_bytes()), true),
    };
    json!({
        "statusCode": parts.status.as_u16(),
        "headers": headers,
        "cookies": texts(&SET_COOKIE),
        "body": body,
        "isBase64Encoded": encoded,
    })
}

impl NoRequest {
    /// Logs it, and answers 400.
    pub fn answer(&self) -> Response<String> {
        tracing::warn!("an event is no request: {}", self.0);
        let mut response = Response::new(UNREADABLE.to_owned());
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let plain = HeaderValue::from_static("text/plain");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        response
    }
}

fn text<'a>(event: &'a Value, pointer: &str) -> Result<Option<&'a str>, NoRequest> {
    match event.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(NoRequest("a field that should be a text is none")),
    }
}

fn uri(event: &Value) -> Result<Uri, NoRequest> {
    let path = match text(event, "/rawPath")? {
        None => text(event, "/requestContext/http/path")?,
        path => path,
    };
    let path = path.filter(|path| path.starts_with('/'));
    let path = path.ok_or(NoRequest("it has no path"))?;
    let mut address = utf8_percent_encode(path, NOT_IN_PATH).to_string();
    let query = text(event, "/rawQueryString")?.unwrap_or_default();
    if !query.is_empty() {
        address.push('?');
        address.extend(utf8_percent_encode(query, NOT_IN_QUERY));
    }
    Uri::try_from(address).map_err(|_too_long| NoRequest("its address is too long"))
}

/// A header whose name or value HTTP does not allow is left out. A value that is not ASCII stays,
/// as bytes that are no text: some phones have such names, and tell them in `User-Agent`.
fn headers(event: &Value) -> Result<HeaderMap, NoRequest> {
    const WRONG: NoRequest = NoRequest("a header is no text");
    const TOO_MANY: NoRequest = NoRequest("it has too many headers");
    let mut headers = HeaderMap::new();
    let mut append = |name: HeaderName, value: &Value| match value {
        Value::Null => Ok(()),
        Value::String(text) => match HeaderValue::from_bytes(text.as_bytes()) {
            Ok(value) => headers
                .try_append(name, value)
                .map(drop)
                .map_err(|_| TOO_MANY),
            Err(_not_allowed) => Ok(()),
        },
        _ => Err(WRONG),
    };
    // API Gateway tells the cookies apart, so that one that is not ASCII does not spoil the others.
    let cookies = match event.get("cookies") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(cookies)) => cookies.as_slice(),
        Some(_) => return Err(WRONG),
    };
    for cookie in cookies {
        append(COOKIE, cookie)?;
    }
    match event.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(given)) => {
            for (name, value) in given {
                match HeaderName::from_bytes(name.as_bytes()) {
                    Ok(name) if name == COOKIE && !cookies.is_empty() => {}
                    Ok(name) => append(name, value)?,
                    Err(_not_allowed) => {}
                }
            }
        }
        Some(_) => return Err(WRONG),
    }
    if !headers.contains_key(HOST)
        && let Some(domain) = text(event, "/requestContext/domainName")?
        && let Ok(host) = HeaderValue::from_str(domain)
    {
        headers.insert(HOST, host);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests;
