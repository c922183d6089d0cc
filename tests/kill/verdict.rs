//! What the process shows over HTTP against what the oracle expects.

use std::collections::BTreeMap;

use serde_json::Value;
use streamgauge::model::{MICROS_PER_SECOND, Outcome, Status, Timestamp};

use crate::lives::{Lives, PATIENCE, watermark};
use crate::readings::Readings;
use crate::support::compare::{self, Differences};
use crate::support::oracle::{Expected, FlowExpected, Oracle, Sample};
use crate::support::process::until;

/// Times in the API end at the millisecond.
const WITHIN_A_MILLISECOND: i64 = 999;
/// A transaction enters `/metrics` this long after its end, in time of the watermark.
const SETTLE: i64 = 10 * MICROS_PER_SECOND;

/// The first differences; a defect has thousands.
pub fn brief(found: &[String]) -> String {
    found.iter().take(40).cloned().collect::<Vec<_>>().join("\n")
}

/// Everything that one process shows, taken at one quiet time.
pub struct Shown {
    flows: BTreeMap<String, Value>,
    streams: Vec<Value>,
    sources: Vec<Value>,
    metrics: Readings,
}

impl Shown {
    /// Asks for all of it; `/metrics` once it has caught up with the pages.
    pub fn take(lives: &Lives<'_>) -> Self {
        let server = lives.server();
        let list = |v: Value| v.as_array().cloned().expect("a list");
        let names = list(server.data("/api/v1/flows")["flows"].clone());
        let names = names.iter().map(|f| f["flow"].as_str().expect("a name").to_owned());
        let flows: BTreeMap<_, _> = names.map(|n| (n.clone(), server.data(&format!("/api/v1/flows/{n}")))).collect();
        let settled = |page: &Readings| {
            let started = |flow: &str| flows[flow]["totals"]["started"].as_f64();
            let mut shown = page.of("streamgauge_transactions_started_total");
            shown.all(|s| Some(s.value) >= started(s.label("flow")))
        };
        let metrics = until("a checkpoint of all that is shown", PATIENCE, || {
            let page = Readings::parse(&server.get("/metrics").text()).expect("a page of metrics");
            (page.of("streamgauge_transactions_started_total").count() >= flows.len() && settled(&page)).then_some(page)
        });
        Self {
            streams: list(server.data("/api/v1/streams")["streams"].clone()),
            sources: list(server.data("/api/v1/sources")["sources"].clone()),
            flows,
            metrics,
        }
    }

    /// All differences.
    pub fn compare(&self, oracle: &Oracle<'_>) -> Vec<String> {
        let at = |more: i64| {
            let shown = |name: &str| self.flows.get(name).and_then(watermark);
            oracle.at(&|name| shown(name).map(|w| Timestamp(w + more)))
        };
        let expected = at(WITHIN_A_MILLISECOND);
        let mut out = Differences::default();
        self.flows(&expected, &mut out);
        if !out.0.is_empty() {
            // The true watermark lies between its millisecond and the next one.
            let mut again = Differences::default();
            self.flows(&at(0), &mut again);
            if again.0.is_empty() {
                out = again;
            }
        }
        self.streams(&expected, &mut out.0);
        self.metrics(oracle, &expected, &mut out.0);
        out.0
    }

    fn flows(&self, expected: &Expected, out: &mut Differences) {
        for name in expected.flows.keys().filter(|name| !self.flows.contains_key(*name)) {
            out.0.push(format!("flow {name} is not shown"));
        }
        for (name, data) in &self.flows {
            let Some(wanted) = expected.flows.get(name) else {
                if data["totals"]["events"] != 0 {
                    out.0.push(format!("flow {name} is nobody's"));
                }
                continue;
            };
            compare::flow(name, &compare::Shown::from_json(data), wanted, out);
            books(name, data, &mut out.0);
            waiting(name, data, wanted, &mut out.0);
        }
    }

