//! Records that others write, as properties: headers of dead letters of every family, and the offsets topic.
//!
//! `tests/tools/fuzz` looks further with the same questions.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use streamgauge::decode::{OffsetsTopic, decode_offsets};
use streamgauge::dlq::{Header, Letter, Redriven, classify, rewrite};
use streamgauge::model::Timestamp;

/// One failure as a writer of dead letters describes it.
#[derive(Clone, Debug)]
struct Hop {
    topic: String,
    partition: u32,
    offset: u64,
    error: String,
}

/// Family, and its names of topic, partition, offset and class of the error; whether its numbers are binary.
const WRITERS: [(&str, [&str; 4], bool); 5] = [
    (
        "spring",
        [
            "kafka_dlt-original-topic",
            "kafka_dlt-original-partition",
            "kafka_dlt-original-offset",
            "kafka_dlt-exception-cause-fqcn",
        ],
        true,
    ),
    (
        "connect",
        [
            "__connect.errors.topic",
            "__connect.errors.partition",
            "__connect.errors.offset",
            "__connect.errors.exception.class.name",
        ],
        false,
    ),
    (
        "streams",
        [
            "__streams.errors.topic",
            "__streams.errors.partition",
            "__streams.errors.offset",
            "__streams.errors.exception",
        ],
        false,
    ),
    ("share", ["__dlq.errors.topic", "__dlq.errors.partition", "__dlq.errors.offset", ""], false),
    (
        "smallrye",
        ["dead-letter-topic", "dead-letter-partition", "dead-letter-offset", "dead-letter-cause-class-name"],
        false,
    ),
];

type Owned = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn read(headers: &Owned) -> Letter {
    let borrowed: Vec<Header<'_>> = headers.iter().map(|(n, v)| (n.as_slice(), v.as_deref())).collect();
    classify(&borrowed)
}

fn hop() -> impl Strategy<Value = Hop> {
    ("[a-z][a-z0-9._-]{0,20}", 0..10_000u32, 0..1u64 << 50, "[a-z]{1,8}(\\.[a-z]{1,8}){0,3}\\.[A-Z][A-Za-z]{1,20}")
        .prop_map(|(topic, partition, offset, error)| Hop { topic, partition, offset, error })
}

/// The one writer that puts its headers before those that the record had.
const SMALLRYE: usize = 4;

/// What a writer adds for a failure.
fn add(headers: &mut Owned, writer: usize, hop: &Hop) {
    let (_, [topic, partition, offset, error], binary) = WRITERS[writer];
    let number = |n: u64, width: usize| match binary {
        true => n.to_be_bytes()[8 - width..].to_vec(),
        false => n.to_string().into_bytes(),
    };
    let mut added = Owned::new();
    let mut put = |name: &str, value: Vec<u8>| added.push((name.as_bytes().to_vec(), Some(value)));
    put(topic, hop.topic.clone().into_bytes());
    put(partition, number(hop.partition.into(), 4));
    put(offset, number(hop.offset, 8));
    if !error.is_empty() {
        put(error, hop.error.clone().into_bytes());
    }
    let at = if writer == SMALLRYE { 0 } else { headers.len() };
    headers.splice(at..at, added);
}

/// Names that mean something to somebody, and others.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let mut known: Vec<&'static str> = WRITERS.iter().flat_map(|(_, names, _)| *names).collect();
    known.extend(["x-redrive-count", "x-redrive-source-topic", "traceparent", "x-original-traceparent", "kafka.topic"]);
    prop_oneof![
        proptest::sample::select(known).prop_map(|n| n.as_bytes().to_vec()),
        vec(any::<u8>(), 0..12),
        "[A-Za-z_.-]{1,20}".prop_map(String::into_bytes),
    ]
}

fn any_headers() -> impl Strategy<Value = Owned> {
    vec((name(), proptest::option::of(vec(any::<u8>(), 0..60))), 0..20)
}

