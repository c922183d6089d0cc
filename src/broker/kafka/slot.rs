//! One partition's life: from its opening to its end.

use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cut::Cut;
use super::discover::Begin;
use super::ffi::{Fault, Queue};
use super::order::{PATIENCE, Standing};
use crate::decode::Decoder;
use crate::model::{Began, Role, SourceKey, SourceOpen, Start, Timestamp};

/// A partition that was at its end this lately is live: it waits for nobody.
const LIVE: Duration = Duration::from_secs(5);
/// A confirmation of the end is repeated after this, and only asked for where records did not say it already.
pub(super) const CONFIRM: Duration = Duration::from_millis(1_500);
/// How often the log's first position is looked at.
pub(super) const LOOK_AT_START: Duration = Duration::from_secs(10);
/// Without any word about a partition for this long, it is unreachable (a question takes at most 3 s).
pub(super) const SILENT: Duration = Duration::from_secs(5);
/// First and greatest pause before a partition that was lost is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// What all partitions of one stream share.
pub(super) struct Stream {
    pub incarnation: String,
    pub topic: Arc<CStr>,
    pub decoder: Decoder,
    pub role: Role,
    pub append_time: bool,
}

/// Where a partition is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Asked where its log stands.
    Resolving(Begin),
    /// `Open` was sent; waits until the position is durable.
    Opened,
    /// Being read.
    Reading,
    /// Reading ended with an error; waits for `retry_at`, then asks where its log stands and goes on.
    Lost,
}

/// What the broker says of a log: first position, last stable end, and the position of a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Stand {
    pub begin: Option<Result<i64, Fault>>,
    pub end: Option<Result<i64, Fault>>,
    pub timed: Option<Result<i64, Fault>>,
}

impl Stand {
    /// Begin and end, where both are known.
    pub(super) fn bounds(&self) -> Option<(u64, u64)> {
        let of = |v: &Option<Result<i64, Fault>>| v.as_ref()?.as_ref().ok().and_then(|v| u64::try_from(*v).ok());
        Some((of(&self.begin)?, of(&self.end)?))
    }

    /// The first fault.
    pub(super) fn fault(&self) -> Option<&Fault> {
        [&self.begin, &self.end, &self.timed].into_iter().flatten().find_map(|r| r.as_ref().err())
    }
}

/// One partition.
pub(super) struct Slot {
    pub source: Arc<SourceKey>,
    pub partition: i32,
    pub stream: Arc<Stream>,
    pub phase: Phase,
    pub queue: Option<Queue>,
    /// Everything below it was sent.
    pub next: u64,
    pub log_start: u64,
    /// Behind the last record: up to `next` lie holes, if anything.
    pub records_to: u64,
    /// Of the record before `records_to`; -1 unknown: then nobody can tell whether the log was cut and has grown again.
    pub leader_epoch: i32,
    /// The log was cut: what its new leader has of what we read.
    pub cut: Option<Cut>,
    pub frontier: Option<i64>,
    /// In the list of those with unread records.
    pub ready: bool,
    /// Its last question failed: it is asked apart from the others, so that it cannot delay them.
    pub troubled: bool,
    /// The words of the state `Unreachable` that was sent, and whether fetching (and not only asking) failed.
    pub unreachable: Option<(String, bool)>,
    /// Last good word of any kind.
    pub heard: Instant,
    /// Last records.
    pub delivered: Instant,
    pub end_confirmed: Option<Instant>,
    pub start_seen: Option<Instant>,
    pub lost_at: Instant,
    pub retry_at: Instant,
    /// Where the log ended when the position of a time was first asked for.
    end_before: Option<u64>,
    pause: Duration,
}

impl Slot {
    pub(super) fn new(source: Arc<SourceKey>, stream: Arc<Stream>, begin: Begin, now: Instant) -> Self {
        Self {
            partition: i32::try_from(source.partition).unwrap_or(i32::MAX),
            source,
            stream,
            phase: Phase::Resolving(begin),
            queue: None,
            next: 0,
            records_to: 0,
            log_start: 0,
            leader_epoch: -1,
            cut: None,
            frontier: None,
            ready: false,
            troubled: false,
            unreachable: None,
            heard: now,
            delivered: now,
            end_confirmed: None,
            start_seen: None,
            lost_at: now,
            retry_at: now,
            end_before: None,
            pause: RETRY.0,
        }
    }

