//! Published vectors, and some of our own: the cipher must seal and open each of them.
//!
//! Source: <https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/message_push.html>

use super::*;

/// Key of the official example: 32 zero bytes.
const ZERO_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// Key of Tencent's sample code: its last character carries an extra bit.
const SAMPLE_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
/// The same 32 bytes twice: canonical, and not.
const OWN_KEYS: [&str; 2] = [
    "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A",
    "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3B",
];
const OWN_APPID: &str = "wx0123456789abcdef";

struct Vector {
    appid: &'static str,
    random: &'static [u8; 16],
    message: &'static str,
    encrypt: &'static str,
}

#[track_caller]
fn check(key: &str, vector: &Vector) {
    let key = AesKey::parse(key).unwrap();
    let encrypt = key.encrypt(*vector.random, vector.message.as_bytes(), vector.appid);
    assert_eq!(encrypt, vector.encrypt);
    let message = key.decrypt(vector.encrypt, vector.appid);
    assert_eq!(message.as_deref(), Ok(vector.message));
}

#[track_caller]
fn check_own(random: &'static [u8; 16], message: &'static str, encrypt: &'static str) {
    let appid = OWN_APPID;
    for key in OWN_KEYS {
        check(
            key,
            &Vector {
                appid,
                random,
                message,
                encrypt,
            },
        );
    }
}

#[track_caller]
fn check_signature(salt: [&str; 3], encrypt: &str, msg_signature: &str) {
    let [token, timestamp, nonce] = salt;
    assert_eq!(sign(&[token, timestamp, nonce, encrypt]), msg_signature);
}

#[test]
fn the_official_event_opens() {
    let encrypt = "D7yzvUNAL930rd28wf21s4hvXhz0L6Uit/p2Di6C5DHyYGpEgdBRnKjBec34JwoQXicwaZC7fOVihW80F4VtsdvE//1vr7oAbqjDv8KenVp+ajKYpJnyQ4zMRhIC+a31fCVOMC03FfzV/QuC94kBP55a+Za3sJgvAn+ZbsNqZI5DkyuzkhQN8OBqCzFhizGmy0xpM0MEA4agpvE+RuNO1rhHTtuJB5yltw1FiYzecSXJ+y/D2r81VkRn2eYjh2ltsoyfbDR7Is6ookXIFxTfyeNyeHxMeT4KN5WpCDmSbTcUYrbBUlkGLJ9n/rU8YOywma6G7aTb7KZKOqCxgfoUlYEZPk4FUL/TK7ShriFDMVCLyjQJ15Ob++agDWtcxhfUfe6HIoIpRW8mKNBQiY/Jd1svvuskA1wLef1RTtzKfMpagSCX/laZINmdnX4zrF6kIaR9P4xQrWXbsTFHTYe0Mg==";
    check(
        ZERO_KEY,
        &Vector {
            appid: "wx134c8103faa5a59e",
            random: b"1205899eaf019bbd",
            message: "<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>\n<FromUserName><![CDATA[o9AgO5Kd5ggOC-bXrbNODIiE3bGY]]></FromUserName>\n<CreateTime>1715943329</CreateTime>\n<MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[debug_demo]]></Event>\n<debug_str><![CDATA[hello world]]></debug_str>\n</xml>",
            encrypt,
        },
    );
    let salt = ["AAAAA", "1715943329", "1590219412"];
    assert_eq!(sign(&salt), "cc0c594499c1634947d5b502f158ee518947db27");
    check_signature(salt, encrypt, "6c12a4205838198b8fa631b3220723bb07f1015c");
}

