//! `local` as a program: against the real WeChat, for which `wechat-simulator` stands in as another
//! program, and with a simulated WeChat that is started again.

use std::fs;
use std::path::{Path, PathBuf};

use component_core::http::connector;
use http::{StatusCode, Version, header};
use local::emulators::{Emulators, secret};
use local::secrets::{SECRET, SecretsManager};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use url::Url;
use wechat_simulator::{Settings, SimClock};

use crate::world::browser::parameter;
use crate::world::programs::{self, Program};
use crate::world::{BEGINNING, HOST, appid};

/// A folder of this test's own, which is removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The two programs, and the files of `local`.
struct Machine {
    client: Client,
    wechat: Program,
    app: Program,
    secret: String,
    data: String,
    _folder: Folder,
}

impl Machine {
    async fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        let (file, data) = (folder.file("secret.json"), folder.file("table.db"));
        fs::write(&file, secret(&Settings::example())).unwrap();
        let wechat = programs::start("wechat-simulator", &["--port", "0"], &[]).await;
        let app = serve(&wechat, &file, &data).await;
        let machine = Self {
            client: component_core::http::client().unwrap(),
            wechat,
            app,
            secret: file,
            data,
            _folder: folder,
        };
        machine.paste_addresses().await;
        machine
    }

    /// The vendor fills WeChat's console in. Its proxy passes pushes on to `local`.
    async fn paste_addresses(&self) {
        let settings = json!({
            "events_url": format!("{}/wechat/events", self.app.url),
            "authorization_host": HOST,
        });
        self.at_wechat("settings", settings).await;
    }

    async fn at_wechat(&self, call: &str, body: Value) -> Value {
        let url = format!("{}/_sim/{call}", self.wechat.url);
        post(&self.client, &url, &body).await.1
    }

    async fn push_ticket(&self) {
        let ticket = json!({ "info_type": "component_verify_ticket" });
        let pushed = self.at_wechat("push", ticket).await;
        assert_eq!(pushed["delivered"], true, "{pushed}");
    }

    async fn token(&self, request: Value) -> (StatusCode, Value) {
        let url = format!("{}/_local/token", self.app.url);
        post(&self.client, &url, &request).await
    }

    /// A merchant's way, through the proxy.
    async fn authorize(&self) -> String {
        let start = format!("https://{HOST}/auth/start");
        let (app, wechat) = (&self.app.url, &self.wechat.url);
        authorize(&self.client, app, wechat, &start, by_proxy).await
    }
}

