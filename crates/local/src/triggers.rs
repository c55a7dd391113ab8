//! The stream and the schedules behind the functions.

use std::sync::Arc;
use std::time::Duration;

use component_core::time::{Clock, Deadline};
use dynoxide::Database;
use dynoxide::actions::describe_stream::DescribeStreamRequest;
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::actions::list_streams::ListStreamsRequest;
use serde_json::{Value, json};
use wechat_simulator::SimClock;

use crate::Error;
use crate::emulators::TABLE;
use crate::functions::{Functions, RUN_TIME};

/// The refresher's schedule.
pub const REFRESH_EVERY: Duration = Duration::from_mins(5);

/// The reconciliation's schedule.
pub const RECONCILE_EVERY: Duration = Duration::from_hours(24);

/// Between two looks at the stream. It is real time, however fast the clock runs: a person waits
/// for the result.
const POLL: Duration = Duration::from_millis(200);

/// A clock that is so far past the time that it was to wake at was moved by hand, at any speed.
const MOVED_SECS: u64 = 20 * 60;

/// As the event source mapping does it: a batch that fails this often is left to the refresher.
const MAX_TRIES: u32 = 3;

/// What an event source mapping brings to the sync: the new rows of some kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Notices of authorizations.
    Notices,
    /// What must not wait for them: the release check's texts, and the outbox.
    Outbox,
}

/// The table's stream, read from its beginning, as a mapping brings it.
pub struct Stream {
    database: Database,
    iterator: String,
    mapping: Mapping,
}

impl Mapping {
    /// Every mapping of the template.
    pub const ALL: [Self; 2] = [Self::Notices, Self::Outbox];

    /// Its filter.
    fn takes(self, record: &Value) -> bool {
        let text = |path| record.pointer(path).and_then(Value::as_str);
        let prefixes: &[&str] = match self {
            Self::Notices => &["notice#"],
            Self::Outbox => &["event#", "release#"],
        };
        let pk = text("/dynamodb/Keys/pk/S").unwrap_or_default();
        let is_new = text("/eventName") == Some("INSERT");
        is_new && prefixes.iter().any(|prefix| pk.starts_with(prefix))
    }
}

impl Stream {
    /// The stream of the table in `database`, as `mapping` brings it.
    ///
    /// # Errors
    /// If the table has none.
    pub fn open(database: Database, mapping: Mapping) -> Result<Self, Error> {
        let streams = database.list_streams(ListStreamsRequest {
            table_name: Some(TABLE.to_owned()),
            ..ListStreamsRequest::default()
        })?;
        let stream = streams.streams.first().ok_or("the table has no stream")?;
        let described = database.describe_stream(DescribeStreamRequest {
            stream_arn: stream.stream_arn.clone(),
            ..DescribeStreamRequest::default()
        })?;
        let shards = described.stream_description.shards;
        let shard = shards.first().ok_or("the stream has no shard")?;
        let iterator = database.get_shard_iterator(GetShardIteratorRequest {
            stream_arn: stream.stream_arn.clone(),
            shard_id: shard.shard_id.clone(),
            shard_iterator_type: "TRIM_HORIZON".to_owned(),
            sequence_number: None,
        })?;
        let iterator = iterator.shard_iterator.ok_or("the shard has no iterator")?;
        Ok(Self {
            database,
            iterator,
            mapping,
        })
    }

    /// What has come since the last batch.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub fn next_batch(&mut self) -> Result<Option<Value>, Error> {
        let read = self.database.get_records(GetRecordsRequest {
            shard_iterator: self.iterator.clone(),
            ..GetRecordsRequest::default()
        })?;
        if let Some(next) = read.next_shard_iterator {
            self.iterator = next;
        }
        let records = serde_json::to_value(&read.records)?;
        let taken: Vec<&Value> = records
            .as_array()
            .into_iter()
            .flatten()
            .filter(|record| self.mapping.takes(record))
            .collect();
        Ok((!taken.is_empty()).then(|| json!({ "Records": taken })))
    }
}

/// Runs the streams and the schedules in the background, for ever.
pub fn run(functions: Arc<Functions>, streams: [Stream; 2], clock: SimClock) {
    for stream in streams {
        tokio::spawn(run_stream(functions.clone(), stream));
    }
    tokio::spawn(run_schedules(functions, clock));
}

/// Brings what a stream has to the authorizer sync, for ever.
pub async fn run_stream(functions: Arc<Functions>, mut stream: Stream) {
    let real = Clock::system();
    loop {
        match stream.next_batch() {
            Ok(Some(batch)) => bring(&functions, &batch).await,
            Ok(None) => {}
            Err(error) => tracing::error!("the table's stream: {error}"),
        }
        real.sleep(POLL).await;
    }
}

async fn bring(functions: &Functions, batch: &Value) {
    for _try in 0..MAX_TRIES {
        let sync = &functions.authorizer_sync;
        match sync.handle(batch, Deadline::after(RUN_TIME)).await {
            Ok(answer) if answer == json!({ "batchItemFailures": [] }) => return,
            Ok(_) => {}
            Err(error) => error.log("the authorizer sync"),
        }
    }
}

/// Runs the refresher and the reconciliation as often as the schedules say, for ever.
async fn run_schedules(functions: Arc<Functions>, clock: SimClock) {
    let real = Clock::system();
    let mut next_reconcile = clock.now() + RECONCILE_EVERY.as_secs();
    loop {
        let next_refresh = clock.now() + REFRESH_EVERY.as_secs();
        clock.sleep_until(next_refresh).await;
        // If the clock was moved, WeChat pushes its ticket first: time that is moved is no silence.
        if clock.now() > next_refresh + MOVED_SECS {
            real.sleep(POLL * 5).await;
        }
        let event = json!({});
        let refresher = &functions.token_refresher;
        if let Err(error) = refresher.handle(&event, Deadline::after(RUN_TIME)).await {
            error.log("the token refresher");
        }
        if clock.now() >= next_reconcile {
            next_reconcile = clock.now() + RECONCILE_EVERY.as_secs();
            let sync = &functions.authorizer_sync;
            if let Err(error) = sync.handle(&event, Deadline::after(RUN_TIME)).await {
                error.log("the reconciliation");
            }
        }
    }
}
