//! `__consumer_offsets`: what groups commit, as Kafka itself writes it down.
//!
//! Integers are big-endian. A key begins with its type: 0 and 1 commits, 2 to 8 groups and their members, higher
//! ones belong to protocols that we do not read. Keys are never flexible. A value begins with its version; from 4 on
//! commits are flexible: lengths are varints and unknown tagged fields follow. No value: the key is gone.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{SeenCommit, Timestamp};

/// One record of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffsetsRecord<'a> {
    /// A commit; `None`: it is gone (expired, or its group or topic was deleted).
    Commit(CommitKey<'a>, Option<CommitValue<'a>>),
    /// A classic group; `None`: it is gone.
    ClassicGroup(&'a str, Option<ClassicGroup<'a>>),
    /// A group of the protocol of KIP-848 (types 3 to 8): its epoch where this record says it; `None`: gone.
    Group(&'a str, Option<Option<i32>>),
    /// A type of key that we do not know.
    Unknown(i16),
}

/// What a commit is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommitKey<'a> {
    /// Group.
    pub group: &'a str,
    /// Topic.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
}

/// A commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitValue<'a> {
    /// The next offset that the group will read.
    pub offset: i64,
    /// Leader epoch of the last record read; -1: not said.
    pub leader_epoch: i32,
    /// What the client wrote beside it.
    pub metadata: &'a str,
    /// When it was committed, milliseconds since 1970.
    pub commit_millis: i64,
    /// Until when it is kept, where the client said so (version 1).
    pub expire_millis: Option<i64>,
    /// Identity of the topic, where the broker says it (tag 0).
    pub topic_id: Option<[u8; 16]>,
}

/// A classic group, as far as it is useful.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicGroup<'a> {
    /// `consumer`, `connect`; empty: offsets only.
    pub protocol_type: &'a str,
    /// Rises with each rebalance.
    pub generation: i32,
    /// Client id and host of each member.
    pub members: Vec<(&'a str, &'a str)>,
}

/// Why a record is not understood. Counted; the topic goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffsetsFault {
    /// It ends in the middle of a field.
    #[error("it ends too early")]
    Short,
    /// A length that no field has.
    #[error("a length is impossible")]
    Length,
    /// A text that is no UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// A negative version.
    #[error("its version is {0}")]
    Version(i16),
}

/// Members read of one group: more are counted by the broker, not by us.
const MEMBERS: usize = 10_000;

/// Decodes one record. Takes any bytes.
///
/// # Errors
/// [`OffsetsFault`].
pub fn decode_offsets<'a>(key: &'a [u8], value: Option<&'a [u8]>) -> Result<OffsetsRecord<'a>, OffsetsFault> {
    let mut key = Bytes(key);
    match key.i16()? {
        0 | 1 => {
            let of = CommitKey { group: key.string()?, topic: key.string()?, partition: key.i32()? };
            Ok(OffsetsRecord::Commit(of, value.map(commit).transpose()?))
        }
        2 => Ok(OffsetsRecord::ClassicGroup(key.string()?, value.map(classic).transpose()?)),
        kind @ 3..=8 => {
            let group = key.string()?;
            // Only the group's own record says its epoch; the others speak of members and targets, and their end
            // says nothing of the group.
            let epoch = match (kind, value) {
                (3, None) => None,
                (3, Some(value)) => {
                    let mut value = Bytes(value);
                    value.version()?;
                    Some(Some(value.i32()?))
                }
                _ => Some(None),
            };
            Ok(OffsetsRecord::Group(group, epoch))
        }
        unknown => Ok(OffsetsRecord::Unknown(unknown)),
    }
}

