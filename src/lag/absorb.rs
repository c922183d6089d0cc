//! Taking a survey in.

use std::sync::Arc;

use super::board::{Board, PARTITIONS, Part, TOPICS, Topic};
use super::group::{Group, NEVER, NOBODY, NONE, OWNERS, Owns, Row, TREND};
use crate::model::{
    Committed, GroupFacts, GroupPhase, GroupProtocol, MICROS_PER_SECOND, PartitionFacts, Survey, Timestamp, TopicFacts,
};
use crate::snapshot::{Course, PartitionTrouble};

/// Rows of partitions where a group never committed, per group; further ones are left out and counted.
const UNCOMMITTED: usize = 1_000;
/// A group that a complete survey does not name this often in a row is gone.
const GONE: u8 = 2;
/// Not well partitions that are listed; a cluster that is down has all of them.
const TROUBLES: usize = 1_000;
/// Commits of so long before the first survey have a time, where the broker tells it; earlier ones are as old as this.
const BEFORE: i64 = 30 * 86_400 * MICROS_PER_SECOND;

/// A position that a group wants a row for: (rank of the topic, partition, topic), position, when it was committed.
type Wanted = ((u32, u32, u32), u64, Option<Timestamp>);

impl Board {
    /// Takes a survey. One that was not answered only says so: everything known stays, with its age.
    pub fn absorb(&mut self, survey: &Survey) {
        self.faults.clone_from(&survey.faults);
        let was_silent = !self.answering;
        self.answering = survey.answered;
        if !survey.answered {
            return;
        }
        let now = survey.ended;
        self.epoch.get_or_insert(now.plus(-BEFORE));
        (self.last_tick, self.tick) = (self.tick, self.tick_of(now));
        if was_silent && self.as_of.is_some() {
            self.not_watched(self.tick.saturating_sub(self.last_tick));
        }
        let before = self.as_of.replace(now);
        self.cycle_seconds = Some(survey.ended.since(survey.began).max(0) as f64 / 1e6);
        self.dropped = survey.groups_dropped;
        self.brokers = survey.brokers;
        self.troubles.clear();
        self.facts = Arc::new(survey.topics.clone());
        let topics: Vec<Option<u32>> = survey.topics.iter().map(|t| self.topic(t, before, now)).collect();
        self.rank_topics();
        self.check_pushes(survey);
        self.groups_of(survey, &topics);
        self.shrink_indexes(now);
        if survey.faults.is_empty() {
            // What nobody claimed belongs to topics that are gone.
            let gone = std::mem::take(&mut self.stored).into_values();
            self.unclaimed.extend(gone.map(|s| super::StoredIndex { bytes: Vec::new(), ..s }));
            self.stale.clear();
        }
    }

    /// The cluster was silent for so long: nobody can be blamed for not having committed then.
    fn not_watched(&mut self, ticks: u32) {
        for row in self.groups.values_mut().flat_map(|g| &mut g.rows) {
            row.moved_at = row.moved_at.saturating_add(ticks).min(self.tick);
            if row.unread_since != NEVER {
                row.unread_since = row.unread_since.saturating_add(ticks).min(self.tick);
            }
        }
    }

