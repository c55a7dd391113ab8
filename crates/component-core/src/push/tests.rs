//! Pushes as they arrive: the published ones open, and every other gets one of two errors.

use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::notice::{AuthorizationChange, AuthorizationNotice, Grant};
use super::*;
use crate::token::Secret;
use component_api::id::AuthorizerAppId;

const TOKEN: &str = "exampleToken1";
const KEY: &str = "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A";
const SAME_KEY: &str = "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3B";
const KEY_BYTES: &[u8; 32] = b"foobar1234567890abcdefghijklmnop";
const APPID: &str = "wx0123456789abcdef";
const OTHER_APPID: &str = "wx0123456789abcdee";
const TIMESTAMP: &str = "1700000001";
const NONCE: &str = "987654321";

const PLAIN_TICKET: &str = "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000000</CreateTime><InfoType><![CDATA[component_verify_ticket]]></InfoType><ComponentVerifyTicket><![CDATA[ticket@@@EXAMPLE-ticket_0001]]></ComponentVerifyTicket></xml>";

/// A push from WeChat's documents, from a captured fixture, or computed with openssl.
struct Published {
    token: &'static str,
    keys: &'static [&'static str],
    appid: &'static str,
    timestamp: &'static str,
    nonce: &'static str,
    encrypt: &'static str,
    msg_signature: &'static str,
}

const FIXTURE: Published = Published {
    token: "weixin",
    keys: &["abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"],
    appid: "wx9eeba14a01d3807f",
    timestamp: "1445308253",
    nonce: "2062414594",
    encrypt: "wlHfmisYl+ktVgWbVpaTU8hCMsWCa6xuenc7seyAMl/2ZN+jjPU8dtZFl4QO6lpde8ltYPLXxd2PqfKGkZPbuhnok9hhmnBjFGD53Q4k8f1c71FES5/C0btL+6Vf7gl3EgT1hhjSHl5tylx3zo1/FpdF5qeoq0X6vdcXwWyZKg0RUugu2BoxBrtQTnSpvIQn4r1UuzID2Hu7R8Z9SMN5544tTLgaQ3GhsdLjoGJoRC1HxwvCo2QiPGawUxz+lL2Xp6J6r1hA8cnKwAUuDUBz7eJ4SWdDNhAdDI9PuKZm23/bSW2x+KQdjx+qQwJ9Qif+rVdHKOE4cObmrtLgaH8v3r57zRnrrUoeM1M8mAT19nafJHqkQrD28VWk20XEK2Ct096CCnHGUdU9VpA5o+ngMiTze3vRFHGB0I7p4q6IE9WIdCYhb+j7qKx3/IJxNILoVBrmLvXAwuRdPJbYXl1mKQ==",
    msg_signature: "4d6454ce7140ae24431fe54c8f66b9eee1f69723",
};

/// With an XML declaration, another order of elements and a line feed at the end.
const FIXTURE_UNAUTHORIZED: Published = Published {
    encrypt: "oPHWw0USRVbHH1e3FH2h+fwRAjz0i34NGo8SIuKqcyrqZGm1Sjf6Q20mRgm7eYC7LaOUIK7PnnmvnMBbeMTLzLYoul+Nqxz0eJnMIQPtcY6xjk0aw9Cq7QTN16xmeld3gjuV5EEQHfc0eREQu+LZ70/KydHtCBBYGBFKz6dc8IVnb72TaaXchoZoQ0UQAK91YGfepAZzNUeSmP5mp/tMyv9I0Akh8OcMLeP3uDEJDjlKZyof90bNLeit5MFw1I+2mEF9bbOOR7MuPX5KGEgInphhLNG/Q1B7az54UlR86T4cVF5/ChSNjLhQwyEfpO+9uqrmt0QkrJ5rXlHmwRGJtzwuZc0x9n4M38/KCLt93//ZEPu4rpSnJEHfkF+LAXV0",
    msg_signature: "320ef701f94a3b9a0e5dd7fc6cd6c326663091c8",
    ..FIXTURE
};

