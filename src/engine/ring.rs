//! Values by second: dense around the present, sparse far ahead of it, gone behind the floor.

use std::collections::{BTreeMap, VecDeque};

/// Seconds held densely (8 bytes each): four hours, so that partitions read one after the other still meet.
const NEAR: usize = 4 * 3_600;

/// Seconds held sparsely beyond: one far clock must not cost memory without bound.
const FAR: usize = 4 * 3_600;

/// A map from second to `T`.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    base: i64,
    near: VecDeque<Option<T>>,
    far: BTreeMap<i64, T>,
    floor: i64,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { base: 0, near: VecDeque::new(), far: BTreeMap::new(), floor: i64::MIN }
    }
}

impl<T> Ring<T> {
    /// Seconds before it are gone for good.
    #[must_use]
    pub fn floor(&self) -> i64 {
        self.floor
    }

    /// The value of a second.
    #[must_use]
    pub fn get(&self, second: i64) -> Option<&T> {
        match usize::try_from(second - self.base) {
            Ok(at) if at < self.near.len() => self.near[at].as_ref(),
            _ => self.far.get(&second),
        }
    }

    /// The value of a second, to change.
    pub fn get_mut(&mut self, second: i64) -> Option<&mut T> {
        match usize::try_from(second - self.base) {
            Ok(at) if at < self.near.len() => self.near[at].as_mut(),
            _ => self.far.get_mut(&second),
        }
    }

    /// The value of a second, made by `new` if there is none. `None`: behind the floor, or the far seconds are full.
    pub fn entry(&mut self, second: i64, new: impl FnOnce() -> T) -> Option<&mut T> {
        if second < self.floor {
            return None;
        }
        if self.near.is_empty() {
            self.base = second;
        }
        if second < self.base {
            self.extend_down(second);
        }
        let at = usize::try_from(second - self.base).ok()?;
        if at < NEAR {
            if at >= self.near.len() {
                self.near.resize_with(at + 1, || None);
            }
            return Some(self.near[at].get_or_insert_with(new));
        }
        if self.far.len() >= FAR && !self.far.contains_key(&second) {
            return None;
        }
        Some(self.far.entry(second).or_insert_with(new))
    }

    /// Drops every second before `floor`; the floor never falls.
    pub fn drop_before(&mut self, floor: i64, mut dropped: impl FnMut(i64, T)) {
        self.floor = self.floor.max(floor);
        while self.base < self.floor && !self.near.is_empty() {
            if let Some(value) = self.near.pop_front().flatten() {
                dropped(self.base, value);
            }
            self.base += 1;
        }
        while let Some(first) = self.far.first_entry().filter(|e| *e.key() < self.floor) {
            dropped(*first.key(), first.remove());
        }
        if self.near.is_empty()
            && let Some((first, _)) = self.far.first_key_value()
        {
            self.base = *first;
        }
        self.pull();
    }

    /// All seconds with a value in `from..to`, ascending.
    pub fn range(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, &T)> {
        let end = self.base + self.near.len() as i64;
        let (lo, hi) = (from.clamp(self.base, end), to.clamp(self.base, end));
        let near = (lo..hi.max(lo)).filter_map(|s| Some((s, self.near[(s - self.base) as usize].as_ref()?)));
        near.chain(self.far.range(from..to.max(from)).map(|(s, v)| (*s, v)))
    }

    fn extend_down(&mut self, second: i64) {
        let missing = (self.base - second) as usize;
        if missing >= NEAR {
            // The new second is the present: all that was near is far ahead of it.
            for (i, value) in std::mem::take(&mut self.near).into_iter().enumerate() {
                self.far.extend(value.map(|v| (self.base + i as i64, v)));
            }
        } else {
            for _ in 0..missing {
                self.near.push_front(None);
            }
            while self.near.len() > NEAR {
                let at = second + self.near.len() as i64 - 1;
                self.far.extend(self.near.pop_back().flatten().map(|v| (at, v)));
            }
        }
        self.base = second;
    }

    fn pull(&mut self) {
        while let Some(first) = self.far.first_entry() {
            let Ok(at) = usize::try_from(*first.key() - self.base) else { break };
            if at >= NEAR {
                break;
            }
            if at >= self.near.len() {
                self.near.resize_with(at + 1, || None);
            }
            self.near[at] = Some(first.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_map_with_a_floor(steps in prop::collection::vec((0u8..8, 0i64..60_000), 1..200)) {
            let mut ring = Ring::default();
            let mut model = BTreeMap::new();
            let mut floor = 0;
            for (what, second) in steps {
                if what == 0 {
                    floor = floor.max(second / 2);
                    ring.drop_before(floor, |_, _: i64| {});
                    model.retain(|s, _| *s >= floor);
                } else if let Some(value) = ring.entry(second, || 0) {
                    *value += 1;
                    *model.entry(second).or_insert(0) += 1;
                } else {
                    prop_assert!(second < floor);
                }
                prop_assert!(ring.range(i64::MIN / 2, i64::MAX / 2).map(|(s, v)| (s, *v)).eq(model.iter().map(|(s, v)| (*s, *v))));
                prop_assert_eq!(ring.get(second), model.get(&second));
            }
        }
    }
}
