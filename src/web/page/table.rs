//! Tables that an address sorts, filters and pages (its [`Lens`]): everything happens here, so it works without
//! JavaScript, can be sent to a colleague, and is the same on the live stream.

use std::cmp::Ordering;

use crate::text::i18n::fill;
use crate::text::{natural, number};

use super::View;
use super::kit::{Kit, State};
use super::lens::{Lens, PAGE_ROWS};

/// The head of a column.
pub struct Head {
    /// What stands on it.
    pub label: &'static str,
    /// What it means.
    pub title: String,
    /// Sorts by it; empty: not sortable here.
    pub href: String,
    /// `ascending`, `descending` or empty, as `aria-sort` has it.
    pub order: &'static str,
    /// Class of the cell: numbers stand right, and a phone leaves out what is `lo`.
    pub class: &'static str,
}

/// A column: its name in the URL, its label, what it means, its class.
pub type Column = (&'static str, &'static str, &'static str, &'static str);

/// Names in the URL whose natural order is that of the alphabet; of all others the largest or worst comes first.
const BY_NAME: [&str; 9] = ["group", "cluster", "partition", "protocol", "burrow", "owner", "stream", "error", "found"];

/// The heads of a table. `view` makes the view of a lens.
pub fn heads(kit: &Kit, lens: &Lens, columns: &[Column], view: impl Fn(Lens) -> View) -> Vec<Head> {
    let head = |(name, label, why, class): &Column| {
        let order = match lens.sort == *name {
            false => "",
            true if BY_NAME.contains(name) != lens.reversed => "ascending",
            true => "descending",
        };
        let sort = fill(kit.l.sort_this, &[("column", label)]);
        Head {
            label,
            title: if why.is_empty() { sort } else { (*why).to_owned() },
            href: kit.url(&view(lens.sorted_by(name))),
            order,
            class,
        }
    };
    columns.iter().map(head).collect()
}

/// Heads that do not sort, for pages whose address speaks of something else.
pub fn plain_heads(columns: &[Column]) -> Vec<Head> {
    let head = |(_, label, why, class): &Column| {
        let (title, href) = ((*why).to_owned(), String::new());
        Head { label, title, href, order: "", class }
    };
    columns.iter().map(head).collect()
}

/// Links to the pages beside, and what is shown.
#[derive(Default)]
pub struct Pager {
    /// `101-200 of 512`.
    pub shown: String,
    /// The page before; empty: none.
    pub before: String,
    /// The page behind; empty: none.
    pub behind: String,
}

impl Pager {
    /// True where there is a page beside: then the table has links at its end, too.
    #[must_use]
    pub const fn more(&self) -> bool {
        !self.before.is_empty() || !self.behind.is_empty()
    }
}

/// The pager of `total` rows that match, of `all`.
pub fn pager(kit: &Kit, lens: &Lens, total: usize, all: usize, view: impl Fn(Lens) -> View) -> Pager {
    let window = lens.window(total);
    let to = |page: usize| kit.url(&view(Lens { page, ..lens.clone() }));
    let n = |n: usize| number::count(n as u64);
    let (from, until) = (n((window.start + 1).min(total)), n(window.end));
    let pattern = if total == all { kit.l.shown } else { kit.l.shown_filtered };
    let page = window.start / PAGE_ROWS;
    Pager {
        shown: fill(pattern, &[("from", &from), ("to", &until), ("n", &n(total)), ("all", &n(all))]),
        before: if page > 0 { to(page - 1) } else { String::new() },
        behind: if window.end < total { to(page + 1) } else { String::new() },
    }
}

/// A state that rows have, as a filter.
pub struct Chip {
    /// Where a click leads: only these rows, or all again.
    pub href: String,
    /// Colour, shape and word.
    pub state: State,
    /// What it means.
    pub title: &'static str,
    /// How many rows.
    pub n: String,
    /// True while it filters.
    pub here: bool,
}

/// The filters by state: of all states, worst first, those that rows have, and the one that is asked for.
pub fn chips(
    kit: &Kit,
    lens: &Lens,
    states: impl IntoIterator<Item = (&'static str, State, &'static str, u64)>,
    view: impl Fn(Lens) -> View,
) -> Vec<Chip> {
    let chip = |(name, state, title, n): (&'static str, State, &'static str, u64)| {
        let here = lens.state == name;
        let href = kit.url(&view(lens.with(|l| l.state = if here { "" } else { name })));
        Chip { href, state, title, n: number::count(n), here }
    };
    states.into_iter().filter(|(name, .., n)| *n > 0 || lens.state == *name).map(chip).collect()
}

/// Larger first (smaller where reversed); what is not known comes last either way.
pub fn numbers(a: Option<f64>, b: Option<f64>, reversed: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if reversed => a.total_cmp(&b),
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

/// The same of counts.
pub fn counts(a: Option<u64>, b: Option<u64>, reversed: bool) -> Ordering {
    numbers(a.map(|n| n as f64), b.map(|n| n as f64), reversed)
}

/// By the alphabet (against it where reversed); the empty one comes last either way.
pub fn names(a: &str, b: &str, reversed: bool) -> Ordering {
    a.is_empty().cmp(&b.is_empty()).then(turned(natural(a, b), reversed))
}

/// The other way round where reversed.
pub fn turned(order: Ordering, reversed: bool) -> Ordering {
    if reversed { order.reverse() } else { order }
}

/// How much something grew within its trend.
pub fn growth(trend: &[Option<f32>]) -> Option<f64> {
    let mut known = trend.iter().flatten();
    let first = known.next()?;
    known.next_back().map(|last| f64::from(last - first))
}
