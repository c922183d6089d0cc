//! Positions by time, and the few records that are read: with a client that assigns by hand, commits nothing, and
//! goes some time after the last question.

use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::KafkaObserve;
use super::facts::c_name;
use super::link::{Kind, left};
use super::logs::CHUNK;
use crate::broker::kafka::client::KafkaConfig;
use crate::broker::kafka::ffi::{self, Answer, BEGIN, Client, Code, END, Queue, Room};
use crate::broker::kafka::inspect::raw;
use crate::broker::{Stop, Stretch};
use crate::model::{TimeQuestion, TimedPosition, Timestamp};

/// Partitions read at once; further ones are read afterwards.
const AT_ONCE: usize = 2_000;
/// Longest wait for one message.
const POLL: Duration = Duration::from_millis(5);
/// Messages taken at once.
const ROOM: usize = 64;
/// A client is let go when nothing was read with it for this long: it holds megabytes and a connection per broker.
const IDLE: Duration = Duration::from_secs(60);
/// How many times more partitions than are read a kept client may be made for.
const ROOMY: usize = 8;

/// A partition and a position in librdkafka's terms.
type Place = (Arc<CStr>, i32, i64);

/// What one reading client has of one partition.
struct Reading {
    number: usize,
    partition: i32,
    queue: Queue,
}

/// The client that records were read with, kept for the next question: a new one takes connections and threads.
#[derive(Default)]
pub(super) struct Kept(Option<Held>);

struct Held {
    client: Client,
    /// Partitions that its bounds were made for.
    capacity: usize,
    used: Instant,
}

impl Kept {
    /// A client whose bounds are not made for fewer partitions, nor for so many that each would crawl.
    fn client(&mut self, config: &KafkaConfig, partitions: usize) -> Result<Client, String> {
        let wanted = partitions.max(1);
        if let Some(held) = self.0.as_mut().filter(|held| (wanted..=wanted * ROOMY).contains(&held.capacity)) {
            held.used = Instant::now();
            return Ok(Arc::clone(&held.client));
        }
        self.0 = None; // never two at a time
        let capacity = wanted.next_power_of_two();
        let client = config.reader(capacity, u64::from(std::process::id()))?;
        self.0 = Some(Held { client: Arc::clone(&client), capacity, used: Instant::now() });
        Ok(client)
    }

    /// Lets go of a client that nobody needed lately.
    pub(super) fn rest(&mut self) {
        self.0.take_if(|held| held.used.elapsed() >= IDLE);
    }

    /// Lets go of it now: it has learned of too many topics.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

/// A client that fetches from these places on.
struct Readings {
    client: Client,
    open: Vec<Reading>,
    assigned: Vec<(Arc<CStr>, i32)>,
}

impl Drop for Readings {
    fn drop(&mut self) {
        self.open.clear();
        if let Err(fault) = ffi::unassign(&self.client, &self.assigned) {
            tracing::debug!(fault.words, "partitions that were looked into");
        }
    }
}

impl Readings {
    fn open(client: Client, places: &[(usize, Place)]) -> Result<Self, String> {
        let mut open = Vec::with_capacity(places.len());
        for (number, (topic, partition, _)) in places {
            let queue = Queue::of_partition(&client, topic, *partition, Box::new(|| ()));
            open.extend(queue.map(|queue| Reading { number: *number, partition: *partition, queue }));
        }
        let from: Vec<_> = places.iter().map(|(_, (topic, p, from))| (Arc::clone(topic), *p, *from, -1)).collect();
        let assigned = from.iter().map(|(topic, partition, ..)| (Arc::clone(topic), *partition)).collect();
        let readings = Self { client, open, assigned };
        ffi::assign(&readings.client, &from).map_err(|fault| fault.words)?;
        Ok(readings)
    }

