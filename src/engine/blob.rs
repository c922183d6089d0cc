//! The kinds of blobs in a checkpoint and their numbers.

/// Version of everything below. Another version is refused.
pub const FORMAT: u32 = 2;

/// Format, seed, global watermark, overflow counters. One blob.
pub const META: u8 = 0;
/// Partitions by number.
pub const SOURCES: u8 = 1;
/// Streams by number: name, counters, holes.
pub const STREAMS: u8 = 2;
/// Flows by number: name, configuration, stages, hops, counters, settled histograms.
pub const FLOWS: u8 = 3;
/// Pages of the transaction table, raw.
pub const PAGES: u8 = 4;
/// Transaction ids that do not fit into a slot, by slot.
pub const LONG_IDS: u8 = 5;
/// Chunks of event ids.
pub const IDS: u8 = 6;
/// Events with several copies, by id.
pub const COPIES: u8 = 7;
/// Chunks of tombstones that ended `ok`: kept for an hour.
pub const TOMBSTONES: u8 = 8;
/// Chunks of tombstones that did not: kept for a week.
pub const LASTING: u8 = 9;
/// Seconds of flows: flow and second.
pub const SECONDS: u8 = 10;
/// Minutes of streams: stream and minute.
pub const MINUTES: u8 = 11;
/// Chunks of 10 s points that are final: flow and chunk.
pub const POINTS_10S: u8 = 12;
/// Chunks of 1 m points that are final: flow and chunk.
pub const POINTS_1M: u8 = 13;

/// Bits for the time within a number; signed times are shifted so that their order is kept.
const TIME_BITS: u32 = 44;

/// A number made of an owner and a time in seconds (or in units of several).
#[must_use]
pub fn number(owner: u16, time: i64) -> u64 {
    u64::from(owner) << TIME_BITS | (time + (1 << (TIME_BITS - 1))) as u64 & ((1 << TIME_BITS) - 1)
}

/// Owner and time of a number.
#[must_use]
pub fn parts(number: u64) -> (u16, i64) {
    ((number >> TIME_BITS) as u16, (number & ((1 << TIME_BITS) - 1)) as i64 - (1 << (TIME_BITS - 1)))
}

/// A small value as bytes.
#[must_use]
pub fn encode<T: serde::Serialize + ?Sized>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("only plain data is stored, and writing to memory cannot fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_owner_and_time() {
        for owner in [0, 1, u16::MAX] {
            for time in [-1, 0, 1_795_000_000, -62_135_596_800] {
                assert_eq!(parts(number(owner, time)), (owner, time));
            }
        }
    }
}
