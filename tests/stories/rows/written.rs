//! Every kind of row as the functions write it now, by stories as short as the row allows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use component_core::component::exchange::Bringer;
use component_core::token::{AuthorizationCode, Secret};
use http::StatusCode;
use local::events::Trouble;
use wechat_simulator::{DEMO_APPIDS, Fault, FaultEffect};

use super::{Item, at};
use crate::world::browser::Browser;
use crate::world::{BEGINNING, World, deadline};

/// Rows by what they are an example of.
pub(super) type Rows = BTreeMap<&'static str, Item>;

const SHOP: &str = DEMO_APPIDS[0];
const TEA: &str = DEMO_APPIDS[1];
const MALL: &str = DEMO_APPIDS[2];
const CAFE: &str = DEMO_APPIDS[3];

const TWO_HOURS: Duration = Duration::from_hours(2);

struct Scene {
    world: World,
    rows: Rows,
    /// The keys that were seen before.
    known: BTreeSet<String>,
}

/// What the functions write.
pub(super) async fn written() -> Rows {
    let mut scene = Scene {
        world: World::with_ticket().await,
        rows: Rows::new(),
        known: BTreeSet::new(),
    };
    scene.note("ticket", "component#ticket").await;
    scene.come_by_a_link().await;
    scene.take_messages().await;
    scene.put_off_a_notice().await;
    scene.claim_a_code().await;
    scene.revoke().await;
    scene.deny().await;
    scene.renew().await;
    scene.refuse_every_refresh_token().await;
    scene.renew_the_component().await;
    scene.rows
}

impl Scene {
    /// A merchant comes by a link with a name for the account and a place to return to.
    async fn come_by_a_link(&mut self) {
        let mut browser = Browser::default();
        let link = "reference=shop-42&return_to=https%3A%2F%2Fshop.example%2Fdone";
        let (back, notice) = self.world.consent_by(&mut browser, link, SHOP).await;
        let start = self.note_new("start", "start#").await;
        self.note_new("preauth", "preauth#").await;
        self.note("component_token", "component#token").await;
        self.world.clock.advance(1);
        assert!(self.world.push_xml(&notice).await.delivered);
        let notice = self.note_new("notice_authorized", "notice#").await;
        let page = self.world.come_back(&browser, &back).await;
        assert_eq!(page.status(), StatusCode::SEE_OTHER);
        self.note("start_used", &start).await;
        self.note_new("code_exchanged", "code#").await;
        self.note("event", &format!("event#{SHOP}#1")).await;
        self.world.deliver().await;
        self.note("notice_handled", &notice).await;
        self.note_authorizer("authorizer", SHOP).await;
        self.world.deliver_all().await;
    }

    /// A customer writes while the bus is down; WeChat checks the component, and tells of a filing.
    async fn take_messages(&mut self) {
        const CHECK: &str = "wx570bc396a51b8ff8";
        let text = |content: &str| {
            format!(
                "<xml><FromUserName>o1</FromUserName><MsgType>text</MsgType><Content>{content}</Content><MsgId>1</MsgId></xml>"
            )
        };
        self.world.emulators.bus.fail(Trouble::Down, 1);
        self.world.message(SHOP, &text("hello")).await;
        let message = self.note_new("message_kept", "message#").await;
        self.world.pass(Duration::from_mins(1)).await;
        self.world.refresh().await;
        self.note("message_delivered", &message).await;
        let code = text("QUERY_AUTH_CODE:queryauthcode@@@checked");
        self.world.message(CHECK, &code).await;
        self.note_new("release", "release#").await;
        let filing = "<xml><InfoType>notify_apply_icpfiling_result</InfoType><beian_status>1024</beian_status></xml>";
        assert!(self.world.push_xml(filing).await.delivered);
        self.note_new("notice_other", "notice#").await;
        drop(self.world.next_batch());
    }

    /// WeChat does not answer while a notice is handled.
    async fn put_off_a_notice(&mut self) {
        let query_auth = "api_query_auth";
        self.world.fault(query_auth, FaultEffect::HttpStatus(502));
        let consent = self.world.simulator.authorize_unpushed(TEA).unwrap();
        assert!(self.world.push_xml(&consent.notice).await.delivered);
        self.world.deliver().await;
        self.note_new("notice_put_off", "notice#").await;
        self.note_new("code_released", "code#").await;
        self.world.end_faults(query_auth).await;
    }

    /// A function dies while WeChat is slow to exchange a code.
    async fn claim_a_code(&mut self) {
        let world = &self.world;
        let slow = Fault::delay("api_query_auth", Duration::from_mins(1));
        world.simulator.fault(slow);
        let code: Secret<AuthorizationCode> = Secret::parse("queryauthcode@@@claimed").unwrap();
        let pk = format!("code#{}", code.sha256());
        let bringer = Bringer::Redirect {
            since: at(BEGINNING),
            reference: None,
        };
        let claimed = async { while world.row(&pk).await.is_none() {} };
        tokio::select! {
            exchanged = super::component(world).exchange(&code, bringer, deadline()) => {
                panic!("{exchanged:?}");
            }
            () = claimed => {}
        }
        self.note("code_claimed", &pk).await;
    }

