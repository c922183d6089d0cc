//! What the tests share: a second, naive opinion on every number (`oracle`), seeded workloads (`generate`),
//! a log in memory (`fakelog`), and the comparison of the two opinions (`compare`).
//!
//! Nothing here looks into `src/engine`; `drive`, `reader`, `script` and `story` feed it through its public face. The oracle is written from
//! `docs/SEMANTICS.md` alone: it takes all records at once and sorts, where the engine takes them one
//! by one and corrects itself.
#![allow(dead_code, reason = "each test binary uses its own part of this folder")]

pub mod compare;
pub mod drive;
pub mod durable;
pub mod fakelog;
pub mod generate;
pub mod http;
pub mod oracle;
pub mod ports;
pub mod process;
pub mod reader;
pub mod record;
pub mod rng;
pub mod script;
pub mod store;
pub mod story;
pub mod wire;
