//! `__consumer_offsets` from near its end on, with a client of its own that assigns by hand, joins nothing and
//! commits nothing. Needs the right to read that topic.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::client::{Events, KafkaConfig};
use super::ffi::Client;
use crate::broker::{LoggedCommit, Tail};
use crate::model::Timestamp;

/// Where the broker writes down what groups commit.
const TOPIC: &str = "__consumer_offsets";
/// Records before the end of each partition with which reading begins: a busy group commits that often in a minute.
const BEFORE: i64 = 200;
/// Records handed out at once; the rest comes with the next call.
const RECORDS: usize = 5_000;
/// How long the partitions may take to be told.
const METADATA: Duration = Duration::from_secs(5);

/// Reads the commits of one cluster.
pub struct KafkaTail {
    config: KafkaConfig,
    client: Option<Client>,
}

impl KafkaTail {
    /// Reads this cluster. Does not wait for it.
    ///
    /// # Errors
    /// A configuration that cannot work, in words for an operator.
    pub fn new(config: KafkaConfig) -> Result<Self, String> {
        config.check()?;
        Ok(Self { config, client: None })
    }

    fn open(&self) -> Result<Client, String> {
        let asking = self.config.watcher()?;
        let known = asking.fetch_metadata(Some(TOPIC), METADATA).map_err(|error| words(&error))?;
        let topic = known.topics().iter().find(|t| t.name() == TOPIC);
        let partitions = topic.map_or(&[][..], |t| t.partitions());
        if let Some(error) = topic.and_then(MetadataTopic::error) {
            return Err(words(&KafkaError::MetadataFetch(RDKafkaErrorCode::from(error))));
        }
        if partitions.is_empty() {
            return Err(format!("there is no {TOPIC} yet: nobody has committed"));
        }
        let client = self.config.reader(partitions.len(), u64::from(std::process::id()))?;
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            let from = Offset::OffsetTail(BEFORE);
            list.add_partition_offset(TOPIC, partition.id(), from).map_err(|error| words(&error))?;
        }
        client.assign(&list).map_err(|error| words(&error))?;
        Ok(client)
    }

    fn poll(
        client: &BaseConsumer<Events>,
        wait: Duration,
        take: &mut dyn FnMut(LoggedCommit<'_>),
    ) -> Result<usize, String> {
        let (mut until, mut records) = (Instant::now() + wait, 0);
        while records < RECORDS {
            match client.poll(until.saturating_duration_since(Instant::now())) {
                Some(Ok(message)) => {
                    records += 1;
                    let time = message.timestamp().to_millis().map(Timestamp::from_millis);
                    if let Some(key) = message.key() {
                        take(LoggedCommit { key, value: message.payload(), time });
                    }
                    until = Instant::now(); // what is there already, and no more
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => return Err(words(&error)),
                // It may have been a log line.
                None if Instant::now() < until => {}
                None => break,
            }
        }
        Ok(records)
    }
}

impl Tail for KafkaTail {
    fn read(&mut self, wait: Duration, take: &mut dyn FnMut(LoggedCommit<'_>)) -> Result<usize, String> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.open()?,
        };
        let records = Self::poll(&client, wait, take)?;
        self.client = Some(client);
        Ok(records)
    }
}

fn words(error: &KafkaError) -> String {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => format!("no right to read {TOPIC}"),
        _ => format!("{TOPIC}: {error}"),
    }
}
