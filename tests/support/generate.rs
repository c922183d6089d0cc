//! Seeded worlds: flows, streams and everything that goes wrong with them.
//!
//! A world is drawn in true time; what producers' clocks, brokers and relays make of it (skew, delay,
//! copies, dead letters, holes) is drawn per record. [`Traits`] says which troubles a world has, so
//! that a failing seed can be told by them.

mod troubles;

use std::time::Duration;

use streamgauge::model::{DecodeReason, FlowSpec, Kind, Outcome, Role, Status, Timestamp};

use super::record::{Partition, Record, Workload, source};
use super::rng::Rng;

/// 2027-01-15T08:00:00Z.
pub const EPOCH: i64 = 1_800_000_000;
const SECOND: i64 = 1_000_000;

/// Which troubles a world has.
#[derive(Clone, Debug)]
pub struct Traits {
    /// Transactions.
    pub transactions: usize,
    /// Seconds in which they start.
    pub span: i64,
    /// 30 % of the records of CreateTime streams are 300 s in the past, one is 3 h ahead.
    pub skew: bool,
    /// Undecodable records are among them.
    pub undecodable: bool,
    /// Dead letters are redriven 20 h later.
    pub redrive: bool,
    /// One stream is deleted and made anew.
    pub anew: bool,
    /// One stream gets a further partition.
    pub grows: bool,
    /// Reading begins at `latest`, in the middle.
    pub latest: bool,
    /// Records expire, perhaps unread.
    pub expiry: bool,
    /// Copies 8 and 16 minutes later.
    pub copies: bool,
    /// A flow comes to a stream after records of it could not be decoded.
    pub newcomer: bool,
}

impl Traits {
    /// Drawn from a seed.
    pub fn draw(rng: &mut Rng) -> Self {
        Self {
            transactions: rng.between(1, 60) as usize,
            span: *rng.pick(&[5, 60, 600, 1_800]),
            skew: rng.chance(0.3),
            undecodable: rng.chance(0.25),
            redrive: rng.chance(0.25),
            anew: rng.chance(0.2),
            grows: rng.chance(0.2),
            latest: rng.chance(0.2),
            expiry: rng.chance(0.1),
            copies: rng.chance(0.4),
            newcomer: rng.chance(0.2),
        }
    }

    /// Much traffic without what depends on when it is read: for runs against a real broker.
    pub fn steady(transactions: usize, span: i64) -> Self {
        Self {
            transactions,
            span,
            skew: false,
            undecodable: false,
            redrive: false,
            anew: false,
            grows: false,
            latest: false,
            expiry: false,
            copies: false,
            newcomer: false,
        }
    }
}

/// One configured or merely seen flow.
struct Kit {
    name: &'static str,
    stages: &'static [&'static str],
    spec: Option<FlowSpec>,
    ends_by_stage: bool,
}

struct Stream {
    name: &'static str,
    role: Role,
    append_time: bool,
    partitions: u32,
}

/// A record on its way: stream, partition by number, true time of writing.
struct Draft {
    stream: usize,
    partition: u64,
    written: i64,
    delay: i64,
    record: Record,
}

struct Maker {
    rng: Rng,
    traits: Traits,
    kits: Vec<Kit>,
    streams: Vec<Stream>,
    drafts: Vec<Draft>,
    ids: u64,
    /// The flow that came late.
    newcomer: Option<FlowSpec>,
}

/// The world of a seed.
pub fn workload(seed: u64) -> (Traits, Workload) {
    let mut rng = Rng::new(seed);
    let traits = Traits::draw(&mut rng);
    let world = sized(rng.next(), traits.clone());
    (traits, world)
}

/// A world with these traits.
pub fn sized(seed: u64, traits: Traits) -> Workload {
    let mut rng = Rng::new(seed);
    let kits = kits(&mut rng);
    let streams = ["orders", "payments", "shipping", "orders.dlq"]
        .map(|name| Stream {
            name,
            role: if name.ends_with("dlq") { Role::Dlq } else { Role::Events },
            append_time: rng.chance(0.4),
            partitions: rng.between(1, 3) as u32,
        })
        .into();
    let mut maker = Maker { rng, traits, kits, streams, drafts: Vec::new(), ids: 0, newcomer: None };
    for n in 0..maker.traits.transactions {
        maker.transaction(n);
    }
    maker.noise();
    if maker.traits.newcomer {
        maker.newcomer();
    }
    maker.finish()
}

fn kits(rng: &mut Rng) -> Vec<Kit> {
    let texts = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let timeout = Duration::from_secs(*rng.pick(&[45, 60, 120, 300, 900]));
    let spec = |name: &str, stages: &[&str], ends: &[&str], timeout: Option<Duration>| FlowSpec {
        name: name.to_owned(),
        stages: texts(stages),
        ends_at: texts(ends),
        timeout,
        stage_deadlines: Vec::new(),
    };
    const CHECKOUT: &[&str] = &["placed", "authorized", "packed", "shipped"];
    const REFUND: &[&str] = &["requested", "approved", "paid"];
    const LEDGER: &[&str] = &["opened", "booked", "closed"];
    let mut kits = vec![
        Kit {
            name: "checkout",
            stages: CHECKOUT,
            spec: Some(spec("checkout", CHECKOUT, &["shipped"], Some(timeout))),
            ends_by_stage: true,
        },
        Kit {
            name: "refund",
            stages: REFUND,
            spec: Some(spec("refund", REFUND, &["paid"], None)),
            ends_by_stage: true,
        },
        Kit {
            name: "ledger",
            stages: LEDGER,
            spec: Some(spec("ledger", &[], &["closed"], Some(timeout))),
            ends_by_stage: true,
        },
        Kit {
            name: "pay",
            stages: &["asked", "answered"],
            spec: Some(spec("pay", &[], &[], Some(timeout))),
            ends_by_stage: false,
        },
        Kit { name: "browse", stages: &["seen", "added", "left"], spec: None, ends_by_stage: false },
        Kit { name: "default", stages: &["received"], spec: None, ends_by_stage: true },
    ];
    rng.shuffle(&mut kits);
    kits.truncate(rng.between(1, 4) as usize);
    kits
}