const TICKET: Published = Published {
    token: TOKEN,
    keys: &[KEY, SAME_KEY],
    appid: APPID,
    timestamp: TIMESTAMP,
    nonce: NONCE,
    encrypt: "w2hj5MvQ4sTfDoWJWSePE4z1BT56cHxDykb2syCCNBwbzl9cBBQHLLmSjq3930MeMMRKhXX+xb6ibYJSin6X/IW6+5MTMZxjo1JuhDKRPMyXEiGQNFXiHUxpOOB1l7ofY8WgRB+K4CumY5EGS2HE0nwZ1Kx4vLo8Yd9JdLJN/2MkAIHCNcsalYGDr+sUdDQLStpOdB4/L9EBVkDhQe6EGjXLkzvI1CCpbpdvMYosuQR6EQbgaSDxfplZbZQ5XR0KVDeZAorNgSJtt3/TctxLn224VPG+2iILuXaJkBdPlhAqKxCxNeLUEtjmDWBBic8OmmHA82k3hLdoxx7hOd5RzpOT3zFkGjk9J/PIcJcJ6byyTnCtQWTQhzljWKUxTq93",
    msg_signature: "3f445cecfaeb3a7eba03612e30b69abd97e3d1f7",
};

const AUTHORIZED: Published = Published {
    encrypt: "w2hj5MvQ4sTfDoWJWSePExBmLg5Qv9L7JhqPsN5pFWsA4iHOPYwd+sE2GG4uZJWglZkR4+J2Iq5j5lwEceGRxoYZmfDeuPnPCT4z5MiFTolYKbzXctDP51c8X7hes2zBQe9bX2CfiuqLs6XBxOFp7ix2Db0Kq4OWe5KGq5oVjKf6VClqR+qD7wFFmxZCio48JsgVArgzMuhU6Qq8QhFeA2vJMO+DS7We5wm8vVmlsIYcwt8d9hp39Kl8Hm9xDjV+RXkBGSxg7hpqafsCGiB2kYw9q19kY8YhznotypSFzltr6y+4lpFcE35DfF2Ek5L82qmeOdFpHYqPe9q6SYaCPxybfl3ye9aSSEukwYrc3t4PI3bRQEuP7JCVGLBceVi6++AY8/5/TVx4wBUqcDHEZmhwkuG+XjBqVmwvIFGsHGHvxio2/jr+NHUETalpcMIz9Yi++b827JfgCMTcRjSq7xHnWcN4kaPzhqOkCZbDW3s9CwFQ4jga56aypoavjEOmorgi5KteZ4JmmRcCeBj1OfVuhmdf7GPYXZT04eB0IJN85XfoKJF66vwUTgxTx95byKCCwBYworhB8zlCOlCjIP0tBL+KTEsPnUzvwrg8jz7ZyptFBkGCuOMNVhOCVGCU",
    msg_signature: "674b9cf4f3686a236be1b9dab4c97cb879692c6a",
    ..TICKET
};

const UNAUTHORIZED: Published = Published {
    encrypt: "w2hj5MvQ4sTfDoWJWSePE1SOGQMbMuXnqFYaGesM7zCzlzXok0+W/P0bt4q4IEp0dYcwD7IHXIU/vbsDvMPnTCfVZzLRP0muhNhNQZWWHgtk1y9xbGehOmm+eDCx3ErD5sp3FrFkujxcH4qsMlX1WR2f9twCC0vitVzH1aF1ET87zh9jpLdE7tyto2vdzwX9X4f1HuNEIwGEtezn4whxoVMv9Z/WlGv2lv2OeksG7WWYOZbTSU65c01W7o153xOqOYDGahEcqCxKVJ/vqW4P09lhkilfsZkOzLDJWsI4x1akcxkkeb14z2KrruwTGu3khwLu+AXA3FjJPFxcsTp/Mw==",
    msg_signature: "aec5e6d6be499c27b29a5cef2cb319196d0d8e99",
    ..TICKET
};

