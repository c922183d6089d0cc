//! The bound on names: how many flows, stages, hops and streams together have numbers of their own.
//!
//! Names come with the events, so a producer that makes up a stage per event would cost memory without bound.
//! What comes beyond is folded into one `other` per flow (or of streams, or of flows), whose sums are exact.
//! A name is never given back: what was folded once stays folded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The names of one engine, shared with its flows. Only the engine's thread touches it.
#[derive(Clone, Debug)]
pub struct Series {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl Series {
    /// Room for `limit` names, and an `other` beside them where they are not enough.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { used: Arc::default(), limit: limit.max(1) }
    }

    /// True while another name may have numbers of its own.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.used.load(Ordering::Relaxed) < self.limit
    }

    /// `n` names more.
    pub fn add(&self, n: usize) {
        self.used.fetch_add(n, Ordering::Relaxed);
    }
}
