//! What pages may make happen at a broker: peeks and redrives, each noted in the audit log before it begins.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::brokers::Clusters;
use super::interrupted::{StoredRun, forget, interrupted, remember, view};
use super::redrive::parts;
use super::watchers::{Peeks, reader, rules};
use crate::broker::Boxed;
use crate::cli::RedriveParts;
use crate::config::Config;
use crate::dlq::{OffsetRange, Selection};
use crate::loops::{Ended, LOOKUP_TRANSACTIONS, Lookup, RedriveLoop, RedriveOptions, Reins};
use crate::model::Input;
use crate::run::clock::wall;
use crate::run::desk::{Asker, Desk, desk};
use crate::snapshot::{PeekQuestion, Peeked, RedriveView, TransactionKey, TransactionView};
use crate::store::{AuditEntry, AuditLog, KeepStore};
use crate::web::{DlqActions, RedrivePlan, RedriveStep, RedriveTarget, Refusal, Transactions};

/// Longest wait for a peek: below the timeout of a request.
const PEEK: Duration = Duration::from_secs(8);
/// Longest wait for what became of transactions: some ticks.
const LOOKUP: Duration = Duration::from_secs(3);
/// Runs whose end is remembered, and runs that may go on at once.
const RUNS: (usize, usize) = (500, 4);

/// Questions about one transaction that wait for the engine's next input.
const TRANSACTIONS: usize = 64;

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

/// The actions of one process.
pub(super) struct LetterActions {
    pub config: Arc<Config>,
    pub clusters: Clusters,
    pub peeks: Peeks,
    pub lookups: Asker<Lookup, Vec<Option<bool>>>,
    pub audit: Arc<dyn AuditLog>,
    pub kept: Arc<dyn KeepStore>,
    pub runtime: Handle,
    /// The newest run by cluster and stream.
    pub runs: Mutex<HashMap<(String, String), Run>>,
}

/// One run, going on or ended.
pub(super) struct Run {
    plan: RedrivePlan,
    reins: Reins,
    view: watch::Receiver<Arc<RedriveView>>,
}

impl Run {
    fn is_over(&self) -> bool {
        // A run that is gone without its last word has died: its thread's panic was reported.
        matches!(self.view.borrow().state, "done" | "cancelled" | "failed" | "interrupted")
            || self.view.has_changed().is_err()
    }

    /// A finished dry run of exactly this plan: what may begin.
    fn has_counted(&self, plan: &RedrivePlan) -> bool {
        let view = self.view.borrow();
        view.dry_run && view.state == "done" && self.plan == *plan
    }
}

impl LetterActions {
    fn runs(&self) -> MutexGuard<'_, HashMap<(String, String), Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs that a stop of the process interrupted are shown, and can be resumed.
    pub(super) fn find_interrupted(&self) {
        let clusters = self.config.clusters.iter().map(|c| c.name.as_str());
        let found = interrupted(clusters, &*self.kept, &*self.audit, wall());
        let runs = found.into_iter().take(RUNS.0).map(|run| {
            let key = (run.plan.cluster.clone(), run.plan.stream.clone());
            // Nobody sends: a run without a thread is over.
            let (_, shown) = watch::channel(view(&run));
            (key, Run { plan: run.plan, reins: Reins::default(), view: shown })
        });
        self.runs().extend(runs);
    }