    fn streams(&self, expected: &Expected, out: &mut Vec<String>) {
        for ((_, name), wanted) in &expected.streams {
            let Some(shown) = self.streams.iter().find(|s| s["stream"] == name.as_str()) else {
                out.push(format!("stream {name} is not shown"));
                continue;
            };
            let numbers = [("events", wanted.events), ("opaque", wanted.opaque), ("tombstones", wanted.tombstones)];
            for (what, wanted) in numbers {
                same(&format!("stream {name} {what}"), shown[what].as_u64(), Some(wanted), out);
            }
            for (reason, wanted) in &wanted.undecodable {
                same(&format!("stream {name} {reason}"), shown["undecodable"][reason].as_u64(), Some(*wanted), out);
            }
        }
        for source in &self.sources {
            let name = format!("{}-{}", source["stream"], source["partition"]);
            same(&format!("{name} expired"), source["expired"].as_u64(), Some(0), out);
            same(&format!("{name} next"), source["next"].as_u64(), source["end"].as_u64(), out);
        }
    }

    fn metrics(&self, oracle: &Oracle<'_>, expected: &Expected, out: &mut Vec<String>) {
        let page = &self.metrics;
        let value = |name: &str, labels: &[(&str, &str)]| {
            let mut found = page.of(name).filter(|s| labels.iter().all(|(l, v)| s.label(l) == *v));
            found.next().map(|s| s.value as u64)
        };
        for (flow, wanted) in &expected.flows {
            let of = [("flow", flow.as_str())];
            let total = |name: &str| value(&format!("streamgauge_{name}_total"), &of);
            same(&format!("/metrics {flow} started"), total("transactions_started"), Some(wanted.totals.started), out);
            same(&format!("/metrics {flow} duplicates"), total("duplicates"), Some(wanted.totals.duplicates), out);
            // What was taken back when more became known stays counted: these may be more, never less.
            for (name, least) in [("recovered", wanted.totals.recovered), ("after_end", wanted.totals.after_end)] {
                if total(name).is_none_or(|shown| shown < least) {
                    out.push(format!("/metrics {flow} {name}: shown {:?}, expected {least} or more", total(name)));
                }
            }
            for (stage, numbers) in wanted.stages.iter().filter(|(s, _)| !s.is_empty()) {
                for (status, n) in Status::ALL.iter().zip(numbers.by_status).filter(|(_, n)| *n > 0) {
                    let labels = [("flow", flow.as_str()), ("stage", stage), ("status", status.name())];
                    let what = format!("/metrics {flow}/{stage} {}", status.name());
                    same(&what, value("streamgauge_events_total", &labels), Some(n), out);
                }
            }
            outcomes(page, flow, wanted, out);
            let (stable, moved) = oracle.settled(flow, wanted.watermark, SETTLE);
            durations(page, flow, &stable, &moved, out);
        }
        for ((_, name), wanted) in &expected.streams {
            let of = [("stream", name.as_str())];
            same(&format!("/metrics {name}"), value("streamgauge_stream_events_total", &of), Some(wanted.events), out);
            for (reason, n) in &wanted.undecodable {
                let labels = [("stream", name.as_str()), ("reason", *reason)];
                let what = format!("/metrics {name} {reason}");
                same(&what, value("streamgauge_decode_errors_total", &labels), Some(*n), out);
            }
        }
    }
}

fn same(what: &str, shown: Option<u64>, expected: Option<u64>, out: &mut Vec<String>) {
    if shown != expected {
        out.push(format!("{what}: shown {shown:?}, expected {expected:?}"));
    }
}

