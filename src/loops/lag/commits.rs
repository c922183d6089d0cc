//! Reads the broker's own log of commits on a thread of its own, and hands them to the loop that surveys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::broker::{Stop, Tail};
use crate::decode::OffsetsTopic;
use crate::model::SeenCommit;
use crate::snapshot::{PushState, PushView};

/// Longest wait for records: also how late a stop is noticed.
const WAIT: Duration = Duration::from_millis(200);
/// Pause after a refusal.
const AGAIN: Duration = Duration::from_secs(5);
/// Commits that wait to be taken, one per group and partition; further ones are counted, and come with the survey.
const WAITING: usize = 100_000;

/// What the reader has for the loop. Clones share it.
#[derive(Clone, Default)]
pub struct Commits(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    waiting: HashMap<(Arc<str>, Arc<str>, u32), SeenCommit>,
    anew: bool,
    view: PushView,
}

/// What was read since it was last taken.
pub(super) struct Taken {
    /// The log was begun anew before these.
    pub anew: bool,
    /// The newest of each group on each partition.
    pub commits: Vec<SeenCommit>,
    /// How it goes.
    pub view: PushView,
}

impl Commits {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is there.
    pub(super) fn take(&self) -> Taken {
        let mut held = self.held();
        let commits = std::mem::take(&mut held.waiting).into_values().collect();
        Taken { anew: std::mem::take(&mut held.anew), commits, view: held.view.clone() }
    }
}

/// Reads the log of commits of one cluster until stopped.
pub struct CommitsLoop {
    /// Cluster by name.
    pub cluster: String,
    /// Reads.
    pub tail: Box<dyn Tail>,
    /// Commits remembered: `[lag] rows`.
    pub rows: usize,
    /// To the loop that surveys.
    pub out: Commits,
    /// Asks to stop.
    pub stop: Stop,
}

impl CommitsLoop {
    /// Runs until stopped.
    pub fn run(mut self) {
        let mut topic = OffsetsTopic::new(self.rows);
        while !self.stop.is_set() {
            let mut commits = Vec::new();
            let read = self.tail.read(WAIT, &mut |record| {
                commits.extend(topic.apply(record.key, record.value, record.time));
            });
            let mut held = self.out.held();
            for commit in commits {
                let key = (Arc::clone(&commit.group), Arc::clone(&commit.topic), commit.partition);
                held.view.newest = held.view.newest.max(commit.at);
                if held.waiting.len() < WAITING || held.waiting.contains_key(&key) {
                    held.waiting.insert(key, commit);
                } else {
                    held.view.dropped += 1;
                }
            }
            (held.view.commits, held.view.unknown, held.view.faults) = (topic.seen, topic.unknown, topic.faults);
            let Err(words) = read else {
                (held.view.state, held.view.words) = (PushState::Reading, String::new());
                continue;
            };
            if held.view.words != words {
                tracing::warn!(cluster = %self.cluster, words, "commits are not pushed; groups are asked for");
            }
            let refused = words.starts_with("no right");
            held.view.state = if refused { PushState::NoRight } else { PushState::Silent };
            (held.view.words, held.anew) = (words, true);
            held.waiting.clear();
            drop(held);
            let counted = (topic.seen, topic.unknown, topic.faults);
            topic = OffsetsTopic::new(self.rows);
            (topic.seen, topic.unknown, topic.faults) = counted;
            let until = Instant::now() + AGAIN;
            while !self.stop.is_set() && Instant::now() < until {
                std::thread::sleep(WAIT);
            }
        }
    }
}
