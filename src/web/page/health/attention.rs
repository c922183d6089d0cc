//! What needs attention: one sentence each, with its method or reason, worst first.

use std::collections::BTreeMap;

use crate::snapshot::{FlowView, SourceView};
use crate::text::i18n::fill;
use crate::text::number;
use crate::web::page::kit::{Html, Kit, Level};
use crate::web::page::{Lens, View, consumers};

use super::flow::slower;
use super::{BEHIND_WARN_SECONDS, DECODE_NEWS_SECONDS, failed_share, flow_state, is_down, ok_latency};

/// One thing that needs attention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Colour and shape.
    pub level: Level,
    /// What an operator would say.
    pub title: String,
    /// Method, reason, since when.
    pub detail: Html,
    /// Where it belongs: a flow, or the status page.
    pub tag: String,
    /// Where to look.
    pub href: String,
    /// Order within a level: more comes first.
    weight: u64,
}

impl Item {
    /// `weight` orders the items of a level: more comes first.
    pub fn new(level: Level, weight: u64, title: String, detail: Html, tag: &str, href: String) -> Self {
        Self { level, title, detail, tag: tag.to_owned(), href, weight }
    }
}

/// Everything that needs attention, worst first; of one flow, or of all.
pub fn attention(kit: &Kit, only: Option<&FlowView>) -> Vec<Item> {
    let mut items = Vec::new();
    if only.is_none() {
        process(kit, &mut items);
        clusters(kit, &mut items);
        sources(kit, &mut items);
        decoding(kit, &mut items);
        items.extend(consumers::attention(kit));
    }
    for flow in kit.cx.snapshot.flows.iter().filter(|f| only.is_none_or(|o| o.name == f.name)) {
        of_flow(kit, flow, &mut items);
    }
    items.sort_by(|a, b| b.level.cmp(&a.level).then(b.weight.cmp(&a.weight)).then_with(|| a.title.cmp(&b.title)));
    items
}

fn status_item(kit: &Kit, level: Level, weight: u64, title: String, detail: Html) -> Item {
    Item {
        level,
        title,
        detail,
        tag: kit.t.nav_status.to_owned(),
        href: kit.url(&View::Status(Lens::default())),
        weight,
    }
}

fn process(kit: &Kit, items: &mut Vec<Item>) {
    let (t, status, engine) = (kit.t, kit.cx.status, &kit.cx.snapshot.engine);
    if let Some(reason) = &engine.books_error {
        let detail = Html::dots([Html::text(reason), Html::text(t.books_error_why)]);
        items.push(status_item(kit, Level::Bad, u64::MAX, t.books_error.to_owned(), detail));
    }
    if !status.checkpoint_error.is_empty() {
        let saved = match status.checkpoint_at {
            Some(at) => fill(t.last_saved, &[("age", &kit.ago(at))]),
            None => t.never_saved.to_owned(),
        };
        let detail = Html::dots([Html::text(&saved), kit.cause(&status.checkpoint_error)]);
        items.push(status_item(kit, Level::Bad, u64::MAX - 1, t.checkpoint_fails.to_owned(), detail));
    }
    let overflow: Vec<String> = engine
        .overflow
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(name, n)| format!("{name} {}", number::count(*n)))
        .collect();
    if !overflow.is_empty() {
        items.push(status_item(
            kit,
            Level::Warn,
            5,
            t.bounds_reached.to_owned(),
            Html::text(&overflow.join(" \u{b7} ")),
        ));
    }
    if engine.future > 0 {
        let title = fill(t.future_events, &[("n", &number::count(engine.future))]);
        items.push(status_item(kit, Level::Warn, 2, title, Html::text(t.future_why)));
    }
}

fn clusters(kit: &Kit, items: &mut Vec<Item>) {
    let t = kit.t;
    for (name, _, health) in kit.cx.status.clusters.iter().filter(|c| c.2.up == Some(false)) {
        let seen = match health.last_seen {
            Some(at) => Html::fill(t.last_seen_at, &[("time", kit.time(at))]),
            None => Html::text(t.never_seen),
        };
        let detail = Html::dots([seen, Html::text(t.values_frozen), kit.cause(&health.detail)]);
        items.push(status_item(kit, Level::Bad, 1_000_000, fill(t.cluster_down, &[("cluster", name)]), detail));
    }
}

/// Sources that cannot be read, by stream and reason; those of a cluster that is down are said with it.
fn sources(kit: &Kit, items: &mut Vec<Item>) {
    let t = kit.t;
    let mut broken: BTreeMap<(&str, &str, &str, &str), Vec<&SourceView>> = BTreeMap::new();
    for s in &kit.cx.snapshot.sources {
        if matches!(s.state, "unreachable" | "gone") && !is_down(kit, &s.key.cluster) {
            broken.entry((s.state, &s.key.cluster, &s.key.stream, &s.reason)).or_default().push(s);
        }
        if s.expired > 0 {
            let place = format!("{}/{}", s.key.stream, s.key.partition);
            let title = fill(t.expired_unread, &[("n", &number::count(s.expired)), ("source", &place)]);
            items.push(status_item(kit, Level::Warn, 20, title, Html::text(t.expired_why)));
        }
    }
    for ((state, cluster, stream, reason), list) in broken {
        let names: Vec<String> = list.iter().take(6).map(|s| s.key.partition.to_string()).collect();
        let mut partitions = names.join(", ");
        if list.len() > names.len() {
            partitions.push_str(" \u{2026}");
        }
        let pattern = if state == "gone" { t.source_gone } else { t.source_unreachable };
        let title = fill(pattern, &[("stream", stream), ("partitions", &partitions)]);
        let since = list.iter().map(|s| s.since).min().unwrap_or(kit.now);
        let detail =
            Html::dots([Html::fill(t.since, &[("time", kit.time(since))]), kit.cause(reason), Html::text(cluster)]);
        let (level, weight) = if state == "gone" { (Level::Unknown, 1) } else { (Level::Bad, 100_000) };
        items.push(status_item(kit, level, weight + list.len() as u64, title, detail));
    }
}

