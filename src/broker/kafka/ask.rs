//! Questions to the brokers about where logs stand: gathered in rounds, answered later, never waited for.
//!
//! Two rounds may be under way: one for partitions that answered last time, one for those that did
//! not. A question for a partition without a leader takes its whole timeout; in a round of its own
//! it delays nobody else.

use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ffi::{BEGIN, END, Fault, OffsetOf, Queue};
use super::slot::Stand;

/// How long one question may take.
pub(super) const QUESTION: Duration = Duration::from_secs(3);
/// Pause between two rounds: of those that answer, of those that do not.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// What is to be known of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub begin: bool,
    pub end: bool,
    /// Milliseconds since the epoch.
    pub time: Option<i64>,
}

/// One partition to ask about.
pub(super) struct Subject {
    pub slot: usize,
    pub topic: Arc<CStr>,
    pub partition: i32,
    pub wish: Wish,
}

/// A round that was answered in full.
pub(super) struct Told {
    pub asked_at: Instant,
    pub stands: Vec<(usize, Stand)>,
    /// Set where a whole question failed: no broker answered it.
    pub fault: Option<Fault>,
}

struct Round {
    number: usize,
    asked_at: Instant,
    missing: usize,
    slots: HashMap<(String, i32), usize>,
    stands: HashMap<usize, Stand>,
    fault: Option<Fault>,
}

/// The rounds of one reader.
#[derive(Default)]
pub(super) struct Rounds {
    under_way: [Option<Round>; 2],
    not_before: [Option<Instant>; 2],
    count: usize,
}

/// Questions of a round, in the two lowest bits of its tokens.
const KINDS: usize = 4;

impl Rounds {
    /// True where a round of this kind may begin now.
    pub(super) fn may_ask(&self, troubled: bool, now: Instant) -> bool {
        let kind = usize::from(troubled);
        self.under_way[kind].is_none() && self.not_before[kind].is_none_or(|at| now >= at)
    }

    /// Begins a round. Tokens are greater than `KINDS`, so that lower ones are free for other questions.
    pub(super) fn ask(&mut self, queue: &Queue, troubled: bool, of: &[Subject], now: Instant) {
        if of.is_empty() {
            return;
        }
        self.count += 1;
        let kind = usize::from(troubled);
        let slots = of.iter().map(|s| ((s.topic.to_string_lossy().into_owned(), s.partition), s.slot)).collect();
        let mut round = Round {
            number: self.count,
            asked_at: now,
            missing: 0,
            slots,
            stands: of.iter().map(|s| (s.slot, Stand::default())).collect(),
            fault: None,
        };
        let pick = |what: fn(&Wish) -> Option<i64>| -> Vec<(Arc<CStr>, i32, i64)> {
            of.iter().filter_map(|s| Some((Arc::clone(&s.topic), s.partition, what(&s.wish)?))).collect()
        };
        let questions = [pick(|w| w.begin.then_some(BEGIN)), pick(|w| w.end.then_some(END)), pick(|w| w.time)];
        for (which, question) in questions.iter().enumerate().filter(|(_, q)| !q.is_empty()) {
            round.missing += 1;
            queue.ask_offsets(question, QUESTION, round.number * KINDS + which);
        }
        self.under_way[kind] = Some(round);
        self.not_before[kind] = Some(now + PAUSES[kind]);
    }

    /// Takes an answer; the round's result once it was the last one.
    pub(super) fn answer(&mut self, token: usize, answer: Result<Vec<OffsetOf>, Fault>) -> Option<Told> {
        let number = token / KINDS;
        let place = self.under_way.iter_mut().find(|r| r.as_ref().is_some_and(|r| r.number == number))?;
        let round = place.as_mut()?;
        match answer {
            Ok(offsets) => {
                for of in offsets {
                    let Some(slot) = round.slots.get(&(of.topic, of.partition)) else { continue };
                    let stand = round.stands.entry(*slot).or_default();
                    match token % KINDS {
                        0 => stand.begin = Some(of.offset),
                        1 => stand.end = Some(of.offset),
                        _ => stand.timed = Some(of.offset),
                    }
                }
            }
            Err(fault) => round.fault = Some(fault),
        }
        round.missing -= 1;
        if round.missing > 0 {
            return None;
        }
        let Round { asked_at, stands, fault, .. } = place.take()?;
        Some(Told { asked_at, stands: stands.into_iter().collect(), fault })
    }

    /// Forgets what is under way: its queue is gone.
    pub(super) fn forget(&mut self) {
        self.under_way = Default::default();
    }
}
