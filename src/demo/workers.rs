//! The shop's consumers: groups that commit positions as the script's stages would, so that their lag is true.
//!
//! A worker has consumed what was appended before a moment that lies a little back, further back in an incident.
//! It looks up the positions of that moment and commits them: nothing about its lag is made up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::Traffic;
use super::incident::{Incident, Schedule};
use super::plan::{Name, STREAMS};
use crate::broker::{Commit, Observe, Stop};
use crate::model::{MICROS_PER_SECOND, Survey, TimeQuestion, Timestamp};

/// From one round of commits to the next.
const ROUND: Duration = Duration::from_secs(1);
/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Where dead letters are redriven to: who reads it looks for them there.
const REDRIVE_TARGET: usize = 1;
/// Who reads it.
const REDRIVE_READER: &str = "warehouse-service";
/// The header of a record that was redriven.
const REDRIVEN: &[u8] = b"x-redrive-count";
/// So many records before its last commit may be those whose letters were being answered: about ten seconds.
const UNANSWERED: u64 = 400;
/// Records looked at per round for redriven ones.
const LOOKED_AT: usize = 5_000;
/// Redriven letters on their way to the script; beyond, they end as they are.
pub(super) const REDRIVEN_QUEUE: usize = 1_000;
/// The export that nobody restarted: it stopped so long before the live traffic began.
const ABANDONED_SINCE: i64 = 9 * 60 * MICROS_PER_SECOND;

/// One consumer group.
struct Worker {
    group: &'static str,
    /// Indexes into [`STREAMS`].
    streams: &'static [usize],
    /// Everything appended before it has been consumed.
    reach: fn(Schedule, Timestamp) -> Timestamp,
    /// Commits with every n-th round.
    every: u64,
}

const WORKERS: [Worker; 5] = [
    Worker { group: "payment-service", streams: &[0], reach: payments, every: 1 },
    Worker { group: "warehouse-service", streams: &[1], reach: prompt, every: 1 },
    Worker { group: "shipping-service", streams: &[2], reach: |s, now| s.shipping_reach(now), every: 1 },
    Worker { group: "refund-service", streams: &[4], reach: prompt, every: 1 },
    Worker { group: "search-indexer", streams: &[0, 1, 3], reach: prompt, every: 5 },
];
/// A group that consumed once and whose consumers are gone.
const ABANDONED: (&str, usize) = ("nightly-export", 3);

fn prompt(_: Schedule, now: Timestamp) -> Timestamp {
    now.plus(-20_000)
}

/// Slow payments are consumed slowly: three of five, then caught up.
fn payments(schedule: Schedule, now: Timestamp) -> Timestamp {
    match schedule.at(now) {
        Some((Incident::SlowPayments, began)) => began.plus(now.since(began) * 3 / 5),
        _ => {
            let before = now.plus(-30 * MICROS_PER_SECOND);
            if !schedule.is(Incident::SlowPayments, before) {
                return prompt(schedule, now);
            }
            let since = now.since(schedule.end(before));
            now.plus(-(24 * MICROS_PER_SECOND - since * 4 / 5).max(20_000))
        }
    }
}

/// Where the reader of redriven letters stood when the survey was made.
fn committed(survey: &Survey, stream: &str, partition: u32) -> Option<u64> {
    let group = survey.groups.iter().find(|g| &*g.name == REDRIVE_READER)?;
    let is_here = |topic: u32| survey.topics.get(topic as usize).is_some_and(|t| &*t.name == stream);
    let here = group.committed.iter().flatten().find(|c| c.partition == partition && is_here(c.topic));
    here.map(|c| c.next)
}

/// The consumers of the shop.
pub struct Workers {
    observe: Box<dyn Observe>,
    commit: Box<dyn Commit>,
    schedule: Schedule,
    redriven: mpsc::Sender<Name>,
    /// Next record of each partition of [`REDRIVE_TARGET`] to be looked at.
    looked: Vec<u64>,
}

impl Workers {
    /// The consumers of this traffic, on the broker that it is written to.
    #[must_use]
    pub fn new(observe: Box<dyn Observe>, commit: Box<dyn Commit>, traffic: &Traffic) -> Self {
        let (schedule, redriven) = (Schedule { live_since: Some(traffic.began) }, traffic.redrive.clone());
        Self { observe, commit, schedule, redriven, looked: Vec::new() }
    }