impl Maker {
    fn id(&mut self) -> String {
        self.ids += 1;
        format!("e-{:06}", self.ids)
    }

    /// A short, sometimes long, way from stage to stage, microseconds.
    fn pause(&mut self) -> i64 {
        let seconds = (self.rng.normal() * 1.5 - 0.5).exp().min(25.0);
        1 + (seconds * SECOND as f64) as i64
    }

    fn transaction(&mut self, n: usize) {
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
    fn noise(&mut self) {
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

    /// Puts the drafts into their partitions, in the order in which they can be read.
    fn finish(mut self) -> Workload {
        let (begins, ends) = (Timestamp((EPOCH - 10) * SECOND), self.drafts.iter().map(|d| d.written + d.delay).max());
        let ends = Timestamp(ends.unwrap_or(begins.0).max(begins.0));
        let changes = EPOCH * SECOND + self.rng.between(0, self.traits.span * SECOND);
        let (anew, grows) = (self.rng.below(3) as usize, self.rng.below(3) as usize);
        let mut partitions = Vec::new();
        for (s, stream) in self.streams.iter().enumerate() {
            let anew = self.traits.anew && s == anew;
            let more = u32::from(self.traits.grows && s == grows);
            for generation in 0..=u32::from(anew) {
                for p in 0..stream.partitions + more {
                    let grown = p == stream.partitions;
                    let created = if grown || generation > 0 { changes } else { begins.0 };
                    let first = generation == 0 && !grown;
                    partitions.push(Partition {
                        key: source(stream.name, generation, p),
                        incarnation: format!("{}/{generation}", stream.name),
                        role: stream.role,
                        append_time: stream.append_time,
                        created: Timestamp(created),
                        deleted: (anew && generation == 0).then_some(Timestamp(changes)),
                        latest: first && self.traits.latest && self.rng.chance(0.7),
                        records: Vec::new(),
                        expiry: Vec::new(),
                    });
                }
            }
        }
        let mut drafts = std::mem::take(&mut self.drafts);
        drafts.sort_by_key(|d| d.written + d.delay);
        for draft in drafts {
            let visible = draft.written + draft.delay;
            let name = self.streams[draft.stream].name;
            let fits = |p: &Partition| {
                &*p.key.stream == name && p.created.0 <= visible && p.deleted.is_none_or(|d| visible < d.0)
            };
            let homes: Vec<usize> = (0..partitions.len()).filter(|&i| fits(&partitions[i])).collect();
            let home = &mut partitions[homes[(draft.partition % homes.len() as u64) as usize]];
            self.append(home, &draft);
        }
        if self.traits.expiry {
            for partition in &mut partitions {
                if let (true, Some(last)) = (self.rng.chance(0.5), partition.records.last()) {
                    let at = self.rng.between(begins.0, last.visible.0.max(begins.0));
                    let before = partition.records.partition_point(|r| r.visible.0 < at - 20 * SECOND);
                    if let Some(first) = partition.records.get(before) {
                        partition.expiry.push((Timestamp(at), first.position));
                    }
                }
            }
        }
        let flows = self.kits.iter().filter_map(|k| k.spec.clone()).chain(self.newcomer).collect();
        Workload { flows, partitions, begins, ends }
    }

    fn append(&mut self, home: &mut Partition, draft: &Draft) {
        let hole = if self.rng.chance(0.1) { self.rng.below(5) } else { 0 };
        let mut record = draft.record.clone();
        record.position = home.records.last().map_or(hole, |r| r.position + 1 + hole);
        record.visible = Timestamp(draft.written + draft.delay);
        let millis = |micros: i64| Some(Timestamp(micros / 1_000 * 1_000));
        if home.append_time {
            record.record_time = millis(record.visible.0);
            if record.transaction.is_empty() && record.kind == Kind::Event && self.rng.chance(0.2) {
                record.record_time = millis(record.visible.0 - 7_200 * SECOND); // the broker's clock was set back
            }
        } else {
            let settled = home.records.len() > 8;
            let recent = home.records.iter().rev().take(20).next_back();
            let lively = recent.is_some_and(|r| r.visible.0 > draft.written - 60 * SECOND);
            record.record_time = millis(draft.written);
            if self.traits.skew && settled && self.rng.chance(0.3) {
                record.record_time = millis(draft.written - 300 * SECOND);
            } else if self.traits.skew && home.records.len() == 12 {
                // A clock of its own: nothing else is known of this producer.
                record = Record {
                    record_time: millis(draft.written + 3 * 3_600 * SECOND),
                    kind: Kind::Opaque,
                    position: record.position,
                    visible: record.visible,
                    ..Record::default()
                };
            } else if settled && lively && self.rng.chance(0.02) {
                record.record_time = None; // it is cut where the partition stands, which must not be long ago
            }
        }
        home.records.push(record);
    }
}
