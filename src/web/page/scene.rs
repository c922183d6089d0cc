//! Which parts make a view, and the page around them.

use std::sync::Arc;

use askama::Template;

use crate::model::Outcome;
use crate::snapshot::FlowView;
use crate::text::i18n::{Texts, fill};
use crate::text::{natural, number};

use super::chart::{Chart, Drawing};
use super::consumers::{self, Kept};
use super::dlq;
use super::frame::Frame;
use super::health::flow_state;
use super::kit::{Html, Kit};
use super::part::{self, to_html};
use super::{Part, View, transaction};

/// Rows of the table beside the charts: enough to read a trend, few enough to read.
const TABLE_ROWS: usize = 30;

fn find<'a>(kit: &Kit<'a>, name: &str) -> Option<&'a Arc<FlowView>> {
    kit.cx.snapshot.flows.iter().find(|f| f.name == name)
}

/// All flows, worst first.
fn ordered<'a>(kit: &Kit<'a>) -> Vec<&'a FlowView> {
    let mut flows: Vec<(_, &FlowView)> =
        kit.cx.snapshot.flows.iter().map(|f| (flow_state(kit, f).level, &**f)).collect();
    flows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| natural(&a.1.name, &b.1.name)));
    flows.into_iter().map(|(_, f)| f).collect()
}

/// The flow that stands for all where numbers do not add up (latency): the one that ended most within the hour.
fn lead<'a>(flows: &[&'a FlowView]) -> Option<&'a FlowView> {
    let ended = |f: &FlowView| f.windows.iter().find(|w| w.name == "1h").map_or(0, |w| w.outcomes.sum());
    let candidates = flows.iter().filter(|f| f.transactional && f.watermark.is_some());
    candidates.copied().max_by(|a, b| ended(a).cmp(&ended(b)).then_with(|| b.name.cmp(&a.name)))
}

