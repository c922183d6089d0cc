//! Anybody's JSON through `[stream.map]`.

use std::borrow::Cow;

use super::draft::{Draft, said};
use super::headers::{self, Header};
use super::json::{Shape, Slots, Text};
use super::value::{Path, STATUSES, Value};
use super::{Fault, Record, trace};
use crate::model::{FieldPath, Kind, Mapping, Outcome};

/// What errors call the fields.
const OWNER: &str = "map";

/// Where a field comes from, ready to look.
#[derive(Clone, Debug)]
enum Source {
    Slot(usize),
    Header(String),
    Key,
    Const(String),
}

/// A mapping, compiled into one shape for one pass.
#[derive(Clone, Debug)]
pub(super) struct Map {
    shape: Shape,
    needs_json: bool,
    flow: Option<Source>,
    transaction_id: Option<Source>,
    stage: Option<Source>,
    id: Option<Source>,
    event_time: Option<Source>,
    started_at: Option<Source>,
    status: Option<Source>,
    service: Option<Source>,
    error: Option<Source>,
    traceparent: Option<Source>,
    outcome: Option<(Source, Vec<(String, Outcome)>)>,
}

impl Map {
    pub(super) fn new(mapping: &Mapping) -> Self {
        let (mut shape, mut used) = (Shape::default(), 0);
        let mut one = |path: &FieldPath| match path {
            FieldPath::Pointer(segments) => Source::Slot(shape.want(segments, &mut used)),
            // Readers of Redis hand the fields of an entry over as its headers.
            FieldPath::Header(name) | FieldPath::Field(name) => Source::Header(name.clone()),
            FieldPath::Key => Source::Key,
            FieldPath::Const(text) => Source::Const(text.clone()),
        };
        let mut some = |path: &Option<FieldPath>| path.as_ref().map(&mut one);
        let (flow, transaction_id, stage) = (some(&mapping.flow), some(&mapping.transaction_id), some(&mapping.stage));
        let (id, event_time, started_at) = (some(&mapping.id), some(&mapping.event_time), some(&mapping.started_at));
        let (status, service, error) = (some(&mapping.status), some(&mapping.service), some(&mapping.error));
        let traceparent = some(&mapping.traceparent);
        let outcome = mapping.outcome.as_ref().map(|o| (one(&o.from), o.values.clone()));
        Self {
            shape,
            needs_json: used > 0,
            flow,
            transaction_id,
            stage,
            id,
            event_time,
            started_at,
            status,
            service,
            error,
            traceparent,
            outcome,
        }
    }

    /// True where any field is a JSON pointer; without one the payload is not looked at.
    pub(super) fn needs_json(&self) -> bool {
        self.needs_json
    }

    /// Picks the wanted values out of a payload.
    pub(super) fn pick<'a>(&self, text: Text<'a>, slots: &mut Slots<'a>) -> Result<(), Fault> {
        self.shape.pick(text, slots)
    }

    /// Reads all mapped fields. A field that is mapped and absent is refused where the event cannot do without it.
    pub(super) fn read<'a>(
        &'a self,
        record: &Record<'a>,
        headers: &[Header<'a>],
        slots: &Slots<'a>,
        draft: &mut Draft<'a>,
    ) -> Result<Kind, Fault> {
        let value = |source: &'a Option<Source>, name| {
            source.as_ref().map_or(Ok(None), |source| look(source, Path(OWNER, name), record, headers, slots))
        };
        for (source, name, field) in [
            (&self.flow, "flow", &mut draft.flow),
            (&self.transaction_id, "transaction_id", &mut draft.transaction),
            (&self.stage, "stage", &mut draft.stage),
            (&self.id, "id", &mut draft.id),
            (&self.service, "service", &mut draft.service),
            (&self.error, "error", &mut draft.error),
        ] {
            *field = value(source, name)?.map(|v| v.text(Path(OWNER, name))).transpose()?;
        }
        if let Some(time) = value(&self.event_time, "event_time")? {
            draft.event_time = time.time(Path(OWNER, "event_time"))?;
        }
        if let Some(time) = value(&self.started_at, "started_at")? {
            draft.started_at = time.time(Path(OWNER, "started_at"))?;
        }
        if let Some(word) = value(&self.status, "status")? {
            draft.status = word.word(&STATUSES, Path(OWNER, "status"))?;
        }
        if let Some(text) = value(&self.traceparent, "traceparent")?
            && draft.trace.is_none()
        {
            draft.trace = trace::traceparent(text.text(Path(OWNER, "traceparent"))?.as_bytes());
        }
        if let Some((source, values)) = &self.outcome
            && let Some(found) = look(source, Path(OWNER, "outcome"), record, headers, slots)?
        {
            let found = found.text(Path(OWNER, "outcome"))?;
            draft.outcome = values.iter().find(|(value, _)| *value == found).map(|(_, outcome)| *outcome);
        }
        for (source, name, field) in [
            (&self.flow, "flow", &draft.flow),
            (&self.transaction_id, "transaction_id", &draft.transaction),
            (&self.stage, "stage", &draft.stage),
        ] {
            if source.is_some() && !said(field) {
                return Err(Path(OWNER, name).missing());
            }
        }
        Ok(if self.transaction_id.is_some() { Kind::Event } else { Kind::Opaque })
    }
}

fn look<'a>(
    source: &'a Source,
    path: Path<'_>,
    record: &Record<'a>,
    headers: &[Header<'a>],
    slots: &Slots<'a>,
) -> Result<Option<Value<'a>>, Fault> {
    match source {
        Source::Slot(slot) => slots.value(*slot, path),
        Source::Header(name) => headers::find(headers, name).map(|bytes| Value::of_bytes(bytes, path)).transpose(),
        Source::Key => record.key.map(|bytes| Value::of_bytes(bytes, path)).transpose(),
        Source::Const(text) => Ok(Some(Value::Text(Cow::Borrowed(text)))),
    }
}
