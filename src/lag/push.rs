//! Commits as the broker's own log of them tells, between two surveys: when each was made, and how fast they go on.
//!
//! Where a group stands is what the survey says: a position of now beside the end of a survey some seconds ago would
//! be a lag that never was. A survey that goes on telling another position than the log is counted, and believed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::board::Board;
use crate::model::{GroupFacts, MICROS_PER_SECOND, SeenCommit, Survey, Timestamp};
use crate::snapshot::{GroupView, LagCluster, PushedCommit};

/// A disagreement that lasts so long is one: an open transaction holds back every commit behind it, and Kafka's
/// clients let one be open for 60 s.
const DISAGREES: i64 = 90 * MICROS_PER_SECOND;
/// A rate is taken over twice this at most, and over this at least.
const PACE: i64 = 15 * MICROS_PER_SECOND;
/// Between two surveys views are made anew only of boards of so many rows: a copy of each touched group's rows.
const ROWS: usize = 20_000;

/// The newest commit of a group on a partition, with two earlier ones for its pace.
#[derive(Clone, Copy, Debug)]
struct Push {
    now: (u64, Timestamp),
    mid: (u64, Timestamp),
    from: (u64, Timestamp),
    /// Since when a survey says this instead.
    doubt: Option<(u64, Timestamp)>,
}

impl Push {
    fn per_second(&self) -> Option<f64> {
        let micros = self.now.1.since(self.from.1);
        let moved = self.now.0.checked_sub(self.from.0)?;
        (micros >= PACE).then(|| moved as f64 * MICROS_PER_SECOND as f64 / micros as f64)
    }

    fn take(&mut self, next: u64, at: Timestamp) {
        if next < self.now.0 {
            // Rewound: what was before says nothing about the pace of now.
            (self.mid, self.from) = ((next, at), (next, at));
        }
        self.now = (next, at);
        if at.since(self.mid.1) >= PACE {
            (self.from, self.mid) = (self.mid, self.now);
        }
    }
}

/// Commits of one group by stream and partition.
type OfGroup = HashMap<(Arc<str>, u32), Push>;

/// All that was pushed.
#[derive(Debug, Default)]
pub(super) struct Pushes {
    groups: HashMap<Arc<str>, OfGroup>,
    rows: usize,
    touched: HashSet<Arc<str>>,
    /// Positions on which survey and log went on disagreeing.
    pub disagreements: u64,
    /// The newest of them, in words.
    pub disagreed: String,
    /// Commits left out because of the bound on rows.
    pub dropped: u64,
}

impl Pushes {
    /// The newest commit, and its pace.
    pub fn newest(&self, group: &str, stream: &Arc<str>, partition: u32) -> Option<PushedCommit> {
        let push = self.groups.get(group)?.get(&(Arc::clone(stream), partition))?;
        Some(PushedCommit { next: push.now.0, at: push.now.1, per_second: push.per_second() })
    }

    /// Compares what a survey says of a group with what was pushed.
    fn check(&mut self, facts: &GroupFacts, survey: &Survey) {
        let (Some(known), Some(committed)) = (self.groups.get_mut(&facts.name), &facts.committed) else { return };
        for said in committed {
            let Some(topic) = survey.topics.get(said.topic as usize) else { continue };
            let key = (Arc::clone(&topic.name), said.partition);
            let Some(push) = known.get_mut(&key) else { continue };
            if push.now.0 == said.next {
                push.doubt = None;
                continue;
            }
            let since = match push.doubt {
                Some((next, since)) if next == said.next => since,
                _ => survey.ended,
            };
            push.doubt = Some((said.next, since));
            if survey.ended.since(since) >= DISAGREES {
                self.disagreements += 1;
                self.disagreed = format!(
                    "group {}, {} partition {}: asked for it is at {}, its newest commit says {}",
                    facts.name, topic.name, said.partition, said.next, push.now.0
                );
                known.remove(&key);
                self.rows -= 1;
            }
        }
    }
}

impl Board {
    /// Takes commits as they were seen, in order. They are shown beside the rows of the newest survey.
    pub fn pushed(&mut self, commits: impl IntoIterator<Item = SeenCommit>) {
        let most = self.config.rows;
        for commit in commits {
            let pushes = &mut self.pushes;
            let key = (commit.topic, commit.partition);
            pushes.touched.insert(Arc::clone(&commit.group));
            let (Some(next), Some(at)) = (commit.next, commit.at) else {
                // Gone. Whether the group is too says the next survey.
                if let Some(of) = pushes.groups.get_mut(&commit.group) {
                    pushes.rows -= usize::from(of.remove(&key).is_some());
                    if of.is_empty() {
                        pushes.groups.remove(&commit.group);
                    }
                }
                continue;
            };
            let known = pushes.groups.get_mut(&commit.group).and_then(|of| of.get_mut(&key));
            if let Some(push) = known {
                if push.now.0 != next {
                    push.doubt = None;
                }
                push.take(next, at);
            } else if pushes.rows >= most {
                pushes.dropped += 1;
            } else {
                pushes.rows += 1;
                let first = (next, at);
                let push = Push { now: first, mid: first, from: first, doubt: None };
                pushes.groups.entry(commit.group).or_default().insert(key, push);
            }
        }
    }

    /// The log of commits is read anew from near its end: what was missed meanwhile must not stand as newest.
    pub fn pushes_begin_anew(&mut self) {
        self.pushes.touched.extend(self.pushes.groups.drain().map(|(name, _)| name));
        self.pushes.rows = 0;
    }