    /// Hands every message to `take` until it has enough of each partition; `false` ends a partition.
    fn read(mut self, until: Instant, stop: &Stop, mut take: impl FnMut(usize, i32, ffi::Message<'_>) -> bool) {
        let mut room = Room::new(ROOM);
        while !self.open.is_empty() && !stop.is_set() && Instant::now() < until {
            drop(rdkafka::consumer::BaseConsumer::poll(&self.client, POLL));
            self.open.retain(|reading| {
                let messages = reading.queue.take(&mut room);
                messages.iter().all(|message| take(reading.number, reading.partition, message))
            });
        }
    }
}

impl KafkaObserve {
    /// The first record that is not older, for each question.
    pub(super) fn at_times(&mut self, questions: &[TimeQuestion], until: Instant) -> Vec<Option<TimedPosition>> {
        let mut answers = vec![None; questions.len()];
        let places: Vec<(usize, Place)> = (0..)
            .zip(questions)
            .filter_map(|(number, q)| {
                let millis = q.time.plus(999).0.div_euclid(1_000); // not before: brokers know no less than a millisecond
                Some((number, (c_name(&q.stream)?, i32::try_from(q.partition).ok()?, millis.max(0))))
            })
            .collect();
        self.ask(&places, Kind::Time, until, |number, position, time| {
            if let (Ok(position), true) = (u64::try_from(position), time >= 0) {
                answers[number] = Some(TimedPosition { position, time: Timestamp::from_millis(time) });
            }
        });
        answers
    }

    /// Asks where places stand; each answer with the place's number, a position and a time in ms.
    fn ask(&mut self, places: &[(usize, Place)], kind: Kind, until: Instant, mut take: impl FnMut(usize, i64, i64)) {
        let Ok(link) = self.link() else { return };
        link.begin();
        // A question names no partition twice: the same one at another time goes into the next round.
        let mut places: Vec<&(usize, Place)> = places.iter().collect();
        places.sort_by(|a, b| (&a.1.0, a.1.1, a.1.2).cmp(&(&b.1.0, b.1.1, b.1.2)));
        let mut rounds: Vec<Vec<&(usize, Place)>> = Vec::new();
        let mut depth = 0;
        for (at, place) in places.iter().enumerate() {
            let again =
                at.checked_sub(1).map(|b| places[b]).is_some_and(|b| (&b.1.0, b.1.1) == (&place.1.0, place.1.1));
            depth = if again { depth + 1 } else { 0 };
            if rounds.len() <= depth {
                rounds.push(Vec::new());
            }
            rounds[depth].push(place);
        }
        let chunks: Vec<&[&(usize, Place)]> = rounds.iter().flat_map(|round| round.chunks(CHUNK)).collect();
        for (index, chunk) in chunks.iter().enumerate() {
            let of: Vec<Place> = chunk.iter().map(|(_, place)| place.clone()).collect();
            link.queue.ask_offsets(&of, left(until), link.token(kind, index));
        }
        link.gather(chunks.len(), until, |_, index, answer| {
            let (Answer::Offsets(Ok(offsets)), Some(chunk)) = (answer, chunks.get(index)) else { return };
            for of in offsets {
                let found = chunk.binary_search_by(|(_, (topic, partition, _))| {
                    (topic.to_bytes(), *partition).cmp(&(of.topic.as_bytes(), of.partition))
                });
                if let (Ok(at), Ok(position)) = (found, of.offset) {
                    take(chunk[at].0, position, of.time);
                }
            }
        });
    }

    /// Where the first record at or behind each place can be, and where the committed ones end.
    fn bounds(&mut self, places: &[(usize, Place)], until: Instant) -> Vec<Option<(i64, i64)>> {
        let most = places.iter().map(|(number, _)| number + 1).max().unwrap_or(0);
        let mut bounds = vec![(None, None); most];
        for what in [BEGIN, END] {
            let places: Vec<_> = places.iter().map(|(n, (topic, p, _))| (*n, (Arc::clone(topic), *p, what))).collect();
            self.ask(&places, if what == BEGIN { Kind::Begin } else { Kind::Stable }, until, |number, position, _| {
                let of = &mut bounds[number];
                *(if what == BEGIN { &mut of.0 } else { &mut of.1 }) = Some(position);
            });
        }
        bounds.into_iter().map(|(begin, end)| Some((begin?, end?))).collect()
    }

