//! The published frames, byte for byte, and keys.

use super::*;

/// Tencent's sample key: not canonical.
const SAMPLE_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

/// The key of the vectors made for this project, and the same 32 bytes written with other trailing
/// bits.
const OWN_KEYS: [&str; 2] = [
    "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A",
    "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3B",
];

#[track_caller]
fn check_decrypts(key: &str, encrypt: &str, message: &str, appid: &str) {
    let plain = decrypt(&AesKey::parse(key).unwrap(), encrypt).unwrap();
    assert_eq!(std::str::from_utf8(plain.message()), Ok(message));
    assert_eq!(std::str::from_utf8(plain.appid()), Ok(appid));
}

#[track_caller]
fn check_encrypts(key: &str, random: &[u8; RANDOM_BYTES], message: &str, appid: &str, to: &str) {
    let key = AesKey::parse(key).unwrap();
    let appid = ComponentAppId::parse(appid).unwrap();
    assert_eq!(encrypt(&key, random, message.as_bytes(), &appid), to);
}

#[test]
fn the_official_message_decrypts() {
    check_decrypts(
        &"A".repeat(43),
        "D7yzvUNAL930rd28wf21s4hvXhz0L6Uit/p2Di6C5DHyYGpEgdBRnKjBec34JwoQXicwaZC7fOVihW80F4VtsdvE//1vr7oAbqjDv8KenVp+ajKYpJnyQ4zMRhIC+a31fCVOMC03FfzV/QuC94kBP55a+Za3sJgvAn+ZbsNqZI5DkyuzkhQN8OBqCzFhizGmy0xpM0MEA4agpvE+RuNO1rhHTtuJB5yltw1FiYzecSXJ+y/D2r81VkRn2eYjh2ltsoyfbDR7Is6ookXIFxTfyeNyeHxMeT4KN5WpCDmSbTcUYrbBUlkGLJ9n/rU8YOywma6G7aTb7KZKOqCxgfoUlYEZPk4FUL/TK7ShriFDMVCLyjQJ15Ob++agDWtcxhfUfe6HIoIpRW8mKNBQiY/Jd1svvuskA1wLef1RTtzKfMpagSCX/laZINmdnX4zrF6kIaR9P4xQrWXbsTFHTYe0Mg==",
        "<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>\n\
         <FromUserName><![CDATA[o9AgO5Kd5ggOC-bXrbNODIiE3bGY]]></FromUserName>\n\
         <CreateTime>1715943329</CreateTime>\n\
         <MsgType><![CDATA[event]]></MsgType>\n\
         <Event><![CDATA[debug_demo]]></Event>\n\
         <debug_str><![CDATA[hello world]]></debug_str>\n\
         </xml>",
        "wx134c8103faa5a59e",
    );
}

#[test]
fn a_text_message_decrypts_under_either_writing_of_the_key() {
    for key in OWN_KEYS {
        check_decrypts(
            key,
            "w2hj5MvQ4sTfDoWJWSePE2FBbVrtMcmYw8oFqoKJIeXpf2z3bhSx+AZ1wpG3CqNRMcBdaezyay94jqlVSTY6ChnUZ+4pih5dzyaR8+Rs+zfU7GiVbVhLpRGBspdohOPnOBXIX5DyEs3+KMLoSJXzwEb7ISMy/+z4ddETAKheQ3IvIBwKz74mEV8BEncjqRpB56rgBkHFhtAgsB6ThGPsNBSDDEzaRJ6mmcjt+AZkQuJV0dW1vWlVq0Xrdft7ndGYTLVatZ3CaxQn92xIHqlKOYrqtesgQwSNgar9YfiDzNHjh/nHIMX7gtsxGU6TfV7ySV+oJlTy+IR3BIgsVZyfJkewxuKZLtE6CicQYM/5GRhIAEOL0qaCnT+5vk8kEi5nbouYQSHDv5xUYHqgPWdPduj8q7bFyXMeNadSEiXCjR4fvZco5ojRksEWcYWdYZurhd3DT8xa9Zqgz+FXVI1EZQ==",
            "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName><FromUserName><![CDATA[oEXAMPLE_openid_000000000001]]></FromUserName><CreateTime>1700000300</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[TESTCOMPONENT_MSG_TYPE_TEXT]]></Content><MsgId>23456789012345678</MsgId></xml>",
            "wx0123456789abcdef",
        );
    }
}

