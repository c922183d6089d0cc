//! Tables that an address sorts, filters and pages: everything happens here, so it works without JavaScript, can be
//! sent to a colleague, and is the same on the live stream.
//!
//! A part hands its rows and columns to [`Sheet::new`]; its template draws them with the macros `filters`, `heads`
//! and `pager` of `templates/macros.html`, which say how. The address: `?sort=-lag&find=pay&state=STALLED&page=2`.

use std::cmp::Ordering;
use std::fmt::Write as _;

use crate::text::i18n::{Texts, fill};
use crate::text::number;

use super::kit::{Kit, Level, State};
use super::{View, percent_decode, percent_encode};

/// Rows of one page of a table: more cannot be read, and would cost every tick.
const PER_PAGE: usize = 500;
/// Longest text that one looks for.
const MAX_TEXT: usize = 64;

/// What an address asks of the table of its view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Key of a column; empty: as the part orders it, worst first.
    sort: String,
    /// From large to small.
    down: bool,
    /// Text that a row must contain.
    find: String,
    /// Key of the state that a row must have; empty: any.
    state: String,
    /// Page, from 0.
    page: usize,
}

impl Ask {
    /// From a query without `?`. What makes no sense is left out.
    pub fn of(query: &str) -> Self {
        let value = |name: &str| {
            let raw = query.split('&').find_map(|p| p.split_once('=').filter(|(n, _)| *n == name)).map_or("", |p| p.1);
            let text = percent_decode(&raw.replace('+', " ")).unwrap_or_default();
            text.trim().chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect::<String>()
        };
        let sort = value("sort");
        let down = sort.starts_with('-');
        let page = value("page").parse::<usize>().unwrap_or(1).clamp(1, 1_000) - 1;
        Self { sort: sort.trim_start_matches('-').to_owned(), down, find: value("find"), state: value("state"), page }
    }

    /// The same in one spelling, to be put behind a query: `&sort=..&find=..`; empty where nothing is asked.
    pub fn query(&self) -> String {
        let sort = if self.down { format!("-{}", self.sort) } else { self.sort.clone() };
        let page = if self.page > 0 { (self.page + 1).to_string() } else { String::new() };
        let mut out = String::new();
        for (name, value) in [("sort", &sort), ("find", &self.find), ("state", &self.state), ("page", &page)] {
            if !value.is_empty() && value != "-" {
                // Writing to a String cannot fail.
                let _ = write!(out, "&{name}={}", percent_encode(value));
            }
        }
        out
    }

    fn found(&self, text: &str) -> bool {
        self.find.is_empty() || text.to_lowercase().contains(&self.find.to_lowercase())
    }
}

/// One column of rows `R`.
pub struct Column<R> {
    /// Name in the address: lower-case letters.
    pub key: &'static str,
    /// Word in the head.
    pub label: &'static str,
    /// Set to the right, and sorted from large to small first.
    pub number: bool,
    /// Left out on a phone.
    pub low: bool,
    /// Order of two rows; unknown comes first.
    pub order: fn(&R, &R) -> Ordering,
}

/// Head of a column.
pub struct Head {
    /// Word.
    pub label: &'static str,
    /// Where a click leads; empty: not sortable here.
    pub href: String,
    /// `ascending`, `descending` or empty, as `aria-sort` has it.
    pub sort: &'static str,
    /// Classes of the cell.
    pub class: &'static str,
}

/// A state that rows have, as a filter.
pub struct Chip {
    /// Where a click leads: only these rows, or all again.
    pub href: String,
    /// Colour, shape and word.
    pub state: State,
    /// How many rows.
    pub count: String,
    /// True while it filters.
    pub here: bool,
}

/// A table as the address asks for it.
pub struct Sheet<R> {
    /// Heads in order.
    pub heads: Vec<Head>,
    /// Rows of this page.
    pub rows: Vec<R>,
    /// Filters by state, worst first; empty where all rows are alike.
    pub chips: Vec<Chip>,
    /// Where the form leads.
    pub action: String,
    /// What the form keeps.
    pub kept: Vec<(String, String)>,
    /// The text that is looked for.
    pub find: String,
    /// True where there is nothing to filter: no form.
    pub bare: bool,
    /// `26 of 500`; empty where all are shown.
    pub shown: String,
    /// Link without any filter; empty where none is set.
    pub clear: String,
    /// Links to the pages before and after; empty: none.
    pub pages: [String; 2],
}

