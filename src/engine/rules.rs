//! What a flow's configuration means for its transactions, in stage numbers.

use serde::{Deserialize, Serialize};

use crate::model::{FlowSpec, MICROS_PER_SECOND, Outcome, Status};

use super::resolve::Fact;

/// Number of a stage within its flow.
pub type StageId = u8;

/// No stage.
pub const NO_STAGE: StageId = u8::MAX;

/// The stage that ends a transaction in a flow without configuration: what a POST without a stage becomes.
pub const RECEIVED: &str = "received";

/// A transaction of a flow that can never end leaves the table after this much quiet.
pub const QUIET: i64 = 15 * 60 * MICROS_PER_SECOND;

/// A flow's configuration as it is stored beside the numbers that were made with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// False where the configuration does not name the flow.
    pub configured: bool,
    /// Stages in order.
    pub stages: Vec<String>,
    /// Stages that end a transaction.
    pub ends_at: Vec<String>,
    /// Microseconds.
    pub timeout: Option<i64>,
    /// Microseconds by stage.
    pub deadlines: Vec<(String, i64)>,
}

impl Declared {
    /// From the configuration; `None`: the flow is not in it.
    #[must_use]
    pub fn from_spec(spec: Option<&FlowSpec>) -> Self {
        let micros = |d: std::time::Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        let Some(spec) = spec else {
            return Self { ends_at: vec![RECEIVED.to_owned()], ..Self::default() };
        };
        Self {
            configured: true,
            stages: spec.stages.clone(),
            ends_at: spec.ends_at.clone(),
            timeout: spec.timeout.map(micros),
            deadlines: spec.stage_deadlines.iter().map(|(s, d)| (s.clone(), micros(*d))).collect(),
        }
    }
}

/// The same in stage numbers.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Deadline after the start, microseconds.
    pub timeout: Option<i64>,
    /// Declared stages in order.
    pub order: Vec<StageId>,
    /// Place of each stage in `order`; [`NO_STAGE`] where it is not declared.
    rank: [StageId; 256],
    ends: [bool; 256],
    /// Configured deadlines by stage, microseconds.
    pub deadlines: Vec<(StageId, i64)>,
    /// True where the configuration says how a transaction ends.
    pub can_end: bool,
}

impl Rules {
    /// Numbers the stages of `declared` with `intern`.
    pub fn new(declared: &Declared, mut intern: impl FnMut(&str) -> StageId) -> Self {
        let order: Vec<StageId> = declared.stages.iter().map(|s| intern(s)).collect();
        let mut rules = Self {
            timeout: declared.timeout,
            rank: [NO_STAGE; 256],
            ends: [false; 256],
            deadlines: declared.deadlines.iter().map(|(s, d)| (intern(s), *d)).collect(),
            can_end: declared.timeout.is_some() || (declared.configured && !declared.ends_at.is_empty()),
            order,
        };
        for (rank, stage) in rules.order.iter().enumerate() {
            rules.rank[usize::from(*stage)] = rank as StageId;
        }
        for stage in &declared.ends_at {
            rules.ends[usize::from(intern(stage))] = true;
        }
        rules
    }

    /// Place in the declared order.
    #[must_use]
    pub fn rank(&self, stage: StageId) -> Option<StageId> {
        Some(self.rank[usize::from(stage)]).filter(|r| *r != NO_STAGE)
    }

    /// The outcome with which an event ends its transaction.
    #[must_use]
    pub fn end(&self, event: &Fact) -> Option<Outcome> {
        if event.outcome.is_some() || !self.ends[usize::from(event.stage)] {
            return event.outcome;
        }
        match event.status {
            Status::Ok => Some(Outcome::Ok),
            Status::Failed => Some(Outcome::Failed),
            Status::Compensated => Some(Outcome::Compensated),
            Status::DeadLettered => Some(Outcome::DeadLettered),
            Status::Retried => None,
        }
    }
}
