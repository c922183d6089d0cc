//! What a dead letter says of its failure, whoever wrote its headers.
//!
//! A letter may have failed more than once: writers append their headers, so the last occurrence of a name is
//! this hop and the first is the first failure. Our own redrive takes the headers of others away and leaves
//! `x-redrive-*` in their place, which therefore speak of what was before all others.

use super::number::{number, text};
use crate::model::Timestamp;

/// One header: name and value as the broker gave them.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// Characters of a message that are kept: more than are shown, so that a secret is masked before it is cut.
const MESSAGE_CHARS: usize = 2_000;
/// Characters of a class that are kept.
const CLASS_CHARS: usize = 200;
/// Characters of a stream or group that are kept: what Kafka allows for a topic.
const NAME_CHARS: usize = 249;

/// Where a record lay when it failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Stream.
    pub stream: String,
    /// Partition, where said.
    pub partition: Option<u32>,
    /// Position, where said.
    pub position: Option<u64>,
    /// Its record time, where said.
    pub time: Option<Timestamp>,
}

/// One dead letter, as its headers describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letter {
    /// Whose headers describe the last hop: `spring`, `spring-cloud`, `connect`, `streams`, `share`, `smallrye`,
    /// `camel`, `karafka`, `streamgauge`; empty where nobody's do.
    pub family: &'static str,
    /// Class of the error; empty where not said.
    pub error: String,
    /// The error in words.
    pub message: String,
    /// Group that gave up; empty where not said.
    pub group: String,
    /// Where it failed first.
    pub first: Option<Origin>,
    /// Where it failed last.
    pub last: Option<Origin>,
    /// How often it was redriven by us before.
    pub redriven: u32,
    /// Deliveries before the group gave up, where said.
    pub attempts: Option<u64>,
}

/// Names of one writer's headers, all in lower case.
struct Family {
    name: &'static str,
    topic: &'static str,
    partition: &'static str,
    offset: &'static str,
    time: &'static str,
    group: &'static str,
    attempts: &'static str,
    /// In order of preference: the cause says more than what wraps it.
    errors: &'static [&'static str],
    messages: &'static [&'static str],
    /// Its first line begins with the class, where nothing else says it.
    stacktrace: &'static str,
}

/// Never the name of a header.
const NONE: &str = "\0";

const FAMILIES: [Family; 8] = [
    Family {
        name: "spring",
        topic: "kafka_dlt-original-topic",
        partition: "kafka_dlt-original-partition",
        offset: "kafka_dlt-original-offset",
        time: "kafka_dlt-original-timestamp",
        group: "kafka_dlt-original-consumer-group",
        attempts: NONE, // its retry_topic-attempts are those of the retry topics only
        errors: &["kafka_dlt-exception-cause-fqcn", "kafka_dlt-exception-fqcn", "kafka_dlt-key-exception-fqcn"],
        messages: &["kafka_dlt-exception-message", "kafka_dlt-key-exception-message"],
        stacktrace: "kafka_dlt-exception-stacktrace",
    },
    Family {
        name: "spring-cloud",
        topic: "x-original-topic",
        partition: "x-original-partition",
        offset: "x-original-offset",
        time: "x-original-timestamp",
        group: NONE,
        attempts: NONE,
        errors: &["x-exception-fqcn"],
        messages: &["x-exception-message"],
        stacktrace: "x-exception-stacktrace",
    },
    Family {
        name: "connect",
        topic: "__connect.errors.topic",
        partition: "__connect.errors.partition",
        offset: "__connect.errors.offset",
        time: NONE,
        group: "__connect.errors.connector.name",
        attempts: NONE,
        errors: &["__connect.errors.exception.class.name"],
        messages: &["__connect.errors.exception.message"],
        stacktrace: "__connect.errors.exception.stacktrace",
    },
    Family {
        name: "streams",
        topic: "__streams.errors.topic",
        partition: "__streams.errors.partition",
        offset: "__streams.errors.offset",
        time: NONE,
        group: NONE,
        attempts: NONE,
        errors: &["__streams.errors.exception"],
        messages: &["__streams.errors.message"],
        stacktrace: "__streams.errors.stacktrace",
    },
    Family {
        name: "share",
        topic: "__dlq.errors.topic",
        partition: "__dlq.errors.partition",
        offset: "__dlq.errors.offset",
        time: NONE,
        group: "__dlq.errors.group",
        attempts: "__dlq.errors.delivery.count",
        errors: &[],
        messages: &["__dlq.errors.message"],
        stacktrace: NONE,
    },
    Family {
        name: "smallrye",
        topic: "dead-letter-topic",
        partition: "dead-letter-partition",
        offset: "dead-letter-offset",
        time: NONE,
        group: NONE,
        attempts: NONE,
        errors: &["dead-letter-cause-class-name", "dead-letter-exception-class-name"],
        messages: &["dead-letter-reason", "dead-letter-cause"],
        stacktrace: NONE,
    },
    Family {
        name: "camel",
        topic: "kafka.topic",
        partition: "kafka.partition",
        offset: "kafka.offset",
        time: "kafka.timestamp",
        group: NONE,
        attempts: "camelredeliverycounter",
        errors: &[],
        messages: &["camelexceptioncaught"],
        stacktrace: "camelexceptioncaught",
    },
    Family {
        name: "karafka",
        topic: "source_topic",
        partition: "source_partition",
        offset: "source_offset",
        time: NONE,
        group: "source_consumer_group",
        attempts: "source_attempts",
        errors: &[],
        messages: &[],
        stacktrace: NONE,
    },
];

