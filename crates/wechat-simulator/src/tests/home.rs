//! The page that says what the simulator is.

use super::World;
use crate::pages::home::{CONTROL, PAGES};

#[tokio::test]
async fn the_first_page_says_what_this_is_and_links_to_it() {
    let world = World::start().await;
    let page = world.get("/").await;
    let (chinese, english) = (
        page.find("微信开放平台模拟器").unwrap(),
        page.find("WeChat Open Platform simulator").unwrap(),
    );
    assert!(chinese < english);
    assert!(page.contains("wx0123456789abcdef"));
    assert!(page.contains("<a href=\"/_sim/state\">"));
    assert!(page.contains("<a href=\"/cgi-bin/componentloginpage\">"));
    assert!(page.contains("/cgi-bin/component/api_query_auth"));
    assert!(world.simulator.calls().is_empty());
}

#[tokio::test]
async fn everything_that_the_first_page_names_is_served() {
    let world = World::start().await;
    for entry in PAGES.iter().chain(&CONTROL) {
        let method = entry.method.parse().unwrap();
        let request = world
            .client
            .request(method, format!("{}{}", world.base, entry.path))
            // A call that is served refuses this, and plays nothing.
            .body("no JSON");
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.text().await.unwrap();
        assert!(
            !matches!(status, 404 | 405),
            "{} {}",
            entry.method,
            entry.path
        );
        assert!(!body.contains("40066"), "{} {}", entry.method, entry.path);
    }
}