/// A merchant's way from the link to the result page, by a browser that knows the functions at the
/// address `start`, and sends its requests to them as `by` does.
async fn authorize(
    client: &Client,
    app: &str,
    wechat: &str,
    start: &str,
    by: impl Fn(RequestBuilder) -> RequestBuilder,
) -> String {
    let clicked = by(client.post(format!("{app}/auth/start")));
    let clicked = clicked.send().await.unwrap();
    assert_eq!(clicked.status(), StatusCode::SEE_OTHER);
    let cookie = clicked.headers()[header::SET_COOKIE].to_str().unwrap();
    let is_kept = start.starts_with("https:") || !cookie.contains("Secure");
    assert!(is_kept, "a browser drops {cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let page = location(&clicked);
    assert!(page.as_str().starts_with(wechat), "{page}");
    let seen = client.get(page.clone()).header(header::REFERER, start);
    let seen = seen.send().await.unwrap().text().await.unwrap();
    assert!(!seen.contains("data-error"), "{seen}");
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("pre_auth_code", &parameter(&page, "pre_auth_code"))
        .append_pair("redirect_uri", &parameter(&page, "redirect_uri"))
        .append_pair("authorizer_appid", appid())
        .append_pair("decision", "confirm")
        .finish();
    let confirmed = client
        .post(format!("{wechat}/_sim/consent"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form);
    let back = location(&confirmed.send().await.unwrap());
    assert_eq!(back.origin(), Url::parse(start).unwrap().origin());
    let back = format!("{app}{}?{}", back.path(), back.query().unwrap());
    let back = by(client.get(back).header(header::COOKIE, cookie));
    back.send().await.unwrap().text().await.unwrap()
}

/// A request that came through the vendor's proxy.
fn by_proxy(request: RequestBuilder) -> RequestBuilder {
    request
        .header(header::HOST, HOST)
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-for", "203.0.113.7")
}

/// `local` against the WeChat of another process, as an operator starts it.
async fn serve(wechat: &Program, secret: &str, data: &str) -> Program {
    let options = ["--secret", secret, "--data", data, "--port", "0"];
    let variables = [
        ("WECHAT_API_BASE_URL", wechat.url.as_str()),
        ("WECHAT_MP_BASE_URL", &wechat.url),
        ("WECHAT_OPEN_BASE_URL", &wechat.url),
    ];
    programs::start("local", &options, &variables).await
}

/// `local` with a simulated WeChat, as a newcomer starts it.
async fn simulated() -> Program {
    let options = ["--port", "0", "--wechat-port", "0"];
    programs::start("local", &options, &[]).await
}

async fn post(client: &Client, url: &str, body: &Value) -> (StatusCode, Value) {
    let answer = client
        .post(url)
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn location(response: &Response) -> Url {
    let location = response.headers()[header::LOCATION].to_str().unwrap();
    Url::parse(location).unwrap()
}

#[tokio::test]
async fn a_real_account_is_connected_before_anything_is_deployed_and_outlives_a_crash() {
    let machine = Machine::start("real-wechat").await;
    machine.push_ticket().await;
    let (status, component) = machine.token(json!({ "component": true })).await;
    assert_eq!(status, StatusCode::OK, "{component}");

    let page = machine.authorize().await;
    assert!(
        page.contains("授权成功") && page.contains(appid()),
        "{page}"
    );
    // The page is a stranger's: it tells nothing of this machine.
    assert!(!page.contains("_local"), "{page}");
    let request = json!({ "authorizer_appid": appid() });
    let (status, token) = machine.token(request.clone()).await;
    assert_eq!(status, StatusCode::OK, "{token}");

    let Machine {
        client,
        wechat,
        app,
        secret,
        data,
        _folder,
    } = machine;
    app.kill().await;
    let app = serve(&wechat, &secret, &data).await;
    let url = format!("{}/_local/token", app.url);
    let kept = post(&client, &url, &request).await;
    assert_eq!(kept, (StatusCode::OK, token));
}

#[tokio::test]
async fn nobody_outside_the_machine_gets_a_token_through_the_proxy() {
    let machine = Machine::start("proxied").await;
    machine.push_ticket().await;
    let request = json!({ "component": true }).to_string();
    let url = format!("{}/_local/token", machine.app.url);
    let asked = || machine.client.post(&url).body(request.clone());
    let status = async |request: RequestBuilder| request.send().await.unwrap().status();
    assert_eq!(status(asked()).await, StatusCode::OK);
    let events = machine
        .client
        .get(format!("{}/_local/events", machine.app.url));
    for refused in [
        by_proxy(asked()),
        asked().header(header::HOST, HOST),
        asked().header("x-forwarded-for", "203.0.113.7"),
        asked().header("x-real-ip", "203.0.113.7"),
        asked().header("forwarded", "for=203.0.113.7"),
        asked().header("cf-connecting-ip", "203.0.113.7"),
        asked().version(Version::HTTP_10),
        by_proxy(events),
    ] {
        assert_eq!(status(refused).await, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_file_that_is_written_anew_is_the_next_version_of_the_secret() {
    let machine = Machine::start("rotated").await;
    machine.push_ticket().await;
    let keys = json!({ "token": "anotherToken", "encoding_aes_key": "e".repeat(43) });
    let next = Settings {
        token: "anotherToken".to_owned(),
        encoding_aes_key: "e".repeat(43),
        ..Settings::example()
    };
    fs::write(&machine.secret, secret(&next)).unwrap();
    // WeChat goes on with the keys before until 全网发布.
    machine.push_ticket().await;
    machine.at_wechat("settings", keys).await;
    machine.push_ticket().await;
}

#[tokio::test]
async fn half_a_file_is_no_version_of_the_secret() {
    let folder = Folder::new("half");
    let file = folder.file("secret.json");
    let before = secret(&Settings::example());
    fs::write(&file, &before).unwrap();
    let clock = SimClock::hand_moved(BEGINNING);
    let secrets = SecretsManager::of_file(Path::new(&file), clock).unwrap();
    let connector = connector(component_core::http::client().unwrap());
    let emulators = Emulators::start(&connector, None, secrets).await.unwrap();
    let held = async |stage| {
        let get = emulators.secretsmanager.get_secret_value();
        let answer = get.secret_id(SECRET).version_stage(stage).send().await;
        answer.ok().and_then(|answer| answer.secret_string)
    };
    let next = secret(&Settings {
        token: "anotherToken".to_owned(),
        ..Settings::example()
    });
    for unusable in [&next[..next.len() / 2], "", "{}"] {
        fs::write(&file, unusable).unwrap();
        assert_eq!(held("AWSCURRENT").await.as_ref(), Some(&before));
        assert_eq!(held("AWSPREVIOUS").await, None);
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(held("AWSCURRENT").await.as_ref(), Some(&before));
    fs::write(&file, &next).unwrap();
    assert_eq!(held("AWSCURRENT").await, Some(next));
    assert_eq!(held("AWSPREVIOUS").await, Some(before));
}

#[tokio::test]
async fn the_table_of_one_wechat_is_not_taken_for_that_of_another() {
    let Machine {
        app,
        secret: file,
        data,
        _folder,
        ..
    } = Machine::start("owned").await;
    app.kill().await;
    let simulated = ["--data", &data, "--port", "0", "--wechat-port", "0"];
    let (content, said) = programs::run("local", &simulated).await;
    let owner = "the table of the component wx0123456789abcdef at http://127.0.0.1:";
    assert!(!content && said.contains(owner), "{said}");

    // The real WeChat is another one, and so is another component of it.
    let real = ["--secret", &file, "--data", &data, "--port", "0"];
    let other = Settings {
        component_appid: "wxfedcba9876543210".to_owned(),
        ..Settings::example()
    };
    for settings in [Settings::example(), other] {
        fs::write(&file, secret(&settings)).unwrap();
        let (content, said) = programs::run("local", &real).await;
        assert!(!content && said.contains(owner), "{said}");
    }

    fs::write(&file, "{}").unwrap();
    let (content, said) = programs::run("local", &real).await;
    let missing = "secret.json: the component's secret: component_appid is missing";
    assert!(!content && said.contains(missing), "{said}");
    let (content, said) = programs::run("local", &["--secret", &file]).await;
    assert!(!content && said.contains("--data"), "{said}");
}

#[tokio::test]
async fn the_simulated_wechat_remembers_after_a_restart_what_the_table_holds() {
    let folder = Folder::new("simulated");
    let data = folder.file("table.db");
    let client = component_core::http::client().unwrap();
    let start = async || {
        let options = ["--data", &data, "--port", "0", "--wechat-port", "0"];
        programs::start("local", &options, &[]).await
    };
    let token = async |app: &Program| {
        let url = format!("{}/_local/token", app.url);
        let request = json!({ "authorizer_appid": appid() });
        // The stream brings the notice, and the ticket comes, when they come.
        loop {
            match post(&client, &url, &request).await {
                (StatusCode::OK, token) => return token["access_token"].clone(),
                (_, refused) => assert!(
                    [
                        "unknown_authorizer",
                        "no_verify_ticket",
                        "wechat_unavailable"
                    ]
                    .contains(&refused["errorType"].as_str().unwrap()),
                    "{refused}"
                ),
            }
        }
    };
    let app = start().await;
    let url = format!("{}/_sim/authorize", app.wechat_url.as_ref().unwrap());
    post(&client, &url, &json!({ "authorizer_appid": appid() })).await;
    let first = token(&app).await;
    app.kill().await;
    let app = start().await;
    let second = token(&app).await;
    assert_ne!(first, second);
    let url = format!("{}/_sim/message", app.wechat_url.as_ref().unwrap());
    let message = json!({ "authorizer_appid": appid(), "text": "hello" });
    let (status, sent) = post(&client, &url, &message).await;
    assert_eq!(status, StatusCode::OK, "{sent}");
}

#[tokio::test]
async fn a_phone_in_the_network_goes_the_whole_way_without_tls() {
    let client = component_core::http::client().unwrap();
    let program = simulated().await;
    let (app, wechat) = (&program.url, program.wechat_url.as_ref().unwrap());
    let lan = "192.168.0.7:8080";
    let settings = json!({ "authorization_host": lan });
    post(&client, &format!("{wechat}/_sim/settings"), &settings).await;
    let ticket = json!({ "info_type": "component_verify_ticket" });
    post(&client, &format!("{wechat}/_sim/push"), &ticket).await;
    let start = format!("http://{lan}/auth/start");
    let by = |request: RequestBuilder| request.header(header::HOST, lan);
    let page = authorize(&client, app, wechat, &start, by).await;
    assert!(page.contains("授权成功"), "{page}");
    let command = format!("curl -s {app}/_local/token -d");
    assert!(page.contains(&command), "{page}");
}

#[tokio::test]
async fn a_table_with_tokens_is_for_one_process_and_one_user() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("locked");
    let data = folder.file("table.db");
    let options = ["--data", &data, "--port", "0", "--wechat-port", "0"];
    let first = programs::start("local", &options, &[]).await;
    let readable = fs::metadata(&data).unwrap().permissions().mode();
    assert_eq!(readable & 0o777, 0o600);
    let (content, said) = programs::run("local", &options).await;
    assert!(
        !content && said.contains("another process is using it"),
        "{said}"
    );
    first.kill().await;
    programs::start("local", &options, &[]).await;
    let (content, said) = programs::run("local", &["--data", "/no/folder/table.db"]).await;
    assert!(!content && said.contains("/no/folder/table.db: "), "{said}");
}

#[tokio::test]
async fn the_page_at_the_root_leads_to_everything() {
    let client = component_core::http::client().unwrap();
    let program = simulated().await;
    let (app, wechat) = (&program.url, program.wechat_url.as_ref().unwrap());
    let page = client.get(format!("{app}/")).send().await.unwrap();
    let page = page.text().await.unwrap();
    for link in [
        "href=\"/auth/start\"".to_owned(),
        "href=\"/_local/events\"".to_owned(),
        format!("href=\"{wechat}/_sim/chat\""),
        format!("curl -s {app}/_local/token -d"),
    ] {
        assert!(page.contains(&link), "{link}: {page}");
    }
}
