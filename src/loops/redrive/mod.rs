//! Sends dead letters back: one run over one stream, from a command or from a page.
//!
//! ```text
//! fence and read progress -> survey -> read markers -> scan each partition to the end it had at the beginning
//!   stretch -> selected? settled before? ended ok? target? -> copies + markers + progress: one atomic step
//! ```
//!
//! What is done is kept in the log itself, in the same step as the copies (docs/adr/020): a run that dies at any
//! moment, and any run after it on any machine, goes on without sending a letter twice or leaving one out.
//! Nothing is kept here that a new attempt does not read again.

mod ground;
mod options;
mod pace;
mod scan;
mod size;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::letters::Reader;
use crate::broker::{Move, MoveError, NewRecord, Observe, Outgoing};
use crate::dlq::{Fate, Rules, marker_stream};
use crate::model::Timestamp;
use crate::snapshot::RedriveView;
use crate::store::{AuditEntry, AuditLog};
use ground::Ground;
pub use options::{Ended, Fared, RedriveError, RedriveOptions, Reins};

/// Time for one step, one read.
const STEP: Duration = Duration::from_secs(30);
/// Pauses between attempts: the first, the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// Time for a cluster to answer at all: who looks at a typing error in an address waits no longer.
const CONTACT: Duration = Duration::from_secs(20);
/// Attempts without any progress between them, after which a run gives up: about two minutes.
const ATTEMPTS: u32 = 12;
/// Bytes of one read.
const READ_BYTES: usize = 8 << 20;
/// Letters that the log refuses for their size before the run gives up: each costs a step.
const REFUSED: usize = 1_000;
/// How often a pause looks up.
const LOOK_UP: Duration = Duration::from_millis(50);
/// Groups, or letters, named in a note.
const NAMED: usize = 5;
/// Markers of letters that left the log, deleted in one run: 100 bytes each.
const BURIED: usize = 1_000;

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
    /// Writes; made for `dlq::own_group` of the stream. `None`: only a dry run is possible.
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

/// What outlives an attempt, for the report only.
#[derive(Default)]
struct Course {
    /// The first line of the audit log is written.
    began: bool,
    /// The cluster has answered.
    reached: bool,
    /// Letters of a step that was not answered: partition, position, target.
    unanswered: Vec<(u32, u64, String)>,
    /// Letters that the log did not take for their size, although nothing said so before: partition, position.
    refused: HashSet<(u32, u64)>,
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
        let ended = self.attempts(&mut view, Instant::now() + CONTACT);
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

    /// Attempts until one comes to the end. Each begins by reading what is durable. `contact`: the cluster has to answer
    /// until then.
    fn attempts(&mut self, view: &mut RedriveView, contact: Instant) -> Result<(), RedriveError> {
        if !self.options.dry_run {
            if self.mover.is_none() {
                return Err(RedriveError::Impossible(
                    "this cluster cannot move letters: only a dry run is possible".into(),
                ));
            }
            self.note("redrive.begin", view).map_err(RedriveError::Impossible)?;
        }
        let (mut pause, mut idle, mut course) = (PAUSES.0, 0, Course::default());
        loop {
            let before = view.sent.values().sum::<u64>();
            let refused = course.refused.len();
            let error = match self.attempt(view, &mut course, contact) {
                Err(RedriveError::Moved(MoveError::Unavailable(words))) => words,
                // Each time there is one letter less to send.
                Err(RedriveError::Moved(MoveError::TooLarge(_)))
                    if (refused + 1..REFUSED).contains(&course.refused.len()) =>
                {
                    continue;
                }
                other => return other,
            };
            // What a dry run counted it counts anew.
            let moved = !self.options.dry_run && before < view.sent.values().sum::<u64>();
            idle = if moved { 0 } else { idle + 1 };
            pause = if moved { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
            if !course.reached && Instant::now() + pause >= contact {
                let cluster = &self.options.cluster;
                return Err(RedriveError::Impossible(format!("cluster {cluster} is not reached: {error}")));
            }
            if idle >= ATTEMPTS && self.options.dry_run {
                return Err(RedriveError::Impossible(error));
            }
            if idle >= ATTEMPTS {
                return Err(RedriveError::Moved(MoveError::Unavailable(error)));
            }
            tracing::warn!(stream = self.options.stream, error, "the redrive did not get on; it will be tried again");
            view.fault = error;
            self.publish(view);
            self.sleep(pause)?;
        }
    }

    fn attempt(&mut self, view: &mut RedriveView, course: &mut Course, contact: Instant) -> Result<(), RedriveError> {
        let contact = if course.reached { None } else { Some(contact) };
        let mut ground = self.ground(contact, &mut course.reached)?;
        if self.options.dry_run {
            view.sent.clear();
        }
        // A step that was not answered was made, or it was not: the log says which.
        for (partition, position, target) in course.unanswered.drain(..) {
            if ground.settled.fate(partition, position) == Some(Fate::Sent) {
                *view.sent.entry(target).or_default() += 1;
            }
        }
        view.notes.clone_from(&ground.notes);
        view.span = ground.spans.iter().map(|(_, from, to)| to - from).sum();
        (view.passed, view.looked_at, view.unknown_transactions) = (0, 0, 0);
        view.skipped.clear();
        view.state = "running";
        if !self.options.dry_run && !std::mem::replace(&mut course.began, true) {
            let line = self.line("begin", view);
            self.step(&ground, vec![line])?;
        }
        self.scan(&mut ground, view, course)?;
        view.notes[..1].clone_from_slice(&[self.ended.source()]); // it may have been lost meanwhile
        if let (large @ 1.., named) = &ground.large {
            view.notes.push(format!("{large} too large for its target: {}", listed(named, *large)));
        }
        self.warn_of_readers(&ground, view);
        if !self.options.dry_run {
            let mut out = vec![self.line("end", view)];
            // Markers of letters that left the log say nothing any more; compaction then takes them away.
            out.extend(ground.settled.take_expired(BURIED).into_iter().map(|key| Outgoing {
                stream: ground.marker.clone(),
                partition: Some(0),
                record: NewRecord { key: Some(key), payload: None, ..NewRecord::default() },
            }));
            self.step(&ground, out)?;
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
            "run {} cluster {} stream {} rate {} max {:?} retry {} to {:?} include_ended_ok {} include_unknown {} {:?}",
            self.run,
            o.cluster,
            o.stream,
            o.rate,
            o.most,
            o.to_retry_topic,
            o.to,
            o.include_ended_ok,
            o.include_unknown,
            o.selection
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
                let (count, named) = (groups.len() as u64, &groups[..groups.len().min(NAMED)]);
                let named = listed(named, count);
                view.notes.push(format!("{count} groups read {target} and all of them get the copies: {named}"));
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

/// Names in one line, and how many of `count` it leaves out.
fn listed(named: &[String], count: u64) -> String {
    match count.saturating_sub(named.len() as u64) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
