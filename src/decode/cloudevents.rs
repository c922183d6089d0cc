//! CloudEvents 1.x: structured (JSON envelope) and binary (attributes in `ce_*` headers).

use std::borrow::Cow;

use super::Fault;
use super::draft::Draft;
use super::event::EventV1;
use super::headers::{Attributes, Headers};
use super::json::{Shape, Slots};
use super::trace;
use super::value::{Path, Value};
use crate::model::DecodeReason;

/// What errors call the envelope.
const OWNER: &str = "cloudevent";

/// How the headers say that a record is a CloudEvent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// They do not.
    None,
    /// The payload is a JSON envelope.
    Structured,
    /// The payload is an envelope in a format that we do not read (avro, protobuf).
    Foreign,
    /// The payload is a batch: not defined for a log, where one record is one event.
    Batched,
    /// The headers are the envelope, the payload is the data.
    Binary,
}

impl Mode {
    pub(super) fn of(headers: &Headers<'_>) -> Self {
        const NAME: &[u8] = b"application/cloudevents";
        if let Some(media) = headers.content_type
            && let Some((name, rest)) = media.split_at_checked(NAME.len())
            && name.eq_ignore_ascii_case(NAME)
        {
            let format = rest.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
            return match format {
                b"" => Self::Structured,
                _ if format.eq_ignore_ascii_case(b"+json") => Self::Structured,
                _ if format.len() >= 6 && format[..6].eq_ignore_ascii_case(b"-batch") => Self::Batched,
                _ => Self::Foreign,
            };
        }
        let ce = &headers.ce;
        let complete = ce.specversion.and(ce.id).and(ce.source).and(ce.kind).is_some();
        if complete { Self::Binary } else { Self::None }
    }
}

/// Where the members of a structured CloudEvent lie among the slots of a shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    attributes: Attributes<usize>,
    pub data: EventV1,
}

impl Envelope {
    /// Adds the members of the envelope to a shape.
    pub(super) fn want(shape: &mut Shape, used: &mut usize) -> Self {
        let mut want = |name: &str| Some(shape.want(&[name], used));
        let attributes = Attributes {
            specversion: want("specversion"),
            id: want("id"),
            source: want("source"),
            kind: want("type"),
            subject: want("subject"),
            time: want("time"),
            traceparent: want("traceparent"),
        };
        Self { attributes, data: EventV1::want(&["data"], "cloudevent.data", shape, used) }
    }

    /// True where a payload without a telling header is an envelope all the same.
    pub(super) fn is_one(&self, slots: &Slots<'_>) -> bool {
        let has = |slot: Option<usize>| slot.is_some_and(|slot| slots.has(slot));
        has(self.attributes.specversion) && has(self.attributes.source) && has(self.attributes.kind)
    }

    /// Reads a structured CloudEvent.
    pub(super) fn read<'a>(&self, slots: &Slots<'a>, draft: &mut Draft<'a>) -> Result<(), Fault> {
        let attributes = self.attributes.each(|name, slot| {
            let path = Path(OWNER, name);
            slots.value(slot, path)?.map(|value| value.string(path)).transpose()
        })?;
        envelope(attributes, draft)?;
        if self.data.is_data(slots) { self.data.read(slots, draft) } else { Ok(()) }
    }
}

/// Reads the attributes of a binary CloudEvent; its data is the caller's.
pub(super) fn binary<'a>(headers: &Headers<'a>, draft: &mut Draft<'a>) -> Result<(), Fault> {
    let attributes = headers.ce.each(|name, bytes| {
        let path = Path(OWNER, name);
        Value::of_bytes(bytes, path)?.string(path).map(Some)
    })?;
    envelope(attributes, draft)
}

/// True where the content type lets the data of a binary CloudEvent be JSON.
pub(super) fn data_may_be_json(headers: &Headers<'_>) -> bool {
    let Some(media) = headers.content_type else { return true };
    let media = media.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let ends_with = |end: &[u8]| media.len() >= end.len() && media[media.len() - end.len()..].eq_ignore_ascii_case(end);
    ends_with(b"/json") || ends_with(b"+json")
}

/// What the envelope says; the data may still say stage, transaction and service better.
fn envelope<'a>(ce: Attributes<Cow<'a, str>>, draft: &mut Draft<'a>) -> Result<(), Fault> {
    let needed =
        |name, text: Option<Cow<'a, str>>| text.filter(|t| !t.is_empty()).ok_or_else(|| Path(OWNER, name).missing());
    let version = ce.specversion.unwrap_or_default();
    if !version.starts_with("1.") {
        let detail = format_args!("expected 1.x, got {}", Value::Text(version));
        return Err(Path(OWNER, "specversion").refuse(DecodeReason::BadEnvelope, detail));
    }
    draft.id = Some(needed("id", ce.id)?);
    draft.service = Some(needed("source", ce.source)?);
    draft.stage = Some(needed("type", ce.kind)?);
    draft.transaction = ce.subject;
    if let Some(time) = ce.time {
        draft.event_time = Value::Text(time).time(Path(OWNER, "time"))?;
    }
    draft.trace = draft.trace.or_else(|| ce.traceparent.and_then(|t| trace::traceparent(t.as_bytes())));
    Ok(())
}
