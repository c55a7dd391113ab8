//! All events in order: hashed, and printed on request.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Mutex;
use std::time::Duration;

pub(crate) struct Trace {
    told: bool,
    events: Mutex<Events>,
}

#[derive(Default)]
struct Events {
    count: u64,
    hasher: DefaultHasher,
    line: String,
}

impl Trace {
    pub(crate) fn new(told: bool) -> Self {
        Self {
            told,
            events: Mutex::default(),
        }
    }

    pub(crate) fn note(&self, at: Duration, what: fmt::Arguments<'_>) -> u64 {
        let mut events = self.events.lock().unwrap();
        let Events {
            count,
            hasher,
            line,
        } = &mut *events;
        *count += 1;
        line.clear();
        write!(line, "{:>10.3} {what}", at.as_secs_f64()).unwrap();
        hasher.write(line.as_bytes());
        if self.told {
            println!("{line}");
        }
        *count
    }

    pub(crate) fn hash(&self) -> u64 {
        self.events.lock().unwrap().hasher.finish()
    }
}
