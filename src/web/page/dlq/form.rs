//! The guarded forms: looking at a record, and redriving letters. Not live: they carry a token of their own.

use std::sync::Arc;

use askama::Template;

use crate::dlq::Skip;
use crate::model::Timestamp;
use crate::snapshot::{PeekQuestion, Peeked, PeekedLetter, RedriveView};
use crate::text::i18n::{DlqTexts, fill};
use crate::text::number;
use crate::web::dlq::{InterruptedRun, RedrivePlan, RedriveTarget};
use crate::web::page::frame::Frame;
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::part::to_html;
use crate::web::page::{Lens, PageContext, View, percent_encode};

use super::find;

/// Error classes and groups that are offered.
const MAX_CHOICES: usize = 50;

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

pub(super) fn frame(kit: &Kit, title: &str, back: &View) -> Frame {
    let mut f = Frame::new(kit, back, title.to_owned(), Vec::new());
    // A form that changes under one's hands is no help.
    f.live.clear();
    f.refresh = false;
    f
}

struct Record {
    place: String,
    time: Html,
    key: String,
    headers: Vec<(String, String)>,
    payload: String,
    note: String,
}

#[derive(Template)]
#[template(path = "page/peek.html")]
struct PeekPage<'a> {
    f: Frame,
    d: &'static DlqTexts,
    ask: &'a PeekQuestion,
    place: String,
    back: String,
    back_name: &'static str,
    action: String,
    token: &'a str,
    kept: Vec<(&'static str, String)>,
    notice: String,
    open: bool,
    records: Vec<Record>,
    none: bool,
}