    /// Takes a topic as of `now`; its place, `None` where there is none left.
    fn topic(&mut self, facts: &TopicFacts, before: Option<Timestamp>, now: Timestamp) -> Option<u32> {
        let place = match self.by_name.get(&facts.name) {
            Some(place) => *place,
            None if self.topics.len() >= TOPICS => {
                self.dropped += 1;
                return None;
            }
            None => {
                let place = self.topics.len() as u32;
                self.topics.push(Topic { name: Arc::clone(&facts.name), ..Topic::default() });
                self.by_name.insert(Arc::clone(&facts.name), place);
                place
            }
        };
        let tick = self.tick;
        let topic = &mut self.topics[place as usize];
        let anew = !topic.id.is_empty() && !facts.id.is_empty() && topic.id != facts.id;
        if !facts.id.is_empty() {
            topic.id.clone_from(&facts.id);
        }
        topic.append_time = facts.append_time.or(topic.append_time);
        if anew {
            topic.parts.clear();
            topic.transactional = false;
        }
        self.dropped += facts.partitions.len().saturating_sub(PARTITIONS) as u64;
        let known = topic.parts.len();
        // A topic never has fewer partitions than before: what a survey leaves out is not known at the moment.
        let count = facts.partitions.len().min(PARTITIONS).max(known);
        topic.parts.resize_with(count, Part::default);
        for (i, (part, facts)) in topic.parts.iter_mut().zip(&facts.partitions).enumerate() {
            if i >= known || anew {
                (part.end_moved, part.stable_moved, part.dirty) = (tick, tick, anew);
            }
            topic.transactional |= part_facts(part, facts, tick);
        }
        for part in topic.parts.iter_mut().skip(facts.partitions.len()) {
            (part.start, part.end, part.stable_end) = (None, None, None);
        }
        for (number, facts) in facts.partitions.iter().enumerate().take(PARTITIONS) {
            if let Some(what) = trouble(facts)
                && self.troubles.len() < TROUBLES
            {
                let (stream, partition) = (Arc::clone(&self.topics[place as usize].name), number as u32);
                let replicas = (facts.in_sync, facts.replicas);
                self.troubles.push(PartitionTrouble { stream, partition, what, replicas });
            }
        }
        self.take_stored(place);
        let topic = &mut self.topics[place as usize];
        for part in topic.parts.iter_mut().filter(|_| topic.transactional) {
            if let Some(reach) = part.reach() {
                part.dirty |= part.arrivals.reached(reach, before, now);
            }
        }
        if anew {
            for (name, group) in &mut self.groups {
                for row in group.rows.iter_mut().filter(|r| r.topic == place) {
                    row.stale = row.committed != NONE;
                    (row.trend, row.lost_upto) = (None, 0);
                    self.losses.changed.insert(Arc::clone(name));
                }
            }
        }
        Some(place)
    }

    fn rank_topics(&mut self) {
        if self.rank.len() == self.topics.len() {
            return;
        }
        let mut order: Vec<u32> = (0..self.topics.len() as u32).collect();
        order.sort_by(|a, b| self.topics[*a as usize].name.cmp(&self.topics[*b as usize].name));
        self.rank = vec![0; order.len()];
        for (rank, topic) in order.into_iter().enumerate() {
            self.rank[topic as usize] = rank as u32;
        }
        let rank = &self.rank;
        for group in self.groups.values_mut() {
            group.rows.sort_by_key(|r| (rank[r.topic as usize], r.partition));
        }
    }

    fn groups_of(&mut self, survey: &Survey, topics: &[Option<u32>]) {
        for part in self.topics.iter_mut().flat_map(|t| &mut t.parts) {
            part.targets.clear();
        }
        for group in self.groups.values_mut() {
            group.fresh = false;
            group.missing = group.missing.saturating_add(1);
        }
        let mut order: Vec<&GroupFacts> = survey.groups.iter().collect();
        order.sort_by(|a, b| a.name.cmp(&b.name));
        // A survey that could not ask everything may have missed a group; a complete one may not, twice.
        let complete = survey.faults.is_empty();
        let mut rows = 0;
        for (n, facts) in order.into_iter().enumerate() {
            let known = self.groups.remove(&facts.name);
            let mut group = known.unwrap_or_else(|| self.losses.claim(&facts.name));
            if n < self.config.groups {
                self.group(&mut group, facts, topics, complete);
                rows += group.rows.len();
            }
            if n >= self.config.groups || rows > self.config.rows {
                rows -= group.rows.len().min(rows);
                self.dropped += 1;
                self.losses.leave(&facts.name, &group, self.config.groups);
                continue;
            }
            self.groups.insert(Arc::clone(&facts.name), group);
        }
        let (losses, most) = (&mut self.losses, self.config.groups);
        self.groups.retain(|name, g| {
            let stays = g.missing == 0 || !complete || g.missing < GONE;
            if !stays {
                losses.leave(name, g, most);
            }
            stays
        });
        if complete {
            losses.complete();
        }
        for part in self.topics.iter_mut().flat_map(|t| &mut t.parts) {
            part.targets.sort_unstable();
            part.targets.dedup();
        }
    }

