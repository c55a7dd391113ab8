//! The log: the time of the clock that the functions see, and whose line it is.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use wechat_simulator::SimClock;

/// Sends the log to standard error, from `level` on unless the environment says otherwise.
pub fn start(clock: SimClock, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .compact()
        .event_format(Marked(
            tracing_subscriber::fmt::format()
                .compact()
                .with_target(false)
                .with_ansi(std::io::stderr().is_terminal())
                .with_timer(OnTheClock(clock)),
        ))
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

/// Hours, minutes and seconds (UTC).
struct OnTheClock(SimClock);

impl FormatTime for OnTheClock {
    fn format_time(&self, out: &mut Writer<'_>) -> std::fmt::Result {
        let secs = self.0.now();
        let (hours, minutes) = (secs / 3600 % 24, secs / 60 % 60);
        write!(out, "{hours:02}:{minutes:02}:{:02}Z", secs % 60)
    }
}

/// Each line says whose it is: the functions', or the simulated WeChat's.
struct Marked<F>(F);

impl<S, N, F> FormatEvent<S, N> for Marked<F>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        let target = event.metadata().target();
        let mark = if target.starts_with("wechat_simulator") {
            "微信│ "
        } else {
            "函数│ "
        };
        out.write_str(mark)?;
        self.0.format_event(context, out, event)
    }
}
