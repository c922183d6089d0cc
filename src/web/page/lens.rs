//! The lens of a table: what of the URL decides which rows are shown, in which order.
//!
//! It is part of the view, so equal lenses share one live frame whatever the spelling of their URL,
//! and `limits.live_views` bounds how many are rendered. Without a script it is a form and links.

use std::fmt::Write as _;

use super::{percent_decode, percent_encode};

/// Longer texts are cut: nobody types them, and they would be keys of frames.
const TEXT_CHARS: usize = 64;

/// Rows of one page of a table: what one frame holds at most.
pub const PAGE_ROWS: usize = 100;

/// Filters, order and page. The default is all rows, worst first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lens {
    /// `find`: what the name contains, whatever the case.
    pub text: String,
    /// `state`: the name of one; empty: any.
    pub state: &'static str,
    /// `cluster`; empty: all.
    pub cluster: String,
    /// `stream`; empty: all.
    pub stream: String,
    /// `sort`: a column; the empty one is worst first.
    pub sort: &'static str,
    /// `sort=-column`: the other way round.
    pub reversed: bool,
    /// `page`, from 1 in the URL, from 0 here.
    pub page: usize,
}

impl Lens {
    /// From a query without `?`; what is not understood is left out. `columns` are the names that `sort` takes,
    /// `states` those that `state` takes.
    #[must_use]
    pub fn parse(query: &str, columns: &[&'static str], states: &[&'static str]) -> Self {
        let known = |names: &[&'static str], name: &str| {
            names.iter().find(|n| n.eq_ignore_ascii_case(name)).copied().unwrap_or_default()
        };
        let mut lens = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "find" => lens.text = plain(value),
                "state" => lens.state = known(states, value),
                "cluster" => lens.cluster = plain(value),
                "stream" => lens.stream = plain(value),
                "sort" => {
                    lens.sort = known(columns, value.trim_start_matches('-'));
                    lens.reversed = value.starts_with('-') && !lens.sort.is_empty();
                }
                "page" => lens.page = value.parse::<usize>().unwrap_or(1).clamp(1, 100_000) - 1,
                _ => {}
            }
        }
        lens
    }

    /// The query that says the same, in fixed order; empty for the default.
    #[must_use]
    pub fn query(&self) -> String {
        let mut out = String::new();
        let mut put = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = write!(out, "{}{name}={value}", if out.is_empty() { "" } else { "&" });
        };
        for (name, value) in [("find", &self.text), ("cluster", &self.cluster), ("stream", &self.stream)] {
            if !value.is_empty() {
                put(name, &percent_encode(value));
            }
        }
        if !self.state.is_empty() {
            put("state", self.state);
        }
        if !self.sort.is_empty() {
            put("sort", &format!("{}{}", if self.reversed { "-" } else { "" }, self.sort));
        }
        if self.page > 0 {
            put("page", &(self.page + 1).to_string());
        }
        out
    }

    /// True where rows are left out by a filter.
    #[must_use]
    pub fn filters(&self) -> bool {
        !self.text.is_empty() || !self.state.is_empty() || !self.cluster.is_empty() || !self.stream.is_empty()
    }

    /// The same with something changed, at its first page.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut lens = Self { page: 0, ..self.clone() };
        change(&mut lens);
        lens
    }

    /// What a click on the head of a column leads to.
    #[must_use]
    pub fn sorted_by(&self, column: &'static str) -> Self {
        let reversed = self.sort == column && !self.reversed;
        self.with(|lens| (lens.sort, lens.reversed) = (column, reversed))
    }

    /// True where a state is asked for, or any.
    #[must_use]
    pub fn has_state(&self, name: &str) -> bool {
        self.state.is_empty() || self.state == name
    }

    /// True where a name passes the text.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        self.text.is_empty() || name.to_lowercase().contains(&self.text.to_lowercase())
    }

    /// The rows of the page out of `total`; the last page where there are fewer pages.
    #[must_use]
    pub fn window(&self, total: usize) -> std::ops::Range<usize> {
        let last = total.saturating_sub(1) / PAGE_ROWS;
        let from = self.page.min(last) * PAGE_ROWS;
        from..(from + PAGE_ROWS).min(total)
    }
}

/// A value as a form sends it, without control characters, cut.
fn plain(value: &str) -> String {
    let text = percent_decode(&value.replace('+', " ")).unwrap_or_default();
    text.trim().chars().filter(|c| !c.is_control()).take(TEXT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[&str] = &["lag", "group"];
    const STATES: &[&str] = &["OK", "STALLED"];

    #[test]
    fn a_lens_is_read_back_whatever_the_spelling() {
        let lens =
            Lens::parse("utm=x&page=3&sort=-lag&find=a%2Bb+%ea%b0%80&state=stalled&stream=o%26x", COLUMNS, STATES);
        assert_eq!((lens.text.as_str(), lens.state, lens.page), ("a+b \u{ac00}", "STALLED", 2));
        assert_eq!(Lens::parse(&lens.query(), COLUMNS, STATES), lens);
        assert_eq!(Lens::parse("sort=evil&page=x&state=evil&find=", COLUMNS, STATES), Lens::default());
        assert_eq!(Lens::default().query(), "");
        assert_eq!(Lens::parse(&format!("find={}", "x".repeat(900)), COLUMNS, STATES).text.len(), TEXT_CHARS);
    }

    #[test]
    fn a_second_click_turns_the_order_and_every_change_begins_at_the_first_page() {
        let lens = Lens { page: 4, ..Lens::default() };
        let once = lens.sorted_by("lag");
        assert_eq!((once.sort, once.reversed, once.page), ("lag", false, 0));
        assert!(once.sorted_by("lag").reversed && !once.sorted_by("group").reversed);
    }

    #[test]
    fn a_page_beyond_the_end_is_the_last_one() {
        let at = |page, total| Lens { page, ..Lens::default() }.window(total);
        assert_eq!((at(0, 0), at(0, 30), at(1, 250)), (0..0, 0..30, 100..200));
        assert_eq!((at(9, 250), at(2, 200)), (200..250, 100..200));
    }
}
