//! Acknowledged appends: every replica in sync has the record before the answer is given.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::{ClientConfig, FromClientConfigAndContext as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use tokio::time::Instant;

use super::client::{Events, KafkaConfig};
use crate::broker::{Appended, Boxed, NewRecord, Write, WriteError};

/// A record that is not acknowledged by then is given back to the caller.
const ACKNOWLEDGE: Duration = Duration::from_secs(10);
/// Pause before a full queue is tried again.
const QUEUE_FULL: Duration = Duration::from_millis(5);
/// Time to make a topic.
const CREATE: Duration = Duration::from_secs(10);

type Sender = FutureProducer<Events>;

/// Appends to the streams of one Kafka cluster. Makes no topics, unless the cluster does so by itself.
pub struct KafkaWrite {
    config: KafkaConfig,
    /// Replaced after a fatal error, of which no producer recovers.
    producer: Mutex<Sender>,
    events: Events,
}

impl KafkaWrite {
    /// A writer to the cluster that `config` reaches. Does not wait for the cluster.
    ///
    /// # Errors
    /// A configuration that cannot work, in words for an operator.
    pub fn new(config: KafkaConfig) -> Result<Self, String> {
        config.check()?;
        let events = Events::default();
        let producer = Mutex::new(producer(&config, &events)?);
        Ok(Self { config, producer, events })
    }

    /// Makes a topic where there is none of this name; the broker's defaults hold for all but the partitions.
    ///
    /// # Errors
    /// [`WriteError::Refused`] without the right to, [`WriteError::Unavailable`] without an answer.
    pub async fn ensure_stream(&self, name: &str, partitions: u32) -> Result<(), WriteError> {
        let (config, name) = (self.config.producer(ACKNOWLEDGE), name.to_owned());
        let partitions = i32::try_from(partitions).map_err(|_| WriteError::Refused("too many partitions".into()))?;
        let runtime = tokio::runtime::Handle::current();
        // The admin client ends by joining its thread: not on a thread that serves others.
        let make = move || {
            let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(-1));
            runtime.block_on(create(&config, &topic))
        };
        tokio::task::spawn_blocking(make).await.map_err(|error| WriteError::Unavailable(error.to_string()))?
    }

    /// Makes a compacted topic of one partition where there is none of this name. Blocking; not within a runtime.
    ///
    /// # Errors
    /// As [`Self::ensure_stream`].
    pub fn ensure_compacted(&self, name: &str) -> Result<(), WriteError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| WriteError::Unavailable(error.to_string()))?;
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(-1)).set("cleanup.policy", "compact");
        runtime.block_on(create(&self.config.producer(ACKNOWLEDGE), &topic))
    }

    fn producer(&self) -> Sender {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn send(&self, stream: &str, records: Vec<NewRecord>) -> Result<Vec<Appended>, WriteError> {
        let producer = self.producer();
        let deadline = Instant::now() + ACKNOWLEDGE;
        let mut waiting = Vec::with_capacity(records.len());
        for record in &records {
            let mut future_record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(stream);
            (future_record.key, future_record.payload) = (record.key.as_deref(), record.payload.as_deref());
            future_record.timestamp = record.record_time.map(|time| time.0.div_euclid(1_000));
            if !record.headers.is_empty() {
                let headers = OwnedHeaders::new_with_capacity(record.headers.len());
                future_record.headers = Some(
                    record
                        .headers
                        .iter()
                        .fold(headers, |all, (key, value)| all.insert(Header { key, value: Some(value.as_slice()) })),
                );
            }
            loop {
                match producer.send_result(future_record) {
                    Ok(delivery) => break waiting.push(delivery),
                    Err((KafkaError::MessageProduction(Code::QueueFull), again)) if Instant::now() < deadline => {
                        future_record = again;
                        tokio::time::sleep(QUEUE_FULL).await;
                    }
                    Err((error, _)) => return Err(self.failed(stream, &error)),
                }
            }
        }
        let mut appended = Vec::with_capacity(waiting.len());
        for delivery in waiting {
            match delivery.await {
                Ok(Ok(at)) => appended.push(Appended {
                    stream: stream.to_owned(),
                    partition: u32::try_from(at.partition).unwrap_or(0),
                    position: u64::try_from(at.offset).unwrap_or(0),
                }),
                Ok(Err((error, _))) => return Err(self.failed(stream, &error)),
                Err(_) => return Err(WriteError::Unavailable("the producer was replaced".into())),
            }
        }
        Ok(appended)
    }

    fn failed(&self, stream: &str, error: &KafkaError) -> WriteError {
        let mut held = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if held.client().fatal_error().is_some() {
            match producer(&self.config, &self.events) {
                Ok(new) => *held = new,
                Err(words) => tracing::error!(words, "no new producer"),
            }
        }
        drop(held);
        let code = error.rdkafka_error_code();
        if matches!(code, Some(Code::UnknownTopic | Code::UnknownTopicOrPartition)) {
            return WriteError::Refused(format!("there is no topic {stream}, and this cluster makes none by itself"));
        }
        let words = self.events.last_words();
        match (mapped(error), words) {
            (WriteError::Unavailable(what), Some(words)) => WriteError::Unavailable(format!("{what}: {words}")),
            (error, _) => error,
        }
    }
}

