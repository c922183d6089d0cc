//! The group whose positions say what is handled.

use std::collections::HashMap;

use crate::model::{GroupFacts, Survey};

/// The group in which our redrive keeps its place.
#[must_use]
pub fn own_group(stream: &str) -> String {
    format!("streamgauge.redrive.{stream}")
}

/// Committed positions by topic: (group, partition, next).
pub(super) type Positions<'a> = HashMap<usize, Vec<(&'a GroupFacts, u32, u64)>>;

pub(super) fn positions<'a>(survey: &'a Survey, present: &HashMap<&str, usize>) -> Positions<'a> {
    let mut wanted = vec![false; survey.topics.len()];
    present.values().for_each(|at| wanted[*at] = true);
    let mut found: Positions<'a> = HashMap::new();
    for group in &survey.groups {
        for c in group.committed.iter().flatten() {
            if wanted.get(c.topic as usize) == Some(&true) {
                found.entry(c.topic as usize).or_default().push((group, c.partition, c.next));
            }
        }
    }
    found
}

/// Groups named that only read a stream; a console that somebody left open is one, a thousand are a habit.
const READERS: usize = 20;

/// Who stands where on a stream of dead letters.
pub(super) struct Counting {
    /// The group whose positions say what is handled: the configured one, else ours.
    pub name: String,
    /// False: there is no such group, so nothing but our markers says that a letter is handled.
    pub present: bool,
    /// Its positions by partition; an error: there is such a group and its positions are not known.
    pub positions: Result<HashMap<u32, u64>, ()>,
    /// Other groups with positions on the stream. They may be anybody who has looked at it, so they count for nothing.
    pub readers: Vec<String>,
}

/// The group that counts, and those that do not.
pub(super) fn counting(
    stream: &str,
    configured: &str,
    survey: &Survey,
    positions: Option<&Vec<(&GroupFacts, u32, u64)>>,
) -> Counting {
    let name = if configured.is_empty() { own_group(stream) } else { configured.replace("{stream}", stream) };
    let all = || positions.into_iter().flatten();
    let of: HashMap<u32, u64> =
        all().filter(|(g, ..)| *g.name == *name).map(|(_, partition, next)| (*partition, *next)).collect();
    let group = survey.groups.iter().find(|g| *g.name == *name);
    let unknown = group.is_some_and(|g| g.committed.is_none());
    // Ours without a position has not begun; a configured one is expected to.
    let present = group.is_some() && (!configured.is_empty() || unknown || !of.is_empty());
    let others = all().map(|(g, ..)| &*g.name).filter(|other| *other != name && *other != own_group(stream));
    let mut readers: Vec<String> = others.map(str::to_owned).collect();
    readers.sort_unstable();
    readers.dedup();
    readers.truncate(READERS);
    Counting { name, present, positions: if unknown { Err(()) } else { Ok(of) }, readers }
}
