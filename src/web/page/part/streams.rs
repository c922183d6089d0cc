//! Streams: how much they carry, what could not be decoded, and the newest samples of it.

use askama::Template;

use crate::snapshot::StreamView;
use crate::text::i18n::{Texts, fill};
use crate::text::natural;
use crate::text::number::{self, UNKNOWN};
use crate::web::page::Part;
use crate::web::page::health::CLOCK_OFFSET_SECONDS;
use crate::web::page::kit::{Html, Kit, Level, State};

use super::{MAX_ROWS, render};

/// Samples shown at most, newest first.
const MAX_SAMPLES: usize = 8;

struct Row {
    stream: String,
    cluster: String,
    role: &'static str,
    rates: [String; 2],
    events: String,
    errors: String,
    reasons: String,
    opaque: String,
    tombstones: String,
    offset: String,
    age: String,
    state: State,
}

struct Sample {
    place: String,
    at: Html,
    detail: String,
    preview: String,
}

#[derive(Template)]
#[template(path = "part/streams.html")]
struct Streams {
    t: &'static Texts,
    rows: Vec<Row>,
    samples: Vec<Sample>,
    more: String,
}

/// All streams; those with errors first.
pub fn streams(kit: &Kit) -> Part {
    let mut rows: Vec<Row> = kit.cx.snapshot.streams.iter().map(|s| row(kit, s)).collect();
    rows.sort_by(|a, b| {
        b.state
            .level
            .cmp(&a.state.level)
            .then_with(|| natural(&a.cluster, &b.cluster).then_with(|| natural(&a.stream, &b.stream)))
    });
    let hidden = rows.len().saturating_sub(MAX_ROWS);
    rows.truncate(MAX_ROWS);
    let mut samples: Vec<_> = kit.cx.status.samples.iter().collect();
    samples.sort_by(|a, b| {
        b.at.cmp(&a.at).then_with(|| (&a.stream, a.partition, a.position).cmp(&(&b.stream, b.partition, b.position)))
    });
    let samples = samples.into_iter().take(MAX_SAMPLES).map(|s| Sample {
        place: format!("{}/{} @ {}", s.stream, s.partition, number::count(s.position)),
        at: kit.time(s.at),
        detail: s.detail.clone(),
        preview: s.preview.clone(),
    });
    let more = if hidden > 0 { fill(kit.t.n_more, &[("n", &hidden.to_string())]) } else { String::new() };
    render("streams", &Streams { t: kit.t, rows, samples: samples.collect(), more })
}

fn row(kit: &Kit, s: &StreamView) -> Row {
    let t = kit.t;
    let errors: u64 = s.decode_errors.values().sum();
    let skewed = s.clock_offset_seconds.filter(|o| o.abs() > CLOCK_OFFSET_SECONDS);
    let reasons: Vec<String> = s
        .decode_errors
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(reason, n)| format!("{reason} {}", number::count(*n)))
        .collect();
    let (level, word) = match (s.watermark, errors, skewed) {
        (None, ..) => (Level::Unknown, t.nothing_read),
        (_, n, _) if n > 0 => (Level::Warn, t.undecodable),
        (_, _, Some(_)) => (Level::Warn, t.clock_skew),
        _ => (Level::Ok, t.ok),
    };
    Row {
        stream: s.stream.clone(),
        cluster: s.cluster.clone(),
        role: t.role(s.role),
        rates: [s.per_second[1], s.per_second[4]].map(|r| kit.rate(r)),
        events: number::count(s.events),
        errors: number::count(errors),
        reasons: reasons.join(" \u{b7} "),
        opaque: number::count(s.opaque),
        tombstones: number::count(s.tombstones),
        offset: kit.duration(s.clock_offset_seconds),
        age: s
            .watermark
            .map_or_else(|| UNKNOWN.to_owned(), |w| number::duration(kit.seconds_since(w), kit.locale).text()),
        state: State { level, word: word.to_owned() },
    }
}
