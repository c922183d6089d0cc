//! The writer's side of callers: records become frames, frames wait in a bounded queue for the thread.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use xxhash_rust::xxh3::xxh3_64;

use super::frame::{HEADER, put_record, record_bytes};
use super::partition::{Partition, Stream};
use super::{EmbeddedLog, Shared, append, disk, held};
use crate::broker::{Appended, Boxed, NewRecord, Write, WriteError};
use crate::model::Timestamp;
use crate::store::StoreError;

/// Bytes of records after which a frame is closed: what a reader has to hold at once.
pub(super) const FRAME_BYTES: usize = 1 << 20;
/// Headers of one record.
const HEADERS: usize = 1_000;

/// The way to the writer's thread. Dropping it lets the thread write what waits, then ends it.
pub(super) struct Queue {
    jobs: Option<SyncSender<Job>>,
    /// One permit per KiB of waiting appends; an append takes at least one, so the channel never fills up.
    room: Arc<Semaphore>,
    permits: u32,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread is asked for.
pub(super) enum Job {
    Make { stream: String, reply: oneshot::Sender<Result<Arc<Stream>, WriteError>> },
    Append(Append),
}

/// One frame to write, its header still blank.
pub(super) struct Append {
    pub partition: Arc<Partition>,
    pub bytes: Vec<u8>,
    pub count: u32,
    /// Latest record time that the caller brought.
    pub max_time: Option<Timestamp>,
    /// Answered with the position of its first record.
    pub reply: Option<oneshot::Sender<Result<u64, String>>>,
    /// Given back when the append has been written.
    pub _room: OwnedSemaphorePermit,
}

impl Queue {
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let permits = u32::try_from(shared.options.queue_bytes / 1024).unwrap_or(u32::MAX).max(1);
        let (jobs, waiting) = sync_channel(permits as usize + 1);
        let for_thread = Arc::clone(shared);
        let thread =
            std::thread::Builder::new().name("log-write".into()).spawn(move || append::run(&for_thread, &waiting));
        let thread = thread.map_err(disk::io(&shared.dir))?;
        let room = Arc::new(Semaphore::new(permits as usize));
        Ok(Self { jobs: Some(jobs), room, permits, thread: Mutex::new(Some(thread)) })
    }

    async fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, WriteError> {
        let permits = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, self.permits);
        Arc::clone(&self.room).acquire_many_owned(permits).await.map_err(|_| closed())
    }

    fn send(&self, job: Job) -> Result<(), WriteError> {
        self.jobs.as_ref().ok_or_else(closed)?.send(job).map_err(|_| closed())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.jobs = None;
        let thread = held(&self.thread).take();
        // Its panic was reported by the panic hook; there is nobody left to tell.
        thread.map(JoinHandle::join);
    }
}

fn closed() -> WriteError {
    WriteError::Unavailable("the embedded log is closed".into())
}

impl Write for EmbeddedLog {
    fn append<'a>(&'a self, stream: &'a str, records: Vec<NewRecord>) -> Boxed<'a, Result<Vec<Appended>, WriteError>> {
        Box::pin(async move {
            let most = self.shared.options.record_bytes;
            records.iter().enumerate().try_for_each(|(i, record)| check(i, record, most))?;
            let target = match self.shared.stream(stream) {
                Some(target) => target,
                None => self.make(stream).await?,
            };
            if records.is_empty() && target.partitions.iter().any(|p| p.view().end > 0) {
                target.partitions.iter().for_each(|p| p.view().backdated = None);
            }
            let (frames, places) = frames(&records, target.partitions.len());
            drop(records);
            let mut replies = Vec::with_capacity(frames.len());
            for frame in frames {
                let room = self.queue.room_for(frame.bytes.len()).await?;
                let (reply, answer) = oneshot::channel();
                let partition = Arc::clone(&target.partitions[frame.partition]);
                replies.push((partition.number, answer));
                let Plan { bytes, count, max_time, .. } = frame;
                self.queue.send(Job::Append(Append {
                    partition,
                    bytes,
                    count,
                    max_time,
                    reply: Some(reply),
                    _room: room,
                }))?;
            }
            let mut bases = Vec::with_capacity(replies.len());
            for (partition, answer) in replies {
                let base = answer.await.map_err(|_| closed())?.map_err(WriteError::Unavailable)?;
                bases.push((partition, base));
            }
            let appended = |(frame, index): (u32, u32)| {
                let (partition, base) = bases[frame as usize];
                Appended { stream: stream.to_owned(), partition, position: base + u64::from(index) }
            };
            Ok(places.into_iter().map(appended).collect())
        })
    }
}

impl EmbeddedLog {
    async fn make(&self, stream: &str) -> Result<Arc<Stream>, WriteError> {
        disk::check_name(stream).map_err(WriteError::Refused)?;
        let (reply, answer) = oneshot::channel();
        self.queue.send(Job::Make { stream: stream.to_owned(), reply })?;
        answer.await.map_err(|_| closed())?
    }
}

pub(super) fn check(index: usize, record: &NewRecord, most: usize) -> Result<(), WriteError> {
    let bytes = record_bytes(record);
    if bytes > most {
        let words = format!("record {index} takes {bytes} bytes, at most {most} are allowed (record_bytes)");
        return Err(WriteError::Refused(words));
    }
    let names = record.headers.iter().all(|(name, _)| name.len() <= usize::from(u16::MAX));
    if record.headers.len() > HEADERS || !names {
        let words = format!("record {index} has more than {HEADERS} headers, or a header name above 65,535 bytes");
        return Err(WriteError::Refused(words));
    }
    Ok(())
}

/// A frame before it has a place.
struct Plan {
    partition: usize,
    bytes: Vec<u8>,
    count: u32,
    max_time: Option<Timestamp>,
}

/// Sorts records into frames by partition; also tells (frame, index in it) of each record.
fn frames(records: &[NewRecord], partitions: usize) -> (Vec<Plan>, Vec<(u32, u32)>) {
    let mut frames: Vec<Plan> = Vec::new();
    let mut open: Vec<Option<usize>> = vec![None; partitions];
    let mut places = Vec::with_capacity(records.len());
    for record in records {
        // Without a key the order of records means nothing: partition 0 takes them.
        let partition = record.key.as_ref().map_or(0, |key| (xxh3_64(key) % partitions as u64) as usize);
        let full = |frame: &usize| frames[*frame].bytes.len() + record_bytes(record) > FRAME_BYTES;
        let at = match open[partition].filter(|frame| !full(frame)) {
            Some(at) => at,
            None => {
                let mut bytes = Vec::with_capacity(HEADER + record_bytes(record) * records.len().min(256));
                bytes.resize(HEADER, 0);
                frames.push(Plan { partition, bytes, count: 0, max_time: None });
                open[partition] = Some(frames.len() - 1);
                frames.len() - 1
            }
        };
        let frame = &mut frames[at];
        places.push((at as u32, frame.count));
        put_record(&mut frame.bytes, record);
        frame.count += 1;
        frame.max_time = frame.max_time.max(record.record_time);
    }
    (frames, places)
}
