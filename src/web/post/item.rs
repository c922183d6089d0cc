//! One posted object becomes one record of event v1: defaults set, what we do not know kept as attributes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use axum::http::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::broker::NewRecord;
use crate::decode;
use crate::model::{Limits, Outcome, Status, Timestamp};
use crate::web::error::FieldError;

/// Flow of an event that names none.
const DEFAULT_FLOW: &str = "default";
/// Stage of an event that names none.
const DEFAULT_STAGE: &str = "received";
/// Bit 0 of the trace flags: a derived trace is sampled.
const SAMPLED: &str = "01";

/// The members of a posted object, values as they were written: numbers keep their digits.
pub(super) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// What an envelope says of its event.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    /// Wins over the data's, like all of an envelope that identifies.
    pub(super) id: Option<String>,
    /// Wins over the data's.
    pub(super) event_time: Option<Timestamp>,
    /// The data's wins.
    pub(super) transaction_id: Option<String>,
    /// The data's wins.
    pub(super) stage: Option<String>,
    /// The data's wins.
    pub(super) service: Option<String>,
    /// Wins over the data's.
    pub(super) traceparent: Option<String>,
}

/// What holds for all items of a request.
pub(super) struct Rules<'a> {
    pub(super) limits: &'a Limits,
    arrival: Timestamp,
    /// Of the request: for items that carry none.
    trace: Option<(String, Option<String>)>,
    /// Of the idempotency key and what it stands for: a repeated request gives the same ids, so that what an
    /// unanswered append wrote after all is known again.
    seed: Option<[u8; 32]>,
    /// Ids given from the seed so far.
    given: Cell<u64>,
}

/// An event that is ready for the log.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) id: String,
    pub(super) transaction_id: String,
    pub(super) record: NewRecord,
}

#[derive(Serialize)]
struct EventV1<'a> {
    id: &'a str,
    transaction_id: &'a str,
    flow: &'a str,
    stage: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    event_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Members::is_empty")]
    attributes: Members<'a>,
    traceparent: &'a str,
}

impl<'a> Rules<'a> {
    pub(super) fn new(limits: &'a Limits, arrival: Timestamp, headers: &HeaderMap, seed: Option<[u8; 32]>) -> Self {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        // By the standard a header that is no trace context is ignored, and tracestate with it.
        let valid = text("traceparent").filter(|t| decode::traceparent(t.as_bytes()).is_some());
        let trace = valid.map(|t| (t.to_owned(), text("tracestate").map(ToOwned::to_owned)));
        Self { limits, arrival, trace, seed, given: Cell::new(0) }
    }

    /// An id for what came without: a UUIDv7; with an idempotency key a UUIDv8 made of it (RFC 9562, 5.8).
    fn new_id(&self) -> String {
        if let Some(seed) = self.seed {
            let hash =
                Sha256::new().chain_update(seed).chain_update(self.given.replace(self.given.get() + 1).to_be_bytes());
            let bytes: [u8; 32] = hash.finalize().into();
            return uuid::Builder::from_custom_bytes(std::array::from_fn(|i| bytes[i])).into_uuid().to_string();
        }
        let micros = u64::try_from(self.arrival.0).unwrap_or(0);
        let nanos = u32::try_from(micros % 1_000_000).unwrap_or(0) * 1_000;
        let time = uuid::Timestamp::from_unix(uuid::NoContext, micros / 1_000_000, nanos);
        uuid::Uuid::new_v7(time).to_string()
    }
}

/// Takes known members out of an object and collects what is wrong with them.
struct Reader<'a, 'r> {
    members: RefCell<Members<'a>>,
    errors: RefCell<Vec<FieldError>>,
    index: Option<usize>,
    rules: &'r Rules<'r>,
}

impl<'a> Reader<'a, '_> {
    fn wrong(&self, pointer: &str, detail: impl Into<String>) {
        let error = FieldError { index: self.index, field: pointer.to_owned(), detail: detail.into() };
        self.errors.borrow_mut().push(error);
    }

    /// The raw value of a member; null is the same as absent.
    fn take(&self, name: &str) -> Option<&'a RawValue> {
        self.members.borrow_mut().remove(name).filter(|raw| raw.get() != "null")
    }

    fn parsed<T: DeserializeOwned>(&self, pointer: &str, raw: &RawValue, expected: &str) -> Option<T> {
        serde_json::from_str(raw.get()).map_err(|_| self.wrong(pointer, format!("expected {expected}"))).ok()
    }

    fn text(&self, name: &str) -> Option<String> {
        let pointer = format!("/{name}");
        let text: String = self.parsed(&pointer, self.take(name)?, "a string")?;
        self.short(&pointer, text)
    }

    fn short(&self, pointer: &str, text: String) -> Option<String> {
        let cap = self.rules.limits.field_bytes;
        if text.is_empty() {
            self.wrong(pointer, "must not be empty; leave it out for the default");
            return None;
        }
        if text.len() > cap {
            self.wrong(pointer, format!("{} bytes, at most limits.field_bytes = {cap}", text.len()));
            return None;
        }
        // They could not be told apart on a page, nor typed into an address.
        if text.chars().any(char::is_control) {
            self.wrong(pointer, "must not hold control characters");
            return None;
        }
        Some(text)
    }

    fn word<T: Copy>(&self, name: &str, words: &[(&'static str, T)]) -> Option<T> {
        let pointer = format!("/{name}");
        let allowed = || words.iter().map(|w| w.0).collect::<Vec<_>>().join(", ");
        let text: String = self.parsed(&pointer, self.take(name)?, &format!("one of {}", allowed()))?;
        let found = words.iter().find(|w| w.0 == text).map(|w| w.1);
        if found.is_none() {
            self.wrong(&pointer, format!("expected one of {}", allowed()));
        }
        found
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        let pointer = format!("/{name}");
        let raw = self.take(name)?.get();
        let text = if raw.starts_with('"') { serde_json::from_str(raw).ok() } else { Some(raw.to_owned()) };
        let time = text.ok_or_else(String::new).and_then(|t| decode::parse_time(&t));
        time.map_err(|e| self.wrong(&pointer, format!("expected RFC 3339 or a number since 1970: {e}"))).ok()
    }

    fn error(&self) -> Option<&'a RawValue> {
        #[derive(serde::Deserialize)]
        struct Error {
            code: Option<String>,
            #[serde(rename = "message")]
            _message: Option<String>,
        }
        let raw = self.take("error")?;
        let error: Error = self.parsed("/error", raw, "an object with strings code and message")?;
        if let Some(code) = error.code {
            self.short("/error/code", code)?;
        }
        Some(raw)
    }

    fn attributes(&self) -> Members<'a> {
        let named = self.take("attributes").and_then(|raw| match serde_json::from_str::<Members<'a>>(raw.get()) {
            Ok(members) => Some(members),
            Err(_) => {
                self.wrong("/attributes", "expected an object");
                None
            }
        });
        let mut all: Members<'a> = self.members.take();
        // What is named an attribute wins over a stray member of the same name.
        all.extend(named.unwrap_or_default());
        all
    }
}

