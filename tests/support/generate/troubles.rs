//! Troubles that chance alone hardly brings about: each is the only one that shows a certain rule broken.

use std::time::Duration;

use streamgauge::model::{DecodeReason, FlowSpec, Kind, Outcome, Timestamp};

use super::super::record::Record;
use super::{Draft, EPOCH, Maker, SECOND};

/// Deadline of the flow that comes late to a stream.
const NEWCOMER_TIMEOUT: Duration = Duration::from_secs(45);

impl Maker {
    /// Two ends: a relay holds the one back that was made first, so that the other is the first in the log.
    pub(super) fn rivals(&mut self, stream: usize, t: i64, record: Record) {
        let (id, held) = (self.id(), self.rng.between(3 * SECOND, 20 * SECOND));
        let meanwhile = t + self.rng.between(SECOND, held - SECOND);
        let other = Record { id, outcome: Some(Outcome::Failed), ..record.clone() };
        for (stream, made, written, record) in [
            (stream, t, t + held, Record { outcome: Some(Outcome::Ok), ..record }),
            ((stream + 1) % 3, meanwhile, meanwhile, other),
        ] {
            let record = Record { event_time: Some(Timestamp(made)), ..record };
            let partition = self.rng.next();
            self.drafts.push(Draft { stream, partition, written, delay: 0, record });
        }
    }

    /// A flow of its own: some of its transactions are never heard of again, a record of another stream cannot be
    /// decoded meanwhile, and the flow comes to that stream around or after their deadlines.
    pub(super) fn newcomer(&mut self) {
        let begun = EPOCH * SECOND + self.rng.between(0, self.traits.span * SECOND);
        let (home, other) = (self.rng.below(3) as usize, 1 + self.rng.below(2) as usize);
        let other = (home + other) % 3;
        let timeout = NEWCOMER_TIMEOUT.as_micros() as i64;
        let arrival = begun + timeout + self.rng.between(-10 * SECOND, 150 * SECOND);
        let first = self.rng.between(1, 4);
        for n in 0..first + 3 {
            let (stream, t) = match n < first {
                true => (home, begun + self.rng.between(0, 20 * SECOND)),
                false => (other, arrival + self.rng.between(0, 60 * SECOND)),
            };
            let record = Record {
                transaction: format!("parcel-{n}"),
                flow: "parcel".to_owned(),
                stage: (if n < first { "sent" } else { "delivered" }).to_owned(),
                id: self.id(),
                event_time: Some(Timestamp(t)),
                ..Record::default()
            };
            let partition = self.rng.next();
            self.drafts.push(Draft { stream, partition, written: t, delay: 0, record });
        }
        let written = begun + self.rng.between(0, timeout);
        let record = Record { kind: Kind::Undecodable(DecodeReason::InvalidJson), ..Record::default() };
        let partition = self.rng.next();
        self.drafts.push(Draft { stream: other, partition, written, delay: 0, record });
        let ends_at = vec!["delivered".to_owned()];
        self.newcomer = Some(FlowSpec {
            name: "parcel".to_owned(),
            ends_at,
            timeout: Some(NEWCOMER_TIMEOUT),
            ..FlowSpec::default()
        });
    }
}
