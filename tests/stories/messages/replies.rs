//! The vendor's function replies, and whatever it does, WeChat is answered in time.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use local::functions::{Functions, Parts};
use local::reply::SharedReplies;
use message_receiver::{AskError, ReplyFunction};

use super::*;
use crate::world::log::Log;

/// What the function does.
#[derive(Clone)]
enum Does {
    Answers(String),
    Hangs,
    Fails,
    IsThrottled,
}

/// A function of the vendor that remembers what it was asked.
struct Handler {
    does: Does,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl ReplyFunction for Handler {
    fn ask<'a>(
        &'a self,
        detail: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, AskError>> + Send + 'a>> {
        Box::pin(async move {
            let detail = serde_json::from_str(detail).unwrap();
            self.asked.lock().unwrap().push(detail);
            match &self.does {
                Does::Answers(answer) => Ok(answer.clone().into_bytes()),
                Does::Hangs => std::future::pending().await,
                Does::Fails => Err(AskError::Failed("Unhandled".to_owned())),
                Does::IsThrottled => Err(AskError::Uncalled("TooManyRequests".into())),
            }
        })
    }
}

struct Answered {
    world: World,
    functions: Functions,
    asked: Arc<Mutex<Vec<Value>>>,
}

/// A world whose vendor has a reply function.
async fn with(does: Does) -> Answered {
    let world = World::with_authorizer().await;
    let asked = Arc::default();
    let handler = Handler {
        does,
        asked: Arc::clone(&asked),
    };
    let parts = Parts {
        replies: Some(SharedReplies(Arc::new(handler))),
        ..world.parts.clone()
    };
    let functions = Functions::start(&parts).await.unwrap();
    Answered {
        world,
        functions,
        asked,
    }
}

impl Answered {
    async fn send(&self, plain: &str) -> (StatusCode, String) {
        let push = self.world.sealed(plain);
        self.world.message_to(&self.functions, appid(), &push).await
    }

    /// The reply's XML, as WeChat opens it.
    async fn reply(&self, plain: &str) -> String {
        let (status, body) = self.send(plain).await;
        assert_eq!(status, StatusCode::OK);
        self.world
            .simulator
            .open(body.as_bytes())
            .expect("a sealed reply")
    }
}

fn answers(answer: &Value) -> Does {
    Does::Answers(answer.to_string())
}

#[tokio::test]
async fn a_reply_goes_from_the_account_to_the_customer_and_the_message_to_the_bus() {
    let does = answers(&json!({ "reply": { "MsgType": "text", "Content": "a]]>b" } }));
    let vendor = with(does).await;
    let to = vendor.world.user_name(appid()).await;
    let plain = format!(
        "<xml><ToUserName>{to}</ToUserName><FromUserName>o1</FromUserName><MsgType>text</MsgType><MsgId>1</MsgId></xml>"
    );
    let reply = vendor.reply(&plain).await;
    let now = vendor.world.clock.now();
    let expected = format!(
        "<xml><ToUserName><![CDATA[o1]]></ToUserName><FromUserName><![CDATA[{to}]]></FromUserName><CreateTime>{now}</CreateTime><Content><![CDATA[a]]]]><![CDATA[>b]]></Content><MsgType><![CDATA[text]]></MsgType></xml>"
    );
    assert_eq!(reply, expected);
    let bus = vendor.world.bus();
    assert_eq!(bus.len(), 1);
    assert_eq!(*vendor.asked.lock().unwrap(), [bus[0]["detail"].clone()]);
}

#[tokio::test]
async fn a_repeated_push_is_asked_about_again_with_the_same_id() {
    let vendor = with(answers(&json!({ "answer": { "ErrCode": 0 } }))).await;
    for _push in 0..2 {
        let reply = vendor.reply(&event("xpay_goods_deliver_notify", "")).await;
        assert_eq!(reply, "<xml><ErrCode>0</ErrCode></xml>");
    }
    let asked = vendor.asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0]["id"], asked[1]["id"]);
    assert_eq!(vendor.world.bus().len(), 1);
}

#[tokio::test]
async fn xml_of_the_functions_own_is_sealed_as_it_is() {
    let vendor = with(answers(&json!({ "xml": "<xml><a>1</a></xml>" }))).await;
    assert_eq!(
        vendor.reply(&message("1", "a")).await,
        "<xml><a>1</a></xml>"
    );
}

#[tokio::test]
async fn a_function_that_has_no_reply_or_a_wrong_one_is_success_and_says_which() {
    let huge = json!({ "xml": "x".repeat(70_000) });
    for (does, warning) in [
        (answers(&Value::Null), None),
        (answers(&json!({})), None),
        (Does::Fails, Some("it has failed: Unhandled")),
        (
            Does::IsThrottled,
            Some("it could not be called: TooManyRequests"),
        ),
        (answers(&huge), Some("the answer is too large")),
        (answers(&json!("text")), Some("the answer is not an object")),
        (
            answers(&json!({ "reply": { "Content": "x" } })),
            Some("no MsgType"),
        ),
        (
            Does::Answers("<xml/>".to_owned()),
            Some("the answer is not JSON"),
        ),
    ] {
        let vendor = with(does).await;
        let log = Log::listen();
        let answer = vendor.send(&message("1", "a")).await;
        assert_eq!(answer, (StatusCode::OK, SUCCESS.to_owned()), "{warning:?}");
        let lines = log.lines("no reply of the reply function");
        assert_eq!(lines.len(), usize::from(warning.is_some()), "{warning:?}");
        if let Some(warning) = warning {
            assert!(
                lines[0].contains(warning) && lines[0].contains("WARN"),
                "{lines:?}"
            );
        }
        assert_eq!(vendor.world.bus().len(), 1);
    }
}

