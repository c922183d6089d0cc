//! What became of one transaction, by its id.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Engine;
use super::flow::seed_of;
use super::resolve::Fate;
use super::tombstone::Left;
use crate::model::Outcome;

impl Engine {
    /// Whether a transaction has ended `ok`, also by a recovery. `None`: nothing is known of it (any more).
    pub fn ended_ok(&mut self, flow: &str, transaction: &str) -> Option<bool> {
        let key = xxh3_64_with_seed(transaction.as_bytes(), seed_of(flow, self.seed));
        let Some(slot) = self.table.find(key) else {
            let stone = self.stones.find(key, i64::MIN)?;
            return match stone.left() {
                Left::Ended(outcome) => Some(outcome == Outcome::Ok),
                Left::Recovered => Some(true),
                Left::Unexplained => Some(false),
                Left::OpenEnded | Left::Evicted => None,
            };
        };
        let mut scratch = self.scratch.take().unwrap_or_default();
        self.table.load(slot, &mut scratch.events);
        let known = self.resolve_old(slot, &mut scratch);
        let ok = scratch.old.fate() == Fate::Ended(Outcome::Ok);
        self.done(scratch);
        known.then_some(ok)
    }
}