/// One object as a record. All that is wrong with it is said at once.
pub(super) fn prepare<'a>(
    members: Members<'a>,
    envelope: Envelope,
    extra: Members<'a>,
    index: Option<usize>,
    rules: &Rules<'_>,
) -> Result<Prepared, Vec<FieldError>> {
    let reader = Reader { members: RefCell::new(members), errors: RefCell::default(), index, rules };
    let own_id = reader.text("id");
    let id = envelope.id.or(own_id).unwrap_or_else(|| rules.new_id());
    let transaction_id = reader.text("transaction_id").or(envelope.transaction_id).unwrap_or_else(|| rules.new_id());
    let flow = reader.text("flow").unwrap_or_else(|| DEFAULT_FLOW.to_owned());
    let stage = reader.text("stage").or(envelope.stage).unwrap_or_else(|| DEFAULT_STAGE.to_owned());
    let service = reader.text("service").or(envelope.service);
    let status = reader.word("status", &Status::ALL.map(|s| (s.name(), s))).unwrap_or_default();
    // `timed_out` is a verdict of the engine, never written.
    let outcome = reader.word(
        "outcome",
        &[Outcome::Ok, Outcome::Failed, Outcome::Compensated, Outcome::DeadLettered].map(|o| (o.name(), o)),
    );
    let own_time = reader.time("event_time");
    let event_time = envelope.event_time.or(own_time).unwrap_or(rules.arrival);
    let started_at = reader.time("started_at");
    let error = reader.error();
    let own_trace = reader.text("traceparent");
    let said = envelope.traceparent.or(own_trace);
    if said.as_ref().is_some_and(|t| decode::traceparent(t.as_bytes()).is_none()) {
        reader.wrong("/traceparent", "expected a W3C traceparent, 00-<32 hex>-<16 hex>-<2 hex>");
    }
    let (traceparent, tracestate) = match (said, &rules.trace) {
        (Some(own), _) => (own, None),
        (None, Some((traceparent, tracestate))) => (traceparent.clone(), tracestate.clone()),
        (None, None) => (derived(&flow, &transaction_id, &id), None),
    };
    let mut attributes = reader.attributes();
    attributes.extend(extra);
    let event = EventV1 {
        id: &id,
        transaction_id: &transaction_id,
        flow: &flow,
        stage: &stage,
        status: status.name(),
        outcome: outcome.map(Outcome::name),
        event_time: rfc3339(event_time),
        started_at: started_at.map(rfc3339),
        service,
        error,
        attributes,
        traceparent: &traceparent,
    };
    let payload = serde_json::to_vec(&event).unwrap_or_default();
    let cap = rules.limits.payload_bytes;
    if payload.len() > cap {
        reader.wrong("", format!("{} bytes, at most limits.payload_bytes = {cap}", payload.len()));
    }
    let errors = reader.errors.into_inner();
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut headers = vec![("traceparent".to_owned(), traceparent.into_bytes())];
    headers.extend(tracestate.map(|state| ("tracestate".to_owned(), state.into_bytes())));
    let key = Some(transaction_id.clone().into_bytes());
    let record = NewRecord { key, payload: Some(payload), headers, record_time: None };
    Ok(Prepared { id, transaction_id, record })
}

/// A trace for an event that belongs to none: the id that every reader of the event would derive. The
/// parent is the transaction itself, the same for all its events; no position is known before the append.
fn derived(flow: &str, transaction_id: &str, id: &str) -> String {
    let trace = decode::hex(&decode::trace_id(flow, transaction_id));
    let span = decode::hex(&decode::span_id(transaction_id, "", 0, id));
    format!("00-{trace}-{span}-{SAMPLED}")
}

/// To the microsecond.
fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.0).map_or_else(|_| time.0.to_string(), |t| format!("{t:.6}"))
}
