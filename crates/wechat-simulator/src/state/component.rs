//! The component: verify tickets, component access tokens and pre-auth codes.

use std::collections::HashMap;

use super::quota::Quota;
use super::token::AccessTokens;
use crate::errcode::Refusal;
use crate::mint::Mint;

/// How long a pre-auth code lives, in seconds.
pub(crate) const PRE_AUTH_CODE_LIFE_SECS: u64 = 1800;
/// How long a ticket is good, from its first push.
const TICKET_LIFE_SECS: u64 = 12 * 3600;
/// How many pushes carry the same ticket.
const PUSHES_PER_TICKET: u32 = 2;
/// How long an expired ticket or code is remembered.
///
/// Until then it is answered as expired, not unknown.
const MEMORY_SECS: u64 = 7 * 86_400;

/// Tickets, tokens and pre-auth codes of the one component.
#[derive(Default)]
pub(crate) struct Component {
    tickets: Vec<Ticket>,
    tokens: AccessTokens,
    pre_auth_codes: HashMap<String, PreAuthCode>,
    pub(crate) quota: Quota,
}

struct Ticket {
    value: String,
    issued_at: u64,
    pushes: u32,
}

struct PreAuthCode {
    expires_at: u64,
    used: bool,
}

impl Component {
    /// The ticket for the next push: the current one a second time, or a new one.
    pub(crate) fn next_ticket(&mut self, now: u64, mint: &mut Mint) -> String {
        if let Some(current) = self.tickets.last_mut()
            && current.pushes < PUSHES_PER_TICKET
            && now < current.issued_at + TICKET_LIFE_SECS
        {
            current.pushes += 1;
            return current.value.clone();
        }
        self.new_ticket(now, mint)
    }

    /// A new ticket. Older ones stay good for the rest of their twelve hours.
    pub(crate) fn new_ticket(&mut self, now: u64, mint: &mut Mint) -> String {
        let value = mint.ticket();
        self.tickets
            .retain(|ticket| ticket.issued_at + MEMORY_SECS > now);
        self.tickets.push(Ticket {
            value: value.clone(),
            issued_at: now,
            pushes: 1,
        });
        value
    }

    /// 61006 for a ticket that was never issued, 61005 for one older than twelve hours.
    pub(crate) fn check_ticket(&self, now: u64, value: &str) -> Result<(), Refusal> {
        let ticket = self
            .tickets
            .iter()
            .find(|ticket| ticket.value == value)
            .ok_or(Refusal::TICKET_INVALID)?;
        if now >= ticket.issued_at + TICKET_LIFE_SECS {
            return Err(Refusal::TICKET_EXPIRED);
        }
        Ok(())
    }

    /// Gives a new component access token. The previous one stays good for five minutes.
    pub(crate) fn issue_token(&mut self, now: u64, mint: &mut Mint) -> String {
        let value = mint.access_token();
        self.tokens.issue(value.clone(), now);
        value
    }

    /// 40001 for an unknown or replaced token, 42001 for an expired one.
    pub(crate) fn check_token(&self, now: u64, value: &str) -> Result<(), Refusal> {
        self.tokens.check(value, now)
    }

    /// Gives a pre-auth code for one authorization.
    pub(crate) fn create_preauthcode(&mut self, now: u64, mint: &mut Mint) -> String {
        let value = mint.pre_auth_code();
        self.pre_auth_codes
            .retain(|_, code| code.expires_at + MEMORY_SECS > now);
        let code = PreAuthCode {
            expires_at: now + PRE_AUTH_CODE_LIFE_SECS,
            used: false,
        };
        self.pre_auth_codes.insert(value.clone(), code);
        value
    }

    /// Says whether a merchant can still confirm with this pre-auth code.
    pub(crate) fn pre_auth_code_is_open(&self, now: u64, value: &str) -> bool {
        self.pre_auth_codes
            .get(value)
            .is_some_and(|code| !code.used && now < code.expires_at)
    }

    /// Marks the pre-auth code as used.
    pub(crate) fn use_pre_auth_code(&mut self, value: &str) {
        if let Some(code) = self.pre_auth_codes.get_mut(value) {
            code.used = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    #[test]
    fn a_ticket_changes_with_every_second_push_and_the_old_one_stays_good() {
        let (mut component, mut mint) = (Component::default(), Mint::seeded(1));
        let first = component.next_ticket(NOW, &mut mint);
        assert!(first.starts_with("ticket@@@"));
        assert_eq!(component.next_ticket(NOW + 600, &mut mint), first);
        let second = component.next_ticket(NOW + 1200, &mut mint);
        assert_ne!(second, first);
        assert_eq!(component.check_ticket(NOW + 43_199, &first), Ok(()));
        assert_eq!(
            component.check_ticket(NOW + 43_200, &first),
            Err(Refusal::TICKET_EXPIRED)
        );
        assert_eq!(component.check_ticket(NOW + 43_200, &second), Ok(()));
        assert_eq!(
            component.check_ticket(NOW, "ticket@@@other"),
            Err(Refusal::TICKET_INVALID)
        );
        assert_eq!(
            component.check_ticket(NOW, ""),
            Err(Refusal::TICKET_INVALID)
        );
    }

    #[test]
    fn a_pre_auth_code_is_open_for_half_an_hour_and_once() {
        let (mut component, mut mint) = (Component::default(), Mint::seeded(1));
        let code = component.create_preauthcode(NOW, &mut mint);
        let other = component.create_preauthcode(NOW, &mut mint);
        assert!(component.pre_auth_code_is_open(NOW + 1799, &code));
        assert!(!component.pre_auth_code_is_open(NOW + 1800, &code));
        component.use_pre_auth_code(&code);
        assert!(!component.pre_auth_code_is_open(NOW, &code));
        assert!(component.pre_auth_code_is_open(NOW, &other));
        assert!(!component.pre_auth_code_is_open(NOW, "preauthcode@@@unknown"));
    }

    #[test]
    fn the_same_seed_gives_the_same_values() {
        let mut values = [Mint::seeded(7), Mint::seeded(7)]
            .map(|mut mint| Component::default().issue_token(NOW, &mut mint));
        assert_eq!(values[0], values[1]);
        values[1] = Component::default().issue_token(NOW, &mut Mint::seeded(8));
        assert_ne!(values[0], values[1]);
    }
}
