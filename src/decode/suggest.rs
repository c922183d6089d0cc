//! `sample STREAM`: guesses a `[stream.map]` from a few payloads, to be pasted and checked by a person.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::time;
use crate::model::Status;

/// Levels of nesting that are looked at; ids and types of real payloads lie within the first three.
const DEPTH: usize = 5;

/// Different pointers that are looked at, over all samples.
const POINTERS: usize = 400;

/// Different values shown for an outcome.
const VALUES: usize = 8;

/// Words that usually say how a transaction ended.
const OUTCOME_WORDS: [(&str, &[&str]); 4] = [
    ("ok", &["ok", "completed", "complete", "success", "succeeded", "done", "settled", "delivered", "fulfilled"]),
    ("failed", &["failed", "failure", "declined", "rejected", "error", "denied", "expired"]),
    ("compensated", &["compensated", "refunded", "reversed", "rolled_back", "rolledback", "cancelled", "canceled"]),
    ("dead_lettered", &["dead_lettered", "deadlettered", "dead"]),
];

/// What was seen at one pointer.
#[derive(Debug, Default)]
struct Seen {
    /// Last segment, lower case, letters and digits only.
    name: String,
    /// Segment before it, the same way.
    parent: String,
    depth: usize,
    values: Vec<String>,
    times: usize,
    texts: usize,
}

/// Guesses a `[stream.map]` from JSON payloads. The answer is TOML, with comments where it is unsure.
#[must_use]
pub fn suggest_mapping(samples: &[&[u8]]) -> String {
    let parsed: Vec<Value> = samples.iter().filter_map(|s| serde_json::from_slice(super::body(s)).ok()).collect();
    let documents: Vec<Value> = parsed.into_iter().map(unwrap).filter(Value::is_object).collect();
    if documents.is_empty() {
        return format!("# none of {} payloads is a JSON object: format = \"opaque\" counts them\n", samples.len());
    }
    if documents.iter().all(|d| d.get("transaction_id").is_some_and(Value::is_string) && d.get("stage").is_some()) {
        return "# these payloads are event v1: format = \"auto\" reads them without a map\n".to_owned();
    }
    if documents.iter().all(|d| d.get("specversion").is_some() && d.get("type").is_some()) {
        return "# these payloads are CloudEvents: format = \"auto\" reads them without a map, if `subject` or \
                `data.transaction_id` is the transaction's id\n"
            .to_owned();
    }
    let mut seen = BTreeMap::new();
    for document in &documents {
        flatten(document, &mut Vec::new(), &mut seen);
    }
    render(&seen, documents.len(), samples.len())
}

/// A document that was written as a JSON string within JSON.
fn unwrap(document: Value) -> Value {
    match &document {
        Value::String(inner) => serde_json::from_str(inner).unwrap_or(document),
        _ => document,
    }
}

