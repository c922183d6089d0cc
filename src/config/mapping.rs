//! `[stream.map]`: where the fields of an event lie in anybody's JSON.

use super::read::{Table, Text};
use crate::model::{FieldPath, Mapping, Outcome, OutcomeMap};

/// What a field may be, for messages.
const PATH_FORM: &str = "a JSON pointer (\"/order/id\"), \"header:NAME\", \"key\" or \"const:VALUE\"";

/// Outcomes that an event can carry; `timed_out` is a verdict, never a message.
const OUTCOMES: [Outcome; 4] = [Outcome::Ok, Outcome::Failed, Outcome::Compensated, Outcome::DeadLettered];

/// Reads one place: a pointer, a header, the key or a constant.
///
/// # Errors
/// What is wrong with it.
pub fn field_path(text: &str) -> Result<FieldPath, &'static str> {
    let named =
        |name: &str| if name.is_empty() { Err("the name after the colon is missing") } else { Ok(name.to_owned()) };
    if let Some(pointer) = text.strip_prefix('/') {
        return pointer.split('/').map(unescape).collect::<Result<_, _>>().map(FieldPath::Pointer);
    }
    match text.split_once(':') {
        Some(("header", name)) => named(name).map(FieldPath::Header),
        Some(("field", name)) => named(name).map(FieldPath::Field),
        Some(("const", value)) => named(value).map(FieldPath::Const),
        None if text == "key" => Ok(FieldPath::Key),
        _ => Err("not a place of a field"),
    }
}

/// One step of a JSON pointer (RFC 6901): `~1` is a slash, `~0` a tilde.
fn unescape(step: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(step.len());
    let mut chars = step.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '~' { chars.next() } else { None }) {
            ('~', Some('0')) => out.push('~'),
            ('~', Some('1')) => out.push('/'),
            ('~', _) => return Err("\"~\" in a JSON pointer is followed by 0 or 1"),
            (c, _) => out.push(c),
        }
    }
    Ok(out)
}

/// Reads the table. `kafka`: the stream is one of Kafka, where entries have no fields.
pub(super) fn read_mapping(table: &Table<'_>, kafka: bool) -> Mapping {
    let path = |key| table.text(key).and_then(|text| place(table, &text, kafka));
    let mapping = Mapping {
        flow: path("flow"),
        transaction_id: path("transaction_id"),
        stage: path("stage"),
        id: path("id"),
        event_time: path("event_time"),
        started_at: path("started_at"),
        status: path("status"),
        service: path("service"),
        error: path("error"),
        traceparent: path("traceparent"),
        outcome: read_outcome(&table.table("outcome"), kafka),
    };
    if !table.has("transaction_id") {
        table.warn("", "without transaction_id its records count as events only, never as transactions");
    }
    table.finish();
    mapping
}

fn place(table: &Table<'_>, text: &Text, kafka: bool) -> Option<FieldPath> {
    let refuse = |what| table.reader.refuse(&text.key, &text.at, what, PATH_FORM);
    match field_path(&text.text) {
        Ok(FieldPath::Field(_)) if kafka => {
            refuse("a record of Kafka has no fields, an entry of Redis has");
            None
        }
        Ok(path) => Some(path),
        Err(what) => {
            refuse(what);
            None
        }
    }
}

fn read_outcome(table: &Table<'_>, kafka: bool) -> Option<OutcomeMap> {
    if !table.exists() {
        return None;
    }
    let from = table.required("from", PATH_FORM).and_then(|text| place(table, &text, kafka));
    let values = table.table("values");
    let mut outcomes = Vec::new();
    let allowed = || OUTCOMES.map(Outcome::name).join(" ");
    for (value, word) in values.entries(false) {
        match OUTCOMES.iter().find(|o| o.name() == word.text) {
            Some(outcome) => outcomes.push((value, *outcome)),
            None => table.reader.refuse(&word.key, &word.at, "not an outcome", allowed()),
        }
    }
    if !values.exists() {
        table.refuse("values", "is missing", "a table from value to outcome: { completed = \"ok\" }");
    }
    table.finish();
    Some(OutcomeMap { from: from?, values: outcomes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let pointer = |steps: &[&str]| Ok(FieldPath::Pointer(steps.iter().map(|s| (*s).to_owned()).collect()));
        assert_eq!(field_path("/order/id"), pointer(&["order", "id"]));
        assert_eq!(field_path("/a~1b/m~0n/0/"), pointer(&["a/b", "m~n", "0", ""]));
        assert_eq!(field_path("/~01"), pointer(&["~1"]));
        assert_eq!(field_path("key"), Ok(FieldPath::Key));
        assert_eq!(field_path("header:x-flow"), Ok(FieldPath::Header("x-flow".into())));
        assert_eq!(field_path("const:a:b"), Ok(FieldPath::Const("a:b".into())));
        for bad in ["", "order/id", "/a~", "/a~2", "header:", "const:", "keys", "Header:x"] {
            assert!(field_path(bad).is_err(), "{bad}");
        }
    }
}
