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

/// The group whose positions say what is handled: the configured one, else ours, else the only one. `Some` and an
/// error: there is one and its positions are not known.
pub(super) fn chosen(
    stream: &str,
    configured: &str,
    survey: &Survey,
    positions: Option<&Vec<(&GroupFacts, u32, u64)>>,
) -> (Option<String>, Result<HashMap<u32, u64>, ()>) {
    let of = |name: &str| -> HashMap<u32, u64> {
        positions.into_iter().flatten().filter(|(g, ..)| *g.name == *name).map(|(_, p, next)| (*p, *next)).collect()
    };
    let name = if configured.is_empty() { own_group(stream) } else { configured.replace("{stream}", stream) };
    if let Some(group) = survey.groups.iter().find(|g| *g.name == *name) {
        let known = if group.committed.is_some() { Ok(of(&name)) } else { Err(()) };
        if !configured.is_empty() || !matches!(&known, Ok(positions) if positions.is_empty()) {
            return (Some(name), known);
        }
    }
    if !configured.is_empty() {
        return (None, Ok(HashMap::new()));
    }
    let mut groups: Vec<&str> = positions.into_iter().flatten().map(|(g, ..)| &*g.name).collect();
    groups.sort_unstable();
    groups.dedup();
    match groups.as_slice() {
        [only] => (Some((*only).to_owned()), Ok(of(only))),
        _ => (None, Ok(HashMap::new())),
    }
}