    fn begin(&self, who: &str, plan: RedrivePlan, dry_run: bool) -> Result<(), Refusal> {
        let cluster = self.config.clusters.iter().find(|c| c.name == plan.cluster);
        let cluster = cluster.ok_or_else(|| Refusal::Unknown(format!("no cluster {}", plan.cluster)))?;
        let key = (plan.cluster.clone(), plan.stream.clone());
        let mut runs = self.runs();
        if runs.get(&key).is_some_and(|run| !run.is_over()) {
            return Err(Refusal::Conflict(format!("a redrive of {} is going on", plan.stream)));
        }
        if runs.values().filter(|run| !run.is_over()).count() >= RUNS.1 {
            return Err(Refusal::Conflict(format!("{} redrives are going on, that is the most", RUNS.1)));
        }
        if runs.len() >= RUNS.0 {
            runs.retain(|_, run| !run.is_over());
        }
        let made = parts(&self.config, cluster, self.clusters.log(), &plan.stream, dry_run);
        let RedriveParts { observe, mover, prepare } = made.map_err(Refusal::Unavailable)?;
        let options = options(&self.config, who, plan.clone(), dry_run);
        let (out, view) = watch::channel(Arc::new(RedriveView {
            cluster: key.0.clone(),
            stream: key.1.clone(),
            state: "preparing",
            dry_run,
            ..RedriveView::default()
        }));
        let id = uuid::Uuid::now_v7().to_string();
        let stored = StoredRun { run: id.clone(), by: who.to_owned(), plan: plan.clone(), noted: false };
        let reins = Reins::default();
        let run = RedriveLoop {
            run: id.clone(),
            options,
            observe,
            mover,
            ended: Box::new(AskEngine { lookups: self.lookups.clone(), runtime: self.runtime.clone() }),
            reader: reader(&self.config, cluster).map_err(|e| Refusal::Unavailable(e.to_string()))?,
            rules: rules(&self.config, cluster).map_err(|e| Refusal::Unavailable(e.to_string()))?,
            prepare,
            audit: Some(Arc::clone(&self.audit)),
            reins: reins.clone(),
            out,
            now: wall,
        };
        // Not supervised: it is a user's task, ends by itself, and a stop of the process leaves it resumable.
        if !dry_run {
            remember(&*self.kept, &stored).map_err(|error| Refusal::Unavailable(error.to_string()))?;
        }
        let (kept, ended) = (Arc::clone(&self.kept), key.clone());
        let spawned = std::thread::Builder::new().name("redrive".into()).spawn(move || {
            if let Err(error) = run.run() {
                tracing::warn!(%error, "a redrive ended early");
            }
            if !dry_run {
                forget(&*kept, &ended.0, &ended.1);
            }
        });
        if let Err(error) = spawned {
            forget(&*self.kept, &key.0, &key.1);
            return Err(Refusal::Unavailable(error.to_string()));
        }
        runs.insert(key, Run { plan, reins, view });
        Ok(())
    }
}

fn options(config: &Config, who: &str, plan: RedrivePlan, dry_run: bool) -> RedriveOptions {
    let some = |text: String| Some(text).filter(|t| !t.is_empty());
    let range = |(partition, from, to)| OffsetRange { partition, from, to };
    let selection = Selection {
        errors: some(plan.error).into_iter().collect(),
        from: plan.from,
        to: plan.to,
        offsets: plan.positions.map(range).into_iter().collect(),
        group: some(plan.group),
    };
    RedriveOptions {
        cluster: plan.cluster,
        stream: plan.stream,
        selection,
        dry_run,
        to_retry_topic: plan.target == RedriveTarget::Retry,
        to: match plan.target {
            RedriveTarget::Stream(stream) => Some(stream),
            RedriveTarget::Source | RedriveTarget::Retry => None,
        },
        include_ended_ok: plan.include_ok,
        include_unknown: true, // our own engine is asked: what it does not know, nobody knows
        any_stream: true,      // pages know only the streams of the board
        most: plan.most,
        rate: plan.rate.unwrap_or(config.dlq.rate).min(config.dlq.rate),
        max_redrives: config.dlq.max_redrives,
        by: if who.is_empty() { "a page without users".to_owned() } else { who.to_owned() },
    }
}

