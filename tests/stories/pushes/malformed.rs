//! Signed pushes that cannot be opened get 400. With a wrong signature they are not read, and get
//! 403.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wechat_simulator::Settings;

use super::{
    FOREIGN, check_accepted, check_refused, encrypt, envelope, signed, stored_ticket, ticket,
};
use crate::world::{BEGINNING, World};

/// A body, and the cipher text that its signature covers.
struct Malformed {
    what: &'static str,
    body: Vec<u8>,
    encrypt: String,
}

fn body(what: &'static str, body: impl Into<Vec<u8>>, encrypt: &str) -> Malformed {
    Malformed {
        what,
        body: body.into(),
        encrypt: encrypt.to_owned(),
    }
}

/// A cipher text in a correct envelope.
fn inside(what: &'static str, encrypt: &str) -> Malformed {
    body(what, envelope(encrypt), encrypt)
}

/// Each push gets 400 if signed, and 403 if not; the correct push from which they were made is
/// taken.
async fn check(rows: Vec<Malformed>) {
    let world = World::with_ticket().await;
    for Malformed {
        what,
        body,
        encrypt,
    } in rows
    {
        let query = signed(&encrypt);
        check_refused(&world, what, &query, body.clone(), 400).await;
        check_refused(&world, what, &unsigned(&query), body, 403).await;
    }
    let encrypt = good();
    check_accepted(&world, "good", &signed(&encrypt), envelope(&encrypt)).await;
    let stored = stored_ticket(&world).await.unwrap();
    assert_eq!(stored, ("ticket@@@good".to_owned(), BEGINNING));
}

/// The same query with a wrong signature of the right form.
fn unsigned(query: &str) -> String {
    let (rest, signature) = query.rsplit_once('=').unwrap();
    let turned: String = signature.chars().rev().collect();
    format!("{rest}={turned}")
}

fn component() -> String {
    Settings::example().component_appid
}

/// The cipher text of a correct push.
fn good() -> String {
    encrypt(ticket("ticket@@@good", BEGINNING).as_bytes(), &component())
}

/// The same cipher text with some bytes changed. In CBC, each changed byte also changes the same
/// byte of the next plain-text block.
fn turned(encrypt: &str, turns: &[(usize, u8)]) -> String {
    let mut bytes = STANDARD.decode(encrypt).unwrap();
    for (index, turn) in turns {
        bytes[*index] ^= turn;
    }
    STANDARD.encode(bytes)
}

/// A cipher text with a padding of exactly 16 bytes, and its length.
fn with_pad_of_16() -> (String, usize) {
    (0..32)
        .map(|spaces| {
            let plain = ticket("ticket@@@good", BEGINNING) + &" ".repeat(spaces);
            let frame = 16 + 4 + plain.len() + component().len();
            (plain, frame)
        })
        .find(|(_, frame)| frame % 32 == 16)
        .map(|(plain, frame)| (encrypt(plain.as_bytes(), &component()), frame + 16))
        .unwrap()
}

