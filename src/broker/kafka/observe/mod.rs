//! Watches groups and logs of one Kafka cluster: [`KafkaObserve`].
//!
//! | file | what |
//! |---|---|
//! | `facts` | what is known between two surveys; pure |
//! | `link` | the one client, its questions and who waits for which answer |
//! | `groups` | listing, members, committed positions |
//! | `logs` | topics, their configuration, where their logs stand |
//! | `peek` | positions by time, and the few records that are read |
//!
//! What it costs: one request per broker for the groups; two per group for its committed positions (librdkafka looks
//! up each group's coordinator); of groups with members at most [`PORTION`](groups::PORTION) are described per
//! survey; the logs take one request per broker for every [`CHUNK`](logs::CHUNK) partitions and each of begin,
//! stable end and end. Every question has a deadline; what was not answered keeps what was known, with its age.

mod facts;
mod groups;
mod link;
mod logs;
mod peek;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::KafkaConfig;
use crate::broker::{GroupNames, Observe, Stop, Stretch};
use crate::model::{LagSpec, Survey, TimeQuestion, TimedPosition, Timestamp};
use facts::Facts;
use groups::Listing;
use link::Link;
use logs::Logs;
use peek::Kept;

/// Surveys that one client makes: librdkafka never frees what it has learned of topics that are gone.
const RECYCLE: u32 = 500;
/// Part of the deadline, in tenths, by which groups are listed, committed positions known, topics described.
const PARTS: [u32; 3] = [3, 7, 8];

/// Says of a topic, by name, whether it is watched although no group has committed on it.
pub type Watched = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Watches the groups and logs of one Kafka cluster with one client. Describes only; reads records only where asked to.
pub struct KafkaObserve {
    config: KafkaConfig,
    spec: LagSpec,
    names: GroupNames,
    watched: Watched,
    now: fn() -> Timestamp,
    link: Option<Link>,
    stop: Stop,
    surveys: u32,
    /// Whether the last survey was answered.
    answered: bool,
    facts: Facts,
    listing: Listing,
    logs: Logs,
    kept: Kept,
}

impl KafkaObserve {
    /// Watches the groups that `spec` includes. `watched`: topics that are surveyed although nobody committed on them
    /// (dead letters by name); those whose configuration says that they take dead letters are found by themselves.
    /// `now`: the wall clock. Does not wait for the cluster.
    ///
    /// # Errors
    /// A configuration or a pattern that cannot work, in words for an operator.
    pub fn new(config: KafkaConfig, spec: LagSpec, watched: Watched, now: fn() -> Timestamp) -> Result<Self, String> {
        config.check()?;
        let names = GroupNames::new(&spec)?;
        Ok(Self {
            config,
            spec,
            names,
            watched,
            now,
            link: None,
            stop: Stop::default(),
            surveys: 0,
            answered: true,
            facts: Facts::default(),
            listing: Listing::default(),
            logs: Logs::default(),
            kept: Kept::default(),
        })
    }

    /// The client, made anew from time to time.
    fn link(&mut self) -> Result<&mut Link, String> {
        if self.surveys >= RECYCLE {
            self.link = None;
            self.kept.forget();
            self.surveys = 0;
        }
        if self.link.is_none() {
            self.link = Some(Link::new(&self.config, self.stop.clone())?);
            self.logs.relist();
        }
        self.link.as_mut().ok_or_else(|| "no client".to_owned())
    }

    /// One round of questions; whether the cluster answered at all.
    fn round(&mut self, began: Instant, deadline: Duration, faults: &mut Vec<String>) -> Result<u64, String> {
        let by = |tenths: u32| began + deadline * tenths / 10;
        let answered = self.answered;
        let link = self.link()?;
        link.begin();
        if !answered {
            link.knock(by(PARTS[0]))?;
        }
        let dropped = self.list_groups(by(PARTS[0]), faults)?;
        self.list_topics(by(PARTS[0]), faults);
        self.ask_groups(by(PARTS[1]), faults);
        self.ask_topics(by(PARTS[2]), faults);
        self.facts.compact();
        self.ask_logs(began + deadline, faults);
        self.facts.complete();
        Ok(dropped)
    }
}

impl Observe for KafkaObserve {
    fn ends_with(&mut self, stop: Stop) {
        (self.stop, self.link) = (stop, None);
    }

    fn survey(&mut self, deadline: Duration) -> Survey {
        let (began, start) = ((self.now)(), Instant::now());
        let mut faults = Vec::new();
        self.surveys += 1;
        self.kept.rest();
        let dropped = self.round(start, deadline, &mut faults);
        self.answered = dropped.is_ok();
        let words = self.link.as_ref().and_then(Link::last_words);
        let mut survey = self.facts.survey(self.spec.rows);
        survey.brokers = self.logs.brokers;
        match dropped {
            Ok(dropped) => (survey.answered, survey.groups_dropped) = (true, survey.groups_dropped + dropped),
            Err(fault) => faults.push(words.map_or(fault.clone(), |words| format!("{fault}: {words}"))),
        }
        faults.sort();
        faults.dedup();
        (survey.began, survey.ended, survey.faults) = (began, (self.now)(), faults);
        survey
    }

    fn positions_at(&mut self, questions: &[TimeQuestion], deadline: Duration) -> Vec<Option<TimedPosition>> {
        if !self.answered {
            return vec![None; questions.len()];
        }
        self.at_times(questions, Instant::now() + deadline)
    }

    fn first_records(&mut self, at: &[(Arc<str>, u32, u64)], deadline: Duration) -> Vec<Option<Option<TimedPosition>>> {
        self.peek_first(at, Instant::now() + deadline)
    }

    fn records(
        &mut self,
        stream: &str,
        partition: u32,
        from: u64,
        count: usize,
        bytes: usize,
        deadline: Duration,
    ) -> Result<Stretch, String> {
        self.peek(stream, partition, from, (count, bytes), Instant::now() + deadline)
    }
}
