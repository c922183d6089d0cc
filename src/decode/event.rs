//! Event v1: our own JSON, alone or as the data of a CloudEvent.

use std::borrow::Cow;

use super::Fault;
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

/// Their names in errors.
const NAMES: [&str; MEMBERS.len()] = [
    "id",
    "transaction_id",
    "flow",
    "stage",
    "status",
    "outcome",
    "event_time",
    "started_at",
    "service",
    "traceparent",
    "error",
    "error.code",
];

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
        [TRANSACTION, STAGE].iter().any(|member| slots.has(self.slots[*member]))
    }

    /// The same, or it names a flow: enough for the data of a CloudEvent, whose envelope says the rest.
    pub(super) fn is_data(&self, slots: &Slots<'_>) -> bool {
        self.is_one(slots) || slots.has(self.slots[FLOW])
    }

    /// Reads all members. What the headers or the envelope said of id, time and trace stays.
    pub(super) fn read<'a>(&self, slots: &Slots<'a>, draft: &mut Draft<'a>) -> Result<(), Fault> {
        let id = self.string(slots, ID)?;
        draft.id = draft.id.take().or(id);
        for (member, field) in [
            (TRANSACTION, &mut draft.transaction),
            (FLOW, &mut draft.flow),
            (STAGE, &mut draft.stage),
            (SERVICE, &mut draft.service),
            (CODE, &mut draft.error),
        ] {
            if let Some(text) = self.string(slots, member)? {
                *field = Some(text);
            }
        }
        if let Some(value) = self.value(slots, EVENT_TIME)? {
            let time = value.time(self.path(EVENT_TIME))?;
            draft.event_time = draft.event_time.or(time);
        }
        if let Some(value) = self.value(slots, STARTED_AT)? {
            draft.started_at = value.time(self.path(STARTED_AT))?;
        }
        if let Some(value) = self.value(slots, STATUS)? {
            draft.status = value.word(&STATUSES, self.path(STATUS))?;
        }
        if let Some(value) = self.value(slots, OUTCOME)? {
            draft.outcome = value.word(&OUTCOMES, self.path(OUTCOME))?;
        }
        if let Some(value) = self.value(slots, ERROR)? {
            value.object(self.path(ERROR))?;
        }
        if let Some(text) = self.string(slots, TRACEPARENT)? {
            draft.trace = draft.trace.or_else(|| trace::traceparent(text.as_bytes()));
        }
        Ok(())
    }

    /// A member that is a string; an empty one says nothing.
    #[inline]
    fn string<'a>(&self, slots: &Slots<'a>, member: usize) -> Result<Option<Cow<'a, str>>, Fault> {
        match self.value(slots, member)? {
            Some(value) => Ok(Some(value.string(self.path(member))?).filter(|text| !text.is_empty())),
            None => Ok(None),
        }
    }

    #[inline(always)]
    fn value<'a>(&self, slots: &Slots<'a>, member: usize) -> Result<Option<Value<'a>>, Fault> {
        slots.value(self.slots[member], self.path(member))
    }

    fn path(&self, member: usize) -> Path<'static> {
        Path(self.owner, NAMES[member])
    }
}
