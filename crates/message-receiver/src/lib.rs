//! message push -> verify -> decrypt -> claim -> bus, and a passive reply: WeChat's message URL of
//! an authorizer.

use std::time::Duration;

use component_api::code::Code;
use component_api::id::AuthorizerAppId;
use component_core::bus::{Bus, Event};
use component_core::chance;
use component_core::credentials::Vault;
use component_core::credentials::document::Credentials;
use component_core::digest::hex;
use component_core::error::Error;
use component_core::push::message::Message;
use component_core::push::reply::{self, Addresses};
use component_core::push::{PushError, SealedPush};
use component_core::store::{MessageClaim, Store};
use component_core::time::{Clock, Deadline};
use http::{HeaderValue, Request, Response, StatusCode, header};

mod accounts;
mod release_check;
mod replies;

pub use accounts::Accounts;
pub use replies::{AskError, Asked, ReplyFunction};

use accounts::Account;
use release_check::Check;

/// Takes WeChat's messages and events for all authorizers. It never calls WeChat, so it works while
/// the way out is down.
pub struct MessageReceiver {
    /// The secret, under which pushes are sealed.
    pub vault: Vault,
    /// Where messages are claimed, and what is known of the accounts.
    pub store: Store,
    /// Where messages go.
    pub bus: Bus,
    /// The vendor's function that may reply, if there is one.
    pub replies: Option<Box<dyn ReplyFunction>>,
    /// The accounts that got messages lately.
    pub accounts: Accounts,
    /// The time.
    pub clock: Clock,
}

/// A message on its way.
struct Delivery<'a> {
    id: String,
    account: AuthorizerAppId,
    is_mini_program: bool,
    message: &'a Message,
    event: Event,
    keys: &'a Credentials,
}

/// What WeChat is answered.
enum Answer {
    /// The seven bytes.
    Success,
    /// No byte at all: the release check wants that.
    Empty,
    /// A sealed reply.
    Sealed(String),
}

/// What WeChat takes for a yes without a reply.
/// Source: <https://developers.weixin.qq.com/doc/service/guide/product/message/Passive_user_reply_message.html>
const SUCCESS: &str = "success";

/// The same for everything that can be wrong with a push, so that a forger learns nothing.
const REFUSED: &str = "this push is not accepted";

const NOT_TAKEN: &str = "this push could not be delivered, send it again";

/// The only passive reply that the customer of a mini program sees.
/// Source: <https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/customer-message/trans.html>
const TRANSFERS: [&str; 2] = [
    "<MsgType><![CDATA[transfer_customer_service]]></MsgType>",
    "<MsgType>transfer_customer_service</MsgType>",
];

/// WeChat hangs up after five seconds, and shows the customer that the account is out of service.
/// The rest is for the network.
const TIME: Duration = Duration::from_secs(4);

/// The table must have taken the claim within this time: then the bus has three seconds left.
const CLAIM_TIME: Duration = Duration::from_secs(1);

/// The account must be read within this time, which leaves the rest of it to the claim.
const READ_TIME: Duration = Duration::from_millis(400);

/// Some of WeChat's payment events want their answer within three seconds: those that are questions.
const QUESTION: &str = "_query_notify";

/// The time for the answer to a question.
const QUESTION_TIME: Duration = Duration::from_millis(2_500);

/// When what must be done, counted from a push's arrival.
struct Arrived {
    read: Deadline,
    claim: Deadline,
    question: Deadline,
    whole: Deadline,
}

impl Arrived {
    fn now() -> Self {
        Self {
            read: Deadline::after(READ_TIME),
            claim: Deadline::after(CLAIM_TIME),
            question: Deadline::after(QUESTION_TIME),
            whole: Deadline::after(TIME),
        }
    }

    /// When a message must be answered.
    fn deadline(&self, message: &Message) -> Deadline {
        let event = message.event.as_deref().unwrap_or_default();
        if event.ends_with(QUESTION) {
            self.question
        } else {
            self.whole
        }
    }
}

