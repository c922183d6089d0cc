//! A real transaction behind each bucket of a flow's end-to-end latencies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::MICROS_PER_SECOND;

use super::histogram::Code;
use super::second::HistId;

/// A bucket changes its exemplar at most this often (cut time): copying an id for each sample would cost more than the sample.
const RENEWED_AFTER: i64 = 10 * MICROS_PER_SECOND;

/// One real transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemplar {
    /// Hash of flow and transaction id.
    pub key: u64,
    /// Cut time of its end.
    pub cut: i64,
    /// Its latency.
    pub micros: i64,
    /// Transaction id.
    pub transaction: String,
    /// Trace id, where an event carried one.
    pub trace: Option<[u8; 16]>,
}

/// The transaction that a sample belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Hash of flow and transaction id.
    pub key: u64,
    /// Transaction id.
    pub transaction: &'a str,
    /// Trace id, where an event carried one.
    pub trace: Option<[u8; 16]>,
}

/// Exemplars by histogram and bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemplars(BTreeMap<(HistId, Code), Exemplar>);

impl Exemplars {
    /// A sample was added.
    pub fn offer(&mut self, hist: HistId, code: Code, cut: i64, micros: i64, who: Who<'_>) {
        let old = self.0.get(&(hist, code));
        if old.is_some_and(|e| cut < e.cut.saturating_add(RENEWED_AFTER)) {
            return;
        }
        let (transaction, trace) = (who.transaction.to_owned(), who.trace);
        self.0.insert((hist, code), Exemplar { key: who.key, cut, micros, transaction, trace });
    }

    /// A sample was taken away: what stood for it must not be linked to any more.
    pub fn withdraw(&mut self, hist: HistId, code: Code, key: u64) {
        if self.0.get(&(hist, code)).is_some_and(|e| e.key == key) {
            self.0.remove(&(hist, code));
        }
    }

    /// The exemplar of a bucket, if its transaction ended at or after `from` and before `to`.
    #[must_use]
    pub fn get(&self, hist: HistId, code: Code, from: i64, to: i64) -> Option<&Exemplar> {
        self.0.get(&(hist, code)).filter(|e| (from..to).contains(&e.cut))
    }
}