const OURS: Family = Family {
    name: "streamgauge",
    topic: "x-redrive-source-topic",
    partition: "x-redrive-source-partition",
    offset: "x-redrive-source-offset",
    time: "x-redrive-source-timestamp",
    group: "x-redrive-source-group",
    attempts: NONE,
    errors: &["x-redrive-error"],
    messages: &["x-redrive-message"],
    stacktrace: NONE,
};

/// Beginnings of the names of headers that describe a failure: they do not go back with the record.
const STRIPPED: [&str; 15] = [
    "kafka_dlt-",
    "kafka_exception",
    "kafka_deliveryattempt",
    "retry_topic-",
    "springdeserializerexception",
    "x-original-topic",
    "x-original-partition",
    "x-original-offset",
    "x-original-timestamp",
    "x-exception-",
    "__connect.errors.",
    "__streams.errors.",
    "__dlq.errors.",
    "dead-letter-",
    "x-redrive-",
];
/// The same as whole names: their beginnings are too common.
const STRIPPED_NAMES: [&str; 10] = [
    "kafka.topic",
    "kafka.partition",
    "kafka.offset",
    "camelexceptioncaught",
    "camelredeliverycounter",
    "source_topic",
    "source_partition",
    "source_offset",
    "source_consumer_group",
    "source_attempts",
];

/// True for headers that describe a failure, whoever wrote them.
#[must_use]
pub fn is_error_header(name: &[u8]) -> bool {
    let begins = |p: &&str| name.len() >= p.len() && name[..p.len()].eq_ignore_ascii_case(p.as_bytes());
    STRIPPED.iter().any(begins) || STRIPPED_NAMES.iter().any(|p| name.eq_ignore_ascii_case(p.as_bytes()))
}

/// Reads the headers of a dead letter. Takes any bytes.
#[must_use]
pub fn classify(headers: &[Header<'_>]) -> Letter {
    let found = Found(headers);
    let mut letter = Letter { redriven: found.redriven(), ..Letter::default() };
    // The family of this hop wrote last, the family of the first failure wrote first.
    let now = FAMILIES.iter().filter_map(|f| Some((found.place(f, End::Last)?, f))).max_by_key(|(at, _)| *at);
    let then = FAMILIES.iter().filter_map(|f| Some((found.place(f, End::First)?, f))).min_by_key(|(at, _)| *at);
    let ours = found.place(&OURS, End::Last).map(|_| &OURS);
    if let Some(family) = now.map(|(_, f)| f).or(ours) {
        letter.family = family.name;
        let end = family.end(End::Last);
        letter.error = found.error(family, end);
        letter.message = found.first_of(family.messages, end, MESSAGE_CHARS);
        letter.group = found.text(family.group, end, NAME_CHARS);
        if family.name == "connect" && !letter.group.is_empty() {
            letter.group.insert_str(0, "connect-"); // how a sink connector calls its group
        }
        letter.attempts = found.number(family.attempts, end).and_then(|n| u64::try_from(n).ok());
        letter.last = found.origin(family, end);
    }
    letter.first = ours.or(then.map(|(_, f)| f)).and_then(|family| found.origin(family, family.end(End::First)));
    letter.first = letter.first.or_else(|| letter.last.clone());
    letter
}

/// Which occurrence of a repeated header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    First,
    Last,
}

