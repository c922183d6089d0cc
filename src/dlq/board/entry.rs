//! One stream of the board: what a survey says of it, and its view.

use std::sync::Arc;

use super::super::settled::Settled;
use super::group::{Counting, own_group};
use super::{Entry, Facts, Markers, REFUSED, Rules};
use crate::model::{MICROS_PER_SECOND, Survey, Timestamp, TopicFacts};
use crate::snapshot::DlqStream;

/// Both are known, and they differ.
fn is_another(before: &str, id: &str) -> bool {
    !before.is_empty() && !id.is_empty() && before != id
}

impl Entry {
    pub(super) fn is_refused(&self, now: Timestamp) -> bool {
        self.refused.as_ref().is_some_and(|(at, _)| now.since(*at) < REFUSED)
    }

    /// Where its markers lie. A cluster that does not tell changes nothing of what was read; another stream of that name is
    /// read from its beginning, and all that it says was sent was sent since.
    pub(super) fn finds(&mut self, topic: &TopicFacts) {
        let end = topic.partitions.first().and_then(|p| p.stable_end);
        let anew = |m: &Markers| is_another(&m.id, &topic.id) || end.is_some_and(|end| end < m.next);
        if self.markers.as_ref().is_some_and(anew) {
            (self.markers, self.settled, self.sent) = (None, None, Some(0));
        }
        let stream = || Markers { stream: Arc::clone(&topic.name), id: String::new(), end: None, next: 0 };
        let markers = self.markers.get_or_insert_with(stream);
        markers.end = end.or(markers.end);
        if !topic.id.is_empty() {
            markers.id.clone_from(&topic.id);
        }
    }

    /// Which incarnation of the stream this is. One that is not told is the one that was: a cluster that has just lost
    /// sight of a topic says so, and has not made it anew.
    fn is_of(&mut self, id: &str) {
        if id.is_empty() || self.incarnation == id {
            return;
        }
        if is_another(&self.incarnation, id) {
            self.tracked.made_anew();
            (self.looked, self.times, self.sent) = (Default::default(), Default::default(), Some(0));
        }
        // Markers speak of one incarnation: those of this one were passed over.
        self.settled = None;
        self.markers.iter_mut().for_each(|m| m.next = 0);
        id.clone_into(&mut self.incarnation);
    }

    pub(super) fn take(&mut self, topic: &TopicFacts, counting: Counting, survey: &Survey) {
        let Counting { name, present, positions, readers } = counting;
        self.is_of(&topic.id);
        // Another group means other positions: what moved between the two was handled by nobody.
        if self.group.as_ref().is_some_and(|before| *before != name) {
            for (n, facts) in &mut self.tracked.partitions {
                facts.committed = positions.as_ref().ok().and_then(|all| all.get(n).copied());
            }
        }
        // Our group moves over what our markers tell one by one: they say what was sent.
        let moves = name != own_group(&topic.name);
        (self.group, self.present, self.readers) = (Some(name), present, readers);
        self.group_unknown = positions.is_err();
        self.faults.clear();
        if topic.partitions.is_empty() {
            self.faults.push("the cluster did not tell its partitions: the numbers are frozen".into());
        }
        let mut as_of = None;
        for (n, p) in (0u32..).zip(&topic.partitions) {
            let (Some(start), Some(end)) = (p.start, p.end.or(p.stable_end)) else {
                self.faults
                    .push(format!("partition {n}: {}", if p.fault.is_empty() { "not answered" } else { &p.fault }));
                continue;
            };
            let before = self.tracked.partitions.get(&n).and_then(|f| f.committed);
            let committed = positions.as_ref().map_or(before, |all| all.get(&n).copied());
            let settled = |from, to| self.settled.as_ref().map_or(0, |settled| settled.within(n, from, to));
            self.tracked.learn(n, Facts { start, end, committed, ahead: 0 }, &settled, moves);
            self.looked.expire(n, start);
            if let Some(settled) = &mut self.settled {
                settled.expire(n, start);
            }
            as_of = Some(as_of.map_or(p.at, |at: Timestamp| at.min(p.at)));
        }
        self.as_of = as_of.or(self.as_of);
        self.redrove();
        if self.group_unknown {
            self.faults.push("the positions of the redrive group are not known".into());
        }
        self.tracked.sample(survey.ended, self.unhandled());
    }

    /// Copies that were sent since the last survey; what was sent before the first one is not news.
    fn redrove(&mut self) {
        let unread = self.markers.as_ref().is_some_and(Markers::unread);
        match (self.sent, self.settled.as_ref().map(Settled::sent)) {
            (Some(before), Some(sent)) if before <= sent => {
                self.tracked.redriven += sent - before;
                self.sent = Some(sent);
            }
            // The first reading is complete only once all that was there has been read. Where even then less was sent than
            // we knew of, others made these markers: they are no news, and what follows them is.
            (_, Some(sent)) if !unread => self.sent = Some(sent),
            (None, None) if self.markers.as_ref().is_none_or(|m| m.end == Some(0)) => self.sent = Some(0),
            _ => {}
        }
    }

    fn sum(&self, of: impl Fn(&Facts) -> u64) -> Option<u64> {
        let partitions = &self.tracked.partitions;
        (!partitions.is_empty()).then(|| partitions.values().map(of).sum())
    }

    pub(super) fn unhandled(&self) -> Option<u64> {
        if self.group_unknown { None } else { self.sum(Facts::unhandled) }
    }

    /// When the oldest unhandled letter was written; `None` where one of the partitions does not say.
    fn oldest(&self) -> Option<Timestamp> {
        let waiting = self.tracked.partitions.iter().filter(|(_, f)| f.unhandled() > 0);
        let times =
            waiting.map(|(n, f)| self.times.get(n).filter(|(at, _)| *at == f.first_unhandled()).and_then(|(_, t)| *t));
        times.collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    pub(super) fn view(
        &self,
        cluster: &str,
        name: &Arc<str>,
        answering: bool,
        now: Timestamp,
        rules: &Rules,
    ) -> DlqStream {
        let [by_error, by_source, by_group] = self.looked.by();
        let mut faults = self.faults.clone();
        let not_looked_at = match &self.refused {
            Some((_, why)) => format!("letters were not looked at: {why}"),
            None if rules.letters == 0 => "letters were not looked at: [dlq] letters = 0".to_owned(),
            None => String::new(),
        };
        faults.extend(Some(not_looked_at).filter(|f| !f.is_empty()));
        let age = |at: Timestamp| (now.since(at).max(0)) as f64 / MICROS_PER_SECOND as f64;
        DlqStream {
            cluster: cluster.to_owned(),
            stream: Arc::clone(name),
            found_by: self.found_by,
            as_of: self.as_of,
            answering,
            retained: self.sum(|f| f.end.saturating_sub(f.start)),
            unhandled: self.unhandled(),
            redrive_group: self.group.clone().filter(|_| self.present),
            readers: self.readers.clone(),
            inflow_per_minute: self.tracked.inflow_per_minute(),
            oldest_unhandled_age_seconds: self.oldest().map(age),
            expired: self.tracked.expired,
            inflow_total: self.tracked.inflow,
            redriven_total: self.tracked.redriven,
            windows: self.tracked.windows(),
            trend: self.tracked.trend(),
            by_error,
            by_source,
            by_group,
            looked_at: self.looked.len(),
            newest: self.looked.newest(),
            fault: faults.join("; "),
        }
    }
}
