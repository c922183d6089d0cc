//! Sends dead letters back: one run over one stream, from a command or from a page.
//!
//! ```text
//! fence and read progress -> survey -> read markers -> scan each partition to the end it had at the beginning
//!   stretch -> selected? settled before? ended ok? target? -> copies + markers + progress: one atomic step
//! ```
//!
//! What is done is kept in the log itself, in the same step as the copies (docs/adr/005): a run that dies at any
//! moment, and any run after it on any machine, goes on without sending a letter twice or leaving one out.
//! Nothing is kept here that a new attempt does not read again.

mod pace;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::letters::Reader;
use crate::broker::{Move, MoveError, NewRecord, Observe, Outgoing};
use crate::dlq::{NameClass, Rules, Selection, Settled, Skip, marker_stream, name_class, own_group};
use crate::model::{Survey, Timestamp, TopicFacts};
use crate::snapshot::RedriveView;
use crate::store::{AuditEntry, AuditLog};

/// Time for the survey at the beginning: it asks all groups of the cluster.
const SURVEY: Duration = Duration::from_secs(30);
/// Time for one step, one read.
const STEP: Duration = Duration::from_secs(30);
/// Pauses between attempts: the first, the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// Attempts without any progress between them, after which a run gives up: about two minutes.
const ATTEMPTS: u32 = 12;
/// Markers in one read: 1 KiB each.
const MARKERS: usize = 1_000;
/// Bytes of one read.
const READ_BYTES: usize = 8 << 20;
/// How often a pause looks up.
const LOOK_UP: Duration = Duration::from_millis(50);
/// Groups named in a note.
const NAMED: usize = 5;

/// Whether transactions have ended well meanwhile. Asked for stretches of letters at once.
pub trait Ended: Send {
    /// For each (flow, transaction id): it has ended ok, it has not, or nobody knows.
    fn ended_ok(&mut self, transactions: &[(String, String)]) -> Vec<Option<bool>>;

    /// Where the answers come from, or why there are none: a note of the report.
    fn source(&self) -> String;
}

/// What a run is for.
#[derive(Clone, Debug, Default)]
pub struct RedriveOptions {
    /// Cluster by name.
    pub cluster: String,
    /// Stream of dead letters.
    pub stream: String,
    /// Which letters.
    pub selection: Selection,
    /// Count only.
    pub dry_run: bool,
    /// To the retry stream of the group instead of the source.
    pub to_retry_topic: bool,
    /// To this stream, whatever the letters say.
    pub to: Option<String>,
    /// Also letters whose transaction has ended ok.
    pub include_ended_ok: bool,
    /// At most so many.
    pub most: Option<u64>,
    /// Letters per second.
    pub rate: u32,
    /// A letter that was redriven so often stays.
    pub max_redrives: u32,
    /// Who asked: in the headers of the copies and in the audit log.
    pub by: String,
}

/// Holds a run: pause, go on, cancel. Clones hold the same run.
#[derive(Clone, Debug, Default)]
pub struct Reins(Arc<AtomicU8>);

