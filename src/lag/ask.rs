//! Which questions would tell most, and what their answers tell.

use std::sync::Arc;

use super::age::age_of;
use super::board::Board;
use super::index::Next;
use crate::model::{TimeQuestion, TimedPosition, Timestamp};
use crate::snapshot::Confidence;

/// A question that told nothing new is not asked again for so long, tenths of a second; an end that moves wakes it.
const REST: u32 = 600;

/// A question about a partition, and how much it matters.
struct Wish {
    /// Messages waiting since so long (older is smaller), then how many.
    worth: (i64, u64),
    topic: u32,
    partition: u32,
    target: u64,
}

impl Board {
    /// At most `budget` questions, at most one per partition, those first whose groups have most unread. Ask, hand
    /// the answers to [`Self::answered`], ask again: some rounds per survey narrow all ages to what is wanted.
    pub fn questions(&mut self, now: Timestamp, budget: usize) -> Vec<TimeQuestion> {
        if !self.answering {
            return Vec::new();
        }
        let tick = self.tick_of(now);
        let mut wishes = self.wishes(now, |next| age_of(next.supposed(), now).confidence < Confidence::Good);
        wishes.retain(|w| self.topics[w.topic as usize].parts[w.partition as usize].rests_until <= tick);
        wishes.sort_unstable_by_key(|w| w.worth);
        let mut questions = Vec::new();
        for wish in wishes {
            if questions.len() >= budget {
                break;
            }
            let topic = &mut self.topics[wish.topic as usize];
            let look = topic.look(&topic.parts[wish.partition as usize], now);
            let part = &mut topic.parts[wish.partition as usize];
            // One question per partition and round: a request cannot name a partition twice.
            match (part.asked, part.index.question(wish.target, look)) {
                (None, Some(time)) => {
                    part.asked = Some(time);
                    questions.push(TimeQuestion { stream: Arc::clone(&topic.name), partition: wish.partition, time });
                }
                (None, None) => part.rests_until = tick.saturating_add(REST),
                (Some(_), _) => {}
            }
        }
        questions
    }

    /// Takes the answers, in the order of the questions.
    pub fn answered(&mut self, questions: &[TimeQuestion], answers: &[Option<TimedPosition>], now: Timestamp) {
        let tick = self.tick_of(now);
        for (question, answer) in questions.iter().zip(answers.iter().chain(std::iter::repeat(&None))) {
            let Some(topic) = self.by_name.get(&question.stream) else { continue };
            let topic = &mut self.topics[*topic as usize];
            let Some(part) = topic.parts.get(question.partition as usize) else { continue };
            let look = topic.look(part, now);
            let part = &mut topic.parts[question.partition as usize];
            part.asked = None;
            let new = part.index.answered(question.time, *answer, look);
            part.dirty |= new && answer.is_some();
            if !new {
                part.rests_until = tick.saturating_add(REST);
            }
        }
    }

    /// At most `budget` positions whose first record should be read: where something is unread and its time is not
    /// known exactly, or a transaction's marker may be all that is left. Empty where reading is not allowed.
    pub fn reads(&mut self, now: Timestamp, budget: usize) -> Vec<(Arc<str>, u32, u64)> {
        if !self.config.read_records || !self.answering {
            return Vec::new();
        }
        let tick = self.tick_of(now);
        let mut wishes = self.wishes(now, |next| age_of(next, now).confidence < Confidence::Exact);
        wishes.retain(|w| self.topics[w.topic as usize].parts[w.partition as usize].unread_until <= tick);
        wishes.sort_unstable_by_key(|w| w.worth);
        wishes.truncate(budget);
        let name = |topic: u32| Arc::clone(&self.topics[topic as usize].name);
        wishes.into_iter().map(|w| (name(w.topic), w.partition, w.target)).collect()
    }

    /// Takes what was read, in the order of [`Self::reads`].
    pub fn was_read(
        &mut self,
        reads: &[(Arc<str>, u32, u64)],
        found: &[Option<Option<TimedPosition>>],
        now: Timestamp,
    ) {
        let tick = self.tick_of(now);
        for ((stream, partition, from), found) in reads.iter().zip(found) {
            let Some(topic) = self.by_name.get(stream) else { continue };
            let topic = &mut self.topics[*topic as usize];
            let Some(part) = topic.parts.get_mut(*partition as usize) else { continue };
            match found {
                None => part.unread_until = tick.saturating_add(REST),
                Some(Some(record)) => {
                    // Only markers and aborted records are passed over, or compaction took them.
                    topic.transactional |= record.position > *from;
                    part.dirty |= part.index.read(*from, *record, now);
                }
                Some(None) => {
                    if let Some(end) = part.reach().filter(|end| end > from) {
                        topic.transactional = true;
                        part.index.reached_end(*from, end);
                    }
                }
            }
        }
    }

    /// Partitions with a target whose age is not known as well as wanted: the neediest target of each.
    fn wishes(&self, now: Timestamp, wanting: impl Fn(Next) -> bool) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for (number, topic) in self.topics.iter().enumerate() {
            for (partition, part) in topic.parts.iter().enumerate() {
                let Some(end) = part.reach() else { continue };
                let look = topic.look(part, now);
                // Targets ascend: the first that is not known well is the one behind which most is unread.
                let needy = part.targets.iter().find(|t| **t < end && wanting(part.index.next(**t, look)));
                if let Some(target) = needy {
                    let worth = (i64::from(part.end_moved), u64::MAX - (end - target));
                    let (topic, partition) = (number as u32, partition as u32);
                    wishes.push(Wish { worth, topic, partition, target: *target });
                }
            }
        }
        wishes
    }
}
