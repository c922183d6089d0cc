//! Gathers what pages say about the process itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::KeeperState;
use crate::broker::{ClusterHealth, DecodeSample, Stop};
use crate::web::Status;

/// How often the status is looked at.
const EVERY: Duration = Duration::from_millis(250);
/// A cluster that has said nothing for so long since the start is said to be silent: pages promise words within 2 s.
const SILENT: Duration = Duration::from_secs(1);
/// Samples kept in all, whatever the number of streams.
const SAMPLES: usize = 200;

/// Owns the status of the process.
pub struct StatusLoop {
    /// What does not change.
    pub base: Status,
    /// Health of each cluster: name, kind, newest.
    pub clusters: Vec<(String, &'static str, watch::Receiver<ClusterHealth>)>,
    /// State of the checkpoints.
    pub keeper: watch::Receiver<KeeperState>,
    /// Undecodable records.
    pub samples: Receiver<DecodeSample>,
    /// Samples kept per stream: `limits.decode_samples`.
    pub samples_per_stream: usize,
    /// To pages: newest wins.
    pub out: watch::Sender<Arc<Status>>,
    /// Asks to stop.
    pub stop: Stop,
}

impl StatusLoop {
    /// Runs until stopped.
    pub fn run(self) {
        let mut kept: VecDeque<DecodeSample> = VecDeque::new();
        let began = Instant::now();
        while !self.stop.is_set() {
            // A flood of samples must not turn into a flood of statuses: they are gathered for a while.
            let due = Instant::now() + EVERY;
            while let Some(left) = due.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
                match self.samples.recv_timeout(left) {
                    Ok(sample) => keep(&mut kept, sample, self.samples_per_stream),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => std::thread::sleep(left),
                }
            }
            let keeper = self.keeper.borrow().clone();
            self.out.send_replace(Arc::new(Status {
                checkpoint_at: keeper.committed_at,
                checkpoint_error: keeper.error,
                clusters: self
                    .clusters
                    .iter()
                    .map(|(name, kind, health)| (name.clone(), *kind, told(&health.borrow(), began.elapsed())))
                    .collect(),
                samples: kept.iter().cloned().collect(),
                ..self.base.clone()
            }));
        }
    }
}

/// What is told of a cluster after `waited`: one that is reached but does not speak is known to nobody, and that is said.
fn told(health: &ClusterHealth, waited: Duration) -> ClusterHealth {
    let mut told = health.clone();
    if told.up.is_none() && told.detail.is_empty() && waited >= SILENT {
        told.detail = format!("connecting, no answer for {} s", waited.as_secs());
    }
    told
}

/// Keeps the newest `per_stream` samples of each stream and at most [`SAMPLES`] in all: beyond it, the stream that has
/// most gives one up, so that a noisy one pushes out no other.
fn keep(kept: &mut VecDeque<DecodeSample>, sample: DecodeSample, per_stream: usize) {
    let same = |s: &&DecodeSample| s.cluster == sample.cluster && s.stream == sample.stream;
    if kept.iter().filter(same).count() >= per_stream
        && let Some(oldest) = kept.iter().position(|s| same(&s))
    {
        kept.remove(oldest);
    }
    kept.push_back(sample);
    if kept.len() > SAMPLES {
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for s in kept.iter() {
            *counts.entry((s.cluster.as_str(), s.stream.as_str())).or_default() += 1;
        }
        let most = counts.values().max();
        let oldest = kept.iter().position(|s| counts.get(&(s.cluster.as_str(), s.stream.as_str())) == most);
        if let Some(oldest) = oldest {
            kept.remove(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DecodeReason, Timestamp};

    fn sample(stream: &str, position: u64) -> DecodeSample {
        DecodeSample {
            cluster: "main".into(),
            stream: stream.into(),
            partition: 0,
            position,
            reason: DecodeReason::InvalidJson,
            detail: String::new(),
            preview: String::new(),
            at: Timestamp(0),
        }
    }

    #[test]
    fn a_cluster_that_says_nothing_is_said_to_be_silent() {
        let after = |health: &ClusterHealth, millis| told(health, Duration::from_millis(millis)).detail;
        let silent = ClusterHealth::default();
        assert_eq!(after(&silent, 900), "");
        assert_eq!(after(&silent, 1_900), "connecting, no answer for 1 s");
        assert_eq!(after(&silent, 8_100), "connecting, no answer for 8 s");
        assert_eq!(after(&ClusterHealth { up: Some(true), ..silent.clone() }, 8_100), "");
        assert_eq!(after(&ClusterHealth { detail: "refused".into(), ..silent }, 8_100), "refused");
    }

    #[test]
    fn the_newest_samples_of_each_stream_are_kept() {
        let mut kept = VecDeque::new();
        for n in 0..5 {
            keep(&mut kept, sample("a", n), 2);
        }
        keep(&mut kept, sample("b", 9), 2);
        let seen: Vec<_> = kept.iter().map(|s| (s.stream.as_str(), s.position)).collect();
        assert_eq!(seen, [("a", 3), ("a", 4), ("b", 9)]);
        for n in 0..2 * SAMPLES as u64 {
            keep(&mut kept, sample(&format!("noisy-{}", n % 15), n), 20);
        }
        assert_eq!(kept.len(), SAMPLES);
        assert!(kept.iter().any(|s| s.stream == "b"), "noisy streams push out no quiet one");
    }
}