#[tokio::test]
async fn a_function_that_hangs_costs_wechat_four_seconds_and_a_question_less() {
    let vendor = with(Does::Hangs).await;
    let log = Log::listen();
    // The bus hangs, too.
    vendor
        .world
        .emulators
        .bus
        .fail(local::events::Trouble::Hangs, u32::MAX);
    let question = event("xpay_subscribe_ios_refund_query_notify", "");
    for (plain, most) in [(message("1", "a"), 4_900), (question, 3_000)] {
        let began = std::time::Instant::now();
        let answer = vendor.send(&plain).await;
        assert_eq!(answer, (StatusCode::OK, SUCCESS.to_owned()));
        assert!(began.elapsed() < Duration::from_millis(most), "{plain}");
    }
    assert_eq!(log.lines("it has not answered in time").len(), 2);
    assert_eq!(vendor.world.bus().len(), 2);
}

#[tokio::test]
async fn a_reply_that_a_mini_program_does_not_show_is_sent_and_said_once() {
    let vendor = with(answers(
        &json!({ "reply": { "MsgType": "text", "Content": "x" } }),
    ))
    .await;
    let app = wechat_simulator::DEMO_APPIDS[2];
    vendor.world.authorize(app).await;
    let log = Log::listen();
    for number in ["1", "2"] {
        let push = vendor.world.sealed(&message(number, "a"));
        let (_, body) = vendor.world.message_to(&vendor.functions, app, &push).await;
        assert!(vendor.world.simulator.open(body.as_bytes()).is_some());
    }
    vendor.reply(&message("3", "a")).await;
    assert_eq!(log.lines("a mini program shows no passive reply").len(), 1);

    let transfer = json!({ "reply": { "MsgType": "transfer_customer_service" } });
    let vendor = with(answers(&transfer)).await;
    vendor.world.authorize(app).await;
    let log = Log::listen();
    let push = vendor.world.sealed(&message("1", "a"));
    vendor.world.message_to(&vendor.functions, app, &push).await;
    assert_eq!(log.lines("a mini program").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_the_reply_on_the_simulators_page() {
    let does = answers(&json!({ "reply": { "MsgType": "text", "Content": "<b>welcome</b>" } }));
    let vendor = with(does).await;
    let router = local::door::router(Arc::new(vendor.functions));
    let door = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let url = format!(
        "http://{}/wechat/$APPID$/messages",
        door.local_addr().unwrap()
    );
    tokio::spawn(async move { axum::serve(door, router).await });
    vendor.world.simulator.set_messages_url(&url);

    let world = &vendor.world;
    let page = format!(
        "{}/_sim/chat?authorizer_appid={}",
        world.parts.wechat_url,
        appid()
    );
    let said = world
        .http
        .post(format!("{}/_sim/chat", world.parts.wechat_url));
    let said = said.header("content-type", "application/x-www-form-urlencoded");
    let said = said.body(format!("authorizer_appid={}&text=hello%26", appid()));
    assert_eq!(said.send().await.unwrap().status().as_u16(), 303);
    let later = json!({ "touser": "oCHAT_customer_of_the_simulator", "msgtype": "text", "text": { "content": "later" } });
    let token = world.token(appid()).await.unwrap();
    let address = format!(
        "{}/cgi-bin/message/custom/send?access_token={token}",
        world.parts.wechat_url
    );
    world
        .http
        .post(address)
        .body(later.to_string())
        .send()
        .await
        .unwrap();
    let html = world
        .http
        .get(page)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let [said, reply, sent] = ["hello&amp;", "&lt;b&gt;welcome", "later"].map(|line| {
        html.find(line)
            .unwrap_or_else(|| panic!("no {line} in {html}"))
    });
    assert!(said < reply && reply < sent);
}

#[tokio::test]
async fn a_reply_is_sealed_under_the_keys_that_opened_the_message() {
    let vendor = with(answers(&json!({ "answer": { "a": 1 } }))).await;
    // The secret has new keys, and WeChat uses the ones before until it has released the component.
    let mut secret: Value = serde_json::from_str(&local::emulators::secret(
        &wechat_simulator::Settings::example(),
    ))
    .unwrap();
    secret["token"] = "another-token".into();
    secret["encoding_aes_key"] = "x".repeat(43).into();
    vendor.world.emulators.secrets.put(secret.to_string());
    vendor.world.clock.advance(300);
    assert_eq!(
        vendor.reply(&message("1", "a")).await,
        "<xml><a>1</a></xml>"
    );
}