/// What comes of something by the deadline.
async fn in_time<T>(
    deadline: Deadline,
    done: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let done = tokio::time::timeout(deadline.remaining(), done).await;
    done.unwrap_or(Err(Error::Busy("the table")))
}

impl MessageReceiver {
    /// Answers one push, within four seconds.
    pub async fn handle(&self, request: Request<Vec<u8>>) -> Response<String> {
        let arrived = Arrived::now();
        match self.receive(&request, &arrived).await {
            Ok(Answer::Success) => answer(StatusCode::OK, SUCCESS.to_owned()),
            Ok(Answer::Empty) => answer(StatusCode::OK, String::new()),
            Ok(Answer::Sealed(xml)) => {
                let mut response = answer(StatusCode::OK, xml);
                let xml = HeaderValue::from_static("text/xml; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, xml);
                response
            }
            Err(Error::Push(error)) => {
                tracing::warn!(
                    status = error.status().as_u16(),
                    "a message push is refused: {error}"
                );
                answer(error.status(), REFUSED.to_owned())
            }
            Err(error) => {
                error.log("delivering a message");
                answer(error.status(), NOT_TAKEN.to_owned())
            }
        }
    }

    async fn receive(
        &self,
        request: &Request<Vec<u8>>,
        arrived: &Arrived,
    ) -> Result<Answer, Error> {
        let now = self.clock.now();
        let query = request.uri().query().unwrap_or_default();
        let sealed = SealedPush::parse(query, request.body(), now)?;
        let open = |keys: &Credentials| sealed.open_message(&keys.push);
        let (opened, keys) = self.vault.under_either_key(open).await??;
        let account = addressee(request.uri().path()).ok_or(PushError::Unreadable)?;
        let Some(message) = &opened.message else {
            tracing::warn!(authorizer_appid = %account, "a message push that is neither XML nor JSON");
            return Ok(Answer::Success);
        };
        if let Some(check) = release_check::read(&account, message)? {
            let checked = self.check(check, &account, message, &keys);
            return in_time(arrived.whole, checked).await;
        }
        let deadline = arrived.deadline(message);
        let known = self
            .accounts
            .know(&account, &self.store, &self.clock, arrived.read);
        let (reference, is_mini_program) = match known.await {
            Ok(Account::Lets { user_name, .. }) if !is_for(message, user_name.as_deref()) => {
                return Err(PushError::Unreadable.into());
            }
            Ok(Account::Lets {
                reference,
                is_mini_program,
                ..
            }) => (reference, is_mini_program),
            Ok(Account::Stops(code)) => {
                stopped(&account, message, code);
                return Ok(Answer::Success);
            }
            // The bus may take it all the same.
            Err(error) => {
                error.warn("reading the account of a message");
                (None, false)
            }
        };
        let id = opened.id(&account);
        let component = &keys.push.component_appid;
        let delivery = Delivery {
            event: Event::of_message(&id, component, &account, reference.as_deref(), message),
            id,
            account,
            is_mini_program,
            message,
            keys: &keys,
        };
        self.deliver(&delivery, arrived.claim, deadline).await
    }

    /// Claims the message; then the bus and the vendor's function get it side by side.
    async fn deliver(
        &self,
        delivery: &Delivery<'_>,
        claim_by: Deadline,
        deadline: Deadline,
    ) -> Result<Answer, Error> {
        let Delivery {
            id, account, event, ..
        } = delivery;
        let claim = self
            .store
            .claim_message(id, account, event, self.clock.now());
        let claim = in_time(claim_by, claim).await;
        let (put, reply) = tokio::join!(
            self.put(delivery, claim, deadline),
            self.ask_for_reply(delivery, deadline)
        );
        put?;
        Ok(reply.map_or(Answer::Success, |xml| self.seal(&xml, delivery.keys)))
    }

    /// Puts a message on the bus, unless it is a repetition. What the table has kept is delivered by
    /// the schedule.
    async fn put(
        &self,
        delivery: &Delivery<'_>,
        claim: Result<MessageClaim, Error>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let id = delivery.id.as_str();
        let kept = match claim {
            Ok(MessageClaim::Taken) => true,
            Ok(MessageClaim::Repeated) => {
                tracing::info!(authorizer_appid = %delivery.account, id, "a message came again");
                return Ok(());
            }
            Err(error) => {
                error.warn("claiming a message");
                false
            }
        };
        match self.bus.put(&delivery.event, deadline).await {
            Ok(()) => {
                tracing::info!(authorizer_appid = %delivery.account, id, "a message is on the bus");
                if kept {
                    self.finish(id, deadline).await;
                }
                Ok(())
            }
            Err(error) if kept => {
                error.warn("putting a message on the bus, which is kept for the schedule");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// If this fails, the schedule delivers the message once more, with the same `id`.
    async fn finish(&self, id: &str, deadline: Deadline) {
        let finish = self.store.finish_message(id);
        if let Err(error) = in_time(deadline, finish).await {
            error.warn("noting that a message is on the bus");
        }
    }

    /// The reply's XML, if the vendor's function has one in time.
    async fn ask_for_reply(&self, delivery: &Delivery<'_>, deadline: Deadline) -> Option<String> {
        let function = self.replies.as_deref()?;
        let asked = Asked {
            account: &delivery.account,
            message: delivery.message,
            detail: &delivery.event.detail,
        };
        let reply = replies::ask(function, &asked, self.clock.now(), deadline).await?;
        let transfers = TRANSFERS.iter().any(|kind| reply.contains(kind));
        if delivery.is_mini_program && !transfers && self.accounts.are_first_warned() {
            tracing::warn!(
                authorizer_appid = %delivery.account,
                "a mini program shows no passive reply but transfer_customer_service: send others by the customer-service API"
            );
        }
        Some(reply)
    }

    /// WeChat's release check, of its own accounts.
    async fn check(
        &self,
        check: Check<'_>,
        account: &AuthorizerAppId,
        message: &Message,
        keys: &Credentials,
    ) -> Result<Answer, Error> {
        tracing::info!(authorizer_appid = %account, "WeChat's release check");
        match check {
            Check::Reply(content) => {
                let addresses = addresses(message, &self.clock);
                // The check's own text can stand in XML, or it could not have come.
                let xml = reply::text(&content, addresses).map_err(|_| PushError::Unreadable)?;
                Ok(self.seal(&xml, keys))
            }
            Check::Code { code, openid } => {
                let now = self.clock.now();
                self.store.put_check(&code, openid, account, now).await?;
                Ok(Answer::Empty)
            }
        }
    }

    fn seal(&self, xml: &str, keys: &Credentials) -> Answer {
        let (random, nonce) = (chance::bits(), hex(&chance::bits()));
        let now = self.clock.now();
        Answer::Sealed(reply::seal(xml, &keys.push, &random, &nonce, now))
    }
}

/// To whom a reply goes, and from whom.
fn addresses<'a>(message: &'a Message, clock: &Clock) -> Addresses<'a> {
    Addresses {
        to: message.from.as_deref().unwrap_or_default(),
        from: message.to.as_deref().unwrap_or_default(),
        at: clock.now(),
    }
}

/// The account that a path names: `/wechat/{authorizer_appid}/messages`. The seal does not cover it.
fn addressee(path: &str) -> Option<AuthorizerAppId> {
    let (_before, appid) = path.strip_suffix("/messages")?.rsplit_once('/')?;
    AuthorizerAppId::parse(appid).ok()
}

/// Whether a message names the account that its path names, as far as both are known.
fn is_for(message: &Message, user_name: Option<&str>) -> bool {
    match (message.to.as_deref(), user_name) {
        (Some(to), Some(user_name)) => to == user_name,
        _ => true,
    }
}

fn stopped(account: &AuthorizerAppId, message: &Message, code: Code) {
    let kind = message.event.as_deref().or(message.msg_type.as_deref());
    let kind: String = kind
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(64)
        .collect();
    tracing::warn!(
        authorizer_appid = %account,
        code = code.as_str(),
        kind,
        "a message to an account that has not authorized is not delivered"
    );
}

fn answer(status: StatusCode, line: String) -> Response<String> {
    let mut response = Response::new(line);
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
