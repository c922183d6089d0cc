//! The scan: from stretches of letters to atomic steps.

use std::time::Instant;

use super::ground::Ground;
use super::pace::Pace;
use super::size::batch_bytes;
use super::{Course, Fared, NAMED, READ_BYTES, RedriveError, RedriveLoop, STEP};
use crate::broker::{MoveError, NewRecord, Outgoing, RawRecord};
use crate::decode::{span_id, trace_id};
use crate::dlq::{Fate, Letter, Redriven, Skip, Target, Verdict, judge, rewrite};
use crate::loops::letters::{Said, headers};
use crate::model::TraceContext;
use crate::snapshot::RedriveView;
use crate::telemetry::propagate;

/// Letters in one read.
const STRETCH: usize = 500;

/// What became of the letters that were looked at, not yet durable.
#[derive(Default)]
struct Pending {
    out: Vec<Outgoing>,
    /// Partition, position and target of each copy: counted once it is durable.
    sent: Vec<(u32, u64, String)>,
}

impl RedriveLoop {
    pub(super) fn scan(
        &mut self,
        ground: &mut Ground,
        view: &mut RedriveView,
        course: &mut Course,
    ) -> Result<(), RedriveError> {
        let mut pace = Pace::new(self.options.rate);
        // What this run sent before is found settled now: it is not "before" to whoever reads the report.
        let mut own: u64 = view.sent.values().sum();
        for (partition, from, to) in ground.spans.clone() {
            let mut at = from;
            // The position of the group moves only over what was looked at without a gap.
            let mut contiguous = ground.low.get(&partition).is_some_and(|low| from <= *low);
            while at < to {
                let count = usize::try_from(to - at).unwrap_or(STRETCH).min(STRETCH);
                let stretch = self
                    .observe
                    .records(&self.options.stream, partition, at, count, READ_BYTES, STEP)
                    .map_err(MoveError::Unavailable)?;
                if stretch.next <= at {
                    return Err(MoveError::Unavailable(format!("partition {partition} gives nothing at {at}")).into());
                }
                let mut records: Vec<&RawRecord> = stretch.records.iter().filter(|r| r.at.2 < to).collect();
                while !records.is_empty() {
                    self.hold(view)?;
                    // No more than one step may take: what is known of a transaction is as fresh as its letter's step.
                    let now = records.len().min(pace.step());
                    let (pending, next) =
                        self.batch(&records[..now], ground, view, course, &mut own, &mut contiguous)?;
                    records.drain(..now);
                    let next = if records.is_empty() { stretch.next.min(to) } else { next };
                    if contiguous {
                        advance(ground, partition, next);
                    }
                    self.flush(ground, view, course, &mut pace, pending)?;
                    view.passed += next - at;
                    at = next;
                    self.publish(view);
                    if !self.options.dry_run
                        && self.options.most.is_some_and(|most| view.sent.values().sum::<u64>() >= most)
                    {
                        return Ok(());
                    }
                }
                let next = stretch.next.min(to).max(at);
                if contiguous {
                    advance(ground, partition, next);
                }
                view.passed += next - at;
                at = next;
            }
        }
        self.step(ground, Vec::new())?;
        self.publish(view);
        Ok(())
    }

    /// Waits while paused.
    fn hold(&self, view: &mut RedriveView) -> Result<(), RedriveError> {
        if self.reins.is_cancelled() {
            return Err(RedriveError::Cancelled);
        }
        if self.reins.is_paused() {
            view.state = "paused";
            self.publish(view);
            while self.reins.is_paused() {
                self.sleep(super::LOOK_UP)?;
            }
            view.state = "running";
            self.publish(view);
        }
        Ok(())
    }

