//! What one transaction does, from its first event to its last: a pure function of its name and the seed.

use super::chance::Chance;
use super::incident::{Incident, Schedule};
use crate::model::{MICROS_PER_SECOND, Outcome, Status, Timestamp};

/// The streams of the shop.
pub(super) const STREAMS: [&str; 6] =
    ["shop.orders", "shop.payments", "shop.warehouse", "shop.shipping", "shop.refunds", "shop.payments.dlq"];

/// A stage: its name, its stream in [`STREAMS`], its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    pub name: &'static str,
    pub stream: usize,
    pub service: &'static str,
}

const fn stage(name: &'static str, stream: usize, service: &'static str) -> Stage {
    Stage { name, stream, service }
}

const PLACED: Stage = stage("order.placed", 0, "orders");
const AUTHORIZED: Stage = stage("payment.authorized", 1, "payments");
const RESERVED: Stage = stage("stock.reserved", 2, "warehouse");
const PACKED: Stage = stage("parcel.packed", 2, "warehouse");
const SHIPPED: Stage = stage("order.shipped", 3, "shipping");
const REQUESTED: Stage = stage("refund.requested", 4, "refunds");
const APPROVED: Stage = stage("refund.approved", 4, "refunds");
const PAID: Stage = stage("refund.paid", 4, "refunds");
const DEAD: Stage = stage("payment.authorized", 5, "payments");

/// The stages of both flows in order.
pub(super) const CHECKOUT: [Stage; 5] = [PLACED, AUTHORIZED, RESERVED, PACKED, SHIPPED];
pub(super) const REFUND: [Stage; 3] = [REQUESTED, APPROVED, PAID];

/// A flow of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flow {
    Checkout,
    Refund,
}

/// Name of a transaction: the second it began in, and its number within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub flow: Flow,
    pub second: i64,
    pub number: u32,
}

impl Name {
    /// From a transaction id of ours.
    pub(super) fn parse(id: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(id).ok()?.split('-');
        let flow = if parts.next()? == "co" { Flow::Checkout } else { return None };
        let second = i64::from_str_radix(parts.next()?, 16).ok()?;
        let number = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { flow, second, number })
    }
}

/// One record to be appended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Emission {
    /// When it is appended.
    pub at: Timestamp,
    /// When it happened, by its producer.
    pub event_time: Timestamp,
    pub name: Name,
    /// Number of the event in its transaction: copies of one event share it.
    pub number: u8,
    pub stage: Stage,
    pub status: Status,
    pub outcome: Option<Outcome>,
    pub error: Option<&'static str>,
    pub cents: u32,
}

/// Share of events that are appended twice.
const DUPLICATES: f64 = 0.005;
/// Share of events that reach the log seconds after they happened, behind those that follow them.
const LATE: f64 = 0.01;

/// All that a transaction emits.
pub(super) fn plan(seed: u64, name: Name, began: Timestamp, schedule: Schedule, out: &mut Vec<Emission>) {
    let mut chance = Chance::of(seed, (name.flow as u8, name.second, name.number));
    let cents = chance.lognormal(3_900.0, 0.8).clamp(199.0, 2_000_000.0) as u32;
    let mut plan = Plan { name, now: began, schedule, chance, cents, number: 0, out };
    match name.flow {
        Flow::Checkout => plan.checkout(),
        Flow::Refund => plan.refund(),
    }
}

/// What follows on a dead letter that was redriven: the payment succeeds, and the order goes its way.
pub(super) fn redriven(seed: u64, name: Name, now: Timestamp, schedule: Schedule, out: &mut Vec<Emission>) {
    let mut chance = Chance::of(seed, (32 + name.flow as u8, name.second, name.number));
    let cents = chance.lognormal(3_900.0, 0.8).clamp(199.0, 2_000_000.0) as u32;
    let mut plan = Plan { name, now, schedule, chance, cents, number: REDRIVEN, out };
    for (stage, median) in [(AUTHORIZED, 0.4), (RESERVED, 0.09), (PACKED, 0.7), (SHIPPED, 0.35)] {
        plan.work(median, 0.5);
        plan.ok(stage);
    }
}

/// Number of the first event after a redrive: above those of any first life.
const REDRIVEN: u8 = 100;

struct Plan<'a> {
    name: Name,
    now: Timestamp,
    schedule: Schedule,
    chance: Chance,
    cents: u32,
    number: u8,
    out: &'a mut Vec<Emission>,
}

