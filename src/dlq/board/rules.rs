//! Which streams are watched, and how.

use std::collections::HashSet;

use regex::RegexSet;

use crate::dlq::{NameClass, name_class};

/// What decides which streams are watched, and how.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Streams that the configuration names as dead letters.
    pub exact: HashSet<String>,
    /// Patterns of the configuration for dead letters.
    pub patterns: RegexSet,
    /// Streams that the configuration names as something else.
    pub others: HashSet<String>,
    /// Whether conventions of names count.
    pub conventions: bool,
    /// Group whose positions say what is handled; `{stream}` is replaced. Empty: ours.
    pub redrive_group: String,
    /// Streams watched.
    pub streams: usize,
    /// Letters looked at per stream; 0: none.
    pub letters: usize,
}

impl Rules {
    /// Whether the headers of its records decide about a stream: its name alone does not.
    #[must_use]
    pub fn may_hold(&self, stream: &str) -> bool {
        self.conventions && !self.others.contains(stream) && name_class(stream) == NameClass::Perhaps
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            exact: HashSet::new(),
            patterns: RegexSet::empty(),
            others: HashSet::new(),
            conventions: true,
            redrive_group: String::new(),
            streams: 500,
            letters: 10_000,
        }
    }
}
