//! Whose turn it is: partitions advance together in record time while they catch up.
//!
//! Pure. A partition that stood at its end lately is *live*: it goes first and waits for nobody.
//! The others are taken in order of least record time; one that is further than [`SLACK_MS`] ahead
//! waits for those behind it, but only for those that delivered within [`PATIENCE`]: a partition
//! that fails, or that is merely slow, holds nobody up for longer.

use std::time::Duration;

/// Partitions this close in record time do not wait for each other (the watermark trails by 2 s anyway).
pub(super) const SLACK_MS: i64 = 1_000;
/// How long a partition without news is waited for: several fetches of a broker that is busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Where a partition with unread records stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Greatest record time read, in ms; `None` before the first.
    pub frontier: Option<i64>,
    /// It stood at its end lately.
    pub live: bool,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Read this one.
    Take(usize),
    /// All that is ready is ahead of others that will deliver soon.
    Wait,
    /// Nothing is ready.
    Idle,
}

/// Chooses among the `ready`; `behind` is the least frontier of those awaited, looked at only where it matters.
pub(super) fn turn(ready: impl Iterator<Item = (usize, Standing)>, behind: impl FnOnce() -> Option<i64>) -> Turn {
    let Some((slot, at)) = ready.min_by_key(|(_, at)| (!at.live, at.frontier)) else { return Turn::Idle };
    let Some(frontier) = at.frontier.filter(|_| !at.live) else { return Turn::Take(slot) };
    match behind() {
        Some(least) if least.saturating_add(SLACK_MS) < frontier => Turn::Wait,
        _ => Turn::Take(slot),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(slot: usize, frontier: i64, live: bool) -> (usize, Standing) {
        (slot, Standing { frontier: Some(frontier), live })
    }

    #[test]
    fn the_least_record_time_goes_first_and_live_partitions_before_it() {
        let ready = [at(0, 9_000, false), at(1, 5_000, false), at(2, 7_000, false)];
        assert_eq!(turn(ready.into_iter(), || None), Turn::Take(1));
        let with_live = [at(0, 9_000, false), at(1, 99_000, true)];
        assert_eq!(turn(with_live.into_iter(), || panic!("live ones do not ask")), Turn::Take(1));
        assert_eq!(turn(std::iter::empty(), || None), Turn::Idle);
    }

    #[test]
    fn one_that_is_ahead_waits_for_those_awaited_only() {
        assert_eq!(turn([at(0, 9_000, false)].into_iter(), || Some(7_999)), Turn::Wait);
        assert_eq!(turn([at(0, 9_000, false)].into_iter(), || Some(8_000)), Turn::Take(0));
        assert_eq!(turn([at(0, 9_000, false)].into_iter(), || None), Turn::Take(0));
    }

    #[test]
    fn one_that_has_read_nothing_yet_waits_for_nobody() {
        let new = (3, Standing { frontier: None, live: false });
        assert_eq!(turn([at(0, 1, false), new].into_iter(), || Some(i64::MIN)), Turn::Take(3));
    }
}
