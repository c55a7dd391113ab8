//! Pushes that other projects have published, with the keys they were published with.

use wechat_simulator::Settings;

use super::{check_accepted, check_refused, stored_ticket, value};
use crate::world::rows::{number, text};
use crate::world::{BEGINNING, World};

/// A push as published.
struct Published {
    component: &'static str,
    query: &'static str,
    encrypt: &'static str,
}

impl Published {
    fn body(&self) -> String {
        format!(
            "<xml>\n    <AppId><![CDATA[{}]]></AppId>\n    <Encrypt><![CDATA[{}]]></Encrypt>\n</xml>\n",
            self.component, self.encrypt
        )
    }
}

/// The ticket push of a public test fixture, which looks captured. The key is that of Tencent's
/// sample code.
const CAPTURED: Published = Published {
    component: "wx9eeba14a01d3807f",
    query: "signature=fc3adbefb75bdc045aa376b2606073186e0abe9b&timestamp=1445308253&nonce=2062414594&encrypt_type=aes&msg_signature=4d6454ce7140ae24431fe54c8f66b9eee1f69723",
    encrypt: "wlHfmisYl+ktVgWbVpaTU8hCMsWCa6xuenc7seyAMl/2ZN+jjPU8dtZFl4QO6lpde8ltYPLXxd2PqfKGkZPbuhnok9hhmnBjFGD53Q4k8f1c71FES5/C0btL+6Vf7gl3EgT1hhjSHl5tylx3zo1/FpdF5qeoq0X6vdcXwWyZKg0RUugu2BoxBrtQTnSpvIQn4r1UuzID2Hu7R8Z9SMN5544tTLgaQ3GhsdLjoGJoRC1HxwvCo2QiPGawUxz+lL2Xp6J6r1hA8cnKwAUuDUBz7eJ4SWdDNhAdDI9PuKZm23/bSW2x+KQdjx+qQwJ9Qif+rVdHKOE4cObmrtLgaH8v3r57zRnrrUoeM1M8mAT19nafJHqkQrD28VWk20XEK2Ct096CCnHGUdU9VpA5o+ngMiTze3vRFHGB0I7p4q6IE9WIdCYhb+j7qKx3/IJxNILoVBrmLvXAwuRdPJbYXl1mKQ==",
};

/// The time of the captured push.
const CAPTURED_AT: u64 = 1_445_308_253;

/// A revocation of the same fixture, made by its author. It has an XML declaration, another order,
/// and a final line break.
const REVOCATION: Published = Published {
    component: "wx9eeba14a01d3807f",
    query: "signature=fc3adbefb75bdc045aa376b2606073186e0abe9b&timestamp=1445308253&nonce=2062414594&encrypt_type=aes&msg_signature=320ef701f94a3b9a0e5dd7fc6cd6c326663091c8",
    encrypt: "oPHWw0USRVbHH1e3FH2h+fwRAjz0i34NGo8SIuKqcyrqZGm1Sjf6Q20mRgm7eYC7LaOUIK7PnnmvnMBbeMTLzLYoul+Nqxz0eJnMIQPtcY6xjk0aw9Cq7QTN16xmeld3gjuV5EEQHfc0eREQu+LZ70/KydHtCBBYGBFKz6dc8IVnb72TaaXchoZoQ0UQAK91YGfepAZzNUeSmP5mp/tMyv9I0Akh8OcMLeP3uDEJDjlKZyof90bNLeit5MFw1I+2mEF9bbOOR7MuPX5KGEgInphhLNG/Q1B7az54UlR86T4cVF5/ChSNjLhQwyEfpO+9uqrmt0QkrJ5rXlHmwRGJtzwuZc0x9n4M38/KCLt93//ZEPu4rpSnJEHfkF+LAXV0",
};

