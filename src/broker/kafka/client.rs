//! Clients: the settings that our promises rest on, and the user's own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaConfRes;

use super::ffi::Client;
use super::property::OUR_PROPERTIES;

/// How to reach one Kafka cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:port`, several separated by commas.
    pub bootstrap_servers: String,
    /// `[cluster.properties]`: handed to librdkafka as they are.
    pub properties: BTreeMap<String, String>,
}

/// Bytes of fetched records held at once, over all partitions, after decompression; overshot by a fetch each.
const QUEUED_BYTES: u32 = 6 << 20;
/// Records held at once, over all partitions: librdkafka takes about 400 bytes beside each. 20 ms of work at full speed.
const QUEUED_RECORDS: u32 = 12_000;
/// Bytes on the wire that one fetch brings, over all partitions: they grow when decompressed. A single larger
/// record still comes, alone.
const FETCHED_BYTES: u32 = 1 << 20;
/// Least and most of it for one partition: a record batch of a small producer; what a round trip of 5 ms should bring.
const FETCHED_EACH: (u32, u32) = (4 << 10, 256 << 10);

impl KafkaConfig {
    /// Refuses properties that would break a promise, and those that librdkafka does not know.
    ///
    /// # Errors
    /// In words for an operator: the property, why, and what to do.
    pub fn check(&self) -> Result<(), String> {
        if self.bootstrap_servers.trim().is_empty() {
            return Err("bootstrap_servers is empty: say host:port".to_owned());
        }
        for (name, why) in OUR_PROPERTIES {
            if self.properties.contains_key(name) {
                return Err(format!("property {name:?} cannot be set: {why}"));
            }
        }
        self.base().create_native_config().map(drop).map_err(|error| without_value(&error))
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "streamgauge");
        // A broker that hangs is noticed and left after 10 s, one that is back is found within 1 s.
        config.set("socket.timeout.ms", "10000").set("reconnect.backoff.max.ms", "1000");
        config.set("topic.metadata.refresh.interval.ms", "60000");
        config.set("socket.nagle.disable", "true");
        config.set("enable.metrics.push", "false"); // brokers may ask clients for their metrics: we are no client of theirs
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", self.bootstrap_servers.trim());
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// A client that reads up to `partitions` partitions within the bounds above.
    ///
    /// librdkafka applies its bounds to each partition queue, so each gets its part of the whole.
    pub(super) fn reader(&self, partitions: usize, unique: u64) -> Result<Client, String> {
        let share = u32::try_from(partitions).unwrap_or(u32::MAX).max(1);
        let mut config = self.base();
        // librdkafka needs a group's name to assign by hand; nothing joins it and nothing is committed to it.
        config.set("group.id", format!("streamgauge-observer-{unique:016x}"));
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config.set("isolation.level", "read_committed").set("auto.offset.reset", "error");
        config.set("enable.partition.eof", "true").set("allow.auto.create.topics", "false");
        for (name, value) in [
            ("fetch.queue.backoff.ms", 10), // the default of 1 s stalls catch-up as soon as we are the slower side
            ("fetch.wait.max.ms", 200),     // also how late the end is confirmed after the last record
            ("fetch.max.bytes", FETCHED_BYTES),
            ("fetch.message.max.bytes", (FETCHED_BYTES / share).clamp(FETCHED_EACH.0, FETCHED_EACH.1)),
            ("queued.min.messages", (QUEUED_RECORDS / share).max(16)),
            ("queued.max.messages.kbytes", (QUEUED_BYTES / 1024 / share).max(1)),
        ] {
            if !self.properties.contains_key(name) {
                config.set(name, value.to_string());
            }
        }
        config.create_with_context(Events::default()).map(Arc::new).map_err(|error| without_value(&error))
    }

    /// The settings of a client that commits for a group without joining it.
    pub(super) fn committer(&self, group: &str, client: &str) -> ClientConfig {
        let mut config = self.base();
        config.set("group.id", group).set("client.id", client).set("enable.auto.commit", "false");
        config
    }

    /// A client that only asks questions.
    ///
    /// It needs a group's name all the same, which nothing joins and nothing is committed to: librdkafka tells its own
    /// group when a coordinator has moved, also when the question was about somebody else's, and dies (SIGSEGV) when it
    /// has none (librdkafka issue 5040).
    pub(super) fn watcher(&self) -> Result<Client, String> {
        let mut config = self.base();
        config.set("group.id", "streamgauge-observer").set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false").set("allow.auto.create.topics", "false");
        config.create_with_context(Events::default()).map(Arc::new).map_err(|error| without_value(&error))
    }

