//! The events that are written: a seeded world of the generator, moved to the present.

use std::fmt::Write as _;
use std::time::Duration;

use streamgauge::model::{FlowSpec, Kind, Role, Timestamp};

use crate::support::generate::{self, EPOCH, Traits};
use crate::support::record::{Partition, Record, Workload};

const SECOND: i64 = 1_000_000;
/// Records that cannot be decoded lie in these seconds of the world only: what times out elsewhere is
/// `timed_out`, what times out around them is `unexplained`, and both are to be seen.
const UNDECODABLE: std::ops::Range<i64> = 600..620;

/// Transactions of a world that is drawn to be counted.
const SMALL: usize = 4_000;
/// At most about one record in this many is no event of a transaction.
const NOISE: usize = 20;

/// The wall clock.
pub fn wall() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    Timestamp(i64::try_from(since.as_micros()).expect("within the calendar"))
}

/// What a world must have to be worth the run.
pub struct Wanted {
    /// Events of transactions, about.
    pub events: usize,
    /// Seconds that it spans; what lies beyond is not written.
    pub span: i64,
    /// 30 % of the records 300 s in the past, one 3 h ahead.
    pub skew: bool,
    /// Least number of partitions.
    pub partitions: usize,
}

/// A world of the least seed from `seed` on that has the flows `checkout`, `refund` and `ledger`.
/// It ends at `ends`; what begins or ends in it may be cut off by that.
pub fn draw(mut seed: u64, wanted: &Wanted, ends: Timestamp) -> Workload {
    let sized = |seed, transactions| {
        let steady = Traits::steady(transactions, wanted.span);
        let mut world = generate::sized(seed, Traits { undecodable: true, skew: wanted.skew, ..steady });
        let until = Timestamp((EPOCH + wanted.span) * SECOND);
        world.partitions.iter_mut().for_each(|p| p.records.retain(|r| r.visible <= until));
        world
    };
    let fits = |world: &Workload| {
        let has = |flow: &str| world.flows.iter().any(|f| f.name == flow);
        has("checkout") && has("refund") && has("ledger") && world.partitions.len() >= wanted.partitions
    };
    // Flows and partitions are drawn before any transaction: a small world of the same seed has the same.
    while !fits(&sized(seed, 1)) {
        seed += 1;
    }
    let small = sized(seed, SMALL).partitions;
    let events = small.iter().flat_map(|p| &p.records).filter(|r| !r.transaction.is_empty()).count();
    let mut world = sized(seed, wanted.events * SMALL / events);
    let by = ends.plus(-(EPOCH + wanted.span) * SECOND).0 / 1_000 * 1_000; // brokers keep milliseconds
    let noise: usize = world.partitions.iter().flat_map(|p| &p.records).filter(|r| r.transaction.is_empty()).count();
    let one_in = 1 + noise * NOISE / wanted.events;
    let mut met = 0;
    for partition in &mut world.partitions {
        partition.records.retain(|r| {
            met += usize::from(r.transaction.is_empty());
            !r.transaction.is_empty() || met % one_in == 0
        });
        partition.records.iter_mut().enumerate().for_each(|(i, r)| settle(r, i as u64, by));
    }
    println!("world of seed {seed}");
    (world.begins, world.ends) = (world.begins.plus(by), ends);
    world
}

/// Makes a drawn record one that can be written, `by` microseconds later.
fn settle(record: &mut Record, position: u64, by: i64) {
    let second = record.visible.0.div_euclid(SECOND) - EPOCH;
    if matches!(record.kind, Kind::Undecodable(_)) && !UNDECODABLE.contains(&second) {
        record.kind = Kind::Opaque;
    }
    // The decoder takes what names no transaction for a record of somebody else's.
    if record.kind == Kind::Event && record.transaction.is_empty() {
        *record = Record {
            kind: Kind::Opaque,
            visible: record.visible,
            record_time: record.record_time,
            ..Record::default()
        };
    }
    let millis = Timestamp(record.visible.0 / 1_000 * 1_000);
    record.position = position; // no holes: nobody compacts, nobody aborts
    record.record_time = Some(record.record_time.unwrap_or(millis).plus(by));
    record.visible = record.visible.plus(by);
    record.event_time = record.event_time.map(|t| t.plus(by));
    record.started_at = record.started_at.map(|t| t.plus(by));
}

/// `(partition, record)` in the order in which the world wrote them.
pub fn in_order(partitions: &[Partition]) -> Vec<(usize, usize)> {
    let mut all: Vec<(i64, usize, usize)> = Vec::new();
    for (p, partition) in partitions.iter().enumerate() {
        all.extend(partition.records.iter().enumerate().map(|(i, r)| (r.visible.0, p, i)));
    }
    all.sort_unstable();
    all.into_iter().map(|(_, p, i)| (p, i)).collect()
}

/// `[[stream]]`, read from its beginning.
pub fn stream_toml(out: &mut String, name: &str, role: Role) {
    let role = if role == Role::Dlq { "dlq" } else { "events" };
    let _ = write!(out, "[[stream]]\nname = \"{name}\"\nrole = \"{role}\"\nstart = \"earliest\"\n\n");
}

/// Every `[[flow]]`.
pub fn flows_toml(out: &mut String, flows: &[FlowSpec]) {
    for flow in flows {
        let _ = write!(
            out,
            "[[flow]]\nname = \"{}\"\nstages = {:?}\nends_at = {:?}\n",
            flow.name, flow.stages, flow.ends_at
        );
        if let Some(timeout) = flow.timeout {
            let _ = writeln!(out, "timeout = \"{}s\"", timeout.as_secs());
        }
        out.push('\n');
    }
}

/// The same flows with another timeout where they have one.
pub fn with_timeout(flows: &[FlowSpec], timeout: Duration) -> Vec<FlowSpec> {
    flows.iter().map(|f| FlowSpec { timeout: f.timeout.map(|_| timeout), ..f.clone() }).collect()
}