#[tokio::test]
async fn a_body_that_is_not_xml_is_refused() {
    let encrypt = good();
    let envelope = envelope(&encrypt);
    let closed = envelope.trim_end();
    check(vec![
        body("nothing", "", ""),
        body("a word", "success", ""),
        body(
            "JSON",
            r#"{"AppId":"wx0123456789abcdef","Encrypt":"AAAA"}"#,
            "",
        ),
        body("binary", b"\x00\xff\xfe\x01".as_slice(), ""),
        body("not closed", closed.replace("</xml>", ""), &encrypt),
        body("closed twice", format!("{closed}</xml>"), &encrypt),
        body("text behind it", format!("{closed}text"), &encrypt),
        body("a second root", format!("{closed}<xml/>"), &encrypt),
        body("another root", closed.replace("xml>", "push>"), &encrypt),
        body(
            "crossed tags",
            closed.replace("</AppId>", "</appid>"),
            &encrypt,
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_body_without_encrypt_is_refused() {
    let encrypt = good();
    let element = format!("<Encrypt><![CDATA[{encrypt}]]></Encrypt>");
    let appid = format!("<AppId>{}</AppId>", component());
    check(vec![
        body("none", format!("<xml>{appid}</xml>"), ""),
        body(
            "an empty one",
            format!("<xml>{appid}<Encrypt></Encrypt></xml>"),
            "",
        ),
        body("a bare tag", format!("<xml>{appid}<Encrypt/></xml>"), ""),
        body(
            "two",
            format!("<xml>{appid}{element}{element}</xml>"),
            &encrypt,
        ),
        body(
            "one too deep",
            format!("<xml>{appid}<x>{element}</x></xml>"),
            &encrypt,
        ),
        body(
            "one in a comment",
            format!("<xml>{appid}<!--{element}--></xml>"),
            &encrypt,
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_plaintext_notice_is_refused() {
    let plain = ticket("ticket@@@plain", BEGINNING);
    let both = plain.replace("</xml>", "<Encrypt></Encrypt></xml>");
    check(vec![
        body("a ticket", plain, ""),
        body("a ticket next to an empty Encrypt", both, ""),
    ])
    .await;
}

#[tokio::test]
async fn a_doctype_is_refused_outside_and_inside() {
    let outside = good();
    let inside_it = format!("<!DOCTYPE xml>{}", ticket("ticket@@@doctype", BEGINNING));
    let external = r#"<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]>"#;
    let reading = format!("{external}{}", ticket("&x;", BEGINNING));
    check(vec![
        body(
            "outside",
            format!("<!DOCTYPE xml>{}", envelope(&outside)),
            &outside,
        ),
        body(
            "outside, external",
            format!("{external}{}", envelope(&outside)),
            &outside,
        ),
        inside("inside", &encrypt(inside_it.as_bytes(), &component())),
        inside(
            "inside, external",
            &encrypt(reading.as_bytes(), &component()),
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_entity_bomb_is_refused_outside_and_inside() {
    let entities: Vec<_> = (1..30)
        .map(|level| {
            let below = format!("&a{};", level - 1).repeat(10);
            format!(r#"<!ENTITY a{level} "{below}">"#)
        })
        .collect();
    let entities = entities.concat();
    let bomb = format!(r#"<!DOCTYPE xml [<!ENTITY a0 "ha">{entities}]>"#);
    let encrypt_good = good();
    let plain = ticket("&a29;", BEGINNING).replace("<![CDATA[&a29;]]>", "&a29;");
    let appid = envelope(&encrypt_good).replace(&component(), "&a29;");
    check(vec![
        body("outside", format!("{bomb}{appid}"), &encrypt_good),
        body(
            "outside, as Encrypt",
            format!("{bomb}<xml><Encrypt>&a29;</Encrypt></xml>"),
            "&a29;",
        ),
        inside(
            "inside",
            &encrypt(format!("{bomb}{plain}").as_bytes(), &component()),
        ),
        inside(
            "inside, behind",
            &encrypt(format!("{plain}{bomb}").as_bytes(), &component()),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_body_over_64_kib_is_refused_and_one_of_64_kib_is_not() {
    const MOST: usize = 64 * 1024;
    let encrypt = good();
    let envelope = envelope(&encrypt);
    let filled = |bytes: usize| format!("{envelope}{}", " ".repeat(bytes - envelope.len()));
    check(vec![
        body("one byte over", filled(MOST + 1), &encrypt),
        body("a mebibyte", filled(1024 * 1024), &encrypt),
    ])
    .await;
    let world = World::new().await;
    check_accepted(
        &world,
        "as large as may be",
        &signed(&encrypt),
        filled(MOST),
    )
    .await;
}

#[tokio::test]
async fn a_cipher_text_that_is_not_base64_is_refused() {
    let encrypt = good();
    let at = encrypt.len() / 2;
    let (head, tail) = encrypt.split_at(at);
    check(vec![
        inside("another character", &format!("{head}*{}", &tail[1..])),
        inside("white space", &format!("{head} {tail}")),
        inside("a line's end", &format!("{head}\n{tail}")),
        inside("a character short", &encrypt[1..]),
        inside("padding in the middle", &format!("{head}===={tail}")),
        inside("the alphabet of URLs", &(encrypt.clone() + "-___")),
    ])
    .await;
}

#[tokio::test]
async fn a_cipher_text_that_is_not_whole_blocks_is_refused() {
    let bytes = STANDARD.decode(good()).unwrap();
    let cut = |to: usize| STANDARD.encode(&bytes[..to]);
    check(vec![
        inside("a byte", &cut(1)),
        inside("fifteen bytes", &cut(15)),
        inside("a byte short", &cut(bytes.len() - 1)),
        inside(
            "a byte more",
            &STANDARD.encode([bytes.as_slice(), b"x"].concat()),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_cipher_text_that_was_cut_or_made_with_another_key_is_refused() {
    let bytes = STANDARD.decode(good()).unwrap();
    let other = Settings {
        encoding_aes_key: "B".repeat(43),
        ..Settings::example()
    };
    let plain = ticket("ticket@@@other", BEGINNING);
    let other = super::encrypt_under(&other, plain.as_bytes(), &component());
    check(vec![
        inside("one block", &STANDARD.encode(&bytes[..16])),
        inside(
            "without its last block",
            &STANDARD.encode(&bytes[..bytes.len() - 16]),
        ),
        inside("without its first block", &STANDARD.encode(&bytes[16..])),
        inside("another key", &other),
    ])
    .await;
}

#[tokio::test]
async fn padding_of_zero_or_over_32_or_inconsistent_is_refused() {
    let (encrypt, bytes) = with_pad_of_16();
    // The last block is only padding. A change in the block before it changes the padding.
    let turn = |to: u8| 0x10 ^ to;
    let last = |to: u8| turned(&encrypt, &[(bytes - 17, turn(to))]);
    let all = |to: u8| {
        let block = bytes - 32..bytes - 16;
        let turns: Vec<_> = block.map(|index| (index, turn(to))).collect();
        turned(&encrypt, &turns)
    };
    check(vec![
        inside("zero", &last(0)),
        inside("zeros", &all(0)),
        inside("33", &last(33)),
        inside("all 33", &all(33)),
        inside("255", &last(255)),
        inside("inconsistent", &turned(&encrypt, &[(bytes - 32, 1)])),
        inside("longer than it is", &last(17)),
    ])
    .await;
}

#[tokio::test]
async fn a_length_field_that_is_not_the_message_s_is_refused() {
    // The first block is random. Changing it changes only the length field in the second.
    let encrypt = good();
    let length = u8::try_from(ticket("ticket@@@good", BEGINNING).len()).unwrap();
    check(vec![
        inside(
            "four gibibytes",
            &turned(&encrypt, &[(0, 255), (1, 255), (2, 255)]),
        ),
        inside("a mebibyte", &turned(&encrypt, &[(1, 16)])),
        inside("the sign bit", &turned(&encrypt, &[(0, 128)])),
        inside("zero", &turned(&encrypt, &[(3, length)])),
        inside("one more", &turned(&encrypt, &[(3, length ^ (length + 1))])),
        inside("one less", &turned(&encrypt, &[(3, length ^ (length - 1))])),
    ])
    .await;
}

#[tokio::test]
async fn a_push_whose_envelope_names_another_appid_is_refused() {
    let encrypt = good();
    let named = |appid: &str| envelope(&encrypt).replace(&component(), appid);
    check(vec![
        body("another", named(FOREIGN), &encrypt),
        body("no component", named(""), &encrypt),
        body(
            "ours in capitals",
            named(&component().to_uppercase()),
            &encrypt,
        ),
        body("ours and more", named(&(component() + "0")), &encrypt),
    ])
    .await;
}

#[tokio::test]
async fn a_push_that_was_made_for_another_appid_is_refused() {
    let plain = ticket("ticket@@@foreign", BEGINNING);
    let foreign = plain.replace(&component(), FOREIGN);
    check(vec![
        inside("in the frame", &encrypt(plain.as_bytes(), FOREIGN)),
        inside("in both", &encrypt(foreign.as_bytes(), FOREIGN)),
    ])
    .await;
}

#[tokio::test]
async fn an_envelope_that_is_not_utf_8_is_refused() {
    let encrypt_good = good();
    let outside = envelope(&encrypt_good);
    let mut before = outside.clone().into_bytes();
    let at = outside.find("wx").unwrap();
    before[at] = 0xff;
    let behind = [outside.trim_end().as_bytes(), b"\xc3"].concat();
    check(vec![
        body("before Encrypt", before, &encrypt_good),
        body("behind Encrypt", behind, &encrypt_good),
    ])
    .await;
}
