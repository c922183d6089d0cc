//! The lives of transactions: which events they write, what is copied, held back, given up and done again.

use streamgauge::model::{DecodeReason, Kind, Outcome, Status, Timestamp};

use super::super::record::Record;
use super::{Draft, EPOCH, Maker, SECOND};

impl Maker {
    pub(super) fn id(&mut self) -> String {
        self.ids += 1;
        format!("e-{:06}", self.ids)
    }

    /// A short, sometimes long, way from stage to stage, microseconds.
    fn pause(&mut self) -> i64 {
        let seconds = (self.rng.normal() * 1.5 - 0.5).exp().min(25.0);
        1 + (seconds * SECOND as f64) as i64
    }

    pub(super) fn transaction(&mut self, n: usize) {
        let which = self.rng.below(self.kits.len() as u64) as usize;
        let (name, stages, by_stage) = (self.kits[which].name, self.kits[which].stages, self.kits[which].ends_by_stage);
        let timeout = self.kits[which].spec.as_ref().and_then(|s| s.timeout);
        let begun = EPOCH * SECOND + self.rng.between(0, self.traits.span * SECOND);
        let mut t = begun;
        let fate = self.rng.unit();
        // At which stage it breaks off, if it does.
        let breaks = self.rng.below(stages.len() as u64) as usize;
        let transaction = format!("{name}-{n}");
        for (i, stage) in stages.iter().enumerate() {
            t += self.pause();
            let mut record = Record {
                transaction: transaction.clone(),
                flow: name.to_owned(),
                stage: (*stage).to_owned(),
                id: self.id(),
                ..Record::default()
            };
            if self.rng.chance(0.1) {
                record.started_at = Some(Timestamp(begun - self.rng.between(0, SECOND)));
            }
            if self.rng.chance(0.1) {
                let retried = Record { status: Status::Retried, id: self.id(), ..record.clone() };
                let before = t - self.rng.between(1, SECOND);
                self.write(i % 3, before, retried);
            }
            let last = i + 1 == stages.len();
            let broken = i == breaks;
            if fate < 0.08 && broken {
                record.status = Status::Failed;
                record.outcome = Some(Outcome::Failed);
            } else if fate < 0.12 && broken {
                record.status = Status::Compensated;
                record.outcome = Some(Outcome::Compensated);
            } else if fate < 0.22 && broken && !(last && by_stage) {
                self.dead_letter(i, t, record);
                return;
            } else if fate < 0.30 && broken {
                return; // nothing more is heard of it
            } else if let (true, true, Some(timeout)) = (fate < 0.36, last, timeout) {
                t = begun + timeout.as_micros() as i64 + self.rng.between(1, 90 * SECOND); // too late
            } else if last && !by_stage && self.rng.chance(0.8) {
                record.outcome = Some(Outcome::Ok);
            }
            let ended = record.outcome.is_some();
            if last && fate > 0.9 {
                return self.rivals(i % 3, t, record);
            }
            if self.rng.chance(0.1) {
                // A step that nobody declared.
                let id = self.id();
                self.write(i % 3, t, Record { stage: "looked up".to_owned(), id, outcome: None, ..record.clone() });
            }
            self.write(i % 3, t, record);
            if ended && fate < 0.12 {
                break;
            }
        }
        self.after(stages, &transaction, name, t);
    }

    /// What may come after the end: a second opinion, a straggler.
    fn after(&mut self, stages: &[&str], transaction: &str, flow: &str, end: i64) {
        if !self.rng.chance(0.15) {
            return;
        }
        let wait = *self.rng.pick(&[5, 60, 1_500, 9_000]) * SECOND;
        let t = end + self.rng.between(1, wait);
        let mut record = Record {
            transaction: transaction.to_owned(),
            flow: flow.to_owned(),
            stage: (*self.rng.pick(stages)).to_owned(),
            id: self.id(),
            // Its own clock must be right: it comes when only a tombstone may be left.
            event_time: Some(Timestamp(t)),
            ..Record::default()
        };
        if self.rng.chance(0.5) {
            record.outcome = Some(*self.rng.pick(&[Outcome::Ok, Outcome::Failed, Outcome::Compensated]));
        }
        let partition = self.rng.next();
        let stream = self.rng.below(3) as usize;
        self.drafts.push(Draft { stream, partition, written: t, delay: self.rng.between(0, SECOND / 2), record });
    }

