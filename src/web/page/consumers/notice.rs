//! What the overview says of groups and dead letters: four numbers, and what needs attention.

use crate::snapshot::{AgeMethod, DlqStream, GroupView, LagState};
use crate::text::i18n::fill;
use crate::text::number::{self, Quantity};
use crate::web::page::health::Item;
use crate::web::page::kit::{Html, Kit, Level};
use crate::web::page::lens::Lens;
use crate::web::page::{Part, View};

use super::clusters::trouble;
use super::order::Entry;
use super::tile::{Tile, numbers};
use super::words;

/// Groups of one state that are named one by one; more are said in one line.
const NAMED: usize = 3;

fn groups<'a>(kit: &Kit<'a>) -> impl Iterator<Item = Entry<'a>> {
    kit.cx.snapshot.lag.clusters.iter().flat_map(|c| c.groups.iter().map(move |g| (&**c, &**g)))
}

/// The four numbers; hidden while neither groups nor dead letters are watched.
pub fn tiles(kit: &Kit) -> Part {
    let (lag, dlq) = (&kit.cx.snapshot.lag, &kit.cx.snapshot.dlq);
    let mut tiles = Vec::new();
    if !lag.clusters.is_empty() {
        tiles.extend([in_trouble(kit), oldest(kit)]);
    }
    if !lag.clusters.is_empty() || !dlq.streams.is_empty() {
        tiles.extend([letters(kit), inflow(kit)]);
    }
    numbers("lag-tiles", kit.l.nav_consumers, tiles)
}

fn tile(label: &'static str, href: String, value: Quantity, sub: Html, level: Level) -> Tile {
    Tile { label, href, value, sub, level, art: Html::default() }
}

fn in_trouble(kit: &Kit) -> Tile {
    let l = kit.l;
    let mut counts = [0_u64; LagState::ALL.len()];
    for (_, group) in groups(kit) {
        counts[group.state as usize] += 1;
    }
    let all: u64 = counts.iter().sum();
    let of = |level| {
        LagState::ALL.into_iter().filter(|s| words::level(*s) == level).map(|s| counts[s as usize]).sum::<u64>()
    };
    let (bad, warn) = (of(Level::Bad), of(Level::Warn));
    let href = kit.url(&View::Consumers(Lens::default()));
    let clusters = &kit.cx.snapshot.lag.clusters;
    if clusters.iter().all(|c| c.as_of.is_none()) {
        let why = if kit.cx.status.lag_off { l.off_short } else { l.not_surveyed_short };
        return tile(l.tile_groups, href, Quantity::unknown(), why.into(), Level::Unknown);
    }
    let frozen = clusters.iter().find(|c| !c.answering).map(|c| fill(l.a_frozen, &[("cluster", &c.cluster)]));
    let named = LagState::ALL.into_iter().rev().filter(|s| counts[*s as usize] > 0 && words::level(*s) >= Level::Warn);
    let named =
        named.take(2).map(|s| Html::text(&format!("{} {}", words::words(l, s).0, number::count(counts[s as usize]))));
    let first = Html::text(&frozen.clone().unwrap_or_else(|| fill(l.of_n_groups, &[("n", &number::count(all))])));
    // None among those that are known says nothing of those that are not.
    let silent = bad == 0 && (frozen.is_some() || (all > 0 && counts[LagState::Unknown as usize] == all));
    let level = match (bad, warn) {
        _ if silent => Level::Unknown,
        (0, 0) => Level::Ok,
        (0, _) => Level::Warn,
        _ => Level::Bad,
    };
    tile(
        l.tile_groups,
        href,
        if silent { Quantity::unknown() } else { Quantity::new(number::count(bad), "") },
        Html::dots(std::iter::once(first).chain(named)),
        level,
    )
}

/// The group whose next unread message is the oldest, among those that anybody still reads.
fn oldest(kit: &Kit) -> Tile {
    let l = kit.l;
    let known = groups(kit).filter(|(_, g)| g.state != LagState::Abandoned);
    let oldest =
        known.filter_map(|e| e.1.next_unread_age_seconds.map(|age| (e, age))).max_by(|a, b| a.1.total_cmp(&b.1));
    let Some(((cluster, group), age)) = oldest else {
        let read = groups(kit).next().is_some() && groups(kit).all(|(_, g)| caught_up(g));
        let (why, level) = if read { (l.all_read, Level::Ok) } else { (l.none_behind, Level::Unknown) };
        let href = kit.url(&View::Consumers(Lens::default()));
        return tile(l.tile_oldest, href, Quantity::unknown(), why.into(), level);
    };
    let href = kit.url(&View::Group(cluster.cluster.clone(), group.group.to_string(), Lens::default()));
    let sub = Html::dots([
        Html::text(&group.group),
        Html::text(&fill(kit.t.n_unread, &[("n", &words::messages(group.lag_messages))])),
        Html::text(words::words(l, group.state).0),
    ]);
    Tile {
        art: words::sparkline(&group.trend, words::level(group.state)),
        ..tile(l.tile_oldest, href, number::age(age, kit.locale), sub, words::level(group.state))
    }
}