fn commit(value: &[u8]) -> Result<CommitValue<'_>, OffsetsFault> {
    let mut value = Bytes(value);
    let version = value.version()?;
    let mut found = CommitValue { offset: value.i64()?, leader_epoch: -1, ..CommitValue::default() };
    if version >= 3 {
        found.leader_epoch = value.i32()?;
    }
    found.metadata = if version >= 4 { value.compact_string()? } else { value.string()? };
    found.commit_millis = value.i64()?;
    if version == 1 {
        found.expire_millis = Some(value.i64()?).filter(|at| *at >= 0);
    }
    if version >= 4 {
        value.tags(|tag, bytes| {
            if tag == 0
                && let Ok(id) = <[u8; 16]>::try_from(bytes)
            {
                found.topic_id = Some(id).filter(|id| *id != [0; 16]);
            }
        })?;
    }
    Ok(found)
}

fn classic(value: &[u8]) -> Result<ClassicGroup<'_>, OffsetsFault> {
    let mut value = Bytes(value);
    let version = value.version()?;
    let flexible = version >= 4;
    let mut found = ClassicGroup {
        protocol_type: value.text(flexible)?.unwrap_or_default(),
        generation: value.i32()?,
        ..ClassicGroup::default()
    };
    let (_protocol, _leader) = (value.text(flexible)?, value.text(flexible)?);
    if version >= 2 {
        value.i64()?; // since when it is in its state
    }
    let members = if flexible { value.compact_length()?.unwrap_or(0) } else { value.length32()? };
    for _ in 0..members.min(MEMBERS) {
        value.text(flexible)?; // member id
        if version >= 3 {
            value.text(flexible)?; // instance id
        }
        let (client, host) = (value.text(flexible)?, value.text(flexible)?);
        if version >= 1 {
            value.i32()?; // rebalance timeout
        }
        value.i32()?; // session timeout
        for _ in ["subscription", "assignment"] {
            let bytes = if flexible { value.compact_length()?.unwrap_or(0) } else { value.length32()? };
            value.take(bytes)?;
        }
        if flexible {
            value.tags(|_, _| ())?;
        }
        found.members.push((client.unwrap_or_default(), host.unwrap_or_default()));
    }
    Ok(found)
}

/// What remains of a key or value.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], OffsetsFault> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(OffsetsFault::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], OffsetsFault> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(OffsetsFault::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn i16(&mut self) -> Result<i16, OffsetsFault> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, OffsetsFault> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, OffsetsFault> {
        self.array().map(i64::from_be_bytes)
    }

    fn version(&mut self) -> Result<i16, OffsetsFault> {
        let version = self.i16()?;
        if version < 0 { Err(OffsetsFault::Version(version)) } else { Ok(version) }
    }

    /// A varint of at most 32 bits: seven bits a byte, the lowest first.
    fn varint(&mut self) -> Result<u32, OffsetsFault> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| OffsetsFault::Length);
            }
        }
        Err(OffsetsFault::Length)
    }

    /// A length as a varint of one more; `None`: null.
    fn compact_length(&mut self) -> Result<Option<usize>, OffsetsFault> {
        Ok(self.varint()?.checked_sub(1).map(|n| n as usize))
    }

    /// A length of four bytes; null reads as 0.
    fn length32(&mut self) -> Result<usize, OffsetsFault> {
        match self.i32()? {
            -1 => Ok(0),
            n => usize::try_from(n).map_err(|_| OffsetsFault::Length),
        }
    }

    fn utf8(&mut self, n: usize) -> Result<&'a str, OffsetsFault> {
        std::str::from_utf8(self.take(n)?).map_err(|_| OffsetsFault::NotUtf8)
    }

    fn text(&mut self, flexible: bool) -> Result<Option<&'a str>, OffsetsFault> {
        let length = if flexible {
            self.compact_length()?
        } else {
            match self.i16()? {
                -1 => None,
                n => Some(usize::try_from(n).map_err(|_| OffsetsFault::Length)?),
            }
        };
        length.map(|n| self.utf8(n)).transpose()
    }

    fn string(&mut self) -> Result<&'a str, OffsetsFault> {
        self.text(false)?.ok_or(OffsetsFault::Length)
    }

    fn compact_string(&mut self) -> Result<&'a str, OffsetsFault> {
        self.text(true)?.ok_or(OffsetsFault::Length)
    }

    fn tags(&mut self, mut each: impl FnMut(u32, &'a [u8])) -> Result<(), OffsetsFault> {
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let length = self.varint()? as usize;
            each(tag, self.take(length)?);
        }
        Ok(())
    }
}