    async fn revoke(&mut self) {
        self.world.authorize(MALL).await;
        self.know_all().await;
        self.world.clock.advance(1);
        let notice = self.world.simulator.revoke_unpushed(MALL).unwrap();
        assert!(self.world.push_xml(&notice).await.delivered);
        self.note_new("notice_unauthorized", "notice#").await;
        self.world.deliver().await;
        self.note_authorizer("authorizer_revoked", MALL).await;
    }

    /// A revocation whose notice is lost: WeChat denies the authorization when it is asked.
    async fn deny(&mut self) {
        self.world.authorize(CAFE).await;
        self.world.simulator.revoke_unpushed(CAFE).unwrap();
        self.world.pass(TWO_HOURS).await;
        let denied = self.world.token(CAFE).await.unwrap_err();
        assert_eq!(denied.code(), "authorization_revoked");
        self.note_authorizer("authorizer_denied", CAFE).await;
    }

    /// WeChat gives another refresh token, does not answer, and refuses every call alike.
    async fn renew(&mut self) {
        let renewal = "api_authorizer_token";
        self.world.simulator.set_rotate_refresh_tokens(true);
        self.world.token(SHOP).await.unwrap();
        self.world.simulator.set_rotate_refresh_tokens(false);
        for (name, effect) in [
            ("authorizer_in_doubt", FaultEffect::AnswerLost),
            ("authorizer_refused", FaultEffect::Errcode(45009)),
            ("authorizer_limited", FaultEffect::Errcode(50002)),
        ] {
            self.world.pass(TWO_HOURS).await;
            self.world.fault(renewal, effect);
            self.world.token(SHOP).await.unwrap_err();
            self.note_authorizer(name, SHOP).await;
            self.world.end_faults(renewal).await;
            // What WeChat has refused is not asked for again at once.
            self.world.clock.advance(10 * 60);
            self.world.token(SHOP).await.unwrap();
        }
    }

    async fn refuse_every_refresh_token(&mut self) {
        let renewal = "api_authorizer_token";
        self.world.authorize(TEA).await;
        self.world.pass(TWO_HOURS).await;
        self.world.fault(renewal, FaultEffect::Errcode(61023));
        self.world.token(TEA).await.unwrap_err();
        self.note_authorizer("authorizer_contradicted", TEA).await;
        self.world.pass(Duration::from_hours(25)).await;
        self.world.token(TEA).await.unwrap_err();
        let name = "authorizer_to_authorize_again";
        self.note_authorizer(name, TEA).await;
        self.world.end_faults(renewal).await;
    }

    /// WeChat does not answer, refuses, refuses the address, and takes no ticket.
    async fn renew_the_component(&mut self) {
        let in_doubt = "component_token_in_doubt";
        self.fail_to_renew(in_doubt, FaultEffect::AnswerLost).await;
        self.note("ticket_watched", "component#ticket").await;
        // A ticket that is pushed again is no longer known as refused.
        let no_push = FaultEffect::Errcode(45009);
        self.world.fault("api_start_push_ticket", no_push);
        for (name, errcode) in [
            ("component_token_refused", 45009),
            ("component_token_of_refused_address", 61004),
            ("component_token_without_ticket", 61005),
        ] {
            let effect = FaultEffect::Errcode(errcode);
            self.fail_to_renew(name, effect).await;
        }
        self.note("ticket_refused", "component#ticket").await;
    }

    async fn fail_to_renew(&mut self, name: &'static str, effect: FaultEffect) {
        let renewal = "api_component_token";
        self.world.pass(TWO_HOURS).await;
        self.world.fault(renewal, effect);
        self.world.refresh().await;
        self.note(name, "component#token").await;
        self.world.end_faults(renewal).await;
    }

    async fn note(&mut self, name: &'static str, pk: &str) {
        let row = self.world.row(pk).await;
        let row = row.unwrap_or_else(|| panic!("no {pk}"));
        self.rows.insert(name, row);
        self.known.insert(pk.to_owned());
    }

    async fn note_authorizer(&mut self, name: &'static str, appid: &str) {
        self.note(name, &format!("authorizer#{appid}")).await;
    }

    /// Notes the one new row of a kind; returns its key.
    async fn note_new(&mut self, name: &'static str, prefix: &str) -> String {
        let mut keys = self.keys().await;
        keys.retain(|pk| pk.starts_with(prefix) && !self.known.contains(pk));
        assert_eq!(keys.len(), 1, "{name}");
        let pk = keys.pop().unwrap();
        self.note(name, &pk).await;
        pk
    }

    async fn know_all(&mut self) {
        self.known.extend(self.keys().await);
    }

    async fn keys(&self) -> Vec<String> {
        self.world.rows().await.into_keys().collect()
    }
}
