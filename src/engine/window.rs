//! All seconds of a flow and the rolling windows over the complete ones.

use super::ring::Ring;
use super::second::{Rolling, Second, Tally};
use crate::snapshot::WINDOWS;

/// Seconds behind the watermark after which a second is made small: late changes are rare from then on.
const SEAL_AFTER: i64 = 120;

/// The longest rolling window: seconds must be kept until they have left it.
const LONGEST: i64 = WINDOWS[WINDOWS.len() - 1].1;

/// Seconds of one flow. A second is complete once the watermark has passed it.
#[derive(Clone, Debug)]
pub struct Seconds {
    ring: Ring<Box<Second>>,
    /// The windows of [`WINDOWS`].
    pub rolling: [Rolling; 5],
    complete_to: Option<i64>,
    kept: i64,
    unsaved: Vec<i64>,
    undrawn: Vec<i64>,
    deleted: Vec<i64>,
    /// Changes that found no room: the far seconds are full.
    pub refused: u64,
}

impl Seconds {
    /// Keeps `history` seconds.
    #[must_use]
    pub fn new(history: i64) -> Self {
        Self {
            ring: Ring::default(),
            rolling: WINDOWS.map(|(_, length)| Rolling { length, ..Rolling::default() }),
            complete_to: None,
            kept: history.max(LONGEST),
            unsaved: Vec::new(),
            undrawn: Vec::new(),
            deleted: Vec::new(),
            refused: 0,
        }
    }

    /// Counts `n` of something in a second; below zero takes back. Seconds behind the history are left alone.
    pub fn bump(&mut self, second: i64, what: Tally, n: i32) {
        let Some(slot) = self.ring.entry(second, Box::default) else {
            self.refused += u64::from(second >= self.ring.floor());
            return;
        };
        slot.apply(what, n);
        if !slot.unsaved {
            slot.unsaved = true;
            self.unsaved.push(second);
        }
        if !slot.undrawn {
            slot.undrawn = true;
            self.undrawn.push(second);
        }
        if let Some(to) = self.complete_to
            && second < to
        {
            for rolling in &mut self.rolling {
                if second >= to - rolling.length {
                    rolling.apply(what, n);
                }
            }
        }
    }

    /// The watermark has reached second `to`: all before it are complete. Returns the seconds that became complete.
    pub fn advance(&mut self, to: i64) -> std::ops::Range<i64> {
        let old = self.complete_to.unwrap_or(to - LONGEST);
        if to <= old {
            return to..to;
        }
        for rolling in &mut self.rolling {
            let length = rolling.length;
            if self.complete_to.is_some() {
                for (_, second) in self.ring.range(old - length, old.min(to - length)) {
                    rolling.leave(second);
                }
            }
            for (_, second) in self.ring.range(old.max(to - length), to) {
                rolling.enter(second);
            }
        }
        let cold: Vec<i64> = self.ring.range(old - SEAL_AFTER, to - SEAL_AFTER).map(|(s, _)| s).collect();
        for second in cold {
            if let Some(second) = self.ring.get_mut(second) {
                second.seal();
            }
        }
        self.complete_to = Some(to);
        old..to
    }

    /// Drops what lies behind the history. To be called after the points of those seconds were drawn.
    pub fn forget(&mut self) {
        let Some(to) = self.complete_to else { return };
        let deleted = &mut self.deleted;
        self.ring.drop_before(to - self.kept, |second, _| deleted.push(second));
    }

    /// First second that is kept.
    #[must_use]
    pub fn floor(&self) -> i64 {
        self.ring.floor()
    }

    /// Seconds before it are complete.
    #[must_use]
    pub fn complete_to(&self) -> Option<i64> {
        self.complete_to
    }

    /// Seconds in `from..to` that hold something.
    pub fn range(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, &Second)> {
        self.ring.range(from, to).map(|(s, v)| (s, v.as_ref()))
    }

    /// Seconds whose points are out of date; asking makes them up to date.
    pub fn take_undrawn(&mut self) -> Vec<i64> {
        let undrawn = std::mem::take(&mut self.undrawn);
        for second in &undrawn {
            if let Some(second) = self.ring.get_mut(*second) {
                second.undrawn = false;
            }
        }
        undrawn
    }

    /// Hands every second that changed since the last time to `save` (`None`: it went).
    pub fn save(&mut self, mut save: impl FnMut(i64, Option<&Second>)) {
        self.unsaved.sort_unstable();
        for second in std::mem::take(&mut self.unsaved) {
            if let Some(slot) = self.ring.get_mut(second) {
                slot.unsaved = false;
                save(second, Some(slot));
            }
        }
        self.deleted.drain(..).for_each(|second| save(second, None));
    }

    /// Puts a stored second back. The windows are filled by the next [`Seconds::resume`].
    pub fn restore(&mut self, second: i64, value: Second) {
        if let Some(slot) = self.ring.entry(second, Box::default) {
            **slot = value;
            self.undrawn.push(second);
        }
    }

    /// Makes the windows what they were when the watermark stood at `complete_to`.
    pub fn resume(&mut self, complete_to: Option<i64>) {
        let Some(to) = complete_to else { return };
        self.advance(to);
        self.ring.drop_before(to - self.kept, |_, _| {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_equal_the_sum_of_their_seconds(
            steps in prop::collection::vec((0u8..10, 0i64..5_000, 0i16..40), 1..120), jump in 1i64..4_000,
        ) {
            let mut seconds = Seconds::new(3_600);
            let mut model: Vec<(i64, i16)> = vec![];
            let mut to = 0;
            for (what, second, code) in steps {
                match what {
                    0 => { to += jump; seconds.advance(to); seconds.forget(); }
                    1 if !model.is_empty() => {
                        let (second, code) = model.remove(second as usize % model.len());
                        seconds.bump(second, Tally::Ended(Outcome::Ok), -1);
                        seconds.bump(second, Tally::Sample(3, code), -1);
                    }
                    _ => {
                        if second < seconds.floor() { continue }
                        seconds.bump(second, Tally::Ended(Outcome::Ok), 1);
                        seconds.bump(second, Tally::Sample(3, code), 1);
                        model.push((second, code));
                    }
                }
                let Some(to) = seconds.complete_to() else { continue };
                for rolling in &seconds.rolling {
                    let within: Vec<i16> =
                        model.iter().filter(|(s, _)| (to - rolling.length..to).contains(s)).map(|(_, c)| *c).collect();
                    prop_assert_eq!(rolling.counts.ended[0], within.len() as u64);
                    let mut h = crate::engine::histogram::Histogram::default();
                    for c in within { h.add(c, 1); }
                    let empty = crate::engine::histogram::Histogram::default();
                    prop_assert!(rolling.hists.get(3).unwrap_or(&empty).buckets().eq(h.buckets()));
                }
            }
        }
    }
}