const UNAUTHORIZED_PAD_32: Published = Published {
    encrypt: "w2hj5MvQ4sTfDoWJWSePE9fZaheCOdBE8W3KKqxlTdKjd8/Q6RzE9oOyFFnRVKblLMCSaj1iaHX0TwjlkCjbjQbAZnYkWSy4jyhRuXOSElDhZJouObezkP4AZigArMBIgja+m4MtxX5b9YycWWlXXjbhp3NjFkgOB/BcUrJRfQB75m3ZgBRSCEK5EwqEmuB0YGzQjxAp2MBwvhP8h8b3+4ej4mDdczDLVtU3ZmIgcE2zTJOSfMvay0XFBoy7ULlXnTHMI33f5JGnRX+OhoB+tYQ2JIXGYBty+OnfFEjFk4jp/eqo66NHAf17su7lU0GvUJmQBkTymB1pMHSEtEOxZrXMkhwK3srf3duNUvjZi2yODirr1AP3FuQq28gR/5Ea",
    msg_signature: "4d91402ffb68542195830a1168b2c1b953b17a1d",
    ..TICKET
};

impl Published {
    /// What it says under each writing of its key.
    #[track_caller]
    fn opened(&self) -> Vec<Notice> {
        let body = envelope(Some(self.appid), self.encrypt);
        let query = query(self.timestamp, self.nonce, self.msg_signature);
        let now = Timestamp::from_secs(self.timestamp.parse().unwrap());
        let push = SealedPush::parse(&query, body.as_bytes(), now).unwrap();
        let opened = self.keys.iter().map(|key| {
            let opened = push.open(&keys(self.token, key, self.appid));
            opened.map(|push| push.notice).unwrap()
        });
        opened.collect()
    }
}

/// A frame to be encrypted; a test can make each part of it wrong.
struct Frame<'a> {
    length: Option<u32>,
    message: &'a [u8],
    appid: &'a str,
    /// The padding to whole blocks of 32, given how many bytes are missing.
    padding: fn(u8) -> Vec<u8>,
}

impl<'a> Frame<'a> {
    fn of(message: &'a [u8]) -> Self {
        Self {
            length: None,
            message,
            appid: APPID,
            padding: |missing| vec![missing; missing.into()],
        }
    }

    fn encrypt(&self) -> String {
        let length = u32::try_from(self.message.len()).unwrap();
        let mut frame = b"0123456789abcdef".to_vec();
        frame.extend(self.length.unwrap_or(length).to_be_bytes());
        frame.extend(self.message);
        frame.extend(self.appid.as_bytes());
        frame.extend((self.padding)(32 - u8::try_from(frame.len() % 32).unwrap()));
        encrypt(frame)
    }
}

fn encrypt(mut blocks: Vec<u8>) -> String {
    let iv: &[u8; 16] = KEY_BYTES.first_chunk().unwrap();
    let cipher = cbc::Encryptor::<aes::Aes256>::new(KEY_BYTES.into(), iv.into());
    let length = blocks.len();
    STANDARD.encode(
        cipher
            .encrypt_padded::<NoPadding>(&mut blocks, length)
            .unwrap(),
    )
}

fn keys(token: &str, key: &str, appid: &str) -> PushKeys {
    PushKeys {
        component_appid: ComponentAppId::parse(appid).unwrap(),
        token: token.into(),
        aes_key: AesKey::parse(key).unwrap(),
    }
}

fn envelope(appid: Option<&str>, encrypt: &str) -> String {
    let appid = appid.map_or_else(String::new, |appid| {
        format!("<AppId><![CDATA[{appid}]]></AppId>")
    });
    format!("<xml>{appid}<Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>")
}

fn query(timestamp: &str, nonce: &str, msg_signature: &str) -> String {
    format!(
        "signature=x&timestamp={timestamp}&nonce={nonce}&encrypt_type=aes&msg_signature={msg_signature}"
    )
}

fn sign(encrypt: &str) -> String {
    let signature = signature::sign(TOKEN, TIMESTAMP, NONCE, encrypt);
    String::from_utf8(signature.to_vec()).unwrap()
}

