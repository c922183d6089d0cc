//! Lag events of others: `{"type":"lag","cluster":..,"group":..,"stream":..,"partition":..,"committed":..}` in a
//! stream of role `lag`. They are read with each survey, up to where it says the stream ends, and the newest per
//! group, stream and partition is shown beside what was polled, with its own age.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use serde::Deserialize;

use super::ends;
use crate::broker::Observe;
use crate::decode::parse_time;
use crate::model::{MICROS_PER_SECOND, Role, StreamName, StreamSpec, Survey, Timestamp};
use crate::snapshot::ToldLag;

/// Events kept; beyond, the oldest go.
const KEPT: usize = 10_000;
/// Longest name in an event.
const NAME_BYTES: usize = 256;
/// An event older than this goes: whoever sent it has stopped.
const OLD: i64 = 3_600 * MICROS_PER_SECOND;
/// Records of one partition that are read per survey, and bytes; what is left comes with the next one.
const RECORDS: usize = 2_000;
/// See [`RECORDS`].
const BYTES: usize = 1 << 20;
/// Partitions read per survey.
const PARTITIONS: usize = 64;
/// How long one partition may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// What others told.
pub(super) struct Told {
    exact: Vec<String>,
    patterns: Vec<Regex>,
    /// Where to go on, by stream and partition.
    next: HashMap<(Arc<str>, u32), u64>,
    newest: HashMap<(String, String, String, u32), ToldLag>,
}

impl Told {
    pub fn new(streams: &[StreamSpec]) -> Self {
        let (mut exact, mut patterns) = (Vec::new(), Vec::new());
        for spec in streams.iter().filter(|s| s.role == Role::Lag) {
            match &spec.name {
                StreamName::Exact(name) => exact.push(name.clone()),
                // The configuration was refused if it does not compile.
                StreamName::Pattern(pattern) => patterns.extend(Regex::new(pattern)),
            }
        }
        Self { exact, patterns, next: HashMap::new(), newest: HashMap::new() }
    }

    /// Reads what is new. What cannot be read is a fault of the survey.
    pub fn read(&mut self, observe: &mut dyn Observe, survey: &mut Survey, now: Timestamp) {
        if self.exact.is_empty() && self.patterns.is_empty() {
            return;
        }
        let wanted =
            |name: &str| self.exact.iter().any(|e| e == name) || self.patterns.iter().any(|p| p.is_match(name));
        let sources: Vec<_> =
            ends(survey).filter(|(name, ..)| wanted(name)).map(|(n, p, s, e)| (Arc::clone(n), p, s, e)).collect();
        for missing in self.exact.iter().filter(|e| !survey.topics.iter().any(|t| *t.name == ***e)) {
            survey.faults.push(format!("lag events: there is no stream {missing}"));
        }
        let mut foreign = 0;
        for (stream, partition, start, end) in sources.into_iter().take(PARTITIONS) {
            // At first only what is newest: older events say nothing about now.
            let first = end.saturating_sub(RECORDS as u64).max(start);
            let next = self.next.entry((Arc::clone(&stream), partition)).or_insert(first);
            if *next > end {
                *next = first;
            }
            *next = (*next).max(start);
            if *next == end {
                continue;
            }
            match observe.records(&stream, partition, *next, RECORDS, BYTES, DEADLINE) {
                Ok(stretch) => {
                    *next = stretch.next.max(*next);
                    for record in stretch.records {
                        let at = record.record_time.unwrap_or(now);
                        match record.payload.as_deref().and_then(|p| event(p, at)) {
                            Some(event) => take(&mut self.newest, event),
                            None => foreign += 1,
                        }
                    }
                }
                Err(error) => survey.faults.push(format!("lag events of {stream} partition {partition}: {error}")),
            }
        }
        if foreign > 0 {
            survey.faults.push(format!("lag events: {foreign} records were none"));
        }
        self.newest.retain(|_, t| now.since(t.at) < OLD);
        while self.newest.len() > KEPT {
            let oldest = self.newest.iter().min_by_key(|(_, t)| t.at).map(|(k, _)| k.clone());
            let Some(oldest) = oldest else { return };
            self.newest.remove(&oldest);
        }
    }

