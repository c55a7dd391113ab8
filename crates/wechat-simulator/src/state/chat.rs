//! What was said on the page on which a person writes to an account as its customer.

use std::collections::VecDeque;

/// So many lines are remembered.
const MEMORY: usize = 200;

/// Who said a line of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    Customer,
    /// By a passive reply.
    Account,
    /// The page itself: why nothing comes back.
    Page,
}

/// A line of a chat with an account.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) appid: String,
    pub(crate) speaker: Speaker,
    pub(crate) text: String,
    pub(crate) at: u64,
}

/// The latest lines of all chats, the newest at the end.
#[derive(Default)]
pub(crate) struct Chat(VecDeque<Line>);

impl Chat {
    pub(crate) fn add(&mut self, line: Line) {
        self.0.push_back(line);
        if self.0.len() > MEMORY {
            self.0.pop_front();
        }
    }

    /// The lines of the chat with one account.
    pub(crate) fn with(&self, appid: &str) -> impl Iterator<Item = &Line> {
        self.0.iter().filter(move |line| line.appid == appid)
    }
}