impl Plan<'_> {
    fn checkout(&mut self) {
        self.ok(PLACED);
        if self.payment().is_none() {
            return;
        }
        self.work(0.09, 0.5);
        if self.chance.hits(0.013) {
            self.emit(RESERVED, Status::Failed, None, Some("out_of_stock"));
            self.work(0.3, 0.4);
            return self.emit(AUTHORIZED, Status::Compensated, Some(Outcome::Compensated), None);
        }
        self.ok(RESERVED);
        self.work(0.7, 0.6);
        if self.chance.hits(0.01) {
            self.emit(PACKED, Status::Retried, None, Some("label_printer_busy"));
            self.work(1.2, 0.4);
        }
        self.ok(PACKED);
        self.work(0.35, 0.5);
        self.now = self.schedule.shipped(self.now);
        if self.chance.hits(0.003) {
            return self.emit(SHIPPED, Status::Failed, Some(Outcome::Failed), Some("address_invalid"));
        }
        self.ok(SHIPPED);
    }

    /// The payment stage; `None` where the transaction goes no further.
    fn payment(&mut self) -> Option<()> {
        let slow = self.schedule.is(Incident::SlowPayments, self.now);
        let fails = self.schedule.is(Incident::DeadLetters, self.now);
        let hangs = self.chance.hits(if slow { 0.05 } else { 0.000_1 });
        if hangs && (!slow || self.chance.hits(0.25)) {
            // Nobody answers any more: the transaction is stuck until its flow's timeout.
            return None;
        }
        if hangs {
            let recovered = self.chance.between(5.0, 25.0);
            self.now = self.schedule.end(self.now);
            self.wait(recovered);
        } else {
            self.work(if slow { 1.6 } else { 0.16 }, 0.55);
        }
        if self.chance.hits(if fails { 0.25 } else { 0.003 }) {
            return self.dead_letter();
        }
        if self.chance.hits(0.028) {
            let why = self.chance.pick(&["card_declined", "card_declined", "insufficient_funds", "fraud_suspected"]);
            self.emit(AUTHORIZED, Status::Failed, Some(Outcome::Failed), Some(why));
            return None;
        }
        while self.number < 4 && self.chance.hits(0.04) {
            self.emit(AUTHORIZED, Status::Retried, None, Some("gateway_timeout"));
            self.work(0.5, 0.3);
        }
        self.ok(AUTHORIZED);
        Some(())
    }

    /// Three attempts, then the dead letter with the id of the last; some are redriven by hand.
    fn dead_letter(&mut self) -> Option<()> {
        for backoff in [0.5, 1.0, 0.05] {
            self.emit(AUTHORIZED, Status::Retried, None, Some("gateway_timeout"));
            self.wait(backoff);
        }
        self.number -= 1;
        self.emit(DEAD, Status::DeadLettered, None, Some("gateway_timeout"));
        if !self.chance.hits(0.15) {
            return None;
        }
        let noticed = self.chance.between(40.0, 100.0);
        self.wait(noticed);
        self.ok(AUTHORIZED);
        Some(())
    }

    fn refund(&mut self) {
        self.ok(REQUESTED);
        self.work(1.5, 0.6);
        if self.chance.hits(0.06) {
            return self.emit(APPROVED, Status::Failed, Some(Outcome::Failed), Some("not_eligible"));
        }
        self.ok(APPROVED);
        self.work(2.5, 0.7);
        if self.chance.hits(0.05) {
            self.emit(PAID, Status::Retried, None, Some("bank_unavailable"));
            self.work(4.0, 0.4);
        }
        self.ok(PAID);
    }

    fn ok(&mut self, stage: Stage) {
        self.emit(stage, Status::Ok, None, None);
    }

    fn emit(&mut self, stage: Stage, status: Status, outcome: Option<Outcome>, error: Option<&'static str>) {
        let delay =
            if self.chance.hits(LATE) { self.chance.between(1.0, 12.0) } else { self.chance.between(0.002, 0.012) };
        let at = self.now.plus(micros(delay));
        let (name, number, cents) = (self.name, self.number, self.cents);
        let emission = Emission { at, event_time: self.now, name, number, stage, status, outcome, error, cents };
        self.out.push(emission);
        if self.chance.hits(DUPLICATES) {
            let again = self.chance.between(0.02, 20.0);
            self.out.push(Emission { at: at.plus(micros(again)), ..emission });
        }
        self.number += 1;
    }

    fn work(&mut self, median: f64, spread: f64) {
        let seconds = self.chance.lognormal(median, spread);
        self.wait(seconds);
    }

    fn wait(&mut self, seconds: f64) {
        self.now = self.now.plus(micros(seconds));
    }
}

fn micros(seconds: f64) -> i64 {
    (seconds * MICROS_PER_SECOND as f64) as i64
}
