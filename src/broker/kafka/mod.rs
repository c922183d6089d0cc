//! Apache Kafka and what speaks its protocol.
//!
//! | file | what |
//! |---|---|
//! | [`KafkaConfig`] (`client`) | clients: which settings are ours, which are the user's |
//! | `read` | the reader's loop; `slot`: one partition's life; `discover`: which partitions there are; `order`: whose turn it is |
//! | `write` | acknowledged appends |
//! | `inspect` | `doctor` and `sample` |
//! | `ffi` | all unsafe code |
//!
//! No type of the client library leaves this folder.

mod ask;
mod client;
mod discover;
mod ffi;
mod inspect;
mod order;
mod read;
mod slot;
mod write;

pub use client::KafkaConfig;
pub use inspect::KafkaInspect;
pub use read::KafkaRead;
pub use write::KafkaWrite;
