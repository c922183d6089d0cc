//! The store's thread: makes checkpoints durable and tells what became durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::broker::Stop;
use crate::engine::Checkpoint;
use crate::model::{Positions, Timestamp};
use crate::snapshot::Durable;
use crate::store::StateStore;
use crate::telemetry::Metrics;

/// First pause after a refused commit; doubles up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// After the process was asked to stop, a disk that refuses gets this long.
const LAST_TRIES: Duration = Duration::from_secs(1);

/// What the keeper tells pages and readiness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeeperState {
    /// When the newest checkpoint became durable.
    pub committed_at: Option<Timestamp>,
    /// The disk's words while it refuses; empty otherwise.
    pub error: String,
}

/// Owns the store.
pub struct Keeper {
    /// The store.
    pub store: Box<dyn StateStore>,
    /// From the engine: one slot.
    pub input: Receiver<Checkpoint>,
    /// Cleared once a checkpoint is durable.
    pub busy: Arc<AtomicBool>,
    /// To the readers: newest wins.
    pub positions: watch::Sender<Arc<Positions>>,
    /// To `/metrics`: newest wins.
    pub durable: watch::Sender<Arc<Durable>>,
    /// To pages.
    pub state: watch::Sender<KeeperState>,
    /// The process was asked to stop.
    pub stop: Stop,
    /// Self-metrics.
    pub metrics: Metrics,
    /// The wall clock.
    pub now: fn() -> Timestamp,
}

impl Keeper {
    /// Runs until the engine is gone. A disk that refuses is tried again with the same changes:
    /// nothing is skipped, counting goes on meanwhile and pages say since when nothing is durable.
    pub fn run(mut self) {
        while let Ok(checkpoint) = self.input.recv() {
            if !self.keep(&checkpoint) {
                return;
            }
            drop(checkpoint.changes); // its pages are the engine's alone again
            self.positions.send_replace(Arc::new(checkpoint.positions));
            self.durable.send_replace(checkpoint.durable);
            self.busy.store(false, Ordering::Release);
        }
    }

    /// Commits, however often it takes. False: stopping, and the disk still refuses.
    fn keep(&mut self, checkpoint: &Checkpoint) -> bool {
        let mut pause = RETRY_FIRST;
        let mut stopping: Option<Instant> = None;
        loop {
            let began = Instant::now();
            match self.store.commit(&checkpoint.changes) {
                Ok(()) => {
                    self.metrics.checkpoint(began.elapsed().as_secs_f64(), true);
                    self.state.send_replace(KeeperState { committed_at: Some((self.now)()), error: String::new() });
                    return true;
                }
                Err(error) => {
                    self.metrics.checkpoint(began.elapsed().as_secs_f64(), false);
                    tracing::error!(%error, "checkpoint refused by the disk, trying again");
                    self.state.send_modify(|s| s.error = error.to_string());
                    if self.stop.is_set() && stopping.get_or_insert(began).elapsed() > LAST_TRIES {
                        return false;
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }
}
