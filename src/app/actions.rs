//! What pages may make happen at a broker: peeks and redrives, each noted in the audit log before it begins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::ask::{AskEngine, Lookups};
use super::brokers::Clusters;
use super::interrupted::{StoredRun, forget, interrupted, remember};
use super::redrive::parts;
use super::watchers::{Peeks, reader, rules};
use crate::broker::Boxed;
use crate::cli::RedriveParts;
use crate::config::Config;
use crate::dlq::{OffsetRange, Selection};
use crate::loops::{RedriveError, RedriveLoop, RedriveOptions, Reins};
use crate::run::clock::wall;
use crate::snapshot::{PeekQuestion, Peeked, RedriveView};
use crate::store::{AuditEntry, AuditLog, KeepStore, StoreError};
use crate::web::{DlqActions, InterruptedRun, RedrivePlan, RedriveStep, RedriveTarget, Refusal};

/// Longest wait for a peek: below the timeout of a request.
const PEEK: Duration = Duration::from_secs(8);
/// Runs whose end is remembered, and runs that may go on at once.
const RUNS: (usize, usize) = (500, 4);

/// The actions of one process.
pub(super) struct LetterActions {
    pub config: Arc<Config>,
    pub clusters: Clusters,
    pub peeks: Peeks,
    pub lookups: Lookups,
    pub audit: Arc<dyn AuditLog>,
    pub kept: Arc<dyn KeepStore>,
    pub runtime: Handle,
    pub runs: Arc<Mutex<Runs>>,
}

/// Cluster and stream.
type Of = (String, String);

/// The runs of one process. What the ledger says of them changes only while this is locked.
#[derive(Default)]
pub(super) struct Runs {
    /// The newest that this process began, dry or not.
    newest: HashMap<Of, Run>,
    /// Those that a stop of an earlier process interrupted, and nobody has resumed or dismissed since.
    interrupted: HashMap<Of, StoredRun>,
}

impl Runs {
    fn lock(runs: &Mutex<Self>) -> MutexGuard<'_, Self> {
        runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run of a stream that goes on.
    fn going(&self, of: &Of) -> Option<&Run> {
        self.newest.get(of).filter(|run| !run.is_over())
    }
}

/// One run, going on or ended.
struct Run {
    plan: RedrivePlan,
    reins: Reins,
    view: watch::Receiver<Arc<RedriveView>>,
}

impl Run {
    fn is_over(&self) -> bool {
        // A run that is gone without its last word has died: its thread's panic was reported.
        matches!(self.view.borrow().state, "done" | "cancelled" | "failed") || self.view.has_changed().is_err()
    }

    /// A finished dry run of exactly this plan: what may begin.
    fn has_counted(&self, plan: &RedrivePlan) -> bool {
        let view = self.view.borrow();
        view.dry_run && view.state == "done" && self.plan == *plan
    }
}

impl LetterActions {
    fn runs(&self) -> MutexGuard<'_, Runs> {
        Runs::lock(&self.runs)
    }

    /// Runs that a stop of the process interrupted are shown, and can be resumed or dismissed.
    pub(super) fn find_interrupted(&self) {
        let clusters = self.config.clusters.iter().map(|c| c.name.as_str());
        let found = interrupted(clusters, &*self.kept, &*self.audit, wall());
        let of = |run: StoredRun| ((run.plan.cluster.clone(), run.plan.stream.clone()), run);
        self.runs().interrupted.extend(found.into_iter().take(RUNS.0).map(of));
    }

    /// Begins a run; `begun` says how.
    fn begin(&self, who: &str, plan: RedrivePlan, begun: Begun) -> Result<(), Refusal> {
        let dry_run = begun == Begun::Dry;
        let cluster = self.config.clusters.iter().find(|c| c.name == plan.cluster);
        let cluster = cluster.ok_or_else(|| Refusal::Unknown(format!("no cluster {}", plan.cluster)))?;
        let key = (plan.cluster.clone(), plan.stream.clone());
        let mut runs = self.runs();
        if runs.going(&key).is_some() {
            return Err(Refusal::Conflict(format!("a redrive of {} is going on", plan.stream)));
        }
        if begun == Begun::Afresh && runs.interrupted.contains_key(&key) {
            let why = format!("a redrive of {} was interrupted: resume it or dismiss it first", plan.stream);
            return Err(Refusal::Conflict(why));
        }
        if runs.newest.values().filter(|run| !run.is_over()).count() >= RUNS.1 {
            return Err(Refusal::Conflict(format!("{} redrives are going on, that is the most", RUNS.1)));
        }
        if runs.newest.len() >= RUNS.0 {
            runs.newest.retain(|_, run| !run.is_over());
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
            ended: Box::new(AskEngine::new(self.lookups.clone(), self.runtime.clone())),
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
        let (kept, all, ended) = (Arc::clone(&self.kept), Arc::clone(&self.runs), (key.clone(), id.clone()));
        let spawned = std::thread::Builder::new().name("redrive".into()).spawn(move || {
            let result = run.run();
            if let Err(error) = &result {
                tracing::warn!(%error, "a redrive ended early");
            }
            // Nobody can be asked any more while the process stops: after its next start the run can be resumed.
            if !dry_run && !matches!(result, Err(RedriveError::Unasked(_))) {
                let ((cluster, stream), run) = &ended;
                let _none_begins = Runs::lock(&all);
                if let Err(error) = forget(&*kept, cluster, stream, run) {
                    tracing::warn!(cluster, stream, %error, "a redrive has ended; after a restart it will be said to be interrupted");
                }
            }
        });
        if let Err(error) = spawned {
            // What was interrupted before stays so.
            let put_back = match runs.interrupted.get(&key) {
                Some(before) if !dry_run => remember(&*self.kept, before),
                _ => forget(&*self.kept, &key.0, &key.1, &id),
            };
            let failed = put_back.map_or_else(|also| format!("{error}; {also}"), |()| error.to_string());
            return Err(Refusal::Unavailable(failed));
        }
        if !dry_run {
            runs.interrupted.remove(&key);
        }
        runs.newest.insert(key, Run { plan, reins, view });
        Ok(())
    }

    /// The plan of the interrupted run of a stream, where nothing goes on that could be resumed instead.
    fn to_resume(&self, of: &Of) -> Result<Option<RedrivePlan>, Refusal> {
        let runs = self.runs();
        let Some(run) = runs.interrupted.get(of).filter(|_| runs.going(of).is_none()) else { return Ok(None) };
        if run.plan.most.is_some() {
            // How many of them were sent before the stop is not known.
            let why =
                "it was limited to a number of letters, some of which may be sent: dismiss it, and make a dry run";
            return Err(Refusal::Conflict(why.into()));
        }
        Ok(Some(run.plan.clone()))
    }

    /// Nobody wants the interrupted run of a stream any more.
    fn dismiss(&self, who: &str, of: &Of) -> Result<(), Refusal> {
        let unavailable = |error: StoreError| Refusal::Unavailable(error.to_string());
        let mut runs = self.runs();
        let (cluster, stream) = of;
        let run = runs.interrupted.get(of).map(|run| run.run.clone());
        let run = run.ok_or_else(|| Refusal::Unknown(format!("no redrive of {stream} was interrupted")))?;
        self.note(who, "redrive.dismiss", format!("run {run} cluster {cluster} stream {stream}"))?;
        forget(&*self.kept, cluster, stream, &run).map_err(unavailable)?;
        runs.interrupted.remove(of);
        Ok(())
    }

    fn note(&self, who: &str, action: &str, detail: String) -> Result<(), Refusal> {
        let entry = AuditEntry { at: wall(), user: who.to_owned(), action: action.to_owned(), detail };
        self.audit.note(&entry).map_err(|error| Refusal::Unavailable(error.to_string()))
    }
}

