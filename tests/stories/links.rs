//! Signed links: the start page takes links that were signed with the key, such as those of the
//! recipes in `docs/links.md`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use http::StatusCode;
use local::emulators::secret;
use local::functions::Functions;
use serde_json::{Value, json};
use wechat_simulator::Settings;

use crate::world::browser::{Browser, location};
use crate::world::log::Log;
use crate::world::{BEGINNING, HOST, World, deadline};

#[expect(
    clippy::format_collect,
    reason = "a recipe is to be short, and one link is nothing to hurry for"
)]
mod recipe;

const SIGNING_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

const NEXT_SIGNING_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

const DAY: u64 = 24 * 3600;

/// Stores a secret with the key of the vector in `link.rs`, so that links must be signed.
fn demand_signatures(world: &World) {
    put_key(world, json!(SIGNING_KEY));
}

/// Stores the secret with this `link_signing_key`.
fn put_key(world: &World, key: Value) {
    let mut secret: Value = serde_json::from_str(&secret(&Settings::example())).unwrap();
    secret["link_signing_key"] = key;
    world.emulators.secrets.put(secret.to_string());
}

/// The query of a link that was signed with this key, and expires in two months.
fn signed_with(key: &str) -> String {
    let expires = (BEGINNING + 60 * DAY).to_string();
    let parameters = [("reference", "shop-42"), ("expires", expires.as_str())];
    let link = recipe::authorization_link("", key, &parameters).unwrap();
    link.trim_start_matches('?').to_owned()
}

async fn check_link(functions: &Functions, query: &str, expected: StatusCode) {
    for method in ["GET", "POST"] {
        let request = Browser::default().request(method, &format!("/auth/start?{query}"));
        let answer = functions.auth_start.handle(request, deadline()).await;
        let expected = match expected {
            StatusCode::SEE_OTHER if method == "GET" => StatusCode::OK,
            expected => expected,
        };
        assert_eq!(answer.status(), expected, "{method} {query}");
    }
}

