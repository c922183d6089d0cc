//! Books and windows of a flow follow what its transactions are resolved to: the difference between
//! the old and the new resolution is applied, each part in its own second.

use crate::model::{MICROS_PER_SECOND, Status};

use super::exemplar::Who;
use super::flow::Flow;
use super::histogram::code_of;
use super::resolve::{Fact, Fate, HopMade, Moment, Resolution, Sample};
use super::second::{HOPS_FROM, HistId, Tally, hop_hist, latency_hist};

/// The second of a cut time.
#[must_use]
pub fn second(cut: i64) -> i64 {
    cut.div_euclid(MICROS_PER_SECOND)
}

/// Takes back the old value and applies the new one, where they differ.
fn change<T: PartialEq>(old: Option<T>, new: Option<T>, mut apply: impl FnMut(T, i32)) {
    if old == new {
        return;
    }
    if let Some(old) = old {
        apply(old, -1);
    }
    if let Some(new) = new {
        apply(new, 1);
    }
}

impl Flow {
    /// Counts `n` of an event, whatever its transaction; below zero takes back.
    pub fn count_event(&mut self, event: &Fact, n: i32) {
        let error = matches!(event.status, Status::Failed | Status::Retried | Status::DeadLettered);
        self.count_event_total(event, n);
        if event.late {
            self.state.totals.late += i64::from(n);
            return;
        }
        let at = second(event.cut);
        self.state.first = Some(self.state.first.map_or(at, |f| f.min(at)));
        self.seconds.bump(at, Tally::Event(event.stage, error), n);
    }

    /// Counts `n` of an event that lies in no second.
    pub fn count_event_total(&mut self, event: &Fact, n: i32) {
        self.state.totals.events += i64::from(n);
        self.state.stages[usize::from(event.stage)].events[event.status as usize] += i64::from(n);
    }

    /// A transaction was resolved to `old` and is now resolved to `new`; `None`: it was not, or is no more.
    pub fn account(&mut self, old: Option<&Resolution>, new: Option<&Resolution>, who: Who<'_>) {
        change(old.map(|r| r.start), new.map(|r| r.start), |at, n| {
            self.state.totals.started += i64::from(n);
            self.tally(at, Tally::Started, n);
        });
        change(old.map(|r| (r.fate(), r.waiting)), new.map(|r| (r.fate(), r.waiting)), |(fate, waiting), n| {
            let n = i64::from(n);
            match fate {
                Fate::InFlight => {
                    self.state.totals.in_flight += n;
                    self.state.stages[usize::from(waiting)].waiting += n;
                }
                Fate::Ended(outcome) => self.state.totals.outcomes[outcome as usize] += n,
                Fate::Unexplained => self.state.totals.unexplained += n,
            }
        });
        let joined = |r: &Resolution| r.joined.then_some(());
        change(old.and_then(joined), new.and_then(joined), |(), n| self.state.totals.joined += i64::from(n));
        let end = |r: &Resolution| r.end.and_then(|e| Some((e.outcome?, e.at)));
        change(old.and_then(end), new.and_then(end), |(outcome, at), n| self.tally(at, Tally::Ended(outcome), n));
        let latency = |r: &Resolution| r.end.and_then(|e| Some((e.outcome?, e.at, e.latency?)));
        change(old.and_then(latency), new.and_then(latency), |(outcome, at, sample), n| {
            self.sample(latency_hist(outcome, sample.clock), at, sample, n, who);
        });
        change(old.and_then(|r| r.recovery), new.and_then(|r| r.recovery), |at, n| {
            self.state.totals.recovered += i64::from(n);
            self.tally(at, Tally::Recovered, n);
        });
        let after_end = |r: Option<&Resolution>| r.map_or(0, |r| i64::from(r.after_end));
        self.state.totals.after_end += after_end(new) - after_end(old);
        let (old, new) = (old.map_or(&[][..], |r| &r.hops), new.map_or(&[][..], |r| &r.hops));
        for i in 0..old.len().max(new.len()) {
            change(old.get(i), new.get(i), |hop, n| self.hop_made(hop, n, who));
        }
    }

    fn hop_made(&mut self, hop: &HopMade, n: i32, who: Who<'_>) {
        let number = self.hop(hop.from, hop.to);
        self.count_hop(number, n);
        self.sample(hop_hist(number, hop.sample.clock), hop.at, hop.sample, n, who);
    }

    fn sample(&mut self, hist: HistId, at: Moment, sample: Sample, n: i32, who: Who<'_>) {
        self.state.totals.negative += i64::from(if sample.micros < 0 { n } else { 0 });
        let code = code_of(sample.micros);
        self.tally(at, Tally::Sample(hist, code), n);
        if hist < HOPS_FROM {
            match n {
                1.. => self.state.exemplars.offer(hist, code, at.cut, sample.micros, who),
                _ => self.state.exemplars.withdraw(hist, code, who.key),
            }
        }
    }

    /// Counts in a second, unless it lies too far back for the windows.
    pub fn tally(&mut self, at: Moment, what: Tally, n: i32) {
        if !at.late {
            self.seconds.bump(second(at.cut), what, n);
        }
    }
}
