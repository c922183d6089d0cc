//! The newest letters of a stream, counted by error class, source and group.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::snapshot::LetterView;

/// Letters shown one by one.
pub const NEWEST: usize = 50;
/// Different names counted per breakdown and stream: classes of errors are a few dozen.
const NAMES: usize = 1_000;
/// What further names are counted as.
const OTHER: &str = "(other)";

/// One letter that was looked at: where it lies, and what it counts as.
#[derive(Clone, Copy, Debug)]
struct Seen {
    partition: u32,
    position: u64,
    counts: [u32; 3],
}

/// What was looked at in one stream. 32 bytes a letter.
#[derive(Debug, Default)]
pub struct Looked {
    letters: VecDeque<Seen>,
    newest: VecDeque<LetterView>,
    by: [Names; 3],
    /// By partition, the next position to look at.
    pub next: BTreeMap<u32, u64>,
}

#[derive(Debug, Default)]
struct Names {
    index: HashMap<Arc<str>, u32>,
    /// Name and count by index.
    all: Vec<(Arc<str>, u64)>,
}

impl Names {
    fn count(&mut self, name: &str) -> u32 {
        let name = if self.index.contains_key(name) || self.all.len() < NAMES { name } else { OTHER };
        if let Some(at) = self.index.get(name) {
            self.all[*at as usize].1 += 1;
            return *at;
        }
        let (at, name) = (u32::try_from(self.all.len()).unwrap_or(0), Arc::<str>::from(name));
        self.index.insert(Arc::clone(&name), at);
        self.all.push((name, 1));
        at
    }

    fn most_frequent(&self) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.all.iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_string(), *n)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        all
    }
}

impl Looked {
    /// Counts a letter; beyond `most` the one that was looked at longest ago no longer counts.
    pub fn push(&mut self, letter: LetterView, most: usize) {
        let source = letter.source.as_ref().map_or("", |(stream, ..)| stream.as_str());
        let counts = [self.by[0].count(&letter.error), self.by[1].count(source), self.by[2].count(&letter.group)];
        self.letters.push_back(Seen { partition: letter.partition, position: letter.position, counts });
        while self.letters.len() > most {
            let gone = self.letters.pop_front();
            gone.into_iter().for_each(|seen| self.uncount(seen));
        }
        if self.newest.len() >= NEWEST {
            // Partitions are read one after the other: the oldest is not the first.
            let oldest = self.newest.iter().enumerate().min_by_key(|(_, l)| l.time).map(|(at, _)| at);
            oldest.and_then(|at| self.newest.remove(at));
        }
        self.newest.push_back(letter);
    }

    fn uncount(&mut self, seen: Seen) {
        for (names, at) in self.by.iter_mut().zip(seen.counts) {
            names.all[at as usize].1 -= 1;
        }
    }

    /// Letters before `start` have left the log.
    pub fn expire(&mut self, partition: u32, start: u64) {
        let gone = |p: u32, position: u64| p == partition && position < start;
        if !self.letters.iter().any(|l| gone(l.partition, l.position)) {
            return;
        }
        let (old, kept) = std::mem::take(&mut self.letters)
            .into_iter()
            .partition::<VecDeque<_>, _>(|l| gone(l.partition, l.position));
        self.letters = kept;
        old.into_iter().for_each(|seen| self.uncount(seen));
        self.newest.retain(|l| !gone(l.partition, l.position));
    }

    /// How many letters count.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.letters.len() as u64
    }

    /// True where none was looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// By error class, source stream and group; most frequent first. An empty name: the letters do not say.
    #[must_use]
    pub fn by(&self) -> [Vec<(String, u64)>; 3] {
        self.by.each_ref().map(Names::most_frequent)
    }

    /// The newest letters, newest first.
    #[must_use]
    pub fn newest(&self) -> Vec<LetterView> {
        let mut all: Vec<_> = self.newest.iter().cloned().collect();
        all.sort_by(|a, b| b.time.cmp(&a.time).then(b.position.cmp(&a.position)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn letter(partition: u32, position: u64, error: &str) -> LetterView {
        let time = Some(Timestamp(i64::try_from(position).unwrap()));
        LetterView { partition, position, error: error.into(), time, ..LetterView::default() }
    }

    #[test]
    fn counts_follow_the_newest_letters() {
        let mut looked = Looked::default();
        for n in 0..10 {
            looked.push(letter(0, n, if n % 2 == 0 { "A" } else { "B" }), 6);
        }
        looked.push(letter(1, 3, "A"), 6);
        assert_eq!(looked.by()[0], [("A".to_owned(), 3), ("B".to_owned(), 3)]);
        assert_eq!(looked.len(), 6);
        looked.expire(0, 9);
        assert_eq!(looked.by()[0], [("A".to_owned(), 1), ("B".to_owned(), 1)]);
        assert_eq!(looked.newest().iter().map(|l| (l.partition, l.position)).collect::<Vec<_>>(), [(0, 9), (1, 3)]);
    }

    #[test]
    fn names_are_bounded() {
        let mut looked = Looked::default();
        for n in 0..NAMES as u64 + 50 {
            looked.push(letter(0, n, &format!("E{n}")), 10_000);
        }
        assert_eq!(looked.by()[0][0], (OTHER.to_owned(), 50));
        assert_eq!(looked.newest().len(), NEWEST);
    }
}