/// The flows of a view.
fn flows_of<'a>(view: &View, kit: &Kit<'a>) -> Vec<&'a FlowView> {
    match view {
        View::Overview => ordered(kit),
        View::Flow(name) => find(kit, name).map(|f| &**f).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The history of a view's charts; with `after`, only what a browser lacks that has all up to it.
pub fn chart(view: &View, kit: &Kit, after: Option<i64>) -> Chart {
    let flows = flows_of(view, kit);
    Chart::gather_after(&flows, lead(&flows), kit.now, kit.cx.range_seconds, after)
}

/// True while there is nothing to show but how to begin.
fn first_steps(kit: &Kit) -> bool {
    kit.cx.status.first_steps && kit.cx.snapshot.flows.is_empty()
}

/// The parts of a view without those of the frame.
fn body(view: &View, kit: &Kit, chart: &Chart, kept: Kept) -> Vec<Part> {
    let flows = flows_of(view, kit);
    match view {
        View::Overview if first_steps(kit) => Vec::new(),
        View::Overview => vec![
            part::tiles(kit, &flows, lead(&flows), chart, false),
            consumers::tiles(kit),
            part::attention(kit, None),
            part::oldest(kit, &flows),
            part::finds(kit, lead(&flows)),
            part::map(kit, &flows, true),
            part::flows(kit, &flows),
        ],
        View::Flow(_) => flows.first().map_or_else(Vec::new, |flow| {
            vec![
                part::head(kit, flow),
                part::tiles(kit, &flows, Some(flow), chart, true),
                part::attention(kit, Some(flow)),
                part::finds(kit, Some(flow)),
                part::map(kit, &flows, false),
                part::steps(kit, flow),
                part::windows(kit, flow),
                part::latency(kit, flow),
                part::real(kit, flow),
                part::books(kit, flow),
                part::beside(kit, flow),
                part::stuck(kit, flow),
                part::inputs(kit, flow),
            ]
        }),
        View::Status(lens) => {
            vec![part::process(kit), part::clusters(kit), part::sources(kit, lens), part::streams(kit)]
        }
        View::Consumers(lens) => consumers::all(kit, lens, kept),
        View::Group(cluster, group, lens) => consumers::one(kit, cluster, group, lens, kept),
        View::Dlq(lens) => dlq::all(kit, lens, kept),
        View::DlqStream(cluster, stream) => dlq::one(kit, cluster, stream, kept),
        View::Transactions => vec![transaction::flow_names(kit, ""), transaction::waiting(kit)],
        View::Transaction(..) => vec![transaction::flow_names(kit, "")],
    }
}

/// All parts of a view, those of the frame included; `kept` are those of a tick whose boards are the same.
pub fn parts(view: &View, kit: &Kit, kept: Option<&[Part]>) -> Vec<Part> {
    let mut parts = body(view, kit, &chart(view, kit, None), Kept(kept));
    parts.extend([part::pulse(kit), part::menu(kit, view)]);
    parts
}

#[derive(Template)]
#[template(path = "page/overview.html")]
struct OverviewPage {
    f: Frame,
    charts: Html,
}

#[derive(Template)]
#[template(path = "page/first.html")]
struct FirstPage {
    f: Frame,
}

#[derive(Template)]
#[template(path = "page/flow.html")]
struct FlowPage {
    f: Frame,
    charts: Html,
}

#[derive(Template)]
#[template(path = "page/status.html")]
struct StatusPage {
    f: Frame,
}

#[derive(Template)]
#[template(path = "page/consumers.html")]
struct ConsumersPage {
    f: Frame,
    filter: Html,
    help: Html,
}

#[derive(Template)]
#[template(path = "page/consumers_group.html")]
struct GroupPage {
    f: Frame,
    filter: Html,
    help: Html,
}

#[derive(Template)]
#[template(path = "page/dlq.html")]
struct DlqPage {
    f: Frame,
    lead: &'static str,
}

#[derive(Template)]
#[template(path = "page/dlq_stream.html")]
struct DlqStreamPage {
    f: Frame,
}

#[derive(Template)]
#[template(path = "page/error.html")]
struct ErrorPage {
    f: Frame,
    status: u16,
    heading: String,
    detail: String,
}

/// The whole page; `None`: no such flow, group or stream.
pub fn page(view: &View, kit: &Kit) -> Option<String> {
    let (t, snapshot) = (kit.t, kit.cx.snapshot);
    let title = match view {
        View::Overview => t.nav_overview.to_owned(),
        View::Flow(name) => find(kit, name).map(|f| f.name.clone())?,
        View::Status(_) => t.nav_status.to_owned(),
        View::Consumers(_) => kit.l.nav_consumers.to_owned(),
        View::Group(cluster, group, _) => consumers::find(&snapshot.lag, cluster, group)?.1.group.to_string(),
        View::Dlq(_) => kit.l.nav_dlq.to_owned(),
        View::DlqStream(cluster, stream) => dlq::find(&snapshot.dlq, cluster, stream)?.stream.to_string(),
        // One is drawn from an answer of the engine: see `transaction::one`.
        View::Transactions => kit.x.nav.to_owned(),
        View::Transaction(..) => return None,
    };
    let chart = chart(view, kit, None);
    let f = Frame::new(kit, view, title, body(view, kit, &chart, Kept::default()));
    Some(match view {
        View::Overview if first_steps(kit) => to_html(&FirstPage { f }),
        View::Overview => to_html(&OverviewPage { charts: charts(kit, &chart, false, f.parts.at("finds")), f }),
        View::Flow(_) => to_html(&FlowPage { charts: charts(kit, &chart, true, f.parts.at("finds")), f }),
        View::Status(_) => to_html(&StatusPage { f }),
        View::Consumers(lens) => {
            to_html(&ConsumersPage { f, filter: consumers::filter(kit, lens, view), help: consumers::help(kit) })
        }
        View::Group(_, _, lens) => {
            to_html(&GroupPage { f, filter: consumers::filter(kit, lens, view), help: consumers::help(kit) })
        }
        View::Dlq(_) => to_html(&DlqPage { f, lead: kit.d.lead }),
        View::DlqStream(..) => to_html(&DlqStreamPage { f }),
        View::Transactions | View::Transaction(..) => transaction::landing(kit, f),
    })
}

/// A page for an error.
pub fn error(status: u16, title: &str, detail: &str, kit: &Kit) -> String {
    let mut f = Frame::new(kit, &View::Overview, title.to_owned(), Vec::new());
    f.kind = "error";
    f.live.clear();
    // What is known by its number is said in the page's language; the caller's words follow.
    let heading = match status {
        400 => kit.t.error_400,
        404 => kit.t.error_404,
        405 => kit.t.error_405,
        503 => kit.t.error_503,
        _ => title,
    };
    let heading = heading.to_owned();
    to_html(&ErrorPage { f, status, heading, detail: detail.to_owned() })
}

struct TableRow {
    time: Html,
    tps: String,
    outcomes: [String; 5],
    latency: [String; 4],
}

struct Key {
    class: &'static str,
    label: &'static str,
    value: String,
}

#[derive(Template)]
#[template(path = "part/charts.html")]
struct Charts {
    t: &'static Texts,
    d: Drawing,
    lead: String,
    single: bool,
    finds: Html,
    keys: Vec<Key>,
    latency_keys: Vec<Key>,
    outcomes: [&'static str; 5],
    classes: [&'static str; 5],
    rows: Vec<TableRow>,
    step: String,
    empty: &'static str,
    no_latency: String,
}

/// Both charts with their table: drawn once for the page, kept up to date by the browser.
fn charts(kit: &Kit, chart: &Chart, single: bool, finds: Html) -> Html {
    let t = kit.t;
    let known = chart.columns.iter().rev().find(|c| c.complete);
    let key = |i: usize| Key {
        class: Outcome::ALL[i].name(),
        label: t.outcome(i),
        value: match known.and_then(|c| c.rate(c.ended[i])) {
            // What stands still is not in the sum.
            Some(rate) if known.is_some_and(|c| c.partial) => format!("\u{2265} {}", number::rate(rate)),
            rate => kit.rate(rate),
        },
    };
    let latency_key = |i: usize, class, label| Key {
        class,
        label,
        value: kit.duration(known.and_then(|c| c.latency[i]).map(f64::from)),
    };
    let rows = chart.columns.iter().rev().filter(|c| c.complete).take(TABLE_ROWS).map(|c| TableRow {
        time: kit.time(crate::model::Timestamp::from_seconds(c.t)),
        tps: kit.rate(c.tps()),
        outcomes: std::array::from_fn(|i| number::count(c.ended[i])),
        latency: c.latency.map(|v| kit.duration(v.map(f64::from))),
    });
    let no_latency = if chart.lead.is_empty() {
        t.no_transactions.to_owned()
    } else {
        fill(t.no_latency_of, &[("flow", &chart.lead)])
    };
    Html(to_html(&Charts {
        t,
        d: Drawing::of(chart),
        lead: chart.lead.clone(),
        single,
        finds,
        keys: [0, 2, 4, 3, 1].map(key).into(),
        latency_keys: vec![latency_key(2, "p99", "p99"), latency_key(0, "p50", "p50")],
        outcomes: std::array::from_fn(|i| t.outcome(i)),
        classes: Outcome::ALL.map(Outcome::name),
        rows: rows.collect(),
        step: kit.age(chart.step as f64),
        empty: if kit.cx.snapshot.sources.is_empty() { t.no_sources } else { t.nothing_read_yet },
        no_latency,
    }))
}