#[tokio::test]
async fn with_a_signing_key_only_links_that_were_signed_and_have_not_expired_lead_on() {
    // Made with Python's hmac over `expires=1700000600&reference=shop-42`.
    const SIGNATURE: &str = "c05ddd3b2babe9722f98c4b38a87239ed2f685bcf1c22282208f0be8ce27261d";
    let world = World::with_ticket().await;
    demand_signatures(&world);
    let functions = Functions::start(&world.parts).await.unwrap();
    let good = format!("reference=shop-42&expires=1700000600&signature={SIGNATURE}");
    check_link(&functions, &good, StatusCode::SEE_OTHER).await;
    let reordered = format!("expires=1700000600&signature={SIGNATURE}&reference=shop-42");
    check_link(&functions, &reordered, StatusCode::SEE_OTHER).await;
    world.simulator.reset_calls();
    for refused in [
        String::new(),
        "reference=shop-42".to_owned(),
        "reference=shop-42&expires=1700000600".to_owned(),
        "reference=shop-42&expires=1700000600&signature=".to_owned(),
        good.replace("shop-42", "shop-43"),
        good.replace("1700000600", "1700009999"),
        good.replace("expires=1700000600&", ""),
        good.replace(SIGNATURE, &"0".repeat(64)),
        good.replace(SIGNATURE, &SIGNATURE.to_uppercase()),
        format!("{good}&return_to=https%3A%2F%2Fshop.example%2F"),
        format!("{good}&auth_type=1"),
        format!("{good}&signature={SIGNATURE}"),
    ] {
        check_link(&functions, &refused, StatusCode::BAD_REQUEST).await;
    }
    world.clock.set(1_700_000_600);
    check_link(&functions, &good, StatusCode::SEE_OTHER).await;
    world.clock.set(1_700_000_601);
    check_link(&functions, &good, StatusCode::BAD_REQUEST).await;
    assert_eq!(world.wechat_calls("api_create_preauthcode"), 1);

    // Functions that were already running read the key within five minutes.
    check_link(&world.functions, "", StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn links_that_were_signed_with_the_key_before_stay_good_while_the_window_is_open() {
    let world = World::with_ticket().await;
    demand_signatures(&world);
    let running = Functions::start(&world.parts).await.unwrap();
    let [old, new] = [SIGNING_KEY, NEXT_SIGNING_KEY].map(signed_with);
    check_link(&running, &old, StatusCode::SEE_OTHER).await;
    check_link(&running, &new, StatusCode::BAD_REQUEST).await;
    world.clock.advance(60);
    put_key(&world, json!(NEXT_SIGNING_KEY));
    // The first link that needs the new key has it fetched.
    let fresh = Functions::start(&world.parts).await.unwrap();
    for functions in [&running, &fresh] {
        check_link(functions, &new, StatusCode::SEE_OTHER).await;
        check_link(functions, &old, StatusCode::SEE_OTHER).await;
        check_link(functions, "", StatusCode::BAD_REQUEST).await;
    }
    world.pass(Duration::from_secs(30 * DAY - 1)).await;
    check_link(&fresh, &old, StatusCode::SEE_OTHER).await;
    world.clock.advance(1);
    for functions in [&running, &fresh] {
        check_link(functions, &old, StatusCode::BAD_REQUEST).await;
        check_link(functions, &new, StatusCode::SEE_OTHER).await;
    }
}

#[tokio::test]
async fn the_current_version_alone_decides_whether_links_must_be_signed() {
    let world = World::with_ticket().await;
    demand_signatures(&world);
    put_key(&world, Value::Null);
    let functions = Functions::start(&world.parts).await.unwrap();
    check_link(&functions, "", StatusCode::SEE_OTHER).await;
    demand_signatures(&world);
    let functions = Functions::start(&world.parts).await.unwrap();
    check_link(&functions, "", StatusCode::BAD_REQUEST).await;
    let signed = signed_with(SIGNING_KEY);
    check_link(&functions, &signed, StatusCode::SEE_OTHER).await;
}

#[tokio::test]
async fn a_malformed_key_refuses_unsigned_links_and_is_no_trouble_to_other_functions() {
    let world = World::with_ticket().await;
    demand_signatures(&world);
    for malformed in [json!("c2hvcnQ="), json!(""), json!(7), json!({})] {
        demand_signatures(&world);
        put_key(&world, malformed);
        let functions = Functions::start(&world.parts).await.unwrap();
        let log = Log::listen();
        check_link(&functions, "", StatusCode::BAD_REQUEST).await;
        check_link(&functions, "reference=shop-42", StatusCode::BAD_REQUEST).await;
        let told = log.lines("link_signing_key");
        assert!(!told.is_empty() && told[0].contains("ERROR"), "{told:?}");
        // The previous version's key is good meanwhile.
        let signed = signed_with(SIGNING_KEY);
        check_link(&functions, &signed, StatusCode::SEE_OTHER).await;
        let forged = signed_with(NEXT_SIGNING_KEY);
        check_link(&functions, &forged, StatusCode::BAD_REQUEST).await;
        drop(log);

        let log = Log::listen();
        let request = json!({ "component": true });
        let answer = functions.token_getter.handle(&request, deadline()).await;
        answer.unwrap();
        let sealed = world.sealed("<xml/>");
        let request = http::Request::post(format!("/wechat/events?{}", sealed.query));
        let request = request.body(sealed.body.into()).unwrap();
        functions.ticket_receiver.handle(request).await;
        assert_eq!(log.lines("link_signing_key").len(), 0);
    }
}

/// Parameters whose characters encoders disagree about.
fn parameters() -> [(&'static str, String); 5] {
    [
        (
            "return_to",
            "https://shop.example/完成?a=b&c=d#e".to_owned(),
        ),
        ("reference", "店 42/ä&=+%'()*!~-._\"<>".to_owned()),
        ("expires", (BEGINNING + 600).to_string()),
        ("category_id_list", "1|2|30".to_owned()),
        ("auth_type", "3".to_owned()),
    ]
}

fn start_url() -> String {
    format!("https://{HOST}/auth/start")
}

/// The code block of `docs/links.md` in this language that makes links.
fn block(language: &str) -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/links.md");
    let guide = fs::read_to_string(guide).unwrap();
    let fence = format!("```{language}\n");
    let mut blocks = guide
        .split(fence.as_str())
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let found = blocks.find(|block| block.contains("signature"));
    found.unwrap().to_owned()
}

/// The output of a recipe. If the interpreter is not installed, prints that and returns `None`.
fn run(interpreter: &str, options: &[&str], code: &str) -> Option<String> {
    let pairs = parameters().map(|(name, value)| (name.to_owned(), Value::from(value)));
    let input = json!([
        start_url(),
        SIGNING_KEY,
        Value::Object(pairs.into_iter().collect())
    ]);
    let ran = Command::new(interpreter)
        .args(options)
        .arg(code)
        .env("INPUT", input.to_string())
        .output();
    let Ok(ran) = ran else {
        println!("skipped: there is no {interpreter} on this machine");
        return None;
    };
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{interpreter}: {errors}");
    Some(String::from_utf8(ran.stdout).unwrap().trim().to_owned())
}

/// Asserts that the link leads to WeChat with all its parameters, and that a changed link is
/// refused.
async fn check(link: &str) {
    let world = World::with_ticket().await;
    demand_signatures(&world);
    let functions = Functions::start(&world.parts).await.unwrap();
    let click = async |address: &str| {
        let request = Browser::default().request("POST", address);
        functions.auth_start.handle(request, deadline()).await
    };
    let address = link.strip_prefix(&format!("https://{HOST}")).unwrap();
    let clicked = click(address).await;
    assert_eq!(clicked.status(), StatusCode::SEE_OTHER, "{link}");
    assert!(
        location(&clicked)
            .as_str()
            .contains("category_id_list=1%7C2%7C30")
    );
    let rows = world.rows().await;
    let start = rows.iter().find(|(pk, _)| pk.starts_with("start#"));
    let (_, start) = start.unwrap();
    let [_, (_, reference), ..] = parameters();
    assert_eq!(crate::world::rows::text(start, "reference"), reference);
    assert_eq!(
        crate::world::rows::text(start, "return_to"),
        "https://shop.example/%E5%AE%8C%E6%88%90?a=b&c=d#e"
    );
    let changed = address.replace("42", "43");
    assert_eq!(click(&changed).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_recipe_for_python_makes_good_links() {
    let code = block("python")
        + "\nimport json, os\nprint(authorization_link(*json.loads(os.environ['INPUT'])))\n";
    if let Some(link) = run("python3", &["-c"], &code) {
        check(&link).await;
        assert_eq!(link, in_rust());
    }
}

#[tokio::test]
async fn the_recipe_for_node_makes_good_links() {
    let code =
        block("js") + "\nconsole.log(authorizationLink(...JSON.parse(process.env.INPUT)));\n";
    if let Some(link) = run("node", &["--input-type=module", "-e"], &code) {
        check(&link).await;
        assert_eq!(link, in_rust());
    }
}

#[tokio::test]
async fn the_recipe_for_php_makes_good_links() {
    let code = block("php") + "\necho authorization_link(...json_decode(getenv('INPUT'), true));\n";
    if let Some(link) = run("php", &["-r"], &code) {
        check(&link).await;
        assert_eq!(link, in_rust());
    }
}

#[tokio::test]
async fn the_recipe_for_rust_is_the_one_compiled_here_and_makes_good_links() {
    let compiled = include_str!("links/recipe.rs").replace("pub(super) ", "");
    let (_, compiled) = compiled.split_once("\n\n").unwrap();
    assert_eq!(block("rust").trim(), compiled.trim());
    check(&in_rust()).await;
}

fn in_rust() -> String {
    let parameters = parameters();
    let parameters: Vec<_> = parameters.iter().map(|(n, v)| (*n, v.as_str())).collect();
    recipe::authorization_link(&start_url(), SIGNING_KEY, &parameters).unwrap()
}