impl Family {
    /// Where the headers of the first, or of the newest failure stand among those of this writer. SmallRye puts its own
    /// before those that the record had; all others append.
    fn end(&self, of: End) -> End {
        match (self.name, of) {
            ("smallrye", End::First) => End::Last,
            ("smallrye", End::Last) => End::First,
            (_, of) => of,
        }
    }
}

struct Found<'a>(&'a [Header<'a>]);

impl<'a> Found<'a> {
    fn find(&self, name: &str, end: End) -> Option<(usize, &'a [u8])> {
        let mut all = self.0.iter().enumerate().filter_map(|(at, (n, value))| {
            n.eq_ignore_ascii_case(name.as_bytes()).then_some(())?;
            Some((at, (*value)?))
        });
        if end == End::First { all.next() } else { all.next_back() }
    }

    /// Where the family's own words stand: its stream, or its error where it names no stream.
    fn place(&self, family: &Family, end: End) -> Option<usize> {
        let told = self.find(family.topic, end);
        told.or_else(|| family.errors.iter().find_map(|e| self.find(e, end))).map(|(at, _)| at)
    }

    fn number(&self, name: &str, end: End) -> Option<i64> {
        self.find(name, end).and_then(|(_, value)| number(value))
    }

    /// The greatest count that any header says: whoever writes another one behind ours does not lift the cap.
    fn redriven(&self) -> u32 {
        let said = self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(b"x-redrive-count"));
        let counts = said.filter_map(|(_, value)| u32::try_from(number((*value)?)?).ok());
        counts.max().unwrap_or(0)
    }

    fn text(&self, name: &str, end: End, most: usize) -> String {
        self.find(name, end).map(|(_, value)| text(value, most)).unwrap_or_default()
    }

    fn first_of(&self, names: &[&str], end: End, most: usize) -> String {
        let mut all = names.iter().map(|name| self.text(name, end, most));
        all.find(|t| !t.is_empty()).unwrap_or_default()
    }

    fn error(&self, family: &Family, end: End) -> String {
        let said = self.first_of(family.errors, end, CLASS_CHARS);
        if !said.is_empty() {
            // The first Kafka Streams with dead letters wrote the whole exception: its class, then its words.
            return class(&said).unwrap_or(&said).to_owned();
        }
        let Some((_, trace)) = self.find(family.stacktrace, end) else { return said };
        let line = trace.split(|b| *b == b'\n' || *b == b'\r').next().unwrap_or_default();
        class(&text(line, CLASS_CHARS)).unwrap_or_default().to_owned()
    }

    fn origin(&self, family: &Family, end: End) -> Option<Origin> {
        let stream = self.text(family.topic, end, NAME_CHARS);
        (!stream.is_empty()).then(|| Origin {
            stream,
            partition: self.number(family.partition, end).and_then(|n| u32::try_from(n).ok()),
            position: self.number(family.offset, end).and_then(|n| u64::try_from(n).ok()),
            time: self.number(family.time, end).filter(|ms| *ms > 0).map(Timestamp::from_millis),
        })
    }
}

/// The class with which an exception begins that is written as a text; `None`: it begins with a sentence.
fn class(exception: &str) -> Option<&str> {
    let class = exception.split(':').next().unwrap_or_default().trim();
    (!class.is_empty() && !class.contains(char::is_whitespace)).then_some(class)
}

#[cfg(test)]
mod libraries;
#[cfg(test)]
mod tests;