const TICKET: Published = example(
    "signature=fd18513e1d78a36c96975b8eb5ec881415e243ae&timestamp=1700000001&nonce=987654321&encrypt_type=aes&msg_signature=3f445cecfaeb3a7eba03612e30b69abd97e3d1f7",
    "w2hj5MvQ4sTfDoWJWSePE4z1BT56cHxDykb2syCCNBwbzl9cBBQHLLmSjq3930MeMMRKhXX+xb6ibYJSin6X/IW6+5MTMZxjo1JuhDKRPMyXEiGQNFXiHUxpOOB1l7ofY8WgRB+K4CumY5EGS2HE0nwZ1Kx4vLo8Yd9JdLJN/2MkAIHCNcsalYGDr+sUdDQLStpOdB4/L9EBVkDhQe6EGjXLkzvI1CCpbpdvMYosuQR6EQbgaSDxfplZbZQ5XR0KVDeZAorNgSJtt3/TctxLn224VPG+2iILuXaJkBdPlhAqKxCxNeLUEtjmDWBBic8OmmHA82k3hLdoxx7hOd5RzpOT3zFkGjk9J/PIcJcJ6byyTnCtQWTQhzljWKUxTq93",
);

const AUTHORIZED: Published = example(
    "signature=fd18513e1d78a36c96975b8eb5ec881415e243ae&timestamp=1700000001&nonce=987654321&encrypt_type=aes&msg_signature=674b9cf4f3686a236be1b9dab4c97cb879692c6a",
    "w2hj5MvQ4sTfDoWJWSePExBmLg5Qv9L7JhqPsN5pFWsA4iHOPYwd+sE2GG4uZJWglZkR4+J2Iq5j5lwEceGRxoYZmfDeuPnPCT4z5MiFTolYKbzXctDP51c8X7hes2zBQe9bX2CfiuqLs6XBxOFp7ix2Db0Kq4OWe5KGq5oVjKf6VClqR+qD7wFFmxZCio48JsgVArgzMuhU6Qq8QhFeA2vJMO+DS7We5wm8vVmlsIYcwt8d9hp39Kl8Hm9xDjV+RXkBGSxg7hpqafsCGiB2kYw9q19kY8YhznotypSFzltr6y+4lpFcE35DfF2Ek5L82qmeOdFpHYqPe9q6SYaCPxybfl3ye9aSSEukwYrc3t4PI3bRQEuP7JCVGLBceVi6++AY8/5/TVx4wBUqcDHEZmhwkuG+XjBqVmwvIFGsHGHvxio2/jr+NHUETalpcMIz9Yi++b827JfgCMTcRjSq7xHnWcN4kaPzhqOkCZbDW3s9CwFQ4jga56aypoavjEOmorgi5KteZ4JmmRcCeBj1OfVuhmdf7GPYXZT04eB0IJN85XfoKJF66vwUTgxTx95byKCCwBYworhB8zlCOlCjIP0tBL+KTEsPnUzvwrg8jz7ZyptFBkGCuOMNVhOCVGCU",
);

const UNAUTHORIZED: Published = example(
    "signature=fd18513e1d78a36c96975b8eb5ec881415e243ae&timestamp=1700000001&nonce=987654321&encrypt_type=aes&msg_signature=aec5e6d6be499c27b29a5cef2cb319196d0d8e99",
    "w2hj5MvQ4sTfDoWJWSePE1SOGQMbMuXnqFYaGesM7zCzlzXok0+W/P0bt4q4IEp0dYcwD7IHXIU/vbsDvMPnTCfVZzLRP0muhNhNQZWWHgtk1y9xbGehOmm+eDCx3ErD5sp3FrFkujxcH4qsMlX1WR2f9twCC0vitVzH1aF1ET87zh9jpLdE7tyto2vdzwX9X4f1HuNEIwGEtezn4whxoVMv9Z/WlGv2lv2OeksG7WWYOZbTSU65c01W7o153xOqOYDGahEcqCxKVJ/vqW4P09lhkilfsZkOzLDJWsI4x1akcxkkeb14z2KrruwTGu3khwLu+AXA3FjJPFxcsTp/Mw==",
);

/// The plain text fills whole blocks, so that its padding is a block of 32 bytes.
const PADDED: Published = example(
    "signature=fd18513e1d78a36c96975b8eb5ec881415e243ae&timestamp=1700000001&nonce=987654321&encrypt_type=aes&msg_signature=4d91402ffb68542195830a1168b2c1b953b17a1d",
    "w2hj5MvQ4sTfDoWJWSePE9fZaheCOdBE8W3KKqxlTdKjd8/Q6RzE9oOyFFnRVKblLMCSaj1iaHX0TwjlkCjbjQbAZnYkWSy4jyhRuXOSElDhZJouObezkP4AZigArMBIgja+m4MtxX5b9YycWWlXXjbhp3NjFkgOB/BcUrJRfQB75m3ZgBRSCEK5EwqEmuB0YGzQjxAp2MBwvhP8h8b3+4ej4mDdczDLVtU3ZmIgcE2zTJOSfMvay0XFBoy7ULlXnTHMI33f5JGnRX+OhoB+tYQ2JIXGYBty+OnfFEjFk4jp/eqo66NHAf17su7lU0GvUJmQBkTymB1pMHSEtEOxZrXMkhwK3srf3duNUvjZi2yODirr1AP3FuQq28gR/5Ea",
);

