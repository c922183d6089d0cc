//! What the reader asks about logs: where they stand, whether they still answer, which may be read now.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::ask::{Subject, Told, Wish};
use super::cut::{Onward, onward};
use super::discover::Begin;
use super::drain::{self, Gone};
use super::ffi::{self, Fault, Queue};
use super::read::Reader;
use super::slot::{CONFIRM, LOOK_AT_START, Phase, SILENT, Slot};
use crate::model::{Input, LogCut, SourceKey, SourceState, Start};

/// How often the survey looks what is due.
const EVERY: Duration = Duration::from_millis(20);

impl Reader {
    /// Asks what is due, and notices what did not come.
    pub(super) fn survey(&mut self, now: Instant) -> Result<(), Gone> {
        if self.surveyed.is_some_and(|at| now.duration_since(at) < EVERY) {
            return Ok(());
        }
        self.surveyed = Some(now);
        self.list_topics(now);
        self.ask_topics(now);
        self.ask_offsets(now);
        self.begin_reading(now);
        self.announce()?;
        self.notice_silence(now)
    }

    /// Says once that every partition that was there at our start has been opened: until then nobody can know how old
    /// the records are that are still to come.
    fn announce(&mut self) -> Result<(), Gone> {
        let resolving = |slot: &Slot| matches!(slot.phase, Phase::Resolving(_));
        if self.announced || !self.all_found() || self.slots.iter().flatten().any(|slot| resolving(slot)) {
            return Ok(());
        }
        self.announced = true;
        self.context.out.send(Input::Announced(Arc::clone(&self.context.cluster)))?;
        Ok(())
    }