#[test]
fn the_official_reply_encrypts_to_the_official_text() {
    check_encrypts(
        &"A".repeat(43),
        b"999951349e8ee746",
        "<xml><demo_resp>[CDATA[good luck]]</demo_resp></xml>",
        "wx134c8103faa5a59e",
        "hE8R6mGXHkJJjU72KxzKUd1GEkKJaEZq7vRL8XgK3o+00k8JGq6+pZJUIlTSyhsX+bxIBQ72g3GyvDdIZcr6+3HAZbSvPT9t/o11MI7d6WELwqrGd7jMnV0zv3Zc9Nq7",
    );
}

#[test]
fn the_message_of_tencents_sample_code_encrypts_to_its_text() {
    check_encrypts(
        SAMPLE_KEY,
        b"aaaabbbbccccdddd",
        "我是中文abcd123",
        "wxb11529c136998cb6",
        "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==",
    );
}

#[test]
fn a_reply_encrypts_under_either_writing_of_the_key() {
    for key in OWN_KEYS {
        check_encrypts(
            key,
            b"fedcba9876543210",
            "<xml><ToUserName><![CDATA[oEXAMPLE_openid_000000000001]]></ToUserName><FromUserName><![CDATA[gh_0123456789ab]]></FromUserName><CreateTime>1700000301</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[TESTCOMPONENT_MSG_TYPE_TEXT_callback]]></Content></xml>",
            "wx0123456789abcdef",
            "uENM/0kfen2XEYuRdxY+LVaJ9UK7QI6QrBP0OYI54d/uKjeugRIibpzfOe541liIHOidT7ni0QBQzDf2b4aw97QqqhiASzsA9lCRh7rjolkZIYZ+NJl9cUnSkuTFXkIPO2CLhDafw6e3RXanQQLihoTRc765uUR03nVW9PzXDLCmsL8EE2g/hAdpEUoNarstxCtuRnCW+XBIH4vqtIuc8G2QCQn56KbjDJc0Z4/usz6ZNspaEeZ/ZGlmmGyEEjIgISyuYqAfzkXaSnyixfasrBmGdTLT+YP19vUxLU3lOy63E5/bd2B5IKZL+oiZsthDmclBRIxmwTVLrNFeuse4F4F5ZaLnSzF5h+Lmtm93ihjYJD9FHNYP6FmgWOdK0iL4onD+Rjui4sHPKw8bTcADQnfFgEPD+LMt8lpIB5uBti4=",
        );
    }
}

#[test]
fn whatever_is_encrypted_decrypts_whatever_its_padding() {
    let key = AesKey::parse(SAMPLE_KEY).unwrap();
    let appid = ComponentAppId::parse("wx0123456789abcdef").unwrap();
    for length in 0..=2 * PAD_BLOCK {
        let message = "m".repeat(length);
        let sealed = encrypt(&key, &[0; RANDOM_BYTES], message.as_bytes(), &appid);
        check_decrypts(SAMPLE_KEY, &sealed, &message, appid.as_str());
    }
}

#[test]
fn a_key_is_43_characters_of_base64() {
    for wrong in [
        "",
        &"A".repeat(42),
        &"A".repeat(44),
        &format!("{}=", "A".repeat(42)),
        &format!("{} ", "A".repeat(42)),
        &format!("{}-", "A".repeat(42)),
    ] {
        assert!(AesKey::parse(wrong).is_none(), "{wrong:?}");
    }
}

/// Encrypts a frame of our own making, of which `length` says how long its message is.
fn sealed(key: &AesKey, length: u32, rest: &[u8]) -> String {
    let mut frame = vec![0; RANDOM_BYTES];
    frame.extend(length.to_be_bytes());
    frame.extend(rest);
    let pad = PAD_BLOCK - frame.len() % PAD_BLOCK;
    frame.resize(frame.len() + pad, pad.try_into().unwrap());
    let bytes = frame.len();
    let cipher = cbc::Encryptor::<Aes256>::new((&*key.0).into(), (&key.iv()).into());
    STANDARD.encode(
        cipher
            .encrypt_padded::<NoPadding>(&mut frame, bytes)
            .unwrap(),
    )
}

#[test]
fn a_message_may_reach_to_the_end_of_its_frame_and_not_beyond() {
    let key = AesKey::parse(SAMPLE_KEY).unwrap();
    for (length, message, appid) in [(5, "mess!", "wx"), (6, "mess!w", "x"), (7, "mess!wx", "")] {
        check_decrypts(
            SAMPLE_KEY,
            &sealed(&key, length, b"mess!wx"),
            message,
            appid,
        );
    }
    for length in [8, 9, 100, u32::MAX] {
        let encrypt = sealed(&key, length, b"mess!wx");
        assert_eq!(decrypt(&key, &encrypt).err(), Some(Garbled), "{length}");
    }
}
