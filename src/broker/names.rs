//! Which groups are watched, on every kind of cluster: `[lag] include` and `exclude`.

use regex::{RegexSet, RegexSetBuilder};

use crate::dlq::OWN_PREFIX;
use crate::model::LagSpec;

/// Bytes that the compiled patterns of one list may take.
const PATTERN_BYTES: usize = 16 << 20;

/// Names of groups that are watched: all by default.
#[derive(Debug, Default)]
pub struct GroupNames {
    /// `None`: all.
    include: Option<RegexSet>,
    exclude: RegexSet,
}

impl GroupNames {
    /// What is watched where only dead letters are: our own groups, and the one that `[dlq] redrive_group` names;
    /// `{stream}` in it stands for any name.
    #[must_use]
    pub fn of_letters(redrive_group: &str) -> LagSpec {
        let any = regex::escape(redrive_group).replace(r"\{stream\}", ".+");
        // Our own are watched in any case; an empty list would be all groups.
        let include =
            if redrive_group.is_empty() { format!("^{}", regex::escape(OWN_PREFIX)) } else { format!("^{any}$") };
        LagSpec { include: vec![include], ..LagSpec::default() }
    }

    /// What `spec` includes and does not exclude.
    ///
    /// # Errors
    /// A pattern that cannot be used, in words for an operator.
    pub fn new(spec: &LagSpec) -> Result<Self, String> {
        let compiled = |name: &str, patterns: &[String]| {
            let set = RegexSetBuilder::new(patterns).size_limit(PATTERN_BYTES).build();
            set.map_err(|error| format!("[lag] {name}: {}", error.to_string().replace('\n', " ")))
        };
        let include = compiled("include", &spec.include)?;
        Ok(Self { include: Some(include).filter(|i| !i.is_empty()), exclude: compiled("exclude", &spec.exclude)? })
    }

    /// Whether this group is watched.
    #[must_use]
    pub fn wanted(&self, group: &str) -> bool {
        // Our own groups say which dead letters are settled: they are no matter of taste.
        group.starts_with(OWN_PREFIX)
            || (self.include.as_ref().is_none_or(|i| i.is_match(group)) && !self.exclude.is_match(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_letters_alone_only_who_handles_them_is_asked() {
        let wanted = |group: &str| {
            let names = GroupNames::new(&GroupNames::of_letters(group)).unwrap();
            let ours = format!("{OWN_PREFIX}redrive.x");
            ["ops-orders.dlq-x", "ops-", "a.ops-orders.dlq-x", "ops", "billing", &ours].map(|g| names.wanted(g))
        };
        assert_eq!(wanted(""), [false, false, false, false, false, true]);
        assert_eq!(wanted("ops"), [false, false, false, true, false, true]);
        assert_eq!(wanted("ops-{stream}-x"), [true, false, false, false, false, true]);
    }

    #[test]
    fn included_and_not_excluded_and_always_our_own() {
        let spec = |include: &[&str], exclude: &[&str]| LagSpec {
            include: include.iter().map(ToString::to_string).collect(),
            exclude: exclude.iter().map(ToString::to_string).collect(),
            ..LagSpec::default()
        };
        let wanted = |spec: &LagSpec| {
            let names = GroupNames::new(spec).unwrap();
            ["billing", "console-consumer-7", &format!("{OWN_PREFIX}redrive.x")].map(|g| names.wanted(g))
        };
        assert_eq!(wanted(&spec(&[], &[])), [true, true, true]);
        assert_eq!(wanted(&spec(&[], &["^console-"])), [true, false, true]);
        assert_eq!(wanted(&spec(&["^console-"], &[])), [false, true, true]);
        assert_eq!(wanted(&spec(&["."], &["."])), [false, false, true]);
        let fault = GroupNames::new(&spec(&["("], &[])).unwrap_err();
        assert!(fault.starts_with("[lag] include: ") && !fault.contains('\n'), "{fault}");
    }
}