    fn group(&mut self, group: &mut Group, facts: &GroupFacts, topics: &[Option<u32>], complete: bool) {
        let place = |t: u32| topics.get(t as usize).copied().flatten();
        group.name = Arc::clone(&facts.name);
        (group.protocol, group.phase, group.missing) = (facts.protocol, facts.phase, 0);
        group.members = facts.members.as_ref().map(|m| m.len() as u32);
        group.fault.clone_from(&facts.fault);
        group.owners.clear();
        let key = |topic: u32, partition: u32| (self.rank[topic as usize], partition, topic);
        // (place in the order, position, when it was committed), members and where nothing was committed.
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut owned: Vec<((u32, u32, u32), u16)> = Vec::new();
        for member in facts.members.iter().flatten() {
            let number = u16::try_from(group.owners.len()).unwrap_or(NOBODY);
            let number = if group.owners.len() < OWNERS { number } else { NOBODY };
            if number != NOBODY {
                group.owners.push(Arc::new((Arc::clone(&member.client_id), Arc::clone(&member.host))));
            }
            let assigned = member.assigned.iter().filter_map(|(t, p)| Some((key(place(*t)?, *p), number)));
            owned.extend(assigned);
        }
        owned.sort_unstable();
        if let Some(committed) = &facts.committed {
            group.fresh = true;
            group.as_of = facts.committed_at;
            let of = |c: &Committed| Some((key(place(c.topic)?, c.partition), c.next, c.committed_at));
            wanted.extend(committed.iter().filter_map(of));
            wanted.sort_unstable();
            wanted.dedup_by_key(|w| w.0);
            let uncommitted = self.uncommitted(&wanted, &owned);
            self.dropped += uncommitted.len().saturating_sub(UNCOMMITTED) as u64;
            wanted.extend(uncommitted.into_iter().take(UNCOMMITTED).map(|k| (k, NONE, None)));
            wanted.sort_unstable();
            self.rows(group, &wanted);
        }
        let (phase, members) = (facts.phase, group.members);
        let tick = self.tick;
        let mut known: Option<f32> = None;
        let mut changed = false;
        for row in &mut group.rows {
            let owner = match owned.binary_search_by_key(&key(row.topic, row.partition), |o| o.0) {
                Ok(i) => Owns::Member(owned[i].1),
                Err(_) if facts.protocol == GroupProtocol::Simple => Owns::Unmanaged,
                Err(_) => match (phase, members) {
                    (GroupPhase::Empty | GroupPhase::Dead, None | Some(0)) => Owns::NoMembers,
                    (GroupPhase::Stable, Some(1..)) => Owns::Nobody,
                    _ => Owns::Unknown,
                },
            };
            row.owner = owner;
            let absent = matches!(owner, Owns::NoMembers | Owns::Nobody);
            row.absent_polls = if absent { row.absent_polls.saturating_add(1) } else { 0 };
            if !absent {
                row.unmanaged = 0;
            }
            let topic = &mut self.topics[row.topic as usize];
            let mut watched = row.polls > 1;
            if group.fresh && row.polls == 1 {
                let before = group.before.as_mut().and_then(|b| b.take_partition(topic, row.partition));
                watched = before.is_some();
                (row.lost, row.lost_upto) = before.unwrap_or((0, 0));
                changed |= !watched;
            }
            let counted = (row.lost, row.lost_upto);
            let part = topic.parts.get_mut(row.partition as usize);
            if let Some(lag) = part.and_then(|part| fill(row, part, tick, watched)) {
                *known.get_or_insert(0.0) += lag;
            }
            group.lost += row.lost - counted.0;
            changed |= counted != (row.lost, row.lost_upto);
        }
        if changed {
            self.losses.changed.insert(Arc::clone(&group.name));
        }
        if group.fresh && complete {
            group.before = None;
        }
        if group.trend.len() >= TREND {
            group.trend.pop_front();
        }
        group.trend.push_back(known.filter(|_| group.fresh));
    }

