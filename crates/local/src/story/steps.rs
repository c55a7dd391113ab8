//! The steps of the story: what each does, and what it must see.

use std::time::Duration;

use component_core::time::{Clock, Deadline};
use http::{StatusCode, header};
use merchant_pages::START_PATH;
use reqwest::Response;
use serde_json::{Value, json};
use url::Url;
use wechat_simulator::{DEMO_APPIDS, Fault, FaultEffect};

use super::{Seen, Story};
use crate::Error;
use crate::functions::RUN_TIME;

/// Callers that ask at once, after the token has expired.
const CALLERS: usize = 100;

/// How often to look for what happens in the background.
const PATIENCE: u32 = 100;

impl Story {
    pub(super) async fn ticket(&self) -> Seen {
        let push = self.simulator.push_ticket().await;
        check(
            push.delivered && push.attempts.len() == 1,
            "the push was not taken at once",
        )?;
        Ok("answered `success` at the first try".to_owned())
    }

    pub(super) async fn forged_push(&self) -> Seen {
        let now = self.clock.now();
        let plain = format!(
            "<xml><AppId>{}</AppId><CreateTime>{now}</CreateTime><InfoType>unauthorized</InfoType><AuthorizerAppid>{}</AuthorizerAppid></xml>",
            wechat_simulator::Settings::example().component_appid,
            appid(),
        );
        let push = self.simulator.seal(&plain, now, "1");
        let forged = push.query.replace("nonce=1", "nonce=2");
        let answer = self
            .http
            .post(format!("{}/wechat/events?{forged}", self.app_url))
            .body(push.body)
            .send()
            .await?;
        check(
            answer.status() == StatusCode::FORBIDDEN,
            "a forged push was taken",
        )?;
        Ok("403, nothing was looked at".to_owned())
    }

    pub(super) async fn component_token(&self) -> Seen {
        let answer = self.ask(json!({ "component": true })).await?;
        let token = text(&answer, "access_token")?;
        check(
            self.simulator.component_token_works(token),
            "WeChat does not accept it",
        )?;
        Ok("made from the ticket, accepted by WeChat".to_owned())
    }

    pub(super) async fn authorize(&self) -> Seen {
        let start = format!("{}{START_PATH}", self.app_url);
        let calls = self.calls("api_create_preauthcode");
        let page = self.http.get(&start).send().await?;
        check(page.status() == StatusCode::OK, "no start page")?;
        check(
            self.calls("api_create_preauthcode") == calls,
            "a visit cost a pre-auth code",
        )?;
        let clicked = self.http.post(&start).send().await?;
        check(
            clicked.status() == StatusCode::SEE_OTHER,
            "the click leads nowhere",
        )?;
        let cookie = cookie(&clicked)?;
        let wechat_page = location(&clicked)?;
        let consent = self
            .http
            .get(wechat_page.clone())
            .header(header::REFERER, &start);
        let consent = consent.send().await?.text().await?;
        check(
            !consent.contains("data-error"),
            "WeChat refuses the way the merchant came",
        )?;
        let confirmed = self.confirm(&wechat_page).await?;
        let back = self
            .http
            .get(location(&confirmed)?)
            .header(header::COOKIE, cookie)
            .send()
            .await?;
        check(
            back.status() == StatusCode::OK,
            "the result page is an error page",
        )?;
        check(
            back.text().await?.contains(appid()),
            "the result page names no account",
        )?;
        Ok("303, consent page, 302, result page with the account".to_owned())
    }