impl Reins {
    /// It stops after the step that it is in, until told to go on.
    pub fn pause(&self) {
        let _cancelled = self.0.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// It goes on.
    pub fn go_on(&self) {
        let _cancelled = self.0.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// It ends after the step that it is in. What was sent stays sent.
    pub fn cancel(&self) {
        self.0.store(2, Ordering::Release);
    }

    fn is_paused(&self) -> bool {
        self.0.load(Ordering::Acquire) == 1
    }

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire) == 2
    }
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// It cannot begin, or not go on: in words for an operator.
    #[error("{0}")]
    Impossible(String),
    /// Another run of the same stream took over.
    #[error(transparent)]
    Moved(#[from] MoveError),
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
}

/// Makes the stream of markers where there is none yet: compacted, one partition.
pub type Prepare = Box<dyn FnMut(&str) -> Result<(), String> + Send>;

/// One run.
pub struct RedriveLoop {
    /// Its id, for the audit log.
    pub run: String,
    /// What it is for.
    pub options: RedriveOptions,
    /// Reads.
    pub observe: Box<dyn Observe>,
    /// Writes; made for [`own_group`] of the stream. `None`: only a dry run is possible.
    pub mover: Option<Box<dyn Move>>,
    /// Looks transactions up.
    pub ended: Box<dyn Ended>,
    /// Reads letters.
    pub reader: Reader,
    /// Which streams hold dead letters: none of them is a target.
    pub rules: Rules,
    /// Makes the stream of markers.
    pub prepare: Prepare,
    /// The audit log, where it can be reached; the log of the cluster has the same lines.
    pub audit: Option<Arc<dyn AuditLog>>,
    /// Holds it.
    pub reins: Reins,
    /// Progress: newest wins.
    pub out: watch::Sender<Arc<RedriveView>>,
    /// The wall clock.
    pub now: fn() -> Timestamp,
}

/// What an attempt found at its beginning.
struct Ground {
    settled: Settled,
    /// By partition: where our group stands, or the log begins.
    low: BTreeMap<u32, u64>,
    /// By partition: from, to.
    spans: Vec<(u32, u64, u64)>,
    streams: HashSet<String>,
    dlqs: HashSet<String>,
    marker: String,
    notes: Vec<String>,
    /// Groups by the stream they have positions on.
    readers: BTreeMap<String, Vec<String>>,
}

impl RedriveLoop {
    /// Runs to the end that the stream had at the beginning.
    ///
    /// # Errors
    /// [`RedriveError`]; the view says what was done until then.
    pub fn run(mut self) -> Result<Arc<RedriveView>, RedriveError> {
        let mut view = RedriveView {
            run: self.run.clone(),
            cluster: self.options.cluster.clone(),
            stream: self.options.stream.clone(),
            dry_run: self.options.dry_run,
            state: "preparing",
            ..RedriveView::default()
        };
        self.publish(&view);
        let ended = self.attempts(&mut view);
        view.state = match &ended {
            Ok(()) => "done",
            Err(RedriveError::Cancelled) => "cancelled",
            Err(error) => {
                view.fault = error.to_string();
                "failed"
            }
        };
        let last = self.note("redrive.end", &view);
        self.publish(&view);
        ended.and(last.map_err(RedriveError::Impossible)).map(|()| Arc::new(view))
    }

    fn publish(&self, view: &RedriveView) {
        self.out.send_replace(Arc::new(view.clone()));
    }