    /// Partitions that a member has, or that lie beside committed ones and are not empty, without a position.
    fn uncommitted(&self, wanted: &[Wanted], owned: &[((u32, u32, u32), u16)]) -> Vec<(u32, u32, u32)> {
        let has = |key: &(u32, u32, u32)| wanted.binary_search_by_key(key, |w| w.0).is_ok();
        let mut found: Vec<(u32, u32, u32)> = owned.iter().map(|o| o.0).filter(|k| !has(k)).collect();
        for same in wanted.chunk_by(|a, b| a.0.0 == b.0.0) {
            let (rank, _, topic) = same[0].0;
            let parts = &self.topics[topic as usize].parts;
            if parts.len() <= same.len() {
                continue;
            }
            let filled = parts.iter().enumerate().filter(|(_, p)| p.end > p.start);
            found.extend(filled.map(|(number, _)| (rank, number as u32, topic)).filter(|k| !has(k)));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Merges the positions of now into the rows of before.
    fn rows(&self, group: &mut Group, wanted: &[Wanted]) {
        let (tick, last) = (self.tick, self.last_tick);
        let mut before = std::mem::take(&mut group.rows).into_iter().peekable();
        group.rows.reserve_exact(wanted.len());
        let place = |r: &Row| (self.rank[r.topic as usize], r.partition, r.topic);
        for (key, committed, committed_at) in wanted {
            while before.next_if(|r| place(r) < *key).is_some() {}
            let mut row = before.next_if(|r| place(r) == *key).unwrap_or_else(|| {
                let mut row = Row::new(key.2, key.1, *committed, tick);
                row.moved_at = committed_at.map_or(tick, |at| self.tick_of(at).min(tick));
                // Looked up only where there is any: mostly there is none.
                row.stale = !self.stale.is_empty()
                    && self.stale.get(&(group.name.to_string(), key.2, key.1)) == Some(committed);
                row.stale_kept = row.stale;
                row
            });
            // The moment of the commit, where it was pushed; else it was found to be made.
            let pushed = self.pushes.newest(&group.name, &self.topics[key.2 as usize].name, key.1);
            let made = pushed.filter(|p| p.next == *committed).map_or(tick, |p| self.tick_of(p.at));
            row.position(*committed, made.clamp(row.moved_at.min(tick), tick), last);
            row.polls = row.polls.saturating_add(1);
            group.rows.push(row);
        }
    }
}

/// Takes what a survey says about a partition; true where it shows transactions.
fn part_facts(part: &mut Part, facts: &PartitionFacts, tick: u32) -> bool {
    let known = part.last_end;
    // A log that ends before where it ended was cut off or made anew: nothing that was learned holds.
    if let (Some(before), Some(now)) = (known, facts.end)
        && now < before
    {
        part.index.forget();
        part.dirty = true;
    }
    part.flowing = matches!((known, facts.end), (Some(before), Some(now)) if now > before);
    if facts.end.is_some() && facts.end != known {
        part.end_moved = tick;
        part.rests_until = 0;
    }
    let stable = facts.stable_end.or(facts.end);
    if stable.is_some() && stable != part.last_stable {
        part.stable_moved = tick;
    }
    part.last_end = facts.end.or(known);
    part.last_stable = stable.or(part.last_stable);
    (part.start, part.end, part.stable_end) = (facts.start, facts.end, facts.stable_end);
    matches!((facts.stable_end, facts.end), (Some(stable), Some(end)) if stable < end)
}

fn trouble(facts: &PartitionFacts) -> Option<&'static str> {
    match facts.leader {
        None if facts.in_sync == 0 => Some("offline"),
        None => Some("leaderless"),
        Some(_) if facts.in_sync < facts.replicas => Some("under_replicated"),
        Some(_) => None,
    }
}

/// Updates a row from its partition (`watched`: not for the first time); its lag as the broker's tool prints it, `None` where unknown.
fn fill(row: &mut Row, part: &mut Part, tick: u32, watched: bool) -> Option<f32> {
    let (Some(start), Some(end)) = (part.start, part.end) else { return None };
    row.stale |= row.committed != NONE && row.committed > end;
    part.dirty |= row.stale != row.stale_kept;
    row.stale_kept = row.stale;
    if row.committed == NONE {
        return None;
    }
    if row.stale {
        row.unread_since = NEVER;
        return None;
    }
    let counted = row.lost_upto.max(row.committed);
    if start > counted {
        // What had expired before the first look is shown, but did not happen while we watched.
        if watched {
            row.lost += start - counted;
        }
        row.lost_upto = start;
    }
    let target = row.committed.max(start);
    if target >= part.reach().unwrap_or(end) {
        row.unread_since = NEVER;
    } else {
        row.unread_since = row.unread_since.min(tick);
        part.targets.push(target);
    }
    match &mut row.trend {
        Some(trend) => Arc::make_mut(trend).push((tick, row.committed, end)),
        // Nothing ever moved: there is no direction.
        None if row.moves == 0 && part.end_moved <= row.first_seen => {}
        None => row.trend = Some(Arc::new(Course::new((tick, row.committed, end)))),
    }
    Some((end - row.committed) as f32)
}