impl DlqActions for LetterActions {
    fn peek(&self, question: PeekQuestion) -> Boxed<'_, Result<Peeked, Refusal>> {
        Box::pin(async move {
            let desk = self.peeks.iter().find(|(name, _)| *name == question.cluster);
            let desk = desk.ok_or_else(|| Refusal::Unknown(format!("no cluster {}", question.cluster)))?;
            let answer = desk.1.ask(question, PEEK).await;
            answer.map_err(|why| Refusal::Unavailable(why.to_string()))?.map_err(Refusal::NotAllowed)
        })
    }

    fn dry_run<'a>(&'a self, who: &'a str, plan: RedrivePlan) -> Boxed<'a, Result<(), Refusal>> {
        Box::pin(async move { self.begin(who, plan, true) })
    }

    fn start<'a>(&'a self, who: &'a str, plan: RedrivePlan) -> Boxed<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let key = (plan.cluster.clone(), plan.stream.clone());
            if !self.runs().get(&key).is_some_and(|run| run.has_counted(&plan)) {
                return Err(Refusal::Conflict(
                    "nothing begins that was not counted: make a dry run of this selection, target and options first"
                        .into(),
                ));
            }
            self.begin(who, plan, false)
        })
    }

    fn step<'a>(
        &'a self,
        who: &'a str,
        cluster: &'a str,
        stream: &'a str,
        step: RedriveStep,
    ) -> Boxed<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let unknown = || Refusal::Unknown(format!("no redrive of {stream} is going on"));
            if step == RedriveStep::Resume {
                let key = (cluster.to_owned(), stream.to_owned());
                let plan = self
                    .runs()
                    .get(&key)
                    .filter(|run| run.view.borrow().state == "interrupted")
                    .map(|run| run.plan.clone());
                if let Some(plan) = plan {
                    // How many of them were sent before the stop is not known.
                    if plan.most.is_some() {
                        let why =
                            "it was limited to a number of letters, some of which may be sent: make a dry run anew";
                        return Err(Refusal::Conflict(why.into()));
                    }
                    return self.begin(who, plan, false);
                }
            }
            let reins = {
                let runs = self.runs();
                let run = runs.get(&(cluster.to_owned(), stream.to_owned())).filter(|run| !run.is_over());
                run.ok_or_else(unknown)?.reins.clone()
            };
            let (action, act): (_, fn(&Reins)) = match step {
                RedriveStep::Pause => ("redrive.pause", Reins::pause),
                RedriveStep::Resume => ("redrive.resume", Reins::go_on),
                RedriveStep::Cancel => ("redrive.cancel", Reins::cancel),
            };
            let detail = format!("cluster {cluster} stream {stream}");
            let entry = AuditEntry { at: wall(), user: who.to_owned(), action: action.to_owned(), detail };
            self.audit.note(&entry).map_err(|error| Refusal::Unavailable(error.to_string()))?;
            act(&reins);
            Ok(())
        })
    }

    fn progress(&self, cluster: &str, stream: &str) -> Option<(RedrivePlan, Arc<RedriveView>)> {
        let runs = self.runs();
        let run = runs.get(&(cluster.to_owned(), stream.to_owned()))?;
        Some((run.plan.clone(), Arc::clone(&run.view.borrow())))
    }
}

/// Asks our own engine what became of transactions.
struct AskEngine {
    lookups: Asker<Lookup, Vec<Option<bool>>>,
    runtime: Handle,
}

impl Ended for AskEngine {
    fn ended_ok(&mut self, transactions: &[(String, String)]) -> Vec<Option<bool>> {
        let mut answers = Vec::with_capacity(transactions.len());
        for some in transactions.chunks(LOOKUP_TRANSACTIONS) {
            let answer = self.runtime.block_on(self.lookups.ask(some.to_vec(), LOOKUP));
            // No answer is an answer too: nobody knows.
            answers.extend(answer.unwrap_or_else(|_| vec![None; some.len()]));
        }
        answers
    }

    fn source(&self) -> String {
        "transactions were looked up in this server's own state: of those that ended ok more than an hour ago it knows nothing".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_finished_dry_run_counted_may_begin() {
        let plan = RedrivePlan { stream: "orders.dlq".into(), most: Some(5), ..RedrivePlan::default() };
        let run = |state, dry_run| {
            let view = RedriveView { state, dry_run, ..RedriveView::default() };
            Run { plan: plan.clone(), reins: Reins::default(), view: watch::channel(Arc::new(view)).1 }
        };
        assert!(run("done", true).has_counted(&plan));
        for (state, dry_run) in [("running", true), ("failed", true), ("cancelled", true), ("done", false)] {
            assert!(!run(state, dry_run).has_counted(&plan), "{state} {dry_run}");
        }
        let others = [
            RedrivePlan { most: None, ..plan.clone() },
            RedrivePlan { include_ok: true, ..plan.clone() },
            RedrivePlan { target: RedriveTarget::Stream("other".into()), ..plan.clone() },
        ];
        for other in others {
            assert!(!run("done", true).has_counted(&other), "{other:?}");
        }
    }
}
