//! Decoding: one record of any log becomes exactly one [`Event`](crate::model::Event), whatever its bytes are.
//!
//! ```text
//! Record --> headers --> Decoder: format, else detection --> Draft --> BatchBuilder (Event + texts) --> Batch
//!            (trace, ce_*, redrive)   | JSON: one pass, a trie of wanted members, the rest skipped
//!                                     +-> Undecodable { reason, "event.status: expected one of ..." }
//! ```
//!
//! Detection (`Format::Auto`): CloudEvents structured, CloudEvents binary, schema-registry framing,
//! JSON (event v1), opaque. Pure: no clock, no I/O; on the usual path no allocation beyond the batch's buffers.

mod batch;
mod cloudevents;
mod draft;
mod event;
mod headers;
mod json;
mod mapping;
mod offsets_topic;
mod suggest;
#[cfg(test)]
mod tests;
mod time;
mod trace;
mod value;

pub use batch::{BATCH_EVENTS, BATCH_TEXT_BYTES, BatchBuilder, Spares};
pub use headers::Header;
pub use offsets_topic::{
    ClassicGroup, CommitKey, CommitValue, OffsetsFault, OffsetsRecord, OffsetsTopic, decode_offsets,
};
pub use suggest::suggest_mapping;
pub use time::parse as parse_time;
pub use trace::{hex, span_id, trace_id, traceparent};

use crate::model::{DecodeReason, Format, Kind, Limits, Timestamp};
use cloudevents::{Envelope, Mode};
use draft::{Draft, said};
use event::EventV1;
use headers::Headers;
use json::{Shape, Slots, Text};
use mapping::Map;
use value::Path;

/// One record as a broker gave it. Everything is borrowed; nothing is trusted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// Offset or sequence in its partition.
    pub position: u64,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Payload; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Headers in order; names need not be UTF-8. Fields of a Redis entry come here too.
    pub headers: &'a [Header<'a>],
    /// What the log wrote beside the record.
    pub record_time: Option<Timestamp>,
}

/// Why a record is no event, for the sample of the status page. The event was counted all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Undecodable {
    /// The bounded reason: a metric label.
    pub reason: DecodeReason,
    /// In words, with the path of the field.
    pub detail: String,
}

/// An [`Undecodable`] on its way out: one word, so that the usual path does not pay for the rare one.
type Fault = Box<Undecodable>;

#[cold]
fn fault(reason: DecodeReason, detail: impl Into<String>) -> Fault {
    Box::new(Undecodable { reason, detail: detail.into() })
}

/// Decodes the records of one stream. Made once per stream: the format is compiled here.
#[derive(Clone, Debug)]
pub struct Decoder {
    plan: Plan,
    stream: Box<str>,
    payload_bytes: usize,
    field_bytes: usize,
    headers: usize,
    json_depth: usize,
}

#[derive(Clone, Debug)]
enum Plan {
    Standard(Box<Standard>),
    Mapped(Box<Map>),
    Opaque,
}

/// Event v1 and CloudEvents: one shape picks the members of both.
#[derive(Clone, Debug)]
struct Standard {
    expect: Expect,
    shape: Shape,
    event: EventV1,
    envelope: Envelope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Anything,
    Event,
    CloudEvent,
}

impl Decoder {
    /// A decoder for `stream`, whose name stands in for a stage that is not said.
    #[must_use]
    pub fn new(format: &Format, limits: &Limits, stream: &str) -> Self {
        let plan = match format {
            Format::Auto => Plan::Standard(Box::new(Standard::new(Expect::Anything))),
            Format::Event => Plan::Standard(Box::new(Standard::new(Expect::Event))),
            Format::CloudEvents => Plan::Standard(Box::new(Standard::new(Expect::CloudEvent))),
            Format::Mapped(mapping) => Plan::Mapped(Box::new(Map::new(mapping))),
            Format::Opaque => Plan::Opaque,
        };
        let Limits { payload_bytes, field_bytes, headers, json_depth, .. } = *limits;
        Self { plan, stream: stream.into(), payload_bytes, field_bytes, headers, json_depth }
    }

    /// Pushes exactly one event for `record`, also when it returns an error.
    ///
    /// # Errors
    /// [`Undecodable`] with the words for an operator; the event that was pushed is of that kind then and
    /// carries what was known until the fault (headers first).
    pub fn decode(&self, record: &Record<'_>, out: &mut BatchBuilder) -> Result<(), Undecodable> {
        let looked_at = &record.headers[..record.headers.len().min(self.headers)];
        let headers = Headers::of(looked_at);
        let mut unwrapped = String::new();
        let mut draft = Draft { trace: headers.trace(), redrive: headers.redrive(), ..Draft::default() };
        let (owner, verdict) = match (&self.plan, record.payload) {
            (_, None) => ("event", Ok(Kind::Tombstone)),
            (Plan::Opaque, _) => ("event", Ok(Kind::Opaque)),
            (Plan::Standard(standard), Some(payload)) => {
                ("event", self.standard(standard, payload, &headers, &mut draft))
            }
            (Plan::Mapped(map), Some(payload)) => {
                let mut slots = Slots::default();
                let picked = self.picked(map, payload, &mut unwrapped, &mut slots);
                let read = map.read(record, looked_at, &slots, &mut draft);
                ("map", picked.and(read))
            }
        };
        if verdict.is_ok() {
            draft.complete(&self.stream);
        }
        draft.push(record, verdict, owner, self.field_bytes, out).map_err(|fault| *fault)
    }