#[test]
fn the_official_reply_is_met() {
    let encrypt = "hE8R6mGXHkJJjU72KxzKUd1GEkKJaEZq7vRL8XgK3o+00k8JGq6+pZJUIlTSyhsX+bxIBQ72g3GyvDdIZcr6+3HAZbSvPT9t/o11MI7d6WELwqrGd7jMnV0zv3Zc9Nq7";
    check(
        ZERO_KEY,
        &Vector {
            appid: "wx134c8103faa5a59e",
            random: b"999951349e8ee746",
            message: "<xml><demo_resp>[CDATA[good luck]]</demo_resp></xml>",
            encrypt,
        },
    );
    let salt = ["AAAAA", "1713424427", "415670741"];
    check_signature(salt, encrypt, "03e0812039325c2712ef5f0f980fd14c70d6e307");
}

#[test]
fn a_captured_ticket_opens_with_the_sample_key() {
    let encrypt = "wlHfmisYl+ktVgWbVpaTU8hCMsWCa6xuenc7seyAMl/2ZN+jjPU8dtZFl4QO6lpde8ltYPLXxd2PqfKGkZPbuhnok9hhmnBjFGD53Q4k8f1c71FES5/C0btL+6Vf7gl3EgT1hhjSHl5tylx3zo1/FpdF5qeoq0X6vdcXwWyZKg0RUugu2BoxBrtQTnSpvIQn4r1UuzID2Hu7R8Z9SMN5544tTLgaQ3GhsdLjoGJoRC1HxwvCo2QiPGawUxz+lL2Xp6J6r1hA8cnKwAUuDUBz7eJ4SWdDNhAdDI9PuKZm23/bSW2x+KQdjx+qQwJ9Qif+rVdHKOE4cObmrtLgaH8v3r57zRnrrUoeM1M8mAT19nafJHqkQrD28VWk20XEK2Ct096CCnHGUdU9VpA5o+ngMiTze3vRFHGB0I7p4q6IE9WIdCYhb+j7qKx3/IJxNILoVBrmLvXAwuRdPJbYXl1mKQ==";
    let xml = AesKey::parse(SAMPLE_KEY)
        .unwrap()
        .decrypt(encrypt, "wx9eeba14a01d3807f")
        .unwrap();
    assert!(xml.contains("ticket@@@1S8ekCXqBTTCMFLI9ekk2jh8u3NyelwnQoc_Rbpr3X0gKlGiYKhlQrERhGOrsGJ3OcQnWuszOI7iLwe-KaMIVA"));
    assert!(xml.contains("1445308253"));
    let salt = ["weixin", "1445308253", "2062414594"];
    assert_eq!(sign(&salt), "fc3adbefb75bdc045aa376b2606073186e0abe9b");
    check_signature(salt, encrypt, "4d6454ce7140ae24431fe54c8f66b9eee1f69723");
}

#[test]
fn a_notice_made_by_another_program_opens() {
    let encrypt = "oPHWw0USRVbHH1e3FH2h+fwRAjz0i34NGo8SIuKqcyrqZGm1Sjf6Q20mRgm7eYC7LaOUIK7PnnmvnMBbeMTLzLYoul+Nqxz0eJnMIQPtcY6xjk0aw9Cq7QTN16xmeld3gjuV5EEQHfc0eREQu+LZ70/KydHtCBBYGBFKz6dc8IVnb72TaaXchoZoQ0UQAK91YGfepAZzNUeSmP5mp/tMyv9I0Akh8OcMLeP3uDEJDjlKZyof90bNLeit5MFw1I+2mEF9bbOOR7MuPX5KGEgInphhLNG/Q1B7az54UlR86T4cVF5/ChSNjLhQwyEfpO+9uqrmt0QkrJ5rXlHmwRGJtzwuZc0x9n4M38/KCLt93//ZEPu4rpSnJEHfkF+LAXV0";
    let xml = AesKey::parse(SAMPLE_KEY)
        .unwrap()
        .decrypt(encrypt, "wx9eeba14a01d3807f")
        .unwrap();
    assert!(xml.contains("unauthorized"));
    let salt = ["weixin", "1445308253", "2062414594"];
    check_signature(salt, encrypt, "320ef701f94a3b9a0e5dd7fc6cd6c326663091c8");
}

