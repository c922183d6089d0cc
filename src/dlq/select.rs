//! Which letters a redrive is for.

use super::classify::Letter;
use crate::model::Timestamp;

/// Positions of one partition, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    /// Partition.
    pub partition: u32,
    /// First position.
    pub from: u64,
    /// Last position.
    pub to: u64,
}

impl OffsetRange {
    /// Reads `P:FROM-TO`, `P:FROM-` (to the end) or `P:FROM` (one letter).
    ///
    /// # Errors
    /// In words, with the form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is no range of offsets; allowed: PARTITION:FROM-TO, PARTITION:FROM- or PARTITION:OFFSET"
            )
        };
        let (partition, range) = text.split_once(':').ok_or_else(wrong)?;
        let number = |t: &str| t.parse::<u64>().map_err(|_| wrong());
        let (from, to) = match range.split_once('-') {
            None => (number(range)?, number(range)?),
            Some((from, "")) => (number(from)?, u64::MAX),
            Some((from, to)) => (number(from)?, number(to)?),
        };
        let partition = partition.parse().map_err(|_| wrong())?;
        if from > to { Err(wrong()) } else { Ok(Self { partition, from, to }) }
    }
}

/// Conditions that a letter must meet, all of them; an empty one is met by every letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Error classes, whole or without their package; any of them.
    pub errors: Vec<String>,
    /// Record time not before.
    pub from: Option<Timestamp>,
    /// Record time before.
    pub to: Option<Timestamp>,
    /// Positions; any of them.
    pub offsets: Vec<OffsetRange>,
    /// Only letters that this group gave up.
    pub group: Option<String>,
}

impl Selection {
    /// True where a letter is selected.
    #[must_use]
    pub fn takes(&self, partition: u32, position: u64, time: Option<Timestamp>, letter: &Letter) -> bool {
        let class = |wanted: &String| same_class(&letter.error, wanted);
        // A letter without a time cannot be said to lie within a range of times.
        (self.errors.is_empty() || self.errors.iter().any(class))
            && self.from.is_none_or(|from| time.is_some_and(|t| t >= from))
            && self.to.is_none_or(|to| time.is_some_and(|t| t < to))
            && self.takes_position(partition, position)
            && self.group.as_ref().is_none_or(|g| letter.group == *g)
    }

    /// True where a position is selected.
    #[must_use]
    pub fn takes_position(&self, partition: u32, position: u64) -> bool {
        let within = |r: &OffsetRange| r.partition == partition && (r.from..=r.to).contains(&position);
        self.offsets.is_empty() || self.offsets.iter().any(within)
    }

    /// The first and the position behind the last one that can be selected of `from..to`; `None`: nothing of it.
    #[must_use]
    pub fn span(&self, partition: u32, from: u64, to: u64) -> Option<(u64, u64)> {
        if self.offsets.is_empty() {
            return (from < to).then_some((from, to));
        }
        let mine = || self.offsets.iter().filter(|r| r.partition == partition);
        let first = mine().map(|r| r.from).min()?.max(from);
        let last = mine().map(|r| r.to.saturating_add(1)).max()?.min(to);
        (first < last).then_some((first, last))
    }
}

/// `TimeoutException` selects `java.util.concurrent.TimeoutException` too.
fn same_class(found: &str, wanted: &str) -> bool {
    let short = found.rsplit(['.', '$']).next().unwrap_or(found);
    !wanted.is_empty() && (found == wanted || short == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_counts() {
        let letter = Letter { error: "java.io.IOException".into(), group: "billing".into(), ..Letter::default() };
        let t = |s| Some(Timestamp::from_seconds(s));
        let all = Selection::default();
        assert!(all.takes(0, 7, None, &letter));
        let by_class = |e: &str| Selection { errors: vec!["X".into(), e.into()], ..Selection::default() };
        assert!(
            by_class("IOException").takes(0, 7, None, &letter)
                && by_class("java.io.IOException").takes(0, 7, None, &letter)
        );
        assert!(!by_class("Exception").takes(0, 7, None, &letter) && !by_class("").takes(0, 7, None, &letter));
        let by_time = Selection { from: t(10), to: t(20), ..Selection::default() };
        assert!(by_time.takes(0, 7, t(10), &letter));
        assert!(!by_time.takes(0, 7, t(20), &letter) && !by_time.takes(0, 7, None, &letter));
        assert!(!Selection { group: Some("x".into()), ..Selection::default() }.takes(0, 7, None, &letter));
    }

    #[test]
    fn ranges_of_offsets() {
        let parse = |t| OffsetRange::parse(t).map(|r| (r.partition, r.from, r.to));
        assert_eq!(parse("0:5-9"), Ok((0, 5, 9)));
        assert_eq!(parse("3:5"), Ok((3, 5, 5)));
        assert_eq!(parse("3:5-"), Ok((3, 5, u64::MAX)));
        for wrong in ["", "5-9", "0:9-5", "a:1", "0:", "0:-5", "0:1-b"] {
            assert!(parse(wrong).unwrap_err().contains("PARTITION"), "{wrong}");
        }
        let range = |partition, from, to| OffsetRange { partition, from, to };
        let some = Selection { offsets: vec![range(0, 5, 9), range(0, 20, u64::MAX)], ..Selection::default() };
        assert_eq!(some.span(0, 0, 30), Some((5, 30)));
        assert_eq!((some.span(1, 0, 30), some.span(0, 0, 5)), (None, None));
        assert!(some.takes_position(0, 9) && !some.takes_position(0, 10) && !some.takes_position(1, 9));
    }
}