fn flatten(value: &Value, path: &mut Vec<String>, seen: &mut BTreeMap<String, Seen>) {
    let text = match value {
        Value::Object(members) if path.len() < DEPTH => {
            for (key, member) in members {
                path.push(key.clone());
                flatten(member, path, seen);
                path.pop();
            }
            return;
        }
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return,
    };
    let pointer: String = path.iter().map(|s| format!("/{}", s.replace('~', "~0").replace('/', "~1"))).collect();
    if seen.len() >= POINTERS && !seen.contains_key(&pointer) {
        return;
    }
    let bare = |at: Option<&String>| -> String {
        let name = at.map(String::as_str).unwrap_or_default();
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let entry = seen.entry(pointer).or_insert_with(|| Seen {
        name: bare(path.last()),
        parent: bare(path.len().checked_sub(2).and_then(|at| path.get(at))),
        depth: path.len(),
        ..Seen::default()
    });
    // A number is a time only if it is large enough for one: 10^9 s was in 2001.
    let plausible = value.as_f64().is_none_or(|n| n >= 1e9);
    entry.times += usize::from(plausible && time::parse(&text).is_ok());
    entry.texts += usize::from(value.is_string());
    entry.values.push(text);
}

impl Seen {
    fn all_words(&self) -> bool {
        self.texts == self.values.len() && self.values.iter().all(|v| v.len() <= 64 && !v.contains(char::is_whitespace))
    }

    fn id(&self) -> u32 {
        let parents = ["order", "payment", "transaction", "trade", "booking", "shipment", "transfer", "claim", "job"];
        if self.times == self.values.len() && self.texts > 0 {
            return 0;
        }
        match self.name.as_str() {
            "transactionid" | "txid" | "txnid" | "transaction" => 100,
            "correlationid" | "sagaid" | "processid" | "workflowid" | "businesskey" => 90,
            "id" if parents.contains(&self.parent.as_str()) => 85,
            name if name.strip_suffix("id").is_some_and(|n| parents.contains(&n)) => 84,
            name if name.strip_suffix("no").or(name.strip_suffix("number")).is_some_and(|n| parents.contains(&n)) => 80,
            "aggregateid" | "entityid" | "requestid" => 70,
            _ => 0,
        }
    }

    fn event_id(&self) -> u32 {
        match self.name.as_str() {
            "eventid" | "messageid" | "msgid" => 100,
            "uuid" | "id" if self.depth == 1 => 50,
            "id" if matches!(self.parent.as_str(), "event" | "meta" | "metadata" | "header") => 80,
            _ => 0,
        }
    }

    fn stage(&self) -> u32 {
        match self.name.as_str() {
            _ if !self.all_words() => 0,
            "stage" | "step" => 100,
            "eventtype" | "eventname" => 95,
            "type" | "event" => 90,
            "action" | "operation" | "kind" | "name" => 60,
            "op" => 30,
            _ => 0,
        }
    }

    fn outcome(&self) -> u32 {
        match self.name.as_str() {
            _ if !self.all_words() => 0,
            "outcome" => 100,
            "result" => 90,
            "state" => 80,
            name if name == "status" || name.ends_with("status") || name.ends_with("state") => 75,
            _ => 0,
        }
    }

    fn time(&self) -> u32 {
        match self.name.as_str() {
            _ if self.times < self.values.len() => 0,
            "eventtime" | "occurredat" | "occurredon" | "happenedat" => 100,
            "timestamp" | "time" | "ts" | "tsms" => 90,
            "createdat" | "created" | "producedat" | "sentat" | "emittedat" => 80,
            "updatedat" | "modifiedat" => 60,
            name if name.ends_with("at") || name.ends_with("time") || name.ends_with("date") => 40,
            _ => 0,
        }
    }

    fn service(&self) -> u32 {
        u32::from(matches!(self.name.as_str(), "service" | "servicename" | "producer" | "source" | "application"))
            * u32::from(self.all_words())
    }

    fn error(&self) -> u32 {
        let of_error = self.parent == "error" && matches!(self.name.as_str(), "code" | "type");
        u32::from(of_error || matches!(self.name.as_str(), "errorcode" | "failurecode" | "reasoncode"))
    }

    fn traceparent(&self) -> u32 {
        u32::from(self.name == "traceparent")
    }
}

/// The best pointer by a score; the shallower of two equals. Pointers in `taken` are left out.
fn best<'s>(
    seen: &'s BTreeMap<String, Seen>,
    taken: &[&str],
    score: fn(&Seen) -> u32,
) -> Option<(&'s String, &'s Seen)> {
    let candidates = seen.iter().filter(|(pointer, s)| score(s) > 0 && !taken.contains(&pointer.as_str()));
    candidates.max_by_key(|(_, s)| (score(s), s.values.len(), std::cmp::Reverse(s.depth)))
}

