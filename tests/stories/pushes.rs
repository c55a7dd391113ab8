//! Which pushes the auth-event URL takes, and which it refuses.

use component_api::id::ComponentAppId;
use component_core::push::cipher::{self, AesKey};
use component_core::push::signature;
use http::header;
use local::functions::Functions;
use wechat_simulator::{SealedPush, Settings};

use crate::world::{BEGINNING, World};

mod kept;
mod malformed;
mod order;
mod published;
mod rotation;
mod sealed;
mod time;
mod trouble;
mod unsigned;

const SUCCESS: &str = "success";

/// The answer to every push that is refused.
const REFUSED: &str = "this push is not accepted";

const NOT_STORED: &str = "this push could not be stored, send it again";

const NONCE: &str = "987654321";

/// Another component's id.
const FOREIGN: &str = "wxfedcba9876543210";

/// The ticket receiver's answer.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    content_type: String,
    body: String,
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        content_type: "text/plain".to_owned(),
        body: body.to_owned(),
    }
}

async fn post(functions: &Functions, query: &str, body: impl Into<Vec<u8>>) -> Answer {
    let request = http::Request::post(format!("/wechat/events?{query}"));
    let request = request.body(body.into()).unwrap();
    let response = functions.ticket_receiver.handle(request).await;
    let content_type = &response.headers()[header::CONTENT_TYPE];
    Answer {
        status: response.status().as_u16(),
        content_type: content_type.to_str().unwrap().to_owned(),
        body: response.into_body(),
    }
}

async fn check_accepted(world: &World, what: &str, query: &str, body: impl Into<Vec<u8>>) {
    let answered = post(&world.functions, query, body).await;
    assert_eq!(answered, answer(200, SUCCESS), "{what}");
}

/// Asserts that a push is refused with this status, and that the table is unchanged.
async fn check_refused(
    world: &World,
    what: &str,
    query: &str,
    body: impl Into<Vec<u8>>,
    status: u16,
) {
    let before = world.rows().await;
    let answered = post(&world.functions, query, body).await;
    assert_eq!(answered, answer(status, REFUSED), "{what}");
    assert_eq!(world.rows().await, before, "{what}");
}

/// The plain text of a ticket push for the example's component.
fn ticket(value: &str, create_time: u64) -> String {
    let component = Settings::example().component_appid;
    format!(
        "<xml><AppId><![CDATA[{component}]]></AppId><CreateTime>{create_time}</CreateTime>\
         <InfoType><![CDATA[component_verify_ticket]]></InfoType>\
         <ComponentVerifyTicket><![CDATA[{value}]]></ComponentVerifyTicket></xml>"
    )
}

/// Encrypts any plain text for any component, under the example's key.
fn encrypt(plain: &[u8], component: &str) -> String {
    encrypt_under(&Settings::example(), plain, component)
}

fn encrypt_under(settings: &Settings, plain: &[u8], component: &str) -> String {
    let key = AesKey::parse(&settings.encoding_aes_key).unwrap();
    let component = ComponentAppId::parse(component).unwrap();
    cipher::encrypt(&key, b"0123456789abcdef", plain, &component)
}

fn envelope(encrypt: &str) -> String {
    let component = Settings::example().component_appid;
    format!(
        "<xml>\n    <AppId><![CDATA[{component}]]></AppId>\n    <Encrypt><![CDATA[{encrypt}]]></Encrypt>\n</xml>\n"
    )
}

/// The query that signs `encrypt` with the example's token.
fn query(timestamp: &str, nonce: &str, encrypt: &str) -> String {
    query_under(&Settings::example(), timestamp, nonce, encrypt)
}

fn query_under(settings: &Settings, timestamp: &str, nonce: &str, encrypt: &str) -> String {
    let proof = signature::sign(&settings.token, timestamp, nonce, encrypt);
    let proof = String::from_utf8(proof.to_vec()).unwrap();
    format!("timestamp={timestamp}&nonce={nonce}&encrypt_type=aes&msg_signature={proof}")
}

/// A query with a valid signature and the time at which a world begins.
fn signed(encrypt: &str) -> String {
    query(&BEGINNING.to_string(), NONCE, encrypt)
}

/// A push as WeChat seals it under these keys of the console.
fn seal_under(settings: &Settings, plain: &str, now: u64) -> SealedPush {
    let encrypt = encrypt_under(settings, plain.as_bytes(), &settings.component_appid);
    SealedPush {
        query: query_under(settings, &now.to_string(), NONCE, &encrypt),
        body: envelope(&encrypt),
    }
}

/// The value of a parameter of a query.
fn value<'a>(query: &'a str, name: &str) -> &'a str {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).unwrap().1
}

/// The stored ticket, and its time.
async fn stored_ticket(world: &World) -> Option<(String, u64)> {
    let row = world.row("component#ticket").await?;
    Some((
        crate::world::rows::text(&row, "ticket"),
        crate::world::rows::number(&row, "create_time"),
    ))
}