    /// The newest of each, in order.
    pub fn newest(&self) -> Vec<ToldLag> {
        let mut all: Vec<ToldLag> = self.newest.values().cloned().collect();
        let key = |t: &ToldLag| (t.cluster.clone(), t.group.clone(), t.stream.clone(), t.partition);
        all.sort_by_cached_key(key);
        all
    }
}

fn take(newest: &mut HashMap<(String, String, String, u32), ToldLag>, told: ToldLag) {
    let key = (told.cluster.clone(), told.group.clone(), told.stream.clone(), told.partition);
    match newest.get(&key) {
        Some(known) if known.at > told.at => {}
        _ => {
            newest.insert(key, told);
        }
    }
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    cluster: String,
    group: String,
    stream: String,
    #[serde(default)]
    partition: u32,
    committed: Option<u64>,
    end: Option<u64>,
    start: Option<u64>,
    pending: Option<u64>,
    oldest_pending_seconds: Option<f64>,
    at: Option<serde_json::Value>,
}

/// One lag event; `None`: it is none. Without `at` it was so when it was written.
fn event(payload: &[u8], written: Timestamp) -> Option<ToldLag> {
    let e: Event = serde_json::from_slice(payload).ok()?;
    let short = [&e.cluster, &e.group, &e.stream].iter().all(|n| n.len() <= NAME_BYTES);
    let at = match e.at {
        None | Some(serde_json::Value::Null) => written,
        Some(serde_json::Value::String(text)) => parse_time(&text).ok()?,
        Some(serde_json::Value::Number(number)) => parse_time(&number.to_string()).ok()?,
        Some(_) => return None,
    };
    let waits = e.oldest_pending_seconds.filter(|s| s.is_finite() && *s >= 0.0);
    (e.kind == "lag" && short && waits == e.oldest_pending_seconds).then_some(ToldLag {
        cluster: e.cluster,
        group: e.group,
        stream: e.stream,
        partition: e.partition,
        committed: e.committed,
        end: e.end,
        start: e.start,
        pending: e.pending,
        oldest_pending_seconds: waits,
        at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_the_contract_and_nothing_else() {
        let at = Timestamp::from_seconds(50);
        let all = br#"{"type":"lag","cluster":"main","group":"g","stream":"s","partition":2,"committed":5,"end":9,
            "start":1,"pending":3,"oldest_pending_seconds":1.5,"at":"1970-01-01T00:01:00Z","more":1}"#;
        let told = event(all, at).unwrap();
        assert_eq!((told.committed, told.end, told.start, told.pending), (Some(5), Some(9), Some(1), Some(3)));
        assert_eq!((told.partition, told.at), (2, Timestamp::from_seconds(60)));
        let least = event(br#"{"type":"lag","cluster":"c","group":"g","stream":"s"}"#, at).unwrap();
        assert_eq!((least.at, least.pending, least.partition), (at, None, 0));
        for wrong in [
            &b"{}"[..],
            br#"{"type":"event","cluster":"c","group":"g","stream":"s"}"#,
            br#"{"type":"lag","cluster":"c","group":"g","stream":"s","at":true}"#,
            br#"{"type":"lag","cluster":"c","group":"g","stream":"s","committed":-1}"#,
            br#"{"type":"lag","cluster":"c","group":"g","stream":"s","pending":1,"oldest_pending_seconds":-1}"#,
            b"\xff",
        ] {
            assert_eq!(event(wrong, at), None, "{}", String::from_utf8_lossy(wrong));
        }
    }

    #[test]
    fn the_newest_counts_in_any_order() {
        let mut newest = HashMap::new();
        for (at, committed) in [(1, 10), (3, 30), (2, 20)] {
            let told = event(br#"{"type":"lag","cluster":"c","group":"g","stream":"s"}"#, Timestamp(at)).unwrap();
            take(&mut newest, ToldLag { committed: Some(committed), ..told });
        }
        assert_eq!(newest.values().map(|t| t.committed).collect::<Vec<_>>(), [Some(30)]);
    }
}
