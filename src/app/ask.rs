//! Who asks the engine about transactions: pages about one, redrives whether those of their letters have ended.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::loops::{Ended, Fared, LOOKUP_TRANSACTIONS, Lookup};
use crate::model::Input;
use crate::run::desk::{Asker, Desk, NoAnswer, desk};
use crate::snapshot::{TransactionKey, TransactionView};
use crate::web::Transactions;

/// Questions about one transaction that wait for the engine's next input.
const TRANSACTIONS: usize = 64;
/// Longest wait for what became of transactions: some ticks.
const LOOKUP: Duration = Duration::from_secs(3);
/// Pause before a desk that was full is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// The desk at which the engine is asked for one transaction. Whoever asks wakes it, but keeps it from nothing: it
/// ends when the readers and the ticker, who hold `input`, are gone.
pub(super) fn transactions(
    input: &Arc<SyncSender<Input>>,
) -> (Transactions, Desk<TransactionKey, Option<Box<TransactionView>>>) {
    let (asker, taken) = desk(TRANSACTIONS);
    let wake = Arc::downgrade(input);
    let bell = move || {
        // Where the channel is full the engine is awake, and will look.
        let _full = wake.upgrade().map(|input| input.try_send(Input::Asked));
    };
    (asker.with_bell(Arc::new(bell)), taken)
}

/// Where lookups are put.
pub(super) type Lookups = Asker<Lookup, Vec<Option<bool>>>;

/// Asks our own engine what became of transactions. One that is too busy to answer has said nothing.
pub(super) struct AskEngine {
    lookups: Lookups,
    runtime: Handle,
    within: Duration,
    /// The engine has ended.
    gone: bool,
}

impl AskEngine {
    pub(super) fn new(lookups: Lookups, runtime: Handle) -> Self {
        Self { lookups, runtime, within: LOOKUP, gone: false }
    }

    /// `None`: no answer in time.
    fn ask(&mut self, some: &[(String, String)]) -> Option<Vec<Option<bool>>> {
        let until = Instant::now() + self.within;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.runtime.block_on(self.lookups.ask(some.to_vec(), left)) {
                Ok(answers) => return Some(answers),
                Err(NoAnswer::Busy) if left > AGAIN => std::thread::sleep(AGAIN),
                Err(why) => {
                    self.gone |= why == NoAnswer::Gone;
                    return None;
                }
            }
        }
    }
}

impl Ended for AskEngine {
    fn ended_ok(&mut self, transactions: &[(String, String)]) -> Vec<Fared> {
        let mut fared = Vec::with_capacity(transactions.len());
        for some in transactions.chunks(LOOKUP_TRANSACTIONS) {
            let told = |answer| match answer {
                Some(true) => Fared::EndedOk,
                Some(false) => Fared::NotOk,
                None => Fared::Unheard,
            };
            match self.ask(some) {
                Some(answers) => fared.extend(answers.into_iter().map(told)),
                None => fared.extend(some.iter().map(|_| Fared::Unasked)),
            }
        }
        fared
    }

    fn source(&self) -> String {
        "transactions were looked up in this server's own state: of those that ended ok more than an hour ago it knows nothing".to_owned()
    }

    fn fault(&self) -> Option<String> {
        self.gone.then(|| "the process is stopping: nobody says which transactions have ended ok".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_does_not_answer_has_said_nothing() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let (lookups, asked) = desk(1);
        let mut engine = AskEngine::new(lookups, runtime.handle().clone());
        let names = ["a", "b", "c"].map(|id| ("shop".to_owned(), id.to_owned()));
        let answers = std::thread::spawn(move || {
            asked.next(Duration::from_secs(20)).unwrap().answer(vec![Some(true), Some(false), None]);
            asked
        });
        assert_eq!(engine.ended_ok(&names), [Fared::EndedOk, Fared::NotOk, Fared::Unheard]);
        let asked = answers.join().unwrap();
        engine.within = Duration::from_millis(1);
        for why in ["late", "and then its desk is full"] {
            assert_eq!((engine.ended_ok(&names), engine.fault()), (vec![Fared::Unasked; 3], None), "{why}");
        }
        drop(asked);
        assert_eq!(engine.ended_ok(&names), [Fared::Unasked; 3]);
        assert!(engine.fault().is_some_and(|why| why.contains("stopping")), "it will never be told");
    }
}
