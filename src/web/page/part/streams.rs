//! Streams: how much they carry, what could not be decoded, and the newest samples of it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use askama::Template;

use crate::broker::DecodeSample;
use crate::snapshot::StreamView;
use crate::text::i18n::{Texts, fill};
use crate::text::natural;
use crate::text::number::{self, UNKNOWN};
use crate::web::page::Part;
use crate::web::page::health::{BEHIND_BAD_SECONDS, BEHIND_WARN_SECONDS, CLOCK_OFFSET_SECONDS, Reach, stream_reach};
use crate::web::page::kit::{Html, Kit, Level, State};

use super::{MAX_ROWS, render};

/// Samples shown at most, newest first.
const MAX_SAMPLES: usize = 8;

struct Row {
    stream: String,
    cluster: String,
    role: &'static str,
    minute: String,
    hour: String,
    /// What that is over, where it is not the whole hour.
    so_far: String,
    events: String,
    errors: String,
    reasons: String,
    opaque: String,
    tombstones: String,
    offset: String,
    age: Html,
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
    let samples = newest(&kit.cx.status.samples).into_iter().map(|s| Sample {
        place: format!("{}/{} @ {}", s.stream, s.partition, number::count(s.position)),
        at: kit.time(s.at),
        detail: s.detail.clone(),
        preview: s.preview.clone(),
    });
    let more = if hidden > 0 { fill(kit.t.n_more, &[("n", &hidden.to_string())]) } else { String::new() };
    render("streams", &Streams { t: kit.t, rows, samples: samples.collect(), more })
}

/// The samples that are shown, newest first. Each stream has its share of the places: the newest of every stream come
/// before the second newest of any, so that a noisy stream does not hide another.
fn newest(kept: &[DecodeSample]) -> Vec<&DecodeSample> {
    let age = |s: &&DecodeSample| Reverse((s.at, s.position, s.partition));
    let mut all: Vec<&DecodeSample> = kept.iter().collect();
    all.sort_by_key(age);
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, &DecodeSample)> = Vec::with_capacity(all.len());
    for sample in all {
        let of_stream = seen.entry((sample.cluster.as_str(), sample.stream.as_str())).or_default();
        ranked.push((*of_stream, sample));
        *of_stream += 1;
    }
    ranked.sort_by_key(|(rank, _)| *rank); // keeps the order of time within a rank
    let mut shown: Vec<&DecodeSample> = ranked.into_iter().take(MAX_SAMPLES).map(|(_, s)| s).collect();
    shown.sort_by_key(age);
    shown
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
    let age = s.watermark.map(|w| kit.seconds_since(w));
    let (level, word) = match (age, stream_reach(kit, s)) {
        (_, Reach::Nothing) => (Level::Unknown, kit.frozen(s.watermark)),
        (None, _) => (Level::Unknown, t.nothing_read.to_owned()),
        (Some(a), _) if a >= BEHIND_BAD_SECONDS => (Level::Unknown, fill(t.no_data_for, &[("age", &kit.age(a))])),
        (_, Reach::Without(n)) => (Level::Warn, fill(t.partial_without, &[("n", &n.to_string())])),
        (Some(a), _) if a >= BEHIND_WARN_SECONDS => (Level::Warn, fill(t.behind_by, &[("age", &kit.age(a))])),
        _ if errors > 0 => (Level::Warn, t.undecodable.to_owned()),
        _ if skewed.is_some() => (Level::Warn, t.clock_skew.to_owned()),
        _ => (Level::Ok, t.ok.to_owned()),
    };
    let so_far = s.spans[4].seconds().filter(|_| !s.spans[4].complete);
    Row {
        stream: s.stream.clone(),
        cluster: s.cluster.clone(),
        role: t.role(s.role),
        minute: kit.rate(s.per_second[1]),
        hour: kit.rate(s.per_second[4]),
        so_far: so_far.map_or_else(String::new, |n| fill(t.only_so_far, &[("age", &kit.age(n))])),
        events: number::count(s.events),
        errors: number::count(errors),
        reasons: reasons.join(" \u{b7} "),
        opaque: number::count(s.opaque),
        tombstones: number::count(s.tombstones),
        offset: kit.duration(s.clock_offset_seconds),
        age: s.watermark.map_or_else(|| UNKNOWN.into(), |w| kit.counting(w)),
        state: State { level, word },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DecodeReason, Timestamp};

    #[test]
    fn the_newest_samples_come_first_and_a_noisy_stream_hides_no_other() {
        let sample = |stream: &str, position, at| DecodeSample {
            cluster: "main".into(),
            stream: stream.into(),
            partition: 0,
            position,
            reason: DecodeReason::InvalidJson,
            detail: String::new(),
            preview: String::new(),
            at: Timestamp(at),
        };
        let mut kept = vec![sample("quiet", 3, 1), sample("other", 9, 5)];
        kept.extend((0..20).map(|n| sample("noisy", n, 7)));
        let shown: Vec<_> = newest(&kept).iter().map(|s| (s.stream.as_str(), s.position)).collect();
        let noisy = (14..20).rev().map(|n| ("noisy", n));
        assert_eq!(shown, noisy.chain([("other", 9), ("quiet", 3)]).collect::<Vec<_>>());
    }
}
