//! Moves letters: what is appended and how far we are become visible in one transaction, or not at all.
//!
//! The name of a mover is its transactional id and the group that keeps the progress. A second mover of that name
//! fences the first: its transaction is aborted, or finished where it was already decided, before the second one
//! learns the progress. So a mover that is killed at any moment is followed by one that begins exactly behind it.

mod said;

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Events, KafkaConfig, without_value};
use super::ffi::Client;
use super::write::refused;
use crate::broker::{Move, MoveError, NewRecord, Outgoing};
use said::{Said, is_too_large};

/// A record that is not acknowledged by then ends its step; below the time that a broker leaves a transaction open.
const ACKNOWLEDGE: Duration = Duration::from_secs(30);
/// Pause while the producer's queue is full.
const QUEUE_FULL: Duration = Duration::from_millis(5);
/// Waits for acknowledgements in pieces: a refusal ends the wait.
const PIECE: Duration = Duration::from_millis(10);
/// Least and longest wait for the abort of a step that failed. One that is not aborted hides what comes behind it in
/// its targets from readers of committed records until the broker gives it up, so it is waited for after a deadline, too.
const ABORT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));

/// Events of a client handled in one go.
const EVENTS: usize = 16;

/// A step whose end is not known: it may have been made.
struct Unsure {
    stream: String,
    progress: Vec<(u32, u64)>,
}

/// Moves letters of one Kafka cluster under one name.
pub struct KafkaMove {
    config: KafkaConfig,
    name: String,
    said: Said,
    /// Initialised; dropped after an error that needs a new one.
    producer: Option<BaseProducer<Said>>,
    /// Reads the progress; joins nothing.
    group: Option<Client>,
    unsure: Option<Unsure>,
    fenced: Option<String>,
    /// Every record travels in a batch of its own: the log refuses batches, and then it is known which record it was.
    alone: bool,
}

impl KafkaMove {
    /// A mover of this name. Does not wait for the cluster.
    ///
    /// # Errors
    /// A configuration that cannot work, in words for an operator.
    pub fn new(config: KafkaConfig, name: impl Into<String>) -> Result<Self, String> {
        config.check()?;
        let (name, said) = (name.into(), Said::default());
        Ok(Self { config, name, said, producer: None, group: None, unsure: None, fenced: None, alone: false })
    }

    fn words(&self, what: &KafkaError) -> String {
        match self.said.events.last_words() {
            Some(words) => format!("{what}: {words}"),
            None => what.to_string(),
        }
    }

    /// What an error means; the producer is given up where it is of no more use.
    fn judged(&mut self, error: &KafkaError) -> MoveError {
        let fatal = self.producer.as_ref().and_then(|p| p.client().fatal_error());
        let code = fatal.as_ref().map(|(code, _)| *code).or_else(|| error.rdkafka_error_code());
        let words = fatal.map_or_else(|| self.words(error), |(_, words)| words);
        match code {
            Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => {
                self.fenced = Some(words.clone());
                self.producer = None;
                MoveError::Fenced(words)
            }
            Some(code) if refused(code) => {
                self.producer = None; // it would go on refusing after the right was granted
                MoveError::Refused(words)
            }
            _ => MoveError::Unavailable(words),
        }
    }

    /// What an error of the client that reads the progress means.
    fn unread(&self, error: &KafkaError) -> MoveError {
        match error.rdkafka_error_code() {
            Some(code) if refused(code) => MoveError::Refused(self.words(error)),
            _ => MoveError::Unavailable(self.words(error)),
        }
    }

    /// Makes the producer and resolves whatever transaction a predecessor of the name left behind.
    fn begin(&mut self, until: Instant) -> Result<(), MoveError> {
        if let Some(words) = &self.fenced {
            return Err(MoveError::Fenced(words.clone()));
        }
        // A configuration that makes no client makes none later.
        if self.group.is_none() {
            self.group = Some(self.config.group(&self.name).map_err(MoveError::Refused)?);
        }
        if let Some(client) = &self.group {
            for _ in 0..EVENTS {
                drop(client.poll(Duration::ZERO)); // it says errors only to who listens
            }
        }
        if self.producer.is_none() {
            let config = self.config.mover(&self.name, ACKNOWLEDGE, self.alone);
            let producer: BaseProducer<Said> = config
                .create_with_context(self.said.clone())
                .map_err(|error| MoveError::Refused(without_value(&error)))?;
            let made = producer.init_transactions(left(until));
            self.producer = Some(producer);
            if let Err(error) = made {
                let judged = self.judged(&error);
                self.producer = None;
                return Err(judged);
            }
        }
        Ok(())
    }