fn decoding(kit: &Kit, items: &mut Vec<Item>) {
    for stream in &kit.cx.snapshot.streams {
        let total: u64 = stream.decode_errors.values().sum();
        let newest = kit
            .cx
            .status
            .samples
            .iter()
            .filter(|s| s.cluster == stream.cluster && s.stream == stream.stream)
            .max_by_key(|s| s.at);
        if total == 0 || newest.is_none_or(|s| kit.seconds_since(s.at) > DECODE_NEWS_SECONDS) {
            continue;
        }
        let title = fill(kit.t.undecodable_in, &[("n", &number::count(total)), ("stream", &stream.stream)]);
        let detail = newest
            .map(|s| Html::dots([Html::fill(kit.t.newest_at, &[("time", kit.time(s.at))]), Html::text(&s.detail)]));
        items.push(status_item(kit, Level::Warn, 30, title, detail.unwrap_or_default()));
    }
}

fn of_flow(kit: &Kit, flow: &FlowView, items: &mut Vec<Item>) {
    let t = kit.t;
    let href = kit.url(&View::Flow(flow.name.clone()));
    let mut push = |level, weight, title: String, detail: Html| {
        items.push(Item { level, title, detail, tag: flow.name.clone(), href: href.clone(), weight });
    };
    for stage in flow.stages.iter().filter(|s| s.stuck > 0) {
        let oldest =
            flow.stuck.iter().filter(|w| w.waiting_at == stage.name).map(|w| w.waiting_seconds).fold(0.0, f64::max);
        let deadline = stage.deadline_seconds.map_or_else(String::new, |d| {
            let pattern = if stage.deadline_learned { t.deadline_learned } else { t.deadline_configured };
            fill(pattern, &[("age", &kit.limit(d))])
        });
        let oldest = if oldest > 0.0 { fill(t.oldest_waits, &[("age", &kit.age(oldest))]) } else { String::new() };
        let pattern = if stage.stuck == 1 { t.one_stuck_at } else { t.stuck_at };
        let title = fill(pattern, &[("n", &number::count(stage.stuck)), ("stage", &stage.name)]);
        push(Level::Bad, 10_000 + stage.stuck, title, Html::dots([Html::text(&oldest), Html::text(&deadline)]));
    }
    let share = failed_share([flow]);
    if let (level @ (Level::Warn | Level::Bad), Some(value)) = (share.level(), share.value()) {
        let title = fill(t.share_high, &[("share", &number::percent(value).text()), ("flow", &flow.name)]);
        let usual =
            share.usual.map_or_else(String::new, |u| fill(t.usual_share, &[("share", &number::percent(u).text())]));
        let ended = fill(t.n_of_m, &[("n", &number::count(share.not_ok)), ("m", &number::count(share.ended))]);
        push(level, 5_000 + (value * 1_000.0) as u64, title, Html::dots([Html::text(&ended), Html::text(&usual)]));
    }
    if let (Some(times), Some(p99)) = (slower(flow), ok_latency(flow, "1m").and_then(|l| l.p99)) {
        let title = fill(t.p99_high, &[("flow", &flow.name), ("age", &kit.duration(Some(p99)))]);
        let hour = ok_latency(flow, "1h").and_then(|l| l.p99);
        let detail = fill(t.p99_against, &[("n", &format!("{times:.0}")), ("age", &kit.duration(hour))]);
        push(Level::Warn, 1_000, title, Html::text(&detail));
    }
    let age = flow.watermark.map_or(0.0, |w| kit.seconds_since(w));
    if age >= BEHIND_WARN_SECONDS && flow_state(kit, flow).level != Level::Bad {
        let title = fill(t.flow_behind, &[("flow", &flow.name), ("age", &kit.age(age))]);
        let complete = flow.watermark.map(|w| Html::fill(t.complete_to, &[("time", kit.time(w))]));
        push(Level::Unknown, 500 + age as u64, title, complete.unwrap_or_default());
    }
    if !flow.left_out.is_empty() {
        let names: Vec<String> =
            flow.left_out.iter().take(4).map(|k| format!("{}/{}", k.stream, k.partition)).collect();
        push(
            Level::Warn,
            200,
            fill(t.flow_partial, &[("flow", &flow.name)]),
            Html::text(&fill(t.left_out, &[("sources", &names.join(", "))])),
        );
    }
    if let Some(inexact) = &flow.inexact {
        let since = Html::fill(t.since, &[("time", kit.time(inexact.at))]);
        push(
            Level::Warn,
            100,
            fill(t.flow_inexact, &[("flow", &flow.name)]),
            Html::dots([since, kit.cause(&inexact.reason)]),
        );
    }
    if flow.totals.unexplained > 0 {
        let title = fill(t.unexplained_in, &[("n", &number::count(flow.totals.unexplained)), ("flow", &flow.name)]);
        push(Level::Warn, 50, title, Html::text(t.unexplained_why));
    }
}
