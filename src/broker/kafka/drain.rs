//! Messages of one partition become batches for the engine.

use std::sync::Arc;
use std::sync::mpsc::{SendError, TrySendError};
use std::time::{Duration, Instant};

use super::ffi::{self, Client, Code, Fault, Header, Message, Messages};
use super::slot::Slot;
use crate::broker::{DecodeSample, ReadContext, preview};
use crate::decode::{BatchBuilder, Record, Undecodable};
use crate::model::{Input, SourceState, Tail, Timestamp};

/// A busy partition that stands at its end says so at most this often.
const TAIL_EVERY: Duration = Duration::from_millis(100);

/// The engine is gone: nothing is left to do.
pub(super) type Gone = SendError<Input>;

/// Decodes messages and sends what they say. Returns the fault that ended reading, if any. `builder` is empty
/// before and after.
pub(super) fn drain(
    slot: &mut Slot,
    builder: &mut BatchBuilder,
    messages: &Messages<'_>,
    client: &Client,
    context: &ReadContext,
    now: Instant,
) -> Result<Option<Fault>, Gone> {
    let observed = (context.now)();
    let stream = Arc::clone(&slot.stream);
    let mut headers: Vec<Header<'_>> = Vec::new();
    let (mut to, mut end, mut fault) = (slot.next, None, None);
    builder.refill(&context.spares);
    for message in messages.iter() {
        let offset = u64::try_from(message.offset()).ok();
        if let Some(said) = message.fault() {
            if said.code != Code::PartitionEOF {
                fault = Some(said);
                break;
            }
            // The fetch stands at the end: what lies between is holes (markers, aborted or compacted records).
            (to, end) = (to.max(offset.unwrap_or(to)), offset);
            continue;
        }
        let Some(position) = offset.filter(|offset| *offset >= to) else { continue };
        headers.clear();
        message.headers(context.limits.headers, &mut headers);
        let millis = message.millis();
        let record = Record {
            position,
            key: message.key(),
            payload: message.payload(),
            headers: &headers,
            record_time: millis.map(Timestamp::from_millis),
        };
        if let Err(undecodable) = stream.decoder.decode(&record, builder) {
            sample(slot, context, message, undecodable, observed);
        }
        to = position + 1;
        (slot.records_to, slot.leader_epoch) = (to, message.leader_epoch());
        slot.frontier = slot.frontier.max(millis);
        if builder.is_full() {
            send(slot, builder, context, to, observed)?;
            builder.refill(&context.spares);
        }
    }
    send(slot, builder, context, to, observed)?;
    if messages.len() > 0 && fault.is_none() {
        slot.fetched(now);
        slot.delivered = now;
        // In memory from the newest fetch response. At the high watermark nothing can be unread.
        let marks = ffi::watermarks(client, &stream.topic, slot.partition);
        if let Some((log_start, _)) = marks {
            slot.log_start = slot.log_start.max(log_start);
        }
        let confirmed = end == Some(slot.next);
        let fresh = slot.end_confirmed.is_some_and(|at| now.duration_since(at) < TAIL_EVERY);
        let at_end = confirmed || marks.is_some_and(|(_, high)| high == slot.next);
        if slot.unreachable.take().is_some() {
            let state = if at_end { SourceState::AtEnd } else { SourceState::Reading };
            context.out.send(Input::State(Arc::clone(&slot.source), state, observed))?;
        }
        if at_end && (confirmed || !fresh) {
            tail(slot, context, slot.next, observed, now)?;
        }
    }
    Ok(fault)
}

/// Sends what is decoded, and the holes up to `to`.
fn send(
    slot: &mut Slot,
    builder: &mut BatchBuilder,
    context: &ReadContext,
    to: u64,
    observed: Timestamp,
) -> Result<(), Gone> {
    if to > slot.next {
        let source = Arc::clone(&slot.source);
        let batch = builder.finish(source, slot.next, to, observed, slot.leader_epoch);
        context.out.send(Input::Batch(batch))?;
        slot.next = to;
    }
    Ok(())
}

/// Says that the end is at `end` and that everything before it was sent.
pub(super) fn tail(slot: &mut Slot, context: &ReadContext, end: u64, at: Timestamp, now: Instant) -> Result<(), Gone> {
    slot.end_confirmed = Some(now);
    let source = Arc::clone(&slot.source);
    context.out.send(Input::Tail(Tail { source, next: slot.next, end, log_start: slot.log_start, at }))
}

fn sample(slot: &Slot, context: &ReadContext, message: Message<'_>, fault: Undecodable, at: Timestamp) {
    let sample = DecodeSample {
        cluster: slot.source.cluster.to_string(),
        stream: slot.source.stream.to_string(),
        partition: slot.source.partition,
        position: u64::try_from(message.offset()).unwrap_or(0),
        reason: fault.reason,
        detail: fault.detail,
        preview: preview(message.payload().unwrap_or_default()),
        at,
    };
    // Full or unread: the record was counted as an undecodable event all the same.
    if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = context.samples.try_send(sample) {}
}