fn open_signed(body: &[u8], msg_signature: &str) -> Result<OpenedPush, PushError> {
    let now = Timestamp::from_secs(1_700_000_001);
    let query = query(TIMESTAMP, NONCE, msg_signature);
    SealedPush::parse(&query, body, now)?.open(&keys(TOKEN, KEY, APPID))
}

/// A body whose `Encrypt` text, as far as it has one, is `encrypt`.
#[track_caller]
fn check_unreadable(body: &[u8], encrypt: &str) {
    let shown = String::from_utf8_lossy(body.get(..200).unwrap_or(body));
    let error = |signature: &str| open_signed(body, signature).err();
    assert_eq!(
        error(&sign(encrypt)),
        Some(PushError::Unreadable),
        "{shown}"
    );
    assert_eq!(error(&"0".repeat(40)), Some(PushError::Unsigned), "{shown}");
}

#[track_caller]
fn check_garbled(encrypt: &str) {
    check_unreadable(envelope(Some(APPID), encrypt).as_bytes(), encrypt);
}

#[track_caller]
fn check_opens(body: &str, encrypt: &str) {
    let opened = open_signed(body.as_bytes(), &sign(encrypt));
    let opened = opened.map(|push| push.sha256);
    let expected = crate::digest::sha256_hex(PLAIN_TICKET.as_bytes());
    assert_eq!(opened, Ok(expected), "{body}");
}

#[track_caller]
fn check_sign(token: &str, timestamp: &str, nonce: &str, encrypt: &str, msg_signature: &str) {
    let signed = signature::sign(token, timestamp, nonce, encrypt);
    assert_eq!(std::str::from_utf8(&signed), Ok(msg_signature));
}

#[track_caller]
fn check_ticket(push: &Published, at: u64, value: &str) {
    for notice in push.opened() {
        let Notice::Ticket { created_at, ticket } = notice else {
            panic!("it is read as {notice:?}");
        };
        assert_eq!((created_at.as_secs(), ticket.expose()), (at, value));
    }
}

#[track_caller]
fn check_authorization(push: &Published, at: u64, authorizer: &str, change: AuthorizationChange) {
    let expected = AuthorizationNotice {
        created_at: Timestamp::from_secs(at),
        authorizer: AuthorizerAppId::parse(authorizer).unwrap(),
        change,
    };
    for notice in push.opened() {
        let Notice::Authorization(notice) = notice else {
            panic!("it is read as {notice:?}");
        };
        assert_eq!(notice, expected);
    }
}