impl<R> Sheet<R> {
    /// Sorts, filters and cuts `rows`, which come in the order that holds where the address names none. `text` is what
    /// is searched in a row, `state` the key of its state for the address, and how that is shown.
    pub fn new(
        kit: &Kit,
        view: &View,
        columns: &[Column<R>],
        mut rows: Vec<R>,
        text: impl Fn(&R) -> String,
        state: impl Fn(&R) -> (&str, &State),
    ) -> Self {
        let ask = Ask::of(kit.cx.query);
        let to = |ask: &Ask| {
            let url = kit.url(view);
            let more = ask.query();
            if url.contains('?') { url + &more } else { url + &more.replacen('&', "?", 1) }
        };
        let all = rows.len();
        rows.retain(|r| ask.found(&text(r)));
        let chips = chips(&rows, &ask, &to, &state);
        rows.retain(|r| ask.state.is_empty() || state(r).0 == ask.state);
        if let Some(column) = columns.iter().find(|c| c.key == ask.sort) {
            rows.sort_by(|a, b| if ask.down { (column.order)(b, a) } else { (column.order)(a, b) });
        }
        let found = rows.len();
        let page = ask.page.min(found.saturating_sub(1) / PER_PAGE);
        let at = |page: usize| to(&Ask { page, ..ask.clone() });
        let pages = [
            if page > 0 { at(page - 1) } else { String::new() },
            if (page + 1) * PER_PAGE < found { at(page + 1) } else { String::new() },
        ];
        let rows: Vec<R> = rows.into_iter().skip(page * PER_PAGE).take(PER_PAGE).collect();
        let filtered = !ask.find.is_empty() || !ask.state.is_empty();
        let shown = of_all(kit.t, rows.len(), all);
        let hidden = Ask { find: String::new(), page: 0, ..ask.clone() }.query();
        let (action, query) = kit
            .url(view)
            .split_once('?')
            .map_or_else(|| (kit.url(view), String::new()), |(path, query)| (path.to_owned(), query.to_owned()));
        let pair = |p: &str| p.split_once('=').map(|(n, v)| (n.to_owned(), percent_decode(v).unwrap_or_default()));
        Self {
            heads: columns.iter().map(|c| head(c, &ask, &to)).collect(),
            rows,
            chips,
            action,
            kept: format!("{query}{hidden}").split('&').filter_map(pair).collect(),
            clear: if filtered {
                to(&Ask { find: String::new(), state: String::new(), page: 0, ..ask.clone() })
            } else {
                String::new()
            },
            find: ask.find,
            bare: all < 2,
            shown,
            pages,
        }
    }

    /// As it comes, for pages whose address speaks of something else.
    pub fn plain(columns: &[Column<R>], mut rows: Vec<R>, most: usize, t: &Texts) -> Self {
        let all = rows.len();
        rows.truncate(most);
        let shown = of_all(t, rows.len(), all);
        let head = |c: &Column<R>| Head { label: c.label, href: String::new(), sort: "", class: class(c) };
        Self {
            heads: columns.iter().map(head).collect(),
            rows,
            chips: Vec::new(),
            action: String::new(),
            kept: Vec::new(),
            find: String::new(),
            bare: true,
            shown,
            clear: String::new(),
            pages: Default::default(),
        }
    }
}

/// `26 of 500`; empty where it is all.
fn of_all(t: &Texts, shown: usize, all: usize) -> String {
    let count = |n: usize| number::count(n as u64);
    if shown == all { String::new() } else { fill(t.n_of_all, &[("n", &count(shown)), ("m", &count(all))]) }
}

const fn class<R>(column: &Column<R>) -> &'static str {
    match (column.number, column.low) {
        (true, true) => "r lo",
        (true, false) => "r",
        (false, true) => "lo",
        (false, false) => "",
    }
}

/// A click sorts the way one wants first, another the other way round, a third as it was.
fn head<R>(column: &Column<R>, ask: &Ask, to: &impl Fn(&Ask) -> String) -> Head {
    let here = ask.sort == column.key;
    let (sort, down) = match (here, ask.down == column.number) {
        (false, _) => (column.key, column.number),
        (true, true) => (column.key, !column.number),
        (true, false) => ("", false),
    };
    let href = to(&Ask { sort: sort.to_owned(), down, page: 0, ..ask.clone() });
    let sort = match (here, ask.down) {
        (false, _) => "",
        (true, true) => "descending",
        (true, false) => "ascending",
    };
    Head { label: column.label, href, sort, class: class(column) }
}