    /// A client that reads what a group of that name committed; it joins nothing.
    pub(super) fn group(&self, name: &str) -> Result<Client, String> {
        let mut config = self.base();
        config.set("group.id", name).set("allow.auto.create.topics", "false");
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config.set("isolation.level", "read_committed"); // positions of a transaction that is being ended are waited for
        config.create_with_context(Events::default()).map(Arc::new).map_err(|error| without_value(&error))
    }

    /// The settings of a producer of transactions under a name.
    pub(super) fn mover(&self, name: &str, acknowledge_within: std::time::Duration, alone: bool) -> ClientConfig {
        let mut config = self.producer(acknowledge_within);
        config.set("transactional.id", name).set("transaction.timeout.ms", "60000");
        config.set("message.timeout.ms", acknowledge_within.as_millis().to_string());
        if alone {
            config.set("batch.num.messages", "1");
        }
        config
    }

    /// Batches travel compressed: how large one will be is not known before.
    pub(super) fn compresses(&self) -> bool {
        ["compression.type", "compression.codec"]
            .iter()
            .any(|name| self.properties.get(*name).is_some_and(|value| value != "none"))
    }

    /// The settings of a producer: every replica, in order, once.
    pub(super) fn producer(&self, acknowledge_within: std::time::Duration) -> ClientConfig {
        let mut config = self.base();
        config.set("acks", "all").set("enable.idempotence", "true");
        let within = acknowledge_within.as_millis().to_string();
        for (name, value) in [
            ("message.timeout.ms", within.as_str()),
            ("topic.metadata.propagation.max.ms", "5000"),
            ("linger.ms", "2"),
            ("partitioner", "murmur2_random"), // as Java producers place keys
            ("queue.buffering.max.kbytes", "32768"),
            ("message.max.bytes", "16000000"), // the broker's own limit refuses; ours must not be the lower one
        ] {
            if !self.properties.contains_key(name) {
                config.set(name, value);
            }
        }
        config
    }
}

/// Why there is no client. Values are left out: what is said under a name that was mistyped may be a secret.
pub(super) fn without_value(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
            format!("there is no property {name:?}")
        }
        KafkaError::ClientConfig(_, _, name, _) => format!("property {name:?} does not take its value"),
        error => error.to_string(),
    }
}

/// What a client says on its own: kept for the operator, logged, never printed. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Events(Arc<Said>);

#[derive(Default)]
struct Said {
    words: Mutex<Option<String>>,
    all_down: AtomicBool,
}

impl Events {
    /// The last error in the client's words.
    pub(super) fn last_words(&self) -> Option<String> {
        self.0.words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True once after the client lost all brokers.
    pub(super) fn take_all_down(&self) -> bool {
        self.0.all_down.swap(false, Ordering::AcqRel)
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::debug!(facility, message, "kafka client"),
            _ => tracing::trace!(facility, message, "kafka client"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // Said of the group that we never join, by clusters that give us no right on it.
            Some(RDKafkaErrorCode::GroupAuthorizationFailed) => return,
            Some(RDKafkaErrorCode::AllBrokersDown) => self.0.all_down.store(true, Ordering::Release),
            _ => *self.0.words.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned()),
        }
        tracing::debug!(%error, reason, "kafka client");
    }
}

impl ConsumerContext for Events {}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> KafkaConfig {
        KafkaConfig {
            bootstrap_servers: "127.0.0.1:1".into(),
            properties: [(name.to_owned(), value.to_owned())].into(),
        }
    }

    #[test]
    fn a_property_that_would_break_a_promise_is_refused_with_its_name() {
        for (name, why) in OUR_PROPERTIES {
            let error = with(name, "x").check().unwrap_err();
            assert!(error.contains(name) && error.contains(why), "{error}");
        }
        assert!(KafkaConfig::default().check().unwrap_err().contains("bootstrap_servers"));
    }

    #[test]
    fn a_property_that_is_refused_is_named_without_its_value() {
        for (name, what) in [("sasl.psswrd", "there is no property"), ("security.protocol", "does not take its value")]
        {
            let error = with(name, "hunter2").check().unwrap_err();
            assert!(error.contains(name) && error.contains(what) && !error.contains("hunter2"), "{error}");
        }
        assert_eq!(with("security.protocol", "plaintext").check(), Ok(()));
    }
}
