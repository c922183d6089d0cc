//! Tests against real brokers: one of each kind for the whole binary, tests one after the other.
//!
//! Without the servers nothing fails: every test is counted as skipped in the closing line, with the reason.
//! `cargo test --test brokers -- NAME` runs the tests whose name contains NAME.

mod disturbs_nothing;
mod first_look;
mod groups;
#[path = "../support/http.rs"]
#[allow(dead_code, reason = "each test binary uses a part of the support")]
mod http;
#[path = "../support/kafka.rs"]
mod kafka;
mod lag;
#[path = "move.rs"]
mod moving;
#[path = "../support/offsets.rs"]
mod offsets;
mod outage;
#[path = "../support/ports.rs"]
mod ports;
#[path = "../support/process.rs"]
#[allow(dead_code, reason = "each test binary uses a part of the support")]
mod process;
mod pushed;
mod raw;
mod reading;
mod replicas;
mod rig;
mod secured;
mod streams;
mod writing;

/// Where the shared parts look for one another.
mod support {
    pub(crate) use super::{http, ports};
}

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// A test gets the broker as the test before it left it: running.
pub type Test = fn(&mut kafka::Broker);

fn main() -> ExitCode {
    if let Ok(address) = std::env::var(moving::CHILD) {
        return moving::child(&address); // this binary again, to be killed
    }
    let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let all = [
        first_look::TESTS, // while the cluster is small enough for one page
        reading::TESTS,
        streams::TESTS,
        writing::TESTS,
        secured::TESTS,
        disturbs_nothing::TESTS,
        outage::TESTS,
        replicas::TESTS,
        lag::TESTS,
        moving::TESTS,
        pushed::TESTS,
    ]
    .concat();
    let chosen: Vec<(&str, Test)> = all
        .into_iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|f| name.contains(f.as_str())))
        .collect();
    if std::env::args().any(|argument| argument == "--list") {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let libs = match kafka::libs() {
        Ok(libs) => libs,
        Err(why) => {
            chosen.iter().for_each(|(name, _)| println!("test {name} ... skipped: {why}"));
            println!("brokers: 0 passed, 0 failed, {} skipped", chosen.len());
            return ExitCode::SUCCESS;
        }
    };
    let mut broker = kafka::Broker::start(&libs);
    let mut failed = Vec::new();
    for (name, test) in &chosen {
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| test(&mut broker)));
        println!("test {name} ... {} ({:.1?})", if result.is_ok() { "ok" } else { "FAILED" }, began.elapsed());
        if result.is_err() {
            failed.push(*name);
            broker.kill(); // whatever state the test left it in
            broker.resurrect();
        }
    }
    println!("brokers: {} passed, {} failed, 0 skipped {failed:?}", chosen.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
