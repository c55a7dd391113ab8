//! The log of the functions, as a test reads it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, Once};

use tracing::Level;
use tracing::subscriber::DefaultGuard;

/// Records this thread's log until it is dropped.
pub(crate) struct Log {
    written: Written,
    _listening: DefaultGuard,
}

static FIRST: Once = Once::new();

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn listen() -> Self {
        // A line that another thread reaches first would count as unwanted everywhere if that
        // thread had no subscriber. So each thread has one, which writes nowhere.
        FIRST.call_once(|| {
            let nowhere = tracing_subscriber::fmt()
                .with_max_level(Level::INFO)
                .with_writer(io::sink)
                .finish();
            let _ = tracing::subscriber::set_global_default(nowhere);
        });
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::INFO)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Self {
            written,
            _listening: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The recorded lines that contain `what`.
    pub(crate) fn lines(&self, what: &str) -> Vec<String> {
        let written = self.written.0.lock().unwrap();
        let log = String::from_utf8_lossy(&written);
        let lines = log.lines().filter(|line| line.contains(what));
        lines.map(str::to_owned).collect()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
