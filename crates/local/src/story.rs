//! The life of one authorizer, played over HTTP as a merchant, WeChat and a vendor's function
//! would.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use wechat_simulator::{SimClock, Simulator};

use crate::Error;
use crate::functions::Functions;
use crate::triggers::{self, Stream};

mod steps;

/// Everything the story is played on.
pub struct Story {
    /// The merchant's browser, more or less.
    pub http: reqwest::Client,
    /// Where the functions are.
    pub app_url: String,
    /// WeChat.
    pub simulator: Simulator,
    /// The time of both, moved by the story.
    pub clock: SimClock,
    /// The functions behind the stream and the schedules.
    pub functions: Arc<Functions>,
    /// The table's stream of notices.
    pub stream: Stream,
    /// The table's stream of what must not wait for them.
    pub outbox: Stream,
}

/// What a step saw, or why it was wrong.
type Seen = Result<String, Error>;

impl Story {
    /// Runs WeChat's pushes, the stream and the schedules in the background, for a person who plays
    /// it by hand.
    pub fn goes_on_by_itself(self) {
        triggers::run(self.functions, [self.stream, self.outbox], self.clock);
        tokio::spawn(async move { self.simulator.run_ticket_pushes().await });
    }

    /// Plays all steps; the exit code says whether each was right.
    pub async fn play(mut self) -> ExitCode {
        match self.steps().await {
            Ok(()) => {
                say("\n  Every step was right.\n");
                ExitCode::SUCCESS
            }
            Err(error) => {
                say(&format!("  WRONG  {error}\n"));
                ExitCode::FAILURE
            }
        }
    }

    async fn steps(&mut self) -> Result<(), Error> {
        say("\n  The life of one authorizer, from WeChat's first push\n\n");
        let seen = self.ticket().await;
        step("WeChat pushes a verify ticket", seen)?;
        let seen = self.forged_push().await;
        step("A forger pushes, too", seen)?;
        let seen = self.component_token().await;
        step("A vendor's function asks for the component token", seen)?;
        let seen = self.authorize().await;
        step(
            "A merchant opens the link, clicks, confirms, and comes back",
            seen,
        )?;
        let seen = self.notice().await;
        step(
            "WeChat's notice of it comes through the table's stream",
            seen,
        )?;
        let first = self.token().await?;
        let seen = self
            .good(&first)
            .map(|()| "a token that WeChat accepts".to_owned());
        step("A vendor's function asks for the authorizer's token", seen)?;
        let seen = self.refresh(&first).await;
        step("Ninety minutes pass, and the schedule runs", seen)?;
        let seen = self.stampede().await;
        step(
            "Three hours pass without a schedule, and many ask at once",
            seen,
        )?;
        let seen = self.lost_answer().await;
        step("WeChat renews, and its answer gets lost", seen)?;
        let seen = self.revoke().await;
        step("The merchant withdraws the authorization", seen)?;
        self.clock.advance(120);
        let seen = self.authorize().await;
        step("The merchant authorizes again", seen)?;
        let again = self.token().await?;
        let seen = self
            .good(&again)
            .map(|()| "a new token that WeChat accepts".to_owned());
        step("A vendor's function asks once more", seen)
    }
}

fn step(what: &str, seen: Seen) -> Result<(), Error> {
    match seen {
        Ok(seen) => {
            say(&format!("  ok  {what}\n        {seen}\n"));
            Ok(())
        }
        Err(error) => Err(format!("{what}\n        {error}").into()),
    }
}

fn say(text: &str) {
    // A closed pipe must not end the story early.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
