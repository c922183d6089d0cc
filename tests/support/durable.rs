//! What `/metrics` may show: counters that never decrease, and that agree with the live state in the end.

use std::collections::BTreeMap;

use streamgauge::snapshot::{Durable, DurableFlow, HistogramView, Snapshot};

/// Every counter and bucket by a name of its own.
pub fn counters(durable: &Durable) -> BTreeMap<String, f64> {
    let mut out = BTreeMap::new();
    for flow in &durable.flows {
        let mut put = |name: String, n: u64| {
            out.insert(format!("{}.{name}", flow.name), n as f64);
        };
        for (stage, status, n) in &flow.events {
            put(format!("events.{stage}.{status}"), *n);
        }
        for (o, n) in flow.ended.iter().enumerate() {
            put(format!("ended.{o}"), *n);
        }
        for (from, to, n) in &flow.corrections {
            put(format!("corrections.{from}.{to}"), *n);
        }
        for (name, n) in [
            ("started", flow.started),
            ("recovered", flow.recovered),
            ("after_end", flow.after_end),
            ("evicted", flow.evicted),
            ("late", flow.late),
            ("duplicates", flow.duplicates),
        ] {
            put(name.to_owned(), n);
        }
        for (outcome, clock, h) in &flow.durations {
            histogram(&format!("duration.{outcome}.{clock}"), h, &mut put);
        }
        for (from, to, clock, h) in &flow.hops {
            histogram(&format!("hop.{from}.{to}.{clock}"), h, &mut put);
        }
    }
    for stream in &durable.streams {
        out.insert(format!("stream.{}.events", stream.stream), stream.events as f64);
        for (reason, n) in &stream.decode_errors {
            out.insert(format!("stream.{}.{reason}", stream.stream), *n as f64);
        }
    }
    out
}

fn histogram(name: &str, h: &HistogramView, put: &mut dyn FnMut(String, u64)) {
    put(format!("{name}.count"), h.count);
    put(format!("{name}.zero"), h.zero);
    for (i, n) in &h.positive {
        put(format!("{name}.+{i}"), *n);
    }
    for (i, n) in &h.negative {
        put(format!("{name}.-{i}"), *n);
    }
}

/// Counters that are less than they were, and histograms whose buckets do not add up.
pub fn never_decreases(before: &Durable, after: &Durable) -> Vec<String> {
    let now = counters(after);
    let mut found: Vec<String> = counters(before)
        .into_iter()
        .filter_map(|(name, was)| {
            let is = now.get(&name).copied();
            (is.is_none_or(|is| is < was)).then(|| format!("counter {name} was {was}, is {is:?}"))
        })
        .collect();
    for flow in &after.flows {
        let durations = flow.durations.iter().map(|(o, c, h)| (format!("{o}.{c}"), h));
        let hops = flow.hops.iter().map(|(a, b, c, h)| (format!("{a}.{b}.{c}"), h));
        for (name, h) in durations.chain(hops) {
            let sum = h.zero + h.positive.iter().chain(&h.negative).map(|(_, n)| n).sum::<u64>();
            if sum != h.count {
                found.push(format!("{} histogram {name}: count {} but buckets hold {sum}", flow.name, h.count));
            }
        }
    }
    found
}

/// Once everything is settled: exported ends plus their corrections are the live totals.
pub fn settled(snapshot: &Snapshot, durable: &Durable) -> Vec<String> {
    let mut found = Vec::new();
    let none = DurableFlow::default();
    for flow in snapshot.flows.iter() {
        let exported = durable.flows.iter().find(|f| f.name == flow.name).unwrap_or(&none);
        let live = flow.totals.outcomes.as_array();
        for (o, outcome) in streamgauge::model::Outcome::ALL.iter().enumerate() {
            let moved = |end: fn(&(&'static str, &'static str, u64)) -> &'static str| {
                exported.corrections.iter().filter(|c| end(c) == outcome.name()).map(|c| c.2).sum::<u64>()
            };
            if exported.ended[o] + moved(|c| c.1) != live[o] + moved(|c| c.0) {
                let (ended, corrections) = (exported.ended[o], &exported.corrections);
                let name = outcome.name();
                found.push(format!("{} {name}: exported {ended}, {corrections:?}, live {}", flow.name, live[o]));
            }
        }
        // These may have been higher for a while; they are ratchets.
        let least = [
            ("started", exported.started, flow.totals.started),
            ("recovered", exported.recovered, flow.totals.recovered),
            ("after_end", exported.after_end, flow.totals.after_end),
            ("late", exported.late, flow.totals.late),
            ("duplicates", exported.duplicates, flow.totals.duplicates),
        ];
        for (what, shown, live) in least {
            if shown < live {
                found.push(format!("{} {what}: exported {shown}, live {live}", flow.name));
            }
        }
    }
    found
}
