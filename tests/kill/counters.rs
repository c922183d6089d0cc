//! Counters that come from surveys: letters come and expire, and a group stands still, while processes live and die.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

use crate::lives::{Lives, PATIENCE};
use crate::readings::Readings;
use crate::support::process::until;
use crate::support::rng::Rng;

/// Nobody redrives them.
const LETTERS: &str = "complaints.dlq";
/// Committed once, at their beginning.
const GROUP: &str = "archive";
/// Letters at once, at most, and how often.
const BURST: (u64, Duration) = (20, Duration::from_millis(150));

/// Letters on their way.
pub struct Letters {
    address: String,
    stop: Arc<AtomicBool>,
    writer: Option<JoinHandle<Counted>>,
}

/// What there is to be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// Letters that came.
    pub came: u64,
    /// Of those, expired.
    pub expired: u64,
}

impl Letters {
    /// The stream, empty, and the group at its beginning. To be made before the first life.
    pub fn prepare(address: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let topic = NewTopic::new(LETTERS, 1, TopicReplication::Fixed(1));
        let made = runtime.block_on(admin(address).create_topics([&topic], &AdminOptions::new())).expect("a topic");
        made.into_iter().for_each(|topic| drop(topic.expect("a topic")));
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", address)
            .set("group.id", GROUP)
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer");
        // The first commit of a cluster makes the topic of all commits: it takes its time.
        until("a commit", PATIENCE, || consumer.commit(&at(0), CommitMode::Sync).ok());
        Self { address: address.to_owned(), stop: Arc::default(), writer: None }
    }

    /// Once the first life has seen that there is nothing, letters begin to come and to expire.
    pub fn begin(&mut self, lives: &Lives<'_>, seed: u64) {
        lives.wait("a survey of the empty stream", || (shown(lives)? == [0; 3]).then_some(()));
        let (address, stop) = (self.address.clone(), Arc::clone(&self.stop));
        self.writer = Some(std::thread::spawn(move || write(&address, seed, &stop)));
    }

    /// No more letters. Waits until the process of the moment shows exactly what happened over all lives.
    pub fn end(mut self, lives: &Lives<'_>) -> Counted {
        self.stop.store(true, Ordering::Release);
        let counted = self.writer.take().expect("begun").join().expect("the writer of letters");
        let wanted = [counted.came, counted.expired, counted.expired];
        let mut last = None;
        lives.wait(&format!("letters that came, expired, and were lost: {wanted:?}"), || {
            let now = shown(lives);
            if now != last {
                println!("letters: {now:?} of {wanted:?}");
                last = now;
            }
            (now? == wanted).then_some(())
        });
        counted
    }
}

/// Inflow, expired, lost, as `/metrics` has them.
fn shown(lives: &Lives<'_>) -> Option<[u64; 3]> {
    let page = Readings::parse(&lives.server().get("/metrics").text()).ok()?;
    let value = |name: &str, label: &str, of: &str| Some(page.of(name).find(|s| s.label(label) == of)?.value as u64);
    Some([
        value("streamgauge_dlq_inflow_messages_total", "stream", LETTERS)?,
        value("streamgauge_dlq_expired_messages_total", "stream", LETTERS)?,
        value("streamgauge_group_lost_messages_total", "group", GROUP)?,
    ])
}

fn write(address: &str, seed: u64, stop: &AtomicBool) -> Counted {
    let (mut rng, mut counted) = (Rng::new(seed), Counted::default());
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", address).create().expect("a producer");
    let (admin, runtime) =
        (admin(address), tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));
    while !stop.load(Ordering::Acquire) {
        for _ in 0..rng.below(BURST.0) {
            let sent = producer.send(BaseRecord::<(), [u8]>::to(LETTERS).partition(0).payload(b"{}"));
            sent.map_err(|(error, _)| error).expect("sent");
            counted.came += 1;
        }
        producer.flush(PATIENCE).expect("all acknowledged");
        if rng.chance(0.3) {
            let upto = counted.expired + rng.below(counted.came - counted.expired + 1);
            let deleted = runtime.block_on(admin.delete_records(&at(upto), &AdminOptions::new()));
            for partition in deleted.expect("deleted").elements() {
                partition.error().expect("deleted");
            }
            counted.expired = upto;
        }
        std::thread::sleep(BURST.1);
    }
    assert!(counted.expired > 0 && counted.came > counted.expired, "{counted:?}");
    counted
}

fn at(position: u64) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(LETTERS, 0, Offset::Offset(position.cast_signed())).expect("a partition");
    list
}

fn admin(address: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", address).create().expect("a client")
}
