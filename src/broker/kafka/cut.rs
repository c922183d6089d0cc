//! Where a log was cut, in the words of the client library, and where it is read on. Pure.
//!
//! A leader that did not have the newest records was elected: the log ends where the epoch of our last record ends for
//! the new leader, and goes on with other records. The library asks for that place (`OffsetsForLeaderEpoch`) whenever
//! the leader changes and whenever a position with an epoch is sought; what it was told is only in its words.

/// Begin of the words of a position that the log does not have any more.
const TRUNCATED: &str = "Partition log truncation detected";
/// Begin of the words where the log knows no epoch as old as ours.
const NO_EPOCH: &str = "No epoch found less or equal";
/// What stands before the position and before its epoch.
const MARKS: [&str; 2] = ["broker end offset is ", "(offset leader epoch "];

/// How much of what we read a log still has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Everything before this position, whose record before it has this leader epoch.
    To(u64, i32),
    /// Nobody knows.
    Unknown,
}

impl Cut {
    /// What an error says of a cut; `None`: it is another one.
    pub(super) fn said(words: &str) -> Option<Self> {
        if !words.starts_with(TRUNCATED) && !words.starts_with(NO_EPOCH) {
            return None;
        }
        let number = |mark: &str| -> Option<i64> {
            let after = words.split(mark).nth(1)?;
            let length = after.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(after.len());
            after[..length].parse().ok()
        };
        let to = || {
            let [position, epoch] = MARKS.map(number);
            Some(Self::To(u64::try_from(position?).ok()?, i32::try_from(epoch?).ok().filter(|epoch| *epoch >= 0)?))
        };
        Some(to().unwrap_or(Self::Unknown))
    }
}

/// Where reading goes on after a position was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Onward {
    /// Where it was.
    Same,
    /// What lies before this position expired.
    Gap(u64),
    /// The log was cut, perhaps.
    Cut {
        /// From this position on.
        next: u64,
        /// Of the record before it; -1 unknown.
        leader_epoch: i32,
        /// False: nobody knows where it was cut.
        known: bool,
    },
}

/// Where a log that has `begin..end` is read on. `next` was the next position, `last` the one behind the last record
/// that was read, with that record's epoch.
pub(super) fn onward(next: u64, last: (u64, i32), cut: Option<Cut>, (begin, end): (u64, u64)) -> Onward {
    let (to, leader_epoch, known) = match cut {
        _ if begin > next => return Onward::Gap(begin),
        Some(Cut::To(to, leader_epoch)) => (to, leader_epoch, true),
        // What was read must not count again, and by their ids only those of the last minutes would be recognised.
        Some(Cut::Unknown) => (end, -1, false),
        // The last epoch stays: whether the log was cut before its end is told as soon as it is read again.
        None if end < next => (end.min(last.0), last.1, true),
        // Holes are passed again, with the epoch of the record before them: a log cut among them is told by it as well.
        None if last.0 < next && last.1 >= 0 => (last.0, last.1, true),
        None => return Onward::Same,
    };
    let leader_epoch = if to < begin || to > next { -1 } else { leader_epoch };
    Onward::Cut { next: to.clamp(begin, next), leader_epoch, known }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_counted_is_never_read_again_unless_the_place_of_the_cut_is_known() {
        let after = |cut, begin, end| onward(1_300, (1_290, 3), cut, (begin, end));
        let cut = |next, leader_epoch, known| Onward::Cut { next, leader_epoch, known };
        assert_eq!(after(Some(Cut::To(1_000, 2)), 0, 1_200), cut(1_000, 2, true));
        assert_eq!(after(Some(Cut::To(1_000, 2)), 0, 900), cut(1_000, 2, true), "its end is that of committed records");
        assert_eq!(after(Some(Cut::To(1_000, 2)), 1_100, 1_200), cut(1_100, -1, true));
        assert_eq!(after(Some(Cut::Unknown), 0, 1_200), cut(1_200, -1, false));
        assert_eq!(after(Some(Cut::Unknown), 0, 5_000), cut(1_300, -1, false));
        for said in [None, Some(Cut::Unknown), Some(Cut::To(1_000, 2))] {
            assert_eq!(after(said, 1_400, 5_000), Onward::Gap(1_400), "{said:?}");
        }
    }

    #[test]
    fn holes_at_the_end_are_passed_again_where_their_epoch_is_known() {
        let at = |last, end| onward(1_300, last, None, (0, end));
        assert_eq!(at((1_290, 3), 5_000), Onward::Cut { next: 1_290, leader_epoch: 3, known: true });
        assert_eq!(at((1_290, 3), 1_295), Onward::Cut { next: 1_290, leader_epoch: 3, known: true });
        assert_eq!(at((1_300, 3), 1_295), Onward::Cut { next: 1_295, leader_epoch: 3, known: true });
        assert_eq!((at((1_300, 3), 5_000), at((1_290, -1), 5_000)), (Onward::Same, Onward::Same));
    }

    #[test]
    fn the_place_and_its_epoch_are_read_from_the_words() {
        let words = "Partition log truncation detected at offset 1300 (leader epoch 3): broker end offset is 1000 \
                     (offset leader epoch 2). Reset to INVALID.: Local: Partition log truncation detected (broker 3)";
        assert_eq!(Cut::said(words), Some(Cut::To(1_000, 2)));
    }

    #[test]
    fn without_a_place_it_is_a_cut_all_the_same_and_other_errors_are_none() {
        let none = "No epoch found less or equal to offset 7 (leader epoch 1): broker end offset is -1 \
                    (offset leader epoch -1). Reset using configured policy.";
        assert_eq!(Cut::said(none), Some(Cut::Unknown));
        assert_eq!(Cut::said("Partition log truncation detected in other words"), Some(Cut::Unknown));
        assert_eq!(Cut::said("fetch failed due to requested offset not available on the broker"), None);
    }
}