fn caught_up(group: &GroupView) -> bool {
    group.unknown_partitions == 0
        && group.rows.iter().all(|r| r.method == AgeMethod::CaughtUp || r.lag_messages() == Some(0))
}

/// The sum of what is known: a lower bound where something is not. `None` where nothing is known but zeros, at most.
fn sum(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (mut known, mut all) = (None, true);
    for value in values {
        known = value.map_or(known, |v| Some(known.unwrap_or(0.0) + v));
        all &= value.is_some();
    }
    known.filter(|sum| all || *sum > 0.0)
}

fn streams_words(kit: &Kit, most: Option<&DlqStream>) -> Html {
    let streams = &kit.cx.snapshot.dlq.streams;
    let n = fill(kit.l.in_streams, &[("n", &streams.len().to_string())]);
    let busiest = most.filter(|_| streams.len() > 1).map(|s| fill(kit.l.busiest, &[("stream", &s.stream)]));
    Html::dots([Html::text(&n), Html::text(&busiest.unwrap_or_default())])
}

/// Why there is no number of dead letters.
fn no_letters(kit: &Kit) -> &'static str {
    let (lag, dlq) = (&kit.cx.snapshot.lag, &kit.cx.snapshot.dlq);
    match dlq.streams.is_empty() {
        true if lag.clusters.iter().all(|c| c.as_of.is_none()) && !kit.cx.status.lag_off => kit.l.not_surveyed_short,
        true => kit.l.no_dlq_short,
        false => kit.t.unknown,
    }
}

fn letters(kit: &Kit) -> Tile {
    let (l, streams) = (kit.l, &kit.cx.snapshot.dlq.streams);
    let href = kit.url(&View::Dlq(Lens::default()));
    let Some(n) = sum(streams.iter().map(|s| s.unhandled.map(|n| n as f64))) else {
        let why = no_letters(kit);
        return tile(l.tile_letters, href, Quantity::unknown(), why.into(), Level::Unknown);
    };
    let most = streams.iter().max_by_key(|s| s.unhandled).filter(|s| s.unhandled > Some(0));
    let art = most.map(|s| words::sparkline(&s.trend, Level::Warn)).unwrap_or_default();
    let level = if n > 0.0 { Level::Warn } else { Level::Ok };
    let sub = streams_words(kit, most.map(|s| &**s));
    Tile { art, ..tile(l.tile_letters, href, Quantity::new(number::count(n as u64), ""), sub, level) }
}

fn inflow(kit: &Kit) -> Tile {
    let (l, streams) = (kit.l, &kit.cx.snapshot.dlq.streams);
    let href = kit.url(&View::Dlq(Lens::default()));
    let Some(rate) = sum(streams.iter().map(|s| s.inflow_per_minute)) else {
        let why = if streams.is_empty() { no_letters(kit) } else { l.inflow_soon };
        return tile(l.tile_inflow, href, Quantity::unknown(), why.into(), Level::Unknown);
    };
    let most = streams.iter().filter(|s| s.inflow_per_minute > Some(0.0));
    let most =
        most.max_by(|a, b| a.inflow_per_minute.partial_cmp(&b.inflow_per_minute).unwrap_or(std::cmp::Ordering::Equal));
    let level = if rate > 0.0 { Level::Warn } else { Level::Ok };
    tile(
        l.tile_inflow,
        href,
        Quantity::new(number::rate(rate), l.per_minute),
        streams_words(kit, most.map(|s| &**s)),
        level,
    )
}

/// What needs attention, of groups, clusters, partitions and dead letters.
pub fn attention(kit: &Kit) -> Vec<Item> {
    let mut items = Vec::new();
    of_groups(kit, &mut items);
    of_clusters(kit, &mut items);
    of_letters(kit, &mut items);
    items
}

