//! The board as pages show it.

use std::collections::HashMap;
use std::sync::Arc;

use super::age::{Age, age_of};
use super::board::{Board, Part};
use super::burrow::{BurrowCommit, ENDS_SECONDS, burrow, worst};
use super::group::{Group, NEVER, NOBODY, NONE, Owns, Row};
use super::index::Next;
use super::trend::{Slope, commit_rate};
use super::verdict::{Evidence, Owner, verdict};
use crate::model::{GroupProtocol, MICROS_PER_SECOND, Timestamp};
use crate::snapshot::{
    AgeMethod, Burrow, COURSE_POINTS, GroupView, LagCluster, LagRow, LagRows, LagState, Reason, Seen, beside_unknown,
};

/// A lag event older than this says nothing about now. Microseconds.
const TOLD: i64 = 300 * MICROS_PER_SECOND;

/// How sure a shrinking lag must be before an end of it is foretold, in standard deviations.
const DRAINS: f64 = -1.0;

/// Delivered and not acknowledged, by group, stream and partition: how many, and for how many seconds the oldest.
type Pending<'a> = HashMap<(&'a str, &'a str, u32), (u64, f64)>;

/// For so long after the newest commit its pace is the pace of now: what a rate is over, by its name.
const PACE_HOLDS: i64 = 60 * MICROS_PER_SECOND;

impl Board {
    /// The view of now. Rows of groups in which nothing changed are those of the view before.
    pub fn view(&mut self, now: Timestamp) -> Arc<LagCluster> {
        let mut groups = std::mem::take(&mut self.groups);
        let pending = self.pending(now);
        for group in groups.values_mut() {
            let before = group.view.take();
            let view = match before {
                // Nothing new was learned: the values stay as they were.
                Some(before) if !self.answering => frozen(&before, "lag.reason.unknown.silent", group),
                Some(before) if !group.fresh && !before.rows.is_empty() => {
                    frozen(&before, "lag.reason.unknown.group", group)
                }
                before => Arc::new(self.group_view(group, before.as_deref(), &pending, now)),
            };
            group.view = Some(view);
        }
        self.groups = groups;
        Arc::new(self.whole())
    }

    /// The cluster with the newest views of its groups.
    pub(super) fn whole(&self) -> LagCluster {
        LagCluster {
            cluster: self.config.cluster.clone(),
            kind: self.config.kind,
            as_of: self.as_of,
            answering: self.answering,
            cycle_seconds: self.cycle_seconds,
            faults: self.faults.clone(),
            groups: self.groups.values().filter_map(|g| g.view.clone()).collect(),
            troubles: self.troubles.clone(),
            dropped: self.dropped,
            told: self.told.clone(),
            topics: Arc::clone(&self.facts),
            brokers: self.brokers,
            ..LagCluster::default()
        }
    }

