//! Signed links: the start page takes links that were signed with the key, such as those of the
//! recipes in `docs/links.md`.

use std::fs;
use std::path::Path;
use std::process::Command;

use http::StatusCode;
use local::emulators::secret;
use local::functions::Functions;
use serde_json::{Value, json};
use wechat_simulator::Settings;

use crate::world::browser::{Browser, location};
use crate::world::{BEGINNING, HOST, World, deadline};

#[expect(
    clippy::format_collect,
    reason = "a recipe is to be short, and one link is nothing to hurry for"
)]
mod recipe;

const SIGNING_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Stores a secret with the key of the vector in `link.rs`, so that links must be signed.
fn demand_signatures(world: &World) {
    let mut secret: Value = serde_json::from_str(&secret(&Settings::example())).unwrap();
    secret["link_signing_key"] = json!(SIGNING_KEY);
    world.emulators.secrets.put(secret.to_string());
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
