//! How many bytes a record takes on its way: a log says how large a batch may be, and a batch has one record at least.

use crate::broker::NewRecord;

/// Bytes of a batch before its records, in the format that Kafka has since 0.11.
const BATCH: u64 = 61;
/// Attributes, and the distances of time and position to those of the batch: 0 for the first record.
const RECORD: u64 = 3;

/// Bytes of a batch with this record alone, not compressed.
pub(super) fn batch_bytes(record: &NewRecord) -> u64 {
    let bytes = |of: &Option<Vec<u8>>| of.as_ref().map_or(1, |b| counted(b.len()));
    let headers = record.headers.iter().map(|(name, value)| counted(name.len()) + counted(value.len()));
    let of = RECORD + bytes(&record.key) + bytes(&record.payload) + length(record.headers.len()) + headers.sum::<u64>();
    BATCH + length(usize::try_from(of).unwrap_or(usize::MAX)) + of
}

/// Bytes of so many bytes behind their number.
fn counted(bytes: usize) -> u64 {
    length(bytes) + bytes as u64
}

/// Bytes of a number: seven bits in each, and one bit of the first for its sign.
fn length(number: usize) -> u64 {
    let bits = u64::from(usize::BITS - number.leading_zeros()) + 1;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_what_zigzag_takes() {
        for (number, bytes) in
            [(0, 1), (1, 1), (63, 1), (64, 2), (8_191, 2), (8_192, 3), (1_048_575, 3), (1_048_576, 4)]
        {
            assert_eq!(length(number), bytes, "{number}");
        }
    }
}
