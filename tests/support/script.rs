//! Recorded inputs, told again: to another engine, or from another moment on.

use std::sync::Arc;

use streamgauge::engine::Engine;
use streamgauge::model::Input;
use streamgauge::snapshot::{Durable, FlowView, Snapshot, SourceView};

use super::store::{Handed, MemoryStore};

/// What an engine says that read at once what was written hours apart.
pub const LONG_OVER: &str = "a transaction that was long over began anew while it was still kept";

/// Tells one input; those that answer are not told this way.
pub fn feed(engine: &mut Engine, input: &Input) {
    match input {
        Input::Open(open) => engine.open(open),
        Input::Announced(cluster) => engine.announced(cluster),
        Input::Batch(batch) => engine.apply(batch),
        Input::Tail(tail) => engine.tail(tail),
        Input::State(source, state, at) => engine.state(source, state, *at),
        Input::Gap(source, from, to, at) => engine.gap(source, *from, *to, *at),
        Input::Cut(cut) => engine.cut(cut),
        Input::Tick(_) | Input::Checkpoint | Input::Asked => {}
    }
}

/// What an engine showed.
pub struct Shown {
    /// At each tick.
    pub snapshots: Vec<Arc<Snapshot>>,
    /// At each checkpoint.
    pub durables: Vec<Arc<Durable>>,
}

/// Tells a script to an engine and its store; hands out all that it showed.
pub fn tell(engine: &mut Engine, store: &mut MemoryStore, script: &[Input]) -> Shown {
    let mut shown = Shown { snapshots: Vec::new(), durables: Vec::new() };
    for input in script {
        match input {
            Input::Tick(now) => shown.snapshots.push(engine.tick(*now)),
            Input::Checkpoint => {
                let handed = Handed::from(engine.checkpoint());
                store.commit(&handed.changes);
                shown.durables.push(handed.durable);
            }
            other => feed(engine, other),
        }
    }
    shown
}

/// The first thing in which two snapshots differ that both must say alike. Which of several transactions stands for a
/// percentile may differ, which of several reasons is named first, and how far behind its bound the oldest history goes.
pub fn difference(a: &Snapshot, b: &Snapshot) -> Option<String> {
    first_difference(&told(a), &told(b)).or_else(|| a.flows.iter().zip(&b.flows).find_map(|(a, b)| history(a, b)))
}

/// All numbers of a snapshot but its history: one line for each thing.
fn told(snapshot: &Snapshot) -> String {
    let mut lines = Vec::new();
    for f in &snapshot.flows {
        let mut put = |what: String| lines.push(format!("{} {what}", f.name));
        // Whether it was seen for a moment that it is the same transaction begun anew depends on what was read first.
        let inexact = f.inexact.as_ref().is_some_and(|i| i.reason != LONG_OVER);
        put(format!("{:?} {:?} {inexact} {} {}", f.watermark, f.left_out, f.transactional, f.never_ends));
        put(format!("{:?} {:?}", f.totals, f.streams));
        for w in &f.windows {
            let mut w = w.clone();
            w.latency_seconds.values_mut().for_each(|l| l.exemplars.clear());
            put(format!("{w:?}"));
        }
        let mut stages: Vec<String> = f.stages.iter().map(|s| format!("{s:?}")).collect();
        stages.sort();
        stages.into_iter().for_each(&mut put);
        for h in &f.hops {
            let mut h = h.clone();
            h.windows.iter_mut().for_each(|l| l.exemplars.clear());
            put(format!("{h:?}"));
        }
        put(format!("oldest {:?}", f.oldest));
        put(format!("stuck {} {:?}", f.stuck_total, f.stuck));
    }
    lines.extend(snapshot.streams.iter().map(|s| format!("{s:?}")));
    // The newest record is learned anew with the next one: no number is made of it.
    lines.extend(snapshot.sources.iter().map(|s| format!("{:?}", SourceView { last: None, ..s.clone() })));
    lines.join("\n")
}

/// The first point in which the charts of a flow differ.
fn history(a: &FlowView, b: &FlowView) -> Option<String> {
    let series = |f: &FlowView| [f.history.s1.clone(), f.history.s10.clone(), f.history.m1.clone()];
    series(a).iter().zip(&series(b)).find_map(|(x, y)| {
        let from = if x.step == 1 { a.watermark.map_or(0, |w| w.second() - 3_000) } else { i64::MIN / 2 };
        let (mut p, mut q) = (x.range(from, i64::MAX), y.range(from, i64::MAX));
        loop {
            match (p.next(), q.next()) {
                (None, None) => return None,
                (p, q) if p == q => {}
                (p, q) => return Some(format!("{} {} s:\n    {p:?}\n    {q:?}", a.name, x.step)),
            }
        }
    })
}

/// The first line in which two texts differ.
fn first_difference(a: &str, b: &str) -> Option<String> {
    let mut pairs = a.lines().zip(b.lines());
    match pairs.find(|(x, y)| x != y) {
        Some((x, y)) => Some(format!("\n    {x}\n    {y}")),
        None => (a.lines().count() != b.lines().count()).then(|| "one says more than the other".to_owned()),
    }
}

/// Every record of a flow in the order of the log, for looking at a seed that failed.
pub fn records_of(flow: &str, seen: &[super::record::Seen], history: i64) -> String {
    let mut lines = Vec::new();
    for source in seen {
        let cuts = super::oracle::cut::cuts(source, history);
        for (record, cut) in source.records.iter().zip(cuts).filter(|(r, _)| r.flow == flow) {
            let seconds = |t: i64| (t - super::generate::EPOCH * 1_000_000) as f64 / 1e6;
            let key = &source.key;
            let line = format!(
                "{} {:.3} cut, {:?} event, {:.3} visible, {}/{}/{} {}, {} {} {:?} {:?} redrive {}",
                record.transaction,
                cut.at.map_or(f64::NAN, seconds),
                record.event_time.map(|t| seconds(t.0)),
                seconds(record.visible.0),
                key.stream,
                key.generation,
                key.partition,
                record.position,
                record.stage,
                record.id,
                record.status,
                record.outcome,
                record.redrive
            );
            lines.push((record.transaction.clone(), cut.at, line));
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, _, line)| line).collect::<Vec<_>>().join("\n")
}
