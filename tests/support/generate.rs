//! Seeded worlds: flows, streams and everything that goes wrong with them.
//!
//! A world is drawn in true time; what producers' clocks, brokers and relays make of it (skew, delay,
//! copies, dead letters, holes) is drawn per record. [`Traits`] says which troubles a world has, so
//! that a failing seed can be told by them.

mod lives;
mod logs;
mod troubles;

use std::time::Duration;

use streamgauge::model::{FlowSpec, Role};

use super::record::{Record, Workload};
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
