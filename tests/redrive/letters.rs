//! Dead letters as Spring Kafka writes them, and a consumer of committed records: the client library's own.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use streamgauge::decode::OffsetsTopic;

const PATIENCE: Duration = Duration::from_secs(180);
/// Every so many letters one has been redriven as often as is allowed.
pub const CAPPED: u64 = 10;

/// True for letters that must not go back.
pub fn is_capped(number: u64) -> bool {
    number.is_multiple_of(CAPPED)
}

/// The class of a letter's error.
pub fn class_of(number: u64) -> &'static str {
    ["java.net.SocketTimeoutException", "java.util.concurrent.TimeoutException", "org.example.BadData"]
        [usize::try_from(number % 3).expect("small")]
}

pub fn key(number: u64) -> String {
    format!("k{}", number % 97)
}

pub fn payload(number: u64) -> Vec<u8> {
    format!(r#"{{"id":"e{number}","transaction_id":"t{number}","flow":"shop","stage":"paid"}}"#).into_bytes()
}

pub fn traceparent(number: u64) -> String {
    format!("00-{:032x}-{:016x}-01", number + 1, number + 1)
}

/// A copy in the target.
#[derive(Clone, Debug)]
pub struct Copy {
    pub number: u64,
    pub key: String,
    pub payload: Vec<u8>,
    pub headers: BTreeMap<String, String>,
}

/// The other side of the cluster.
pub struct Hand {
    admin: AdminClient<DefaultClientContext>,
    address: String,
}

impl Hand {
    pub fn new(address: &str) -> Self {
        let admin = ClientConfig::new().set("bootstrap.servers", address).create().expect("a client");
        Self { admin, address: address.to_owned() }
    }

    pub fn create(&self, topic: &str, partitions: i32) {
        self.create_with(topic, partitions, &[]);
    }

    pub fn create_with(&self, topic: &str, partitions: i32, settings: &[(&str, &str)]) {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let made = runtime.block_on(self.admin.create_topics([&new], &AdminOptions::new())).expect("topics");
        made.into_iter().for_each(|topic| drop(topic.expect("a topic")));
    }

    fn producer(&self) -> BaseProducer {
        ClientConfig::new().set("bootstrap.servers", &self.address).set("linger.ms", "5").create().expect("a producer")
    }

    fn send(producer: &BaseProducer, topic: &str, key: &str, payload: &[u8], headers: &OwnedHeaders) {
        let mut record = BaseRecord::to(topic).key(key).payload(payload).headers(headers.clone());
        while let Err((_, again)) = producer.send(record) {
            record = again;
            producer.poll(Duration::from_millis(10));
        }
    }

    /// Writes letters 0 to `count`.
    pub fn letters(&self, topic: &str, count: u64) {
        let producer = self.producer();
        for number in 0..count {
            let (trace, redrives) = (traceparent(number), if is_capped(number) { "3" } else { "0" });
            let headers = letter_headers(OwnedHeaders::new(), number)
                .insert(Header { key: "traceparent", value: Some(&trace) })
                .insert(Header { key: "x-redrive-count", value: Some(redrives) });
            Self::send(&producer, topic, &key(number), &payload(number), &headers);
        }
        producer.flush(PATIENCE).expect("acknowledged");
    }

    /// Writes letters of `topic` that failed in `of`, with payloads of these lengths that do not compress.
    pub fn noise(&self, topic: &str, of: &str, lengths: &[usize]) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address).set("message.max.bytes", "4000000");
        let producer: BaseProducer = config.create().expect("a producer");
        let mut drawn = 0x9e37_79b9_7f4a_7c15_u64;
        for (number, length) in lengths.iter().enumerate() {
            let mut payload = format!(r#"{{"id":"e{number}","noise":""#).into_bytes();
            while payload.len() + 2 < *length {
                drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                payload.push(b'A' + u8::try_from((drawn >> 33) % 26).expect("small"));
            }
            payload.extend(b"\"}");
            let headers =
                OwnedHeaders::new().insert(Header { key: "kafka_dlt-original-topic", value: Some(of.as_bytes()) });
            Self::send(&producer, topic, "k", &payload, &headers);
        }
        producer.flush(PATIENCE).expect("acknowledged");
    }

    /// Puts records back among the dead letters, as a consumer does that fails again.
    pub fn fail_again(&self, topic: &str, copies: &[Copy]) {
        let producer = self.producer();
        for copy in copies {
            let kept = copy.headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
                all.insert(Header { key, value: Some(value.as_bytes()) })
            });
            Self::send(&producer, topic, &copy.key, &copy.payload, &letter_headers(kept, copy.number));
        }
        producer.flush(PATIENCE).expect("acknowledged");
    }

    /// Everything that a reader of committed records finds in a topic, partition by partition.
    pub fn copies(&self, topic: &str) -> Vec<Copy> {
        let mut found = Vec::new();
        self.read(topic, |message| {
            let payload = message.payload().unwrap_or_default().to_vec();
            let json: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
            let headers = message.headers().into_iter().flat_map(|h| h.iter());
            found.push(Copy {
                number: json["id"].as_str().and_then(|id| id[1..].parse().ok()).expect("an id"),
                key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
                payload,
                headers: headers
                    .map(|h| (h.key.to_owned(), String::from_utf8_lossy(h.value.unwrap_or_default()).into_owned()))
                    .collect(),
            });
        });
        found
    }

    /// Positions taken in a topic, by records and by the marks of transactions.
    pub fn written(&self, topic: &str) -> u64 {
        let client = self.admin.inner();
        let metadata = client.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
        let partitions = metadata.topics()[0].partitions().iter();
        let end = |partition| client.fetch_watermarks(topic, partition, PATIENCE).expect("an end").1;
        partitions.map(|p| end(p.id()).unsigned_abs()).sum()
    }

    /// How far a reader of committed records gets, over all partitions.
    pub fn stable_end(&self, topic: &str) -> u64 {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.address)
            .set("group.id", "reader")
            .set("isolation.level", "read_committed")
            .create()
            .expect("a consumer");
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
        let partitions = metadata.topics()[0].partitions().iter();
        let end = |partition| consumer.fetch_watermarks(topic, partition, PATIENCE).expect("an end").1;
        partitions.map(|p| end(p.id()).unsigned_abs()).sum()
    }

    /// What the broker itself wrote down of commits, through our decoder.
    pub fn offsets_topic(&self) -> OffsetsTopic {
        let mut topic = OffsetsTopic::new(1_000);
        self.read("__consumer_offsets", |message| {
            topic.apply(message.key().unwrap_or_default(), message.payload(), None);
        });
        topic
    }

    /// The committed position of a group, as the broker answers it.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.address)
            .set("group.id", group)
            .create()
            .expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let found = consumer.committed_offsets(list, PATIENCE).expect("an answer");
        found.elements()[0].offset().to_raw().filter(|offset| *offset >= 0)
    }

    fn read(&self, topic: &str, mut each: impl FnMut(&BorrowedMessage<'_>)) {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.address)
            .set("group.id", "reader")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer");
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
        let partitions = metadata.topics()[0].partitions().len();
        let mut list = TopicPartitionList::new();
        for partition in 0..i32::try_from(partitions).expect("few") {
            list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
        }
        consumer.assign(&list).expect("assigned");
        let (mut ended, until) = (0, Instant::now() + PATIENCE);
        while ended < partitions {
            assert!(Instant::now() < until, "{topic} was not read to its end");
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => each(&message),
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ended += 1,
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
    }
}

fn letter_headers(headers: OwnedHeaders, number: u64) -> OwnedHeaders {
    let offset = i64::try_from(number).expect("small").to_be_bytes();
    headers
        .insert(Header { key: "kafka_dlt-original-topic", value: Some(b"orders".as_slice()) })
        .insert(Header { key: "kafka_dlt-original-partition", value: Some([0u8, 0, 0, 1].as_slice()) })
        .insert(Header { key: "kafka_dlt-original-offset", value: Some(offset.as_slice()) })
        .insert(Header { key: "kafka_dlt-original-consumer-group", value: Some(b"billing".as_slice()) })
        .insert(Header { key: "kafka_dlt-exception-cause-fqcn", value: Some(class_of(number).as_bytes()) })
}
