//! The pages of consumers: all groups, worst first, and one group by partition.
//!
//! A board changes with each survey, a page is rendered at each tick: what depends on the board alone
//! is made once per board ([`Kept`]), and says moments, not ages, so that a frame between surveys is small.

use crate::snapshot::{GroupView, LagBoard, LagCluster};

use super::Part;
use super::kit::Kit;
use super::lens::Lens;

mod clusters;
mod filter;
mod group;
mod groups;
mod notice;
mod order;
mod rows;
mod tile;
mod told;
mod words;

pub use filter::{filter, help};
pub use notice::{attention, tiles};
pub use order::{GROUP_COLUMNS, ROW_COLUMNS};
pub use tile::{Tile, numbers};
pub use words::{Cell, sparkline, trend_words};

/// Parts of the frame before, where they still hold.
#[derive(Clone, Copy, Default)]
pub struct Kept<'a>(pub Option<&'a [Part]>);

impl Kept<'_> {
    /// The part of the frame before, or a new one.
    pub fn part(self, id: &str, make: impl FnOnce() -> Part) -> Part {
        self.0.and_then(|parts| parts.iter().find(|p| p.id == id).cloned()).unwrap_or_else(make)
    }
}

/// The parts of `/consumers`.
pub fn all(kit: &Kit, lens: &Lens, kept: Kept) -> Vec<Part> {
    vec![
        clusters::surveys(kit),
        kept.part("troubles", || clusters::troubles(kit)),
        kept.part("group-states", || groups::states(kit, lens)),
        kept.part("groups", || groups::table(kit, lens)),
        kept.part("only-told", || told::only_told(kit, lens)),
    ]
}

/// The parts of `/consumers/{cluster}/{group}`.
pub fn one(kit: &Kit, cluster: &str, name: &str, lens: &Lens, kept: Kept) -> Vec<Part> {
    let found = find(&kit.cx.snapshot.lag, cluster, name);
    vec![
        group::head(kit, cluster, name, found),
        kept.part("group-rows", || rows::table(kit, cluster, name, lens, found)),
    ]
}

/// A group by its names.
pub fn find<'a>(board: &'a LagBoard, cluster: &str, group: &str) -> Option<(&'a LagCluster, &'a GroupView)> {
    let cluster = board.clusters.iter().find(|c| c.cluster == cluster)?;
    let at = cluster.groups.iter().find(|g| &*g.group == group)?;
    Some((cluster, at))
}
