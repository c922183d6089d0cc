//! Bytes of the log: frames and the records in them. Pure: no file is touched here.
//!
//! A segment file is nothing but frames; a frame is what one append wrote to one partition, so it
//! is there as a whole or not at all. Little endian:
//!
//! ```text
//! frame   0 magic "SGL1" | 4 body bytes u32 | 8 xxh3 of all that follows, seeded with the partition u64
//!        16 first position u64 | 24 records u32 | 28 zero u32 | 32 append time i64
//!        40 bytes of this file that were durable before this frame was written u64
//!        48 latest record time i64 | 56 records
//! record  0 bytes that follow u32 | flags u8 | headers u16 | [time i64] | [key bytes u32] | [payload bytes u32]
//!         per header: name bytes u16, value bytes u32, name, value | key | payload
//! ```
//!
//! *Durable before* is what tells a torn tail from damage: a sound frame that says "everything up
//! to here was on disk" behind a broken place proves that the broken place once was sound.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::broker::NewRecord;
use crate::model::Timestamp;

/// Begins every frame; its last byte is the version of the format.
pub(super) const MAGIC: [u8; 4] = *b"SGL1";
/// Bytes of a frame before its records.
pub(super) const HEADER: usize = 56;

const HAS_KEY: u8 = 1;
const HAS_PAYLOAD: u8 = 2;
const HAS_TIME: u8 = 4;

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes of its records.
    pub body: usize,
    /// Position of its first record.
    pub base: u64,
    /// Records; 0 for a mark that only says what was durable.
    pub count: u32,
    /// Record time of the records that bring none of their own.
    pub append_time: Timestamp,
    /// Bytes of the file that were durable before it was written.
    pub durable: u64,
    /// Latest record time in it.
    pub max_time: Timestamp,
}

impl Frame {
    /// Bytes in the file.
    pub(super) const fn bytes(&self) -> usize {
        HEADER + self.body
    }

    /// Position after its last record.
    pub(super) const fn end(&self) -> u64 {
        self.base + self.count as u64
    }

    /// Reads the header at the start of `bytes`, without its checksum. `None`: too short, or no frame begins here.
    pub(super) fn peek(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        (header[..4] == MAGIC && header[28..32] == [0; 4]).then(|| Self {
            body: u32_at(header, 4) as usize,
            base: u64_at(header, 16),
            count: u32_at(header, 24),
            append_time: Timestamp(u64_at(header, 32) as i64),
            durable: u64_at(header, 40),
            max_time: Timestamp(u64_at(header, 48) as i64),
        })
    }

    /// Reads a whole frame at the start of `bytes` and checks it against its checksum.
    pub(super) fn read(bytes: &[u8], seed: u64) -> Option<Self> {
        let frame = Self::peek(bytes)?;
        let whole = bytes.get(..frame.bytes())?;
        (checksum(whole, seed) == u64_at(whole, 8)).then_some(frame)
    }

    /// Writes the header into the first [`HEADER`] bytes of `bytes`, whose records are in place already.
    pub(super) fn seal(bytes: &mut [u8], frame: &Self, seed: u64) {
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&(frame.body as u32).to_le_bytes());
        bytes[16..24].copy_from_slice(&frame.base.to_le_bytes());
        bytes[24..28].copy_from_slice(&frame.count.to_le_bytes());
        bytes[28..32].fill(0);
        bytes[32..40].copy_from_slice(&frame.append_time.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&frame.durable.to_le_bytes());
        bytes[48..56].copy_from_slice(&frame.max_time.0.to_le_bytes());
        let sum = checksum(bytes, seed);
        bytes[8..16].copy_from_slice(&sum.to_le_bytes());
    }
}

/// The length takes part as well: it lies before the bytes that are summed.
fn checksum(frame: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(&frame[16..], seed ^ (frame.len() as u64).rotate_left(32))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Bytes that a record takes in a frame.
pub(super) fn record_bytes(record: &NewRecord) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| 6 + name.len() + value.len()).sum();
    7 + 8 * usize::from(record.record_time.is_some())
        + record.key.as_ref().map_or(0, |k| 4 + k.len())
        + record.payload.as_ref().map_or(0, |p| 4 + p.len())
        + headers
}

/// Appends one record to the records of a frame. The caller has checked its size and its number of headers.
pub(super) fn put_record(out: &mut Vec<u8>, record: &NewRecord) {
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    let flags = flag(record.key.is_some(), HAS_KEY)
        | flag(record.payload.is_some(), HAS_PAYLOAD)
        | flag(record.record_time.is_some(), HAS_TIME);
    out.extend_from_slice(&((record_bytes(record) - 4) as u32).to_le_bytes());
    out.push(flags);
    out.extend_from_slice(&(record.headers.len() as u16).to_le_bytes());
    if let Some(time) = record.record_time {
        out.extend_from_slice(&time.0.to_le_bytes());
    }
    for part in [&record.key, &record.payload].into_iter().flatten() {
        out.extend_from_slice(&(part.len() as u32).to_le_bytes());
    }
    for (name, value) in &record.headers {
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(&(value.len() as u32).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value);
    }
    for part in [&record.key, &record.payload].into_iter().flatten() {
        out.extend_from_slice(part);
    }
}

