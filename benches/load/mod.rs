//! The load of the benchmarks: transactions of five events each, with ids of 36 bytes, interleaved as a busy log is;
//! a tick every 250 ms of log time.

use std::sync::Arc;
use std::time::Duration;

use streamgauge::engine::{Engine, EngineConfig};
use streamgauge::model::{Batch, Began, Event, FlowSpec, Role, SourceKey, SourceOpen, Tail, TextSpan, Timestamp};

/// Events of one batch.
pub const BATCH: i64 = 512;
/// Events of one transaction.
pub const EVENTS: i64 = 5;
const STEPS: [&str; EVENTS as usize] = ["placed", "authorized", "reserved", "packed", "shipped"];

/// What the log is like.
#[derive(Clone, Copy)]
pub struct Load {
    /// Flows; transactions take turns.
    pub flows: usize,
    /// Each flow has so many times five stages; a transaction goes through five of them.
    pub kinds: usize,
    /// Events per second of log time.
    pub per_second: i64,
    /// Transactions between two events of one transaction.
    pub spread: i64,
    /// False: the last stage ends nothing, all transactions stay in flight.
    pub ends: bool,
}

impl Default for Load {
    fn default() -> Self {
        Self { flows: 1, kinds: 1, per_second: 100_000, spread: 2_000, ends: true }
    }
}

impl Load {
    /// A configuration for it.
    pub fn config(&self) -> EngineConfig {
        EngineConfig { flows: (0..self.flows).map(|n| self.flow(n)).collect(), ..EngineConfig::default() }
    }

    fn flow(&self, number: usize) -> FlowSpec {
        let stages: Vec<String> = (0..self.kinds).flat_map(|kind| STEPS.map(|step| format!("{step}-{kind}"))).collect();
        let last = stages.chunks(STEPS.len()).map(|kind| kind[STEPS.len() - 1].clone());
        FlowSpec {
            name: format!("checkout-{number}"),
            ends_at: last.filter(|_| self.ends).collect(),
            stages,
            timeout: Some(Duration::from_secs(if self.ends { 900 } else { 86_400 })),
            stage_deadlines: vec![],
        }
    }
}

/// A log that never ends.
pub struct Log {
    load: Load,
    source: Arc<SourceKey>,
    flows: Vec<FlowSpec>,
    /// Next position.
    pub next: i64,
}

impl Log {
    /// A log from its beginning, and an engine that is about to read it.
    pub fn new(load: Load) -> (Self, Engine) {
        let source =
            Arc::new(SourceKey { cluster: "main".into(), stream: "orders".into(), generation: 0, partition: 0 });
        let config = load.config();
        let flows = config.flows.clone();
        let mut engine = Engine::new(config);
        engine.open(&SourceOpen {
            source: Arc::clone(&source),
            incarnation: "1".to_owned(),
            next: 0,
            log_start: 0,
            began: Began::Beginning,
            role: Role::Events,
            append_time: true,
            at: Timestamp(0),
        });
        (Self { load, source, flows, next: 0 }, engine)
    }

    /// Time of the next event.
    pub fn time(&self) -> Timestamp {
        Timestamp(1_800_000_000_000_000 + self.next * 1_000_000 / self.load.per_second)
    }

    /// The next records.
    pub fn batch(&mut self) -> Batch {
        let mut text = String::with_capacity(128 * BATCH as usize);
        let mut events = Vec::with_capacity(BATCH as usize);
        let (from, spread) = (self.next, self.load.spread);
        for position in from..from + BATCH {
            // Groups of `spread` transactions go through their stages together.
            let (group, within) = (position / (spread * EVENTS), position % (spread * EVENTS));
            let (stage, tx) = ((within / spread) as usize, group * spread + within % spread);
            let flow = &self.flows[tx as usize % self.flows.len()];
            let kind = tx as usize / self.flows.len() % self.load.kinds;
            let mut span = |s: &str| {
                let start = text.len() as u32;
                text.push_str(s);
                TextSpan { start, len: s.len() as u32 }
            };
            self.next = position;
            let at = Timestamp(1_800_000_000_000_000 + position * 1_000_000 / self.load.per_second);
            events.push(Event {
                position: position as u64,
                record_time: Some(at),
                event_time: Some(at.plus(-(tx * 7_919 % 5_000))),
                id: span(&format!("0190c0de-{:04x}-7000-8000-{position:012x}", position % 9_973)),
                transaction: span(&format!("0190feed-{:04x}-7000-8000-{tx:012x}", tx % 9_973)),
                flow: span(&flow.name),
                stage: span(&flow.stages[kind * STEPS.len() + stage]),
                ..Event::default()
            });
        }
        self.next = from + BATCH;
        let (from, to) = (from as u64, self.next as u64);
        Batch { source: Arc::clone(&self.source), from, to, events, text, observed: self.time(), leader_epoch: 0 }
    }

    /// The end of the log is confirmed.
    pub fn tail(&self) -> Tail {
        let next = self.next as u64;
        Tail { source: Arc::clone(&self.source), next, end: next, log_start: 0, at: self.time() }
    }

    /// Reads up to `events`, with ticks as time passes.
    pub fn read(&mut self, engine: &mut Engine, events: i64) {
        let quarter = (self.load.per_second / 4).max(1);
        let mut ticked = self.next / quarter;
        while self.next < events {
            engine.apply(&self.batch());
            if self.next / quarter > ticked {
                ticked = self.next / quarter;
                engine.tail(&self.tail());
                engine.tick(self.time());
            }
        }
    }
}