fn of_groups(kit: &Kit, items: &mut Vec<Item>) {
    let l = kit.l;
    let mut by_state: [Vec<Entry>; LagState::ALL.len()] = std::array::from_fn(|_| Vec::new());
    // An abandoned group is nobody's emergency: it would alarm for ever.
    for entry in groups(kit).filter(|(_, g)| words::level(g.state) >= Level::Warn && g.state != LagState::Abandoned) {
        by_state[entry.1.state as usize].push(entry);
    }
    for state in LagState::ALL {
        let found = &by_state[state as usize];
        let (level, word) = (words::level(state), words::words(l, state).0);
        let weight = 8_000 + 100 * state as u64;
        if found.len() > NAMED {
            let names: Vec<&str> = found.iter().take(NAMED).map(|(_, g)| &*g.group).collect();
            let title = fill(l.a_groups, &[("state", word), ("n", &number::count(found.len() as u64))]);
            let href = kit.url(&View::Consumers(Lens { state: state.name(), ..Lens::default() }));
            let detail = Html::text(&format!("{} \u{2026}", names.join(", ")));
            items.push(Item::new(level, weight + 50, title, detail, l.nav_consumers, href));
            continue;
        }
        for (cluster, group) in found {
            let title = fill(l.a_group, &[("group", &group.group), ("state", word)]);
            let age = words::group_age(kit, group);
            let age = if age.quiet { String::new() } else { format!("{} {}", l.oldest, age.value) };
            let detail = Html::dots([Html::text(&words::group_reason(kit, group)), Html::text(&age)]);
            let href = kit.url(&View::Group(cluster.cluster.clone(), group.group.to_string(), Lens::default()));
            items.push(Item::new(level, weight, title, detail, &cluster.cluster, href));
        }
    }
}

fn of_clusters(kit: &Kit, items: &mut Vec<Item>) {
    let l = kit.l;
    let href = kit.url(&View::Consumers(Lens::default()));
    for cluster in &kit.cx.snapshot.lag.clusters {
        let down = kit.cx.status.clusters.iter().any(|c| c.0 == cluster.cluster && c.2.up == Some(false));
        if let (false, Some(at), false) = (cluster.answering, cluster.as_of, down) {
            let title = fill(l.a_frozen, &[("cluster", &cluster.cluster)]);
            let since = Html::fill(l.frozen_at, &[("time", kit.time(at))]);
            let fault = cluster.faults.first().map_or("", String::as_str);
            items.push(Item::new(
                Level::Bad,
                90_000,
                title,
                Html::dots([since, Html::text(fault)]),
                &cluster.cluster,
                href.clone(),
            ));
        } else if let (true, Some(fault)) = (cluster.answering, cluster.faults.first()) {
            let title = fill(l.a_rights, &[("cluster", &cluster.cluster)]);
            items.push(Item::new(Level::Warn, 40, title, Html::text(fault), &cluster.cluster, href.clone()));
        }
        for what in ["offline", "leaderless", "under_replicated"] {
            let found: Vec<_> = cluster.troubles.iter().filter(|t| t.what == what).collect();
            let Some(first) = found.first() else { continue };
            let (word, level) = trouble(l, what);
            let title = fill(l.a_troubles, &[("what", word), ("n", &number::count(found.len() as u64))]);
            let more = if found.len() > 1 { " \u{2026}" } else { "" };
            let detail = Html::text(&format!("{}/{}{more}", first.stream, first.partition));
            items.push(Item::new(level, 20_000 + found.len() as u64, title, detail, &cluster.cluster, href.clone()));
        }
    }
}

fn of_letters(kit: &Kit, items: &mut Vec<Item>) {
    let l = kit.l;
    for stream in &kit.cx.snapshot.dlq.streams {
        let href = kit.url(&View::DlqStream(stream.cluster.clone(), stream.stream.to_string()));
        let arriving = stream.inflow_per_minute.is_some_and(|n| n > 0.0);
        let waiting = stream.unhandled.filter(|n| *n > 0);
        // Without a redrive group all that is kept counts as unhandled: old letters alone are no news then.
        if let Some(n) = waiting.filter(|_| arriving || stream.redrive_group.is_some()) {
            let title = fill(l.a_letters, &[("n", &number::count(n)), ("stream", &stream.stream)]);
            let rate = if arriving {
                format!("{}{}", kit.rate(stream.inflow_per_minute), l.per_minute)
            } else {
                String::new()
            };
            let age = stream
                .oldest_unhandled_age_seconds
                .map_or_else(String::new, |s| fill(kit.t.oldest_waits, &[("age", &kit.age(s))]));
            let class = stream.by_error.first().map_or("", |e| e.0.as_str());
            let detail = Html::dots([Html::text(&rate), Html::text(&age), Html::text(class)]);
            items.push(Item::new(Level::Warn, 4_000 + n.min(900), title, detail, l.nav_dlq, href.clone()));
        }
        if stream.expired > 0 {
            let title = fill(l.a_expired, &[("n", &number::count(stream.expired)), ("stream", &stream.stream)]);
            items.push(Item::new(Level::Warn, 25, title, Html::text(&stream.cluster), l.nav_dlq, href));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn no_zero_is_made_of_what_is_unknown() {
        let of = |values: &[Option<f64>]| sum(values.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[None]), None);
        assert_eq!(of(&[Some(0.0), None]), None);
        assert_eq!(of(&[Some(0.0), Some(0.0)]), Some(0.0));
        assert_eq!(of(&[Some(2.0), None, Some(1.0)]), Some(3.0), "at least");
    }
}
