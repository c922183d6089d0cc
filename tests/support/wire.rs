//! Records as a producer writes them to a real broker: event v1 as JSON.

use serde_json::{Map, Value};
use streamgauge::model::{Kind, Timestamp};

use super::record::Record;

/// RFC 3339 with microseconds.
pub fn rfc3339(t: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(t.0).expect("within the calendar").to_string()
}

/// The payload; `None` is a tombstone. What cannot be decoded is text that is no JSON.
pub fn payload(record: &Record) -> Option<Vec<u8>> {
    match record.kind {
        Kind::Tombstone => return None,
        Kind::Undecodable(_) => return Some(b"{\"flow\": ".to_vec()),
        Kind::Opaque => return Some(b"\x00\x01opaque".to_vec()),
        Kind::Event => {}
    }
    let mut out = Map::new();
    let texts =
        [("id", &record.id), ("transaction_id", &record.transaction), ("flow", &record.flow), ("stage", &record.stage)];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        out.insert(name.to_owned(), Value::from(text.as_str()));
    }
    out.insert("status".to_owned(), record.status.name().into());
    if let Some(outcome) = record.outcome {
        out.insert("outcome".to_owned(), outcome.name().into());
    }
    for (name, time) in [("event_time", record.event_time), ("started_at", record.started_at)] {
        if let Some(time) = time {
            out.insert(name.to_owned(), rfc3339(time).into());
        }
    }
    Some(serde_json::to_vec(&Value::Object(out)).expect("text and numbers"))
}
