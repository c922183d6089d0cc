//! What a record says, wherever it says it, before its texts lie in the arena.

use std::borrow::Cow;

use super::batch::{BatchBuilder, Repeated};
use super::value::Path;
use super::{Fault, Record};
use crate::model::{DecodeReason, Event, Kind, Outcome, Status, TextSpan, Timestamp, TraceContext};

/// Fields of an event as they were found. `None` and empty both mean: not said.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    pub id: Option<Cow<'a, str>>,
    pub transaction: Option<Cow<'a, str>>,
    pub flow: Option<Cow<'a, str>>,
    pub stage: Option<Cow<'a, str>>,
    pub service: Option<Cow<'a, str>>,
    pub error: Option<Cow<'a, str>>,
    pub event_time: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub status: Option<Status>,
    pub outcome: Option<Outcome>,
    pub trace: Option<TraceContext>,
    pub redrive: u8,
}

impl<'a> Draft<'a> {
    /// Gives a transaction the flow and stage that it needs, where the record named none.
    pub(super) fn complete(&mut self, stream: &'a str) {
        if said(&self.transaction) || said(&self.stage) {
            if !said(&self.flow) {
                self.flow = Some(Cow::Borrowed("default"));
            }
            if !said(&self.stage) {
                self.stage = Some(Cow::Borrowed(stream));
            }
        }
    }

    /// Pushes exactly one event. Of an undecodable record it carries what was found until then.
    pub(super) fn push(
        self,
        record: &Record<'_>,
        verdict: Result<Kind, Fault>,
        owner: &str,
        cap: usize,
        out: &mut BatchBuilder,
    ) -> Result<(), Fault> {
        let (kind, mut fault) = match verdict {
            Ok(kind) => (kind, None),
            Err(fault) => (Kind::Opaque, Some(fault)),
        };
        let mut keep = |name: &str, text: &Option<Cow<'_, str>>, repeated: Option<Repeated>| -> TextSpan {
            let Some(text) = text.as_deref().filter(|t| !t.is_empty()) else { return TextSpan::EMPTY };
            let span = match repeated {
                _ if text.len() > cap => None,
                Some(which) => out.store_name(which, text),
                None => out.store(text),
            };
            span.unwrap_or_else(|| {
                let detail = format_args!("{} bytes, more than limits.field_bytes = {cap}", text.len());
                fault.get_or_insert_with(|| Path(owner, name).refuse(DecodeReason::FieldTooLong, detail));
                TextSpan::EMPTY
            })
        };
        let event = Event {
            position: record.position,
            record_time: record.record_time,
            event_time: self.event_time,
            started_at: self.started_at,
            id: keep("id", &self.id, None),
            transaction: keep("transaction_id", &self.transaction, None),
            flow: keep("flow", &self.flow, Some(Repeated::Flow)),
            stage: keep("stage", &self.stage, Some(Repeated::Stage)),
            service: keep("service", &self.service, Some(Repeated::Service)),
            error: keep("error", &self.error, Some(Repeated::Error)),
            trace: self.trace,
            status: self.status.unwrap_or_default(),
            outcome: self.outcome,
            redrive: self.redrive,
            kind,
        };
        let kind = fault.as_ref().map_or(kind, |fault| Kind::Undecodable(fault.reason));
        out.push(Event { kind, ..event });
        fault.map_or(Ok(()), Err)
    }
}

/// True where a field holds a text that is not empty.
pub(super) fn said(text: &Option<Cow<'_, str>>) -> bool {
    text.as_ref().is_some_and(|t| !t.is_empty())
}
