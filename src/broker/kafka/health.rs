//! Whether the cluster answers, in the broker's words.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::broker::ClusterHealth;
use crate::model::Timestamp;

/// A refusal counts as "down" only this long after the last answer: one slow question is no outage.
const OUTAGE: Duration = Duration::from_secs(4);

/// Keeps [`ClusterHealth`]; publishes changes only, and `last_seen` once a second.
pub(super) struct Health {
    publish: watch::Sender<ClusterHealth>,
    now: fn() -> Timestamp,
    answered: Option<Instant>,
    published: Option<Instant>,
    began: Instant,
}

impl Health {
    pub(super) fn new(publish: watch::Sender<ClusterHealth>, now: fn() -> Timestamp, began: Instant) -> Self {
        Self { publish, now, answered: None, published: None, began }
    }

    /// A broker answered.
    pub(super) fn answered(&mut self, at: Instant) {
        self.answered = Some(at);
        let known = self.publish.borrow().up == Some(true);
        if known && self.published.is_some_and(|p| at.duration_since(p) < Duration::from_secs(1)) {
            return;
        }
        self.published = Some(at);
        let wall = (self.now)();
        self.publish.send_modify(|health| {
            if !known {
                (health.up, health.since) = (Some(true), Some(wall));
                health.detail.clear();
            }
            health.last_seen = Some(wall);
        });
    }

    /// No broker answered a question.
    pub(super) fn failed(&mut self, at: Instant, words: &str) {
        let silent_since = self.answered.unwrap_or(self.began);
        let first_words = self.answered.is_none() && self.publish.borrow().up.is_none();
        if !first_words && at.duration_since(silent_since) < OUTAGE {
            return;
        }
        let wall = (self.now)();
        self.publish.send_if_modified(|health| {
            if health.up == Some(false) && health.detail == words {
                return false;
            }
            if health.up != Some(false) {
                (health.up, health.since) = (Some(false), Some(wall));
            }
            words.clone_into(&mut health.detail);
            true
        });
    }

    /// What was found: the cluster's id, its streams, and what is missing (shown while it answers).
    pub(super) fn found(&mut self, cluster_id: Option<&str>, mut streams: Vec<String>, notes: &[String]) {
        streams.sort();
        let notes = notes.join("; ");
        self.publish.send_if_modified(|health| {
            let same =
                health.cluster_id.as_deref() == cluster_id && health.streams == streams && health.detail == notes;
            (health.cluster_id, health.streams) = (cluster_id.map(str::to_owned), streams);
            health.detail = notes;
            !same
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn down_after_4_s_without_an_answer_and_up_again_with_the_next() {
        let (publish, seen) = watch::channel(ClusterHealth::default());
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut health = Health::new(publish, || Timestamp(7), began);
        health.answered(after(0));
        health.found(Some("c"), vec!["b".into(), "a".into()], &["no such stream: x".into()]);
        assert_eq!((seen.borrow().up, seen.borrow().streams.clone()), (Some(true), vec!["a".into(), "b".into()]));
        health.failed(after(3), "timed out");
        assert_eq!((seen.borrow().up, seen.borrow().detail.as_str()), (Some(true), "no such stream: x"));
        health.failed(after(4), "connection refused");
        assert_eq!((seen.borrow().up, seen.borrow().detail.as_str()), (Some(false), "connection refused"));
        assert_eq!(seen.borrow().streams.len(), 2, "what was found stays");
        health.answered(after(6));
        assert_eq!((seen.borrow().up, seen.borrow().detail.as_str()), (Some(true), ""));
    }

    #[test]
    fn a_cluster_that_never_answered_is_down_at_the_first_refusal() {
        let (publish, seen) = watch::channel(ClusterHealth::default());
        let mut health = Health::new(publish, || Timestamp(7), Instant::now());
        health.failed(Instant::now(), "refused");
        assert_eq!(seen.borrow().up, Some(false));
    }
}
