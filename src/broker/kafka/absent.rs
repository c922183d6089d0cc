//! Streams that are named and that the brokers do not know. Pure.
//!
//! A broker that has just started, or has not heard of it yet, does not know a stream that exists: one such answer
//! proves nothing, several in a row do.

use std::collections::HashMap;

use crate::model::{MICROS_PER_SECOND, Start, Timestamp};

/// Answers in a row, half a second apart, that prove it.
const PROOF: u32 = 3;
/// A record may be this much older than its stream: it waits in its producer until the stream is there.
const WAITED: i64 = 30 * MICROS_PER_SECOND;

struct Absence {
    /// The first answer without it.
    since: Timestamp,
    in_a_row: u32,
    proven: bool,
}

/// Streams that were absent at some time.
#[derive(Default)]
pub(super) struct Absent(HashMap<String, Absence>);

impl Absent {
    /// An answer at `at` does not know a stream. True: it is proven that there is none.
    pub(super) fn missed(&mut self, name: &str, at: Timestamp) -> bool {
        let new = Absence { since: at, in_a_row: 0, proven: false };
        let absence = self.0.entry(name.to_owned()).or_insert(new);
        absence.in_a_row += 1;
        let proof = absence.in_a_row >= PROOF;
        absence.proven |= proof;
        proof
    }

    /// An answer knows a stream.
    pub(super) fn found(&mut self, name: &str) {
        if let Some(absence) = self.0.get_mut(name) {
            absence.in_a_row = 0;
        }
    }

    /// Where a stream begins on first sight: `latest` means "from when we began to look for it", not "from when we
    /// found it". What did not exist then is read whole, of what may have existed that which came since then.
    pub(super) fn first_start(&self, name: &str, start: Start) -> Start {
        match (start, self.0.get(name)) {
            (Start::Latest, Some(absence)) if absence.proven => Start::Earliest,
            (Start::Latest, Some(absence)) => Start::At(Timestamp(absence.since.0.saturating_sub(WAITED))),
            _ => start,
        }
    }

    /// Forgets all others.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| keep(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_without_a_stream_is_not_taken_for_its_absence() {
        let mut absent = Absent::default();
        let since = Timestamp::from_seconds(1_000);
        let a_little_before = Start::At(Timestamp::from_seconds(970));
        for seconds in 0..10 {
            let at = Timestamp::from_seconds(1_000 + seconds);
            assert!(!absent.missed("orders", at) && !absent.missed("orders", at));
            absent.found("orders");
        }
        assert_eq!(absent.first_start("orders", Start::Latest), a_little_before, "nothing of before is read");
        assert_eq!(absent.first_start("others", Start::Latest), Start::Latest);
        let said: Vec<_> = (0..4).map(|_| absent.missed("orders", since)).collect();
        assert_eq!(said, [false, false, true, true]);
        absent.found("orders");
        assert_eq!(absent.first_start("orders", Start::Latest), Start::Earliest, "it was made while we waited");
        assert_eq!(absent.first_start("orders", Start::At(since)), Start::At(since));
        absent.retain(|name| name != "orders");
        assert_eq!(absent.first_start("orders", Start::Latest), Start::Latest);
    }
}
