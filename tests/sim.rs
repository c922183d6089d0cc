//! Thousands of simulated lives: a seeded world, a reader in any order, crashes, refused commits, outages -
//! and at the end, and on the way, the engine's numbers against those of an oracle that shares no code with it.
//!
//! `STREAMGAUGE_SIM_SEED=n` runs that seed alone and tells more; `STREAMGAUGE_SIM_SEEDS=n` says how many.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use support::drive::{Faults, Life};
use support::generate;
use support::rng::Rng;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|v| v.parse().unwrap_or_else(|e| panic!("{name}={v}: {e}")))
}

/// The seeds of a test: one that was asked for, or as many as there is time for.
fn seeds(debug: u64, release: u64) -> Vec<u64> {
    if let Some(seed) = number("STREAMGAUGE_SIM_SEED") {
        return vec![seed];
    }
    let default = if cfg!(debug_assertions) { debug } else { release };
    (1..=number("STREAMGAUGE_SIM_SEEDS").unwrap_or(default)).collect()
}

/// Runs every seed on two threads; the least seed that fails is the one to look at.
fn each_seed(seeds: &[u64], run: impl Fn(u64) -> Vec<String> + Sync) {
    let next = AtomicU64::new(0);
    let mut failed = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut failed = Vec::new();
                    while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(*seed)))
                            .unwrap_or_else(|_| vec!["it panicked".into()]);
                        if !found.is_empty() {
                            failed.push((*seed, found));
                        }
                    }
                    failed
                })
            })
            .collect();
        workers.into_iter().flat_map(|w| w.join().expect("caught above")).collect::<Vec<_>>()
    });
    failed.sort();
    if let Some((seed, found)) = failed.first() {
        let all: Vec<String> = failed.iter().take(20).map(|(s, f)| format!("{s} ({})", f[0])).collect();
        let shown = found.iter().take(25).cloned().collect::<Vec<_>>().join("\n  ");
        panic!(
            "{} of {} seeds differ:\n {}\nSTREAMGAUGE_SIM_SEED={seed}:\n  {shown}",
            failed.len(),
            seeds.len(),
            all.join("\n ")
        );
    }
}

#[test]
fn engine_and_oracle_agree_through_any_life() {
    let (looks, inexact) = (AtomicU64::new(0), AtomicU64::new(0));
    each_seed(&seeds(300, 4_000), |seed| {
        let (traits, world) = generate::workload(seed);
        let mut rng = Rng::new(seed.wrapping_mul(31));
        let faults = Faults::draw(&mut rng);
        let mut life = Life::new(&world, rng.next(), faults.clone());
        life.live();
        looks.fetch_add(u64::from(life.looks.0), Ordering::Relaxed);
        inexact.fetch_add(u64::from(life.looks.1), Ordering::Relaxed);
        let mut found = life.differences;
        if !found.is_empty() {
            found.push(format!("{traits:?} {faults:?}"));
        }
        found
    });
    let (looks, inexact) = (looks.into_inner(), inexact.into_inner());
    println!("{looks} comparisons, of which the engine declared {inexact} inexact");
    assert!(inexact * 20 <= looks, "{inexact} of {looks} comparisons were left out: too many to believe the rest");
}
