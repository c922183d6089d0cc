//! Recorded inputs, told again: to another engine, or from another moment on.

use std::sync::Arc;

use streamgauge::engine::Engine;
use streamgauge::model::Input;
use streamgauge::snapshot::{FlowView, Series, Snapshot};

use super::store::{Handed, MemoryStore};

/// Tells one input; those that answer are not told this way.
pub fn feed(engine: &mut Engine, input: &Input) {
    match input {
        Input::Open(open) => engine.open(open),
        Input::Batch(batch) => engine.apply(batch),
        Input::Tail(tail) => engine.tail(tail),
        Input::State(source, state, at) => engine.state(source, state, *at),
        Input::Gap(source, from, to, at) => engine.gap(source, *from, *to, *at),
        Input::Tick(_) | Input::Checkpoint => {}
    }
}

/// Tells a script to an engine and its store; hands out all that it showed.
pub fn tell(engine: &mut Engine, store: &mut MemoryStore, script: &[Input]) -> Vec<Arc<Snapshot>> {
    let mut shown = Vec::new();
    for input in script {
        match input {
            Input::Tick(now) => shown.push(engine.tick(*now)),
            Input::Checkpoint => store.commit(&Handed::from(engine.checkpoint()).changes),
            other => feed(engine, other),
        }
    }
    shown
}

/// All that a snapshot says of flows, streams and partitions, as text; without what counts from the process's start.
pub fn told(snapshot: &Snapshot) -> String {
    let flows: Vec<String> = snapshot.flows.iter().map(|f| flow(f)).collect();
    format!("{}\n{:#?}\n{:#?}", flows.join("\n"), snapshot.streams, snapshot.sources)
}

fn flow(flow: &FlowView) -> String {
    let points = |s: &Series| s.range(i64::MIN, i64::MAX).map(|p| format!("{p:?}\n")).collect::<String>();
    let history = [&flow.history.s1, &flow.history.s10, &flow.history.m1].map(points).concat();
    let bare = FlowView { history: streamgauge::snapshot::History::default(), ..flow.clone() };
    format!("{bare:#?}\n{history}")
}

/// The first lines in which two texts differ.
pub fn first_difference(a: &str, b: &str) -> Option<String> {
    let mut context = Vec::new();
    for (x, y) in a.lines().zip(b.lines()) {
        if x != y {
            let before = context.iter().rev().take(12).rev().copied().collect::<Vec<&str>>().join("\n");
            return Some(format!("{before}\n--- {x}\n+++ {y}"));
        }
        context.push(x);
    }
    (a.len() != b.len()).then(|| format!("one goes on after {:?}", context.last()))
}
