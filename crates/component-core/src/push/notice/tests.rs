//! What the plain text of a push may hold, and what it may not.

use super::*;

const TICKET: &str = "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000000</CreateTime><InfoType><![CDATA[component_verify_ticket]]></InfoType><ComponentVerifyTicket><![CDATA[ticket@@@EXAMPLE]]></ComponentVerifyTicket></xml>";

const AUTHORIZED: &str = "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000100</CreateTime><InfoType><![CDATA[authorized]]></InfoType><AuthorizerAppid><![CDATA[wxfedcba9876543210]]></AuthorizerAppid><AuthorizationCode><![CDATA[queryauthcode@@@EXAMPLE]]></AuthorizationCode><AuthorizationCodeExpiredTime>1700003700</AuthorizationCodeExpiredTime><PreAuthCode><![CDATA[preauthcode@@@EXAMPLE]]></PreAuthCode></xml>";

const UNAUTHORIZED: &str = "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000200</CreateTime><InfoType><![CDATA[unauthorized]]></InfoType><AuthorizerAppid><![CDATA[wxfedcba9876543210]]></AuthorizerAppid></xml>";

fn parse(plain: &str) -> Option<Notice> {
    let component = ComponentAppId::parse("wx0123456789abcdef").unwrap();
    Notice::parse(plain.as_bytes(), &component)
}

fn authorization(created_at: u64, change: AuthorizationChange) -> AuthorizationNotice {
    AuthorizationNotice {
        created_at: Timestamp::from_secs(created_at),
        authorizer: AuthorizerAppId::parse("wxfedcba9876543210").unwrap(),
        change,
    }
}

fn grant(pre_auth_code: Option<&str>) -> GrantedCode {
    GrantedCode {
        code: Secret::parse("queryauthcode@@@EXAMPLE").unwrap(),
        pre_auth_code: pre_auth_code.and_then(Secret::parse),
    }
}

#[track_caller]
fn check(plain: &str, expected: &AuthorizationNotice) {
    match parse(plain) {
        Some(Notice::Authorization(notice)) => assert_eq!(notice, *expected, "{plain}"),
        other => panic!("{plain} is read as {other:?}"),
    }
}

#[track_caller]
fn check_ticket(plain: &str) {
    match parse(plain) {
        Some(Notice::Ticket { created_at, ticket }) => {
            assert_eq!(created_at.as_secs(), 1_700_000_000, "{plain}");
            assert_eq!(ticket.expose(), "ticket@@@EXAMPLE", "{plain}");
        }
        other => panic!("{plain} is read as {other:?}"),
    }
}

#[track_caller]
fn check_refused(plain: &str) {
    let notice = parse(plain);
    assert!(notice.is_none(), "{plain} is read as {notice:?}");
}

#[track_caller]
fn check_unknown(info_type: &str, logged_as: &str) {
    let plain = UNAUTHORIZED.replace("[unauthorized]", &format!("[{info_type}]"));
    match parse(&plain) {
        Some(Notice::Unknown { info_type }) => assert_eq!(info_type, logged_as),
        other => panic!("{plain} is read as {other:?}"),
    }
}

/// `plain` with its `element` taken out.
#[track_caller]
fn without(plain: &str, element: &str) -> String {
    let (before, rest) = plain.split_once(&format!("<{element}>")).unwrap();
    let (_, after) = rest.split_once(&format!("</{element}>")).unwrap();
    format!("{before}{after}")
}

#[test]
fn each_kind_of_notice_is_read() {
    check_ticket(TICKET);
    let pre_auth_code = Some("preauthcode@@@EXAMPLE");
    let authorized = AuthorizationChange::Authorized(grant(pre_auth_code));
    check(AUTHORIZED, &authorization(1_700_000_100, authorized));
    let updated = AuthorizationChange::Updated(grant(pre_auth_code));
    check(
        &AUTHORIZED.replace("[authorized]", "[updateauthorized]"),
        &authorization(1_700_000_100, updated),
    );
    let unauthorized = AuthorizationChange::Unauthorized;
    check(UNAUTHORIZED, &authorization(1_700_000_200, unauthorized));
}

#[test]
fn an_authorization_may_come_without_its_pre_auth_code() {
    let authorized = authorization(1_700_000_100, AuthorizationChange::Authorized(grant(None)));
    check(&without(AUTHORIZED, "PreAuthCode"), &authorized);
    check(
        &AUTHORIZED.replace("preauthcode@@@EXAMPLE", ""),
        &authorized,
    );
}

#[test]
fn the_form_of_the_xml_does_not_matter() {
    let time = "<CreateTime>1700000000</CreateTime>";
    let info_type = "<InfoType><![CDATA[component_verify_ticket]]></InfoType>";
    for other_form in [
        TICKET.replace(&format!("{time}{info_type}"), &format!("{info_type}{time}")),
        without(TICKET, "CreateTime").replace("</xml>", &format!("{time}</xml>")),
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{TICKET}\n"),
        TICKET.replace("1700000000", "<![CDATA[1700000000]]>"),
        TICKET.replace("1700000000", "\n 1700000000\t"),
        TICKET.replace("1700000000", "\n<![CDATA[ 1700000000 ]]>\n"),
        TICKET.replace("><", ">\r\n  <"),
        TICKET.replace("<![CDATA[", "").replace("]]>", ""),
        TICKET.replace(
            "<![CDATA[ticket@@@EXAMPLE]]>",
            "ticket&#64;@@EX<![CDATA[AMPLE]]>",
        ),
        TICKET.replace(
            "</xml>",
            "<!-- more --><AuthorizerAppid/><New><CreateTime>1</CreateTime></New></xml>",
        ),
    ] {
        check_ticket(&other_form);
    }
}