    fn committed(&mut self, stream: &str, until: Instant) -> Result<Vec<(u32, u64)>, MoveError> {
        let Some(group) = &self.group else { return Err(MoveError::Unavailable("no client".to_owned())) };
        let metadata = group.fetch_metadata(Some(stream), left(until)).map_err(|error| self.unread(&error))?;
        let topic = metadata.topics().iter().find(|t| t.name() == stream);
        let fault = topic.and_then(MetadataTopic::error).map(Code::from);
        if let Some(code) = fault.filter(|code| !refused(*code)) {
            return Err(MoveError::Unavailable(format!("stream {stream}: {code}"))); // it has no leader at the moment
        }
        let Some(topic) = topic.filter(|t| fault.is_none() && !t.partitions().is_empty()) else {
            let why = fault.filter(|code| *code == Code::TopicAuthorizationFailed);
            let what =
                why.map_or_else(|| format!("no such stream: {stream}"), |code| format!("stream {stream}: {code}"));
            return Err(MoveError::Refused(what));
        };
        let mut asked = TopicPartitionList::new();
        for partition in topic.partitions() {
            asked.add_partition(stream, partition.id());
        }
        let committed = group.committed_offsets(asked, left(until)).map_err(|error| self.unread(&error))?;
        let mut progress = Vec::new();
        for element in committed.elements() {
            element.error().map_err(|error| self.unread(&error))?;
            if let (Ok(partition), Offset::Offset(next)) = (u32::try_from(element.partition()), element.offset()) {
                progress.push((partition, u64::try_from(next).unwrap_or(0)));
            }
        }
        Ok(progress)
    }

    /// Settles a step whose end was not known: true where it was made and is asked for again.
    fn settle(&mut self, stream: &str, progress: &[(u32, u64)], until: Instant) -> Result<bool, MoveError> {
        let Some(of) = &self.unsure else { return Ok(false) };
        let same = of.stream == stream && of.progress == progress;
        let name = of.stream.clone();
        let now = self.committed(&name, until)?;
        let Some(of) = self.unsure.take() else { return Ok(false) };
        let made = of.progress.iter().all(|at| now.contains(at));
        Ok(same && made && !progress.is_empty())
    }

    /// Everything of a step up to its commit; on an error nothing of it will be seen.
    fn prepare(
        &mut self,
        stream: &str,
        out: &[Outgoing],
        progress: &TopicPartitionList,
        until: Instant,
    ) -> Result<(), KafkaError> {
        let canceled = || KafkaError::Canceled;
        let (producer, group) =
            (self.producer.as_ref().ok_or_else(canceled)?, self.group.as_ref().ok_or_else(canceled)?);
        self.said.take();
        producer.begin_transaction()?;
        for (place, of) in out.iter().enumerate() {
            let mut record = record(of, place);
            while let Err((error, again)) = producer.send(record) {
                if let Some(code) = error.rdkafka_error_code().filter(|code| is_too_large(*code)) {
                    self.said.refuse(code, place);
                }
                if error.rdkafka_error_code() != Some(Code::QueueFull) || Instant::now() >= until {
                    return Err(error);
                }
                record = again;
                producer.poll(QUEUE_FULL);
            }
            producer.poll(Duration::ZERO);
        }
        // Every record is acknowledged or refused before the positions are sent: the reason of a refusal is known.
        while let Err(error) = producer.flush(PIECE) {
            // What is left of a transaction that failed is not sent any more: waiting for it would be in vain.
            if self.said.code().is_some() {
                break;
            }
            if Instant::now() >= until {
                return Err(error);
            }
        }
        if let Some(code) = self.said.code().filter(|code| refused(*code) || is_too_large(*code)) {
            return Err(KafkaError::MessageProduction(code));
        }
        // A transaction that failed otherwise says why as soon as more is asked of it.
        let metadata = group.group_metadata().ok_or_else(canceled)?;
        tracing::trace!(stream, records = out.len(), "redrive");
        producer.send_offsets_to_transaction(progress, &metadata, left(until))
    }

