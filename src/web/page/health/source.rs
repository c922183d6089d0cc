//! The state of sources and clusters.

use crate::broker::ClusterHealth;
use crate::snapshot::SourceView;
use crate::text::i18n::fill;
use crate::text::number;
use crate::web::page::kit::{Kit, Level, State};

use super::BEHIND_WARN_SECONDS;

/// How far behind the present a source is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Behind {
    /// Age of its watermark in seconds; `None` before anything was read.
    pub seconds: Option<f64>,
    /// Records unread; `None` where the end is not known.
    pub unread: Option<u64>,
}

/// Of one source.
pub fn behind(kit: &Kit, source: &SourceView) -> Behind {
    Behind {
        seconds: source.watermark.map(|w| kit.seconds_since(w)),
        unread: source.end.map(|end| end.saturating_sub(source.next)),
    }
}

/// Records before the place where reading began at `latest`, while nothing has come since; `None` otherwise.
pub fn older(source: &SourceView) -> Option<u64> {
    let waiting = source.state == "at_end" && source.waiting;
    source.log_start.filter(|_| waiting).map(|start| source.next.saturating_sub(start)).filter(|n| *n > 0)
}

/// The state of a source with its word.
pub fn source_state(kit: &Kit, source: &SourceView) -> State {
    let age = behind(kit, source).seconds.unwrap_or(0.0);
    if source.state == "reading" && age >= BEHIND_WARN_SECONDS {
        return State { level: Level::Warn, word: fill(kit.t.behind_by, &[("age", &kit.age(age))]) };
    }
    if let Some(n) = older(source) {
        return State { level: Level::Ok, word: fill(kit.t.waiting_latest, &[("n", &number::count(n))]) };
    }
    source_kind(kit, source.state)
}

/// The states of sources, worst first.
pub const SOURCE_STATES: [&str; 5] = ["unreachable", "opening", "gone", "at_end", "reading"];

/// The kind of state that a source is in, whatever its numbers.
pub fn source_kind(kit: &Kit, state: &str) -> State {
    let t = kit.t;
    let (level, word) = match state {
        "reading" => (Level::Ok, t.reading),
        "at_end" => (Level::Ok, t.at_end),
        "opening" => (Level::Unknown, t.opening),
        "unreachable" => (Level::Bad, t.unreachable),
        "gone" => (Level::Unknown, t.gone),
        other => (Level::Unknown, other),
    };
    State { level, word: word.to_owned() }
}

/// The source that is furthest behind among those that can be read.
pub fn furthest<'a>(kit: &Kit, sources: &'a [SourceView]) -> Option<(&'a SourceView, f64)> {
    sources
        .iter()
        .filter(|s| matches!(s.state, "reading" | "at_end" | "unreachable"))
        .filter_map(|s| behind(kit, s).seconds.map(|age| (s, age)))
        .max_by(|a, b| a.1.total_cmp(&b.1).then_with(|| b.0.key.cmp(&a.0.key)))
}

/// Why there is nothing to show yet, in a sentence.
pub fn not_read_yet(kit: &Kit) -> String {
    let sources = &kit.cx.snapshot.sources;
    let opening = sources.iter().filter(|s| s.state == "opening").count();
    let passed_over: u64 = sources.iter().filter_map(older).sum();
    match opening {
        _ if sources.is_empty() => kit.t.no_sources.to_owned(),
        0 if passed_over > 0 => fill(kit.t.waiting_latest_why, &[("n", &number::count(passed_over))]),
        0 => kit.t.nothing_read_yet.to_owned(),
        n => fill(kit.t.opening_sources, &[("n", &n.to_string())]),
    }
}

/// The state of a cluster with its word.
pub fn cluster_state(kit: &Kit, health: &ClusterHealth) -> State {
    let (level, word) = match health.up {
        Some(true) => (Level::Ok, kit.t.up),
        Some(false) => (Level::Bad, kit.t.unreachable),
        None => (Level::Unknown, kit.t.connecting),
    };
    State { level, word: word.to_owned() }
}