    fn ask_offsets(&mut self, now: Instant) {
        for troubled in [false, true] {
            if !self.rounds.may_ask(troubled, now) {
                continue;
            }
            let slots = self.slots.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.as_deref()?)));
            let subjects: Vec<Subject> = slots
                .filter(|(_, slot)| slot.troubled == troubled)
                .filter_map(|(index, slot)| {
                    let wish = self.wish(slot, now)?;
                    Some(Subject {
                        slot: index,
                        topic: Arc::clone(&slot.stream.topic),
                        partition: slot.partition,
                        wish,
                    })
                })
                .collect();
            self.rounds.ask(&self.answers, troubled, &subjects, now);
        }
    }

    fn wish(&self, slot: &Slot, now: Instant) -> Option<Wish> {
        let both = Wish { begin: true, end: true, time: None };
        let older = |at: Option<Instant>, than| at.is_none_or(|at| now.duration_since(at) >= than);
        match slot.phase {
            Phase::Resolving(Begin::First(Start::At(time))) => {
                Some(Wish { time: Some(time.0.div_euclid(1_000)), ..both })
            }
            Phase::Resolving(_) => Some(both),
            Phase::Opened => None,
            // Only once topics were looked at again: another topic may have this name now.
            Phase::Lost => (now >= slot.retry_at && self.topics.told_since(slot.lost_at)).then_some(both),
            Phase::Reading => {
                let silent = older(Some(slot.heard), CONFIRM) && older(slot.end_confirmed, CONFIRM);
                let begin = older(slot.start_seen, LOOK_AT_START);
                (silent || begin).then_some(Wish { begin, end: true, time: None })
            }
        }
    }

    pub(super) fn told(&mut self, told: Told, now: Instant) -> Result<(), Gone> {
        let Told { asked_at, mut stands, fault } = told;
        stands.sort_by_key(|(index, _)| *index); // openings were made in the order in which they must be sent
        if let Some(fault) = &fault {
            self.fail(fault, now);
        }
        let answered = stands.iter().any(|(_, stand)| stand.bounds().is_some() || matches!(stand.end, Some(Ok(_))));
        if answered {
            self.health.answered(now);
        } else if let Some(fault) = stands.iter().find_map(|(_, stand)| stand.fault()) {
            self.fail(&fault.clone(), now);
        }
        let at = (self.context.now)();
        for (index, stand) in stands {
            let Some(slot) = self.slots[index].as_deref_mut() else { continue };
            slot.troubled = stand.fault().is_some() || fault.is_some();
            let words = || stand.fault().or(fault.as_ref()).map(|fault| fault.words.clone());
            match slot.phase {
                Phase::Resolving(begin) => {
                    if let Some(open) = slot.open(begin, &stand, at) {
                        self.context.out.send(Input::Open(open))?;
                    }
                }
                Phase::Lost => match stand.bounds() {
                    Some((begin, end)) => self.regain(index, begin, end)?,
                    None => {
                        if let Some(words) = words() {
                            self.unreachable(index, words, false)?;
                        }
                    }
                },
                Phase::Reading => {
                    if let Some(Ok(begin)) = stand.begin {
                        slot.start_seen = Some(now);
                        slot.log_start = slot.log_start.max(u64::try_from(begin).unwrap_or(0));
                    }
                    let Some(Ok(end)) = stand.end else { continue };
                    let end = u64::try_from(end).unwrap_or(0);
                    if end < slot.next && slot.heard < asked_at {
                        self.topics.hurry(now);
                    }
                    slot.heard = now;
                    if slot.unreachable.take_if(|(_, by_fetch)| !*by_fetch).is_some() {
                        let state = if end == slot.next { SourceState::AtEnd } else { SourceState::Reading };
                        self.context.out.send(Input::State(Arc::clone(&slot.source), state, at))?;
                    }
                    if end == slot.next && slot.unreachable.is_none() {
                        drain::tail(slot, &self.context, end, at, now)?;
                    }
                }
                Phase::Opened => {}
            }
        }
        Ok(())
    }

    /// Goes on reading a log after its position was lost.
    fn regain(&mut self, index: usize, begin: u64, end: u64) -> Result<(), Gone> {
        let Some(slot) = self.slots[index].as_deref_mut() else { return Ok(()) };
        let SourceKey { stream, partition, .. } = &*slot.source;
        let (from, cut) = (slot.next, slot.cut.take());
        match onward(from, (slot.records_to, slot.leader_epoch), cut, (begin, end)) {
            Onward::Same => {}
            Onward::Gap(to) => {
                tracing::warn!(%stream, partition, from, to, "records expired before they were read");
                slot.go_on(to, -1);
                self.context.out.send(Input::Gap(Arc::clone(&slot.source), from, to, (self.context.now)()))?;
            }
            Onward::Cut { next, leader_epoch, known } => {
                if next < slot.records_to || !known {
                    tracing::warn!(%stream, partition, from, next, end, known, "the log was cut: it is read on from `next`");
                }
                slot.go_on(next, leader_epoch);
                self.context.out.send(Input::Cut(LogCut { source: Arc::clone(&slot.source), next, known }))?;
            }
        }
        (slot.log_start, slot.phase) = (begin, Phase::Opened);
        Ok(())
    }

    /// Assigns partitions whose opening is durable.
    fn begin_reading(&mut self, now: Instant) {
        if !self.slots.iter().flatten().any(|slot| slot.phase == Phase::Opened) {
            return;
        }
        let positions = Arc::clone(&self.context.positions.borrow_and_update());
        let durable: HashSet<(&str, u32, &str)> = positions
            .sources
            .iter()
            .filter(|s| s.key.cluster == self.context.cluster)
            .map(|s| (&*s.key.stream, s.key.partition, s.incarnation.as_str()))
            .collect();
        let is_durable = |slot: &Slot| {
            durable.contains(&(&*slot.source.stream, slot.source.partition, slot.stream.incarnation.as_str()))
        };
        let begins = |slot: &Slot| slot.phase == Phase::Opened && is_durable(slot);
        if !self.slots.iter().flatten().any(|slot| begins(slot)) {
            return;
        }
        let wanted = self.slots.iter().flatten().count();
        if wanted > self.capacity
            && let Err(words) = self.relink(wanted)
        {
            tracing::warn!(words, "the client could not be replaced by one for more partitions");
        }
        let mut assigned = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(slot) = slot.as_deref_mut().filter(|slot| begins(slot)) else { continue };
            let wakes = Arc::clone(&self.wakes);
            let wake = Box::new(move || wakes.wake(Some(index)));
            slot.queue = Queue::of_partition(&self.client, &slot.stream.topic, slot.partition, wake);
            if slot.queue.is_none() {
                continue;
            }
            (slot.phase, slot.heard, slot.delivered, slot.ready) = (Phase::Reading, now, now, false);
            let next = i64::try_from(slot.next).unwrap_or(i64::MAX);
            assigned.push((Arc::clone(&slot.stream.topic), slot.partition, next, slot.epoch_of_next()));
            self.wakes.wake(Some(index)); // what came before the queue had its wake function
        }
        if let Err(fault) = ffi::assign(&self.client, &assigned) {
            tracing::warn!(fault.words, "partitions could not be assigned");
        }
        // Only a position that is sought is compared with the leader's epochs.
        assigned.retain(|(_, _, next, epoch)| *next > 0 && *epoch >= 0);
        if !assigned.is_empty()
            && let Err(fault) = ffi::seek(&self.client, &assigned)
        {
            tracing::warn!(fault.words, "positions could not be compared with the log");
        }
    }

    fn notice_silence(&mut self, now: Instant) -> Result<(), Gone> {
        let silent = |slot: &Slot| slot.phase == Phase::Reading && now.duration_since(slot.heard) >= SILENT;
        if !self.slots.iter().flatten().any(|slot| silent(slot) && slot.unreachable.is_none()) {
            return Ok(());
        }
        let words = self.client.context().last_words().unwrap_or_else(|| "no answer".into());
        for index in 0..self.slots.len() {
            if self.slots[index].as_deref().is_some_and(|slot| silent(slot) && slot.unreachable.is_none()) {
                self.unreachable(index, words.clone(), false)?;
            }
        }
        Ok(())
    }

    pub(super) fn fail(&mut self, fault: &Fault, now: Instant) {
        let words = self.client.context().last_words();
        self.health.failed(now, words.as_deref().unwrap_or(&fault.words));
    }
}