    /// Ends a step that failed before its commit.
    fn abort(&mut self, error: &KafkaError, until: Instant) -> MoveError {
        let until = Instant::now() + left(until).clamp(ABORT.0, ABORT.1);
        let aborted = self.producer.as_ref().map(|producer| {
            // The library aborts once every record is reported, and reports only to who listens.
            producer.purge(PurgeConfig::default().queue());
            while producer.flush(PIECE).is_err() && Instant::now() < until {}
            loop {
                match producer.abort_transaction(left(until)) {
                    Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < until => {}
                    aborted => return aborted,
                }
            }
        });
        let failed = self.said.take();
        let judged = match failed.code {
            Some(code) if is_too_large(code) => MoveError::TooLarge(failed.too_large),
            Some(code) if refused(code) => MoveError::Refused(format!("{code}: {error}")),
            _ => self.judged(error),
        };
        if let Some(Err(error)) = aborted {
            if self.fenced.is_none() {
                tracing::warn!(%error, "a step was not aborted: until the next one, readers of committed records wait");
            }
            self.producer = None; // the next producer of the name aborts
        }
        if matches!(judged, MoveError::Refused(_))
            || self.producer.as_ref().is_some_and(|p| p.client().fatal_error().is_some())
        {
            self.producer = None; // of no more use, or not before somebody grants what is missing
        }
        judged
    }

    /// Commits. `Err(None)`: it is not known whether the transaction was committed.
    fn commit(&mut self, until: Instant) -> Result<(), Option<KafkaError>> {
        loop {
            let Some(producer) = &self.producer else { return Err(None) };
            match producer.commit_transaction(left(until)) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                    return Err(Some(KafkaError::Transaction(error)));
                }
                Err(error) if producer.client().fatal_error().is_some() => return Err(Some(error)),
                // It may be asked for again, and means the same transaction.
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < until => {}
                Err(_) => return Err(None),
            }
        }
    }
}

impl Move for KafkaMove {
    fn progress(&mut self, stream: &str, deadline: Duration) -> Result<Vec<(u32, u64)>, MoveError> {
        let until = Instant::now() + deadline;
        self.begin(until)?;
        let progress = self.committed(stream, until)?;
        self.unsure = None; // the caller goes on from what is true now
        Ok(progress)
    }

    fn step(
        &mut self,
        stream: &str,
        out: Vec<Outgoing>,
        progress: &[(u32, u64)],
        deadline: Duration,
    ) -> Result<(), MoveError> {
        let until = Instant::now() + deadline;
        self.begin(until)?;
        if self.settle(stream, progress, until)? {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for (partition, next) in progress {
            let (Ok(partition), Ok(next)) = (i32::try_from(*partition), i64::try_from(*next)) else {
                return Err(MoveError::Refused(format!("no such place: {partition}, {next}")));
            };
            let added = list.add_partition_offset(stream, partition, Offset::Offset(next));
            added.map_err(|error| MoveError::Refused(error.to_string()))?;
        }
        if let Err(error) = self.prepare(stream, &out, &list, until) {
            return match self.abort(&error, until) {
                // They shared a batch, or may have.
                MoveError::TooLarge(places) if places.len() > 1 && !self.alone => {
                    (self.alone, self.producer) = (true, None);
                    self.step(stream, out, progress, left(until))
                }
                judged => Err(judged),
            };
        }
        match self.commit(until) {
            Ok(()) => Ok(()),
            Err(Some(error)) => {
                let unsure = self.producer.as_ref().is_some_and(|p| p.client().fatal_error().is_some());
                let judged = self.abort(&error, until);
                if unsure {
                    self.unsure = Some(Unsure { stream: stream.to_owned(), progress: progress.to_vec() });
                    self.producer = None;
                }
                Err(judged)
            }
            Err(None) => {
                self.unsure = Some(Unsure { stream: stream.to_owned(), progress: progress.to_vec() });
                self.producer = None; // the next one finishes or aborts what is open, and then the progress tells
                Err(MoveError::Unavailable("the commit was not acknowledged; it may have been made".to_owned()))
            }
        }
    }
}

fn record(of: &Outgoing, place: usize) -> BaseRecord<'_, [u8], [u8], usize> {
    let NewRecord { key, payload, headers, record_time } = &of.record;
    let mut record: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(&of.stream, place);
    (record.key, record.payload) = (key.as_deref(), payload.as_deref());
    record.partition = of.partition.and_then(|p| i32::try_from(p).ok());
    record.timestamp = record_time.map(|time| time.0.div_euclid(1_000));
    if !headers.is_empty() {
        let all = OwnedHeaders::new_with_capacity(headers.len());
        let each = headers.iter();
        record.headers = Some(each.fold(all, |all, (key, value)| all.insert(Header { key, value: Some(value) })));
    }
    record
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
