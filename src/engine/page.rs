//! How a transaction lies in memory and on disk: slots of 256 bytes on pages of 64 KiB.
//!
//! A slot is four cache lines: a head and five records. Further records go to further slots, chained.
//! A checkpoint borrows pages instead of copying them: while a log is caught up nearly all of them change
//! between two checkpoints.

use std::sync::Arc;

use bytes::Bytes;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::model::{Outcome, Status};

use super::resolve::Fact;

/// Records in a slot.
pub const RECORDS: usize = 5;

/// Slots on a page.
pub const SLOTS: usize = 256;

/// Bytes of a transaction id that lie in the slot; longer ones lie beside the table.
pub const INLINE_ID: usize = 40;

/// What a slot holds.
pub mod kind {
    /// Nothing.
    pub const FREE: u8 = 0;
    /// A transaction.
    pub const HEAD: u8 = 1;
    /// Further records of a transaction.
    pub const MORE: u8 = 2;
}

/// Facts about a transaction that its events do not say, one bit each.
pub mod flag {
    /// The watermark has passed its deadline.
    pub const PASSED: u8 = 1;
    /// A hole lies between start and deadline.
    pub const HOLE: u8 = 2;
    /// Reading began in the middle of it.
    pub const JOINED: u8 = 4;
    /// Counted as stuck.
    pub const STUCK: u8 = 8;
    /// It has ended.
    pub const ENDED: u8 = 16;
    /// `trace` holds a trace id.
    pub const TRACED: u8 = 32;
    /// Its id lies beside the table.
    pub const LONG_ID: u8 = 64;
    /// Events of it had to go, for it had too many.
    pub const TRUNCATED: u8 = 128;
    /// Those that time and configuration do not change.
    pub const LASTING: u8 = TRACED | LONG_ID | TRUNCATED;
}

/// No slot.
pub const NO_SLOT: u32 = u32::MAX;

/// The head of a transaction.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Head {
    /// Hash of flow and transaction id.
    pub key: u64,
    /// Second of its one entry among the timers.
    pub due: i64,
    /// Cut time of the event that `trace` came with.
    pub traced_at: i64,
    /// Trace id of its first event that carried one.
    pub trace: [u8; 16],
    /// Transaction id.
    pub id: [u8; INLINE_ID],
    /// Next slot of the chain.
    pub next: u32,
    /// Flow.
    pub flow: u16,
    /// Records in this slot and the chain behind it.
    pub records: u16,
    /// Bytes of the id.
    pub id_len: u16,
    /// See [`flag`].
    pub flags: u8,
    /// See [`kind`].
    pub kind: u8,
    /// Fate that was counted in the settled counters; 0 none.
    pub settled: u8,
    pad: [u8; 3],
}

/// One event, or what did not fit into the record before it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Record {
    cut: i64,
    time: i64,
    position: u64,
    print: u32,
    source: u16,
    stage: u8,
    bits: u8,
}

/// One slot.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct Slot {
    /// The head; of further slots only `kind`, `next` and `records` count.
    pub head: Head,
    /// The records.
    pub records: [Record; RECORDS],
}

const _: () = assert!(size_of::<Slot>() == 256 && size_of::<Slot>() * SLOTS == 1 << 16);
const _: () = assert!(size_of::<Head>() == 96 && size_of::<Record>() == 32);

impl Slot {
    /// A free slot.
    pub const FREE: Self = Self {
        head: Head {
            key: 0,
            due: 0,
            traced_at: 0,
            trace: [0; 16],
            id: [0; INLINE_ID],
            next: 0,
            flow: 0,
            records: 0,
            id_len: 0,
            flags: 0,
            kind: 0,
            settled: 0,
            pad: [0; 3],
        },
        records: [Record { cut: 0, time: 0, position: 0, print: 0, source: 0, stage: 0, bits: 0 }; RECORDS],
    };
}

/// One page: ours alone, or shared with a checkpoint that is being written.
#[derive(Debug)]
pub enum Page {
    /// May be changed.
    Own(Box<[Slot]>),
    /// Copied before it is changed, unless the checkpoint is done with it by then.
    Lent(Arc<Box<[Slot]>>),
}