    /// How often surveys and the log of commits went on disagreeing, and on what they did last.
    #[must_use]
    pub fn disagreements(&self) -> (u64, &str) {
        (self.pushes.disagreements, &self.pushes.disagreed)
    }

    /// Commits left out because `[lag] rows` of them are kept.
    #[must_use]
    pub const fn pushes_dropped(&self) -> u64 {
        self.pushes.dropped
    }

    pub(super) fn check_pushes(&mut self, survey: &Survey) {
        if !self.pushes.groups.is_empty() {
            survey.groups.iter().for_each(|facts| self.pushes.check(facts, survey));
        }
    }

    /// The view with commits that were pushed since it was made; `None`: there are none, or the board is too large.
    pub fn pushed_view(&mut self) -> Option<Arc<LagCluster>> {
        let touched = std::mem::take(&mut self.pushes.touched);
        if touched.is_empty() || self.groups.values().map(|g| g.rows.len()).sum::<usize>() > ROWS {
            return None;
        }
        let mut changed = false;
        for name in touched {
            let Some(group) = self.groups.get_mut(&name) else { continue };
            let Some(view) = &group.view else { continue };
            let newest = |stream: &Arc<str>, partition: u32| self.pushes.newest(&name, stream, partition);
            if view.rows.iter().all(|row| row.pushed.as_deref().copied() == newest(&row.stream, row.partition)) {
                continue;
            }
            let mut rows = view.rows.to_vec();
            rows.iter_mut().for_each(|row| row.pushed = newest(&row.stream, row.partition).map(Box::new));
            group.view = Some(Arc::new(GroupView { rows: rows.into(), ..GroupView::clone(view) }));
            changed = true;
        }
        changed.then(|| Arc::new(self.whole()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::BoardConfig;
    use super::*;
    use crate::model::{Committed, PartitionFacts, TopicFacts};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    /// Group `g` at `next` on a log of 100.
    fn survey(second: i64, next: u64) -> Survey {
        let partition = PartitionFacts { start: Some(0), end: Some(100), ..PartitionFacts::default() };
        let topic = TopicFacts { name: "s".into(), partitions: vec![partition], ..TopicFacts::default() };
        let committed = Some(vec![Committed { topic: 0, partition: 0, next, committed_at: None }]);
        let group = GroupFacts { name: "g".into(), committed, ..GroupFacts::default() };
        let (began, ended) = (at(second), at(second));
        Survey { began, ended, answered: true, topics: vec![topic], groups: vec![group], ..Survey::default() }
    }

    fn commit(next: Option<u64>, second: i64) -> SeenCommit {
        SeenCommit { group: "g".into(), topic: "s".into(), partition: 0, next, at: Some(at(second)) }
    }

    fn board() -> Board {
        let mut board = Board::new(BoardConfig { groups: 10, rows: 10, ..BoardConfig::default() });
        board.absorb(&survey(0, 5));
        assert_eq!(board.view(at(0)).groups[0].rows[0].pushed, None);
        board
    }

    #[test]
    fn a_commit_is_shown_beside_the_survey_with_its_time_and_pace() {
        let mut board = board();
        board.pushed([commit(Some(7), 2)]);
        let row = board.pushed_view().unwrap().groups[0].rows[0].clone();
        assert_eq!(row.pushed.as_deref(), Some(&PushedCommit { next: 7, at: at(2), per_second: None }));
        assert_eq!((row.committed.get(), row.lag_messages()), (Some(5), Some(95)), "a lag is that of a survey");
        assert!(board.pushed_view().is_none(), "nothing new");
        board.pushed((1..=30).map(|n| commit(Some(7 + n), 2 + n.cast_signed())));
        board.absorb(&survey(35, 37));
        let row = board.view(at(35)).groups[0].rows[0].clone();
        assert_eq!((row.pushed.unwrap().per_second, row.commit_rate.get()), (Some(1.0), Some(1.0)));
        board.pushed([commit(None, 40)]);
        assert_eq!(board.pushed_view().unwrap().groups[0].rows[0].pushed, None, "gone");
    }

    #[test]
    fn the_survey_is_believed_where_both_go_on_disagreeing() {
        let mut board = board();
        board.pushed([commit(Some(9), 4)]);
        for second in [5, 50, 94] {
            board.absorb(&survey(second, 7));
            assert_eq!(board.disagreements().0, 0, "{second}: time may explain it");
        }
        board.absorb(&survey(95, 7));
        let (count, words) = board.disagreements();
        assert_eq!(count, 1);
        assert!(
            words.contains("group g, s partition 0") && words.contains("at 7") && words.contains("says 9"),
            "{words}"
        );
        assert_eq!(board.view(at(95)).groups[0].rows[0].pushed, None);
        // Two that follow one another at a distance agree.
        board.pushed([commit(Some(10), 96)]);
        for second in (100..400).step_by(50) {
            board.absorb(&survey(second, u64::try_from(second).unwrap() / 10));
            board.pushed([commit(Some(u64::try_from(second).unwrap() / 10 + 5), second)]);
        }
        assert_eq!(board.disagreements().0, 1);
    }

    #[test]
    fn commits_are_bounded_and_forgotten_when_the_log_is_begun_anew() {
        let mut board = board();
        board.pushed((0..15).map(|n| SeenCommit { partition: n, ..commit(Some(1), 1) }));
        assert_eq!(board.pushes_dropped(), 5);
        board.pushes_begin_anew();
        board.pushed((0..10).map(|n| SeenCommit { partition: n + 20, ..commit(Some(1), 1) }));
        assert_eq!(board.pushes_dropped(), 5, "there is room again");
    }
}
