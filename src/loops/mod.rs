//! The loops of the process: each receives, makes one pure call, and sends.
//!
//! ```text
//! readers --Input--> engine --watch<Arc<Snapshot>>--> web
//!   ^   ticker --Tick-^  |
//!   |                    +--Checkpoint (one slot)--> keeper --> store
//!   +-------- watch<Arc<Positions>> <------------------+------> watch<Arc<Durable>> --> /metrics
//! lag (a thread per cluster) --watch<Arc<LagBoard>>--> engine, with each tick
//! ```

mod dlq;
mod engine;
mod keeper;
mod lag;
mod letters;
mod redrive;
mod status;
mod ticker;

pub use dlq::{DlqKeeper, PeekAnswer};
pub use engine::{EngineLoop, LOOKUP_TRANSACTIONS, Lookup};
pub use keeper::{Keeper, KeeperState};
pub use lag::{Commits, CommitsLoop, LagLoop};
pub use letters::{Reader, rules as dlq_rules};
pub use redrive::{Ended, Fared, Prepare, RedriveError, RedriveLoop, RedriveOptions, Reins};
pub use status::StatusLoop;
pub use ticker::Ticker;

/// Batches between the readers and the engine. Eight batches of 512 events are about 2 ms of work:
/// enough to keep the engine busy, little enough that backpressure reaches the reader at once.
pub const INPUT_QUEUE: usize = 8;