    /// The opening of this partition, once its log's stand is known. `None`: not all is known yet.
    pub(super) fn open(&mut self, begin: Begin, stand: &Stand, at: Timestamp) -> Option<SourceOpen> {
        let (log_start, end) = stand.bounds()?;
        let (next, began) = match begin {
            Begin::Known { next, leader_epoch, began } => {
                self.leader_epoch = leader_epoch;
                // The end is that of committed records. Where it went back because markers of transactions were lost,
                // what was read is there all the same: only the epoch tells, as soon as it is read again.
                if next > end && leader_epoch < 0 {
                    let SourceKey { stream, partition, .. } = &*self.source;
                    tracing::warn!(%stream, partition, next, end, "the log is shorter than what was read: reading goes on at its end");
                }
                (if leader_epoch < 0 { next.min(end) } else { next }, began)
            }
            Begin::First(Start::Latest) => (end, Began::Middle(at)),
            Begin::First(Start::Earliest) => (log_start, Began::Beginning),
            Begin::First(Start::At(time)) => {
                let found = u64::try_from(*stand.timed.as_ref()?.as_ref().ok()?);
                // None so young: where the log ended before that was asked, or a record that came meanwhile is missed.
                let Some(next) = found.ok().or(self.end_before) else {
                    self.end_before = Some(end);
                    return None;
                };
                (next, if next == 0 { Began::Beginning } else { Began::Middle(time) })
            }
            Begin::Zero => (0, Began::Beginning),
        };
        self.go_on(next.max(log_start), if next < log_start { -1 } else { self.leader_epoch });
        (self.log_start, self.phase) = (log_start, Phase::Opened);
        Some(SourceOpen {
            source: Arc::clone(&self.source),
            incarnation: self.stream.incarnation.clone(),
            next,
            log_start,
            began,
            role: self.stream.role,
            append_time: self.stream.append_time,
            at,
        })
    }

    /// Reading goes on at `next`; the record before it has this epoch.
    pub(super) fn go_on(&mut self, next: u64, leader_epoch: i32) {
        (self.next, self.records_to, self.leader_epoch) = (next, next, leader_epoch);
    }

    /// The epoch with which `next` can be compared with a leader's: a hole before it has none of its own.
    pub(super) fn epoch_of_next(&self) -> i32 {
        if self.next == self.records_to { self.leader_epoch } else { -1 }
    }

    /// Where it stands beside the others.
    pub(super) fn standing(&self, now: Instant) -> Standing {
        let live = self.end_confirmed.is_some_and(|at| now.duration_since(at) < LIVE);
        Standing { frontier: self.frontier, live }
    }

    /// True where partitions ahead should wait for it: it catches up and delivered just now.
    pub(super) fn is_awaited(&self, now: Instant) -> bool {
        self.phase == Phase::Reading
            && !self.ready
            && now.duration_since(self.delivered) < PATIENCE
            && !self.standing(now).live
    }

    /// Reading has ended; it is tried again after a pause that grows until something is read.
    pub(super) fn lose(&mut self, now: Instant) {
        (self.phase, self.queue, self.ready) = (Phase::Lost, None, false);
        (self.lost_at, self.retry_at) = (now, now + self.pause);
        self.pause = (self.pause * 2).min(RETRY.1);
    }

    /// Something was fetched.
    pub(super) fn fetched(&mut self, now: Instant) {
        (self.heard, self.pause, self.troubled) = (now, RETRY.0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Format, Limits};

    #[test]
    fn an_end_before_our_position_is_believed_only_where_no_epoch_can_tell() {
        let stream = Stream {
            incarnation: "c/t".into(),
            topic: c"orders".into(),
            decoder: Decoder::new(&Format::Auto, &Limits::default(), "orders"),
            role: Role::Events,
            append_time: false,
        };
        let (stream, now) = (Arc::new(stream), Instant::now());
        let key = SourceKey { cluster: "main".into(), stream: "orders".into(), generation: 0, partition: 0 };
        let stand = |begin, end| Stand { begin: Some(Ok(begin)), end: Some(Ok(end)), timed: None };
        let open = |leader_epoch, stand: Stand| {
            let begin = Begin::Known { next: 100, leader_epoch, began: Began::Beginning };
            let mut slot = Slot::new(Arc::new(key.clone()), Arc::clone(&stream), begin, now);
            let open = slot.open(begin, &stand, Timestamp(0)).expect("all is known");
            (open.next, open.log_start, slot.next, slot.epoch_of_next())
        };
        assert_eq!(open(-1, stand(0, 50)), (50, 0, 50, -1));
        assert_eq!(open(3, stand(0, 50)), (100, 0, 100, 3));
        assert_eq!(
            open(3, stand(120, 150)),
            (100, 120, 120, -1),
            "what lies before the log's begin has no epoch there"
        );
    }
}
