//! The order of groups and of partitions: worst first, or by any column, the unknown always last.

use std::cmp::Ordering;

use crate::snapshot::{GroupView, LagCluster, LagRow};
use crate::text::natural;
use crate::web::page::lens::Lens;
use crate::web::page::table::{counts, growth, names, numbers, turned};

/// Columns of the table of groups that can be sorted by.
pub const GROUP_COLUMNS: &[&str] =
    &["state", "group", "cluster", "lag", "age", "drain", "rate", "trend", "members", "protocol", "burrow"];
/// Columns of the table of partitions that can be sorted by.
pub const ROW_COLUMNS: &[&str] =
    &["state", "partition", "committed", "end", "lag", "readable", "age", "drain", "rate", "burrow", "owner"];

fn count(n: Option<i64>) -> Option<f64> {
    n.map(|n| n as f64)
}

/// A group with its cluster.
pub type Entry<'a> = (&'a LagCluster, &'a GroupView);

fn worst_group(a: Entry, b: Entry) -> Ordering {
    b.1.state
        .cmp(&a.1.state)
        .then_with(|| numbers(a.1.next_unread_age_seconds, b.1.next_unread_age_seconds, false))
        .then_with(|| numbers(count(a.1.lag_messages), count(b.1.lag_messages), false))
        .then_with(|| natural(&a.1.group, &b.1.group))
        .then_with(|| natural(&a.0.cluster, &b.0.cluster))
}

/// Groups as a lens orders them.
pub fn groups(lens: &Lens, a: Entry, b: Entry) -> Ordering {
    let (x, y, r) = (a.1, b.1, lens.reversed);
    let order = match lens.sort {
        "state" => turned(y.state.cmp(&x.state), r),
        "group" => names(&x.group, &y.group, r),
        "cluster" => names(&a.0.cluster, &b.0.cluster, r),
        "lag" => numbers(count(x.lag_messages), count(y.lag_messages), r),
        "age" => numbers(x.next_unread_age_seconds, y.next_unread_age_seconds, r),
        "drain" => numbers(x.drain_seconds, y.drain_seconds, r),
        "rate" => numbers(x.commit_rate, y.commit_rate, r),
        "trend" => numbers(growth(&x.trend), growth(&y.trend), r),
        "members" => numbers(x.members.map(f64::from), y.members.map(f64::from), r),
        "protocol" => turned((x.protocol as u8).cmp(&(y.protocol as u8)), r),
        "burrow" => names(x.burrow.name(), y.burrow.name(), r),
        _ => Ordering::Equal,
    };
    order.then_with(|| worst_group(a, b))
}

fn places(a: &LagRow, b: &LagRow) -> Ordering {
    natural(&a.stream, &b.stream).then(a.partition.cmp(&b.partition))
}

/// Partitions of a group as a lens orders them.
pub fn rows(lens: &Lens, a: &LagRow, b: &LagRow) -> Ordering {
    let r = lens.reversed;
    let owner = |row: &LagRow| row.owner.as_ref().map(|o| o.0.to_string()).unwrap_or_default();
    let order = match lens.sort {
        "state" => turned(b.state.cmp(&a.state), r),
        "partition" => turned(places(a, b), r),
        "committed" => counts(a.committed.get(), b.committed.get(), r),
        "end" => counts(a.end.get(), b.end.get(), r),
        "lag" => numbers(count(a.lag_messages()), count(b.lag_messages()), r),
        "readable" => counts(a.readable.get(), b.readable.get(), r),
        "age" => numbers(a.next_unread_age_seconds.get(), b.next_unread_age_seconds.get(), r),
        "drain" => numbers(a.drain_seconds.get(), b.drain_seconds.get(), r),
        "rate" => numbers(a.commit_rate.get(), b.commit_rate.get(), r),
        "burrow" => names(a.burrow.name(), b.burrow.name(), r),
        "owner" => names(&owner(a), &owner(b), r),
        _ => Ordering::Equal,
    };
    order
        .then_with(|| b.state.cmp(&a.state))
        .then_with(|| numbers(count(a.lag_messages()), count(b.lag_messages()), false))
        .then_with(|| places(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::LagState;

    fn group(name: &str, state: LagState, lag: Option<i64>) -> GroupView {
        GroupView { group: name.into(), state, lag_messages: lag, ..GroupView::default() }
    }

    fn sorted(lens: &Lens, groups: &[GroupView]) -> Vec<String> {
        let cluster = LagCluster::default();
        let mut entries: Vec<Entry> = groups.iter().map(|g| (&cluster, g)).collect();
        entries.sort_by(|a, b| super::groups(lens, *a, *b));
        entries.iter().map(|e| e.1.group.to_string()).collect()
    }

    #[test]
    fn worst_first_and_the_unknown_last_in_both_directions() {
        let groups = [
            group("b", LagState::Ok, Some(5)),
            group("c", LagState::Stalled, None),
            group("a", LagState::Stalled, Some(7)),
            group("d", LagState::Unknown, Some(1)),
        ];
        assert_eq!(sorted(&Lens::default(), &groups), ["a", "c", "d", "b"]);
        let by = |sort, reversed| Lens { sort, reversed, ..Lens::default() };
        assert_eq!(sorted(&by("lag", false), &groups), ["a", "b", "d", "c"]);
        assert_eq!(sorted(&by("lag", true), &groups), ["d", "b", "a", "c"]);
        assert_eq!(sorted(&by("group", true), &groups), ["d", "c", "b", "a"]);
        assert_eq!(sorted(&by("state", true), &groups), ["b", "d", "a", "c"]);
    }

    #[test]
    fn every_column_is_an_order() {
        let groups = [group("b", LagState::Ok, Some(5)), group("a", LagState::Ok, Some(5))];
        for column in GROUP_COLUMNS {
            for reversed in [false, true] {
                let lens = Lens { sort: column, reversed, ..Lens::default() };
                assert_eq!(sorted(&lens, &groups).len(), 2, "{column}");
            }
        }
    }
}
