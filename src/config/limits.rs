//! `[limits]` and `[history]`: every bound by name, each with a range that keeps the process working.

use std::time::Duration;

use super::read::Table;
use super::units::{DURATION_FORM, duration, show_duration};
use crate::model::{Limits, WebLimits};

/// A bound: its name, what it may be, and where it goes.
struct Bound<T: 'static> {
    name: &'static str,
    least: u64,
    most: u64,
    field: fn(&mut T) -> &mut usize,
}

/// Makes the bounds of one struct; the name of a key is the name of its field.
macro_rules! bounds {
    ($of:ty: $($field:ident $least:literal..=$most:literal),* $(,)?) => {
        [$(Bound::<$of> { name: stringify!($field), least: $least, most: $most, field: |l| &mut l.$field }),*]
    };
}

/// Bounds of the engine and the decoder. The upper ends are what 64 GiB of memory could hold;
/// the lower ones what a dashboard needs to work at all.
const ENGINE: [Bound<Limits>; 15] = bounds![Limits:
    transactions 100..=100_000_000,
    tombstones 100..=1_000_000_000,
    dedup_events 100..=1_000_000_000,
    events_per_transaction 2..=1_024,
    flows 1..=100_000,
    stages_per_flow 1..=1_024,
    hops_per_flow 1..=65_536,
    streams 1..=100_000,
    series 10..=10_000_000,
    stuck_list 1..=10_000,
    payload_bytes 64..=134_217_728,
    field_bytes 16..=65_536,
    headers 1..=1_024,
    json_depth 2..=128,
    decode_samples 0..=1_000,
];

/// Bounds of the web edge.
const WEB: [Bound<WebLimits>; 7] = bounds![WebLimits:
    body_bytes 1_024..=134_217_728,
    body_events 1..=1_000_000,
    connections 10..=1_000_000,
    live_streams 1..=1_000_000,
    live_views 1..=10_000,
    fanout_threads 1..=64,
    idempotency_keys 100..=10_000_000,
];

/// Reads `[limits]`.
pub(super) fn read_limits(table: &Table<'_>, limits: &mut Limits, web: &mut WebLimits) {
    for bound in &ENGINE {
        if let Some(n) = table.number(bound.name, bound.least, bound.most) {
            *(bound.field)(limits) = usize::try_from(n).unwrap_or(usize::MAX);
        }
    }
    for bound in &WEB {
        if let Some(n) = table.number(bound.name, bound.least, bound.most) {
            *(bound.field)(web) = usize::try_from(n).unwrap_or(usize::MAX);
        }
    }
    if web.live_streams > web.connections {
        let what = format!("{} live streams do not fit into {} connections", web.live_streams, web.connections);
        table.refuse("live_streams", what, "at most limits.connections");
    }
    table.finish();
}

/// One resolution of the history: key, least, most, and where it goes.
type Resolution = (&'static str, u64, u64, fn(&mut Limits) -> &mut i64);

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// The one-second history also feeds the windows, the longest of which is one hour.
const RESOLUTIONS: [Resolution; 3] = [
    ("1s", HOUR, DAY, |l| &mut l.history_1s_seconds),
    ("10s", HOUR, 30 * DAY, |l| &mut l.history_10s_seconds),
    ("1m", HOUR, 366 * DAY, |l| &mut l.history_1m_seconds),
];

/// Reads `[history]`: how long each resolution is kept.
pub(super) fn read_history(table: &Table<'_>, limits: &mut Limits) {
    for (key, least, most, field) in RESOLUTIONS {
        if let Some(kept) = table.parsed(key, duration, "not a duration", DURATION_FORM) {
            if (least..=most).contains(&kept.as_secs()) && kept.subsec_nanos() == 0 {
                *field(limits) = i64::try_from(kept.as_secs()).unwrap_or(i64::MAX);
            } else {
                let show = |s| show_duration(Duration::from_secs(s));
                table.refuse(key, "out of range", format!("{} to {}, whole seconds", show(least), show(most)));
            }
        }
    }
    for [(finer, _, _, fine), (coarser, _, _, coarse)] in
        [[RESOLUTIONS[0], RESOLUTIONS[1]], [RESOLUTIONS[1], RESOLUTIONS[2]]]
    {
        if *fine(limits) > *coarse(limits) {
            let key = if table.has(coarser) { coarser } else { finer };
            table.refuse(key, format!("points of {finer} would be kept longer than those of {coarser}"), "");
        }
    }
    table.finish();
}

/// Bounds that differ from their defaults, for the summary.
pub(super) fn changed(limits: &Limits, web: &WebLimits) -> Vec<(&'static str, usize)> {
    let (mut limits, mut web) = (limits.clone(), web.clone());
    let (mut plain, mut plain_web) = (Limits::default(), WebLimits::default());
    let engine = ENGINE.iter().map(|b| (b.name, *(b.field)(&mut limits), *(b.field)(&mut plain)));
    let edge = WEB.iter().map(|b| (b.name, *(b.field)(&mut web), *(b.field)(&mut plain_web)));
    engine.chain(edge).filter(|(_, now, default)| now != default).map(|(name, now, _)| (name, now)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_allowed_and_every_field_has_a_key() {
        let (mut limits, mut web) = (Limits::default(), WebLimits::default());
        for bound in &ENGINE {
            let value = *(bound.field)(&mut limits) as u64;
            assert!((bound.least..=bound.most).contains(&value), "{}", bound.name);
        }
        for bound in &WEB {
            let value = *(bound.field)(&mut web) as u64;
            assert!((bound.least..=bound.most).contains(&value), "{}", bound.name);
        }
        for (key, least, most, field) in RESOLUTIONS {
            assert!((least as i64..=most as i64).contains(field(&mut limits)), "{key}");
        }
        // Set every field we know; a field without a key would keep its default and be found here.
        ENGINE.iter().for_each(|b| *(b.field)(&mut limits) = 7);
        WEB.iter().for_each(|b| *(b.field)(&mut web) = 7);
        let all = format!("{limits:?}{web:?}");
        let left = all
            .split([',', '{', '}'])
            .filter(|f| f.contains(": ") && !f.contains("history_") && !f.ends_with(": 7") && !f.ends_with(": 7 "));
        assert_eq!(left.collect::<Vec<_>>(), Vec::<&str>::new());
        assert_eq!(changed(&limits, &web).len(), ENGINE.len() + WEB.len());
    }
}
