//! The guarded forms: looking at a record, and redriving letters. Not live: they carry a token of their own.

use askama::Template;

use crate::text::i18n::{DlqTexts, fill};
use crate::text::number;
use crate::web::dlq::{DryRun, PeekAsk, PeekedRecord, RedrivePhase, RedrivePlan, RedriveProgress};
use crate::web::page::frame::Frame;
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::part::to_html;
use crate::web::page::{PageContext, View, percent_encode};

use super::find;

/// What is said above a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Notice {
    /// Nothing.
    #[default]
    None,
    /// It is switched off.
    Off,
    /// The form is not one of ours, or too old.
    Token,
    /// It was not done, and why.
    Refused(String),
}

fn frame(kit: &Kit, title: &str, back: &View) -> Frame {
    let mut f = Frame::new(kit, back, title.to_owned(), Vec::new());
    // A form that changes under one's hands is no help.
    f.live.clear();
    f.kind = "form";
    f
}

struct Record {
    place: String,
    time: Html,
    key: String,
    headers: Vec<(String, String)>,
    payload: String,
    notes: Vec<String>,
}

#[derive(Template)]
#[template(path = "page/peek.html")]
struct PeekPage<'a> {
    f: Frame,
    d: &'static DlqTexts,
    ask: &'a PeekAsk,
    place: String,
    back: String,
    action: String,
    token: &'a str,
    kept: Vec<(&'static str, String)>,
    notice: String,
    open: bool,
    record: Option<Record>,
    none: bool,
}

/// The page of a peek; `found` is what was found once somebody asked.
pub fn peek(
    cx: &PageContext,
    ask: &PeekAsk,
    token: &str,
    found: Option<&Option<PeekedRecord>>,
    notice: &Notice,
) -> String {
    let kit = &Kit::new(cx);
    let d = kit.d;
    let record = found.and_then(Option::as_ref).map(|r| Record {
        place: format!("{}/{} {}", ask.stream, r.partition, number::count(r.position)),
        time: r.time.map(|at| kit.time(at)).unwrap_or_default(),
        key: r.key.clone(),
        headers: r.headers.clone(),
        payload: r.payload.clone().unwrap_or_else(|| number::UNKNOWN.to_owned()),
        notes: [
            (r.masked > 0).then(|| format!("{} {}", r.masked, d.masked)),
            r.cut.map(|n| fill(d.cut, &[("n", &number::count(n as u64))])),
        ]
        .into_iter()
        .flatten()
        .collect(),
    });
    let back = if find(&cx.snapshot.dlq, &ask.cluster, &ask.stream).is_some() {
        View::DlqStream(ask.cluster.clone(), ask.stream.clone())
    } else {
        View::Consumers(Default::default())
    };
    to_html(&PeekPage {
        f: frame(kit, d.peek_title, &back),
        d,
        ask,
        place: format!(
            "{} \u{b7} {}/{} \u{b7} {}",
            ask.cluster,
            ask.stream,
            ask.partition,
            number::count(ask.position)
        ),
        back: kit.url(&back),
        action: format!("{}/peek", cx.base),
        token,
        kept: kit.kept(),
        notice: words(d, notice, d.peek_off),
        open: *notice != Notice::Off,
        none: matches!(found, Some(None)),
        record,
    })
}

fn words(d: &'static DlqTexts, notice: &Notice, off: &str) -> String {
    match notice {
        Notice::None => String::new(),
        Notice::Off => off.to_owned(),
        Notice::Token => d.no_token.to_owned(),
        Notice::Refused(why) => why.clone(),
    }
}

struct Progress {
    state: State,
    words: Html,
    share: u64,
    fault: String,
    acts: Vec<(&'static str, &'static str)>,
    /// The page comes again by itself.
    moving: bool,
}