#[test]
fn messages_and_replies_have_the_published_signatures() {
    check_sign(
        "AAAAA",
        "1715943329",
        "1590219412",
        "D7yzvUNAL930rd28wf21s4hvXhz0L6Uit/p2Di6C5DHyYGpEgdBRnKjBec34JwoQXicwaZC7fOVihW80F4VtsdvE//1vr7oAbqjDv8KenVp+ajKYpJnyQ4zMRhIC+a31fCVOMC03FfzV/QuC94kBP55a+Za3sJgvAn+ZbsNqZI5DkyuzkhQN8OBqCzFhizGmy0xpM0MEA4agpvE+RuNO1rhHTtuJB5yltw1FiYzecSXJ+y/D2r81VkRn2eYjh2ltsoyfbDR7Is6ookXIFxTfyeNyeHxMeT4KN5WpCDmSbTcUYrbBUlkGLJ9n/rU8YOywma6G7aTb7KZKOqCxgfoUlYEZPk4FUL/TK7ShriFDMVCLyjQJ15Ob++agDWtcxhfUfe6HIoIpRW8mKNBQiY/Jd1svvuskA1wLef1RTtzKfMpagSCX/laZINmdnX4zrF6kIaR9P4xQrWXbsTFHTYe0Mg==",
        "6c12a4205838198b8fa631b3220723bb07f1015c",
    );
    check_sign(
        "AAAAA",
        "1713424427",
        "415670741",
        "hE8R6mGXHkJJjU72KxzKUd1GEkKJaEZq7vRL8XgK3o+00k8JGq6+pZJUIlTSyhsX+bxIBQ72g3GyvDdIZcr6+3HAZbSvPT9t/o11MI7d6WELwqrGd7jMnV0zv3Zc9Nq7",
        "03e0812039325c2712ef5f0f980fd14c70d6e307",
    );
    check_sign(
        "exampleToken1",
        "1700000001",
        "987654321",
        "w2hj5MvQ4sTfDoWJWSePE2FBbVrtMcmYw8oFqoKJIeXpf2z3bhSx+AZ1wpG3CqNRMcBdaezyay94jqlVSTY6ChnUZ+4pih5dzyaR8+Rs+zfU7GiVbVhLpRGBspdohOPnOBXIX5DyEs3+KMLoSJXzwEb7ISMy/+z4ddETAKheQ3IvIBwKz74mEV8BEncjqRpB56rgBkHFhtAgsB6ThGPsNBSDDEzaRJ6mmcjt+AZkQuJV0dW1vWlVq0Xrdft7ndGYTLVatZ3CaxQn92xIHqlKOYrqtesgQwSNgar9YfiDzNHjh/nHIMX7gtsxGU6TfV7ySV+oJlTy+IR3BIgsVZyfJkewxuKZLtE6CicQYM/5GRhIAEOL0qaCnT+5vk8kEi5nbouYQSHDv5xUYHqgPWdPduj8q7bFyXMeNadSEiXCjR4fvZco5ojRksEWcYWdYZurhd3DT8xa9Zqgz+FXVI1EZQ==",
        "5f9e41a68d257f8684ab10755469fcc9db06e221",
    );
    check_sign(
        "exampleToken1",
        "1700000301",
        "135792468",
        "uENM/0kfen2XEYuRdxY+LVaJ9UK7QI6QrBP0OYI54d/uKjeugRIibpzfOe541liIHOidT7ni0QBQzDf2b4aw97QqqhiASzsA9lCRh7rjolkZIYZ+NJl9cUnSkuTFXkIPO2CLhDafw6e3RXanQQLihoTRc765uUR03nVW9PzXDLCmsL8EE2g/hAdpEUoNarstxCtuRnCW+XBIH4vqtIuc8G2QCQn56KbjDJc0Z4/usz6ZNspaEeZ/ZGlmmGyEEjIgISyuYqAfzkXaSnyixfasrBmGdTLT+YP19vUxLU3lOy63E5/bd2B5IKZL+oiZsthDmclBRIxmwTVLrNFeuse4F4F5ZaLnSzF5h+Lmtm93ihjYJD9FHNYP6FmgWOdK0iL4onD+Rjui4sHPKw8bTcADQnfFgEPD+LMt8lpIB5uBti4=",
        "55d7ec88538c32f541997b25eb71bf5f7b08fb0f",
    );
}

#[test]
fn the_published_tickets_open() {
    check_ticket(
        &FIXTURE,
        1_445_308_253,
        "ticket@@@1S8ekCXqBTTCMFLI9ekk2jh8u3NyelwnQoc_Rbpr3X0gKlGiYKhlQrERhGOrsGJ3OcQnWuszOI7iLwe-KaMIVA",
    );
    check_ticket(&TICKET, 1_700_000_000, "ticket@@@EXAMPLE-ticket_0001");
}

#[test]
fn the_published_authorizations_open() {
    let grant = Grant {
        code: Secret::parse("queryauthcode@@@EXAMPLE-code_0001"),
        pre_auth_code: Secret::parse("preauthcode@@@EXAMPLE-pre_0001"),
    };
    let authorized = AuthorizationChange::Authorized(grant);
    check_authorization(&AUTHORIZED, 1_700_000_100, "wxfedcba9876543210", authorized);
    for (push, at, authorizer) in [
        (UNAUTHORIZED, 1_700_000_200, "wxfedcba9876543210"),
        (UNAUTHORIZED_PAD_32, 1_700_000_000, "wxfedcba9876543210"),
        (FIXTURE_UNAUTHORIZED, 1_445_303_136, "wx570bc396a51b8ff8"),
    ] {
        check_authorization(&push, at, authorizer, AuthorizationChange::Unauthorized);
    }
}