/// The page of a peek; `found` is what was found once somebody asked.
pub fn peek(cx: &PageContext, ask: &PeekQuestion, token: &str, found: Option<&Peeked>, notice: &Notice) -> String {
    let kit = &Kit::new(cx);
    let d = kit.d;
    let record = |r: &PeekedLetter| Record {
        place: format!("{}/{} \u{b7} {}", ask.stream, r.letter.partition, number::count(r.letter.position)),
        time: r.letter.time.map(|at| kit.time(at)).unwrap_or_default(),
        key: r.key.clone().unwrap_or_default(),
        headers: r.headers.clone(),
        payload: r.payload.clone().unwrap_or_else(|| number::UNKNOWN.to_owned()),
        note: fill(d.bytes, &[("n", &number::bytes(r.payload_bytes))]),
    };
    let letter = find(&cx.snapshot.dlq, &ask.cluster, &ask.stream).is_some();
    let (back, back_name) = if letter {
        (View::DlqStream(ask.cluster.clone(), ask.stream.clone()), kit.l.nav_dlq)
    } else {
        (View::Consumers(Lens::default()), kit.l.back)
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
        back_name,
        action: format!("{}/peek", cx.base),
        token,
        kept: kit.kept(),
        notice: words(d, notice, d.peek_off),
        open: *notice != Notice::Off,
        records: found.map_or_else(Vec::new, |f| f.letters.iter().map(record).collect()),
        none: found.is_some_and(|f| f.letters.is_empty()),
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

struct Run {
    state: State,
    dry: &'static str,
    passed: String,
    share: u64,
    rows: Vec<(String, String)>,
    notes: Vec<Html>,
    fault: String,
    acts: Vec<(&'static str, &'static str)>,
    /// What the button says that begins; empty: there is none.
    start: String,
    idle: bool,
    /// The page comes again by itself.
    moving: bool,
}

#[derive(Template)]
#[template(path = "page/redrive.html")]
struct RedrivePage<'a> {
    f: Frame,
    d: &'static DlqTexts,
    plan: &'a RedrivePlan,
    name: &'a str,
    back: String,
    action: String,
    token: &'a str,
    kept: Vec<(&'static str, String)>,
    /// The plan as the fields of a form.
    chosen: Vec<(&'static str, String)>,
    notice: String,
    open: bool,
    errors: Vec<(String, String, bool)>,
    groups: Vec<(String, String, bool)>,
    field: Fields,
    run: Option<Run>,
    interrupted: Option<Broken>,
}

/// A run that was interrupted.
struct Broken {
    lead: String,
    /// What was asked for: name and value of a field.
    asked: Vec<(&'static str, String)>,
    why: &'static str,
    acts: Vec<(&'static str, &'static str)>,
}

/// What is known of the runs of a stream.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// The newest that this process began, and what it was begun with.
    pub newest: Option<(RedrivePlan, Arc<RedriveView>)>,
    /// One that the end of an earlier process interrupted.
    pub interrupted: Option<InterruptedRun>,
}

/// The texts of the fields.
struct Fields {
    from: String,
    to: String,
    partition: String,
    first: String,
    last: String,
    most: String,
    rate: String,
    target: &'static str,
    target_stream: String,
}

impl Fields {
    fn of(plan: &RedrivePlan) -> Self {
        let text = |n: Option<u64>| n.map_or_else(String::new, |n| n.to_string());
        let time = |at: Option<Timestamp>| {
            at.map_or_else(String::new, |at| crate::text::time::moment(at, at).iso.chars().take(16).collect())
        };
        let (target, target_stream) = match &plan.target {
            RedriveTarget::Source => ("source", String::new()),
            RedriveTarget::Retry => ("retry", String::new()),
            RedriveTarget::Stream(name) => ("stream", name.clone()),
        };
        Self {
            from: time(plan.from),
            to: time(plan.to),
            partition: text(plan.positions.map(|p| p.0.into())),
            first: text(plan.positions.map(|p| p.1)),
            last: text(plan.positions.map(|p| p.2).filter(|last| *last < u64::MAX)),
            most: text(plan.most),
            rate: text(plan.rate.map(u64::from)),
            target,
            target_stream,
        }
    }
}

/// A plan as the hidden fields of a form: in full, a field that is seen shows only minutes.
fn chosen(plan: &RedrivePlan) -> Vec<(&'static str, String)> {
    let field = Fields::of(plan);
    let time = |at: Option<Timestamp>| at.map_or_else(String::new, crate::text::time::exact);
    let fields = [
        ("error", plan.error.clone()),
        ("group", plan.group.clone()),
        ("from", time(plan.from)),
        ("to", time(plan.to)),
        ("partition", field.partition),
        ("first", field.first),
        ("last", field.last),
        ("most", field.most),
        ("rate", field.rate),
        ("target", field.target.to_owned()),
        ("target_stream", field.target_stream),
        ("include_ok", String::from(if plan.include_ok { "1" } else { "" })),
        ("include_unknown", String::from(if plan.include_unknown { "1" } else { "" })),
    ];
    fields.into_iter().filter(|(_, v)| !v.is_empty()).collect()
}

/// The page of a redrive: the newest run, the one that was interrupted, and the form.
pub fn redrive(cx: &PageContext, plan: &RedrivePlan, token: &str, runs: &Runs, notice: &Notice) -> String {
    let kit = &Kit::new(cx);
    let d = kit.d;
    let back = View::DlqStream(plan.cluster.clone(), plan.stream.clone());
    let stream = find(&cx.snapshot.dlq, &plan.cluster, &plan.stream);
    let choices = |list: Option<&Vec<(String, u64)>>, chosen: &str| {
        let named = list.into_iter().flatten().filter(|e| !e.0.is_empty()).take(MAX_CHOICES);
        let mut choices: Vec<_> = named.map(|(name, n)| (name.clone(), number::count(*n), name == chosen)).collect();
        if !chosen.is_empty() && !choices.iter().any(|c| c.2) {
            choices.push((chosen.to_owned(), number::UNKNOWN.to_owned(), true));
        }
        choices
    };
    let field = Fields::of(plan);
    // What the result's button begins is what was counted, whatever the form below says meanwhile.
    let chosen = chosen(runs.newest.as_ref().map_or(plan, |(counted, _)| counted));
    let mut run = runs.newest.as_ref().map(|(_, run)| going(kit, run));
    if let (Some(run), Some(_)) = (&mut run, &runs.interrupted)
        && !run.start.is_empty()
    {
        run.start.clear();
        run.notes.push(Html::text(d.interrupted_first));
    }
    let goes_on = run.as_ref().is_some_and(|r| !r.acts.is_empty());
    to_html(&RedrivePage {
        f: frame(kit, d.redrive, &back),
        d,
        plan,
        name: &plan.stream,
        back: kit.url(&back),
        action: format!("{}/dlq/{}/{}/redrive", cx.base, percent_encode(&plan.cluster), percent_encode(&plan.stream)),
        token,
        kept: kit.kept(),
        chosen,
        notice: words(d, notice, d.redrive_off),
        open: *notice != Notice::Off,
        errors: choices(stream.map(|s| &s.by_error), &plan.error),
        groups: choices(stream.map(|s| &s.by_group), &plan.group),
        field,
        run,
        interrupted: runs.interrupted.as_ref().map(|run| broken(d, run, goes_on)),
    })
}

/// `goes_on`: another run of the stream does.
fn broken(d: &'static DlqTexts, run: &InterruptedRun, goes_on: bool) -> Broken {
    let can_resume = run.can_resume();
    let mut acts = Vec::new();
    if can_resume && !goes_on {
        acts.push(("resume", d.resume));
    }
    acts.push(("dismiss", d.dismiss));
    let by = if run.by.is_empty() { d.nobody } else { &run.by };
    Broken {
        lead: fill(d.begun_by, &[("who", by)]),
        asked: chosen(&run.plan),
        why: if can_resume { d.interrupted_why } else { d.interrupted_most },
        acts,
    }
}

/// Why letters were left, in the words of the page.
fn reason(d: &'static DlqTexts, name: &'static str) -> &'static str {
    let known = [
        (Skip::NotSelected, d.k_not_selected),
        (Skip::Settled, d.k_settled),
        (Skip::LoopCap, d.k_loop),
        (Skip::EndedOk, d.k_ok),
        (Skip::Unasked, d.k_unasked),
        (Skip::NoTarget, d.k_no_target),
        (Skip::TargetMissing, d.k_missing),
        (Skip::TargetIsDlq, d.k_is_dlq),
        (Skip::NoRetryStream, d.k_no_retry),
        (Skip::TooLarge, d.k_too_large),
        (Skip::Enough, d.k_enough),
    ];
    known.iter().find(|(skip, _)| skip.name() == name).map_or(name, |(_, word)| word)
}

fn going(kit: &Kit, run: &RedriveView) -> Run {
    let d = kit.d;
    let (level, word, acts) = match run.state {
        "preparing" => (Level::Unknown, d.preparing, vec![("cancel", d.cancel)]),
        "running" => (Level::Ok, d.running, vec![("pause", d.pause), ("cancel", d.cancel)]),
        "paused" => (Level::Warn, d.paused, vec![("resume", d.resume), ("cancel", d.cancel)]),
        "done" => (Level::Ok, d.done, vec![]),
        "cancelled" => (Level::Unknown, d.cancelled, vec![]),
        _ => (Level::Bad, d.failed, vec![]),
    };
    let count = |n: u64| number::count(n);
    let sent: u64 = run.sent.values().sum();
    let mut rows = vec![(d.looked.to_owned(), count(run.looked_at))];
    let moved = if run.dry_run { d.would_move } else { d.moved };
    rows.extend(run.sent.iter().map(|(stream, n)| (format!("{moved} \u{2192} {stream}"), count(*n))));
    rows.extend(run.skipped.iter().map(|(why, n)| (format!("{}: {}", d.left_out, reason(d, why)), count(*n))));
    let mut notes: Vec<Html> = run.notes.iter().map(|n| kit.note(n)).collect();
    if run.unknown_transactions > 0 {
        notes.push(Html::text(&fill(d.not_looked_up, &[("n", &count(run.unknown_transactions))])));
    }
    if let Some(n) = run.skipped.get(Skip::Unasked.name()) {
        notes.push(Html::text(&fill(d.unasked_why, &[("n", &count(*n))])));
    }
    let dry = run.dry_run && run.state == "done";
    Run {
        state: State { level, word: word.to_owned() },
        dry: if run.dry_run { d.dry_run } else { "" },
        passed: fill(d.passed_of, &[("n", &count(run.passed)), ("m", &count(run.span))]),
        share: (run.passed.min(run.span) * 100).checked_div(run.span).unwrap_or(100),
        rows,
        notes,
        fault: run.fault.clone(),
        acts,
        start: if dry && sent > 0 { fill(d.start, &[("n", &count(sent))]) } else { String::new() },
        idle: dry && sent == 0,
        moving: matches!(run.state, "preparing" | "running"),
    }
}
