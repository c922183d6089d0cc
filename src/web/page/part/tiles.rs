//! Five numbers that say whether transactions flow.

use std::fmt::Write as _;

use askama::Template;

use crate::snapshot::FlowView;
use crate::text::i18n::{Texts, fill};
use crate::text::number::{self, Quantity};
use crate::web::page::Part;
use crate::web::page::chart::{Chart, Column, spark};
use crate::web::page::health::{
    BEHIND_BAD_SECONDS, BEHIND_WARN_SECONDS, behind, failed_share, furthest, is_live, not_read_yet, ok_latency, slower,
    source_state, window,
};
use crate::web::page::kit::{Html, Kit, Level};

use super::render;

/// One number with its unit, the line that says what it is, and a picture.
struct Tile {
    label: String,
    value: Quantity,
    sub: Html,
    level: Level,
    art: Html,
}

#[derive(Template)]
#[template(path = "part/tiles.html")]
struct Tiles {
    t: &'static Texts,
    label: &'static str,
    tiles: Vec<Tile>,
}

/// Of the flows of a view. `lead` is the flow whose latency is shown; `single` is set on the page of one flow.
///
/// Stale flows are left out of what is added up, and said. Where all are stale, and on the page of one that is, the
/// frozen numbers are shown as such.
pub fn tiles(kit: &Kit, flows: &[&FlowView], lead: Option<&FlowView>, chart: &Chart, single: bool) -> Part {
    let stale = |f: &FlowView| f.watermark.is_some() && !is_live(kit, f);
    let left_out = flows.iter().filter(|f| stale(f)).count();
    let frozen = left_out > 0 && flows.iter().all(|f| stale(f) || f.watermark.is_none());
    let shown: Vec<&FlowView> = flows.iter().copied().filter(|f| frozen || !stale(f)).collect();
    let age = if single { data_age(kit, flows) } else { furthest_behind(kit) };
    let lead = lead.filter(|f| frozen || !stale(f));
    let mut tiles = vec![
        ended(kit, &shown, chart),
        p99(kit, lead, chart, single),
        in_flight(kit, &shown, single),
        age,
        share(kit, &shown, chart),
    ];
    let note =
        if frozen { kit.t.frozen.to_owned() } else { fill(kit.t.without_flows, &[("n", &left_out.to_string())]) };
    for (i, tile) in tiles.iter_mut().enumerate() {
        // The age of the data is true whatever it says.
        if left_out > 0 && i != 3 && (frozen || i != 1) {
            tile.sub = Html::dots([Html::text(&note), std::mem::take(&mut tile.sub)]);
            tile.level = if frozen { Level::Unknown } else { tile.level };
        }
    }
    render("tiles", &Tiles { t: kit.t, label: kit.t.tiles, tiles })
}

/// Sum over the flows that know it; `None` where none does.
fn sum<'a>(flows: impl IntoIterator<Item = &'a &'a FlowView>, value: impl Fn(&FlowView) -> Option<f64>) -> Option<f64> {
    flows.into_iter().filter_map(|f| value(f)).reduce(|a, b| a + b)
}

fn ended(kit: &Kit, flows: &[&FlowView], chart: &Chart) -> Tile {
    let t = kit.t;
    if !flows.is_empty() && flows.iter().all(|f| !f.transactional) {
        let events = sum(flows, |f| window(f, "10s")?.events_per_second);
        let art = spark(chart, "quiet", 1.0, |c| c.rate(c.events));
        return Tile {
            label: t.events.to_owned(),
            value: kit.per_second(events),
            sub: t.no_transactions.into(),
            level: Level::Ok,
            art,
        };
    }
    let of = |name: &'static str| sum(flows, move |f| window(f, name)?.tps.filter(|_| f.transactional));
    let (now, hour) = (of("10s"), of("1h"));
    // Nothing ended although the hour was busy: ten seconds would have had a dozen.
    let stopped = now == Some(0.0) && hour.is_some_and(|h| h >= 2.0);
    let sub = match (now, hour) {
        (None, _) => Html::text(t.nothing_read_yet),
        (_, Some(hour)) => {
            Html::dots([Html::text(t.last_10s), Html::text(&fill(t.hour_average, &[("rate", &number::rate(hour))]))])
        }
        (_, None) => Html::text(t.last_10s),
    };
    let level = if now.is_none() {
        Level::Unknown
    } else if stopped {
        Level::Bad
    } else {
        Level::Ok
    };
    Tile {
        label: t.tile_ended.to_owned(),
        value: kit.per_second(now),
        sub,
        level,
        art: spark(chart, "ok", 1.0, Column::tps),
    }
}

