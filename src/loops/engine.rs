//! The engine's thread: the one owner of all state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::decode::Spares;
use crate::engine::{Checkpoint, Engine};
use crate::model::Input;
use crate::run::desk::Desk;
use crate::snapshot::{DlqBoard, LagBoard, Snapshot, TransactionKey, TransactionView};
use crate::telemetry::Metrics;

/// After a partition was opened its position becomes durable at the next quiet moment, at most this
/// much later: readers wait for it before their first read.
const OPEN_SETTLE: Duration = Duration::from_millis(20);

/// Owns the engine and its channels.
pub struct EngineLoop {
    /// The state.
    pub engine: Engine,
    /// From readers and ticker.
    pub input: Receiver<Input>,
    /// Back to the readers.
    pub spares: Spares,
    /// To the web edge: newest wins.
    pub snapshot: watch::Sender<Arc<Snapshot>>,
    /// To the keeper: one slot.
    pub keeper: SyncSender<Checkpoint>,
    /// True from the moment a checkpoint is handed over until it is durable.
    pub keeper_busy: Arc<AtomicBool>,
    /// Groups, newest wins; looked at with each tick.
    pub lag: watch::Receiver<Arc<LagBoard>>,
    /// Dead letters, newest wins; looked at with each tick.
    pub dlq: watch::Receiver<Arc<DlqBoard>>,
    /// Who wants to know what became of transactions; answered with each tick.
    pub lookups: Desk<Lookup, Vec<Option<bool>>>,
    /// Who wants to see one transaction; answered after each input.
    pub transactions: Desk<TransactionKey, Option<Box<TransactionView>>>,
    /// Self-metrics.
    pub metrics: Metrics,
}

/// Transactions by flow and id: whether each has ended `ok`.
pub type Lookup = Vec<(String, String)>;

/// Lookups answered with one tick, of at most [`LOOKUP_TRANSACTIONS`] each: a millisecond of work.
const LOOKUPS: usize = 4;
/// Transactions told after one input: microseconds each.
const TOLD: usize = 16;
/// Transactions in one lookup; of further ones nothing is said.
pub const LOOKUP_TRANSACTIONS: usize = 1_000;

impl EngineLoop {
    /// Runs until every sender is gone, then hands the last checkpoint to the keeper.
    pub fn run(mut self) {
        let mut urgent: Option<Instant> = None;
        loop {
            let next = match urgent {
                None => self.input.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(since) => {
                    let left = OPEN_SETTLE.saturating_sub(since.elapsed());
                    if left.is_zero() {
                        // A keeper that is busy is asked again after another settling time.
                        urgent = (!self.checkpoint()).then(Instant::now);
                        continue;
                    }
                    self.input.recv_timeout(left)
                }
            };
            match next {
                Ok(Input::Open(open)) => {
                    self.engine.open(&open);
                    urgent = urgent.or_else(|| Some(Instant::now()));
                }
                Ok(Input::Checkpoint) => {
                    if self.checkpoint() {
                        urgent = None;
                    }
                }
                Ok(input) => {
                    self.apply(input);
                    self.tell();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // The keeper may still be busy: this one waits, for it is the last.
        let _gone = self.keeper.send(self.engine.checkpoint());
    }

    fn apply(&mut self, input: Input) {
        match input {
            Input::Batch(batch) => {
                self.engine.apply(&batch);
                self.metrics.batches(1);
                self.spares.give(batch);
            }
            Input::Announced(cluster) => self.engine.announced(&cluster),
            Input::Tail(tail) => self.engine.tail(&tail),
            Input::State(source, state, at) => self.engine.state(&source, &state, at),
            Input::Gap(source, from, to, at) => self.engine.gap(&source, from, to, at),
            Input::Cut(cut) => self.engine.cut(&cut),
            Input::Tick(now) => {
                let began = Instant::now();
                let mut snapshot = self.engine.tick(now);
                // Nobody else has it yet, so this clones nothing.
                let whole = Arc::make_mut(&mut snapshot);
                whole.lag = Arc::clone(&self.lag.borrow());
                whole.dlq = Arc::clone(&self.dlq.borrow());
                self.snapshot.send_replace(snapshot);
                self.metrics.tick(began.elapsed().as_secs_f64());
                self.look_up();
            }
            Input::Open(_) | Input::Checkpoint | Input::Asked => {}
        }
    }

    fn look_up(&mut self) {
        for _ in 0..LOOKUPS {
            let Some(asked) = self.lookups.waiting() else { return };
            let of = asked.question.iter().take(LOOKUP_TRANSACTIONS);
            let answers = of.map(|(flow, id)| self.engine.ended_ok(flow, id)).collect();
            asked.answer(answers);
        }
    }

    fn tell(&mut self) {
        for _ in 0..TOLD {
            let Some(asked) = self.transactions.waiting() else { return };
            let (flow, id) = &asked.question;
            let told = self.engine.transaction(flow, id).map(Box::new);
            asked.answer(told);
        }
    }

    /// Hands all changes to the keeper if it is idle. False: it is busy, nothing was taken.
    fn checkpoint(&mut self) -> bool {
        // The engine is asked for its changes only when they can be taken: asking clears its dirty marks.
        if self.keeper_busy.swap(true, Ordering::AcqRel) {
            return false;
        }
        let _gone = self.keeper.send(self.engine.checkpoint());
        true
    }
}
