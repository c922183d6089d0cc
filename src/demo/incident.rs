//! The script's incidents: which one is on at a moment. A minute each, in turn, with calm between them.

use crate::model::{MICROS_PER_SECOND, Timestamp};

/// Seconds of live traffic before the first incident.
const FIRST: i64 = 45;
/// Seconds that an incident lasts.
const LASTS: i64 = 60;
/// Seconds of calm after it.
const CALM: i64 = 75;
/// Seconds in which nothing is shipped while shipping stalls; the rest of the minute it drains.
const STALL: i64 = 40;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incident {
    /// The payment provider answers ten times slower, and some payments hang.
    SlowPayments,
    /// The consumer of the shipping stage stands still, then works off what waited.
    StalledShipping,
    /// Payments end as dead letters.
    DeadLetters,
}

impl Incident {
    const ALL: [Self; 3] = [Self::SlowPayments, Self::StalledShipping, Self::DeadLetters];
}

/// The incidents of one life of the demo.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// When live traffic began; `None`: calm for ever (history).
    pub live_since: Option<Timestamp>,
}

impl Schedule {
    /// The incident at a moment and when it began.
    pub(super) fn at(self, time: Timestamp) -> Option<(Incident, Timestamp)> {
        let since = time.since(self.live_since?) - FIRST * MICROS_PER_SECOND;
        let turn = (LASTS + CALM) * MICROS_PER_SECOND;
        let (number, within) = (since.div_euclid(turn), since.rem_euclid(turn));
        let on = since >= 0 && within < LASTS * MICROS_PER_SECOND;
        on.then(|| (Incident::ALL[(number % 3) as usize], time.plus(-within)))
    }

    /// True while this one is on.
    pub(super) fn is(self, incident: Incident, time: Timestamp) -> bool {
        self.at(time).is_some_and(|(on, _)| on == incident)
    }

    /// End of the incident that is on.
    pub(super) fn end(self, time: Timestamp) -> Timestamp {
        self.at(time).map_or(time, |(_, began)| began.plus(LASTS * MICROS_PER_SECOND))
    }

    /// When a parcel that is ready at `time` is shipped: at once, or in its turn after a stall.
    pub(super) fn shipped(self, time: Timestamp) -> Timestamp {
        let Some((Incident::StalledShipping, began)) = self.at(time) else { return time };
        let (waited, stall) = (time.since(began), STALL * MICROS_PER_SECOND);
        // Drained in order, faster than it came; who arrives while it drains queues behind.
        let drain = (LASTS - STALL) * MICROS_PER_SECOND;
        let turn = began.plus(stall + (waited as f64 * drain as f64 / (LASTS * MICROS_PER_SECOND) as f64) as i64);
        turn.max(time)
    }

    /// Up to when the consumer that ships has read at `now`: what is appended at `t` is shipped at [`Self::shipped`]`(t)`.
    pub(super) fn shipping_reach(self, now: Timestamp) -> Timestamp {
        let Some((Incident::StalledShipping, began)) = self.at(now) else { return now };
        let (waited, stall) = (now.since(began), STALL * MICROS_PER_SECOND);
        let drain = (LASTS - STALL) * MICROS_PER_SECOND;
        let drained = (waited - stall).max(0) as f64 * (LASTS * MICROS_PER_SECOND) as f64 / drain as f64;
        began.plus(drained as i64).min(now)
    }
}