fn p99(kit: &Kit, lead: Option<&FlowView>, chart: &Chart, single: bool) -> Tile {
    let t = kit.t;
    // The shortest window that has transactions: a quiet flow is not an unknown one.
    let found = lead.and_then(|f| {
        ["1m", "5m", "15m", "1h"]
            .into_iter()
            .find_map(|name| ok_latency(f, name).filter(|l| l.p99.is_some()).map(|l| (name, l)))
    });
    let flow = lead.filter(|_| !single).map_or_else(String::new, |f| f.name.clone());
    let Some((name, latency)) = found else {
        let why = if lead.is_some_and(|f| f.transactional && f.watermark.is_some()) {
            t.nothing_ended_ok
        } else {
            t.nothing_read_yet
        };
        return Tile {
            label: t.tile_p99.to_owned(),
            value: Quantity::unknown(),
            sub: why.into(),
            level: Level::Unknown,
            art: spark(chart, "warn", 1e-3, |c| c.latency[2].map(f64::from)),
        };
    };
    let exemplar =
        latency.exemplars.iter().find(|e| e.at == "p99").and_then(|e| kit.trace(&e.trace_id, t.trace_of_one));
    let sub = Html::dots([
        Html::text(&flow),
        Html::text(kit.t.window(name)),
        Html::text(t.clock(latency.clock)),
        exemplar.unwrap_or_default(),
    ]);
    let slow = lead.is_some_and(|f| slower(f).is_some());
    let value = latency.p99.map_or_else(Quantity::unknown, |s| number::duration(s, kit.locale));
    let level = if slow { Level::Warn } else { Level::Ok };
    Tile {
        label: t.tile_p99.to_owned(),
        value,
        sub,
        level,
        art: spark(chart, if slow { "warn" } else { "quiet" }, 1e-3, |c| c.latency[2].map(f64::from)),
    }
}

fn in_flight(kit: &Kit, flows: &[&FlowView], single: bool) -> Tile {
    let t = kit.t;
    let known: Vec<&&FlowView> = flows.iter().filter(|f| f.transactional && f.watermark.is_some()).collect();
    if known.is_empty() {
        let why = if flows.iter().any(|f| f.watermark.is_some()) { t.no_transactions } else { t.nothing_read_yet };
        return Tile {
            label: t.tile_in_flight.to_owned(),
            value: Quantity::unknown(),
            sub: why.into(),
            level: Level::Unknown,
            art: Html::default(),
        };
    }
    let total: u64 = known.iter().map(|f| f.totals.in_flight).sum();
    let stuck: u64 = known.iter().map(|f| f.stuck_total).sum();
    let oldest = known.iter().filter_map(|f| f.oldest.as_ref()).max_by(|a, b| a.age_seconds.total_cmp(&b.age_seconds));
    let oldest = oldest.map_or_else(String::new, |o| {
        fill(t.oldest_at, &[("age", &kit.duration(Some(o.age_seconds))), ("stage", &o.waiting_at)])
    });
    let stuck_text = if stuck > 0 { fill(t.n_stuck, &[("n", &number::count(stuck))]) } else { t.none_stuck.to_owned() };
    let shares: Vec<u64> = if single {
        known.iter().flat_map(|f| f.stages.iter().map(|s| s.waiting.saturating_sub(s.stuck))).collect()
    } else {
        known.iter().map(|f| f.totals.in_flight.saturating_sub(f.stuck_total)).collect()
    };
    Tile {
        label: t.tile_in_flight.to_owned(),
        value: Quantity::new(number::count(total), ""),
        sub: Html::dots([Html::text(&stuck_text), Html::text(&oldest)]),
        level: if stuck > 0 { Level::Bad } else { Level::Ok },
        art: bar(stuck, &shares),
    }
}

/// Shares of one whole: what is stuck first, the others in two alternating tones.
fn bar(stuck: u64, others: &[u64]) -> Html {
    let total = (stuck + others.iter().sum::<u64>()).max(1) as f64;
    let mut svg = String::from(
        "<svg class=\"spark bar\" viewBox=\"0 0 1000 28\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
    );
    let mut x = 0.0;
    for (class, n) in
        std::iter::once(("stuck", stuck)).chain(others.iter().enumerate().map(|(i, n)| (["even", "odd"][i % 2], *n)))
    {
        let width = n as f64 / total * 1_000.0;
        if n > 0 {
            // Writing to a String cannot fail.
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{x:.0}\" y=\"16\" width=\"{:.0}\" height=\"12\"/>",
                (width - 4.0).max(3.0)
            );
        }
        x += width;
    }
    Html(svg + "</svg>")
}

