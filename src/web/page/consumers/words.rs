//! How verdicts, ages and rates of groups are said.

use crate::snapshot::{AgeMethod, Confidence, GroupView, LagRow, LagState, Reason};
use crate::text::i18n::{LagTexts, fill, lag_reason};
use crate::text::number::{self, UNKNOWN};
use crate::web::page::kit::{Html, Kit, Level, State};

/// Colour and shape of a state.
pub const fn level(state: LagState) -> Level {
    match state {
        LagState::Ok | LagState::Idle => Level::Ok,
        LagState::Warming | LagState::Unknown | LagState::NeverCommitted => Level::Unknown,
        LagState::Lagging | LagState::Rewound | LagState::Recreated | LagState::Abandoned => Level::Warn,
        LagState::Stopped | LagState::AckStalled | LagState::Stalled | LagState::Lost => Level::Bad,
    }
}

/// The word of a state, and what it means.
pub fn words(l: &'static LagTexts, state: LagState) -> (&'static str, &'static str) {
    match state {
        LagState::Ok => (l.s_ok, l.w_ok),
        LagState::Idle => (l.s_idle, l.w_idle),
        LagState::Warming => (l.s_warming, l.w_warming),
        LagState::Unknown => (l.s_unknown, l.w_unknown),
        LagState::NeverCommitted => (l.s_never_committed, l.w_never_committed),
        LagState::Lagging => (l.s_lagging, l.w_lagging),
        LagState::Rewound => (l.s_rewound, l.w_rewound),
        LagState::Recreated => (l.s_recreated, l.w_recreated),
        LagState::Abandoned => (l.s_abandoned, l.w_abandoned),
        LagState::Stopped => (l.s_stopped, l.w_stopped),
        LagState::AckStalled => (l.s_ack_stalled, l.w_ack_stalled),
        LagState::Stalled => (l.s_stalled, l.w_stalled),
        LagState::Lost => (l.s_lost, l.w_lost),
    }
}

/// Colour, shape and word of a state.
pub fn state(kit: &Kit, of: LagState) -> State {
    State { level: level(of), word: words(kit.l, of).0.to_owned() }
}

/// Why a state was given, in a sentence; what the state means where the verdict gives no sentence.
pub fn reason(kit: &Kit, of: LagState, reason: &Reason) -> String {
    lag_reason(reason.key, &reason.numbers, kit.locale).unwrap_or_else(|| words(kit.l, of).1.to_owned())
}

/// The same of a group, with the partition that it is about where it is not about all.
pub fn group_reason(kit: &Kit, group: &GroupView) -> String {
    let words = reason(kit, group.state, &group.reason);
    group.place.as_ref().map_or(words.clone(), |(stream, partition)| format!("{stream}/{partition}: {words}"))
}

/// A count that may be unknown. A negative one is never made a zero.
pub fn messages(lag: Option<i64>) -> String {
    match lag {
        Some(n) if n < 0 => format!("\u{2212}{}", number::count(n.unsigned_abs())),
        Some(n) => number::count(n.unsigned_abs()),
        None => UNKNOWN.to_owned(),
    }
}

/// What is unread in a group, and how many of its partitions are not in that sum.
pub fn group_messages(kit: &Kit, group: &GroupView) -> Cell {
    let said = |pattern| match group.unknown_partitions {
        // What is frozen is in the sum, as it was.
        0 => String::new(),
        _ if group.frozen => String::new(),
        n => fill(pattern, &[("n", &number::count(n.into()))]),
    };
    let (note, title) = (said(kit.l.unknown_short), said(kit.l.unknown_rows));
    Cell { note, title, ..Cell::plain(messages(group.lag_messages)) }
}

/// A position that may be unknown.
pub fn position(at: Option<u64>) -> String {
    at.map_or_else(|| UNKNOWN.to_owned(), number::count)
}

/// A value and the small line beneath it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// What is read first.
    pub value: String,
    /// How it was found, or how far it can be trusted.
    pub note: String,
    /// Both in a sentence, for those who ask.
    pub title: String,
    /// There is nothing to say: written faint.
    pub quiet: bool,
}

impl Cell {
    /// A cell without a note.
    pub fn plain(value: String) -> Self {
        Self { quiet: value == UNKNOWN, value, ..Self::default() }
    }

    /// Nothing, and why.
    pub fn nothing(value: &str, why: &str) -> Self {
        Self { value: value.to_owned(), note: String::new(), title: why.to_owned(), quiet: true }
    }
}

/// The age of the next unread message of a partition, with its method and confidence.
pub fn age(kit: &Kit, row: &LagRow) -> Cell {
    let method = match row.method {
        AgeMethod::None => "",
        AgeMethod::CaughtUp => return Cell::nothing(kit.l.m_caught_up, ""),
        AgeMethod::Index => kit.l.m_index,
        AgeMethod::Record => kit.l.m_record,
        AgeMethod::Bracket => kit.l.m_bracket,
    };
    let trust = confidence(kit, row.confidence);
    let value = match (row.next_unread_age_seconds.get(), row.age_bounds()) {
        (Some(age), _) => kit.limit(age),
        (None, Some((from, to))) => range(kit, from, to),
        (None, None) => UNKNOWN.to_owned(),
    };
    let title = [method, trust].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(", ");
    Cell { quiet: value == UNKNOWN, value, note: trust.to_owned(), title }
}

