//! The floor that our reading is measured against: everything on the caller's thread.
//!
//! The same client settings, the same consume call and header policy as the reader, decoded in place
//! and handed to `apply` as batches: no channel, no second thread of ours, no checkpoint, no tick.
//! Used by `examples/throughput.rs` only; it lies here because no type of the client leaves this folder.

use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::KafkaConfig;
use super::ffi::{self, Code, Queue, Room};
use crate::decode::{BATCH_EVENTS, BatchBuilder, Decoder, Record};
use crate::model::{Batch, Format, Limits, SourceKey, Timestamp};

/// Gives up when nothing came for so long.
const SILENCE: Duration = Duration::from_secs(20);

struct Lane {
    source: Arc<SourceKey>,
    queue: Queue,
    builder: BatchBuilder,
    next: u64,
    /// Newest record time: the lane that is furthest behind goes first.
    frontier: i64,
}

/// Reads `partitions` partitions of each topic from the beginning until `records` records were applied.
///
/// # Errors
/// In words: a client that cannot be made, a topic that is not there, or silence.
pub fn read_all(
    config: &KafkaConfig,
    topics: &[&str],
    partitions: i32,
    records: u64,
    mut apply: impl FnMut(&Batch),
) -> Result<u64, String> {
    let client = config.reader(topics.len() * partitions as usize, 1)?;
    let limits = Limits::default();
    let mut lanes = Vec::new();
    let mut assigned = Vec::new();
    let wake = Arc::new(std::thread::current());
    for topic in topics {
        let name: Arc<std::ffi::CStr> = CString::new(*topic).map_err(|e| e.to_string())?.into();
        for partition in 0..partitions {
            let thread = Arc::clone(&wake);
            let queue = Queue::of_partition(&client, &name, partition, Box::new(move || thread.unpark()))
                .ok_or_else(|| format!("no queue of {topic}/{partition}"))?;
            let source = SourceKey {
                cluster: "main".into(),
                stream: (*topic).into(),
                generation: 0,
                partition: partition as u32,
            };
            lanes.push(Lane {
                source: Arc::new(source),
                queue,
                builder: BatchBuilder::new(),
                next: 0,
                frontier: i64::MIN,
            });
            assigned.push((Arc::clone(&name), partition, 0, -1));
        }
    }
    let decoders: Vec<_> = topics.iter().map(|t| Decoder::new(&Format::Event, &limits, t)).collect();
    ffi::assign(&client, &assigned).map_err(|fault| fault.words)?;
    let (mut seen, mut room, mut heard) = (0u64, Room::new(BATCH_EVENTS), Instant::now());
    let mut order: Vec<usize> = (0..lanes.len()).collect();
    while seen < records {
        // One batch of the lane furthest behind that has something.
        order.sort_by_key(|n| lanes[*n].frontier);
        let mut took = 0;
        for n in &order {
            let lane = &mut lanes[*n];
            took = take(lane, &decoders[*n / partitions as usize], &limits, &mut room, &mut apply)?;
            if took > 0 {
                break;
            }
        }
        seen += took;
        if took > 0 {
            heard = Instant::now();
        } else if heard.elapsed() > SILENCE {
            return Err(format!("{seen} of {records} records, then nothing for {SILENCE:?}"));
        } else {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
    Ok(seen)
}

/// Takes what one lane has, at most one batch; the number of records.
fn take(
    lane: &mut Lane,
    decoder: &Decoder,
    limits: &Limits,
    room: &mut Room,
    apply: &mut impl FnMut(&Batch),
) -> Result<u64, String> {
    let mut headers = Vec::new();
    let messages = lane.queue.take(room);
    let (from, mut took) = (lane.next, 0);
    for message in messages.iter() {
        if let Some(fault) = message.fault() {
            if fault.code != Code::PartitionEOF {
                return Err(fault.words);
            }
            continue;
        }
        headers.clear();
        message.headers(limits.headers, &mut headers);
        let millis = message.millis();
        let record = Record {
            position: message.offset() as u64,
            key: message.key(),
            payload: message.payload(),
            headers: &headers,
            record_time: millis.map(Timestamp::from_millis),
        };
        // What cannot be decoded is an event all the same.
        let _undecodable = decoder.decode(&record, &mut lane.builder);
        lane.next = record.position + 1;
        lane.frontier = lane.frontier.max(millis.unwrap_or(i64::MIN));
        took += 1;
    }
    if took > 0 {
        let batch = lane.builder.finish(Arc::clone(&lane.source), from, lane.next, Timestamp(0), -1);
        apply(&batch);
        lane.builder.recycle(batch);
    }
    Ok(took)
}