#[test]
fn a_notice_that_lacks_what_it_is_about_is_refused() {
    for (plain, elements) in [
        (
            TICKET,
            &["AppId", "CreateTime", "InfoType", "ComponentVerifyTicket"][..],
        ),
        (
            AUTHORIZED,
            &[
                "AppId",
                "CreateTime",
                "InfoType",
                "AuthorizerAppid",
                "AuthorizationCode",
            ],
        ),
        (
            UNAUTHORIZED,
            &["AppId", "CreateTime", "InfoType", "AuthorizerAppid"],
        ),
    ] {
        for element in elements {
            check_refused(&without(plain, element));
        }
    }
}

#[test]
fn a_notice_with_a_wrong_value_is_refused() {
    for created_at in [
        "",
        "-1",
        "1.5",
        "0x10",
        "soon",
        "18446744073709551616",
        "1 2",
    ] {
        check_refused(&TICKET.replace("1700000000", created_at));
    }
    for ticket in ["", " ", "a b", "\u{7968}", &"t".repeat(2049)] {
        check_refused(&TICKET.replace("ticket@@@EXAMPLE", ticket));
    }
    check_refused(&AUTHORIZED.replace("queryauthcode@@@EXAMPLE", ""));
    for appid in [
        "",
        "wx",
        "wxFEDCBA9876543210",
        "gh_97417a04a28d",
        "wxfedcba9876543210#",
    ] {
        check_refused(&AUTHORIZED.replace("wxfedcba9876543210", appid));
        check_refused(&UNAUTHORIZED.replace("wxfedcba9876543210", appid));
    }
    for appid in ["", "wx0123456789abcdee", "WX0123456789ABCDEF"] {
        check_refused(&TICKET.replace("wx0123456789abcdef", appid));
    }
}

#[test]
fn what_is_not_one_plain_xml_element_is_refused() {
    for wrong in [
        "",
        "success",
        "{\"InfoType\":\"unauthorized\"}",
        "<xml>",
        "<xml/>",
        &TICKET.replace("<xml>", "<XML>").replace("</xml>", "</XML>"),
        &TICKET.replace("</xml>", ""),
        &TICKET.replace("</xml>", "<xml>"),
        &TICKET.replace("</CreateTime>", "</Createtime>"),
        &format!("{TICKET}{UNAUTHORIZED}"),
        &format!("{TICKET}<xml/>"),
        &format!("{TICKET}x"),
        &format!("x{TICKET}"),
        &TICKET.replace("</xml>", "<InfoType>unauthorized</InfoType></xml>"),
        &TICKET.replace("</xml>", "<InfoType/></xml>"),
        &TICKET.replace("</xml>", "<?php ?></xml>"),
    ] {
        check_refused(wrong);
    }
}

#[test]
fn a_doctype_or_an_entity_of_its_own_is_refused() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
    check_refused(&format!("<!DOCTYPE xml>{TICKET}"));
    check_refused(&format!(
        "{bomb}{}",
        TICKET.replace("<![CDATA[ticket@@@EXAMPLE]]>", "&b;")
    ));
    check_refused(&TICKET.replace("<![CDATA[ticket@@@EXAMPLE]]>", "&b;"));
    check_refused(&TICKET.replace("<![CDATA[ticket@@@EXAMPLE]]>", "t&#xD800;"));
}

#[test]
fn a_kind_that_is_not_known_is_named_as_a_log_line_bears_it() {
    check_unknown("notify_third_fasteregister", "notify_third_fasteregister");
    check_unknown("Unauthorized", "Unauthorized");
    check_unknown("evil\n{\"level\":\u{1b}[31m}\u{202e}", "evillevel31m");
    check_unknown("", "");
    check_unknown(&"a".repeat(1000), &"a".repeat(64));
}

#[test]
fn a_kind_that_is_not_known_needs_nothing_but_its_name() {
    let bare = "<xml><AppId>wx0123456789abcdef</AppId><InfoType>new</InfoType></xml>";
    assert!(matches!(parse(bare), Some(Notice::Unknown { .. })));
}

#[test]
fn each_change_is_called_what_wechat_calls_it() {
    for (change, info_type) in [
        (AuthorizationChange::Authorized(grant(None)), "authorized"),
        (
            AuthorizationChange::Updated(grant(None)),
            "updateauthorized",
        ),
        (AuthorizationChange::Unauthorized, "unauthorized"),
    ] {
        assert_eq!(change.info_type(), info_type);
        let plain = AUTHORIZED.replace("[authorized]", &format!("[{info_type}]"));
        match parse(&plain) {
            Some(Notice::Authorization(notice)) => {
                assert_eq!(notice.change.info_type(), info_type);
            }
            other => panic!("{plain} is read as {other:?}"),
        }
    }
}
