//! WeChat, as far as the component's own token goes.

/// The tokens that WeChat has issued to one component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Wechat {
    /// Newest first, until WeChat accepts them no more.
    alive: Vec<Minted>,
    minted: u8,
    /// The newest token that another stack was given, even if it is dead.
    of_another: Option<u8>,
}

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Minted {
    number: u8,
    /// Until when WeChat accepts it.
    until: u64,
    /// Until when WeChat would accept it if this stack alone renewed.
    until_by_ours: u64,
}

/// Which stack asks for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stack {
    /// The one that writes the row.
    Ours,
    /// Another one, with a table of its own.
    Another,
}

pub(super) const LIFE_SECS: u64 = 7200;
const OVERLAP_SECS: u64 = 300;

impl Wechat {
    /// `api_component_token`: a new token; those before it live five minutes more at most.
    pub(super) fn component_token(&mut self, stack: Stack, now: u64) -> u8 {
        for old in &mut self.alive {
            old.until = old.until.min(now + OVERLAP_SECS);
            if stack == Stack::Ours {
                old.until_by_ours = old.until_by_ours.min(now + OVERLAP_SECS);
            }
        }
        let number = self.minted;
        self.minted += 1;
        if stack == Stack::Another {
            self.of_another = Some(number);
        }
        let minted = Minted {
            number,
            until: now + LIFE_SECS,
            until_by_ours: now + LIFE_SECS,
        };
        self.alive.insert(0, minted);
        number
    }

    /// Whether WeChat accepts a token.
    pub(super) fn accepts(&self, number: u8, now: u64) -> bool {
        self.find(number).is_some_and(|token| now < token.until)
    }

    /// Until when WeChat accepts a token, unless another stack ends it earlier.
    pub(super) fn accepts_until(&self, number: u8) -> u64 {
        self.find(number).map_or(0, |token| token.until_by_ours)
    }

    /// Whether another stack has got a token after this one.
    pub(super) fn gave_another_stack_one_after(&self, number: u8) -> bool {
        self.of_another.is_some_and(|another| number < another)
    }

    pub(super) fn pass(&mut self, now: u64) {
        self.alive.retain(|token| now < token.until_by_ours);
    }

    fn find(&self, number: u8) -> Option<&Minted> {
        self.alive.iter().find(|token| token.number == number)
    }
}