fn chips<R>(rows: &[R], ask: &Ask, to: &impl Fn(&Ask) -> String, state: &impl Fn(&R) -> (&str, &State)) -> Vec<Chip> {
    let mut counts: Vec<(&str, State, u64)> = Vec::new();
    for row in rows {
        let (key, state) = state(row);
        match counts.iter_mut().find(|(k, ..)| *k == key) {
            Some((_, s, n)) => {
                s.level = s.level.max(state.level);
                *n += 1;
            }
            None => counts.push((key, state.clone(), 1)),
        }
    }
    if !ask.state.is_empty() && !counts.iter().any(|(key, ..)| *key == ask.state) {
        counts.push((&ask.state, State { level: Level::Unknown, word: ask.state.clone() }, 0));
    }
    if counts.len() < 2 && ask.state.is_empty() {
        return Vec::new();
    }
    counts.sort_by(|a, b| b.1.level.cmp(&a.1.level).then_with(|| a.0.cmp(b.0)));
    let chip = |(key, state, n): (&str, State, u64)| {
        let here = key == ask.state;
        let wanted = if here { String::new() } else { key.to_owned() };
        Chip { href: to(&Ask { state: wanted, page: 0, ..ask.clone() }), state, count: number::count(n), here }
    };
    counts.into_iter().map(chip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        let ask = Ask::of("lang=ko&find=a%26b+c&sort=-lag&page=3&state=%EC%A0%95%EC%83%81&x=1");
        assert_eq!((ask.sort.as_str(), ask.down, ask.find.as_str(), ask.page), ("lag", true, "a&b c", 2));
        assert_eq!(ask.query(), "&sort=-lag&find=a%26b%20c&state=%EC%A0%95%EC%83%81&page=3");
        assert_eq!(Ask::of(&ask.query()), ask);
        for nothing in ["", "sort=-", "page=0", "page=x", "find=%ff", "state=%20"] {
            assert_eq!(Ask::of(nothing).query(), "", "{nothing}");
        }
        assert_eq!(Ask::of(&format!("find={}", "x".repeat(1_000))).find.len(), MAX_TEXT);
    }

    #[test]
    fn a_head_is_clicked_round() {
        let column = Column::<u8> { key: "lag", label: "lag", number: true, low: false, order: Ord::cmp };
        let click = |query: &str| head(&column, &Ask::of(query), &Ask::query);
        let first = click("find=x");
        assert_eq!((first.sort, first.href.as_str()), ("", "&sort=-lag&find=x"));
        let second = click(&first.href);
        assert_eq!((second.sort, second.href.as_str()), ("descending", "&sort=lag&find=x"));
        let third = click(&second.href);
        assert_eq!((third.sort, third.href.as_str()), ("ascending", "&find=x"));
    }

    #[test]
    fn chips_count_what_is_found_and_can_be_taken_back() {
        let states = [(Level::Ok, "OK"), (Level::Bad, "STALLED"), (Level::Ok, "OK")];
        let rows = states.map(|(level, word)| State { level, word: word.to_owned() });
        let of = |query: &str| chips(&rows, &Ask::of(query), &Ask::query, &(keyed as fn(&State) -> (&str, &State)));
        let free = of("");
        let seen: Vec<_> = free.iter().map(|c| (c.state.word.as_str(), c.count.as_str(), c.href.as_str())).collect();
        assert_eq!(seen, [("STALLED", "1", "&state=STALLED"), ("OK", "2", "&state=OK")]);
        let set = of("state=OK");
        assert!(set[1].here && set[1].href.is_empty());
        let gone = of("state=GONE");
        let words: Vec<_> = gone.iter().map(|c| (c.state.word.as_str(), c.count.as_str())).collect();
        assert_eq!(words, [("STALLED", "1"), ("GONE", "0"), ("OK", "2")], "what is asked for stays to be taken back");
    }

    fn keyed(state: &State) -> (&str, &State) {
        (&state.word, state)
    }
}
