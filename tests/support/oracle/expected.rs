//! What must be shown: plain sums over the verdicts.

use std::collections::BTreeMap;

use streamgauge::model::{MICROS_PER_SECOND, Outcome};
use streamgauge::snapshot::Totals;

use super::super::record::Record;
use super::is_error;
use super::transaction::{Clock, State, Verdict};

/// Everything, at one position of the watermarks.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Flows by name.
    pub flows: BTreeMap<String, FlowExpected>,
    /// Streams by cluster and name.
    pub streams: BTreeMap<(String, String), StreamExpected>,
}

/// One end-to-end latency.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Outcome of the first end.
    pub outcome: Outcome,
    /// Signed microseconds.
    pub micros: i64,
    /// Clock.
    pub clock: Clock,
}

/// One latency of a hop.
#[derive(Clone, Copy, Debug)]
pub struct HopSample {
    /// Second of the later stage; `None` where it is in no second.
    pub second: Option<i64>,
    /// Signed microseconds.
    pub micros: i64,
    /// Clock.
    pub clock: Clock,
}

/// One second of a flow.
#[derive(Clone, Debug, Default)]
pub struct Second {
    /// Events cut in it.
    pub events: u64,
    /// Transactions that started in it.
    pub started: u64,
    /// Transactions that ended in it, by the first end.
    pub ended: [u64; 5],
    /// Transactions that recovered in it.
    pub recovered: u64,
    /// Latencies of the transactions that ended in it.
    pub latencies: Vec<Sample>,
}

/// One stage.
#[derive(Clone, Debug, Default)]
pub struct StageExpected {
    /// By status, in the order of `Status::ALL`.
    pub by_status: [u64; 5],
    /// Transactions that wait here.
    pub waiting: u64,
    /// Cut time of the last event of each of those.
    pub since: Vec<i64>,
    /// Events and errors by second.
    pub seconds: BTreeMap<i64, (u64, u64)>,
}

/// One flow.
#[derive(Clone, Debug, Default)]
pub struct FlowExpected {
    /// Where the watermark stands, microseconds.
    pub watermark: Option<i64>,
    /// Declared stages.
    pub declared: Vec<String>,
    /// Transactions that timed out, where records expired unread perhaps around the deadline: some of them may be
    /// unexplained instead.
    pub doubtful: u64,
    /// Counters; `truncated` and `evicted` are not the oracle's to know.
    pub totals: Totals,
    /// Seconds in which anything happened.
    pub seconds: BTreeMap<i64, Second>,
    /// Stages by name.
    pub stages: BTreeMap<String, StageExpected>,
    /// Hops by name.
    pub hops: BTreeMap<(String, String), Vec<HopSample>>,
    /// All end-to-end latencies, also those that are in no second.
    pub latencies: Vec<Sample>,
    /// In flight: cut time of the start and transaction id, oldest first.
    pub in_flight: Vec<(i64, String)>,
    /// The verdicts, for messages.
    pub verdicts: BTreeMap<String, Verdict>,
}

/// One stream.
#[derive(Clone, Debug, Default)]
pub struct StreamExpected {
    /// Records that count as events.
    pub events: u64,
    /// Of those, records that say nothing of a transaction.
    pub opaque: u64,
    /// Records without a value.
    pub tombstones: u64,
    /// Undecodable records by reason.
    pub undecodable: BTreeMap<&'static str, u64>,
    /// Events by second.
    pub seconds: BTreeMap<i64, u64>,
}

/// The second of a moment, unless it is late.
fn second(cut: i64, late: bool) -> Option<i64> {
    (!late).then_some(cut.div_euclid(MICROS_PER_SECOND))
}

impl StreamExpected {
    /// An event that is no copy.
    pub fn count_event(&mut self, cut: i64, late: bool) {
        self.events += 1;
        if let Some(s) = second(cut, late) {
            *self.seconds.entry(s).or_default() += 1;
        }
    }

    /// A record that says nothing of a transaction.
    pub fn count_opaque(&mut self, cut: Option<i64>, late: bool) {
        self.opaque += 1;
        match cut {
            Some(cut) => self.count_event(cut, late),
            None => self.events += 1,
        }
    }
}