#[test]
fn the_frames_of_these_tests_are_wechats_unless_they_are_made_wrong() {
    let sealed = Frame::of(PLAIN_TICKET.as_bytes()).encrypt();
    assert_eq!(sealed, TICKET.encrypt);
    assert_eq!(sign(&sealed), TICKET.msg_signature);
}

#[test]
fn a_push_is_known_by_its_plain_text_alone() {
    let sealed = Frame::of(PLAIN_TICKET.as_bytes()).encrypt();
    for body in [
        envelope(Some(APPID), &sealed),
        envelope(None, &sealed),
        format!(
            "<?xml version=\"1.0\"?>\n<xml>\n    <Encrypt>{sealed}</Encrypt>\n    <AppId>{APPID}</AppId>\n</xml>\n"
        ),
    ] {
        check_opens(&body, &sealed);
    }
}

#[test]
fn a_signature_must_match_to_the_last_digit() {
    let body = envelope(Some(APPID), TICKET.encrypt);
    let good = TICKET.msg_signature;
    let (all_but_last, _) = good.split_at(39);
    assert!(open_signed(body.as_bytes(), good).is_ok());
    for forged in [
        &format!("{all_but_last}8"),
        &format!("4{}", &good[1..]),
        &good.to_uppercase(),
        all_but_last,
        &format!("{good}0"),
        "",
        &"0".repeat(40),
        &sign(""),
        AUTHORIZED.msg_signature,
    ] {
        let error = open_signed(body.as_bytes(), forged).err();
        assert_eq!(error, Some(PushError::Unsigned), "{forged}");
    }
}

#[test]
fn a_push_signed_with_another_token_is_refused() {
    let body = envelope(Some(APPID), TICKET.encrypt);
    let signature = signature::sign("exampleToken2", TIMESTAMP, NONCE, TICKET.encrypt);
    let error = open_signed(body.as_bytes(), std::str::from_utf8(&signature).unwrap()).err();
    assert_eq!(error, Some(PushError::Unsigned));
}

#[test]
fn a_cipher_text_that_is_not_base64_of_whole_blocks_is_refused() {
    let good = TICKET.encrypt;
    let bytes = STANDARD.decode(good).unwrap();
    for garbled in [
        "*".to_owned(),
        good.replace('/', "_"),
        format!("{good}="),
        format!("{} {}", &good[..64], &good[64..]),
        format!("{}\n{}", &good[..64], &good[64..]),
        format!("{good}\n"),
        good[..good.len() - 1].to_owned(),
        STANDARD.encode(&bytes[..bytes.len() - 1]),
        STANDARD.encode(&bytes[..15]),
        STANDARD.encode(&bytes[..bytes.len() - 16]),
        STANDARD.encode(&bytes[..16]),
        STANDARD.encode(&bytes[16..]),
        STANDARD.encode([0; 64]),
    ] {
        check_garbled(&garbled);
    }
}

#[test]
fn a_padding_that_is_not_wechats_is_refused() {
    let wrong_paddings: [fn(u8) -> Vec<u8>; 6] = [
        |missing| vec![0; missing.into()],
        |missing| vec![33; usize::from(missing) + 32],
        |missing| vec![255; missing.into()],
        |missing| vec![missing + 1; missing.into()],
        |missing| {
            let mut padding = vec![missing; missing.into()];
            padding[0] ^= 1;
            padding
        },
        |missing| {
            let mut padding = vec![0; usize::from(missing) - 1];
            padding.push(missing);
            padding
        },
    ];
    let key = AesKey::parse(KEY).unwrap();
    for padding in wrong_paddings {
        let frame = Frame {
            padding,
            ..Frame::of(PLAIN_TICKET.as_bytes())
        };
        let sealed = frame.encrypt();
        check_garbled(&sealed);
        // Not only because the app id is no longer ours.
        assert!(cipher::decrypt(&key, &sealed).is_err());
    }
    check_garbled(&encrypt(vec![32; 32]));
}

