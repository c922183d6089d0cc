//! Every bound of the web edge by name; they share `[limits]` with those of the engine.

/// Bounds of the web edge. What exceeds one is refused with an answer that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebLimits {
    /// Bytes of a request body. Above: 413.
    pub body_bytes: usize,
    /// Events in one `POST /transactions`. Above: 413.
    pub body_events: usize,
    /// Open connections, live streams included (about 12 KiB each while a request runs). Above: 503 with Retry-After.
    pub connections: usize,
    /// Live streams (SSE, about 0.5 KiB each). Above: 503 with Retry-After.
    pub live_streams: usize,
    /// Different live views (page, language, range and so on) that are rendered each tick. Above: 503 with Retry-After.
    pub live_views: usize,
    /// Threads that write the live streams. One writes some 100,000 frames a second.
    pub fanout_threads: usize,
    /// Idempotency keys kept, for 24 h at most. Overflow: the oldest goes.
    pub idempotency_keys: usize,
}

impl Default for WebLimits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            body_events: 10_000,
            connections: 12_000, // 10,000 dashboards are the promise; the rest is for everybody else
            live_streams: 10_000,
            live_views: 256,
            fanout_threads: 2,
            idempotency_keys: 100_000,
        }
    }
}