    /// Fills the slots of a mapping. A payload that is JSON within a JSON string is unwrapped once.
    fn picked<'a>(
        &self,
        map: &Map,
        payload: &'a [u8],
        unwrapped: &'a mut String,
        slots: &mut Slots<'a>,
    ) -> Result<(), Fault> {
        if !map.needs_json() {
            return Ok(());
        }
        let mut text = self.text(body(payload))?;
        if text.text.trim_ascii_start().starts_with('"')
            && let Ok(inner) = serde_json::from_str(text.text)
        {
            *unwrapped = inner;
            text = self.text(unwrapped.as_bytes())?;
        }
        map.pick(text, slots)
    }

    fn standard<'a>(
        &self,
        standard: &Standard,
        payload: &'a [u8],
        headers: &Headers<'a>,
        draft: &mut Draft<'a>,
    ) -> Result<Kind, Fault> {
        let Standard { expect, event, envelope, .. } = standard;
        let mut slots = Slots::default();
        let mode = if *expect == Expect::Event { Mode::None } else { Mode::of(headers) };
        match mode {
            Mode::Structured => {
                standard.shape.pick(self.text(body(payload))?, &mut slots)?;
                envelope.read(&slots, draft)?;
            }
            Mode::Binary => {
                cloudevents::binary(headers, draft)?;
                if cloudevents::data_may_be_json(headers) && looks_like_an_object(body(payload)) {
                    standard.shape.pick(self.text(body(payload))?, &mut slots)?;
                    if event.is_data(&slots) {
                        event.read(&slots, draft)?;
                    }
                }
            }
            Mode::Foreign if *expect == Expect::Anything => return Ok(Kind::Opaque),
            Mode::Foreign | Mode::Batched => {
                let media = String::from_utf8_lossy(headers.content_type.unwrap_or_default());
                let detail = format_args!("expected application/cloudevents+json, got {:?}", value::shorten(&media));
                return Err(Path("header", "content-type").refuse(DecodeReason::BadEnvelope, detail));
            }
            Mode::None => {
                let body = body(payload);
                if *expect == Expect::Anything && !looks_like_an_object(body) {
                    return Ok(Kind::Opaque);
                }
                match self.text(body).and_then(|text| standard.shape.pick(text, &mut slots)) {
                    Err(_) if *expect == Expect::Anything && headers.schema_id => return Ok(Kind::Opaque),
                    picked => picked?,
                }
                if *expect == Expect::CloudEvent || (*expect == Expect::Anything && envelope.is_one(&slots)) {
                    envelope.read(&slots, draft)?;
                } else if *expect == Expect::Event || event.is_one(&slots) {
                    event.read(&slots, draft)?;
                }
            }
        }
        match (said(&draft.transaction), expect) {
            (true, _) => Ok(Kind::Event),
            (false, Expect::Anything) => Ok(Kind::Opaque),
            (false, Expect::Event) => Err(Path("event", "transaction_id").missing()),
            (false, Expect::CloudEvent) => Err(fault(
                DecodeReason::MissingField,
                "cloudevent.subject, cloudevent.data.transaction_id: both missing",
            )),
        }
    }

    /// A body as text that the parser may see: within its cap of bytes, UTF-8, not too deep.
    fn text<'a>(&self, body: &'a [u8]) -> Result<Text<'a>, Fault> {
        if body.len() > self.payload_bytes {
            let detail =
                format!("payload: {} bytes, more than limits.payload_bytes = {}", body.len(), self.payload_bytes);
            return Err(fault(DecodeReason::TooLarge, detail));
        }
        let text = std::str::from_utf8(body).map_err(|e| fault(DecodeReason::NotUtf8, format!("payload: {e}")))?;
        Text::new(text, self.json_depth).ok_or_else(|| {
            let detail = format!("payload: nested deeper than limits.json_depth = {}", self.json_depth);
            fault(DecodeReason::TooDeep, detail)
        })
    }
}

impl Standard {
    fn new(expect: Expect) -> Self {
        let (mut shape, mut used) = (Shape::default(), 0);
        let event = EventV1::want(&[], "event", &mut shape, &mut used);
        let envelope = Envelope::want(&mut shape, &mut used);
        Self { expect, shape, event, envelope }
    }
}

/// A payload without what serializers put before it: the five bytes of a schema registry, a byte order mark.
fn body(payload: &[u8]) -> &[u8] {
    match payload {
        [0, _, _, _, _, rest @ ..] => rest,
        [0xef, 0xbb, 0xbf, rest @ ..] => rest,
        _ => payload,
    }
}

/// True where a body begins like a JSON object: `{`, then `"` or `}`. Binary formats rarely do.
fn looks_like_an_object(body: &[u8]) -> bool {
    let after_brace = body.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    matches!(after_brace.and_then(<[u8]>::first), Some(b'"' | b'}'))
}