#[test]
fn the_sample_code_of_tencent_is_met() {
    check(
        SAMPLE_KEY,
        &Vector {
            appid: "wxb11529c136998cb6",
            random: b"aaaabbbbccccdddd",
            message: "我是中文abcd123",
            encrypt: "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==",
        },
    );
}

#[test]
fn a_ticket_is_met_under_both_spellings_of_the_key() {
    let encrypt = "w2hj5MvQ4sTfDoWJWSePE4z1BT56cHxDykb2syCCNBwbzl9cBBQHLLmSjq3930MeMMRKhXX+xb6ibYJSin6X/IW6+5MTMZxjo1JuhDKRPMyXEiGQNFXiHUxpOOB1l7ofY8WgRB+K4CumY5EGS2HE0nwZ1Kx4vLo8Yd9JdLJN/2MkAIHCNcsalYGDr+sUdDQLStpOdB4/L9EBVkDhQe6EGjXLkzvI1CCpbpdvMYosuQR6EQbgaSDxfplZbZQ5XR0KVDeZAorNgSJtt3/TctxLn224VPG+2iILuXaJkBdPlhAqKxCxNeLUEtjmDWBBic8OmmHA82k3hLdoxx7hOd5RzpOT3zFkGjk9J/PIcJcJ6byyTnCtQWTQhzljWKUxTq93";
    check_own(
        b"0123456789abcdef",
        "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000000</CreateTime><InfoType><![CDATA[component_verify_ticket]]></InfoType><ComponentVerifyTicket><![CDATA[ticket@@@EXAMPLE-ticket_0001]]></ComponentVerifyTicket></xml>",
        encrypt,
    );
    check_signature(
        ["exampleToken1", "1700000001", "987654321"],
        encrypt,
        "3f445cecfaeb3a7eba03612e30b69abd97e3d1f7",
    );
}

#[test]
fn an_authorized_notice_is_met_under_both_spellings_of_the_key() {
    let encrypt = "w2hj5MvQ4sTfDoWJWSePExBmLg5Qv9L7JhqPsN5pFWsA4iHOPYwd+sE2GG4uZJWglZkR4+J2Iq5j5lwEceGRxoYZmfDeuPnPCT4z5MiFTolYKbzXctDP51c8X7hes2zBQe9bX2CfiuqLs6XBxOFp7ix2Db0Kq4OWe5KGq5oVjKf6VClqR+qD7wFFmxZCio48JsgVArgzMuhU6Qq8QhFeA2vJMO+DS7We5wm8vVmlsIYcwt8d9hp39Kl8Hm9xDjV+RXkBGSxg7hpqafsCGiB2kYw9q19kY8YhznotypSFzltr6y+4lpFcE35DfF2Ek5L82qmeOdFpHYqPe9q6SYaCPxybfl3ye9aSSEukwYrc3t4PI3bRQEuP7JCVGLBceVi6++AY8/5/TVx4wBUqcDHEZmhwkuG+XjBqVmwvIFGsHGHvxio2/jr+NHUETalpcMIz9Yi++b827JfgCMTcRjSq7xHnWcN4kaPzhqOkCZbDW3s9CwFQ4jga56aypoavjEOmorgi5KteZ4JmmRcCeBj1OfVuhmdf7GPYXZT04eB0IJN85XfoKJF66vwUTgxTx95byKCCwBYworhB8zlCOlCjIP0tBL+KTEsPnUzvwrg8jz7ZyptFBkGCuOMNVhOCVGCU";
    check_own(
        b"0123456789abcdef",
        "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000100</CreateTime><InfoType><![CDATA[authorized]]></InfoType><AuthorizerAppid><![CDATA[wxfedcba9876543210]]></AuthorizerAppid><AuthorizationCode><![CDATA[queryauthcode@@@EXAMPLE-code_0001]]></AuthorizationCode><AuthorizationCodeExpiredTime>1700003700</AuthorizationCodeExpiredTime><PreAuthCode><![CDATA[preauthcode@@@EXAMPLE-pre_0001]]></PreAuthCode></xml>",
        encrypt,
    );
    check_signature(
        ["exampleToken1", "1700000001", "987654321"],
        encrypt,
        "674b9cf4f3686a236be1b9dab4c97cb879692c6a",
    );
}

