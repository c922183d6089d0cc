//! Every visible word of the pages in both languages: one table, so that neither can lack a key.
//!
//! `{name}` is a place that [`fill`] fills; a test holds both languages to the same places.

use super::Locale;

mod cause;
#[macro_use]
mod table;
mod dlq;
mod lag;
mod transaction;

pub use cause::cause;
pub use dlq::Texts as DlqTexts;
pub use lag::{Texts as LagTexts, reason as lag_reason};
pub use table::Texts;
use table::{EN, KO};
pub use transaction::Texts as TransactionTexts;

/// All words with their keys.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    table::TABLE.iter().chain(lag::TABLE).chain(dlq::TABLE).chain(lag::REASONS).chain(transaction::TABLE)
}

/// The words of groups and their lag.
#[must_use]
pub const fn lag_texts(locale: Locale) -> &'static LagTexts {
    match locale {
        Locale::En => &lag::EN,
        Locale::Ko => &lag::KO,
    }
}

/// The words of dead letters.
#[must_use]
pub const fn dlq_texts(locale: Locale) -> &'static DlqTexts {
    match locale {
        Locale::En => &dlq::EN,
        Locale::Ko => &dlq::KO,
    }
}

/// The words of one transaction.
#[must_use]
pub const fn transaction_texts(locale: Locale) -> &'static TransactionTexts {
    match locale {
        Locale::En => &transaction::EN,
        Locale::Ko => &transaction::KO,
    }
}

/// The words of a language.
#[must_use]
pub const fn texts(locale: Locale) -> &'static Texts {
    match locale {
        Locale::En => &EN,
        Locale::Ko => &KO,
    }
}

/// Puts values into the places of a sentence, in one pass: a value is never read as a place.
#[must_use]
pub fn fill(sentence: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(sentence.len() + 16);
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else { break };
        match values.iter().find(|(n, _)| *n == name) {
            Some((_, value)) => out.push_str(value),
            None => out.extend(["{", name, "}"]),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

impl Texts {
    /// Outcomes by their number.
    #[must_use]
    pub fn outcome(&self, index: usize) -> &'static str {
        [self.o_ok, self.o_failed, self.o_compensated, self.o_dead_lettered, self.o_timed_out]
            .get(index)
            .copied()
            .unwrap_or(self.unknown)
    }

    /// A rolling window by its name.
    #[must_use]
    pub fn window(&self, name: &str) -> &'static str {
        match name {
            "10s" => self.w_10s,
            "1m" => self.w_1m,
            "5m" => self.w_5m,
            "15m" => self.w_15m,
            "1h" => self.w_1h,
            _ => self.unknown,
        }
    }

    /// The clock of a latency by its name.
    #[must_use]
    pub fn clock(&self, name: &str) -> &'static str {
        match name {
            "event" => self.clock_event,
            "record" => self.clock_record,
            "mixed" => self.clock_mixed,
            _ => "",
        }
    }

    /// A theme by its name.
    #[must_use]
    pub fn theme(&self, name: &str) -> &'static str {
        match name {
            "light" => self.theme_light,
            "dark" => self.theme_dark,
            "contrast" => self.theme_contrast,
            _ => self.theme_auto,
        }
    }

    /// A level by its name, for those who see no colour and no shape.
    #[must_use]
    pub fn level(&self, name: &str) -> &'static str {
        match name {
            "ok" => self.ok,
            "warn" => self.level_warn,
            "bad" => self.level_bad,
            _ => self.unknown,
        }
    }

    /// What a stream carries by its role's name.
    #[must_use]
    pub fn role(&self, name: &str) -> &'static str {
        match name {
            "events" => self.role_events,
            "dlq" => self.role_dlq,
            "lag" => self.role_lag,
            _ => self.unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn both_languages_say_everything_with_the_same_places() {
        let places = |s: &str| {
            s.split('{').skip(1).filter_map(|p| p.split_once('}')).map(|(n, _)| n.to_owned()).collect::<BTreeSet<_>>()
        };
        for (key, en, ko) in all() {
            assert!(!en.trim().is_empty() && !ko.trim().is_empty(), "{key}");
            assert_eq!(places(en), places(ko), "{key}");
            let korean = ko.chars().any(|c| ('\u{ac00}'..='\u{d7a3}').contains(&c));
            assert!(
                korean || ["tps", "cluster_id", "u_ms", "english", "a_group", "between"].contains(key),
                "{key} is not Korean: {ko}"
            );
        }
    }

    #[test]
    fn values_are_put_in_once() {
        assert_eq!(fill("{a} of {b}", &[("a", "{b}"), ("b", "2")]), "{b} of 2");
        assert_eq!(fill("{a", &[("a", "1")]), "{a", "an unclosed place is a mistake of ours, not a loop");
    }
}
