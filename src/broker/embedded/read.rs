//! Reading: one thread follows all partitions of the streams that a configuration names.

use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use super::Shared;
use super::source::Source;
use crate::broker::{ClusterHealth, ReadContext, ReadError};
use crate::decode::Decoder;
use crate::model::{Began, Input, SourceKey, SourceOpen, SourceState, Start, StreamName, StreamSpec, Timestamp};

/// How often the end of each partition is confirmed while nothing happens.
const CONFIRM: i64 = 200_000;
/// Longest sleep: how late a request to stop is noticed.
const SLEEP: Duration = Duration::from_millis(50);
/// Sleep while a first position waits to become durable: nobody rings for that.
const OPENING: Duration = Duration::from_millis(5);
/// Longest wait of a source for others that were opened with it, in microseconds: a few checkpoints.
const TOGETHER: i64 = 3_000_000;
/// How often a source that cannot be read is tried again, in microseconds.
const RETRY: i64 = 2_000_000;

/// Reads the embedded log.
pub(super) struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl crate::broker::Read for Reader {
    fn run(self: Box<Self>, context: ReadContext) -> Result<(), ReadError> {
        let mut run = Run::new(self.shared, context)?;
        // The engine is gone: there is nobody to read for.
        let _ = run.read();
        Ok(())
    }
}

/// The engine has hung up.
pub(super) struct HungUp;

/// A specification, its pattern compiled.
struct Wanted {
    spec: StreamSpec,
    pattern: Option<Regex>,
}

impl Wanted {
    fn matches(&self, name: &str) -> bool {
        match (&self.spec.name, &self.pattern) {
            (StreamName::Exact(exact), _) => exact == name,
            (StreamName::Pattern(_), pattern) => pattern.as_ref().is_some_and(|p| p.is_match(name)),
        }
    }
}

/// One run of a reader.
struct Run {
    shared: Arc<Shared>,
    context: ReadContext,
    wanted: Vec<Wanted>,
    sources: Vec<Source>,
    /// Streams looked at; they only become more.
    known: Vec<Arc<str>>,
    /// False until the streams that were there at the start have been found.
    settled: bool,
    health: ClusterHealth,
}

impl Run {
    fn new(shared: Arc<Shared>, context: ReadContext) -> Result<Self, ReadError> {
        let compile = |spec: &StreamSpec| match &spec.name {
            StreamName::Exact(_) => Ok(Wanted { spec: spec.clone(), pattern: None }),
            StreamName::Pattern(pattern) => match Regex::new(pattern) {
                Ok(pattern) => Ok(Wanted { spec: spec.clone(), pattern: Some(pattern) }),
                Err(error) => {
                    let detail = format!("stream pattern {pattern:?}: {error}");
                    Err(ReadError::Config { cluster: context.cluster.to_string(), detail })
                }
            },
        };
        let mut wanted = context.streams.iter().map(compile).collect::<Result<Vec<_>, _>>()?;
        // A stream that is named exactly is meant by that entry, whatever patterns say.
        wanted.sort_by_key(|w| w.pattern.is_some());
        let health = ClusterHealth { cluster_id: Some("embedded".into()), ..ClusterHealth::default() };
        Ok(Self { shared, context, wanted, sources: Vec::new(), known: Vec::new(), settled: false, health })
    }

    fn read(&mut self) -> Result<(), HungUp> {
        let mut rung = self.shared.bell.wait(u64::MAX, Duration::ZERO);
        self.forget_the_gone()?;
        while !self.context.stop.is_set() {
            self.discover()?;
            let more = self.read_once()?;
            self.confirm()?;
            if !more {
                let opening = self.sources.iter().any(|s| !s.durable);
                rung = self.shared.bell.wait(rung, if opening { OPENING } else { SLEEP });
            }
        }
        Ok(())
    }

    /// Positions whose stream the log no longer has: moved away, or made anew.
    fn forget_the_gone(&self) -> Result<(), HungUp> {
        let positions = Arc::clone(&self.context.positions.borrow());
        let at = (self.context.now)();
        for stored in positions.sources.iter().filter(|s| s.key.cluster == self.context.cluster) {
            let stream = self.shared.stream(&stored.key.stream);
            if stream.is_none_or(|s| s.incarnation != stored.incarnation) {
                let key = Arc::new(stored.key.clone());
                self.send(Input::State(key, SourceState::Gone, at))?;
            }
        }
        Ok(())
    }

    /// Opens the partitions of streams that are new to us.
    fn discover(&mut self) -> Result<(), HungUp> {
        if self.shared.count() != self.known.len() || !self.settled {
            for stream in self.shared.streams() {
                if self.known.contains(&stream.name) {
                    continue;
                }
                self.known.push(Arc::clone(&stream.name));
                let Some(wanted) = self.wanted.iter().find(|w| w.matches(&stream.name)) else { continue };
                let spec = wanted.spec.clone();
                let decoder = Arc::new(Decoder::new(&spec.format, &self.context.limits, &stream.name));
                for number in 0..stream.partitions.len() {
                    let source = self.open(&stream, number, &spec, Arc::clone(&decoder))?;
                    self.sources.push(source);
                }
                self.health.streams.push(stream.name.to_string());
            }
            if !std::mem::replace(&mut self.settled, true) {
                self.send(Input::Announced(Arc::clone(&self.context.cluster)))?;
            }
            self.tell_health();
        }
        Ok(())
    }

