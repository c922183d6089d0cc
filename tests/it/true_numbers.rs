//! Promise 1, in the process: percentiles are within 1.1 % of those of an exact sort, whatever the distribution.

use streamgauge::snapshot::{HistogramView, LatencyView};

use crate::support::oracle::exact::{buckets, is_top_edge, percentile, stands_for};
use crate::support::record::Record;
use crate::support::rng::Rng;
use crate::support::story::{Story, at, event, flow};

const SAMPLES: usize = 5_000;

/// Latencies in microseconds by a law with a name.
fn laws() -> Vec<(&'static str, Vec<i64>)> {
    let mut rng = Rng::new(1_234);
    let mut draw = |law: &mut dyn FnMut(&mut Rng) -> f64| -> Vec<i64> {
        (0..SAMPLES).map(|_| (law(&mut rng) * 1e6).round() as i64).collect()
    };
    vec![
        ("uniform", draw(&mut |r| r.unit() * 10.0)),
        ("lognormal", draw(&mut |r| (r.normal() * 1.2 - 2.0).exp())),
        ("bimodal", draw(&mut |r| if r.chance(0.9) { 0.020 + r.unit() * 0.002 } else { 4.0 + r.unit() })),
        ("heavy tail", draw(&mut |r| (0.01 / (1.0 - r.unit()).powf(1.3)).min(900_000.0))),
        ("constant", draw(&mut |_| 0.25)),
        ("power of two", draw(&mut |r| f64::from(1u32 << r.below(12)) / 64.0)),
        ("tiny", draw(&mut |r| 1e-6 * (1.0 + r.below(30) as f64))),
        ("huge", draw(&mut |r| 86_400.0 * (1.0 + r.unit() * 3_000.0))),
        ("negative", draw(&mut |r| -(r.normal() * 0.8).exp())),
        ("around zero", draw(&mut |r| (r.normal() * 1e5).round() / 1e6 * f64::from(u8::from(r.chance(0.8))))),
    ]
}

/// A run in which every transaction has one of these latencies; all of them end in the same few seconds.
/// Hands out the window of a minute and, once settled, the exported histogram.
fn shown(micros: &[i64]) -> (LatencyView, HistogramView) {
    let mut story = Story::new(vec![flow("checkout", &[], &["shipped"], None)]);
    let ends = micros.iter().enumerate().map(|(n, latency)| {
        let seconds = 10.0 + n as f64 / 1_000.0;
        Record { started_at: Some(at(seconds).plus(-latency)), ..event(seconds, &format!("t{n}"), "shipped") }
    });
    let orders = story.partition("orders", ends.collect());
    story.read(orders, usize::MAX);
    let last = 10.0 + micros.len() as f64 / 1_000.0;
    let view = story.agreed(at(last + 5.0));
    let minute = view.windows.iter().find(|w| w.name == "1m").expect("the window of a minute");
    story.confirm(at(last + 60.0));
    let durable = story.checkpoint().durable;
    let exported = durable.flows[0].durations.iter().find(|d| (d.0, d.1) == ("ok", "event")).expect("exported");
    (minute.latency_seconds["ok"].clone(), exported.2.clone())
}

#[test]
fn percentiles_are_those_of_an_exact_sort() {
    for (law, micros) in laws() {
        let (view, _) = shown(&micros);
        let mut sorted = micros.clone();
        sorted.sort_unstable();
        assert_eq!(view.count, SAMPLES as u64, "{law}");
        assert_eq!(view.negative, sorted.partition_point(|m| *m < 0) as u64, "{law}");
        for (name, q, value) in [("p50", 0.5, view.p50), ("p95", 0.95, view.p95), ("p99", 0.99, view.p99)] {
            let exact = percentile(&sorted, q).expect("samples");
            let value = value.unwrap_or_else(|| panic!("{law} {name} is unknown"));
            assert!(stands_for(value, exact), "{law} {name}: {value} s for {} s", exact as f64 / 1e6);
        }
        let greatest = *sorted.last().expect("samples");
        assert!(view.max.is_some_and(|m| is_top_edge(m, greatest)), "{law} max {:?} for {greatest} us", view.max);
    }
}

#[test]
fn exported_buckets_are_those_of_a_search_between_exact_edges() {
    for (law, micros) in laws() {
        let (_, exported) = shown(&micros);
        let (positive, negative, zero) = buckets(&micros);
        assert_eq!((exported.positive, exported.negative, exported.zero), (positive, negative, zero), "{law}");
        let sum = micros.iter().sum::<i64>() as f64 / 1e6;
        assert!((exported.sum - sum).abs() <= sum.abs() * 1e-9 + 1e-6, "{law}: sum {} for {sum}", exported.sum);
    }
}
