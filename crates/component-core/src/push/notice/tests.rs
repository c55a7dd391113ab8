//! What the plain text of a push may hold, and what it may not.

use super::*;

const TICKET: &str = "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000000</CreateTime><InfoType><![CDATA[component_verify_ticket]]></InfoType><ComponentVerifyTicket><![CDATA[ticket@@@EXAMPLE]]></ComponentVerifyTicket></xml>";

const AUTHORIZED: &str = "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000100</CreateTime><InfoType><![CDATA[authorized]]></InfoType><AuthorizerAppid><![CDATA[wxfedcba9876543210]]></AuthorizerAppid><AuthorizationCode><![CDATA[queryauthcode@@@EXAMPLE]]></AuthorizationCode><AuthorizationCodeExpiredTime>1700003700</AuthorizationCodeExpiredTime><PreAuthCode><![CDATA[preauthcode@@@EXAMPLE]]></PreAuthCode></xml>";

const UNAUTHORIZED: &str = "<xml><AppId><![CDATA[wx0123456789abcdef]]></AppId><CreateTime>1700000200</CreateTime><InfoType><![CDATA[unauthorized]]></InfoType><AuthorizerAppid><![CDATA[wxfedcba9876543210]]></AuthorizerAppid></xml>";

/// When each push of these tests is sealed.
const SEALED_AT: u64 = 1_700_000_300;

#[track_caller]
fn parse(plain: &str) -> Notice {
    Notice::parse(plain.as_bytes(), &component(), SEALED).expect(plain)
}

const SEALED: Timestamp = Timestamp::from_secs(SEALED_AT);

fn component() -> ComponentAppId {
    ComponentAppId::parse("wx0123456789abcdef").unwrap()
}

fn authorization(created_at: u64, change: AuthorizationChange) -> AuthorizationNotice {
    AuthorizationNotice {
        created_at: Timestamp::from_secs(created_at),
        authorizer: AuthorizerAppId::parse("wxfedcba9876543210").unwrap(),
        change,
    }
}

fn grant(pre_auth_code: Option<&str>) -> Grant {
    Grant {
        code: Secret::parse("queryauthcode@@@EXAMPLE"),
        pre_auth_code: pre_auth_code.and_then(Secret::parse),
    }
}

#[track_caller]
fn check(plain: &str, expected: &AuthorizationNotice) {
    match parse(plain) {
        Notice::Authorization(notice) => assert_eq!(notice, *expected, "{plain}"),
        other => panic!("{plain} is read as {other:?}"),
    }
}

#[track_caller]
fn check_ticket(plain: &str) {
    check_ticket_of(plain, 1_700_000_000);
}

#[track_caller]
fn check_ticket_of(plain: &str, at: u64) {
    match parse(plain) {
        Notice::Ticket { created_at, ticket } => {
            assert_eq!(created_at.as_secs(), at, "{plain}");
            assert_eq!(ticket.expose(), "ticket@@@EXAMPLE", "{plain}");
        }
        other => panic!("{plain} is read as {other:?}"),
    }
}

fn label(kind: &str, appid: &str) -> Label {
    Label {
        kind: kind.to_owned(),
        appid: appid.to_owned(),
    }
}

#[track_caller]
fn check_unusable(plain: &str, kind: &str, appid: &str) {
    match parse(plain) {
        Notice::Unusable(told) => assert_eq!(told, label(kind, appid), "{plain}"),
        other => panic!("{plain} is read as {other:?}"),
    }
}

#[track_caller]
fn check_unknown(plain: &str, kind: &str, appid: &str) {
    match parse(plain) {
        Notice::Other { label: told, .. } => assert_eq!(told, label(kind, appid), "{plain}"),
        other => panic!("{plain} is read as {other:?}"),
    }
}

