//! Moves records within the log, each exactly once: a step is written down before it begins and crossed out
//! together with its progress. After a crash the next mover of that name looks which of its records are there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::cursor::Cursor;
use super::frame::{put_record, record_bytes};
use super::write::check;
use super::{EmbeddedLog, Shared, observe};
use crate::broker::{Move, MoveError, NewRecord, Outgoing, RawRecord, Write as _, WriteError};
use crate::model::Timestamp;
use crate::store::{GroupPosition, StoreError};

/// Moves under one name, which is also the group that keeps the progress.
pub(super) struct Mover {
    log: EmbeddedLog,
    name: String,
    number: u64,
    runtime: tokio::runtime::Runtime,
    /// True once a step that an earlier mover left half done was looked for.
    mended: bool,
}

/// A step as it is written down.
#[derive(Serialize, Deserialize)]
struct Step {
    stream: String,
    progress: Vec<(u32, u64)>,
    /// Ends of the targets before it: its records lie behind them. Target, partition, end.
    ends: Vec<(String, u32, u64)>,
    out: Vec<Planned>,
}

#[derive(Serialize, Deserialize)]
struct Planned {
    stream: String,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
    record_time: Option<i64>,
}

impl Planned {
    fn record(&self) -> NewRecord {
        NewRecord {
            key: self.key.clone(),
            payload: self.payload.clone(),
            headers: self.headers.clone(),
            record_time: self.record_time.map(Timestamp),
        }
    }
}

impl Mover {
    /// Takes the name over from whoever had it.
    pub(super) fn new(log: EmbeddedLog, name: &str) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
        let number = log.shared.groups.enter(name);
        Ok(Self { log, name: name.to_owned(), number, runtime, mended: false })
    }

    fn check(&self) -> Result<(), MoveError> {
        if self.log.shared.groups.is_newest(&self.name, self.number) {
            return Ok(());
        }
        Err(MoveError::Fenced(format!("{} was begun again", self.name)))
    }

    /// Ends a step that was begun and not crossed out: appends those of its records that are not there.
    fn mend(&mut self) -> Result<(), MoveError> {
        if self.mended {
            return Ok(());
        }
        if let Some(bytes) = self.log.shared.groups.store().begun(&self.name).map_err(|e| unavailable(&e))? {
            let step: Step = postcard::from_bytes(&bytes)
                .map_err(|error| MoveError::Refused(format!("the step of {} cannot be read: {error}", self.name)))?;
            let mut there = self.fingerprints(&step.ends)?;
            let missing = step.out.iter().filter(|planned| {
                let at = (planned.stream.clone(), print(&planned.record()));
                there.get_mut(&at).is_none_or(|count| {
                    let found = *count > 0;
                    *count = count.saturating_sub(1);
                    !found
                })
            });
            let missing: Vec<&Planned> = missing.collect();
            self.append(&missing)?;
            self.end(&step.stream, &step.progress)?;
        }
        self.mended = true;
        Ok(())
    }

    /// How often each record lies behind the given ends.
    fn fingerprints(&self, ends: &[(String, u32, u64)]) -> Result<HashMap<(String, u128), u32>, MoveError> {
        let mut found = HashMap::new();
        for (stream, partition, end) in ends {
            let Some(of) = self.log.shared.stream(stream) else { continue };
            let Some(of) = of.partitions.get(*partition as usize) else { continue };
            let mut cursor = Cursor::new(Arc::clone(of), (*end).max(of.view().log_start()));
            while let Some(record) = cursor.record().map_err(|stuck| MoveError::Unavailable(stuck.to_string()))? {
                let print = print(&plain(observe::raw(stream, *partition, &record)));
                *found.entry((stream.clone(), print)).or_insert(0) += 1;
            }
        }
        Ok(found)
    }

    fn append(&self, records: &[&Planned]) -> Result<(), MoveError> {
        let mut streams: Vec<&str> = records.iter().map(|r| r.stream.as_str()).collect();
        streams.sort_unstable();
        streams.dedup();
        for stream in streams {
            let of = records.iter().filter(|r| r.stream == stream).map(|r| r.record()).collect();
            self.runtime.block_on(self.log.append(stream, of)).map_err(|error| match error {
                WriteError::Unavailable(words) => MoveError::Unavailable(words),
                WriteError::Refused(words) => MoveError::Refused(words),
            })?;
        }
        Ok(())
    }

    fn end(&self, stream: &str, progress: &[(u32, u64)]) -> Result<(), MoveError> {
        let shared = &self.log.shared;
        let of = shared.stream(stream).ok_or_else(|| MoveError::Refused(format!("no stream {stream}")))?;
        let at = (shared.now)();
        let row = |(partition, next): &(u32, u64)| GroupPosition {
            group: self.name.clone(),
            stream: stream.to_owned(),
            partition: *partition,
            incarnation: of.incarnation.clone(),
            next: *next,
            at,
        };
        shared.groups.commit(None, progress.iter().map(row).collect(), Some(&self.name))
    }
}