    /// Presses the button on WeChat's consent page.
    async fn confirm(&self, wechat_page: &Url) -> Result<Response, Error> {
        let given = |name: &str| {
            let mut pairs = wechat_page.query_pairs();
            let value = pairs.find(|(key, _)| key == name);
            value
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("pre_auth_code", &given("pre_auth_code"))
            .append_pair("redirect_uri", &given("redirect_uri"))
            .append_pair("authorizer_appid", appid())
            .append_pair("decision", "confirm")
            .finish();
        let answer = self
            .http
            .post(wechat_page.join("/_sim/consent")?)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await?;
        check(
            answer.status() == StatusCode::FOUND,
            "WeChat refuses the consent",
        )?;
        Ok(answer)
    }

    pub(super) async fn notice(&mut self) -> Seen {
        self.deliver().await?;
        let exchanges = self.calls("api_query_auth");
        check(exchanges == 1, "the code was exchanged more than once")?;
        Ok("taken; the code was exchanged once, by the redirect or the notice".to_owned())
    }

    pub(super) async fn refresh(&self, first: &str) -> Seen {
        self.clock.advance(90 * 60);
        self.simulator.push_ticket().await;
        let calls = self.calls("api_authorizer_token");
        let run = Deadline::after(RUN_TIME);
        let summary = self
            .functions
            .token_refresher
            .handle(&json!({}), run)
            .await?;
        check(
            summary.get("renewed") == Some(&json!(1)),
            "nothing was renewed",
        )?;
        check(
            self.calls("api_authorizer_token") == calls + 1,
            "not exactly one call",
        )?;
        let second = self.token().await?;
        check(second != first, "the token is the old one")?;
        self.good(&second)?;
        Ok("one call to WeChat; a vendor's function gets the new token".to_owned())
    }

    pub(super) async fn stampede(&self) -> Seen {
        self.clock.advance(3 * 3600);
        self.simulator.push_ticket().await;
        let calls = self.calls("api_authorizer_token");
        let asked: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (http, url) = (self.http.clone(), format!("{}/_local/token", self.app_url));
                let body = json!({ "authorizer_appid": appid() }).to_string();
                tokio::spawn(async move { http.post(url).body(body).send().await?.bytes().await })
            })
            .collect();
        let mut answers = Vec::new();
        for answer in asked {
            let answer: Value = serde_json::from_slice(&answer.await??)?;
            answers.push(text(&answer, "access_token")?.to_owned());
        }
        answers.dedup();
        check(answers.len() == 1, "they did not all get the same token")?;
        self.good(answers.first().map_or("", String::as_str))?;
        check(
            self.calls("api_authorizer_token") == calls + 1,
            "not exactly one call",
        )?;
        Ok(format!(
            "{CALLERS} callers, one call to WeChat, one good token"
        ))
    }

    pub(super) async fn lost_answer(&self) -> Seen {
        self.clock.advance(3 * 3600);
        self.simulator.push_ticket().await;
        self.simulator
            .fault(Fault::new("api_authorizer_token", FaultEffect::AnswerLost));
        let token = self.token().await?;
        self.good(&token)?;
        Ok("asked again; the refresh token is not lost".to_owned())
    }

    pub(super) async fn revoke(&mut self) -> Seen {
        let push = self.simulator.revoke(appid()).await?;
        check(push.delivered, "the notice was not taken")?;
        self.deliver().await?;
        let answer = self.ask(json!({ "authorizer_appid": appid() })).await?;
        let error = text(&answer, "errorType")?;
        check(
            error == "authorization_revoked",
            "the getter does not refuse",
        )?;
        Ok(format!("the getter refuses: {error}"))
    }

    /// Brings the stream's next batch to the sync, once it is there.
    async fn deliver(&mut self) -> Result<(), Error> {
        let real = Clock::system();
        for _look in 0..PATIENCE {
            if let Some(batch) = self.stream.next_batch()? {
                let run = Deadline::after(RUN_TIME);
                let answer = self.functions.authorizer_sync.handle(&batch, run).await?;
                let failures = answer.pointer("/batchItemFailures/0");
                return check(failures.is_none(), "the notice was not handled");
            }
            real.sleep(Duration::from_millis(50)).await;
        }
        Err("no notice came".into())
    }

    pub(super) async fn token(&self) -> Result<String, Error> {
        let answer = self.ask(json!({ "authorizer_appid": appid() })).await?;
        Ok(text(&answer, "access_token")?.to_owned())
    }

    async fn ask(&self, request: Value) -> Result<Value, Error> {
        let url = format!("{}/_local/token", self.app_url);
        let answer = self.http.post(url).body(request.to_string()).send().await?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    pub(super) fn good(&self, token: &str) -> Result<(), Error> {
        check(
            self.simulator.token_works(token),
            "WeChat does not accept the token",
        )
    }

    fn calls(&self, endpoint: &str) -> u64 {
        self.simulator
            .calls()
            .get(endpoint)
            .copied()
            .unwrap_or_default()
    }
}

fn appid() -> &'static str {
    DEMO_APPIDS.first().copied().unwrap_or_default()
}

fn check(right: bool, wrong: &str) -> Result<(), Error> {
    if right { Ok(()) } else { Err(wrong.into()) }
}

fn text<'a>(answer: &'a Value, name: &str) -> Result<&'a str, Error> {
    // An answer without the field is an error's: it carries no secret.
    let missing = || format!("no {name} in the answer: {answer}");
    Ok(answer
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(missing)?)
}

fn location(response: &Response) -> Result<Url, Error> {
    let location = response
        .headers()
        .get(header::LOCATION)
        .ok_or("no Location")?;
    Ok(Url::parse(location.to_str()?)?)
}

fn cookie(response: &Response) -> Result<String, Error> {
    let cookie = response
        .headers()
        .get(header::SET_COOKIE)
        .ok_or("no cookie")?;
    let cookie = cookie.to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}
