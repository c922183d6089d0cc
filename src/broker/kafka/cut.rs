//! Where a log was cut, in the words of the client library. Pure.
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

#[cfg(test)]
mod tests {
    use super::*;

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
