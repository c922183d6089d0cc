//! Which partitions there are to read, and where each one begins. Pure.
//!
//! Partitions of a stream on first sight begin where its `start` says and are opened from the
//! highest down; partitions added later begin at 0 and are opened from the lowest up. So whatever
//! prefix of the openings was durable before a crash, a partition that is unknown afterwards can be
//! told: below the highest known one it belongs to the first sight, above it is new.

use regex::Regex;

use crate::model::{Began, Positions, Start, StreamName, StreamSpec};

/// Where a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// At its stored position.
    Known { next: u64, leader_epoch: i32, began: Began },
    /// First sight of the stream.
    First(Start),
    /// At 0: it came after the stream was known, or the stream was made anew.
    Zero,
}

/// A partition to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub partition: u32,
    pub generation: u32,
    pub begin: Begin,
}

/// The openings of one stream, in the order in which they must be sent. `open` are the partitions of this
/// incarnation that are open already, with their generation.
pub(super) fn openings(
    positions: &Positions,
    (cluster, stream, incarnation): (&str, &str, &str),
    open: &[(u32, u32)],
    partitions: u32,
    start: Start,
) -> Vec<Opening> {
    let stored = |p| positions.find(cluster, stream, p, incarnation);
    let mine = positions
        .sources
        .iter()
        .filter(|s| s.incarnation == incarnation && &*s.key.cluster == cluster && &*s.key.stream == stream);
    let known: Vec<(u32, u32)> =
        mine.map(|s| (s.key.partition, s.key.generation)).chain(open.iter().copied()).collect();
    let highest = known.iter().map(|(partition, _)| *partition).max();
    let before = positions.newest_generation(cluster, stream).map(|(generation, _)| generation);
    let generation = known.first().map_or_else(|| before.map_or(0, |g| g + 1), |(_, generation)| *generation);

    let unopened = (0..partitions).filter(|p| !open.iter().any(|(partition, _)| partition == p));
    let mut openings: Vec<Opening> = unopened
        .map(|partition| {
            let begin = match (stored(partition), highest) {
                (Some(at), _) => Begin::Known { next: at.next, leader_epoch: at.leader_epoch, began: at.began },
                (None, Some(highest)) if partition > highest => Begin::Zero,
                (None, _) if generation > 0 => Begin::Zero,
                (None, _) => Begin::First(start),
            };
            Opening { partition, generation, begin }
        })
        .collect();
    openings.sort_by_key(|o| match o.begin {
        Begin::Known { .. } => (0, i64::from(o.partition)),
        Begin::First(_) => (1, -i64::from(o.partition)),
        Begin::Zero => (2, i64::from(o.partition)),
    });
    openings
}

/// Which `[[stream]]` a topic belongs to.
pub(super) struct Wanted {
    exact: Vec<(String, StreamSpec)>,
    patterns: Vec<(Regex, StreamSpec)>,
}

impl Wanted {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// The pattern and what is wrong with it.
    pub(super) fn new(specs: &[StreamSpec]) -> Result<Self, String> {
        let (mut exact, mut patterns) = (Vec::new(), Vec::new());
        for spec in specs {
            match &spec.name {
                StreamName::Exact(name) => exact.push((name.clone(), spec.clone())),
                StreamName::Pattern(text) => {
                    let pattern = Regex::new(text).map_err(|error| format!("stream pattern {text:?}: {error}"))?;
                    patterns.push((pattern, spec.clone()));
                }
            }
        }
        Ok(Self { exact, patterns })
    }

    /// True where topics must be listed to find all streams.
    pub(super) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The streams that are named.
    pub(super) fn exact(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(|(name, _)| name.as_str())
    }

