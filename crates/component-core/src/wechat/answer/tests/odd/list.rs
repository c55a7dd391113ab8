//! Pages of WeChat's list with odd entries, and how the list goes on after them.

use super::*;

/// The page from 1000 on.
async fn page(body: &str) -> Result<AuthorizerPage, WechatError> {
    let session = Canned::new(body.as_bytes()).session();
    session.get_authorizer_list(1000).await
}

/// Checks the entries of a page from 1000 on, as `(appid, refresh token, auth_time)`, and the next
/// offset.
async fn check_page(body: &str, expected: &[(&str, Option<&str>, u64)], next: Option<u64>) {
    let got = page(body).await;
    let got = got.unwrap_or_else(|error| panic!("{body}: {error:?}"));
    let entries = got.authorizers.iter().map(|entry| {
        let token = entry.refresh_token.as_ref().map(Secret::expose);
        (entry.authorizer.as_str(), token, entry.auth_time.as_secs())
    });
    assert_eq!(entries.collect::<Vec<_>>(), expected, "{body}");
    assert_eq!(got.next, next, "{body}");
}

/// A page with `entry` and a good one, and a next page.
async fn check_entry(entry: &str, expected: Option<(&str, Option<&str>, u64)>) {
    let good = format!(r#"{{"authorizer_appid":"{OTHER}","refresh_token":"r","auth_time":5}}"#);
    let body = format!(r#"{{"total_count":2000,"list":[{entry},{good}]}}"#);
    let mut all = Vec::from_iter(expected);
    all.push((OTHER, Some("r"), 5));
    check_page(&body, &all, Some(1002)).await;
}

#[tokio::test]
async fn an_odd_entry_of_the_list_costs_neither_the_others_nor_the_later_pages() {
    for (auth_time, expected) in [
        (r#""auth_time":7"#, 7),
        (r#""auth_time":"7""#, 7),
        (r#""auth_time":7.5"#, 7),
        (r#""auth_time":null"#, 0),
        (r#""auth_time":"""#, 0),
        (r#""auth_time":"soon""#, 0),
        (r#""auth_time":-7"#, 0),
        (r#""auth_time":1700007200"#, 1_700_007_200),
        (r#""auth_time":1700007201"#, 0),
        (r#""auth_time":1558000607000"#, 0),
        (r#""nick_name":"\ud83d""#, 0),
        ("", 0),
    ] {
        let entry = format!(r#"{{"authorizer_appid":"{APPID}","refresh_token":"a",{auth_time}}}"#);
        check_entry(&entry, Some((APPID, Some("a"), expected))).await;
    }
    for none in ["null", r#""""#, "7", "{}", ""] {
        let entry = format!(r#"{{"authorizer_appid":"{APPID}","refresh_token":{none}}}"#);
        check_entry(&entry, Some((APPID, None, 0))).await;
    }
    for entry in [
        r#"{"refresh_token":"a","auth_time":7}"#,
        r#"{"authorizer_appid":null,"refresh_token":"a"}"#,
        r#"{"authorizer_appid":"wx","refresh_token":"a"}"#,
        "{}",
        "[]",
        "null",
        r#""odd""#,
        "7",
    ] {
        check_entry(entry, None).await;
    }
}

#[tokio::test]
async fn the_list_goes_on_until_its_count_or_an_empty_page() {
    let list = format!(r#""list":[7,{{"authorizer_appid":"{OTHER}"}}]"#);
    let other = [(OTHER, None, 0)];
    for (total_count, next) in [
        ("1003", Some(1002)),
        ("1002", None),
        (r#""1002""#, None),
        ("1002.0", None),
        (r#""2000""#, Some(1002)),
        ("null", Some(1002)),
        ("{}", Some(1002)),
        ("-1", Some(1002)),
        ("0", Some(1002)),
        ("", Some(1002)),
    ] {
        let body = format!(r#"{{"total_count":{total_count},{list}}}"#);
        check_page(&body, &other, next).await;
    }
    check_page(&format!("{{{list}}}"), &other, Some(1002)).await;
    check_page(r#"{"total_count":2000,"list":[]}"#, &[], None).await;
    check_page(r#"{"list":[]}"#, &[], None).await;
    // A page that cannot be read is passed over.
    for list in ["null", "{}", "7", r#""""#] {
        let body = |total| format!(r#"{{"total_count":{total},"list":{list}}}"#);
        check_page(&body(1501), &[], Some(1500)).await;
        check_page(&body(1500), &[], None).await;
        check_page(&body(0), &[], None).await;
    }
    check_page(r#"{"total_count":1501}"#, &[], Some(1500)).await;
    // And what tells neither entries nor a count does not end the list.
    for nothing in [
        "{}",
        r#"{"list":null}"#,
        r#"{"total_count":1501,"list":["#,
        r#"{"total_count":1501,"list":[{"#,
    ] {
        let got = page(nothing).await;
        assert!(
            got.is_err() || got.is_ok_and(|page| page.next.is_some()),
            "{nothing}"
        );
    }
}
