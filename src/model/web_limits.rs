//! Every bound of the web edge by name; they share `[limits]` with those of the engine.

/// Bounds of the web edge. What exceeds one is refused with an answer that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebLimits {
    /// Bytes of a request body. Above: 413.
    pub body_bytes: usize,
    /// Events in one `POST /transactions`. Above: 413.
    pub body_events: usize,
    /// Headers of a request. Above: 431.
    pub request_headers: usize,
    /// Bytes of the request line and headers together. Above: 431.
    pub request_head_bytes: usize,
    /// Open connections, live streams included. Above: new ones wait in the system's queue.
    pub connections: usize,
    /// Live streams (SSE). Above: 503 with Retry-After.
    pub live_streams: usize,
    /// `POST /transactions` that wait for the log's acknowledgement at once. Above: 503 with Retry-After.
    pub posts_in_flight: usize,
    /// Idempotency keys kept, for 24 h at most. Overflow: the oldest goes.
    pub idempotency_keys: usize,
    /// Bytes of an `Idempotency-Key`. Above: 400.
    pub idempotency_key_bytes: usize,
    /// Rows of one page of a JSON answer or of a table.
    pub page_rows: usize,
}

impl Default for WebLimits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            body_events: 10_000,
            request_headers: 64,
            request_head_bytes: 16 * 1024,
            connections: 12_000, // 10,000 dashboards are the promise; the rest is for everybody else
            live_streams: 10_000,
            posts_in_flight: 1_024,
            idempotency_keys: 100_000,
            idempotency_key_bytes: 255,
            page_rows: 500,
        }
    }
}
