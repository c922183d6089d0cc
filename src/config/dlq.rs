//! `[dlq]`: how dead letters are found, shown and redriven.

use super::read::{Table, Text};
use super::stream::{PATTERN_FORM, pattern};
use crate::model::DlqSpec;

/// What a group's name looks like, for messages.
const GROUP_FORM: &str = "a consumer group; {stream} stands for the stream of dead letters";

pub(super) fn read_dlq(table: &Table<'_>) -> DlqSpec {
    let default = DlqSpec::default();
    let regexes = |found: Option<Vec<Text>>| -> Vec<String> {
        let mut texts = Vec::new();
        for text in found.unwrap_or_default() {
            match pattern(&text.text) {
                Ok(_) if !text.text.is_empty() => texts.push(text.text),
                // An empty pattern matches every name: nobody means that.
                Ok(_) => table.reader.refuse(&text.key, &text.at, "is empty", PATTERN_FORM),
                Err(why) => {
                    table.reader.refuse(&text.key, &text.at, format!("not a regular expression: {why}"), PATTERN_FORM);
                }
            }
        }
        texts
    };
    let patterns = regexes(table.texts("patterns"));
    let mask = regexes(table.texts("mask"));
    let group = |text: &str| (text.len() <= 255 && !text.contains(char::is_control)).then(|| text.to_owned());
    let number = |key, least, most| table.number(key, least, most);
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let spec = DlqSpec {
        enabled: table.flag("enabled").unwrap_or(default.enabled),
        patterns,
        redrive_group: table.parsed("redrive_group", group, "not the name of a group", GROUP_FORM).unwrap_or_default(),
        peek: table.flag("peek").unwrap_or(default.peek),
        mask,
        streams: number("streams", 1, 10_000).map_or(default.streams, size),
        letters: number("letters", 0, 1_000_000).map_or(default.letters, size),
        max_redrives: number("max_redrives", 1, 100)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(default.max_redrives),
        rate: number("rate", 1, 100_000).and_then(|n| u32::try_from(n).ok()).unwrap_or(default.rate),
    };
    table.finish();
    spec
}
