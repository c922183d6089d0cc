//! Promise 1 on real processes: after `kill -9` at any moment every number equals that of the oracle.
//!
//! The real binary is killed again and again while events flow and while it catches up; producers go on
//! meanwhile. At the end everything that it shows is compared with the oracle, which reads the log at once
//! and shares no code with the product. A scraper watches `/metrics` all along: nothing may ever decrease.
//! `STREAMGAUGE_KILL_SEED=n` draws other worlds and other moments.

#[path = "../support/kafka.rs"]
mod kafka;
#[path = "../support/mod.rs"]
mod support;

mod counters;
mod embedded;
mod lives;
mod readings;
mod replicated;
mod scrape;
mod verdict;
mod world;

use std::sync::{Mutex, PoisonError};

/// The machine is for one of these tests at a time: they are about moments.
static TURN: Mutex<()> = Mutex::new(());

fn seed() -> u64 {
    std::env::var("STREAMGAUGE_KILL_SEED").map_or(1, |s| s.parse().expect("STREAMGAUGE_KILL_SEED is a number"))
}

#[test]
fn embedded_log_survives_any_kill() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    embedded::run(seed());
}

#[test]
fn kafka_is_read_as_if_nothing_had_been_killed() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    match kafka::libs() {
        Ok(libs) => replicated::run(seed(), &libs),
        Err(why) => println!("1 skipped: {why}"),
    }
}
