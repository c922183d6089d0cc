//! The two opinions side by side: what the product shows against what the oracle expects.
//!
//! [`Shown`] is what the product shows of one flow, from the read model or from the JSON API; both go
//! through the same [`flow`]. Every difference is a line that names the number and both values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use streamgauge::model::{MICROS_PER_SECOND, Outcome, Timestamp};
use streamgauge::snapshot::{FlowView, LatencyView, Point, Snapshot, StageView, WINDOWS};

use super::oracle::exact::{is_top_edge, percentile, stands_for};
use super::oracle::expected::StageExpected;
use super::oracle::transaction::Clock;
use super::oracle::{Expected, FlowExpected};

/// Counters that the oracle has an opinion on.
const TOTALS: [&str; 13] = [
    "events",
    "started",
    "in_flight",
    "ended",
    "recovered",
    "joined",
    "open_ended",
    "after_end",
    "evicted",
    "unexplained",
    "duplicates",
    "late",
    "negative",
];

/// One flow as shown.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Where its windows end.
    pub watermark: Option<i64>,
    /// Counters by name; outcomes by `outcomes.NAME`.
    pub totals: BTreeMap<String, u64>,
    /// Windows by name.
    pub windows: BTreeMap<String, ShownWindow>,
    /// Stages: events, waiting.
    pub stages: BTreeMap<String, (u64, u64)>,
    /// Hops: latency by window.
    pub hops: BTreeMap<(String, String), BTreeMap<String, ShownLatency>>,
    /// Id of the transaction longest in flight.
    pub oldest: Option<String>,
}

/// One window as shown.
#[derive(Clone, Debug, Default)]
pub struct ShownWindow {
    /// First second and end, microseconds.
    pub span: Option<(i64, i64)>,
    /// The state is as old as the window.
    pub complete: bool,
    /// Rates: ended, events.
    pub rates: (Option<f64>, Option<f64>),
    /// By outcome name.
    pub outcomes: BTreeMap<String, u64>,
    /// Recovered; `None` where it is not shown.
    pub recovered: Option<u64>,
    /// By outcome name.
    pub latency: BTreeMap<String, ShownLatency>,
}

/// One histogram as shown.
#[derive(Clone, Debug, Default)]
pub struct ShownLatency {
    /// Clock.
    pub clock: String,
    /// Samples, and those below zero.
    pub count: (u64, u64),
    /// p50, p95, p99, max.
    pub values: [Option<f64>; 4],
}

impl Shown {
    /// From the read model.
    pub fn from_view(view: &FlowView) -> Self {
        let totals = serde_json::to_value(&view.totals).expect("plain numbers");
        let span = |from: Option<Timestamp>, to: Option<Timestamp>| from.zip(to).map(|(a, b)| (a.0, b.0));
        Self {
            watermark: view.watermark.map(|w| w.0),
            totals: totals_of(&totals),
            windows: view
                .windows
                .iter()
                .map(|w| {
                    let window = ShownWindow {
                        span: span(w.from, w.to),
                        complete: w.complete,
                        rates: (w.tps, w.events_per_second),
                        outcomes: counts_of(&serde_json::to_value(w.outcomes).expect("plain numbers")),
                        recovered: Some(w.recovered),
                        latency: w.latency_seconds.iter().map(|(k, l)| ((*k).to_owned(), l.into())).collect(),
                    };
                    (w.name.to_owned(), window)
                })
                .collect(),
            stages: view.stages.iter().map(|s| (s.name.clone(), (s.events, s.waiting))).collect(),
            hops: view
                .hops
                .iter()
                .map(|h| {
                    let names = WINDOWS.iter().map(|(name, _)| (*name).to_owned());
                    ((h.from.clone(), h.to.clone()), names.zip(h.windows.iter().map(Into::into)).collect())
                })
                .collect(),
            oldest: view.oldest.as_ref().map(|o| o.transaction_id.clone()),
        }
    }

