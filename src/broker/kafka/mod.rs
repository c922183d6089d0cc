//! Apache Kafka and what speaks its protocol.
//!
//! | file | what |
//! |---|---|
//! | [`KafkaConfig`] (`client`) | clients: which settings are ours, which are the user's; `property`: what is wrong with one |
//! | `read` | the reader and its loop; `drain`: messages to batches; `order`: whose turn it is |
//! | `topics` | which topics there are; `absent`: which are not there; `discover`: which partitions, and where each begins |
//! | `survey` | where logs stand; `cut`: where they were cut; `ask`: in rounds; `slot`: one partition's life; `health`: of the cluster |
//! | `write` | acknowledged appends |
//! | `commit` | positions of the demo's groups |
//! | `inspect` | `doctor` and `sample`; `rights`: those that groups and redrives need |
//! | `observe` | groups and their lag, logs, single records |
//! | `tail` | what groups commit, as the broker's own log says |
//! | `mover` | redrive: appends and progress in one transaction |
//! | `ffi` | all unsafe code |
//! | `floor` | what reading costs without us: the yardstick of the benchmark |
//!
//! No type of the client library leaves this folder.

mod absent;
mod ask;
mod client;
mod commit;
mod cut;
mod discover;
mod drain;
mod ffi;
pub mod floor;
mod health;
mod inspect;
mod mover;
mod observe;
mod order;
mod property;
mod read;
mod rights;
mod slot;
mod survey;
mod tail;
mod topics;
mod write;

pub use client::KafkaConfig;
pub use commit::KafkaCommit;
pub use inspect::KafkaInspect;
pub use mover::KafkaMove;
pub use observe::{KafkaObserve, Watched};
pub use property::{OUR_PROPERTIES, PropertyFault, property_fault};
pub use read::KafkaRead;
pub use tail::KafkaTail;
pub use write::KafkaWrite;
