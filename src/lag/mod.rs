//! Lag of consumer groups: what the surveys of one cluster add up to, how old the next unread message is, and a
//! verdict with its reason. Pure: told what was answered and when, never asking.
//!
//! ```text
//! Survey --absorb--> Board --questions--> "first record not older than t?" --learn--> time index per partition
//!                      |  ^-reads-------> "first record at this position?" ----^
//!                      +--view--> Evidence --verdict--> LagCluster
//! ```
//!
//! * The age of the next unread message comes from an index of (position, record time) that grows by asking the
//!   broker for the first record not older than a time: a bisection that needs no right to read a record, that all
//!   groups on a partition share, and that survives restarts. What it does not know is `None`, never 0.
//! * States depend on time, not on how many commits or surveys there were.

mod absorb;
mod age;
mod arrivals;
mod ask;
mod board;
mod burrow;
mod group;
mod index;
mod loss;
mod push;
mod stored;
mod trend;
mod verdict;
mod view;

pub use age::{Age, age_of};
pub use board::{Board, BoardConfig, PARTITIONS, TOPICS};
pub use burrow::{BurrowCommit, ENDS_SECONDS, burrow, worst as burrow_worst};
pub use index::{Next, TimeIndex};
pub use stored::StoredIndex;
pub use trend::{Slope, commit_rate};
pub use verdict::{Evidence, Owner, PATIENCE_UNKNOWN, REASONS, patience, verdict};

#[cfg(test)]
mod tests;
