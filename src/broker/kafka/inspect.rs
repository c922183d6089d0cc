//! `doctor` and `sample`: looks at a cluster for an operator, with a client of its own that lives as long as the question.

use std::ffi::{CStr, CString};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::metadata::MetadataTopic;

use super::client::KafkaConfig;
use super::discover::Wanted;
use super::ffi::{self, Answer, Client, Code, ConfigOf, Fault, Queue, Room, TopicFound, TopicOf};
use crate::broker::{Finding, Inspect, RawRecord, Wants};
use crate::model::{StreamName, StreamSpec, Timestamp};

/// A retention below this loses records in a short outage of ours.
const SHORT_RETENTION_MS: i64 = 3_600_000;
/// Headers shown per record.
const HEADERS: usize = 64;
/// Events of the client handled in one go.
const CLIENT_EVENTS: usize = 64;
/// How long the brokers are asked before we look at what the client says meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// Longest wait for one message while a sample is read.
const POLL: Duration = Duration::from_millis(5);

/// Looks at one Kafka cluster. Reads and describes only.
pub struct KafkaInspect {
    cluster: String,
    config: KafkaConfig,
}

impl KafkaInspect {
    /// `cluster`: its name in our configuration.
    #[must_use]
    pub fn new(cluster: impl Into<String>, config: KafkaConfig) -> Self {
        Self { cluster: cluster.into(), config }
    }

    pub(super) fn open(&self, partitions: usize) -> Result<(Client, Queue), String> {
        self.config.check()?;
        let client = self.config.reader(partitions, u64::from(std::process::id()))?;
        let queue = Queue::of_answers(&client, Box::new(|| ()));
        Ok((client, queue))
    }

    /// The command that grants rights on a topic.
    pub(super) fn grant(&self, topic: &str, operations: &[&str]) -> String {
        self.grant_on(&format!("--topic '{topic}'"), operations)
    }

    /// The command that grants rights on what `resource` names.
    pub(super) fn grant_on(&self, resource: &str, operations: &[&str]) -> String {
        let user = self.config.properties.get("sasl.username").map_or("PRINCIPAL", String::as_str);
        let operations: String = operations.iter().map(|operation| format!(" --operation {operation}")).collect();
        let servers = &self.config.bootstrap_servers;
        // A cluster that asks us who we are asks the administrator too.
        let login = if self.guarded() { " --command-config ADMIN.properties" } else { "" };
        format!(
            "kafka-acls.sh --bootstrap-server {servers}{login} --add --allow-principal User:{user}{operations} {resource}"
        )
    }

    /// True where the cluster is told who we are.
    pub(super) fn guarded(&self) -> bool {
        self.config.properties.contains_key("security.protocol")
    }

    fn topic(&self, name: &str, found: &Result<TopicFound, Fault>, out: &mut dyn FnMut(Finding)) -> bool {
        let what = format!("stream {name}");
        let found = match found {
            Ok(found) => found,
            Err(fault) if matches!(fault.code, Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                let mend = format!(
                    "create the topic, or correct the name; without the right to describe it looks the same: {}",
                    self.grant(name, &["Describe", "Read"])
                );
                out(finding(what, Some(false), "does not exist", mend));
                return false;
            }
            Err(fault) => {
                out(finding(
                    what,
                    Some(false),
                    &fault.words,
                    self.grant(name, &["Describe", "Read", "DescribeConfigs"]),
                ));
                return false;
            }
        };
        let id = if found.id.is_empty() { "none: the broker is older than 2.8" } else { &found.id };
        out(finding(&what, Some(true), format!("{} partitions, topic id {id}", found.partitions), ""));
        if !found.leaderless.is_empty() {
            let detail = format!("partitions without a leader: {:?}", found.leaderless);
            out(finding(&what, Some(false), detail, "bring the brokers of these partitions back"));
        }
        let (ok, detail, mend) = match found.may {
            Some(may) if may.read => (Some(true), "may be read", String::new()),
            Some(_) => (Some(false), "may not be read", self.grant(name, &["Read"])),
            None => (None, "the broker does not say whether it may be read", String::new()),
        };
        out(finding(format!("{what}: right to read"), ok, detail, mend));
        true
    }