    /// From `data` of `/api/v1/flows/{flow}`.
    pub fn from_json(data: &Value) -> Self {
        let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let object = |v: &Value| v.as_object().cloned().unwrap_or_default();
        let window = |w: &Value| ShownWindow {
            span: micros(&w["from"]).zip(micros(&w["to"])),
            complete: w["complete"] == true,
            rates: (w["tps"].as_f64(), w["events_per_second"].as_f64()),
            outcomes: counts_of(&w["outcomes"]),
            recovered: w["recovered"].as_u64(),
            latency: object(&w["latency_seconds"]).iter().map(|(k, l)| (k.clone(), l.into())).collect(),
        };
        Self {
            watermark: micros(&data["watermark"]),
            totals: totals_of(&data["totals"]),
            windows: object(&data["windows"]).iter().map(|(k, w)| (k.clone(), window(w))).collect(),
            stages: list(&data["stages"])
                .iter()
                .map(|s| {
                    let count = |name: &str| s[name].as_u64().unwrap_or(u64::MAX);
                    (text(&s["stage"]), (count("events"), count("waiting")))
                })
                .collect(),
            hops: list(&data["hops"])
                .iter()
                .map(|h| {
                    let windows = object(&h["windows"]).iter().map(|(k, l)| (k.clone(), l.into())).collect();
                    ((text(&h["from"]), text(&h["to"])), windows)
                })
                .collect(),
            oldest: data["oldest_in_flight"]["transaction_id"].as_str().map(str::to_owned),
        }
    }
}

impl From<&LatencyView> for ShownLatency {
    fn from(l: &LatencyView) -> Self {
        Self { clock: l.clock.to_owned(), count: (l.count, l.negative), values: [l.p50, l.p95, l.p99, l.max] }
    }
}

impl From<&Value> for ShownLatency {
    fn from(l: &Value) -> Self {
        Self {
            clock: l["clock"].as_str().unwrap_or_default().to_owned(),
            count: (l["count"].as_u64().unwrap_or(u64::MAX), l["negative"].as_u64().unwrap_or(u64::MAX)),
            values: ["p50", "p95", "p99", "max"].map(|name| l[name].as_f64()),
        }
    }
}

/// Microseconds of a time in JSON: RFC 3339.
fn micros(v: &Value) -> Option<i64> {
    v.as_str().and_then(|s| s.parse::<jiff::Timestamp>().ok()).map(jiff::Timestamp::as_microsecond)
}

fn counts_of(v: &Value) -> BTreeMap<String, u64> {
    v.as_object().into_iter().flatten().filter_map(|(k, n)| Some((k.clone(), n.as_u64()?))).collect()
}

fn totals_of(v: &Value) -> BTreeMap<String, u64> {
    let outcomes = counts_of(&v["outcomes"]).into_iter().map(|(k, n)| (format!("outcomes.{k}"), n));
    counts_of(v).into_iter().chain(outcomes).collect()
}

/// Differences found so far.
#[derive(Default)]
pub struct Differences(pub Vec<String>);

impl Differences {
    fn check<T: PartialEq + std::fmt::Debug>(&mut self, what: impl FnOnce() -> String, shown: &T, expected: &T) {
        if shown != expected {
            self.0.push(format!("{}: shown {shown:?}, expected {expected:?}", what()));
        }
    }
}

/// Everything that a snapshot says of flows and streams.
pub fn snapshot(snapshot: &Snapshot, expected: &Expected) -> Vec<String> {
    all_but(&[], snapshot, expected)
}

