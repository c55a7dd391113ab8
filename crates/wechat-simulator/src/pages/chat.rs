//! The page on which a person writes to an account as its customer, and sees what comes back.

use std::fmt::Write;

use axum::extract::{Form, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;

use super::html::{escape, page};
use crate::push::notice::element;
use crate::simulator::Simulator;
use crate::state::chat::{Line, Speaker};

/// The customer of this page.
const OPENID: &str = "oCHAT_customer_of_the_simulator";

#[derive(Deserialize)]
pub(super) struct Chosen {
    #[serde(default)]
    authorizer_appid: String,
}

#[derive(Deserialize)]
pub(super) struct Said {
    authorizer_appid: String,
    text: String,
}

/// Shows the chat with an account, by default the first one.
pub(super) async fn show(
    State(simulator): State<Simulator>,
    Query(chosen): Query<Chosen>,
) -> Html<String> {
    let accounts = simulator.authorizers();
    let chosen = accounts
        .iter()
        .find(|account| account.authorizer_appid == chosen.authorizer_appid)
        .or(accounts.iter().find(|account| account.authorized))
        .or(accounts.first());
    let chosen = chosen.map_or("", |account| account.authorizer_appid.as_str());
    let mut options = String::new();
    for account in &accounts {
        let appid = escape(&account.authorizer_appid);
        let selected = if account.authorizer_appid == chosen {
            " selected"
        } else {
            ""
        };
        let state = if account.authorized {
            "已授权"
        } else {
            "未授权"
        };
        // Writing to a string cannot fail.
        let _ = write!(
            options,
            "<option value=\"{appid}\"{selected}>{} · {state}</option>",
            escape(&account.nick_name)
        );
    }
    let body = format!(
        "<h1>给账号发消息</h1><p>扮演粉丝给账号发消息，查看被动回复和客服消息。 \
         <span lang=\"en\">Write to an account as its customer: passive replies and messages of the customer-service API appear here.</span></p>\
         <form><label>账号 account <select name=authorizer_appid onchange=\"this.form.submit()\">{options}</select></label>\
         <div class=actions><button>查看 show</button></div></form>\
         <div data-chat>{}</div>\
         <form method=post><input type=hidden name=authorizer_appid value=\"{}\">\
         <label>消息 text <input name=text required maxlength=600 autofocus style=\"flex:1;height:2.5rem;width:auto\"></label>\
         <div class=actions><button class=go>发送 send</button></div></form>",
        lines(&simulator, chosen),
        escape(chosen),
    );
    Html(page("给账号发消息", &body, None))
}

/// Pushes what the customer says, notes the reply, and shows the chat.
pub(super) async fn say(State(simulator): State<Simulator>, Form(said): Form<Said>) -> Response {
    let appid = said.authorizer_appid;
    let at = simulator.clock().now();
    let note = |speaker, text: &str| {
        let line = Line {
            appid: appid.clone(),
            speaker,
            text: text.to_owned(),
            at,
        };
        simulator.state().chat.add(line);
    };
    note(Speaker::Customer, &said.text);
    let authorized = simulator
        .authorizer(&appid)
        .is_some_and(|account| account.authorized);
    if !authorized {
        note(
            Speaker::Page,
            "该账号未授权，微信不会推送。 It has not authorized: WeChat pushes nothing.",
        );
        return back_to(&appid);
    }
    match simulator.push_text(&appid, OPENID, &said.text).await {
        Ok(outcome) if !outcome.delivered => {
            note(Speaker::Account, "该公众号暂时无法提供服务，请稍后再试");
        }
        Ok(outcome) => match &outcome.reply {
            Some(reply) => note(Speaker::Account, element(reply, "Content").unwrap_or(reply)),
            None => note(
                Speaker::Page,
                "已送达，没有被动回复。 Delivered, and no passive reply.",
            ),
        },
        Err(error) => note(Speaker::Account, &error.to_string()),
    }
    back_to(&appid)
}

fn back_to(appid: &str) -> Response {
    let appid: String = byte_serialize(appid.as_bytes()).collect();
    let back = format!("/_sim/chat?authorizer_appid={appid}");
    (StatusCode::SEE_OTHER, [(header::LOCATION, back)]).into_response()
}

/// The chat and the messages of the customer-service API, in their order.
fn lines(simulator: &Simulator, appid: &str) -> String {
    let state = simulator.state();
    let said = state.chat.with(appid);
    let mut lines: Vec<(u64, &str, &str)> = said
        .map(|line| match line.speaker {
            Speaker::Customer => (line.at, "粉丝 customer", line.text.as_str()),
            Speaker::Account => (line.at, "账号 account", line.text.as_str()),
            Speaker::Page => (line.at, "", line.text.as_str()),
        })
        .collect();
    let sent = state.messages.iter();
    let sent = sent.filter(|sent| sent.authorizer_appid == appid && sent.touser == OPENID);
    lines.extend(sent.map(|sent| (sent.sent_at, "客服消息 API", sent.content.as_str())));
    lines.sort_by_key(|(at, ..)| *at);
    let mut html = String::new();
    for (_, who, text) in lines {
        let _ = write!(html, "<p><small>{who}</small>{}</p>", escape(text));
    }
    html
}