/// The newest commits of one group by topic and partition: next position, and when.
type Newest = HashMap<(Arc<str>, u32), (u64, Timestamp)>;

/// The topic's state: the newest commit of each group on each partition. Fed with committed records in order.
#[derive(Clone, Debug, Default)]
pub struct OffsetsTopic {
    commits: HashMap<Arc<str>, Newest>,
    topics: HashMap<Arc<str>, ()>,
    rows: usize,
    most: usize,
    /// Commits left out because of the bound.
    pub dropped: u64,
    /// Records of a type that we do not know.
    pub unknown: u64,
    /// Records that are not understood.
    pub faults: u64,
    /// Commits seen.
    pub seen: u64,
}

impl OffsetsTopic {
    /// Keeps at most `most` commits (about 100 bytes each).
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Takes a record; `time` is its record time. Returns the commit that it changed.
    pub fn apply(&mut self, key: &[u8], value: Option<&[u8]>, time: Option<Timestamp>) -> Option<SeenCommit> {
        match decode_offsets(key, value) {
            Ok(OffsetsRecord::Commit(of, value)) => self.commit(of, value, time),
            Ok(OffsetsRecord::ClassicGroup(..) | OffsetsRecord::Group(..)) => None,
            Ok(OffsetsRecord::Unknown(_)) => {
                self.unknown += 1;
                None
            }
            Err(_) => {
                self.faults += 1;
                None
            }
        }
    }

    fn commit(
        &mut self,
        of: CommitKey<'_>,
        value: Option<CommitValue<'_>>,
        time: Option<Timestamp>,
    ) -> Option<SeenCommit> {
        let partition = u32::try_from(of.partition).ok()?;
        let group = self.commits.get_key_value(of.group).map_or_else(|| of.group.into(), |(name, _)| Arc::clone(name));
        let topic = self.topics.get_key_value(of.topic).map_or_else(|| of.topic.into(), |(name, ())| Arc::clone(name));
        let seen =
            |next, at| Some(SeenCommit { group: Arc::clone(&group), topic: Arc::clone(&topic), partition, next, at });
        let Some(value) = value else {
            let rows = self.commits.get_mut(of.group)?;
            rows.remove(&(Arc::clone(&topic), partition))?;
            self.rows -= 1;
            if rows.is_empty() {
                self.commits.remove(of.group);
            }
            return seen(None, time);
        };
        let next = u64::try_from(value.offset).ok()?;
        self.seen += 1;
        let at = Timestamp::from_millis(value.commit_millis);
        let known = self.commits.get(of.group).is_some_and(|rows| rows.contains_key(&(Arc::clone(&topic), partition)));
        if !known && self.rows >= self.most {
            self.dropped += 1;
            return None;
        }
        self.rows += usize::from(!known);
        self.topics.insert(Arc::clone(&topic), ());
        self.commits.entry(Arc::clone(&group)).or_default().insert((Arc::clone(&topic), partition), (next, at));
        seen(Some(next), Some(at))
    }

    /// The newest commit of a group on a partition: next position, and when it was committed.
    #[must_use]
    pub fn newest(&self, group: &str, topic: &str, partition: u32) -> Option<(u64, Timestamp)> {
        let (topic, ()) = self.topics.get_key_value(topic)?;
        self.commits.get(group)?.get(&(Arc::clone(topic), partition)).copied()
    }

    /// All newest commits.
    pub fn all(&self) -> impl Iterator<Item = SeenCommit> + '_ {
        self.commits.iter().flat_map(|(group, rows)| {
            rows.iter().map(|((topic, partition), (next, at))| SeenCommit {
                group: Arc::clone(group),
                topic: Arc::clone(topic),
                partition: *partition,
                next: Some(*next),
                at: Some(*at),
            })
        })
    }

    /// Commits kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// True where none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

#[cfg(test)]
mod tests;