proptest! {
    /// However often a letter failed, and whoever wrote it down: the first and the last failure are told apart.
    #[test]
    fn the_first_and_the_last_failure_are_those_that_were_written(
        hops in vec((0..WRITERS.len(), hop()), 1..6), noise in vec("[g-j][a-z]{0,10}", 0..4)
    ) {
        let mut headers: Owned = noise.iter().map(|n| (n.clone().into_bytes(), Some(b"1".to_vec()))).collect();
        // Headers in front of those of another library may be older or newer than they: nobody can tell.
        let same = hops[0].0 == SMALLRYE;
        let hops: Vec<(usize, Hop)> =
            hops.into_iter().map(|(writer, hop)| (if same { SMALLRYE } else { writer % SMALLRYE }, hop)).collect();
        hops.iter().for_each(|(writer, hop)| add(&mut headers, *writer, hop));
        let found = read(&headers);
        let (writer, last) = hops.last().expect("one at least");
        prop_assert_eq!(found.family, WRITERS[*writer].0);
        if !WRITERS[*writer].1[3].is_empty() {
            prop_assert_eq!(&found.error, &last.error);
        }
        for (said, hop) in [(&found.first, &hops[0].1), (&found.last, last)] {
            let said = said.as_ref().expect("an origin");
            prop_assert_eq!(&said.stream, &hop.topic);
            prop_assert_eq!((said.partition, said.position), (Some(hop.partition), Some(hop.offset)));
        }
    }

    /// The copy of any letter can be read again, knows where it failed first, and was redriven once more.
    #[test]
    fn the_copy_of_any_letter_can_be_read_again(headers in any_headers()) {
        let borrowed: Vec<Header<'_>> = headers.iter().map(|(n, v)| (n.as_slice(), v.as_deref())).collect();
        let letter = classify(&borrowed);
        let by = Redriven { by: "ann", at: Timestamp(0), from: ("orders.dlq", 0, 0), traceparent: None };
        let (copy, _) = rewrite(&borrowed, &letter, &by);
        let again = read(&copy.into_iter().map(|(n, v)| (n.into_bytes(), Some(v))).collect());
        prop_assert_eq!(again.redriven, letter.redriven.saturating_add(1));
        if let Some(first) = &letter.first {
            prop_assert_eq!(again.first.as_ref().map(|o| (o.partition, o.position)), Some((first.partition, first.position)));
        }
    }

    /// A sequence of commits and of their ends leaves what a map of them would hold.
    #[test]
    fn the_offsets_topic_holds_the_newest_commit_of_each(
        records in vec((0..3usize, 0..3usize, 0..3u32, proptest::option::of(0..1u64 << 60), 0..5i16), 0..60)
    ) {
        let names = ["billing", "shop.\u{ac00}", ""];
        let (mut topic, mut model) = (OffsetsTopic::new(1_000), BTreeMap::new());
        for (group, of, partition, next, version) in records {
            let (group, of) = (names[group], names[of]);
            let (key, value) = (commit_key(group, of, partition), next.map(|n| commit_value(version, n)));
            topic.apply(&key, value.as_deref(), None);
            match next {
                Some(next) => drop(model.insert((group, of, partition), next)),
                None => drop(model.remove(&(group, of, partition))),
            }
            prop_assert_eq!(topic.newest(group, of, partition).map(|(next, _)| next), next);
        }
        let all = topic.all().map(|c| (c.group.to_string(), c.topic.to_string(), c.partition, c.next));
        let all: BTreeMap<_, _> = all.map(|(g, t, p, next)| ((g, t, p), next)).collect();
        let wanted = model.into_iter().map(|((g, t, p), next)| ((g.to_owned(), t.to_owned(), p), Some(next)));
        prop_assert_eq!(all, wanted.collect());
        prop_assert_eq!((topic.faults, topic.unknown, topic.dropped), (0, 0, 0));
    }

    /// Any bytes are understood, refused or counted; a record of Kafka's with one wrong byte, too.
    #[test]
    fn any_bytes_are_understood_refused_or_counted(
        garbage in vec((vec(any::<u8>(), 0..40), proptest::option::of(vec(any::<u8>(), 0..80))), 0..20),
        at in 0..200usize, byte in any::<u8>(), version in 0..5i16
    ) {
        let (mut key, mut value) = (commit_key("billing", "orders", 3), commit_value(version, 41));
        let all = key.len() + value.len();
        let at = at % all;
        if at < key.len() { key[at] = byte } else { value[at - key.len()] = byte }
        let mut topic = OffsetsTopic::new(4);
        for (key, value) in garbage.iter().map(|(k, v)| (k, v.as_ref())).chain([(&key, Some(&value))]) {
            let (understood, faults) = (decode_offsets(key, value.map(Vec::as_slice)).is_ok(), topic.faults);
            topic.apply(key, value.map(Vec::as_slice), None);
            prop_assert_eq!(topic.faults - faults, u64::from(!understood));
            prop_assert!(topic.len() <= 4 && topic.all().count() == topic.len());
        }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(i16::try_from(text.len()).expect("short").to_be_bytes());
    out.extend(text.as_bytes());
}

/// The key of a commit, by Kafka's schema.
fn commit_key(group: &str, topic: &str, partition: u32) -> Vec<u8> {
    let mut out = vec![0, 1];
    text(&mut out, group);
    text(&mut out, topic);
    out.extend(partition.to_be_bytes());
    out
}

/// The value of a commit, by Kafka's schema of each version.
fn commit_value(version: i16, next: u64) -> Vec<u8> {
    let mut out = version.to_be_bytes().to_vec();
    out.extend(next.to_be_bytes());
    if version >= 3 {
        out.extend(9i32.to_be_bytes());
    }
    if version >= 4 {
        out.extend([2, b'm']);
    } else {
        text(&mut out, "m");
    }
    out.extend(1_700_000_000_000i64.to_be_bytes());
    if version == 1 {
        out.extend(1_700_000_100_000i64.to_be_bytes());
    }
    if version >= 4 {
        out.push(0); // no tagged fields
    }
    out
}