#[derive(Template)]
#[template(path = "page/redrive.html")]
struct RedrivePage<'a> {
    f: Frame,
    d: &'static DlqTexts,
    plan: &'a RedrivePlan,
    name: String,
    back: String,
    action: String,
    token: &'a str,
    kept: Vec<(&'static str, String)>,
    notice: String,
    open: bool,
    errors: Vec<(String, String, bool)>,
    from: String,
    to: String,
    numbers: [String; 4],
    dry: Vec<(&'static str, String, bool)>,
    targets: Vec<(String, String)>,
    start: String,
    idle: bool,
    progress: Option<Progress>,
}

/// The page of a redrive: its progress, the form, and what a dry run said.
pub fn redrive(
    cx: &PageContext,
    plan: &RedrivePlan,
    token: &str,
    progress: Option<&RedriveProgress>,
    dry: Option<&DryRun>,
    notice: &Notice,
) -> String {
    let kit = &Kit::new(cx);
    let d = kit.d;
    let back = View::DlqStream(plan.cluster.clone(), plan.stream.clone());
    let stream = find(&cx.snapshot.dlq, &plan.cluster, &plan.stream);
    let errors = stream.map_or_else(Vec::new, |s| {
        let name = |(class, n): &(String, u64)| (class.clone(), number::count(*n), *class == plan.error);
        s.by_error.iter().filter(|e| !e.0.is_empty()).take(50).map(name).collect()
    });
    let whole = |n: Option<u64>| n.map_or_else(String::new, |n| n.to_string());
    let time = |at: Option<crate::model::Timestamp>| {
        at.map_or_else(String::new, |at| crate::text::time::moment(at, at).iso.chars().take(16).collect())
    };
    let count = |n: u64| number::count(n);
    let rows = dry.map_or_else(Vec::new, |r| {
        vec![
            (d.d_selected, count(r.selected), r.selected == 0),
            (d.d_move, count(r.moved), r.moved == 0),
            (d.d_ok, count(r.ended_ok), r.ended_ok == 0),
            (d.d_loops, count(r.looped), r.looped == 0),
            (d.d_unclear, count(r.unclear), r.unclear == 0),
        ]
    });
    to_html(&RedrivePage {
        f: frame(kit, d.redrive, &back),
        d,
        plan,
        name: plan.stream.clone(),
        back: kit.url(&back),
        action: format!("{}/dlq/{}/{}/redrive", cx.base, percent_encode(&plan.cluster), percent_encode(&plan.stream)),
        token,
        kept: kit.kept(),
        notice: words(d, notice, d.redrive_off),
        open: *notice != Notice::Off,
        errors,
        from: time(plan.from),
        to: time(plan.to),
        numbers: [
            whole(plan.partition.map(u64::from)),
            whole(plan.first),
            whole(plan.last),
            whole(plan.rate.map(u64::from)),
        ],
        dry: rows,
        targets: dry
            .map_or_else(Vec::new, |r| r.targets.iter().take(20).map(|(s, n)| (s.clone(), count(*n))).collect()),
        start: dry.filter(|r| r.moved > 0).map_or_else(String::new, |r| fill(d.start, &[("n", &count(r.moved))])),
        idle: dry.is_some_and(|r| r.moved == 0),
        progress: progress.map(|p| going(kit, p)),
    })
}

fn going(kit: &Kit, p: &RedriveProgress) -> Progress {
    let d = kit.d;
    let (level, word, acts) = match p.phase {
        RedrivePhase::Running => (Level::Ok, d.running, vec![("pause", d.pause), ("cancel", d.cancel)]),
        RedrivePhase::Paused => (Level::Warn, d.paused, vec![("resume", d.resume), ("cancel", d.cancel)]),
        RedrivePhase::Done => (Level::Ok, d.done, vec![]),
        RedrivePhase::Cancelled => (Level::Unknown, d.cancelled, vec![]),
        RedrivePhase::Failed => (Level::Bad, d.failed, vec![]),
    };
    let total = p.total.map_or_else(|| number::UNKNOWN.to_owned(), number::count);
    let skipped = if p.skipped > 0 { fill(d.skipped_n, &[("n", &number::count(p.skipped))]) } else { String::new() };
    let who = if p.who.is_empty() { String::new() } else { fill(d.by_whom, &[("who", &p.who)]) };
    Progress {
        state: State { level, word: word.to_owned() },
        words: Html::dots([
            Html::text(&fill(d.moved_of, &[("n", &number::count(p.moved)), ("m", &total)])),
            Html::text(&skipped),
            Html::text(&who),
            Html::fill(kit.t.since, &[("time", kit.time(p.started_at))]),
        ]),
        share: p.total.map_or(0, |t| (p.moved + p.skipped).min(t) * 100 / t.max(1)),
        fault: p.fault.clone(),
        acts,
        moving: p.phase == RedrivePhase::Running,
    }
}