    fn pending(&self, now: Timestamp) -> Pending<'_> {
        let ours = self.told.iter().filter(|t| t.cluster == self.config.cluster && now.since(t.at) < TOLD);
        ours.filter_map(|t| {
            let waited = t.oldest_pending_seconds? + now.since(t.at).max(0) as f64 / 1e6;
            Some(((t.group.as_str(), t.stream.as_str(), t.partition), (t.pending?, waited)))
        })
        .collect()
    }

    fn group_view(
        &self,
        group: &mut Group,
        before: Option<&GroupView>,
        pending: &Pending<'_>,
        now: Timestamp,
    ) -> GroupView {
        let mut rows = std::mem::take(&mut group.rows);
        let views: Vec<LagRow> = rows.iter_mut().map(|row| self.row_view(row, group, pending, now)).collect();
        group.rows = rows;
        let views: LagRows = match before {
            Some(before) if *before.rows == *views => before.rows.clone(),
            _ => views.into(),
        };
        let unread = || views.iter().filter(|r| r.readable.get().is_some_and(|n| n > 0));
        let unknown = views.iter().filter(|r| r.unknown()).count();
        let age = if unread().any(|r| r.next_unread_age_seconds.get().is_none()) {
            None
        } else {
            let oldest = views.iter().filter_map(|r| r.next_unread_age_seconds.get()).max_by(f64::total_cmp);
            beside_unknown(oldest, unknown > 0)
        };
        let drain = if unknown > 0 || unread().any(|r| r.drain_seconds.get().is_none()) {
            None
        } else {
            unread().filter_map(|r| r.drain_seconds.get()).max_by(f64::total_cmp)
        };
        let sum = |values: &mut dyn Iterator<Item = Option<i64>>| {
            values.flatten().fold(None, |sum: Option<i64>, n| Some(sum.unwrap_or(0).saturating_add(n)))
        };
        let waiting = |r: &LagRow| r.readable.get().max(r.lag_messages().and_then(|n| u64::try_from(n).ok()));
        // Backwards, so that the first of equals is named.
        let (state, reason, place) = match views.iter().rev().max_by_key(|r| (r.state, waiting(r))) {
            Some(worst) => {
                let of_all = views.iter().all(|r| r.reason == worst.reason);
                (worst.state, worst.reason, (!of_all).then(|| (Arc::clone(&worst.stream), worst.partition)))
            }
            None => without_rows(group),
        };
        let rates: Vec<f64> = views.iter().filter_map(|r| r.commit_rate.get()).collect();
        GroupView {
            group: Arc::clone(&group.name),
            protocol: group.protocol,
            phase: group.phase,
            members: group.members,
            state,
            reason,
            place,
            burrow: worst(views.iter().map(|r| r.burrow)),
            lag_messages: beside_unknown(sum(&mut views.iter().map(LagRow::lag_messages)), unknown > 0),
            unknown_partitions: unknown as u32,
            next_unread_age_seconds: age,
            drain_seconds: drain,
            commit_rate: (!rates.is_empty()).then(|| rates.iter().sum()),
            lost_messages: group.lost,
            trend: group.trend.iter().copied().collect(),
            as_of: group.as_of,
            frozen: false,
            fault: group.fault.clone(),
            rows: views,
        }
    }

    fn row_view(&self, row: &mut Row, group: &Group, pending: &Pending<'_>, now: Timestamp) -> LagRow {
        let topic = &self.topics[row.topic as usize];
        let part = topic.parts.get(row.partition as usize);
        let since = |t: u32| f64::from(self.tick.saturating_sub(t)) / 10.0;
        let committed = (row.committed != NONE).then_some(row.committed);
        let (start, end) = part.map_or((None, None), |p| (p.start, p.end));
        let reach = part.and_then(Part::reach);
        let known = committed.filter(|_| !row.stale);
        let (mut readable, mut unseen, mut arriving) = (None, false, 0.0);
        let mut age = Age::default();
        if let (Some(part), Some(committed), Some(start), Some(reach)) = (part, known, start, reach) {
            let target = committed.max(start);
            let next = if target >= reach { Next::Nothing } else { part.index.next(target, topic.look(part, now)) };
            readable = Some(if next == Next::Nothing { 0 } else { reach - target });
            unseen = topic.transactional && !part.index.seen_from(target);
            arriving = part.arrivals.seconds_behind(target);
            // As of the moment when the position was learned: by now the group may have read on.
            age = age_of(next, group.as_of);
        }
        let nothing_left = age.method == AgeMethod::CaughtUp;
        let trend = row.trend.as_deref();
        let slope = trend.filter(|_| row.unread_since != NEVER).and_then(Slope::of);
        let pushed = self.pushes.newest(&group.name, &topic.name, row.partition);
        // The pace of a consumer that has died since is none.
        let pace = pushed.filter(|p| now.since(p.at) <= PACE_HOLDS).and_then(|p| p.per_second);
        let commit_rate = match trend {
            _ if pace.is_some() => pace,
            Some(trend) => commit_rate(trend),
            None => (row.polls > 1 && known.is_some()).then_some(0.0),
        };
        let evidence = Evidence {
            answered: self.answering,
            positions: group.fresh,
            committed,
            start,
            stable_end: part.and_then(|p| p.stable_end),
            end,
            stale: row.stale,
            owner: match row.owner {
                Owns::Unknown => Owner::Unknown,
                Owns::Unmanaged => Owner::Unmanaged,
                Owns::NoMembers => Owner::NoMembers,
                Owns::Nobody => Owner::Nobody,
                Owns::Member(_) => Owner::Somebody,
            },
            absent_polls: row.absent_polls.into(),
            commits_unmanaged: row.unmanaged > 1,
            polls: row.polls.into(),
            watched: since(row.first_seen),
            unmoved: since(row.moved_at),
            pause: (row.moves > 1).then(|| f64::from(row.pause) / 10.0),
            unread_for: if row.unread_since == NEVER { 0.0 } else { since(row.unread_since) },
            quiet: part.map_or(0.0, |p| since(p.end_moved)),
            stable_quiet: part.map_or(0.0, |p| since(p.stable_moved)),
            rewound_from: (row.rewound_from > 0).then_some(row.rewound_from),
            nothing_left,
            transactional: topic.transactional,
            unseen,
            arriving,
            age,
            slope,
            commit_rate,
            pending: pending.get(&(&*group.name, &*topic.name, row.partition)).copied(),
            was: row.state,
        };
        let (state, reason) = verdict(&evidence);
        row.state = state;
        // What is most likely a marker waits for nobody: an age would say that it is a message.
        let tail =
            matches!(reason.key, "lag.reason.unknown.tail" | "lag.reason.unknown.aborted" | "lag.reason.marker_tail");
        let age = if tail { Age::default() } else { age };
        let drains = slope.filter(|s| s.per_second < 0.0 && s.certainty <= DRAINS);
        let drain = drains.zip(readable).map(|(s, n)| n as f64 / -s.per_second);
        let seen = self.seen(row, end);
        LagRow {
            stream: Arc::clone(&topic.name),
            partition: row.partition,
            state,
            burrow: self.burrow(row, end, &seen),
            method: age.method,
            confidence: age.confidence,
            recreated: row.stale,
            committed: committed.into(),
            start: start.into(),
            end: end.into(),
            readable: readable.into(),
            next_unread_age_seconds: age.seconds.into(),
            bounds: [age.bounds.map(|b| b.0).into(), age.bounds.map(|b| b.1).into()],
            drain_seconds: drain.into(),
            commit_rate: commit_rate.into(),
            reason,
            lost_messages: row.lost,
            pushed: pushed.map(Box::new),
            seen: if says_all(state) { Seen::Nothing } else { seen },
            owner: match row.owner {
                Owns::Member(i) if i != NOBODY => group.owners.get(usize::from(i)).cloned(),
                _ => None,
            },
        }
    }

    /// What was seen of a row; of one at rest for how long it has been what it is.
    fn seen(&self, row: &Row, end: Option<u64>) -> Seen {
        match &row.trend {
            _ if row.committed == NONE || end.is_none() => Seen::Nothing,
            Some(trend) => Seen::Moved(self.tick, Arc::clone(trend)),
            None => Seen::Rest(self.tick.saturating_sub(row.first_seen) / 10),
        }
    }

    fn burrow(&self, row: &Row, end: Option<u64>, seen: &Seen) -> Burrow {
        let Some(end) = end.filter(|_| row.committed != NONE) else { return Burrow::NotFound };
        let lag = end.saturating_sub(row.committed);
        if lag == 0 {
            return Burrow::Ok;
        }
        let alive = matches!(row.owner, Owns::Member(_));
        let mut commits: Vec<BurrowCommit> = Vec::with_capacity(COURSE_POINTS);
        let mut ends = Vec::with_capacity(COURSE_POINTS + 1);
        ends.push(end);
        for (before, position, end) in seen.samples(row.committed, end) {
            if before <= ENDS_SECONDS {
                ends.push(end);
            }
            if alive || commits.last().is_none_or(|last| last.position != position) {
                let lag = Some(end.saturating_sub(position));
                commits.push(BurrowCommit { at: -f64::from(before), position, lag });
            }
        }
        burrow(&commits, &ends, lag, 0.0)
    }
}