impl Move for Mover {
    fn progress(&mut self, stream: &str, _deadline: Duration) -> Result<Vec<(u32, u64)>, MoveError> {
        self.check()?;
        self.mend()?;
        let incarnation = self.log.shared.stream(stream).map(|s| s.incarnation.clone()).unwrap_or_default();
        Ok(self.log.shared.groups.progress(&self.name, stream, &incarnation))
    }

    fn step(
        &mut self,
        stream: &str,
        out: Vec<Outgoing>,
        progress: &[(u32, u64)],
        _deadline: Duration,
    ) -> Result<(), MoveError> {
        self.check()?;
        self.mend()?;
        // A step that is written down has to be made: what will never fit is said before.
        let most = self.log.shared.options.record_bytes;
        let large = |(place, of): (usize, &Outgoing)| (record_bytes(&of.record) > most).then_some(place);
        let too_large: Vec<usize> = out.iter().enumerate().filter_map(large).collect();
        if !too_large.is_empty() {
            return Err(MoveError::TooLarge(too_large));
        }
        for (place, of) in out.iter().enumerate() {
            check(place, &of.record, most).map_err(|error| MoveError::Refused(error.to_string()))?;
        }
        let step = plan(&self.log.shared, stream, out, progress);
        let bytes = postcard::to_stdvec(&step).map_err(|error| MoveError::Refused(error.to_string()))?;
        self.log.shared.groups.store().begin(&self.name, &bytes).map_err(|e| unavailable(&e))?;
        // From here on a failure leaves a begun step: the next call, of whoever, mends it before anything else.
        self.mended = false;
        self.append(&step.out.iter().collect::<Vec<_>>())?;
        self.end(stream, progress)?;
        self.mended = true;
        Ok(())
    }
}

/// The step with the ends that its targets have now.
fn plan(shared: &Shared, stream: &str, out: Vec<Outgoing>, progress: &[(u32, u64)]) -> Step {
    let mut ends = Vec::new();
    for outgoing in &out {
        let Some(of) = shared.stream(&outgoing.stream) else { continue };
        for partition in &of.partitions {
            let end = (outgoing.stream.clone(), partition.number, partition.view().end);
            if !ends.iter().any(|(s, p, _)| (s, *p) == (&end.0, end.1)) {
                ends.push(end);
            }
        }
    }
    // A target that is not there yet is made by its first record: all of it lies behind 0.
    for outgoing in out.iter().filter(|o| shared.stream(&o.stream).is_none()) {
        if !ends.iter().any(|(s, ..)| *s == outgoing.stream) {
            let partitions = 0..shared.options.partitions;
            ends.extend(partitions.map(|p| (outgoing.stream.clone(), p, 0)));
        }
    }
    let planned = |o: Outgoing| Planned {
        stream: o.stream,
        key: o.record.key,
        payload: o.record.payload,
        headers: o.record.headers,
        record_time: o.record.record_time.map(|t| t.0),
    };
    Step { stream: stream.to_owned(), progress: progress.to_vec(), ends, out: out.into_iter().map(planned).collect() }
}

fn unavailable(error: &StoreError) -> MoveError {
    MoveError::Unavailable(error.to_string())
}

/// Equal for records of equal content; their time may have been assigned by the log and does not count.
fn print(record: &NewRecord) -> u128 {
    let mut bytes = Vec::new();
    put_record(&mut bytes, &NewRecord { record_time: None, ..record.clone() });
    xxh3_128(&bytes)
}

/// A record as it was handed in.
fn plain(raw: RawRecord) -> NewRecord {
    let header = |(name, value): (Vec<u8>, Option<Vec<u8>>)| {
        (String::from_utf8_lossy(&name).into_owned(), value.unwrap_or_default())
    };
    NewRecord {
        key: raw.key,
        payload: raw.payload,
        headers: raw.headers.into_iter().map(header).collect(),
        record_time: None,
    }
}

/// A step as a mover that then crashed would have written it down.
#[cfg(test)]
pub(super) fn begun_for_test(log: &EmbeddedLog, stream: &str, out: Vec<Outgoing>, progress: &[(u32, u64)]) -> Vec<u8> {
    postcard::to_stdvec(&plan(&log.shared, stream, out, progress)).unwrap()
}