/// The same without the flows that are `left_out`, and of streams only what does not depend on them.
pub fn all_but(left_out: &[&str], snapshot: &Snapshot, expected: &Expected) -> Vec<String> {
    let mut out = Differences::default();
    out.check(|| "books_error".into(), &snapshot.engine.books_error, &None);
    let names: Vec<&String> =
        snapshot.flows.iter().filter(|f| f.totals.events + f.totals.duplicates > 0).map(|f| &f.name).collect();
    let wanted: Vec<&String> = expected.flows.keys().collect();
    out.check(|| "flows".into(), &names, &wanted);
    for view in snapshot.flows.iter().filter(|f| !left_out.contains(&f.name.as_str())) {
        if let Some(flow_expected) = expected.flows.get(&view.name) {
            flow(&view.name, &Shown::from_view(view), flow_expected, &mut out);
            history(view, flow_expected, &mut out);
            for stage in &view.stages {
                let wanted = flow_expected.stages.get(&stage.name).map_or([0; 5], |s| s.by_status);
                out.check(|| format!("{}/{} by status", view.name, stage.name), &stage.by_status, &wanted);
                stage_rates(&view.name, stage, view.windows.iter().map(|w| w.complete), flow_expected, &mut out);
            }
        }
    }
    for ((cluster, stream), wanted) in &expected.streams {
        let Some(view) = snapshot.streams.iter().find(|s| s.cluster == *cluster && s.stream == *stream) else {
            out.0.push(format!("stream {stream} is not shown"));
            continue;
        };
        if left_out.is_empty() {
            out.check(|| format!("{stream} events"), &view.events, &wanted.events);
        }
        out.check(|| format!("{stream} opaque"), &view.opaque, &wanted.opaque);
        out.check(|| format!("{stream} tombstones"), &view.tombstones, &wanted.tombstones);
        out.check(|| format!("{stream} decode errors"), &view.decode_errors, &wanted.undecodable);
    }
    out.0
}

/// Events and errors per second of a stage, in the windows that are complete.
fn stage_rates(
    flow: &str,
    stage: &StageView,
    complete: impl Iterator<Item = bool>,
    expected: &FlowExpected,
    out: &mut Differences,
) {
    let Some(to) = expected.complete_until() else { return };
    for (i, _) in complete.enumerate().filter(|(_, complete)| *complete) {
        let (window, length) = WINDOWS[i];
        let seconds = expected.stages.get(&stage.name).map(|s| s.seconds.range(to - length..to));
        let (events, errors) = seconds.into_iter().flatten().fold((0, 0), |sum, (_, n)| (sum.0 + n.0, sum.1 + n.1));
        for (what, rate, n) in [("events", stage.per_second[i], events), ("errors", stage.errors_per_second[i], errors)]
        {
            let wanted = n as f64 / length as f64;
            if rate.is_none_or(|r| (r - wanted).abs() > 1e-6) {
                out.0.push(format!(
                    "{flow}/{} {what} per second in {window}: shown {rate:?}, expected {wanted}",
                    stage.name
                ));
            }
        }
    }
}