/// States whose reason says all: samples would only take memory.
const fn says_all(state: LagState) -> bool {
    matches!(state, LagState::Ok | LagState::Idle | LagState::NeverCommitted | LagState::Recreated)
}

/// State of a group that has no rows.
fn without_rows(group: &Group) -> (LagState, Reason, Option<(Arc<str>, u32)>) {
    let (state, key) = match group.protocol {
        GroupProtocol::Share => (LagState::Unknown, "lag.reason.unknown.share"),
        _ if group.fresh => (LagState::NeverCommitted, "lag.reason.never.group"),
        _ => (LagState::Unknown, "lag.reason.unknown.group"),
    };
    (state, Reason { key, numbers: [0.0; 3] }, None)
}

/// The values of before, said to be so.
fn frozen(before: &Arc<GroupView>, key: &'static str, group: &mut Group) -> Arc<GroupView> {
    if before.frozen && before.reason.key == key && before.fault == group.fault {
        return Arc::clone(before);
    }
    let reason = Reason { key, numbers: [0.0; 3] };
    for row in &mut group.rows {
        row.state = LagState::Unknown;
    }
    let rows = before.rows.iter().map(|row| LagRow { state: LagState::Unknown, reason, ..row.clone() });
    Arc::new(GroupView {
        state: LagState::Unknown,
        reason,
        place: None,
        unknown_partitions: before.rows.len() as u32,
        frozen: true,
        fault: group.fault.clone(),
        rows: rows.collect(),
        ..GroupView::clone(before)
    })
}
