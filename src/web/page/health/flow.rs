//! The state of one flow.

use crate::snapshot::{FlowView, LatencyView, WindowView};
use crate::text::i18n::fill;
use crate::text::number;
use crate::web::page::kit::{Kit, Level, State};

use super::{
    BEHIND_BAD_SECONDS, BEHIND_WARN_SECONDS, ENOUGH, Reach, SHARE_BAD, SHARE_FLOOR, SHARE_WARN, TIMES_MORE,
    TIMES_USUAL, flow_reach, lacking,
};

/// True while the flow's watermark is near the present and something that feeds it can be read: only then do its
/// numbers speak of now.
pub fn is_live(kit: &Kit, flow: &FlowView) -> bool {
    flow_reach(kit, flow) != Reach::Nothing && flow.watermark.is_some_and(|w| kit.seconds_since(w) < BEHIND_BAD_SECONDS)
}

/// A window of a flow by its name.
pub fn window<'a>(flow: &'a FlowView, name: &str) -> Option<&'a WindowView> {
    flow.windows.iter().find(|w| w.name == name)
}

/// Latency of transactions that ended `ok` within a window.
pub fn ok_latency<'a>(flow: &'a FlowView, name: &str) -> Option<&'a LatencyView> {
    window(flow, name)?.latency_seconds.get("ok").filter(|l| l.count > 0)
}

/// How many of the transactions that ended did not end `ok`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// Ended.
    pub ended: u64,
    /// Of those, not `ok`.
    pub not_ok: u64,
    /// The same share within the hour; `None` where too few ended.
    pub usual: Option<f64>,
}

impl Share {
    /// `None` where nothing ended.
    pub fn value(self) -> Option<f64> {
        (self.ended > 0).then(|| self.not_ok as f64 / self.ended as f64)
    }

    /// The verdict: against the hour where that is known, else by size alone. What is usual is no incident, though a
    /// tenth of all is never fine.
    pub fn level(self) -> Level {
        let Some(share) = self.value() else { return Level::Unknown };
        let times = |n: f64| self.usual.is_none_or(|u| share >= u * n);
        let tripled = self.usual.is_some() && times(TIMES_USUAL);
        match share {
            _ if self.ended < ENOUGH => Level::Ok,
            s if s >= SHARE_BAD && times(TIMES_MORE) || s >= SHARE_WARN && tripled => Level::Bad,
            s if s >= SHARE_BAD || s >= SHARE_WARN && times(TIMES_MORE) || s >= SHARE_FLOOR && tripled => Level::Warn,
            _ => Level::Ok,
        }
    }
}

/// Of the last minute, over some flows.
pub fn failed_share<'a>(flows: impl IntoIterator<Item = &'a FlowView>) -> Share {
    let (mut minute, mut hour) = ([0u64; 2], [0u64; 2]);
    for flow in flows.into_iter().filter(|f| f.transactional) {
        for (sum, name) in [(&mut minute, "1m"), (&mut hour, "1h")] {
            if let Some(w) = window(flow, name) {
                sum[0] += w.outcomes.sum();
                sum[1] += w.outcomes.sum() - w.outcomes.ok;
            }
        }
    }
    let usual = (hour[0] >= 10 * ENOUGH).then(|| hour[1] as f64 / hour[0] as f64);
    Share { ended: minute[0], not_ok: minute[1], usual }
}

/// The state of a flow in a word or two, as its row shows it.
pub fn flow_state(kit: &Kit, flow: &FlowView) -> State {
    let t = kit.t;
    let state = |level, word: String| State { level, word };
    let Some(watermark) = flow.watermark else { return state(Level::Unknown, t.nothing_read.to_owned()) };
    if flow_reach(kit, flow) == Reach::Nothing {
        return state(Level::Unknown, kit.frozen(flow.watermark));
    }
    let behind = kit.seconds_since(watermark);
    if behind >= BEHIND_BAD_SECONDS {
        return state(Level::Unknown, fill(t.no_data_for, &[("age", &kit.age(behind))]));
    }
    if let Some(stage) = flow.stages.iter().filter(|s| s.stuck > 0).max_by_key(|s| s.stuck) {
        return state(
            Level::Bad,
            fill(t.n_stuck_at, &[("n", &number::count(flow.stuck_total)), ("stage", &stage.name)]),
        );
    }
    let share = failed_share([flow]);
    let share_level = share.level();
    if share_level >= Level::Warn {
        let percent = share.value().map_or_else(String::new, |s| number::percent(s).text());
        return state(share_level, fill(t.share_not_ok, &[("share", &percent)]));
    }
    if let Some(times) = slower(flow) {
        return state(Level::Warn, fill(t.p99_times, &[("n", &format!("{times:.0}"))]));
    }
    if behind >= BEHIND_WARN_SECONDS {
        return state(Level::Warn, fill(t.behind_by, &[("age", &kit.age(behind))]));
    }
    let lacking = lacking(kit, flow);
    if lacking > 0 {
        return state(Level::Warn, fill(t.partial_without, &[("n", &lacking.to_string())]));
    }
    if flow.inexact.is_some() {
        return state(Level::Warn, t.inexact.to_owned());
    }
    let quiet = window(flow, "1m").is_some_and(|w| w.events_per_second == Some(0.0));
    state(Level::Ok, if quiet { t.quiet.to_owned() } else { t.ok.to_owned() })
}

/// How many times the p99 of the last minute is that of the hour, where that is an incident.
pub fn slower(flow: &FlowView) -> Option<f64> {
    let (minute, hour) = (ok_latency(flow, "1m")?, ok_latency(flow, "1h")?);
    let enough = minute.count >= ENOUGH && hour.count >= 10 * ENOUGH;
    let times = minute.p99? / hour.p99.filter(|p| *p > 0.0)?;
    (enough && times >= TIMES_USUAL).then_some(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_judged_against_its_hour_and_never_from_a_handful() {
        let level = |ended, not_ok, usual| Share { ended, not_ok, usual }.level();
        assert_eq!(level(0, 0, None), Level::Unknown);
        assert_eq!(level(10, 5, None), Level::Ok, "ten transactions are a handful");
        assert_eq!(level(1_000, 30, Some(0.03)), Level::Ok, "usual declines are no incident");
        assert_eq!(level(1_000, 30, Some(0.005)), Level::Warn);
        assert_eq!(level(1_000, 60, Some(0.05)), Level::Ok);
        assert_eq!(level(1_000, 60, Some(0.03)), Level::Warn);
        assert_eq!(level(1_000, 74, Some(0.004)), Level::Bad);
        assert_eq!(level(1_000, 200, Some(0.2)), Level::Warn, "a fifth is never fine");
        assert_eq!(level(1_000, 200, None), Level::Bad);
    }
}