#[track_caller]
fn check_kind(info_type: &str, logged_as: &str) {
    let plain = UNAUTHORIZED.replace("[unauthorized]", &format!("[{info_type}]"));
    check_unknown(&plain, logged_as, "wxfedcba9876543210");
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
fn a_notice_is_handled_whatever_else_stands_in_it() {
    let others = [
        "<Remark>A & B</Remark>",
        "<Remark>A &amp B &nothing; &#xD83D;&#xDE00;</Remark>",
        "<Remark><![CDATA[a <![CDATA[b]]> c]]></Remark>",
        "<Remark>1 < 2 <b></Remark>",
        "<Remark><InfoType>other</InfoType><AuthorizerAppid>wx</AuthorizerAppid></Remark>",
        "<Remark><![CDATA[</Remark><InfoType>other</InfoType>]]></Remark>",
        "<Remark/><Remark/>",
        "<?php ?>",
        "text",
    ];
    let unauthorized = authorization(1_700_000_200, AuthorizationChange::Unauthorized);
    for other in others {
        check_ticket(&TICKET.replace("<xml>", &format!("<xml>{other}")));
        check(
            &UNAUTHORIZED.replace("<xml>", &format!("<xml>{other}")),
            &unauthorized,
        );
        check(
            &UNAUTHORIZED.replace("</xml>", &format!("{other}</xml>")),
            &unauthorized,
        );
    }
    let elements = UNAUTHORIZED.replace("</xml>", "");
    for end in [
        "",
        "<xml>",
        "</xml></xml>",
        "</xml><xml><InfoType>x</InfoType></xml>",
    ] {
        check(&format!("{elements}{end}"), &unauthorized);
    }
    let mut plain = UNAUTHORIZED.replace("</xml>", "<Remark>").into_bytes();
    plain.extend(b"\xc4\xe3\xed\xa0\xbd</Remark></xml>");
    let notice = Notice::parse(&plain, &component(), SEALED).unwrap();
    assert!(matches!(notice, Notice::Authorization(_)), "{notice:?}");
}

#[test]
fn an_inner_app_id_is_not_needed() {
    check_ticket(&without(TICKET, "AppId"));
    let unauthorized = AuthorizationChange::Unauthorized;
    check(
        &without(UNAUTHORIZED, "AppId"),
        &authorization(1_700_000_200, unauthorized),
    );
}

#[test]
fn an_authorization_may_come_without_its_code() {
    let pre_auth_code = Secret::parse("preauthcode@@@EXAMPLE");
    let grant = Grant {
        code: None,
        pre_auth_code,
    };
    let authorized = AuthorizationChange::Authorized(grant.clone());
    let authorized = authorization(1_700_000_100, authorized);
    check(&without(AUTHORIZED, "AuthorizationCode"), &authorized);
    for blank in ["", " ", "two words"] {
        let plain = AUTHORIZED.replace("queryauthcode@@@EXAMPLE", blank);
        check(&plain, &authorized);
    }
    let updated = AuthorizationChange::Updated(grant);
    check(
        &without(AUTHORIZED, "AuthorizationCode").replace("[authorized]", "[updateauthorized]"),
        &authorization(1_700_000_100, updated),
    );
}

#[test]
fn a_time_that_cannot_be_is_replaced_by_that_of_the_seal() {
    for told in [
        "",
        "0",
        "-1",
        "1.5",
        "0x10",
        "soon",
        "1 2",
        "&#xD83D;",
        "1700000300000",
        "1700003901",
        "18446744073709551615",
        "18446744073709551616",
    ] {
        check_ticket_of(&TICKET.replace("1700000000", told), SEALED_AT);
    }
    check_ticket_of(&without(TICKET, "CreateTime"), SEALED_AT);
    let unauthorized = AuthorizationChange::Unauthorized;
    check(
        &UNAUTHORIZED.replace("1700000200", "1700000200000"),
        &authorization(SEALED_AT, unauthorized),
    );
}

#[test]
fn a_time_up_to_an_hour_after_the_seal_or_any_before_it_is_believed() {
    for told in [1, 1_445_308_253, SEALED_AT, SEALED_AT + 3600] {
        check_ticket_of(&TICKET.replace("1700000000", &told.to_string()), told);
        let cdata = format!(" <![CDATA[\n{told} ]]>");
        check_ticket_of(&TICKET.replace("1700000000", &cdata), told);
    }
}

#[test]
fn a_notice_that_lacks_what_it_is_about_cannot_be_used() {
    let account = "wxfedcba9876543210";
    check_unusable(
        &without(TICKET, "ComponentVerifyTicket"),
        "component_verify_ticket",
        "",
    );
    check_unusable(&without(AUTHORIZED, "AuthorizerAppid"), "authorized", "");
    check_unusable(
        &without(UNAUTHORIZED, "AuthorizerAppid"),
        "unauthorized",
        "",
    );
    let (cut, _) = TICKET.split_once("AMPLE").unwrap();
    check_unusable(cut, "component_verify_ticket", "");
    for ticket in ["", " ", "a b", "\u{7968}", &"t".repeat(2049)] {
        let plain = TICKET.replace("ticket@@@EXAMPLE", ticket);
        check_unusable(&plain, "component_verify_ticket", "");
    }
    for (appid, logged_as) in [
        ("", ""),
        ("wx", "wx"),
        ("wxFEDCBA9876543210", "wxFEDCBA9876543210"),
        ("gh_97417a04a28d", "gh_97417a04a28d"),
        ("wxfedcba9876543210#\n", account),
    ] {
        let plain = AUTHORIZED.replace(account, appid);
        check_unusable(&plain, "authorized", logged_as);
        check_unusable(
            &UNAUTHORIZED.replace(account, appid),
            "unauthorized",
            logged_as,
        );
    }
}

#[test]
fn a_notice_that_names_another_component_cannot_be_used() {
    for appid in ["", "wx0123456789abcdee", "WX0123456789ABCDEF"] {
        let plain = TICKET.replace("wx0123456789abcdef", appid);
        check_unusable(&plain, "component_verify_ticket", appid);
    }
    let twice = TICKET.replace("</xml>", "<AppId>wx0123456789abcdef</AppId></xml>");
    check_unusable(&twice, "component_verify_ticket", "");
}

#[test]
fn a_field_that_comes_twice_cannot_be_used_where_it_is_needed() {
    let with = |plain: &str, more: &str| plain.replace("</xml>", &format!("{more}</xml>"));
    let account = "wxfedcba9876543210";
    for more in [
        "<InfoType/>",
        "<CreateTime>1700000000</CreateTime>",
        "<ComponentVerifyTicket>t</ComponentVerifyTicket>",
    ] {
        let kind = if more == "<InfoType/>" {
            ""
        } else {
            "component_verify_ticket"
        };
        check_unusable(&with(TICKET, more), kind, "");
    }
    let code = "<AuthorizationCode>queryauthcode@@@EXAMPLE</AuthorizationCode>";
    check_unusable(&with(AUTHORIZED, code), "authorized", account);
    let other = "<AuthorizerAppid>wx0000000000000000</AuthorizerAppid>";
    check_unusable(&with(UNAUTHORIZED, other), "unauthorized", "");
    // These are not read here.
    let unauthorized = authorization(1_700_000_200, AuthorizationChange::Unauthorized);
    check(&with(UNAUTHORIZED, &code.repeat(2)), &unauthorized);
    let pre_auth_code = "<PreAuthCode>preauthcode@@@OTHER</PreAuthCode>";
    let authorized = AuthorizationChange::Authorized(grant(None));
    check(
        &with(AUTHORIZED, pre_auth_code),
        &authorization(1_700_000_100, authorized),
    );
}

#[test]
fn what_is_no_notice_at_all_is_of_an_unknown_kind() {
    for plain in [
        "",
        "success",
        "{\"InfoType\":\"unauthorized\"}",
        "<xml>",
        "<xml/>",
        "<xml><List><OrderId>1</OrderId></List></xml>",
        "<xml><List><InfoType>unauthorized</InfoType></List></xml>",
        &TICKET.replace("<xml>", "<XML>").replace("</xml>", "</XML>"),
        &format!("<xml/>{UNAUTHORIZED}"),
    ] {
        check_unknown(plain, "", "");
    }
    let event = "<xml><ToUserName>gh_97417a04a28d</ToUserName><MsgType><![CDATA[event]]></MsgType><Event>weapp_audit_success</Event><Info><appid>wx1</appid></Info></xml>";
    check_unknown(event, "weapp_audit_success", "");
    check_unknown(&without(event, "Event"), "event", "");
    let registered = "<xml><InfoType>notify_third_fasteregister</InfoType><appid>wx00000000000000aa</appid></xml>";
    check_unknown(
        registered,
        "notify_third_fasteregister",
        "wx00000000000000aa",
    );
}

#[test]
fn a_doctype_is_refused() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
    for plain in [
        format!("<!DOCTYPE xml>{TICKET}"),
        format!("{TICKET}<!DOCTYPE xml>"),
        TICKET.replace("</xml>", "<Remark><!doctype html></Remark></xml>"),
        format!(
            "{bomb}{}",
            TICKET.replace("<![CDATA[ticket@@@EXAMPLE]]>", "&b;")
        ),
    ] {
        let refused = Notice::parse(plain.as_bytes(), &component(), SEALED);
        assert_eq!(refused.err(), Some(Doctype), "{plain}");
    }
    check_ticket(&TICKET.replace(
        "</xml>",
        "<Remark><![CDATA[<!DOCTYPE html>]]></Remark></xml>",
    ));
}