#[test]
fn an_unauthorized_notice_is_met_under_both_spellings_of_the_key() {
    let encrypt = "w2hj5MvQ4sTfDoWJWSePE1SOGQMbMuXnqFYaGesM7zCzlzXok0+W/P0bt4q4IEp0dYcwD7IHXIU/vbsDvMPnTCfVZzLRP0muhNhNQZWWHgtk1y9xbGehOmm+eDCx3ErD5sp3FrFkujxcH4qsMlX1WR2f9twCC0vitVzH1aF1ET87zh9jpLdE7tyto2vdzwX9X4f1HuNEIwGEtezn4whxoVMv9Z/WlGv2lv2OeksG7WWYOZbTSU65c01W7o153xOqOYDGahEcqCxKVJ/vqW4P09lhkilfsZkOzLDJWsI4x1akcxkkeb14z2KrruwTGu3khwLu+AXA3FjJPFxcsTp/Mw==";
    check_own(
        b"0123456789abcdef",
        "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000200</CreateTime><InfoType><![CDATA[unauthorized]]></InfoType><AuthorizerAppid><![CDATA[wxfedcba9876543210]]></AuthorizerAppid></xml>",
        encrypt,
    );
    check_signature(
        ["exampleToken1", "1700000001", "987654321"],
        encrypt,
        "aec5e6d6be499c27b29a5cef2cb319196d0d8e99",
    );
}

#[test]
fn a_text_is_met_under_both_spellings_of_the_key() {
    let encrypt = "w2hj5MvQ4sTfDoWJWSePE2FBbVrtMcmYw8oFqoKJIeXpf2z3bhSx+AZ1wpG3CqNRMcBdaezyay94jqlVSTY6ChnUZ+4pih5dzyaR8+Rs+zfU7GiVbVhLpRGBspdohOPnOBXIX5DyEs3+KMLoSJXzwEb7ISMy/+z4ddETAKheQ3IvIBwKz74mEV8BEncjqRpB56rgBkHFhtAgsB6ThGPsNBSDDEzaRJ6mmcjt+AZkQuJV0dW1vWlVq0Xrdft7ndGYTLVatZ3CaxQn92xIHqlKOYrqtesgQwSNgar9YfiDzNHjh/nHIMX7gtsxGU6TfV7ySV+oJlTy+IR3BIgsVZyfJkewxuKZLtE6CicQYM/5GRhIAEOL0qaCnT+5vk8kEi5nbouYQSHDv5xUYHqgPWdPduj8q7bFyXMeNadSEiXCjR4fvZco5ojRksEWcYWdYZurhd3DT8xa9Zqgz+FXVI1EZQ==";
    check_own(
        b"0123456789abcdef",
        "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName><FromUserName><![CDATA[oEXAMPLE_openid_000000000001]]></FromUserName><CreateTime>1700000300</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[TESTCOMPONENT_MSG_TYPE_TEXT]]></Content><MsgId>23456789012345678</MsgId></xml>",
        encrypt,
    );
    check_signature(
        ["exampleToken1", "1700000001", "987654321"],
        encrypt,
        "5f9e41a68d257f8684ab10755469fcc9db06e221",
    );
}