    /// Attempts until one comes to the end. Each begins by reading what is durable.
    fn attempts(&mut self, view: &mut RedriveView) -> Result<(), RedriveError> {
        if !self.options.dry_run {
            if self.mover.is_none() {
                return Err(RedriveError::Impossible(
                    "this cluster cannot move letters: only a dry run is possible".into(),
                ));
            }
            self.note("redrive.begin", view).map_err(RedriveError::Impossible)?;
        }
        let (mut pause, mut idle, mut said) = (PAUSES.0, 0, false);
        loop {
            let before = (view.sent.values().sum::<u64>(), view.state);
            let error = match self.attempt(view, &mut said) {
                Err(RedriveError::Moved(MoveError::Unavailable(words))) => words,
                other => return other,
            };
            let moved = before.0 < view.sent.values().sum::<u64>();
            idle = if moved { 0 } else { idle + 1 };
            pause = if moved { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
            if idle >= ATTEMPTS {
                return Err(RedriveError::Moved(MoveError::Unavailable(error)));
            }
            tracing::warn!(
                stream = self.options.stream,
                error,
                "a step of the redrive was not made; it will be tried again"
            );
            view.fault = error;
            self.publish(view);
            self.sleep(pause)?;
        }
    }

    fn attempt(&mut self, view: &mut RedriveView, said: &mut bool) -> Result<(), RedriveError> {
        let mut ground = self.ground()?;
        view.notes.clone_from(&ground.notes);
        view.span = ground.spans.iter().map(|(_, from, to)| to - from).sum();
        (view.passed, view.looked_at, view.unknown_transactions) = (0, 0, 0);
        view.skipped.clear();
        view.state = "running";
        if !self.options.dry_run && !std::mem::replace(said, true) {
            let line = self.line("begin", view);
            self.step(&ground, vec![line])?;
        }
        self.scan(&mut ground, view)?;
        self.warn_of_readers(&ground, view);
        if !self.options.dry_run {
            let line = self.line("end", view);
            self.step(&ground, vec![line])?;
        }
        Ok(())
    }

    /// Fences other runs, then reads all that is durable.
    fn ground(&mut self) -> Result<Ground, RedriveError> {
        let impossible = |words: String| RedriveError::Impossible(words);
        let stream = self.options.stream.clone();
        let marker = marker_stream(&stream);
        let mut progress = None;
        if !self.options.dry_run
            && let Some(mover) = &mut self.mover
        {
            (self.prepare)(&marker).map_err(impossible)?;
            // From here on nobody else's step can succeed: what is read below stays true.
            progress = Some(mover.progress(&stream, STEP)?);
        }
        let survey = self.observe.survey(SURVEY);
        if !survey.answered {
            let why = survey.faults.join("; ");
            return Err(MoveError::Unavailable(format!("the cluster does not answer: {why}")).into());
        }
        let topic = |name: &str| survey.topics.iter().find(|t| *t.name == *name);
        let Some(dlq) = topic(&stream) else {
            let known = self.dlqs(&survey).into_iter().take(20).collect::<Vec<_>>().join(" ");
            return Err(impossible(format!(
                "cluster {} has no stream {stream}; dead letters lie in: {known}",
                self.options.cluster
            )));
        };
        let mut settled = Settled::new(dlq.id.clone());
        if let Some(markers) = topic(&marker) {
            self.read_markers(markers, &mut settled)?;
        } else if !self.options.dry_run {
            return Err(MoveError::Unavailable(format!("stream {marker} is not there yet")).into());
        }
        let progress: BTreeMap<u32, u64> =
            progress.unwrap_or_else(|| committed(&survey, &own_group(&stream), &stream)).into_iter().collect();
        let (mut low, mut spans, mut notes) = (BTreeMap::new(), Vec::new(), vec![self.ended.source()]);
        for (n, p) in (0u32..).zip(&dlq.partitions) {
            let (Some(start), Some(end)) = (p.start, p.stable_end.or(p.end)) else {
                return Err(MoveError::Unavailable(format!("partition {n} of {stream}: {}", p.fault)).into());
            };
            // A position beyond the end is of an earlier topic of this name.
            let at = progress.get(&n).copied().filter(|at| *at <= p.end.unwrap_or(end)).unwrap_or(start).max(start);
            low.insert(n, at);
            let from = if self.options.include_ended_ok { start } else { at };
            spans.extend(self.options.selection.span(n, from, end).map(|(from, to)| (n, from, to)));
        }
        notes.push(
            "the order of records with the same key is not kept: copies are appended behind what is there".into(),
        );
        let streams = survey.topics.iter().map(|t| t.name.to_string()).collect();
        let mut readers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for group in &survey.groups {
            let of: HashSet<u32> = group.committed.iter().flatten().map(|c| c.topic).collect();
            for at in of {
                let name = survey.topics.get(at as usize).map(|t| t.name.to_string()).unwrap_or_default();
                readers.entry(name).or_default().push(group.name.to_string());
            }
        }
        let dlqs = self.dlqs(&survey);
        Ok(Ground { settled, low, spans, streams, dlqs, marker, notes, readers })
    }

    fn dlqs(&self, survey: &Survey) -> HashSet<String> {
        let is = |t: &&TopicFacts| {
            let sure = name_class(&t.name) == NameClass::Sure && !self.rules.others.contains(&*t.name);
            t.dead_letters || sure || self.rules.exact.contains(&*t.name) || self.rules.patterns.is_match(&t.name)
        };
        survey.topics.iter().filter(is).map(|t| t.name.to_string()).collect()
    }

    /// Reads every marker up to the end of the log: also behind what other open transactions still hide.
    fn read_markers(&mut self, topic: &TopicFacts, settled: &mut Settled) -> Result<(), RedriveError> {
        let unavailable = |words: String| RedriveError::Moved(MoveError::Unavailable(words));
        let Some(first) = topic.partitions.first() else { return Ok(()) };
        let (Some(mut from), Some(end)) = (first.start, first.end) else {
            return Err(unavailable(format!("stream {}: {}", topic.name, first.fault)));
        };
        let until = Instant::now() + STEP;
        while from < end {
            let stretch = self.observe.records(&topic.name, 0, from, MARKERS, READ_BYTES, STEP).map_err(unavailable)?;
            for record in &stretch.records {
                settled.load(record.key.as_deref().unwrap_or_default(), record.payload.as_deref());
            }
            if stretch.next <= from && Instant::now() > until {
                return Err(unavailable(format!("stream {} cannot be read to its end", topic.name)));
            }
            if stretch.next <= from {
                self.sleep(LOOK_UP)?;
            }
            from = stretch.next.max(from);
        }
        Ok(())
    }

    /// One atomic step with the progress as it stands.
    fn step(&mut self, ground: &Ground, out: Vec<Outgoing>) -> Result<(), RedriveError> {
        let low: Vec<(u32, u64)> = ground.low.iter().map(|(n, at)| (*n, *at)).collect();
        match &mut self.mover {
            Some(mover) if !self.options.dry_run => Ok(mover.step(&self.options.stream, out, &low, STEP)?),
            _ => Ok(()),
        }
    }

    /// A line of the audit log for the log of the cluster.
    fn line(&self, what: &str, view: &RedriveView) -> Outgoing {
        let key = format!("v1|audit|{}|{what}", self.run).into_bytes();
        let line = serde_json::json!({
            "at": (self.now)().0, "by": self.options.by, "what": what, "run": self.run, "stream": self.options.stream,
            "detail": self.detail(), "sent": view.sent, "skipped": view.skipped,
        });
        let record = NewRecord { key: Some(key), payload: Some(line.to_string().into_bytes()), ..NewRecord::default() };
        Outgoing { stream: marker_stream(&self.options.stream), partition: Some(0), record }
    }

    /// What was asked for, in one line.
    fn detail(&self) -> String {
        let o = &self.options;
        format!(
            "run {} cluster {} stream {} rate {} max {:?} retry {} to {:?} include_ended_ok {} {:?}",
            self.run, o.cluster, o.stream, o.rate, o.most, o.to_retry_topic, o.to, o.include_ended_ok, o.selection
        )
    }

    /// Notes in the audit log. A dry run changes nothing and is not noted.
    fn note(&self, action: &str, view: &RedriveView) -> Result<(), String> {
        let Some(audit) = self.audit.as_ref().filter(|_| !self.options.dry_run) else { return Ok(()) };
        let detail = format!("{}; {} sent {:?} skipped {:?}", self.detail(), view.state, view.sent, view.skipped);
        let entry = AuditEntry { at: (self.now)(), user: self.options.by.clone(), action: action.into(), detail };
        audit.note(&entry).map_err(|e| format!("it cannot be audited: {e}"))
    }

    /// Whoever else reads a target will see the copies too.
    fn warn_of_readers(&self, ground: &Ground, view: &mut RedriveView) {
        for target in view.sent.keys() {
            let groups = ground.readers.get(target).map(Vec::as_slice).unwrap_or_default();
            if groups.len() > 1 {
                let named = groups.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
                view.notes
                    .push(format!("{} groups read {target} and all of them get the copies: {named}", groups.len()));
            }
        }
    }

    /// Sleeps, unless it is cancelled.
    fn sleep(&self, time: Duration) -> Result<(), RedriveError> {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
            if self.reins.is_cancelled() {
                return Err(RedriveError::Cancelled);
            }
            std::thread::sleep(left.min(LOOK_UP));
        }
        Ok(())
    }
}

fn committed(survey: &Survey, group: &str, stream: &str) -> Vec<(u32, u64)> {
    let group = survey.groups.iter().find(|g| *g.name == *group);
    let positions = group.into_iter().flat_map(|g| g.committed.iter().flatten());
    let of = |at: u32| survey.topics.get(at as usize).is_some_and(|t| *t.name == *stream);
    positions.filter(|c| of(c.topic)).map(|c| (c.partition, c.next)).collect()
}