    fn open(
        &self,
        stream: &super::partition::Stream,
        number: usize,
        spec: &StreamSpec,
        decoder: Arc<Decoder>,
    ) -> Result<Source, HungUp> {
        let positions = Arc::clone(&self.context.positions.borrow());
        let (cluster, at) = (&self.context.cluster, (self.context.now)());
        let partition = Arc::clone(&stream.partitions[number]);
        let log_start = partition.view().log_start();
        let stored = positions.find(cluster, &stream.name, partition.number, &stream.incarnation);
        let newest = positions.newest_generation(cluster, &stream.name);
        let (generation, next, began) = match (stored, newest) {
            (Some(stored), _) => (stored.key.generation, stored.next, stored.began),
            // Made anew under a name that we know: all of it is new to us.
            (None, Some((generation, incarnation))) => {
                let generation = generation + u32::from(incarnation != stream.incarnation);
                (generation, log_start, Began::Beginning)
            }
            // Made after we began: all of it is new to us as well.
            (None, None) if self.settled => (0, log_start, Began::Beginning),
            (None, None) => {
                let (next, began) = self.first(&partition, spec.start, at);
                (0, next, began)
            }
        };
        let key = Arc::new(SourceKey {
            cluster: Arc::clone(cluster),
            stream: Arc::clone(&stream.name),
            generation,
            partition: partition.number,
        });
        let incarnation = stream.incarnation.clone();
        let (source, role) = (Arc::clone(&key), spec.role);
        let open = SourceOpen { source, incarnation, next, log_start, began, role, append_time: true, at };
        self.send(Input::Open(open))?;
        Ok(Source::new(key, stream.incarnation.clone(), partition, next, decoder, at))
    }

    /// The first position at first sight.
    fn first(&self, partition: &Arc<super::partition::Partition>, start: Start, at: Timestamp) -> (u64, Began) {
        let (log_start, end) = {
            let view = partition.view();
            (view.log_start(), view.end)
        };
        let (next, since) = match start {
            Start::Earliest => (log_start, at),
            Start::Latest => (end, at),
            Start::At(time) => {
                let found = super::cursor::Cursor::new(Arc::clone(partition), log_start).find(time);
                // What cannot be searched is read from its beginning; reading then says what is wrong.
                (found.unwrap_or(log_start), time)
            }
        };
        (next, if next == log_start { Began::Beginning } else { Began::Middle(since) })
    }

    /// One batch of the source whose unread records are the oldest. False where nothing is unread.
    fn read_once(&mut self) -> Result<bool, HungUp> {
        let now = (self.context.now)();
        self.start(now);
        let ready = self.sources.iter_mut().filter(|s| s.started && now >= s.retry_at && s.unread());
        let Some(source) = ready.min_by_key(|s| s.frontier) else { return Ok(false) };
        let stuck = source.read_batch(&self.context)?;
        if let Some(reason) = stuck {
            source.retry_at = now.plus(RETRY);
            source.tell(SourceState::Unreachable(reason), &self.context)?;
        }
        Ok(true)
    }

    /// Starts the sources whose first position is durable. They start together: were one read to its end while
    /// another of its flow waits, the flow's watermark would run ahead of what is still to come.
    fn start(&mut self, now: Timestamp) {
        let positions = &self.context.positions;
        for source in self.sources.iter_mut().filter(|s| !s.durable) {
            let key = &source.key;
            source.durable =
                positions.borrow().find(&key.cluster, &key.stream, key.partition, &source.incarnation).is_some();
        }
        if !self.sources.iter().any(|s| !s.durable && now.since(s.opened_at) < TOGETHER) {
            self.sources.iter_mut().for_each(|s| s.started |= s.durable);
        }
    }

    /// Confirms the ends that are due: those just reached, and all others now and then.
    fn confirm(&mut self) -> Result<(), HungUp> {
        let now = (self.context.now)();
        let mut told = false;
        for source in self.sources.iter_mut().filter(|s| s.started && now >= s.retry_at) {
            if source.reached || now.since(source.confirmed_at) >= CONFIRM || now < source.confirmed_at {
                source.confirm(&self.context)?;
                told = true;
            }
        }
        if told || self.health.last_seen.is_none_or(|seen| now.since(seen) >= CONFIRM) {
            self.tell_health();
        }
        Ok(())
    }

    fn tell_health(&mut self) {
        let now = (self.context.now)();
        let missing = self.wanted.iter().filter_map(|w| match &w.spec.name {
            StreamName::Exact(name) if !self.known.iter().any(|k| **k == **name) => Some(name.as_str()),
            _ => None,
        });
        let mut detail: Vec<String> =
            missing.map(|name| format!("stream {name} is not there yet: it is made by its first event")).collect();
        detail.extend(self.sources.iter().filter_map(Source::trouble));
        self.health.detail = detail.join("; ");
        self.health.up = Some(true);
        self.health.since.get_or_insert(now);
        self.health.last_seen = Some(now);
        self.context.health.send_replace(self.health.clone());
    }

    fn send(&self, input: Input) -> Result<(), HungUp> {
        self.context.out.send(input).map_err(|_| HungUp)
    }
}