    /// Decides about records: what is to be done, and where to go on.
    fn batch(
        &mut self,
        records: &[&RawRecord],
        ground: &mut Ground,
        view: &mut RedriveView,
        course: &Course,
        own: &mut u64,
        contiguous: &mut bool,
    ) -> Result<(Pending, u64), RedriveError> {
        let read: Vec<(Letter, Said)> = records.iter().map(|r| self.reader.letter(r)).collect();
        let before: Vec<Option<Skip>> =
            records.iter().zip(&read).map(|(r, (l, _))| self.excluded(r, l, ground)).collect();
        let fared = self.fared(&before, &read, view)?;
        let mut pending = Pending::default();
        let mut next = 0;
        for (((record, (letter, said)), before), fared) in records.iter().zip(&read).zip(before).zip(fared) {
            let (_, partition, position) = &record.at;
            let verdict = before.map_or_else(|| self.verdict(letter, fared, ground, &pending, view), Verdict::Skip);
            match verdict {
                Verdict::Send(target) => {
                    let mut copy = self.copy(record, letter, &target, view);
                    if let Some(words) = too_large(&copy, (*partition, *position), ground, course) {
                        *view.skipped.entry(Skip::TooLarge.name()).or_default() += 1;
                        ground.large.0 += 1;
                        if ground.large.1.len() < NAMED {
                            ground.large.1.push(words);
                        }
                    } else {
                        if !self.options.dry_run {
                            self.trace(&mut copy, record, letter, said.trace);
                            pending.out.push(copy);
                        }
                        pending.sent.push((*partition, *position, target));
                        ground.settled.mark(*partition, *position, Fate::Sent);
                    }
                }
                Verdict::Skip(Skip::Settled) if *own > 0 => *own -= 1,
                Verdict::Skip(why) => {
                    *view.skipped.entry(why.name()).or_default() += 1;
                    if why == Skip::EndedOk {
                        ground.settled.mark(*partition, *position, Fate::Passed);
                    }
                }
            }
            let waits = ground.settled.fate(*partition, *position).is_none()
                && ground.low.get(partition).is_none_or(|low| position >= low);
            if waits && *contiguous {
                // The group's position stays at the first letter that waits.
                advance(ground, *partition, *position);
                *contiguous = false;
            }
            view.looked_at += 1;
            next = position + 1;
        }
        Ok((pending, next))
    }

    /// Why a letter is not for this run, before anything is asked about it.
    fn excluded(&self, record: &RawRecord, letter: &Letter, ground: &Ground) -> Option<Skip> {
        let (_, partition, position) = record.at;
        match ground.settled.fate(partition, position) {
            Some(Fate::Sent) => return Some(Skip::Settled),
            Some(Fate::Passed) if !self.options.include_ended_ok => return Some(Skip::Settled),
            _ => {}
        }
        let takes = self.options.selection.takes(partition, position, record.record_time, letter);
        (!takes).then_some(Skip::NotSelected)
    }

    /// How the transactions of the letters that remain fared; of a letter without one nobody has heard.
    fn fared(
        &mut self,
        before: &[Option<Skip>],
        read: &[(Letter, Said)],
        view: &mut RedriveView,
    ) -> Result<Vec<Fared>, RedriveError> {
        let mut fared = vec![Fared::Unheard; read.len()];
        if self.options.include_ended_ok {
            return Ok(fared);
        }
        let open = |n: &usize| before[*n].is_none() && read[*n].1.transaction.is_some();
        let asked: Vec<usize> = (0..read.len()).filter(open).collect();
        let names: Vec<(String, String)> = asked.iter().filter_map(|n| read[*n].1.transaction.clone()).collect();
        let answers = if names.is_empty() { Vec::new() } else { self.ended.ended_ok(&names) };
        let unasked = !names.is_empty() && !self.options.dry_run && !self.options.include_unknown;
        if let Some(fault) = self.ended.fault().filter(|_| unasked) {
            return Err(RedriveError::Unasked(fault));
        }
        for (n, answer) in asked.into_iter().zip(answers.into_iter().chain(std::iter::repeat(Fared::Unasked))) {
            fared[n] = answer;
        }
        let is_unknown = |(before, fared): &(&Option<Skip>, &Fared)| {
            before.is_none() && matches!(fared, Fared::Unheard | Fared::Unasked)
        };
        view.unknown_transactions += before.iter().zip(&fared).filter(is_unknown).count() as u64;
        Ok(fared)
    }

    fn verdict(
        &self,
        letter: &Letter,
        fared: Fared,
        ground: &Ground,
        pending: &Pending,
        view: &RedriveView,
    ) -> Verdict {
        let sent = view.sent.values().sum::<u64>() + pending.sent.len() as u64;
        let target = Target {
            dlq: &self.options.stream,
            streams: Some(&ground.streams),
            dlqs: Some(&ground.dlqs),
            retry: self.options.to_retry_topic,
            fixed: self.options.to.as_deref(),
        };
        let held = match fared {
            Fared::EndedOk => Some(Skip::EndedOk),
            Fared::Unasked if !self.options.include_unknown => Some(Skip::Unasked),
            Fared::NotOk | Fared::Unheard | Fared::Unasked => None,
        };
        match judge(letter, self.options.max_redrives, held, &target) {
            Verdict::Send(_) if self.options.most.is_some_and(|most| sent >= most) => Verdict::Skip(Skip::Enough),
            verdict => verdict,
        }
    }