    fn config(&self, name: &str, config: &Result<ConfigOf, Fault>, out: &mut dyn FnMut(Finding)) {
        let of = match config {
            Ok(of) => of,
            Err(fault) => {
                let detail =
                    format!("{}: record times are taken for the producers' own", fault.words.trim_end_matches('.'));
                out(finding(
                    format!("stream {name}: configuration"),
                    None,
                    detail,
                    self.grant(name, &["DescribeConfigs"]),
                ));
                return;
            }
        };
        let kind =
            if of.append_time { "LogAppendTime: the broker's clock" } else { "CreateTime: the producers' clocks" };
        out(finding(format!("stream {name}: record times"), Some(true), kind, ""));
        let what = format!("stream {name}: retention");
        let compacted = of.cleanup.contains("compact");
        out(match of.retention_ms {
            Some(ms) if (0..SHORT_RETENTION_MS).contains(&ms) && of.cleanup.contains("delete") => {
                let detail = format!("retention.ms = {ms}: an outage of ours longer than that loses records");
                finding(what, Some(false), detail, "set retention.ms to an hour at least")
            }
            _ if compacted => finding(
                what,
                None,
                "cleanup.policy = compact: events of the same key may vanish before they are read",
                "",
            ),
            ms => finding(
                what,
                Some(true),
                format!("retention.ms = {}", ms.map_or("unknown".into(), |ms| ms.to_string())),
                "",
            ),
        });
    }

    fn examine(&self, streams: &[StreamSpec], until: Instant, out: &mut dyn FnMut(Finding)) -> Result<(), Finding> {
        let cluster = format!("cluster {}", self.cluster);
        let wrong = |words: String, mend: &str| finding(&cluster, Some(false), words, mend);
        let (client, queue) = self.open(1).map_err(|words| wrong(words, "correct [[cluster]]"))?;
        let wanted = Wanted::new(streams).map_err(|words| wrong(words, "correct the pattern"))?;
        let metadata = loop {
            match client.fetch_metadata(None, left(until).min(LOOK)) {
                Ok(metadata) => break metadata,
                Err(_) => {
                    let words = last_words(&client).unwrap_or_else(|| silence(&self.config.bootstrap_servers));
                    let (mend, final_word) = how_to_get_in(&words);
                    if final_word || Instant::now() >= until {
                        return Err(wrong(words, mend));
                    }
                }
            }
        };
        let id = client.client().fetch_cluster_id(left(until)).unwrap_or_else(|| "unknown".into());
        let detail =
            format!("brokers {}, topics {}, cluster id {id}", metadata.brokers().len(), metadata.topics().len());
        out(finding(&cluster, Some(true), detail, ""));

        let mut names: Vec<String> = wanted.exact().map(str::to_owned).collect();
        for spec in streams {
            let StreamName::Pattern(pattern) = &spec.name else { continue };
            let found = metadata.topics().iter().map(MetadataTopic::name).filter(|n| wanted.find(n) == Some(spec));
            let found: Vec<String> = found.map(str::to_owned).collect();
            let ok = if found.is_empty() { None } else { Some(true) };
            out(finding(
                format!("pattern {pattern}"),
                ok,
                format!("{} topics match that have no [[stream]] of their own", found.len()),
                "",
            ));
            names.extend(found);
        }
        names.sort();
        names.dedup();
        let names: Vec<Arc<CStr>> =
            names.into_iter().filter_map(|name| Some(CString::new(name).ok()?.into())).collect();
        if names.is_empty() {
            return Ok(());
        }
        queue.ask_topics(&names, true, left(until), 0);
        queue.ask_configs(&names, left(until), 0);
        let (mut topics, mut configs) = (None, None);
        while (topics.is_none() || configs.is_none()) && Instant::now() < until {
            match queue.answer(left(until)) {
                Some((_, Answer::Topics(answer))) => topics = Some(answer),
                Some((_, Answer::Configs(answer))) => configs = Some(answer),
                _ => {}
            }
        }
        let late = || Fault { code: Code::OperationTimedOut, words: "no answer in time".into() };
        let topics = topics.unwrap_or_else(|| Err(late())).map_err(|fault| wrong(fault.words, ""))?;
        let configs = configs.unwrap_or_else(|| Err(late())).map_err(|fault| wrong(fault.words, ""))?;
        for TopicOf { name, found } in &topics {
            if self.topic(name, found, out)
                && let Some((_, config)) = configs.iter().find(|(of, _)| of == name)
            {
                self.config(name, config, out);
            }
        }
        Ok(())
    }
}