#[test]
fn an_entity_of_its_own_is_no_text() {
    for value in ["&b;", "t&#xD800;"] {
        let plain = TICKET.replace("<![CDATA[ticket@@@EXAMPLE]]>", value);
        check_unusable(&plain, "component_verify_ticket", "");
    }
}

#[test]
fn a_kind_that_is_not_known_is_named_as_a_log_line_bears_it() {
    check_kind("notify_third_fasteregister", "notify_third_fasteregister");
    check_kind("Unauthorized", "Unauthorized");
    check_kind("evil\n{\"level\":\u{1b}[31m}\u{202e}", "evillevel31m");
    check_kind("", "");
    check_kind(&"a".repeat(1000), &"a".repeat(64));
}

#[test]
fn a_kind_that_is_not_known_needs_nothing_but_its_name() {
    check_unknown("<xml><InfoType>new</InfoType></xml>", "new", "");
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
            Notice::Authorization(notice) => {
                assert_eq!(notice.change.info_type(), info_type);
            }
            other => panic!("{plain} is read as {other:?}"),
        }
    }
}

#[test]
fn a_notice_of_another_kind_is_passed_on_without_its_code() {
    let plain = "<xml><AppId>wx0123456789abcdef</AppId><CreateTime>1700000100</CreateTime><InfoType>notify_third_fasteregister</InfoType><appid>wxfedcba9876543210</appid><status>0</status><auth_code>queryauthcode@@@EXAMPLE</auth_code><info><name>Example Co</name></info></xml>";
    let other = |plain: &str| match parse(plain) {
        Notice::Other {
            notice: Some(notice),
            ..
        } => *notice,
        other => panic!("{plain} is read as {other:?}"),
    };
    let notice = other(plain);
    assert_eq!(
        notice.info_type.as_deref(),
        Some("notify_third_fasteregister")
    );
    assert_eq!(notice.created_at.as_secs(), 1_700_000_100);
    assert!(!notice.json.get().contains("@@@"), "{}", notice.json);
    let (appid, code) = notice.registered.unwrap();
    assert_eq!(appid.as_str(), "wxfedcba9876543210");
    assert_eq!(code.expose(), "queryauthcode@@@EXAMPLE");
    // A registration that failed, and a code of another kind.
    assert!(other(&without(plain, "auth_code")).registered.is_none());
    assert!(
        other(&plain.replace("fasteregister", "other"))
            .registered
            .is_none()
    );
    // An event of an account has no InfoType.
    let event = other("<xml><MsgType>event</MsgType><Event>weapp_audit_success</Event></xml>");
    assert_eq!((event.info_type, event.created_at), (None, SEALED));
}