    /// The copy of a letter, also in a dry run: what it takes is counted. Its trace context is the one that every
    /// attempt makes alike.
    fn copy(&self, record: &RawRecord, letter: &Letter, target: &str, view: &mut RedriveView) -> Outgoing {
        let (dlq, partition, position) = (record.at.0.as_str(), record.at.1, record.at.2);
        let name =
            format!("{}|{dlq}|{partition}|{position}|{}", self.options.cluster, letter.redriven.saturating_add(1));
        let (trace, span) = (trace_id("redrive", &name), span_id(&name, dlq, partition, &position.to_string()));
        let redriven = Redriven {
            by: &self.options.by,
            at: (self.now)(),
            from: (dlq, partition, position),
            traceparent: Some(format!("00-{}-{}-00", crate::decode::hex(&trace), crate::decode::hex(&span))),
        };
        let (headers, lost) = rewrite(&headers(record), letter, &redriven);
        if lost > 0 {
            // Our writer takes names as text, as nearly everybody's does.
            *view.skipped.entry("headers whose name is no text").or_default() += u64::from(lost);
        }
        let record = NewRecord { key: record.key.clone(), payload: record.payload.clone(), headers, record_time: None };
        Outgoing { stream: target.to_owned(), partition: None, record }
    }

    /// Where traces are exported, the copy carries a span of ours that is linked to the old one; else it is sampled
    /// as the old one was.
    fn trace(&self, copy: &mut Outgoing, record: &RawRecord, letter: &Letter, old: Option<TraceContext>) {
        let Some((_, context)) = copy.record.headers.iter_mut().find(|(name, _)| name == "traceparent") else { return };
        let (dlq, partition, position) = (record.at.0.as_str(), record.at.1, record.at.2);
        let span = tracing::info_span!("redrive", dlq, partition, position, target = copy.stream, error = letter.error);
        if let Some(old) = old {
            propagate::link(&span, old);
        }
        if let Some(ours) = propagate::traceparent(&span) {
            *context = ours.into_bytes();
        } else if old.is_some_and(|t| t.flags & 1 == 1)
            && let Some(flags) = context.last_mut()
        {
            *flags = b'1';
        }
    }

    /// Makes a batch durable, at the rate that is allowed.
    fn flush(
        &mut self,
        ground: &mut Ground,
        view: &mut RedriveView,
        course: &mut Course,
        pace: &mut Pace,
        pending: Pending,
    ) -> Result<(), RedriveError> {
        let Pending { mut out, sent } = pending;
        let touched = ground.settled.take_touched();
        if !self.options.dry_run && (!out.is_empty() || !touched.is_empty()) {
            let wait = pace.wait(out.len(), Instant::now());
            self.sleep(wait)?;
            out.extend(touched.into_iter().map(|(key, value)| {
                let record = NewRecord { key: Some(key), payload: Some(value), ..NewRecord::default() };
                Outgoing { stream: ground.marker.clone(), partition: Some(0), record }
            }));
            course.unanswered = sent;
            match self.step(ground, out) {
                Err(RedriveError::Moved(MoveError::TooLarge(places))) => return Err(course.left_out(places)),
                made => made?,
            }
        } else {
            course.unanswered = sent;
        }
        for (_, _, target) in course.unanswered.drain(..) {
            *view.sent.entry(target).or_default() += 1;
        }
        view.fault.clear();
        Ok(())
    }
}

impl Course {
    /// The log did not take records for their size: the next attempt leaves their letters out.
    fn left_out(&mut self, places: Vec<usize>) -> RedriveError {
        let before = self.refused.len();
        let letter =
            |place: &usize| self.unanswered.get(*place).map(|(partition, position, _)| (*partition, *position));
        self.refused.extend(places.iter().filter_map(letter).collect::<Vec<_>>());
        self.unanswered.clear(); // nothing of the step was made
        if self.refused.len() > before {
            return MoveError::TooLarge(places).into();
        }
        MoveError::Refused("what says which letters were sent is larger than its stream takes".into()).into()
    }
}

/// Why a copy can not be sent, in words: it is larger than its target takes.
fn too_large(copy: &Outgoing, at: (u32, u64), ground: &Ground, course: &Course) -> Option<String> {
    let (bytes, most) = (batch_bytes(&copy.record), ground.most.get(&copy.stream).copied());
    if most.is_none_or(|most| bytes <= most) && !course.refused.contains(&at) {
        return None;
    }
    let takes = most.map_or_else(String::new, |most| format!(", which takes {most}"));
    Some(format!("{}:{} ({bytes} bytes to {}{takes})", at.0, at.1, copy.stream))
}

/// The group's position never goes back.
fn advance(ground: &mut Ground, partition: u32, to: u64) {
    let low = ground.low.entry(partition).or_insert(to);
    *low = to.max(*low);
}
