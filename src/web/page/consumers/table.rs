//! What the tables of groups and of partitions share: heads that sort, links that page.

use crate::text::i18n::fill;
use crate::text::number;
use crate::web::page::View;
use crate::web::page::kit::Kit;
use crate::web::page::lens::Lens;

/// The head of a column.
pub struct Head {
    /// What stands on it.
    pub label: &'static str,
    /// What it means.
    pub title: String,
    /// Sorts by it.
    pub href: String,
    /// `ascending`, `descending` or empty, as `aria-sort` has it.
    pub order: &'static str,
    /// Class of the cell: numbers stand right.
    pub class: &'static str,
}

/// A column: its name in the URL, its label, what it means, its class.
pub type Column = (&'static str, &'static str, &'static str, &'static str);

/// Names in the URL whose natural order is that of the alphabet.
const BY_NAME: [&str; 6] = ["group", "cluster", "partition", "protocol", "burrow", "owner"];

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

/// Links to the pages beside, and what is shown.
pub struct Pager {
    /// `101-200 of 512`.
    pub shown: String,
    /// The page before; empty: none.
    pub before: String,
    /// The page behind; empty: none.
    pub behind: String,
}

/// The pager of `total` rows that match, of `all`.
pub fn pager(kit: &Kit, lens: &Lens, total: usize, all: usize, view: impl Fn(Lens) -> View) -> Pager {
    let window = lens.window(total);
    let to = |page: usize| kit.url(&view(Lens { page, ..lens.clone() }));
    let n = |n: usize| number::count(n as u64);
    let (from, until) = (n((window.start + 1).min(total)), n(window.end));
    let pattern = if total == all { kit.l.shown } else { kit.l.shown_filtered };
    let page = window.start / super::super::lens::PAGE_ROWS;
    Pager {
        shown: fill(pattern, &[("from", &from), ("to", &until), ("n", &n(total)), ("all", &n(all))]),
        before: if page > 0 { to(page - 1) } else { String::new() },
        behind: if window.end < total { to(page + 1) } else { String::new() },
    }
}
