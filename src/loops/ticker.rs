//! The clock of the engine: a tick every 250 ms, a checkpoint every second.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use crate::broker::Stop;
use crate::model::{Input, Timestamp};

/// How often a snapshot is published.
pub const TICK: Duration = Duration::from_millis(250);
/// A checkpoint is asked for with every n-th tick.
const CHECKPOINT_EVERY: u32 = 4;

/// Sends `Tick` and `Checkpoint` into the engine's queue.
pub struct Ticker {
    /// The engine's queue; a full queue makes the ticker wait its turn.
    pub out: SyncSender<Input>,
    /// The wall clock.
    pub now: fn() -> Timestamp,
    /// Asks to stop.
    pub stop: Stop,
}

impl Ticker {
    /// Runs until stopped or until the engine is gone.
    pub fn run(self) {
        let mut due = Instant::now();
        for n in 0u32.. {
            if self.stop.is_set() || self.out.send(Input::Tick((self.now)())).is_err() {
                return;
            }
            if n % CHECKPOINT_EVERY == 0 && self.out.send(Input::Checkpoint).is_err() {
                return;
            }
            // A late tick is not made up for: the next one is a full period away.
            due = (due + TICK).max(Instant::now());
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}