const fn example(query: &'static str, encrypt: &'static str) -> Published {
    Published {
        component: "wx0123456789abcdef",
        query,
        encrypt,
    }
}

/// A world with the fixture's keys and time.
async fn at_the_fixture_s_time() -> World {
    let world = World::with(Settings {
        component_appid: CAPTURED.component.to_owned(),
        token: "weixin".to_owned(),
        encoding_aes_key: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".to_owned(),
        ..Settings::example()
    })
    .await;
    world.clock.set(CAPTURED_AT);
    world
}

#[tokio::test]
async fn the_captured_ticket_is_stored() {
    let world = at_the_fixture_s_time().await;
    check_accepted(&world, "captured", CAPTURED.query, CAPTURED.body()).await;
    let ticket = "ticket@@@1S8ekCXqBTTCMFLI9ekk2jh8u3NyelwnQoc_Rbpr3X0gKlGiYKhlQrERhGOrsGJ3OcQnWuszOI7iLwe-KaMIVA";
    let stored = stored_ticket(&world).await.unwrap();
    assert_eq!(stored, (ticket.to_owned(), CAPTURED_AT));
}

#[tokio::test]
async fn the_fixture_s_revocation_is_stored() {
    let world = at_the_fixture_s_time().await;
    check_accepted(&world, "made", REVOCATION.query, REVOCATION.body()).await;
    let rows = world.rows().await;
    let (pk, row) = rows.first_key_value().unwrap();
    assert!(pk.starts_with("notice#"));
    assert_eq!(text(row, "info_type"), "unauthorized");
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn the_captured_push_is_refused_at_another_time_and_under_other_keys() {
    let world = at_the_fixture_s_time().await;
    for later in [3601, 86_400, BEGINNING - CAPTURED_AT] {
        world.clock.set(CAPTURED_AT + later);
        check_refused(&world, "late", CAPTURED.query, CAPTURED.body(), 403).await;
        world.clock.set(CAPTURED_AT - later);
        check_refused(&world, "early", CAPTURED.query, CAPTURED.body(), 403).await;
    }
    let world = World::new().await;
    world.clock.set(CAPTURED_AT);
    check_refused(&world, "other keys", CAPTURED.query, CAPTURED.body(), 403).await;
}

#[tokio::test]
async fn the_captured_signature_that_does_not_cover_the_body_proves_nothing() {
    let world = at_the_fixture_s_time().await;
    let signature = value(CAPTURED.query, "signature");
    let proof = value(CAPTURED.query, "msg_signature");
    let swapped = CAPTURED.query.replace(proof, signature);
    check_refused(&world, "swapped", &swapped, CAPTURED.body(), 403).await;
}

#[tokio::test]
async fn the_published_example_pushes_are_stored_under_either_spelling_of_the_key() {
    for key in [
        "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A",
        "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3B",
    ] {
        let world = World::with(Settings {
            encoding_aes_key: key.to_owned(),
            ..Settings::example()
        })
        .await;
        for published in [&TICKET, &AUTHORIZED, &UNAUTHORIZED, &PADDED] {
            check_accepted(&world, key, published.query, published.body()).await;
        }
        let stored = stored_ticket(&world).await.unwrap();
        assert_eq!(
            stored,
            ("ticket@@@EXAMPLE-ticket_0001".to_owned(), 1_700_000_000)
        );
        let mut rows = world.rows().await;
        rows.remove("component#ticket").unwrap();
        let mut notices: Vec<_> = rows
            .values()
            .map(|row| (text(row, "info_type"), number(row, "create_time")))
            .collect();
        notices.sort();
        let expected = [
            ("authorized", 1_700_000_100),
            ("unauthorized", 1_700_000_000),
            ("unauthorized", 1_700_000_200),
        ];
        let expected = expected.map(|(kind, at)| (kind.to_owned(), at));
        assert_eq!(notices, expected);
    }
}
