//! Event v1: our own JSON, alone or as the data of a CloudEvent.

use super::Undecodable;
use super::draft::Draft;
use super::json::{Shape, Slots};
use super::trace;
use super::value::{OUTCOMES, Path, STATUSES, Value};

/// The members of event v1 that we use, in the order of their slots.
const MEMBERS: [&[&str]; 12] = [
    &["id"],
    &["transaction_id"],
    &["flow"],
    &["stage"],
    &["status"],
    &["outcome"],
    &["event_time"],
    &["started_at"],
    &["service"],
    &["traceparent"],
    &["error"],
    &["error", "code"],
];
const ID: usize = 0;
const TRANSACTION: usize = 1;
const FLOW: usize = 2;
const STAGE: usize = 3;
const STATUS: usize = 4;
const OUTCOME: usize = 5;
const EVENT_TIME: usize = 6;
const STARTED_AT: usize = 7;
const SERVICE: usize = 8;
const TRACEPARENT: usize = 9;
const ERROR: usize = 10;
const CODE: usize = 11;

/// Where the members of an event v1 lie among the slots of a shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventV1 {
    slots: [usize; MEMBERS.len()],
    owner: &'static str,
}

impl EventV1 {
    /// Adds the members below `prefix` to a shape; `owner` is what errors call the object.
    pub(super) fn want(prefix: &[&str], owner: &'static str, shape: &mut Shape, used: &mut usize) -> Self {
        Self { slots: MEMBERS.map(|member| shape.want(&[prefix, member].concat(), used)), owner }
    }

    /// True where the object says anything of a transaction: then it is an event v1 and not anybody's JSON.
    pub(super) fn is_one(&self, slots: &Slots<'_>) -> bool {
        [TRANSACTION, STAGE].iter().any(|member| self.raw(slots, *member).is_some())
    }

    /// The same, or it names a flow: enough for the data of a CloudEvent, whose envelope says the rest.
    pub(super) fn is_data(&self, slots: &Slots<'_>) -> bool {
        self.is_one(slots) || self.raw(slots, FLOW).is_some()
    }

    /// Reads all members. What the headers or the envelope said of id, time and trace stays.
    pub(super) fn read<'a>(&self, slots: &Slots<'a>, draft: &mut Draft<'a>) -> Result<(), Undecodable> {
        let value = |member: usize, name: &'static str| {
            let path = Path(self.owner, name);
            self.raw(slots, member).map_or(Ok(None), |raw| Value::of(raw, path)).map(|value| (value, path))
        };
        for (member, name, field, envelope_wins) in [
            (ID, "id", &mut draft.id, true),
            (TRANSACTION, "transaction_id", &mut draft.transaction, false),
            (FLOW, "flow", &mut draft.flow, false),
            (STAGE, "stage", &mut draft.stage, false),
            (SERVICE, "service", &mut draft.service, false),
            (CODE, "error.code", &mut draft.error, false),
        ] {
            if let (Some(value), path) = value(member, name)? {
                let text = value.string(path)?;
                if !text.is_empty() && !(envelope_wins && field.is_some()) {
                    *field = Some(text);
                }
            }
        }
        if let (Some(value), path) = value(EVENT_TIME, "event_time")? {
            let time = value.time(path)?;
            draft.event_time = draft.event_time.or(time);
        }
        if let (Some(value), path) = value(STARTED_AT, "started_at")? {
            draft.started_at = value.time(path)?;
        }
        if let (Some(value), path) = value(STATUS, "status")? {
            draft.status = value.word(&STATUSES, path)?;
        }
        if let (Some(value), path) = value(OUTCOME, "outcome")? {
            draft.outcome = value.word(&OUTCOMES, path)?;
        }
        if let (Some(value), path) = value(ERROR, "error")? {
            value.object(path)?;
        }
        if let (Some(value), path) = value(TRACEPARENT, "traceparent")? {
            let text = value.string(path)?;
            draft.trace = draft.trace.or_else(|| trace::traceparent(text.as_bytes()));
        }
        Ok(())
    }

    fn raw<'a>(&self, slots: &Slots<'a>, member: usize) -> Option<&'a str> {
        slots[self.slots[member]].filter(|raw| *raw != "null")
    }
}