#[test]
fn a_reply_is_met_under_both_spellings_of_the_key() {
    let encrypt = "uENM/0kfen2XEYuRdxY+LVaJ9UK7QI6QrBP0OYI54d/uKjeugRIibpzfOe541liIHOidT7ni0QBQzDf2b4aw97QqqhiASzsA9lCRh7rjolkZIYZ+NJl9cUnSkuTFXkIPO2CLhDafw6e3RXanQQLihoTRc765uUR03nVW9PzXDLCmsL8EE2g/hAdpEUoNarstxCtuRnCW+XBIH4vqtIuc8G2QCQn56KbjDJc0Z4/usz6ZNspaEeZ/ZGlmmGyEEjIgISyuYqAfzkXaSnyixfasrBmGdTLT+YP19vUxLU3lOy63E5/bd2B5IKZL+oiZsthDmclBRIxmwTVLrNFeuse4F4F5ZaLnSzF5h+Lmtm93ihjYJD9FHNYP6FmgWOdK0iL4onD+Rjui4sHPKw8bTcADQnfFgEPD+LMt8lpIB5uBti4=";
    check_own(
        b"fedcba9876543210",
        "<xml><ToUserName><![CDATA[oEXAMPLE_openid_000000000001]]></ToUserName><FromUserName><![CDATA[gh_0123456789ab]]></FromUserName><CreateTime>1700000301</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[TESTCOMPONENT_MSG_TYPE_TEXT_callback]]></Content></xml>",
        encrypt,
    );
    check_signature(
        ["exampleToken1", "1700000301", "135792468"],
        encrypt,
        "55d7ec88538c32f541997b25eb71bf5f7b08fb0f",
    );
}

#[test]
fn a_text_that_needs_no_padding_gets_a_whole_block_of_it() {
    let encrypt = "w2hj5MvQ4sTfDoWJWSePE9fZaheCOdBE8W3KKqxlTdKjd8/Q6RzE9oOyFFnRVKblLMCSaj1iaHX0TwjlkCjbjQbAZnYkWSy4jyhRuXOSElDhZJouObezkP4AZigArMBIgja+m4MtxX5b9YycWWlXXjbhp3NjFkgOB/BcUrJRfQB75m3ZgBRSCEK5EwqEmuB0YGzQjxAp2MBwvhP8h8b3+4ej4mDdczDLVtU3ZmIgcE2zTJOSfMvay0XFBoy7ULlXnTHMI33f5JGnRX+OhoB+tYQ2JIXGYBty+OnfFEjFk4jp/eqo66NHAf17su7lU0GvUJmQBkTymB1pMHSEtEOxZrXMkhwK3srf3duNUvjZi2yODirr1AP3FuQq28gR/5Ea";
    check_own(
        b"0123456789abcdef",
        "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000000</CreateTime><InfoType><![CDATA[unauthorized]]></InfoType><AuthorizerAppid><![CDATA[wxfedcba9876543210]]></AuthorizerAppid></xml>                 ",
        encrypt,
    );
    check_signature(
        ["exampleToken1", "1700000001", "987654321"],
        encrypt,
        "4d91402ffb68542195830a1168b2c1b953b17a1d",
    );
    let salt = ["exampleToken1", "1700000001", "987654321"];
    assert_eq!(sign(&salt), "fd18513e1d78a36c96975b8eb5ec881415e243ae");
}

#[test]
fn what_was_not_sealed_for_us_does_not_open() {
    let key = AesKey::parse(OWN_KEYS[0]).unwrap();
    let sealed = key.encrypt(*b"0123456789abcdef", b"<xml/>", OWN_APPID);
    let other = AesKey::parse(SAMPLE_KEY).unwrap();
    assert_eq!(other.decrypt(&sealed, OWN_APPID), Err(CipherError::Content));
    assert_eq!(
        key.decrypt(&sealed, "wxfedcba9876543210"),
        Err(CipherError::AppId)
    );
    assert_eq!(key.decrypt("AAAA", OWN_APPID), Err(CipherError::Encoding));
    assert_eq!(key.decrypt("", OWN_APPID), Err(CipherError::Encoding));
}

#[test]
fn a_key_has_43_characters() {
    for wrong in [
        "",
        "short",
        &format!("{SAMPLE_KEY}A"),
        &format!("{SAMPLE_KEY}="),
    ] {
        assert_eq!(
            AesKey::parse(wrong).err(),
            Some(CipherError::Key),
            "{wrong}"
        );
    }
}
