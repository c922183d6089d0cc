//! Frames: what one view looks like at one tick, rendered once for any number of clients.
//!
//! A client that saw the tick before gets the delta (parts that changed, new chart points); any
//! other gets all parts, and the points since the tick that it saw last, or the whole history where
//! that tick is forgotten. So nobody keeps a stale part, however slow or long away.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use super::page::{self, PageContext, Part, View};
use super::sse::{self, Piece};
use super::viewer::Viewer;
use super::{Status, api};
use crate::snapshot::Snapshot;

/// Ticks whose clients can still be given just the points that they missed: 75 s at four ticks a second.
pub const RING_TICKS: u64 = 300;

/// A lock whose holder may have panicked in a template: what it guards is replaced whole, never half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What clients subscribe to. Equal specs share one rendering.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// Which view.
    pub view: View,
    /// How it is seen.
    pub viewer: Viewer,
}

/// One state of the world that frames are made from.
#[derive(Debug)]
pub struct Tick {
    /// Number within this process; consecutive.
    pub seq: u64,
    /// Read model.
    pub snapshot: Arc<Snapshot>,
    /// State of the process.
    pub status: Arc<Status>,
}

/// What makes the frames of one process alike.
#[derive(Debug)]
pub struct Origin {
    /// Id of the process.
    pub boot: String,
    /// Path prefix of links.
    pub base: String,
}

/// One view at one tick.
pub struct Frame {
    tick: Arc<Tick>,
    spec: Arc<Spec>,
    origin: Arc<Origin>,
    parts: Vec<Part>,
    hashes: Vec<u64>,
    /// The newest second whose chart point a client of this frame has for good.
    complete: Option<i64>,
    delta: Option<Arc<Piece>>,
    /// By the second after which points are due. Bounded: one for each tick of the ring and one for `None`.
    full: Mutex<BTreeMap<Option<i64>, Arc<Piece>>>,
}

impl Frame {
    /// Renders a view; `before` is its frame of the tick before, if there is one.
    #[must_use]
    pub fn render(spec: &Arc<Spec>, origin: &Arc<Origin>, tick: &Arc<Tick>, before: Option<&Self>) -> Self {
        let cx = spec.viewer.context(&tick.snapshot, &tick.status, &origin.base);
        let parts = page::parts_after(&spec.view, &cx, before.map(|b| (&*b.tick.snapshot, &*b.parts)));
        let mut frame = Self {
            hashes: parts.iter().map(|p| xxh3_64(p.html.as_bytes())).collect(),
            complete: page::newest_complete(&spec.view, &cx),
            parts,
            tick: Arc::clone(tick),
            spec: Arc::clone(spec),
            origin: Arc::clone(origin),
            delta: None,
            full: Mutex::new(BTreeMap::new()),
        };
        frame.delta = before.map(|before| Arc::new(Piece::new(&frame.delta_text(before))));
        frame
    }

    /// Number of its tick.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.tick.seq
    }

    /// For clients that have the frame of the tick before; `None` where there was none.
    #[must_use]
    pub fn delta(&self) -> Option<Arc<Piece>> {
        self.delta.clone()
    }

    /// For all others: every part, and the points later than `after` or the whole history. Made once per `after`.
    #[must_use]
    pub fn full(&self, after: Option<i64>) -> Arc<Piece> {
        let mut made = lock(&self.full);
        Arc::clone(made.entry(after).or_insert_with(|| {
            let mut text = String::new();
            self.snap(&mut text);
            self.points(&mut text, after);
            self.close(&mut text);
            Arc::new(Piece::new(&text))
        }))
    }

    fn delta_text(&self, before: &Self) -> String {
        let mut text = String::new();
        let same_parts = self.parts.iter().map(|p| &p.id).eq(before.parts.iter().map(|p| &p.id));
        if same_parts {
            let pairs = self.parts.iter().zip(self.hashes.iter().zip(&before.hashes));
            let changed: Vec<_> = pairs.filter(|(_, (now, then))| now != then).map(|(p, _)| p.html.as_str()).collect();
            if !changed.is_empty() {
                sse::event(&mut text, "frag", None, &changed.join("\n"));
            }
        } else {
            self.snap(&mut text);
        }
        self.points(&mut text, before.complete);
        self.close(&mut text);
        text
    }

    fn context(&self) -> PageContext<'_> {
        self.spec.viewer.context(&self.tick.snapshot, &self.tick.status, &self.origin.base)
    }

    fn snap(&self, text: &mut String) {
        let all: Vec<_> = self.parts.iter().map(|p| p.html.as_str()).collect();
        sse::event(text, "snap", None, &all.join("\n"));
    }

    fn points(&self, text: &mut String, after: Option<i64>) {
        let name = if after.is_some() { "pt" } else { "hist" };
        sse::event(text, name, None, &page::points(&self.spec.view, &self.context(), after));
    }

    /// Ends the frame: its age and its id. The id comes last, so half a frame is never taken for seen.
    fn close(&self, text: &mut String) {
        let Tick { seq, snapshot, .. } = &*self.tick;
        let data = json!({"seq": seq, "revision": snapshot.revision, "as_of": api::Rfc3339(snapshot.as_of)});
        sse::event(text, "tick", Some(&format!("{}-{seq}", self.origin.boot)), &data.to_string());
    }
}

/// What the newest ticks of one view had shown: which points a client that saw one of them misses.
#[derive(Debug, Default)]
pub struct Ring(VecDeque<(u64, Option<i64>)>);

impl Ring {
    /// Remembers a frame, forgets those that are too old.
    pub fn push(&mut self, frame: &Frame) {
        self.0.push_back((frame.seq(), frame.complete));
        while self.0.front().is_some_and(|(seq, _)| seq + RING_TICKS <= frame.seq()) {
            self.0.pop_front();
        }
    }

    /// The second after which a client that saw `seq` misses points; `None`: it needs the whole history.
    #[must_use]
    pub fn missed(&self, seq: u64) -> Option<i64> {
        self.0.binary_search_by_key(&seq, |m| m.0).ok().and_then(|at| self.0[at].1)
    }
}
