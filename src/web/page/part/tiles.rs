//! Five numbers that say whether transactions flow.

use std::fmt::Write as _;

use askama::Template;

use crate::snapshot::{FlowView, WindowView};
use crate::text::i18n::{Texts, fill};
use crate::text::number::{self, Quantity};
use crate::web::page::Part;
use crate::web::page::chart::{Chart, Column, spark};
use crate::web::page::health::{
    BEHIND_BAD_SECONDS, BEHIND_WARN_SECONDS, Reach, behind, failed_share, flow_reach, furthest, is_cut_off, is_live,
    lacking, not_read_yet, ok_latency, slower, source_state, window,
};
use crate::web::page::kit::{Html, Kit, Level};

use super::render;

/// A mean over less says no more than the last ten seconds do.
const MEAN_FROM_SECONDS: f64 = 30.0;

/// One number with its unit, the line that says what it is, and a picture.
struct Tile {
    label: String,
    value: Quantity,
    sub: Html,
    level: Level,
    art: Html,
    /// Seconds, where the number is an age: a browser counts it on while nothing comes.
    age: Option<f64>,
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
/// Flows that stand still are left out of what is added up, and named. Where all do, and on the page of one that does,
/// the frozen numbers are shown as such.
pub fn tiles(kit: &Kit, flows: &[&FlowView], lead: Option<&FlowView>, chart: &Chart, single: bool) -> Part {
    let stale = |f: &FlowView| f.watermark.is_some() && !is_live(kit, f);
    let without: Vec<&str> = flows.iter().filter(|f| stale(f)).map(|f| f.name.as_str()).collect();
    let frozen = !without.is_empty() && flows.iter().all(|f| stale(f) || f.watermark.is_none());
    let shown: Vec<&FlowView> = flows.iter().copied().filter(|f| frozen || !stale(f)).collect();
    let mut tiles = vec![
        ended(kit, &shown, chart),
        p99(kit, lead, chart, single),
        in_flight(kit, &shown, single),
        if single { data_age(kit, flows) } else { furthest_behind(kit) },
        share(kit, &shown, chart),
    ];
    // What a number lacks stands before all else that is said of it. The age of the data is true whatever it says.
    let unread: usize = shown.iter().map(|f| lacking(kit, f)).sum();
    let sums = if frozen {
        Some((Level::Unknown, kit.frozen(flows.iter().filter_map(|f| f.watermark).min())))
    } else if !without.is_empty() {
        Some((Level::Warn, fill(kit.t.without_flows, &[("flows", &named(kit, &without))])))
    } else {
        (unread > 0).then(|| (Level::Warn, fill(kit.t.partial_without, &[("n", &unread.to_string())])))
    };
    let of_lead = lead.and_then(|f| match lacking(kit, f) {
        _ if stale(f) => Some((Level::Unknown, kit.frozen(f.watermark))),
        0 => None,
        n => Some((Level::Warn, fill(kit.t.partial_without, &[("n", &n.to_string())]))),
    });
    for (i, tile) in tiles.iter_mut().enumerate().filter(|(i, _)| *i != 3) {
        let Some((level, note)) = (if i == 1 { &of_lead } else { &sums }) else { continue };
        tile.sub = Html::dots([Html::text(note), std::mem::take(&mut tile.sub)]);
        if *level == Level::Unknown || tile.level == Level::Ok {
            tile.level = *level;
        }
    }
    render("tiles", &Tiles { t: kit.t, label: kit.t.tiles, tiles })
}

/// Two names, and how many more.
fn named(kit: &Kit, names: &[&str]) -> String {
    let first = names.iter().take(2).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(2) {
        0 => first,
        n => fill(kit.t.and_n_more, &[("names", &first), ("n", &n.to_string())]),
    }
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
            age: None,
        };
    }
    let now = sum(flows, |f| window(f, "10s")?.tps.filter(|_| f.transactional));
    let hour = mean_of_hour(flows);
    // Nothing ended although the hour was busy: ten seconds would have had a dozen.
    let stopped = now == Some(0.0) && hour.is_some_and(|(h, ..)| h >= 2.0);
    let mean = hour.map_or_else(String::new, |(rate, seconds, whole)| {
        let pattern = if whole { t.hour_average } else { t.mean_so_far };
        fill(pattern, &[("rate", &number::rate(rate)), ("age", &kit.age(seconds))])
    });
    let sub = match now {
        None => Html::text(t.nothing_read_yet),
        Some(_) => Html::dots([Html::text(t.last_10s), Html::text(&mean)]),
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
        age: None,
    }
}

/// Ended per second within the hour, the seconds that this is over, and whether they are the whole hour. `None`: the
/// time is too short to say more than the last seconds do.
fn mean_of_hour(flows: &[&FlowView]) -> Option<(f64, f64, bool)> {
    let windows = || flows.iter().filter(|f| f.transactional).filter_map(|f| window(f, "1h"));
    let seconds = |w: &WindowView| Some(w.to?.since(w.from?) as f64 / 1e6);
    let longest = windows().filter_map(seconds).fold(0.0, f64::max);
    let ended: u64 = windows().map(|w| w.outcomes.sum()).sum();
    (longest >= MEAN_FROM_SECONDS).then(|| (ended as f64 / longest, longest, windows().any(|w| w.complete)))
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
        let ok = lead.and_then(|f| window(f, "1h")).map_or(0, |w| w.outcomes.ok);
        let why = match lead.filter(|f| f.transactional && f.watermark.is_some()) {
            None => t.nothing_read_yet.to_owned(),
            Some(_) => match ok {
                0 => t.nothing_ended_ok.to_owned(),
                1 => t.one_ok_no_latency.to_owned(),
                n => fill(t.n_ok_no_latency, &[("n", &number::count(n))]),
            },
        };
        return Tile {
            label: t.tile_p99.to_owned(),
            value: Quantity::unknown(),
            sub: why.into(),
            level: Level::Unknown,
            art: spark(chart, "warn", 1e-3, |c| c.latency[2].map(f64::from)),
            age: None,
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
        age: None,
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
            age: None,
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
        age: None,
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
    let unreachable = sources.iter().filter(|s| is_cut_off(kit, s)).count();
    let Some((source, age)) = furthest(kit, sources) else {
        let why = not_read_yet(kit);
        return Tile {
            label: t.tile_behind.to_owned(),
            value: Quantity::unknown(),
            sub: why.into(),
            level: Level::Unknown,
            art: strip(kit),
            age: None,
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
    Tile {
        label: t.tile_behind.to_owned(),
        value: number::duration(age, kit.locale),
        sub,
        level,
        art: strip(kit),
        age: Some(age),
    }
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
            age: None,
        };
    };
    let age = kit.seconds_since(watermark);
    let left_out: usize = flows.iter().map(|f| lacking(kit, f)).sum();
    let frozen = flows.iter().any(|f| flow_reach(kit, f) == Reach::Nothing);
    let partial = if left_out > 0 { fill(t.partial_without, &[("n", &left_out.to_string())]) } else { String::new() };
    let level = match age {
        a if a >= BEHIND_BAD_SECONDS => Level::Bad,
        a if a >= BEHIND_WARN_SECONDS => Level::Warn,
        _ if left_out > 0 || frozen => Level::Warn,
        _ => Level::Ok,
    };
    let sub = Html::dots([Html::fill(t.complete_to, &[("time", kit.time(watermark))]), Html::text(&partial)]);
    Tile { label, value: number::duration(age, kit.locale), sub, level, art: strip(kit), age: Some(age) }
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
            age: None,
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
        age: None,
    }
}