    /// The stage gives up: the original is written, then its copy goes to the dead letters, perhaps back again.
    fn dead_letter(&mut self, stage: usize, t: i64, record: Record) {
        self.write(stage % 3, t, record.clone());
        let put_aside = t + self.pause();
        let event_time = self.rng.chance(0.8).then_some(Timestamp(put_aside));
        let partition = self.rng.next();
        self.drafts.push(Draft {
            stream: 3,
            partition,
            written: put_aside,
            delay: self.rng.between(0, SECOND),
            record: Record { event_time, ..record.clone() },
        });
        if self.traits.redrive && self.rng.chance(0.8) {
            let t = put_aside + 20 * 3_600 * SECOND + self.rng.between(0, 60 * SECOND);
            let again = Record { redrive: 1, event_time: Some(Timestamp(t)), ..record.clone() };
            self.drafts.push(Draft { stream: stage % 3, partition, written: t, delay: 1_000, record: again });
            let ok = Record {
                id: self.id(),
                outcome: Some(Outcome::Ok),
                redrive: 0,
                event_time: Some(Timestamp(t + 2 * SECOND)),
                ..record
            };
            self.drafts.push(Draft { stream: 2, partition, written: t + 2 * SECOND, delay: 1_000, record: ok });
        }
    }

    /// Writes an event and perhaps copies of it.
    fn write(&mut self, stream: usize, t: i64, mut record: Record) {
        if self.rng.chance(0.9) {
            record.event_time = Some(Timestamp(t));
        }
        if self.rng.chance(0.03) {
            record.id.clear();
        }
        // A relay or a batch holds some back.
        let held = if self.rng.chance(0.05) { self.rng.between(0, 30 * SECOND) } else { 0 };
        let partition = self.rng.next();
        let delay = self.rng.between(0, SECOND / 2);
        if !record.id.is_empty() {
            if self.rng.chance(0.05) {
                let again = t + held + self.rng.between(0, 5 * SECOND);
                self.copy(stream, again, &record);
            }
            if self.traits.copies && self.rng.chance(0.05) {
                self.copy(stream, t + 480 * SECOND, &record);
                self.copy(stream, t + 960 * SECOND, &record);
            }
        }
        self.drafts.push(Draft { stream, partition, written: t + held, delay, record });
    }

    fn copy(&mut self, stream: usize, written: i64, record: &Record) {
        let partition = self.rng.next();
        self.drafts.push(Draft { stream, partition, written, delay: 0, record: record.clone() });
    }

    /// Records that are no events of transactions.
    pub(super) fn noise(&mut self) {
        let until =
            self.drafts.iter().map(|d| d.written).max().unwrap_or(0).min((EPOCH + self.traits.span + 60) * SECOND);
        for _ in 0..self.rng.below(1 + self.traits.transactions as u64 / 2) {
            let written = self.rng.between(EPOCH * SECOND, until.max(EPOCH * SECOND));
            let kind = match self.rng.below(4) {
                0 => Kind::Tombstone,
                1 if self.traits.undecodable => Kind::Undecodable(DecodeReason::InvalidJson),
                2 => Kind::Event,
                _ => Kind::Opaque,
            };
            let mut record = Record { kind, ..Record::default() };
            if kind == Kind::Event {
                record.flow = self.rng.pick(&self.kits).name.to_owned();
                record.stage = "checked".to_owned();
                record.event_time = Some(Timestamp(written));
            }
            let (stream, partition) = (self.rng.below(self.streams.len() as u64) as usize, self.rng.next());
            self.drafts.push(Draft { stream, partition, written, delay: 0, record });
        }
    }
}