/// How a run is begun.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// It counts and moves nothing.
    Dry,
    /// As a dry run has counted.
    Afresh,
    /// In place of the one that was interrupted.
    Again,
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
        include_unknown: plan.include_unknown,
        any_stream: true, // pages know only the streams of the board
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
        Box::pin(async move { self.begin(who, plan, Begun::Dry) })
    }

    fn start<'a>(&'a self, who: &'a str, plan: RedrivePlan) -> Boxed<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let key = (plan.cluster.clone(), plan.stream.clone());
            if !self.runs().newest.get(&key).is_some_and(|run| run.has_counted(&plan)) {
                return Err(Refusal::Conflict(
                    "nothing begins that was not counted: make a dry run of this selection, target and options first"
                        .into(),
                ));
            }
            self.begin(who, plan, Begun::Afresh)
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
            let of = (cluster.to_owned(), stream.to_owned());
            let (action, act): (_, fn(&Reins)) = match step {
                RedriveStep::Dismiss => return self.dismiss(who, &of),
                RedriveStep::Resume => match self.to_resume(&of)? {
                    Some(plan) => return self.begin(who, plan, Begun::Again),
                    None => ("redrive.resume", Reins::go_on),
                },
                RedriveStep::Pause => ("redrive.pause", Reins::pause),
                RedriveStep::Cancel => ("redrive.cancel", Reins::cancel),
            };
            let reins = self.runs().going(&of).map(|run| run.reins.clone());
            let reins = reins.ok_or_else(|| Refusal::Unknown(format!("no redrive of {stream} is going on")))?;
            self.note(who, action, format!("cluster {cluster} stream {stream}"))?;
            act(&reins);
            Ok(())
        })
    }

    fn progress(&self, cluster: &str, stream: &str) -> Option<(RedrivePlan, Arc<RedriveView>)> {
        let runs = self.runs();
        let run = runs.newest.get(&(cluster.to_owned(), stream.to_owned()))?;
        Some((run.plan.clone(), Arc::clone(&run.view.borrow())))
    }

    fn interrupted(&self, cluster: &str, stream: &str) -> Option<InterruptedRun> {
        let runs = self.runs();
        let run = runs.interrupted.get(&(cluster.to_owned(), stream.to_owned()))?;
        Some(InterruptedRun { run: run.run.clone(), by: run.by.clone(), plan: run.plan.clone() })
    }

    fn audited(&self, before: Option<u64>, most: usize) -> Boxed<'_, Result<Vec<(u64, AuditEntry)>, Refusal>> {
        let audit = Arc::clone(&self.audit);
        // It waits for the disk: not on a thread that serves others.
        let read = self.runtime.spawn_blocking(move || audit.lines(before, most));
        Box::pin(async move {
            let lines = read.await.map_err(|error| Refusal::Unavailable(error.to_string()))?;
            lines.map_err(|error| Refusal::Unavailable(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests;