    /// The first exact name, else the first pattern. Topics that begin with `__` are Kafka's own: only an exact name finds them.
    pub(super) fn find(&self, topic: &str) -> Option<&StreamSpec> {
        let exact = self.exact.iter().find(|(name, _)| name == topic).map(|(_, spec)| spec);
        let pattern = || self.patterns.iter().find(|(pattern, _)| pattern.is_match(topic)).map(|(_, spec)| spec);
        exact.or_else(|| if topic.starts_with("__") { None } else { pattern() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SourceKey, SourcePosition};

    const ID: (&str, &str, &str) = ("main", "orders", "c/t1");

    fn positions(of: &[(u32, u32, &str, u64)]) -> Positions {
        let source = |(partition, generation, incarnation, next): &(u32, u32, &str, u64)| SourcePosition {
            key: SourceKey {
                cluster: "main".into(),
                stream: "orders".into(),
                generation: *generation,
                partition: *partition,
            },
            incarnation: (*incarnation).to_owned(),
            next: *next,
            leader_epoch: 3,
            began: Began::Beginning,
        };
        Positions { sources: of.iter().map(source).collect() }
    }

    fn begins(of: &Positions, id: (&str, &str, &str), partitions: u32) -> Vec<(u32, u32, Begin)> {
        let opened = openings(of, id, &[], partitions, Start::Latest);
        opened.into_iter().map(|o| (o.partition, o.generation, o.begin)).collect()
    }

    #[test]
    fn first_sight_is_opened_from_the_highest_down() {
        let first = Begin::First(Start::Latest);
        assert_eq!(begins(&Positions::default(), ID, 3), [(2, 0, first), (1, 0, first), (0, 0, first)]);
    }

    #[test]
    fn after_a_crash_amid_the_openings_each_unknown_partition_is_told_apart() {
        let stored = positions(&[(2, 0, "c/t1", 70), (1, 0, "c/t1", 50)]);
        let known = |next| Begin::Known { next, leader_epoch: 3, began: Began::Beginning };
        let expected = [
            (1, 0, known(50)),
            (2, 0, known(70)),
            (0, 0, Begin::First(Start::Latest)),
            (3, 0, Begin::Zero),
            (4, 0, Begin::Zero),
        ];
        assert_eq!(begins(&stored, ID, 5), expected);
    }

    #[test]
    fn a_topic_made_anew_is_a_new_generation_from_0_also_after_a_crash() {
        let stored = positions(&[(0, 0, "c/t1", 5_000), (1, 0, "c/t1", 7)]);
        let anew = ("main", "orders", "c/t2");
        assert_eq!(begins(&stored, anew, 2), [(0, 1, Begin::Zero), (1, 1, Begin::Zero)]);
        let stored = positions(&[(0, 0, "c/t1", 5_000), (1, 1, "c/t2", 0)]);
        assert_eq!(begins(&stored, anew, 2)[1], (0, 1, Begin::Zero));
    }

    #[test]
    fn partitions_that_are_open_are_not_opened_again_and_count_as_known() {
        let opened = openings(&Positions::default(), ID, &[(0, 0), (1, 0)], 3, Start::Latest);
        assert_eq!(opened, [Opening { partition: 2, generation: 0, begin: Begin::Zero }]);
    }

    #[test]
    fn an_exact_name_wins_over_a_pattern_and_patterns_never_find_internal_topics() {
        let spec = |name| StreamSpec {
            cluster: "main".into(),
            name,
            role: crate::model::Role::Events,
            start: Start::Latest,
            format: crate::model::Format::Auto,
        };
        let wanted =
            Wanted::new(&[spec(StreamName::Pattern(".*".into())), spec(StreamName::Exact("orders".into()))]).unwrap();
        assert_eq!(wanted.find("orders").unwrap().name, StreamName::Exact("orders".into()));
        assert_eq!(wanted.find("other").unwrap().name, StreamName::Pattern(".*".into()));
        assert!(wanted.find("__consumer_offsets").is_none());
        assert!(Wanted::new(&[spec(StreamName::Pattern("(".into()))]).err().unwrap().contains("\"(\""));
    }
}