fn confidence(kit: &Kit, of: Confidence) -> &'static str {
    match of {
        Confidence::None => "",
        Confidence::Rough => kit.l.c_rough,
        Confidence::Good => kit.l.c_good_short,
        Confidence::Exact => kit.l.c_exact,
    }
}

/// Two bounds of one age.
fn range(kit: &Kit, from: f64, to: f64) -> String {
    fill(kit.l.between, &[("from", &kit.age(from)), ("to", &kit.age(to))])
}

/// The oldest unread message of a group. Where that of a partition is not known, what can be said for sure.
pub fn group_age(kit: &Kit, group: &GroupView) -> Cell {
    let unread = || group.rows.iter().filter(|r| r.method != AgeMethod::CaughtUp && r.lag_messages() != Some(0));
    if group.lag_messages.is_some() && group.unknown_partitions == 0 && unread().all(|r| r.readable.get() == Some(0)) {
        return Cell::nothing(kit.l.m_caught_up, "");
    }
    if let Some(seconds) = group.next_unread_age_seconds.filter(|age| *age > 0.0) {
        let ages = unread().filter_map(|r| Some((r.next_unread_age_seconds.get()?, r)));
        let oldest = ages.max_by(|a, b| a.0.total_cmp(&b.0));
        let found = oldest.map(|(_, row)| age(kit, row)).unwrap_or_default();
        return Cell { value: kit.limit(seconds), ..found };
    }
    let least = unread().filter_map(|r| r.next_unread_age_seconds.get().or(r.bounds[0].get())).fold(0.0, f64::max);
    if least > 0.0 {
        let value = fill(kit.l.at_least, &[("age", &kit.age(least))]);
        return Cell { value, note: kit.l.c_rough.to_owned(), title: kit.l.m_bracket.to_owned(), quiet: false };
    }
    Cell::nothing(UNKNOWN, kit.t.unknown_why)
}

/// Seconds until nothing is unread; where the backlog does not shrink, that.
pub fn drain(kit: &Kit, seconds: Option<f64>, lag: Option<i64>) -> Cell {
    match (seconds, lag) {
        (Some(seconds), _) => Cell::plain(kit.age(seconds)),
        (None, Some(n)) if n > 0 => Cell::nothing(UNKNOWN, kit.l.not_draining),
        _ => Cell::plain(UNKNOWN.to_owned()),
    }
}

/// The shape of a trend: from zero to its own maximum, gaps where it was not known.
pub fn sparkline(trend: &[Option<f32>], class: Level) -> Html {
    use std::fmt::Write as _;
    if trend.iter().flatten().count() < 2 {
        return Html::default();
    }
    let top = trend.iter().flatten().fold(1.0_f32, |m, v| m.max(*v));
    let step = 120.0 / (trend.len() - 1) as f32;
    let mut path = String::new();
    let mut pen = 'M';
    for (i, value) in trend.iter().enumerate() {
        match value {
            Some(v) => {
                // Writing to a String cannot fail.
                let _ = write!(path, "{pen}{:.0} {:.0}", i as f32 * step, 26.0 - v.max(0.0) / top * 24.0);
                pen = 'L';
            }
            None => pen = 'M',
        }
    }
    let class = match class {
        Level::Bad => "bad",
        Level::Warn => "warn",
        _ => "quiet",
    };
    Html(format!(
        "<svg class=\"spark {class}\" viewBox=\"0 0 120 28\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><path class=\"l\" d=\"{path}\"/></svg>"
    ))
}

/// How a trend goes, for those who do not see it: its first, newest and largest value.
pub fn trend_words(trend: &[Option<f32>]) -> String {
    let known: Vec<f32> = trend.iter().flatten().copied().collect();
    match (known.first(), known.last()) {
        (Some(first), Some(last)) if known.len() > 1 => {
            format!("{} \u{2192} {}", number::short(f64::from(*first)), number::short(f64::from(*last)))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_breaks_where_nothing_was_known_and_never_falls_to_zero_there() {
        let drawn = sparkline(&[Some(10.0), None, Some(5.0), Some(0.0)], Level::Bad).0;
        assert!(drawn.contains("d=\"M0 2M80 14L120 26\""), "{drawn}");
        assert_eq!(sparkline(&[None, Some(1.0)], Level::Ok), Html::default());
        assert_eq!(trend_words(&[Some(1_200.0), None, Some(0.0)]), "1.2 k \u{2192} 0");
    }

    #[test]
    fn a_negative_lag_is_shown_as_it_is() {
        assert_eq!([Some(-3), Some(11_903), None].map(messages), ["\u{2212}3", "11,903", UNKNOWN]);
    }
}