impl Inspect for KafkaInspect {
    fn doctor(&self, streams: &[StreamSpec], deadline: Duration) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.doctor_each(streams, deadline, &mut |finding| findings.push(finding));
        findings
    }

    fn doctor_each(&self, streams: &[StreamSpec], deadline: Duration, say: &mut dyn FnMut(Finding)) {
        if let Err(last) = self.examine(streams, Instant::now() + deadline, say) {
            say(last);
        }
    }

    fn rights(&self, wants: &Wants, deadline: Duration, say: &mut dyn FnMut(Finding)) {
        self.examine_rights(wants, Instant::now() + deadline, say);
    }

    fn may_write(&self, stream: &str, deadline: Duration) -> Option<Finding> {
        let until = Instant::now() + deadline;
        let ask = || -> Result<TopicFound, Fault> {
            let other = |words: String| Fault { code: Code::OperationTimedOut, words };
            let (client, queue) = self.open(1).map_err(other)?;
            let name = CString::new(stream).map_err(|_| other("a stream's name has no NUL".into()))?;
            queue.ask_topics(&[name.into()], true, left(until), 0);
            let Some((_, Answer::Topics(topics))) = queue.answer(left(until)) else {
                return Err(other(last_words(&client).unwrap_or_else(|| "no answer in time".into())));
            };
            topics?.pop().ok_or_else(|| other("no answer".into()))?.found
        };
        let found = ask();
        let (ok, detail, mend) = match found.as_ref().map(|found| found.may.map(|may| may.write)) {
            Ok(Some(true)) => (Some(true), "may be written".to_owned(), String::new()),
            Ok(Some(false)) => (Some(false), "may not be written".to_owned(), self.grant(stream, &["Write"])),
            Ok(None) => (None, "the broker does not say whether it may be written".to_owned(), String::new()),
            Err(fault) if matches!(fault.code, Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                (Some(false), "does not exist".to_owned(), "create the topic: we make none".to_owned())
            }
            Err(fault) => (Some(false), fault.words.clone(), self.grant(stream, &["Describe", "Write"])),
        };
        Some(finding(format!("stream {stream}: right to write"), ok, detail, mend))
    }

    fn sample(&self, stream: &str, count: usize, deadline: Duration) -> Result<Vec<RawRecord>, String> {
        let until = Instant::now() + deadline;
        let (client, answers) = self.open(8)?;
        let topic: Arc<CStr> = CString::new(stream).map_err(|_| "a stream's name has no NUL".to_owned())?.into();
        let late = || last_words(&client).unwrap_or_else(|| "no answer in time".into());
        let words = |fault: Fault| format!("stream {stream}: {}", fault.words);

        answers.ask_topics(&[Arc::clone(&topic)], false, left(until), 0);
        let Some((_, Answer::Topics(topics))) = answers.answer(left(until)) else { return Err(late()) };
        let found = topics.map_err(words)?.pop().ok_or_else(late)?.found.map_err(words)?;
        let ask = |what| -> Result<Vec<i64>, String> {
            let all: Vec<_> = (0..found.partitions).map(|p| (Arc::clone(&topic), p, what)).collect();
            answers.ask_offsets(&all, left(until), 0);
            let Some((_, Answer::Offsets(of))) = answers.answer(left(until)) else { return Err(late()) };
            let mut of = of.map_err(words)?;
            of.sort_by_key(|of| of.partition);
            of.into_iter().map(|of| of.offset.map_err(words)).collect()
        };
        let (begins, ends) = (ask(ffi::BEGIN)?, ask(ffi::END)?);
        let back = i64::try_from(count).unwrap_or(i64::MAX);
        let mut queues = Vec::new();
        let mut assigned = Vec::new();
        for (partition, (begin, end)) in (0..).zip(begins.into_iter().zip(ends)).filter(|(_, (b, e))| b < e) {
            queues.extend(Queue::of_partition(&client, &topic, partition, Box::new(|| ())).map(|q| (partition, q)));
            assigned.push((Arc::clone(&topic), partition, begin.max(end.saturating_sub(back)), -1));
        }
        ffi::assign(&client, &assigned).map_err(words)?;
        let (mut records, mut room) = (Vec::new(), Room::new(64));
        while !queues.is_empty() && Instant::now() < until {
            drop(client.poll(POLL));
            let mut refused = None;
            queues.retain(|(partition, queue)| {
                for message in queue.take(&mut room).iter() {
                    match message.fault() {
                        None => records.push(raw(stream, *partition, message, HEADERS)),
                        Some(fault) if fault.code == Code::PartitionEOF => return false,
                        Some(fault) => refused = Some(fault),
                    }
                }
                true
            });
            if let Some(fault) = refused {
                return Err(words(fault));
            }
        }
        records.sort_by_key(|r| (r.record_time, r.at.1, r.at.2));
        Ok(records.split_off(records.len().saturating_sub(count)))
    }
}

