//! The events of one transaction as rows with bars on one scale of time, and its dead letters.

use crate::model::{Status, Timestamp};
use crate::snapshot::{Meaning, TransactionEvent, TransactionView};
use crate::text::i18n::fill;
use crate::text::number;
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::{View, percent_encode};

/// Width of the scale; a picture without a unit.
const WIDTH: f64 = 1_000.0;
/// The least width of a bar: that of a moment.
const MOMENT: f64 = 6.0;

/// One row: an event, or what is still awaited.
pub struct Row {
    pub stage: String,
    /// Status in colour, shape and word; empty word: not there yet.
    pub status: State,
    pub meaning: &'static str,
    pub time: Html,
    /// How long after the first event; empty for that one.
    pub after: String,
    pub time_note: &'static str,
    pub hop: String,
    pub hop_note: String,
    /// Where the bar begins and how wide it is; `None`: nothing to draw.
    pub bar: Option<(String, String)>,
    pub class: &'static str,
    pub record: Html,
}

/// The table of events.
pub struct Table {
    pub rows: Vec<Row>,
    /// Length of the scale in words.
    pub span: String,
}

/// When it happened by its own clock: the producer's time, else the log's.
fn moment(e: &TransactionEvent) -> Timestamp {
    e.event_time.or(e.record_time).unwrap_or(e.cut_time)
}

struct Scale {
    from: i64,
    span: f64,
}

impl Scale {
    fn of(t: &TransactionView, events: &[TransactionEvent], now: Timestamp) -> Self {
        let from = events.iter().map(|e| moment(e).0).min().unwrap_or(now.0);
        let last = events.iter().map(|e| moment(e).0).max().unwrap_or(now.0);
        let to = if t.waits.is_some() { last.max(now.0) } else { last };
        Self { from, span: (to - from).max(1) as f64 }
    }

    fn after(&self, kit: &Kit, at: i64) -> String {
        let micros = at - self.from;
        if micros > 0 { format!("+{}", kit.duration(Some(micros as f64 / 1e6))) } else { String::new() }
    }

    fn bar(&self, from: i64, to: i64) -> (String, String) {
        let x = |at: i64| ((at - self.from) as f64 / self.span * WIDTH).clamp(0.0, WIDTH);
        let width = (x(to) - x(from)).max(MOMENT);
        (format!("{:.1}", x(from).min(WIDTH - width)), format!("{width:.1}"))
    }
}

/// The rows of a transaction.
pub fn table(kit: &Kit, t: &TransactionView, events: &[TransactionEvent]) -> Table {
    let scale = Scale::of(t, events, kit.now);
    let mut before: Option<i64> = None;
    let mut rows: Vec<Row> = Vec::with_capacity(events.len() + 1);
    for e in events {
        let at = moment(e).0;
        // A hop says itself when it began; what is none (a retry, an end elsewhere) began with the event before it.
        let began = e.hop.as_ref().map(|(_, m)| at - (m.seconds * 1e6) as i64).or(before).unwrap_or(at).min(at);
        rows.push(Row { after: scale.after(kit, at), ..row(kit, e, scale.bar(began, at)) });
        before = Some(before.map_or(at, |b| b.max(at)));
    }
    if let Some(waits) = t.waits.as_ref().filter(|w| w.awaited) {
        let level = if waits.stuck { Level::Bad } else { Level::Unknown };
        rows.push(Row {
            stage: waits.stage.clone(),
            status: State { level, word: kit.x.waiting_for.to_owned() },
            meaning: kit.x.not_seen,
            time: Html::default(),
            after: String::new(),
            time_note: "",
            hop: kit.duration(Some(waits.seconds)),
            hop_note: String::new(),
            bar: Some(scale.bar(before.unwrap_or(scale.from), kit.now.0)),
            class: if waits.stuck { "stuck" } else { "wait" },
            record: Html::default(),
        });
    }
    Table { rows, span: kit.duration(Some(scale.span / 1e6)) }
}

