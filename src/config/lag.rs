//! `[lag]`: how consumer groups are watched.

use std::time::Duration;

use super::read::Table;
use super::stream::{PATTERN_FORM, pattern};
use super::units::{DURATION_FORM, duration, show_duration};
use crate::model::LagSpec;

/// Shortest and longest time between two surveys: each asks the broker about every group.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// Shortest and longest deadline of a survey.
const DEADLINE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Most regular expressions in `include` and `exclude`: each is tried on every group's name.
const PATTERNS: usize = 100;
/// Most groups and rows: about 64 GiB of memory would hold them.
const MOST: u64 = 100_000_000;

/// Reads `[lag]`.
pub(super) fn read_lag(table: &Table<'_>) -> LagSpec {
    let default = LagSpec::default();
    let size =
        |key, default: usize| table.number(key, 1, MOST).map_or(default, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let spec = LagSpec {
        enabled: table.flag("enabled").unwrap_or(default.enabled),
        interval: within(table, "interval", INTERVAL).unwrap_or(default.interval),
        include: patterns(table, "include"),
        exclude: patterns(table, "exclude"),
        deadline: within(table, "deadline", DEADLINE).unwrap_or(default.deadline),
        read_records: table.flag("read_records").unwrap_or(default.read_records),
        offsets_topic: table.flag("offsets_topic").unwrap_or(default.offsets_topic),
        groups: size("groups", default.groups),
        rows: size("rows", default.rows),
    };
    table.finish();
    spec
}

fn within(table: &Table<'_>, key: &'static str, (least, most): (Duration, Duration)) -> Option<Duration> {
    let found = table.parsed(key, duration, "not a duration", DURATION_FORM)?;
    if (least..=most).contains(&found) {
        return Some(found);
    }
    table.refuse(key, "out of range", format!("{} to {}", show_duration(least), show_duration(most)));
    None
}

fn patterns(table: &Table<'_>, key: &'static str) -> Vec<String> {
    let texts = table.texts(key).unwrap_or_default();
    if texts.len() > PATTERNS {
        table.refuse(key, format!("{} regular expressions are too many", texts.len()), format!("at most {PATTERNS}"));
    }
    for text in &texts {
        if let Err(why) = pattern(&text.text) {
            table.reader.refuse(&text.key, &text.at, format!("not a regular expression: {why}"), PATTERN_FORM);
        }
    }
    texts.into_iter().map(|t| t.text).collect()
}