    /// Commits until stopped. A broker that does not answer is asked again in the next round.
    pub fn run(mut self, now: fn() -> Timestamp, stop: &Stop) {
        let mut due = Instant::now();
        for round in 0u64.. {
            if stop.is_set() {
                return;
            }
            let survey = self.observe.survey(PATIENCE);
            if survey.answered {
                self.round(round, now(), &survey);
            }
            due = (due + ROUND).max(Instant::now());
            while !stop.is_set() && Instant::now() < due {
                std::thread::sleep(Duration::from_millis(50).min(due.saturating_duration_since(Instant::now())));
            }
        }
    }

    fn round(&mut self, round: u64, now: Timestamp, survey: &Survey) {
        for worker in WORKERS.iter().filter(|worker| round.is_multiple_of(worker.every)) {
            let reach = (worker.reach)(self.schedule, now);
            for stream in worker.streams {
                self.commit(worker.group, STREAMS[*stream], reach, survey);
            }
        }
        self.look_for_redriven(survey);
        let (group, stream) = (ABANDONED.0, STREAMS[ABANDONED.1]);
        if !survey.groups.iter().any(|g| &*g.name == group && g.committed.as_ref().is_none_or(|c| !c.is_empty())) {
            self.commit(group, stream, now.plus(-ABANDONED_SINCE), survey);
        }
    }

    /// A letter that came back is worked on: its transaction goes on in the script.
    fn look_for_redriven(&mut self, survey: &Survey) {
        let stream = STREAMS[REDRIVE_TARGET];
        let Some(topic) = survey.topics.iter().find(|t| &*t.name == stream) else { return };
        for (partition, facts) in (0..).zip(&topic.partitions) {
            let Some(end) = facts.stable_end else { continue };
            if self.looked.len() <= partition as usize {
                // What came back while nobody worked lies behind the last commit of who reads it, and what was being
                // answered then right before it: answered twice, the answers have the same ids.
                let first = |next: u64| next.min(end).saturating_sub(UNANSWERED);
                self.looked.push(committed(survey, stream, partition).map_or(end, first));
            }
            let from = self.looked[partition as usize];
            if from >= end {
                continue;
            }
            let Ok(stretch) = self.observe.records(stream, partition, from, LOOKED_AT, 8 << 20, PATIENCE) else {
                continue;
            };
            self.looked[partition as usize] = stretch.next;
            let back = stretch.records.iter().filter(|r| r.headers.iter().any(|(name, _)| name == REDRIVEN));
            for name in back.filter_map(|r| Name::parse(r.key.as_deref()?)) {
                if self.redriven.try_send(name).is_err() {
                    tracing::debug!("too many letters came back at once: this one ends as it is");
                }
            }
        }
    }

    fn commit(&mut self, group: &str, stream: &str, reach: Timestamp, survey: &Survey) {
        let Some(topic) = survey.topics.iter().find(|t| &*t.name == stream) else { return };
        let question = |partition| TimeQuestion { stream: Arc::clone(&topic.name), partition, time: reach };
        let questions: Vec<_> = (0..).zip(&topic.partitions).map(|(partition, _)| question(partition)).collect();
        let answers = self.observe.positions_at(&questions, PATIENCE);
        let positions = (0..).zip(&topic.partitions).zip(answers).filter_map(|((partition, facts), answer)| {
            // No record is as young as that: all that the survey saw has been consumed.
            let next = answer.map(|a| a.position).or(facts.stable_end)?;
            Some((Arc::clone(&topic.name), partition, next))
        });
        let positions: Vec<_> = positions.collect();
        if let Err(error) = self.commit.commit(group, &format!("{group}-1"), &positions) {
            tracing::debug!(group, %error, "a worker of the demo could not commit");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reach_never_goes_back_and_never_into_the_future() {
        let schedule = Schedule { live_since: Some(Timestamp(0)) };
        for worker in WORKERS {
            let mut last = Timestamp(i64::MIN);
            let mut behind = 0;
            for tenth in 0..8_000 {
                let now = Timestamp(tenth * 100_000);
                let reach = (worker.reach)(schedule, now);
                assert!(reach <= now && reach >= last, "{} at {now:?}: {last:?} then {reach:?}", worker.group);
                behind = behind.max(now.since(reach) / MICROS_PER_SECOND);
                last = reach;
            }
            let most = match worker.group {
                "shipping-service" => 40,
                "payment-service" => 24,
                _ => 0,
            };
            assert_eq!(behind, most, "{}", worker.group);
        }
    }
}
