//! All flows, worst first.

use askama::Template;

use crate::snapshot::FlowView;
use crate::text::i18n::{Texts, fill};
use crate::text::number;
use crate::web::page::chart::{Chart, Column, spark};
use crate::web::page::health::{failed_share, flow_state, is_down, is_live, not_read_yet, ok_latency, window};
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::{Part, View};

use super::{MAX_ROWS, render};

struct Row {
    href: String,
    name: String,
    state: State,
    spark: Html,
    /// Why numbers are missing, under the state.
    gap: Html,
    tps: String,
    tps_title: &'static str,
    numbers: [String; 3],
    failed: String,
    in_flight: String,
    stuck: String,
    stuck_bad: bool,
    events: String,
}

#[derive(Template)]
#[template(path = "part/flows.html")]
struct Flows {
    t: &'static Texts,
    rows: Vec<Row>,
    range: String,
    more: String,
    empty: String,
}

/// The table of flows in the given order.
pub fn flows(kit: &Kit, flows: &[&FlowView]) -> Part {
    let hidden = flows.len().saturating_sub(MAX_ROWS);
    let rows = flows.iter().take(MAX_ROWS).map(|f| row(kit, f)).collect();
    let more = if hidden > 0 { fill(kit.t.n_more_flows, &[("n", &hidden.to_string())]) } else { String::new() };
    let read = kit.cx.snapshot.sources.iter().any(|s| s.watermark.is_some());
    let empty = if read { kit.t.no_flows.to_owned() } else { not_read_yet(kit) };
    render("flows", &Flows { t: kit.t, rows, range: kit.age(kit.cx.range_seconds as f64), more, empty })
}

fn row(kit: &Kit, flow: &FlowView) -> Row {
    let t = kit.t;
    let state = flow_state(kit, flow);
    let unknown = number::UNKNOWN.to_owned();
    let (minute, latency) = (window(flow, "1m"), ok_latency(flow, "1m"));
    let live = is_live(kit, flow);
    let of = |text: String| if live { text } else { unknown.clone() };
    let gap = match flow.watermark {
        Some(w) if !live => silent_since(kit, flow, w),
        Some(_) if !flow.transactional => Html::text(t.no_transactions),
        Some(_) => Html::default(),
        None => Html::text(t.nothing_read_yet),
    };
    let chart = Chart::gather(&[flow], None, kit.now, kit.cx.range_seconds);
    let transactional = |text: String| if flow.transactional { of(text) } else { unknown.clone() };
    Row {
        href: kit.url(&View::Flow(flow.name.clone())),
        name: flow.name.clone(),
        spark: if flow.transactional {
            spark(&chart, if state.level == Level::Bad { "bad" } else { "quiet" }, 1.0, Column::tps)
        } else {
            spark(&chart, "quiet", 1.0, |c| c.rate(c.events))
        },
        gap,
        tps: transactional(kit.rate(minute.and_then(|w| w.tps))),
        tps_title: if flow.transactional { "" } else { t.no_transactions },
        numbers: [latency.and_then(|l| l.p50), latency.and_then(|l| l.p95), latency.and_then(|l| l.p99)]
            .map(|v| of(kit.duration(v))),
        failed: transactional(
            failed_share([flow]).value().map_or_else(|| unknown.clone(), |s| number::percent(s).text()),
        ),
        in_flight: transactional(number::count(flow.totals.in_flight)),
        stuck: transactional(number::count(flow.stuck_total)),
        stuck_bad: flow.stuck_total > 0,
        events: of(kit.rate(minute.and_then(|w| w.events_per_second))),
        state,
    }
}

/// Since when nothing was read, and why if a source says so.
fn silent_since(kit: &Kit, flow: &FlowView, watermark: crate::model::Timestamp) -> Html {
    let snapshot = kit.cx.snapshot;
    let down = flow.streams.iter().map(|(cluster, _)| cluster).find(|cluster| is_down(kit, cluster));
    let why = match down {
        Some(name) => Html::text(&fill(kit.t.cluster_down, &[("cluster", name)])),
        None => {
            let broken = snapshot.sources.iter().find(|s| s.state == "unreachable" && flow.is_fed_by(&s.key));
            broken.map_or_else(Html::default, |s| kit.cause(&s.reason))
        }
    };
    Html::dots([Html::fill(kit.t.nothing_since, &[("time", kit.time(watermark))]), why])
}
