//! The log through its contract: what was acknowledged is there, once, in order, and nothing else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{EmbeddedLog, LogOptions};
use crate::broker::{Appended, ClusterHealth, DecodeSample, NewRecord, ReadContext, ReadError, Stop, WriteError};
use crate::decode::Spares;
use crate::model::{
    Batch, Event, Format, Input, Limits, Positions, Role, SourcePosition, Start, StreamName, StreamSpec, Timestamp,
};

mod durability;
mod groups;
mod looking;
mod reading;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

static CLOCK: AtomicI64 = AtomicI64::new(1_700_000_000_000_000);

/// A clock that moves by a microsecond at each look.
fn now() -> Timestamp {
    Timestamp(CLOCK.fetch_add(1, Ordering::Relaxed))
}

fn open(dir: &Path, options: LogOptions) -> EmbeddedLog {
    EmbeddedLog::open(dir, options, now).unwrap()
}

fn record(id: u64) -> NewRecord {
    let payload = format!(r#"{{"id":"e{id}","transaction_id":"t{id}","flow":"f","stage":"s"}}"#);
    NewRecord { key: Some(format!("t{id}").into_bytes()), payload: Some(payload.into_bytes()), ..NewRecord::default() }
}

fn append(log: &EmbeddedLog, stream: &str, records: Vec<NewRecord>) -> Result<Vec<Appended>, WriteError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(log.writer().append(stream, records))
}

fn spec(name: StreamName, start: Start) -> StreamSpec {
    StreamSpec { cluster: "main".into(), name, role: Role::Events, start, format: Format::Auto }
}

fn exact(name: &str, start: Start) -> Vec<StreamSpec> {
    vec![spec(StreamName::Exact(name.into()), start)]
}

/// A reader on its thread, and an engine that keeps all and acknowledges opens when told.
struct Reading {
    input: Receiver<Input>,
    positions: watch::Sender<Arc<Positions>>,
    samples: Receiver<DecodeSample>,
    health: watch::Receiver<ClusterHealth>,
    stop: Stop,
    thread: Option<JoinHandle<Result<(), ReadError>>>,
}

impl Reading {
    fn start(log: &EmbeddedLog, streams: Vec<StreamSpec>, stored: Positions) -> Self {
        let (out, input) = sync_channel(64);
        let (samples_out, samples) = sync_channel(8);
        let (positions, positions_in) = watch::channel(Arc::new(stored));
        let (health_out, health) = watch::channel(ClusterHealth::default());
        let stop = Stop::default();
        let context = ReadContext {
            cluster: "main".into(),
            streams,
            limits: Arc::new(Limits::default()),
            positions: positions_in,
            out,
            spares: Spares::default(),
            samples: samples_out,
            health: health_out,
            stop: stop.clone(),
            now,
        };
        let reader = log.reader();
        let thread = Some(std::thread::spawn(move || reader.run(context)));
        Self { input, positions, samples, health, stop, thread }
    }

    fn next(&self) -> Input {
        self.input.recv_timeout(PATIENCE).expect("the reader sends within its deadline")
    }

    /// The next input that `pick` wants; others pass. Opens are made durable at once.
    fn find<T>(&self, mut pick: impl FnMut(&Input) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "not sent within the deadline");
            let input = self.next();
            if let Input::Open(open) = &input {
                self.store(open);
            }
            if let Some(found) = pick(&input) {
                return found;
            }
        }
    }

    fn store(&self, open: &crate::model::SourceOpen) {
        self.positions.send_modify(|positions| {
            let mut all = Positions::clone(positions);
            all.sources.push(SourcePosition {
                key: (*open.source).clone(),
                incarnation: open.incarnation.clone(),
                next: open.next,
                leader_epoch: -1,
                began: open.began,
            });
            *positions = Arc::new(all);
        });
    }

    /// Batches until `events` events have come; checks that they cover consecutive positions.
    fn batches(&self, events: usize) -> Vec<Batch> {
        let (mut batches, mut got) = (Vec::new(), 0);
        while got < events {
            let deadline = Instant::now() + PATIENCE;
            let batch = loop {
                assert!(Instant::now() < deadline, "{got} of {events} events within the deadline");
                match self.next() {
                    Input::Open(open) => self.store(&open),
                    Input::Batch(batch) => break batch,
                    _ => {}
                }
            };
            got += batch.events.len();
            batches.push(batch);
        }
        assert_eq!(got, events);
        batches
    }

    fn ids(&self, events: usize) -> Vec<String> {
        let of = |b: &Batch| b.events.iter().map(|e: &Event| e.id.of(&b.text).to_owned()).collect::<Vec<_>>();
        self.batches(events).iter().flat_map(of).collect()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.stop.set();
        let deadline = Instant::now() + PATIENCE;
        while self.thread.as_ref().is_some_and(|t| !t.is_finished()) && Instant::now() < deadline {
            let _ = self.input.recv_timeout(Duration::from_millis(1));
        }
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok_and(|ended| ended.is_ok()) || std::thread::panicking());
        }
    }
}