impl Write for KafkaWrite {
    fn append<'a>(&'a self, stream: &'a str, records: Vec<NewRecord>) -> Boxed<'a, Result<Vec<Appended>, WriteError>> {
        Box::pin(self.send(stream, records))
    }
}

/// Makes a topic; one that is there already is left as it is.
async fn create(config: &ClientConfig, topic: &NewTopic<'_>) -> Result<(), WriteError> {
    let admin = AdminClient::from_config_and_context(config, Events::default()).map_err(|e| mapped(&e))?;
    let options = AdminOptions::new().request_timeout(Some(CREATE)).operation_timeout(Some(CREATE));
    let made = admin.create_topics([topic], &options).await.map_err(|e| mapped(&e))?;
    match made.into_iter().next() {
        Some(Err((_, Code::TopicAlreadyExists))) | Some(Ok(_)) | None => Ok(()),
        Some(Err((topic, code))) => Err(judged(code, format!("topic {topic}: {code}"))),
    }
}

fn producer(config: &KafkaConfig, events: &Events) -> Result<Sender, String> {
    let config = config.producer(ACKNOWLEDGE);
    Sender::from_config_and_context(&config, events.clone()).map_err(|error| error.to_string())
}

fn mapped(error: &KafkaError) -> WriteError {
    match error.rdkafka_error_code() {
        Some(code) => judged(code, code.to_string()),
        None => WriteError::Unavailable(error.to_string()),
    }
}

/// Whether sending the same record again later can succeed.
fn judged(code: Code, words: String) -> WriteError {
    if refused(code) { WriteError::Refused(words) } else { WriteError::Unavailable(words) }
}

/// True where no repeat can mend it.
pub(super) fn refused(code: Code) -> bool {
    matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::InvalidArgument
            | Code::InvalidTopic
            | Code::InvalidPartitions
            | Code::PolicyViolation
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::SaslAuthenticationFailed
            | Code::Authentication
            | Code::GroupAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::InvalidGroupId
            | Code::InvalidTransactionTimeout
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::UnsupportedForMessageFormat
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_repeat_can_mend_is_refused_all_else_is_unavailable() {
        let refused = [Code::MessageSizeTooLarge, Code::TopicAuthorizationFailed, Code::UnknownTopicOrPartition];
        for code in refused {
            assert!(matches!(judged(code, String::new()), WriteError::Refused(_)), "{code:?}");
        }
        for code in [Code::MessageTimedOut, Code::NotEnoughReplicas, Code::BrokerTransportFailure, Code::QueueFull] {
            assert!(matches!(judged(code, String::new()), WriteError::Unavailable(_)), "{code:?}");
        }
    }
}