#[test]
fn a_length_that_is_not_the_messages_is_refused() {
    let message = PLAIN_TICKET.as_bytes();
    let length = u32::try_from(message.len()).unwrap();
    for wrong in [
        0,
        length - 1,
        length + 1,
        length + 18,
        length + 19,
        i32::MAX.unsigned_abs(),
        u32::MAX - 19,
        u32::MAX,
    ] {
        let frame = Frame {
            length: Some(wrong),
            ..Frame::of(message)
        };
        check_garbled(&frame.encrypt());
    }
    // No room for a length at all.
    check_garbled(&encrypt(vec![16; 32]));
}

#[test]
fn a_push_for_another_component_is_refused() {
    let message = PLAIN_TICKET.as_bytes();
    let sealed = Frame::of(message).encrypt();
    check_unreadable(envelope(Some(OTHER_APPID), &sealed).as_bytes(), &sealed);
    check_unreadable(envelope(Some(""), &sealed).as_bytes(), &sealed);
    for appid in ["", OTHER_APPID, "wx0123456789abcdef0", "wx0123456789abcde"] {
        check_garbled(
            &Frame {
                appid,
                ..Frame::of(message)
            }
            .encrypt(),
        );
    }
}

/// What WeChat has sealed for this component is taken, whatever it says.
#[track_caller]
fn check_taken(message: &[u8], is_unusable: bool) {
    let sealed = Frame::of(message).encrypt();
    let opened = open_signed(envelope(Some(APPID), &sealed).as_bytes(), &sign(&sealed));
    let shown = String::from_utf8_lossy(message);
    let opened = opened.map(|push| push.notice).expect(&shown);
    match opened {
        Notice::Unusable(_) => assert!(is_unusable, "{shown}"),
        Notice::Other { .. } => assert!(!is_unusable, "{shown}"),
        other => panic!("{shown} is read as {other:?}"),
    }
}

#[test]
fn a_message_that_is_not_a_notice_is_taken() {
    for message in [
        &b"\xff\xfe"[..],
        b"",
        b"success",
        b"{\"InfoType\":\"unauthorized\"}",
        b"<xml><List/></xml>",
    ] {
        check_taken(message, false);
    }
    let foreign = PLAIN_TICKET.replace(APPID, OTHER_APPID);
    let repeated = PLAIN_TICKET.replace("</xml>", "<InfoType>x</InfoType></xml>");
    let blank = PLAIN_TICKET.replace("ticket@@@EXAMPLE-ticket_0001", "");
    for message in [foreign, repeated, blank] {
        check_taken(message.as_bytes(), true);
    }
}

#[test]
fn a_message_with_a_doctype_is_refused() {
    let bomb = "<!DOCTYPE xml [<!ENTITY a \"aaa\">]>";
    for message in [
        format!("{bomb}{PLAIN_TICKET}"),
        format!("{PLAIN_TICKET}{bomb}"),
    ] {
        check_garbled(&Frame::of(message.as_bytes()).encrypt());
    }
}

#[test]
fn the_seals_time_stands_in_for_one_that_cannot_be() {
    let message = PLAIN_TICKET.replace("1700000000", "1700000000000");
    let sealed = Frame::of(message.as_bytes()).encrypt();
    let opened = open_signed(envelope(Some(APPID), &sealed).as_bytes(), &sign(&sealed));
    match opened.unwrap().notice {
        Notice::Ticket { created_at, .. } => assert_eq!(created_at.to_string(), TIMESTAMP),
        other => panic!("it is read as {other:?}"),
    }
}