fn row(kit: &Kit, e: &TransactionEvent, bar: (String, String)) -> Row {
    let x = kit.x;
    let level = match e.status {
        Status::Ok => Level::Ok,
        Status::Retried | Status::Compensated => Level::Warn,
        Status::Failed | Status::DeadLettered => Level::Bad,
    };
    let letter = e.dead_letter;
    let word = x.status(if letter { Status::DeadLettered.name() } else { e.status.name() });
    let late = e.meaning == Meaning::AfterEnd;
    let place = format!("{}/{} @ {}", e.stream, e.partition, number::count(e.position));
    let place = Html(format!("<span class=\"mono\">{}</span>", Html::text(&place)));
    let listed = kit.cx.snapshot.dlq.streams.iter().any(|s| *s.cluster == *e.cluster && *s.stream == *e.stream);
    let record = if letter && listed {
        Html::link(&kit.url(&View::DlqStream(e.cluster.clone(), e.stream.clone())), &place)
    } else {
        place
    };
    Row {
        stage: e.stage.clone(),
        status: State { level: if letter { Level::Bad } else { level }, word: word.to_owned() },
        meaning: match e.meaning {
            Meaning::Step => "",
            Meaning::End => x.m_end,
            Meaning::Recovery => x.m_recovery,
            Meaning::AfterEnd => x.m_after_end,
        },
        time: kit.time(moment(e)),
        after: String::new(),
        time_note: if e.event_time.is_some() { "" } else { x.by_log },
        hop: e.hop.as_ref().map_or_else(String::new, |(_, m)| kit.duration(Some(m.seconds))),
        hop_note: e.hop.as_ref().map_or_else(String::new, |(from, m)| {
            fill(x.hop_from, &[("stage", from), ("clock", kit.t.clock(m.clock))])
        }),
        bar: Some(bar),
        class: match e.status {
            _ if late => "late",
            _ if letter => "dead",
            Status::Ok => "ok",
            Status::Retried | Status::Compensated => "warn",
            Status::Failed | Status::DeadLettered => "dead",
        },
        record: Html::dots([record, peek(kit, &e.cluster, &e.stream, e.partition, e.position)]),
    }
}

/// The link to the record itself, where looking at records is allowed.
fn peek(kit: &Kit, cluster: &str, stream: &str, partition: u32, position: u64) -> Html {
    if !kit.cx.status.peek {
        return Html::default();
    }
    let (cluster, stream) = (percent_encode(cluster), percent_encode(stream));
    let href =
        format!("{}/peek?cluster={cluster}&stream={stream}&partition={partition}&position={position}", kit.cx.base);
    Html::link(&href, &Html::text(kit.d.peek))
}

/// One dead letter of the transaction, as the page of its stream knows it.
pub struct Letter {
    pub place: Html,
    pub time: Html,
    pub error: String,
    pub message: String,
    pub redriven: String,
    pub peek: Html,
}

/// The letters of a transaction among the newest that the boards hold.
pub fn letters(kit: &Kit, flow: &str, id: &str) -> Vec<Letter> {
    let mut found = Vec::new();
    for stream in &kit.cx.snapshot.dlq.streams {
        let ours = stream.newest.iter().filter(|l| l.transaction.as_ref().is_some_and(|t| t.0 == flow && t.1 == id));
        found.extend(ours.map(|l| {
            let place = format!("{}/{} @ {}", stream.stream, l.partition, number::count(l.position));
            let view = View::DlqStream(stream.cluster.clone(), stream.stream.to_string());
            let redriven = fill(kit.d.redrives, &[("n", &l.redriven.to_string())]);
            Letter {
                place: Html::link(&kit.url(&view), &Html::text(&place)),
                time: l.time.map(|at| kit.time(at)).unwrap_or_default(),
                error: if l.error.is_empty() { kit.t.unknown.to_owned() } else { l.error.clone() },
                message: l.message.clone(),
                redriven: if l.redriven > 0 { redriven } else { String::new() },
                peek: peek(kit, &stream.cluster, &stream.stream, l.partition, l.position),
            }
        }));
    }
    found
}
