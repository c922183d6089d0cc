//! Streamgauge: watches transactions that travel as events through a log, and says what it saw.
//!
//! # Layout
//!
//! Five layers; imports point downward only (`tests/tidy.rs` enforces it):
//!
//! | layer | modules | what they may do |
//! |---|---|---|
//! | wiring | `app`, `config`, `cli` | know everything, decide nothing |
//! | edges | `loops`, `web`, `demo` | receive, make one pure call, send |
//! | means | `broker`, `store`, `telemetry`, `run` | talk to brokers, disks, clocks |
//! | core | `decode`, `dlq`, `engine`, `lag`, `snapshot` | pure: no clock, no I/O, no async |
//! | words | `model`, `text` | the vocabulary, no logic |
//!
//! # Flow of data
//!
//! ```text
//! cluster -> broker::read -> decode -> engine -> snapshot -> web (frame -> SSE / HTML / JSON)
//!                                        |
//!                                        +-> checkpoint -> store -> durable positions
//! web -> broker::write -> cluster                            (POST /transactions)
//! ```

pub mod app;
pub mod broker;
pub mod cli;
pub mod config;
pub mod decode;
pub mod demo;
pub mod dlq;
pub mod engine;
pub mod lag;
pub mod loops;
pub mod model;
pub mod run;
pub mod snapshot;
pub mod store;
pub mod telemetry;
pub mod text;
pub mod web;
