//! Streams come (at their first append) and old segments go (by size and by age).

use std::fs;
use std::sync::{Arc, PoisonError};

use super::disk::{self, Description};
use super::partition::{Partition, Stream, View};
use super::{LogOptions, Shared};
use crate::broker::WriteError;
use crate::model::{MICROS_PER_SECOND, Timestamp};

/// Makes a stream, or finds it made meanwhile. Its name has been checked.
pub(super) fn make(shared: &Shared, name: &str) -> Result<Arc<Stream>, WriteError> {
    if let Some(stream) = shared.stream(name) {
        return Ok(stream);
    }
    let most = shared.options.streams;
    if shared.streams().len() >= most {
        let words = format!("stream {name:?} would be one more than the {most} that the log takes (streams)");
        return Err(WriteError::Refused(words));
    }
    let (dir, now) = (shared.dir.join(name), (shared.now)());
    let description = Description { incarnation: incarnation(now), partitions: shared.options.partitions.max(1) };
    let made = fs::create_dir_all(&dir).and_then(|()| description.write(&dir));
    made.and_then(|()| disk::sync_dir(&shared.dir))
        .map_err(|error| WriteError::Unavailable(format!("{}: {error}", dir.display())))?;
    let view = View { backdated: Some((now, None)), ..View::default() };
    let partition = |number| Partition::new(dir.clone(), number, &description.incarnation, view.clone());
    let partitions = (0..description.partitions).map(|number| Arc::new(partition(number))).collect();
    let name: Arc<str> = name.into();
    let stream = Arc::new(Stream { name: Arc::clone(&name), incarnation: description.incarnation, partitions });
    shared.streams.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::clone(&stream));
    Ok(stream)
}

/// Unlike any other: the time it was made and random bits.
fn incarnation(now: Timestamp) -> String {
    let nanos = now.0.rem_euclid(MICROS_PER_SECOND) as u32 * 1_000;
    let time = uuid::Timestamp::from_unix(uuid::NoContext, now.second().unsigned_abs(), nanos);
    uuid::Uuid::new_v7(time).to_string()
}

/// Removes the oldest segments while the partition is too large, or while all of their records are too old.
/// The newest one always stays: it says where the log ends.
pub(super) fn expire(partition: &Partition, options: &LogOptions, now: Timestamp) {
    let oldest = now.plus(-(options.retain_age.as_micros() as i64));
    loop {
        let gone = {
            let mut view = partition.view();
            let bytes: u64 = view.segments.iter().map(|s| s.bytes).sum();
            let Some(second) = view.segments.get(1) else { return };
            // What lies before a segment was appended before it began.
            let old = second.bytes > 0 && second.began < oldest;
            if bytes <= options.retain_bytes && !old {
                return;
            }
            view.segments.pop_front()
        };
        let Some(gone) = gone else { return };
        let path = partition.segment_path(gone.base);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(file = %path.display(), %error, "an expired segment could not be removed");
        }
    }
}