/// The client's own words; it says them only to who listens.
fn last_words(client: &Client) -> Option<String> {
    for _ in 0..CLIENT_EVENTS {
        drop(client.poll(Duration::ZERO)); // `None` may be a log line: more may follow
    }
    client.context().last_words()
}

/// What a listener that speaks TLS is to a client that does not, and the other way round.
const NO_KAFKA: &str = "somebody listens there, but answers nothing that a Kafka would";

/// Words for brokers of which the client has none.
fn silence(servers: &str) -> String {
    let first = servers.split(',').next().unwrap_or_default().trim();
    let found = first.to_socket_addrs().ok().and_then(|mut all| all.next());
    let listens = found.is_some_and(|address| TcpStream::connect_timeout(&address, LOOK).is_ok());
    if listens { format!("{first}: {NO_KAFKA}") } else { format!("{first}: no answer") }
}

/// What mends a refusal at the door, by the client's words; and whether they are final: asking again cannot help.
fn how_to_get_in(words: &str) -> (&'static str, bool) {
    let says = |part: &str| words.contains(part);
    if says("SASL") || says("Authentication failed") {
        ("correct sasl.mechanism, sasl.username and sasl.password in [cluster.properties]", true)
    } else if says("certificate") {
        ("name the authority that signed the broker's certificate: ssl.ca.location in [cluster.properties]", true)
    } else if says("SSL") || says("security.protocol") || says(NO_KAFKA) {
        let mend = "correct security.protocol in [cluster.properties]: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL";
        (mend, !says(NO_KAFKA))
    } else {
        ("check bootstrap_servers, security.protocol and the network", false)
    }
}

/// A message as bytes, with at most `most` headers.
pub(super) fn raw(stream: &str, partition: i32, message: ffi::Message<'_>, most: usize) -> RawRecord {
    let mut headers = Vec::new();
    message.headers(most, &mut headers);
    RawRecord {
        at: (stream.to_owned(), u32::try_from(partition).unwrap_or(0), u64::try_from(message.offset()).unwrap_or(0)),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        headers: headers.into_iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect(),
        record_time: message.millis().map(Timestamp::from_millis),
    }
}

pub(super) fn finding(
    what: impl Into<String>,
    ok: Option<bool>,
    detail: impl Into<String>,
    mend: impl Into<String>,
) -> Finding {
    Finding { what: what.into(), ok, detail: detail.into(), mend: mend.into() }
}

pub(super) fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