#[test]
fn a_body_that_is_not_the_envelope_of_one_cipher_text_is_refused() {
    let sealed = TICKET.encrypt;
    let good = envelope(Some(APPID), sealed);
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
    for (body, encrypt) in [
        (String::new(), ""),
        ("success".to_owned(), ""),
        (PLAIN_TICKET.to_owned(), ""),
        ("<xml><Encrypt></Encrypt></xml>".to_owned(), ""),
        ("<xml><Encrypt><![CDATA[]]></Encrypt></xml>".to_owned(), ""),
        (
            good.replace("<Encrypt>", "<encrypt>")
                .replace("</Encrypt>", "</encrypt>"),
            "",
        ),
        (good.replace("</xml>", ""), sealed),
        (good.replace("</Encrypt>", ""), sealed),
        (
            good.replace("</xml>", &format!("<Encrypt>{sealed}</Encrypt></xml>")),
            sealed,
        ),
        (
            good.replace("</xml>", &format!("<AppId>{APPID}</AppId></xml>")),
            sealed,
        ),
        (good.replace("xml>", "root>"), sealed),
        (format!("<xml>{good}</xml>"), sealed),
        (format!("{good}{good}"), sealed),
        (format!("<!-- {good} -->"), sealed),
        (
            format!("<xml><!--<Encrypt>{sealed}</Encrypt>--><Encrypt>x</Encrypt></xml>"),
            sealed,
        ),
        (format!("<!DOCTYPE xml>{good}"), sealed),
        (
            format!("{bomb}{}", good.replace("</xml>", "<More>&b;</More></xml>")),
            sealed,
        ),
        (good.replace(sealed, "&b;"), "&b;"),
    ] {
        check_unreadable(body.as_bytes(), encrypt);
    }
    check_unreadable(&[good.as_bytes(), b"\xff"].concat(), sealed);
}

#[test]
fn a_body_may_have_64_kib_and_no_more() {
    let good = envelope(Some(APPID), TICKET.encrypt);
    let filled = |bytes: usize| good.clone() + &" ".repeat(bytes - good.len());
    check_opens(&filled(MAX_BODY_BYTES), TICKET.encrypt);
    check_unreadable(filled(MAX_BODY_BYTES + 1).as_bytes(), TICKET.encrypt);
}

#[test]
fn a_push_error_has_the_status_that_design_asks_for() {
    assert_eq!(PushError::Unsigned.status(), StatusCode::FORBIDDEN);
    assert_eq!(PushError::Unreadable.status(), StatusCode::BAD_REQUEST);
}

/// Flips, inserts and deletes up to four bytes.
fn mutated(original: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..3) {
            0 => bytes[at] ^= random.random_range(1..=255),
            1 => bytes.insert(at, random.random()),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

#[test]
fn a_push_altered_on_its_way_opens_to_what_was_sent_or_not_at_all() {
    let body = envelope(Some(APPID), TICKET.encrypt).into_bytes();
    let query = query(TIMESTAMP, NONCE, TICKET.msg_signature).into_bytes();
    let keys = keys(TOKEN, KEY, APPID);
    let now = Timestamp::from_secs(1_700_000_001);
    let sent = crate::digest::sha256_hex(PLAIN_TICKET.as_bytes());
    let mut random = StdRng::seed_from_u64(1);
    let mut opened = 0;
    for round in 0..20_000 {
        let (mut query, mut body) = (query.clone(), body.clone());
        if round % 2 == 0 {
            body = mutated(&body, &mut random);
        } else {
            query = mutated(&query, &mut random);
        }
        let query = String::from_utf8_lossy(&query);
        let Ok(push) = SealedPush::parse(&query, &body, now) else {
            continue;
        };
        if let Ok(push) = push.open(&keys) {
            assert_eq!(
                push.sha256,
                sent,
                "{query} {}",
                String::from_utf8_lossy(&body)
            );
            opened += 1;
        }
    }
    // Otherwise the rounds have tested only the signature's length.
    assert!(opened > 0);
}

#[test]
fn no_plain_text_and_no_frame_makes_it_panic() {
    let mut random = StdRng::seed_from_u64(2);
    for _ in 0..2_000 {
        let message = mutated(PLAIN_TICKET.as_bytes(), &mut random);
        let altered = Frame::of(&message).encrypt();
        let bytes = mutated(&STANDARD.decode(TICKET.encrypt).unwrap(), &mut random);
        for encrypt in [altered, STANDARD.encode(bytes)] {
            let body = envelope(Some(APPID), &encrypt);
            drop(open_signed(body.as_bytes(), &sign(&encrypt)));
        }
    }
}