/// One flow, by whatever way it was shown.
pub fn flow(name: &str, shown: &Shown, expected: &FlowExpected, out: &mut Differences) {
    let wanted = totals_of(&serde_json::to_value(&expected.totals).expect("plain numbers"));
    let blurred = expected.doubtful > 0;
    let vague = |key: &str| blurred && ["ended", "unexplained", "outcomes.timed_out"].contains(&key);
    let number = |t: &BTreeMap<String, u64>, key: &str| t.get(key).copied().unwrap_or(0);
    let unended = |t: &BTreeMap<String, u64>| number(t, "unexplained") + number(t, "outcomes.timed_out");
    out.check(|| format!("{name} unexplained and timed_out"), &unended(&shown.totals), &unended(&wanted));
    let unexplained = (number(&shown.totals, "unexplained"), number(&wanted, "unexplained"));
    if blurred && !(unexplained.1..=unexplained.1 + expected.doubtful).contains(&unexplained.0) {
        out.0.push(format!("{name} (shown, expected) unexplained {unexplained:?}, {} more at most", expected.doubtful));
    }
    for key in TOTALS.iter().map(|t| (*t).to_owned()).chain(Outcome::ALL.map(|o| format!("outcomes.{}", o.name()))) {
        // JSON of the contract leaves some counters out; what is shown must be right.
        if let Some(number) = shown.totals.get(&key).filter(|_| !vague(&key)) {
            out.check(|| format!("{name} totals.{key}"), number, &wanted[&key]);
        }
    }
    for (stage, number) in &shown.stages {
        let empty = StageExpected::default();
        let wanted = expected.stages.get(stage).unwrap_or(&empty);
        let wanted = (wanted.by_status.iter().sum(), wanted.waiting);
        out.check(|| format!("{name}/{stage} (events, waiting)"), number, &wanted);
    }
    for stage in expected.stages.keys().filter(|s| !s.is_empty() && !shown.stages.contains_key(*s)) {
        out.0.push(format!("{name}/{stage} is not shown"));
    }
    let oldest = expected.in_flight.first().map(|(cut, _)| *cut);
    let found = shown.oldest.as_ref().map(|id| expected.verdicts.get(id).map_or(i64::MIN, |v| v.start.0));
    out.check(|| format!("{name} start of the oldest in flight"), &found, &oldest);
    for (window, length) in WINDOWS {
        if let (Some(to), Some(shown_window)) = (expected.complete_until(), shown.windows.get(window)) {
            window_of(&format!("{name} {window}"), shown_window, expected, (to - length, to), out);
        }
        hops_of(name, window, length, shown, expected, out);
    }
}

fn window_of(name: &str, shown: &ShownWindow, expected: &FlowExpected, (from, to): (i64, i64), out: &mut Differences) {
    // While the state is younger than the window, it begins with the first event.
    let first = expected.first_second().unwrap_or(from);
    out.check(|| format!("{name} complete"), &shown.complete, &(first <= from));
    let begin = from.max(first).min(to);
    out.check(|| format!("{name} span"), &shown.span, &Some((begin * MICROS_PER_SECOND, to * MICROS_PER_SECOND)));
    let mut ended = [0u64; 5];
    let mut latencies: BTreeMap<&str, Vec<(i64, Clock)>> = BTreeMap::new();
    let (mut recovered, mut events) = (0, 0);
    for second in expected.range(from, to) {
        (0..5).for_each(|o| ended[o] += second.ended[o]);
        recovered += second.recovered;
        events += second.events;
        for sample in &second.latencies {
            latencies.entry(sample.outcome.name()).or_default().push((sample.micros, sample.clock));
        }
    }
    for outcome in Outcome::ALL.into_iter().filter(|o| expected.doubtful == 0 || *o != Outcome::TimedOut) {
        let number = shown.outcomes.get(outcome.name()).copied().unwrap_or(0);
        out.check(|| format!("{name} outcomes.{}", outcome.name()), &number, &ended[outcome as usize]);
    }
    if let Some(number) = shown.recovered {
        out.check(|| format!("{name} recovered"), &number, &recovered);
    }
    if begin < to {
        let per_second = |n: u64| n as f64 / (to - begin) as f64;
        for (what, rate, wanted) in [("tps", shown.rates.0, ended.iter().sum()), ("events/s", shown.rates.1, events)] {
            if expected.doubtful > 0 && what == "tps" {
                continue;
            }
            if rate.is_some_and(|r| (r - per_second(wanted)).abs() > 1e-6) {
                out.0.push(format!("{name} {what}: shown {rate:?}, expected {}", per_second(wanted)));
            }
        }
    }
    for (outcome, samples) in &latencies {
        latency_of(&format!("{name} latency of {outcome}"), shown.latency.get(*outcome), samples, out);
    }
    for (outcome, l) in shown.latency.iter().filter(|(o, l)| l.count.0 > 0 && !latencies.contains_key(o.as_str())) {
        out.0.push(format!("{name} latency of {outcome}: shown {} samples, expected none", l.count.0));
    }
}