/// `started` is accounted for, by the numbers as they are shown; and they are exact, or say so.
fn books(name: &str, data: &Value, out: &mut Vec<String>) {
    let totals = &data["totals"];
    let number = |what: &str| totals[what].as_u64().unwrap_or(u64::MAX / 100);
    let outcomes = totals["outcomes"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum::<u64>();
    let left = ["in_flight", "open_ended", "evicted", "unexplained"].into_iter().map(number).sum::<u64>();
    same(&format!("{name} books"), Some(outcomes + left), Some(number("started")), out);
    if !data["inexact_since"].is_null() {
        out.push(format!("{name} is inexact: {}", data["inexact_since"]));
    }
}

/// Whoever is listed as stuck is in flight, and waits where the oracle says.
fn waiting(name: &str, data: &Value, expected: &FlowExpected, out: &mut Vec<String>) {
    let listed = data["stuck_transactions"].as_array().cloned().unwrap_or_default();
    for row in listed.iter().chain([&data["oldest_in_flight"]]).filter(|row| !row.is_null()) {
        let id = row["transaction_id"].as_str().unwrap_or_default();
        let Some(verdict) = expected.verdicts.get(id).filter(|_| expected.in_flight.iter().any(|(_, i)| i == id))
        else {
            out.push(format!("{name}: {id} is not in flight, shown {row}"));
            continue;
        };
        if row["waiting_at"] != verdict.waiting_at.as_str() {
            out.push(format!("{name}: {id} waits at {}, shown {row}", verdict.waiting_at));
        }
        let started = row["started_at"].as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok());
        if started.map(|t| t.as_millisecond()) != Some(verdict.start.0.div_euclid(1_000)) {
            out.push(format!("{name}: {id} started at {}, shown {row}", verdict.start.0));
        }
    }
    if listed.len() < 50 {
        same(&format!("{name} stuck"), Some(listed.len() as u64), data["stuck"].as_u64(), out);
    }
}

/// Settled ends and their corrections are the live totals; only what times out is still on its way.
fn outcomes(page: &Readings, flow: &str, expected: &FlowExpected, out: &mut Vec<String>) {
    let sum = |name: &str, label: &str, value: &str| -> f64 {
        let samples = page.of(name).filter(|s| s.label("flow") == flow && s.label(label) == value);
        samples.map(|s| s.value).sum()
    };
    for (outcome, live) in Outcome::ALL.iter().zip(expected.totals.outcomes.as_array()) {
        let name = outcome.name();
        let settled = sum("streamgauge_transactions_total", "outcome", name);
        let came = sum("streamgauge_transaction_corrections_total", "to", name);
        let went = sum("streamgauge_transaction_corrections_total", "from", name);
        let shown = settled + came - went;
        let right = if *outcome == Outcome::TimedOut { shown >= 0.0 } else { shown == live as f64 };
        if !right {
            out.push(format!("/metrics {flow} {name}: {settled} + {came} - {went}, live {live}"));
        }
    }
}

/// Cumulated buckets against exact latencies. What moved after it was settled may stand in either bucket.
fn durations(page: &Readings, flow: &str, stable: &[Sample], moved: &[Sample], out: &mut Vec<String>) {
    const NAME: &str = "streamgauge_transaction_duration_seconds";
    let of = |s: &&Sample, outcome: &str, clock: &str| s.outcome.name() == outcome && s.clock.name() == clock;
    let buckets = format!("{NAME}_bucket");
    let mut shown: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for bucket in page.of(&buckets).filter(|s| s.label("flow") == flow) {
        let (outcome, clock) = (bucket.label("outcome"), bucket.label("clock"));
        *shown.entry((outcome, clock)).or_default() += 1;
        let bound: f64 = bucket.label("le").replace("+Inf", "inf").parse().expect("a bound");
        let within = |s: &&Sample| s.micros as f64 / 1e6 <= bound;
        let least = stable.iter().filter(|s| of(s, outcome, clock) && within(s)).count();
        let most = least + moved.iter().filter(|s| s.outcome.name() == outcome).count();
        if !(least as f64..=most as f64).contains(&bucket.value) {
            let le = bucket.label("le");
            out.push(format!(
                "/metrics {flow} {outcome} {clock} le {le}: shown {}, expected {least}..={most}",
                bucket.value
            ));
        }
    }
    for outcome in Outcome::ALL {
        for clock in ["event", "record", "mixed"] {
            let samples = stable.iter().any(|s| of(&s, outcome.name(), clock));
            let buckets = shown.get(&(outcome.name(), clock)).copied().unwrap_or(0);
            if samples && buckets != 23 {
                out.push(format!("/metrics {flow} {} {clock}: {buckets} buckets instead of 23", outcome.name()));
            }
        }
    }
    let (all, rest) = (stable.len() + moved.len(), moved.len());
    println!("/metrics {flow}: {all} latencies, of which {rest} moved after they were settled");
    if rest * 10 > all {
        out.push(format!("{flow}: {rest} of {all} latencies moved: too many to believe the rest"));
    }
}