fn quoted(text: &str) -> String {
    // The escapes of a JSON string are escapes of a TOML string too.
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn render(seen: &BTreeMap<String, Seen>, documents: usize, samples: usize) -> String {
    let mut out = format!("# guessed from {documents} of {samples} payloads: check every line\n[stream.map]\n");
    let mut line = |key: &str, found: Option<(&String, &Seen)>, unsure: &str| match found {
        Some((pointer, s)) => {
            let example = quoted(&super::value::shorten(s.values.first().map_or("", String::as_str)));
            let _ =
                writeln!(out, "{key} = {}  # in {} of {documents}; such as {example}", quoted(pointer), s.values.len());
        }
        None if unsure.is_empty() => {}
        None => {
            let _ = writeln!(out, "# {key} = {unsure}");
        }
    };
    let transaction = best(seen, &[], Seen::id).or_else(|| best(seen, &[], |s| u32::from(s.name == "id")));
    let taken: Vec<&str> = transaction.iter().map(|(pointer, _)| pointer.as_str()).collect();
    line(
        "flow",
        best(seen, &taken, |s| u32::from(s.name == "flow")),
        "\"const:NAME\"  # the business process; without it: default",
    );
    line(
        "transaction_id",
        transaction,
        "\"/...\"  # nothing looks like the id of a transaction; without it records are only counted",
    );
    line(
        "stage",
        best(seen, &taken, Seen::stage),
        "\"/...\"  # nothing looks like a type; without it the stream's name",
    );
    line("id", best(seen, &taken, Seen::event_id), "");
    line(
        "event_time",
        best(seen, &taken, Seen::time),
        "\"/...\"  # nothing looks like a time; without it the record's",
    );
    line("service", best(seen, &taken, Seen::service), "");
    line("error", best(seen, &taken, Seen::error), "");
    line("traceparent", best(seen, &taken, Seen::traceparent), "");
    if let Some((pointer, s)) = best(seen, &taken, Seen::outcome) {
        outcome(&mut out, pointer, s);
    }
    out
}

/// `status` where the five words stand, else `outcome` with the values that were seen.
fn outcome(out: &mut String, pointer: &str, seen: &Seen) {
    let mut values: Vec<&String> = seen.values.iter().collect();
    values.sort_unstable();
    values.dedup();
    if values.iter().all(|v| Status::ALL.iter().any(|status| status.name() == v.as_str())) {
        let _ = writeln!(out, "status = {}", quoted(pointer));
        return;
    }
    let meaning = |value: &str| {
        let lower = value.to_lowercase();
        OUTCOME_WORDS.iter().find(|(_, words)| words.contains(&lower.as_str())).map(|(outcome, _)| *outcome)
    };
    let known: Vec<String> = values
        .iter()
        .filter_map(|v| meaning(v).map(|outcome| format!("{} = {}", quoted(v), quoted(outcome))))
        .take(VALUES)
        .collect();
    let other: Vec<String> = values.iter().filter(|v| meaning(v).is_none()).take(VALUES).map(|v| quoted(v)).collect();
    let comment = if known.is_empty() { "# " } else { "" };
    let body = if known.is_empty() { "\"...\" = \"ok\"".to_owned() } else { known.join(", ") };
    let _ = writeln!(out, "{comment}outcome = {{ from = {}, values = {{ {body} }} }}", quoted(pointer));
    if !other.is_empty() {
        let _ = writeln!(out, "#   also seen there, ends nothing as it stands: {}", other.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: [&[u8]; 3] = [
        br#"{"eventId":"e1","type":"order.placed","created_at":"2026-11-22T10:00:00Z","state":"open","order":{"id":17,"amount":12.5},"customer":{"id":3}}"#,
        br#"{"eventId":"e2","type":"order.paid","created_at":"2026-11-22T10:00:01Z","state":"completed","order":{"id":17,"amount":12.5},"customer":{"id":3}}"#,
        br#"{"eventId":"e3","type":"order.paid","created_at":"2026-11-22T10:00:01Z","state":"declined","order":{"id":18,"amount":12.5},"error":{"code":"no \"funds\""}}"#,
    ];

    #[test]
    fn an_order_stream_is_guessed_and_is_toml() {
        let toml = suggest_mapping(&ORDERS);
        let parsed: toml::Table = toml.parse().unwrap_or_else(|e| panic!("{e}\n{toml}"));
        let map = &parsed["stream"]["map"];
        for (key, pointer) in [
            ("transaction_id", "/order/id"),
            ("stage", "/type"),
            ("id", "/eventId"),
            ("event_time", "/created_at"),
            ("error", "/error/code"),
        ] {
            assert_eq!(map[key].as_str(), Some(pointer), "{toml}");
        }
        assert_eq!(map["outcome"]["from"].as_str(), Some("/state"));
        assert_eq!(map["outcome"]["values"]["completed"].as_str(), Some("ok"));
        assert_eq!(map["outcome"]["values"]["declined"].as_str(), Some("failed"));
        assert!(toml.contains("ends nothing as it stands: \"open\""), "{toml}");
    }

    #[test]
    fn what_needs_no_map_says_so() {
        for (sample, words) in [
            (&br#"{"transaction_id":"t","stage":"s"}"#[..], "event v1"),
            (br#"{"specversion":"1.0","type":"t"}"#, "CloudEvents"),
            (b"\x00\x01\x02", "opaque"),
            (b"[1,2]", "opaque"),
        ] {
            let toml = suggest_mapping(&[sample]);
            assert!(toml.contains(words), "{toml}");
            assert!(toml.parse::<toml::Table>().is_ok_and(|t| t.is_empty()), "{toml}");
        }
        assert!(suggest_mapping(&[]).contains("none of 0"));
    }

    #[test]
    fn hostile_names_stay_toml() {
        let sample = br#"{"a\"b\n/~":{"id":"x\u0000\u007f"},"type":"a","status":"\"'''\\"}"#;
        let toml = suggest_mapping(&[sample]);
        assert!(toml.parse::<toml::Table>().is_ok(), "{toml}");
    }
}
