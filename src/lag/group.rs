//! What is remembered about a group between surveys: per row little, because there may be hundreds of thousands.

use std::collections::VecDeque;
use std::sync::Arc;

use super::loss::StoredLoss;
use crate::model::{GroupPhase, GroupProtocol, Timestamp};
use crate::snapshot::{Course, GroupView, LagState, MemberName};

/// No such position, no such time.
pub(super) const NONE: u64 = u64::MAX;
/// No such time.
pub(super) const NEVER: u32 = u32::MAX;
/// No such owner.
pub(super) const NOBODY: u16 = u16::MAX;
/// Members of a group whose names are kept; the partitions of further ones have an owner without a name.
pub(super) const OWNERS: usize = 10_000;
/// Lags of a group kept for its trend: one per survey.
pub(super) const TREND: usize = 60;

/// A group on a partition. Times are tenths of a second since the board began.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub topic: u32,
    pub partition: u32,
    /// [`NONE`]: never committed.
    pub committed: u64,
    /// Position before a rewind that was not regained; 0: there is none.
    pub rewound_from: u64,
    /// Expired before they were read, since we watch.
    pub lost: u64,
    /// Up to where `lost` was counted.
    pub lost_upto: u64,
    pub first_seen: u32,
    pub moved_at: u32,
    /// [`NEVER`]: nothing is unread.
    pub unread_since: u32,
    /// Usual pause between commits; 0: not known.
    pub pause: u32,
    pub moves: u8,
    pub polls: u8,
    pub absent_polls: u8,
    /// The committed position belongs to an earlier log of that name; whether the store was told so.
    pub stale: bool,
    pub stale_kept: bool,
    /// Commits seen while nobody was a member.
    pub unmanaged: u8,
    pub owner: Owns,
    pub state: LagState,
    /// Made with the first change: a row at rest needs none. Views share it.
    pub trend: Option<Arc<Course>>,
}

/// Who has a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Owns {
    #[default]
    Unknown,
    Unmanaged,
    NoMembers,
    Nobody,
    /// Index into the group's owners; [`NOBODY`]: a member without a name.
    Member(u16),
}

impl Row {
    pub fn new(topic: u32, partition: u32, committed: u64, at: u32) -> Self {
        Self {
            topic,
            partition,
            committed,
            rewound_from: 0,
            lost: 0,
            lost_upto: 0,
            first_seen: at,
            moved_at: at,
            unread_since: NEVER,
            pause: 0,
            moves: 0,
            polls: 0,
            absent_polls: 0,
            stale: false,
            stale_kept: false,
            unmanaged: 0,
            owner: Owns::Unknown,
            state: LagState::Unknown,
            trend: None,
        }
    }

    /// The group's position as of a survey at `at`; the one before was at `last`.
    pub fn position(&mut self, committed: u64, at: u32, last: u32) {
        if committed == self.committed {
            return;
        }
        let before = self.committed;
        if before != NONE && committed != NONE && !self.stale {
            if committed < before {
                self.rewound_from = self.rewound_from.max(before);
            }
            // A pause is a time in which there was something to read.
            let began = if self.unread_since == NEVER { last } else { self.moved_at.max(self.unread_since) };
            let pause = at.saturating_sub(began).max(1);
            // Longer pauses count at once, shorter ones slowly: patience is cheap, false alarms are not.
            self.pause = pause.max(self.pause - self.pause / 8);
            self.moves = self.moves.saturating_add(1);
            // Whoever goes on committing while nobody is a member assigns itself; once may be an operator's reset.
            if self.absent_polls > 1 && committed > before {
                self.unmanaged = self.unmanaged.saturating_add(1);
            }
        }
        self.committed = committed;
        self.moved_at = at;
        // A new position belongs to the log of now.
        if self.stale || self.rewound_from <= committed {
            self.rewound_from = 0;
        }
        self.stale = false;
    }
}

/// A group.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub name: Arc<str>,
    pub protocol: GroupProtocol,
    pub phase: GroupPhase,
    pub members: Option<u32>,
    pub fault: String,
    /// When its positions were learned.
    pub as_of: Timestamp,
    /// Its positions are those of the newest survey.
    pub fresh: bool,
    /// Surveys in a row that did not name it.
    pub missing: u8,
    /// By stream and partition.
    pub rows: Vec<Row>,
    /// Its members.
    pub owners: Vec<MemberName>,
    pub trend: VecDeque<Option<f32>>,
    /// Lost to retention since it was first watched, also on streams that are gone: never falls.
    pub lost: u64,
    /// What was stored of it; gone once its rows have taken it over.
    pub before: Option<Box<StoredLoss>>,
    pub view: Option<Arc<GroupView>>,
}