impl FlowExpected {
    /// The first second with an event.
    pub fn first_second(&self) -> Option<i64> {
        self.seconds.iter().find(|(_, second)| second.events > 0).map(|(at, _)| *at)
    }

    /// An event that is no copy.
    pub fn count_event(&mut self, record: &Record, cut: i64, late: bool) {
        self.totals.events += 1;
        self.totals.late += u64::from(late);
        let second = second(cut, late);
        if let Some(s) = second {
            self.seconds.entry(s).or_default().events += 1;
        }
        if !record.stage.is_empty() {
            let stage = self.stages.entry(record.stage.clone()).or_default();
            stage.by_status[record.status as usize] += 1;
            if let Some(s) = second {
                let counts = stage.seconds.entry(s).or_default();
                counts.0 += 1;
                counts.1 += u64::from(is_error(record.status));
            }
        }
    }

    /// A transaction.
    pub fn count_transaction(&mut self, id: &str, verdict: &Verdict) {
        let totals = &mut self.totals;
        totals.started += 1;
        totals.joined += u64::from(verdict.joined);
        self.doubtful += u64::from(verdict.doubtful);
        totals.after_end += verdict.after_end;
        if let Some(s) = second(verdict.start.0, verdict.start.1) {
            self.seconds.entry(s).or_default().started += 1;
        }
        let mut outcomes = totals.outcomes.as_array();
        match verdict.state {
            _ if verdict.recovered.is_some() => {
                totals.recovered += 1;
                outcomes[Outcome::Ok as usize] += 1;
            }
            State::Ended(outcome) => outcomes[outcome as usize] += 1,
            State::OpenEnded => totals.open_ended += 1,
            State::Unexplained => totals.unexplained += 1,
            State::InFlight => {
                totals.in_flight += 1;
                self.in_flight.push((verdict.start.0, id.to_owned()));
                let stage = self.stages.entry(verdict.waiting_at.clone()).or_default();
                stage.waiting += 1;
                stage.since.push(verdict.last);
            }
        }
        totals.outcomes = streamgauge::snapshot::Outcomes::from_array(outcomes);
        if let (State::Ended(outcome), Some((cut, late))) = (verdict.state, verdict.end) {
            let sample = verdict.latency.map(|(micros, clock)| Sample { outcome, micros, clock });
            self.latencies.extend(sample);
            if let Some(s) = second(cut, late) {
                let second = self.seconds.entry(s).or_default();
                second.ended[outcome as usize] += 1;
                second.latencies.extend(sample);
            }
        }
        if let Some(s) = verdict.recovered.and_then(|(cut, late)| second(cut, late)) {
            self.seconds.entry(s).or_default().recovered += 1;
        }
        for hop in &verdict.hops {
            let sample = HopSample { second: second(hop.cut, hop.late), micros: hop.micros, clock: hop.clock };
            self.hops.entry((hop.from.clone(), hop.to.clone())).or_default().push(sample);
        }
        self.verdicts.insert(id.to_owned(), verdict.clone());
    }

    /// Sums that follow from the others.
    pub fn finish(&mut self) {
        self.totals.ended = self.totals.outcomes.sum();
        let ends = self.latencies.iter().map(|s| s.micros);
        let hops = self.hops.values().flatten().map(|s| s.micros);
        self.totals.negative = ends.chain(hops).filter(|m| *m < 0).count() as u64;
        self.in_flight.sort();
    }

    /// The second at which windows end.
    pub fn complete_until(&self) -> Option<i64> {
        self.watermark.map(|w| w.div_euclid(MICROS_PER_SECOND))
    }

    /// Seconds with `from <= s < to` in which anything happened.
    pub fn range(&self, from: i64, to: i64) -> impl Iterator<Item = &Second> {
        self.seconds.range(from..to).map(|(_, s)| s)
    }

    /// What the books must say.
    pub fn balanced(&self) -> bool {
        let t = &self.totals;
        t.started == t.outcomes.sum() + t.in_flight + t.open_ended + t.evicted + t.unexplained
    }
}