fn hops_of(name: &str, window: &str, length: i64, shown: &Shown, expected: &FlowExpected, out: &mut Differences) {
    let Some(to) = expected.complete_until() else { return };
    for ((a, b), windows) in &shown.hops {
        let samples = expected.hops.get(&(a.clone(), b.clone())).into_iter().flatten();
        let within = samples.filter(|s| s.second.is_some_and(|s| (to - length..to).contains(&s)));
        let within: Vec<_> = within.map(|s| (s.micros, s.clock)).collect();
        latency_of(&format!("{name} {window} hop {a} > {b}"), windows.get(window), &within, out);
    }
    for (a, b) in expected.hops.keys().filter(|k| !shown.hops.contains_key(*k)) {
        out.0.push(format!("{name} hop {a} > {b} is not shown"));
    }
}

/// One histogram against its samples.
pub fn latency_of(name: &str, shown: Option<&ShownLatency>, samples: &[(i64, Clock)], out: &mut Differences) {
    let Some(shown) = shown else {
        if !samples.is_empty() {
            out.0.push(format!("{name}: not shown, expected {} samples", samples.len()));
        }
        return;
    };
    let mut sorted: Vec<i64> = samples.iter().map(|s| s.0).collect();
    sorted.sort_unstable();
    let negative = sorted.partition_point(|m| *m < 0) as u64;
    out.check(|| format!("{name} (count, negative)"), &shown.count, &(sorted.len() as u64, negative));
    if shown.count.0 != sorted.len() as u64 {
        return;
    }
    if let Some(clock) = samples.iter().map(|s| s.1).reduce(Clock::both) {
        out.check(|| format!("{name} clock"), &shown.clock.as_str(), &clock.name());
    }
    for (value, (what, q)) in shown.values.iter().zip([("p50", 0.5), ("p95", 0.95), ("p99", 0.99)]) {
        let exact = percentile(&sorted, q);
        let right = match (value, exact) {
            (Some(v), Some(e)) => stands_for(*v, e),
            (None, None) => true,
            _ => false,
        };
        if !right {
            out.0.push(format!("{name} {what}: shown {value:?}, expected {exact:?} us"));
        }
    }
    if let Some(greatest) = sorted.last()
        && !shown.values[3].is_some_and(|m| is_top_edge(m, *greatest))
    {
        out.0.push(format!("{name} max: shown {:?}, greatest {greatest} us", shown.values[3]));
    }
}

/// The points of the charts, as far as one-second history reaches.
fn history(view: &FlowView, expected: &FlowExpected, out: &mut Differences) {
    let Some(to) = expected.complete_until() else { return };
    for series in [&view.history.s1, &view.history.s10, &view.history.m1] {
        let step = series.step;
        let (from, until) = ((to - 3_000).div_euclid(step) * step, to.div_euclid(step) * step);
        let known = |mut ended: [u64; 5]| {
            ended[Outcome::TimedOut as usize] *= u64::from(expected.doubtful == 0);
            ended
        };
        let mut wanted: BTreeMap<i64, (u64, u64, [u64; 5])> = BTreeMap::new();
        for (t, second) in expected.seconds.range(from..until) {
            let sum = wanted.entry(t.div_euclid(step) * step).or_default();
            *sum = (sum.0 + second.events, sum.1 + second.started, sum.2);
            (0..5).for_each(|o| sum.2[o] += known(second.ended)[o]);
        }
        let count = |p: &Point| (u64::from(p.events), u64::from(p.started), known(p.ended.map(u64::from)));
        let mut shown: BTreeMap<_, _> = series.range(from, until).map(|p| (p.t, count(p))).collect();
        let nothing = (0, 0, [0; 5]);
        wanted.retain(|_, n| *n != nothing);
        shown.retain(|_, n| *n != nothing);
        let times: BTreeSet<i64> = wanted.keys().chain(shown.keys()).copied().collect();
        for t in times {
            out.check(|| format!("{} history {step} s at {t}", view.name), &shown.get(&t), &wanted.get(&t));
        }
    }
}