/// One record as it lies in its frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordView<'a> {
    pub position: u64,
    pub record_time: Timestamp,
    pub key: Option<&'a [u8]>,
    pub payload: Option<&'a [u8]>,
    headers: &'a [u8],
    count: u16,
}

impl<'a> RecordView<'a> {
    /// Reads the record at the start of `bytes`; also says how many bytes it takes. The frame's
    /// checksum has been checked, so `None` means a defect of the writer; it is reported as damage.
    pub(super) fn read(bytes: &'a [u8], position: u64, frame: &Frame) -> Option<(Self, usize)> {
        let rest = bytes.get(..4).map(|b| u32_at(b, 0) as usize)?;
        let record = bytes.get(4..4 + rest)?;
        let (flags, count) = (*record.first()?, record.get(1..3).map(|b| u16_at(b, 0))?);
        let mut at = 3;
        let mut length = |wanted: bool| -> Option<Option<usize>> {
            if !wanted {
                return Some(None);
            }
            at += 4;
            record.get(at - 4..at).map(|b| Some(u32_at(b, 0) as usize))
        };
        let time = match flags & HAS_TIME {
            0 => None,
            _ => Some((length(true)??, length(true)??)),
        };
        let (key, payload) = (length(flags & HAS_KEY != 0)?, length(flags & HAS_PAYLOAD != 0)?);
        let headers_end = record.len().checked_sub(key.unwrap_or(0) + payload.unwrap_or(0))?;
        let key_end = headers_end + key.unwrap_or(0);
        let view = Self {
            position,
            record_time: time.map_or(frame.append_time, |(low, high)| Timestamp((low | high << 32) as i64)),
            key: key.map(|_| &record[headers_end..key_end]),
            payload: payload.map(|_| &record[key_end..]),
            headers: record.get(at..headers_end)?,
            count,
        };
        Some((view, 4 + rest))
    }

    /// Headers in order.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        let (mut rest, mut left) = (self.headers, self.count);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let lengths = rest.get(..6)?;
            let (name, value) = (u16_at(lengths, 0) as usize, u32_at(lengths, 2) as usize);
            let header = (rest.get(6..6 + name)?, rest.get(6 + name..6 + name + value)?);
            rest = &rest[6 + name + value..];
            Some(header)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<NewRecord> {
        vec![
            NewRecord::default(),
            NewRecord { key: Some(vec![]), payload: Some(b"{}".to_vec()), headers: vec![], record_time: None },
            NewRecord {
                key: Some(b"tx-1".to_vec()),
                payload: None,
                headers: vec![("traceparent".into(), b"00-1".to_vec()), (String::new(), vec![0xff])],
                record_time: Some(Timestamp(-5)),
            },
        ]
    }

    fn sealed(seed: u64) -> (Frame, Vec<u8>) {
        let mut bytes = vec![0; HEADER];
        samples().iter().for_each(|r| put_record(&mut bytes, r));
        let frame = Frame {
            body: bytes.len() - HEADER,
            base: 7,
            count: 3,
            append_time: Timestamp(99),
            durable: 1_234,
            max_time: Timestamp(99),
        };
        Frame::seal(&mut bytes, &frame, seed);
        (frame, bytes)
    }

    #[test]
    fn what_was_written_is_read() {
        let (frame, bytes) = sealed(42);
        assert_eq!(Frame::read(&bytes, 42), Some(frame));
        assert_eq!(frame.body, samples().iter().map(record_bytes).sum::<usize>());
        let mut at = HEADER;
        for (i, want) in samples().iter().enumerate() {
            let (got, used) = RecordView::read(&bytes[at..], 7 + i as u64, &frame).unwrap();
            at += used;
            assert_eq!(got.key, want.key.as_deref());
            assert_eq!(got.payload, want.payload.as_deref());
            assert_eq!(got.record_time, want.record_time.unwrap_or(Timestamp(99)));
            let headers: Vec<_> = got.headers().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            let wanted: Vec<_> = want.headers.iter().map(|(n, v)| (n.clone().into_bytes(), v.clone())).collect();
            assert_eq!(headers, wanted);
        }
        assert_eq!(at, bytes.len());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (_, bytes) = sealed(42);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Frame::read(&flipped, 42), None, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(Frame::read(&bytes[..cut], 42), None, "cut at {cut}");
        }
        assert_eq!(Frame::read(&bytes, 43), None, "a frame of another partition");
    }
}