/// What a checkpoint holds of a page.
struct Loan(Arc<Box<[Slot]>>);

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Page {
    /// A page of free slots.
    #[must_use]
    pub fn new() -> Self {
        Self::Own(vec![Slot::FREE; SLOTS].into_boxed_slice())
    }

    /// The slots.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        match self {
            Self::Own(slots) => slots,
            Self::Lent(slots) => slots,
        }
    }

    /// The slots, to change.
    pub fn slots_mut(&mut self) -> &mut [Slot] {
        if let Self::Lent(slots) = self {
            let slots = std::mem::take(slots);
            *self = Self::Own(Arc::try_unwrap(slots).unwrap_or_else(|shared| Box::clone(&shared)));
        }
        match self {
            Self::Own(slots) => slots,
            Self::Lent(_) => unreachable!("made ours above"),
        }
    }

    /// Its bytes as they are now, whatever happens to the page.
    pub fn lend(&mut self) -> Bytes {
        if let Self::Own(slots) = self {
            *self = Self::Lent(Arc::new(std::mem::take(slots)));
        }
        match self {
            Self::Lent(slots) => Bytes::from_owner(Loan(Arc::clone(slots))),
            Self::Own(_) => unreachable!("lent above"),
        }
    }
}

/// Low five bits: status and outcome together.
const STATE: u8 = 0b1_1111;
/// Low five bits of a record that carries the `started` of the one before it.
const STARTED: u8 = 0b1_1111;
const EVENT_CLOCK: u8 = 0b010_0000;
const LATE: u8 = 0b100_0000;

const STATUSES: u8 = Status::ALL.len() as u8;
const _: () = assert!(STATUSES * (Outcome::ALL.len() as u8 + 1) <= STARTED);

impl Record {
    /// Writes an event as one record, or two where it has a `started`.
    pub fn pack(event: &Fact, mut put: impl FnMut(Self)) {
        let outcome = event.outcome.map_or(0, |o| o as u8 + 1);
        let bits = (event.status as u8 + outcome * STATUSES)
            | if event.event_clock { EVENT_CLOCK } else { 0 }
            | if event.late { LATE } else { 0 };
        put(Self {
            cut: event.cut,
            time: event.time,
            position: event.position,
            print: event.print,
            source: event.source,
            stage: event.stage,
            bits,
        });
        if let Some(started) = event.started {
            put(Self { cut: started, time: 0, position: 0, print: 0, source: 0, stage: 0, bits: STARTED });
        }
    }

    /// Reads a record behind those that were read before it.
    pub fn unpack(&self, events: &mut Vec<Fact>) {
        let state = self.bits & STATE;
        if state == STARTED {
            if let Some(last) = events.last_mut() {
                last.started = Some(self.cut);
            }
            return;
        }
        events.push(Fact {
            cut: self.cut,
            time: self.time,
            started: None,
            position: self.position,
            print: self.print,
            source: self.source,
            stage: self.stage,
            status: Status::ALL[usize::from(state % STATUSES)],
            outcome: (state / STATUSES).checked_sub(1).map(|o| Outcome::ALL[usize::from(o)]),
            event_clock: self.bits & EVENT_CLOCK != 0,
            late: self.bits & LATE != 0,
        });
    }

    /// Fetches the record's cache line.
    #[must_use]
    pub fn touch(&self) -> u64 {
        self.position
    }

    /// Cut time of the event.
    #[must_use]
    pub fn cut(&self) -> i64 {
        self.cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lent_stays_as_it_was() {
        let mut page = Page::new();
        page.slots_mut()[3].head.key = 1;
        let (first, second) = (page.lend(), page.lend());
        page.slots_mut()[3].head.key = 2;
        assert_eq!(first, second);
        assert_eq!(first[3 * 256], 1);
        assert_eq!(page.lend()[3 * 256], 2);
        drop((first, second));
        assert_eq!(page.slots()[3].head.key, 2);
        let before = page.slots().as_ptr();
        assert_eq!(page.slots_mut().as_ptr(), before, "nobody has it any more: it is not copied");
    }

    #[test]
    fn every_event_comes_back_as_it_was() {
        let mut put = Vec::new();
        let mut events = Vec::new();
        let outcomes = std::iter::once(None).chain(Outcome::ALL.map(Some));
        for (i, outcome) in outcomes.enumerate() {
            for status in Status::ALL {
                let event = Fact {
                    cut: i as i64 - 3,
                    time: -9,
                    started: (i % 2 == 0).then_some(i as i64),
                    position: u64::MAX,
                    print: 7,
                    source: 65_000,
                    stage: 200,
                    status,
                    outcome,
                    event_clock: i % 3 == 0,
                    late: i % 4 == 1,
                };
                events.push(event);
                Record::pack(&event, |r| put.push(r));
            }
        }
        let mut back = Vec::new();
        put.iter().for_each(|r| r.unpack(&mut back));
        assert_eq!(back, events);
    }
}
