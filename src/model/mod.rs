//! The vocabulary of the crate: plain data, no logic, no I/O, no async.
//!
//! Terms are those of the field: cluster, stream, partition, generation, position, event, flow,
//! stage, hop, transaction, status, outcome. Everything above this layer speaks in these types.

mod batch;
mod blob;
mod event;
mod position;
mod spec;
mod survey;
mod units;
mod web_limits;

pub use batch::{Batch, Input, LogCut, SourceOpen, SourceState, Tail};
pub use blob::{BlobKey, Changes};
pub use event::{DecodeReason, Event, Kind, Outcome, Status, TextSpan, TraceContext};
pub use position::{Began, Positions, SourceKey, SourcePosition};
pub use spec::{
    DlqSpec, FieldPath, FlowSpec, Format, LagSpec, Limits, Mapping, OutcomeMap, Role, Start, StreamName, StreamSpec,
    TIMEOUT_MAX,
};
pub use survey::{
    Committed, GroupFacts, GroupPhase, GroupProtocol, MemberFacts, PartitionFacts, SeenCommit, Survey, TimeQuestion,
    TimedPosition, TopicFacts,
};
pub use units::{MICROS_PER_SECOND, Timestamp};
pub use web_limits::WebLimits;