    /// The first record at or behind each place.
    pub(super) fn peek_first(
        &mut self,
        at: &[(Arc<str>, u32, u64)],
        until: Instant,
    ) -> Vec<Option<Option<TimedPosition>>> {
        let mut answers = vec![None; at.len()];
        let mut places: Vec<(usize, Place)> = (0..)
            .zip(at)
            .filter_map(|(number, (stream, partition, from))| {
                Some((number, (c_name(stream)?, i32::try_from(*partition).ok()?, i64::try_from(*from).ok()?)))
            })
            .collect();
        let bounds = self.bounds(&places, until);
        places.retain_mut(|(number, (_, _, from))| {
            let Some((begin, end)) = bounds[*number] else { return false };
            *from = begin.max(*from);
            if *from >= end {
                answers[*number] = Some(None);
            }
            *from < end
        });
        places.sort_by(|a, b| (&a.1.0, a.1.1, a.1.2).cmp(&(&b.1.0, b.1.1, b.1.2)));
        // One client reads a partition from one position: further positions of it are further rounds.
        let (mut first, mut same) = (Vec::new(), Vec::new());
        for (number, place) in places {
            match first.last() {
                Some((of, last)) if *last == place => same.push((number, *of)),
                _ => first.push((number, place)),
            }
        }
        while !first.is_empty() && !self.stop.is_set() && Instant::now() < until {
            let mut again = Vec::new();
            let mut round: Vec<(usize, Place)> = Vec::new();
            for (number, place) in first {
                let taken = round.last().is_some_and(|(_, last)| (&last.0, last.1) == (&place.0, place.1));
                if taken || round.len() >= AT_ONCE { &mut again } else { &mut round }.push((number, place));
            }
            if let Err(words) = self.read_first(&round, until, &mut answers) {
                tracing::debug!(words, "records at committed positions");
                break;
            }
            first = again;
        }
        for (number, of) in same {
            answers[number] = answers[of];
        }
        answers
    }

    fn read_first(
        &mut self,
        places: &[(usize, Place)],
        until: Instant,
        answers: &mut [Option<Option<TimedPosition>>],
    ) -> Result<(), String> {
        let client = self.kept.client(&self.config, places.len())?;
        Readings::open(client, places)?.read(until, &self.stop, |number, _, message| {
            match message.fault() {
                None => {
                    let time = message.millis().map(Timestamp::from_millis);
                    let position = u64::try_from(message.offset()).ok();
                    answers[number] = position.zip(time).map(|(position, time)| Some(TimedPosition { position, time }));
                }
                Some(fault) if fault.code == Code::PartitionEOF => answers[number] = Some(None),
                Some(fault) => tracing::debug!(fault.words, "record at a committed position"),
            }
            false
        });
        Ok(())
    }

    /// Records of one partition.
    pub(super) fn peek(
        &mut self,
        stream: &str,
        partition: u32,
        from: u64,
        (count, bytes): (usize, usize),
        until: Instant,
    ) -> Result<Stretch, String> {
        let wrong = |words: &str| format!("stream {stream}, partition {partition}: {words}");
        let topic = c_name(stream).ok_or_else(|| wrong("a name has no NUL"))?;
        let number = i32::try_from(partition).map_err(|_| wrong("no such partition"))?;
        let from = i64::try_from(from).map_err(|_| wrong("no such position"))?;
        let mut places = [(0, (topic, number, from))];
        let Some((begin, end)) = self.bounds(&places, until).pop().flatten() else {
            let words = self.link.as_ref().and_then(super::Link::last_words);
            return Err(wrong(&words.unwrap_or_else(|| "no answer in time".to_owned())));
        };
        let from = from.max(begin);
        let mut stretch = Stretch { next: u64::try_from(from).unwrap_or(0), ..Stretch::default() };
        if from >= end || count == 0 {
            stretch.at_end = from >= end;
            return Ok(stretch);
        }
        places[0].1.2 = from;
        let (mut left, mut refused) = (bytes, None);
        let client = self.kept.client(&self.config, places.len()).map_err(|words| wrong(&words))?;
        Readings::open(client, &places).map_err(|words| wrong(&words))?.read(until, &self.stop, |_, _, message| {
            match message.fault() {
                None => {
                    let record = raw(stream, number, message, usize::MAX);
                    let size = record.payload.as_ref().map_or(0, Vec::len) + record.key.as_ref().map_or(0, Vec::len);
                    stretch.next = record.at.2 + 1;
                    stretch.records.push(record);
                    left = left.saturating_sub(size);
                    stretch.records.len() < count && left > 0
                }
                Some(fault) if fault.code == Code::PartitionEOF => {
                    stretch.next = stretch.next.max(u64::try_from(message.offset()).unwrap_or(0));
                    stretch.at_end = true;
                    false
                }
                Some(fault) => {
                    refused = Some(fault.words);
                    false
                }
            }
        });
        match refused {
            Some(words) if stretch.records.is_empty() => Err(wrong(&words)),
            None if stretch.records.is_empty() && !stretch.at_end => Err(wrong("no answer in time")),
            _ => Ok(stretch),
        }
    }
}