fn furthest_behind(kit: &Kit) -> Tile {
    let t = kit.t;
    let sources = &kit.cx.snapshot.sources;
    let unreachable = sources.iter().filter(|s| s.state == "unreachable").count();
    let Some((source, age)) = furthest(kit, sources) else {
        let why = not_read_yet(kit);
        return Tile {
            label: t.tile_behind.to_owned(),
            value: Quantity::unknown(),
            sub: why.into(),
            level: Level::Unknown,
            art: strip(kit),
        };
    };
    let unread = behind(kit, source)
        .unread
        .filter(|n| *n > 0)
        .map_or_else(String::new, |n| fill(t.n_unread, &[("n", &number::count(n))]));
    let state = source_state(kit, source);
    let word = if state.level == Level::Bad { state.word } else { String::new() };
    let broken = if unreachable > 0 {
        fill(t.n_of_m_unreachable, &[("n", &unreachable.to_string()), ("m", &sources.len().to_string())])
    } else {
        String::new()
    };
    let place = format!("{}/{}", source.key.stream, source.key.partition);
    let level = match age {
        _ if unreachable > 0 => Level::Bad,
        a if a >= BEHIND_BAD_SECONDS => Level::Bad,
        a if a >= BEHIND_WARN_SECONDS => Level::Warn,
        _ => Level::Ok,
    };
    let word = if broken.is_empty() { word } else { broken };
    // Where all is well, which one is a hair behind the others changes with every tick: their number says more.
    let at_end = sources.iter().all(|s| s.state == "at_end");
    let sub = match level {
        Level::Ok if at_end => fill(t.all_at_end, &[("n", &number::count(sources.len() as u64))]).into(),
        Level::Ok => fill(t.n_partitions, &[("n", &number::count(sources.len() as u64))]).into(),
        _ => Html::dots([Html::text(&place), Html::text(&unread), Html::text(&word)]),
    };
    Tile { label: t.tile_behind.to_owned(), value: number::duration(age, kit.locale), sub, level, art: strip(kit) }
}

/// One cell per source, or the worst of a group where there are many: a glance says whether any is amiss.
fn strip(kit: &Kit) -> Html {
    const CELLS: usize = 48;
    let levels: Vec<Level> = kit.cx.snapshot.sources.iter().map(|s| source_state(kit, s).level).collect();
    if levels.is_empty() {
        return Html::default();
    }
    let cells: Vec<Level> =
        levels.chunks(levels.len().div_ceil(CELLS)).filter_map(|c| c.iter().max().copied()).collect();
    let mut svg = format!(
        "<svg class=\"spark strip\" viewBox=\"0 0 {} 28\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
        cells.len() * 10
    );
    for (i, level) in cells.iter().enumerate() {
        let y = match level {
            Level::Ok => 18,
            Level::Unknown | Level::Warn => 10,
            Level::Bad => 2,
        };
        // Writing to a String cannot fail.
        let _ = write!(svg, "<rect class=\"{level}\" x=\"{}\" y=\"{y}\" width=\"9\" height=\"{}\"/>", i * 10, 28 - y);
    }
    Html(svg + "</svg>")
}

fn data_age(kit: &Kit, flows: &[&FlowView]) -> Tile {
    let t = kit.t;
    let label = t.tile_data_age.to_owned();
    let Some(watermark) = flows.iter().filter_map(|f| f.watermark).min() else {
        return Tile {
            label,
            value: Quantity::unknown(),
            sub: t.nothing_read_yet.into(),
            level: Level::Unknown,
            art: strip(kit),
        };
    };
    let age = kit.seconds_since(watermark);
    let left_out: usize = flows.iter().map(|f| f.left_out.len()).sum();
    let partial = if left_out > 0 { fill(t.partial_without, &[("n", &left_out.to_string())]) } else { String::new() };
    let level = match age {
        a if a >= BEHIND_BAD_SECONDS => Level::Bad,
        a if a >= BEHIND_WARN_SECONDS => Level::Warn,
        _ if left_out > 0 => Level::Warn,
        _ => Level::Ok,
    };
    let sub = Html::dots([Html::fill(t.complete_to, &[("time", kit.time(watermark))]), Html::text(&partial)]);
    Tile { label, value: number::duration(age, kit.locale), sub, level, art: strip(kit) }
}

fn share(kit: &Kit, flows: &[&FlowView], chart: &Chart) -> Tile {
    let t = kit.t;
    let share = failed_share(flows.iter().copied());
    let Some(value) = share.value() else {
        let why = if flows.iter().any(|f| f.watermark.is_some()) { t.nothing_ended_minute } else { t.nothing_read_yet };
        return Tile {
            label: t.tile_failed.to_owned(),
            value: Quantity::unknown(),
            sub: why.into(),
            level: Level::Unknown,
            art: spark(chart, "quiet", 0.02, Column::not_ok),
        };
    };
    let mut counts = [0; 5];
    for w in flows.iter().filter(|f| f.transactional).filter_map(|f| window(f, "1m")) {
        for (sum, n) in counts.iter_mut().zip(w.outcomes.as_array()) {
            *sum += n;
        }
    }
    let mut parts: Vec<(u64, &str)> = (1..5).filter(|i| counts[*i] > 0).map(|i| (counts[i], t.outcome(i))).collect();
    parts.sort_by_key(|p| std::cmp::Reverse(p.0));
    let words = parts.iter().take(2).map(|(n, word)| Html::text(&format!("{word} {}", number::count(*n))));
    let sub = Html::dots(std::iter::once(Html::text(t.last_1m)).chain(words));
    let level = share.level();
    let class = match level {
        Level::Bad => "bad",
        Level::Warn => "warn",
        _ => "quiet",
    };
    Tile {
        label: t.tile_failed.to_owned(),
        value: number::percent(value),
        sub,
        level,
        art: spark(chart, class, 0.02, Column::not_ok),
    }
}
