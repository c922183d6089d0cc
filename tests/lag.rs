//! Lag against the truth: known append times, known commits. The age of the next unread message is within 1 s or 5 %,
//! or it is unknown; it is never a false 0; the state is the right one within two surveys.

#[path = "support/lag/mod.rs"]
mod lag;
#[path = "support/rng.rs"]
#[allow(dead_code, reason = "shared with the simulation of the engine")]
mod rng;

#[path = "lag_cases/transactions.rs"]
mod transactions;

use lag::{Kind, Monitor, World, faults};
use rng::Rng;
use streamgauge::model::{GroupPhase, GroupProtocol};
use streamgauge::snapshot::{LagCluster, LagRow, LagState, Reason};

/// Seconds between two surveys.
const POLL: i64 = 10;

fn row(view: &LagCluster) -> &LagRow {
    &view.groups[0].rows[0]
}

/// How a run went.
#[derive(Debug, Default)]
struct Seen {
    states: Vec<&'static str>,
    /// Surveys until the age was known for the first time; `None`: never.
    known_after: Option<usize>,
    known: usize,
    reasons: Vec<&'static str>,
}

impl Seen {
    /// The age was known after two surveys at the latest, and from then on.
    fn all_known(&self) -> bool {
        self.known_after.is_some_and(|n| n <= 2 && self.known + n > self.states.len())
    }

    /// From the second survey on the state is this.
    fn settled(&self) -> &'static str {
        let after = &self.states[1..];
        assert!(after.iter().all(|s| *s == after[0]), "{self:?}");
        after[0]
    }
}

/// `polls` surveys; the world goes on between them as `step` says.
fn watch(monitor: &mut Monitor, world: &mut World, polls: usize, mut step: impl FnMut(&mut World)) -> Seen {
    let mut seen = Seen::default();
    for n in 0..polls {
        if n > 0 {
            step(world);
        }
        let view = monitor.poll(world);
        let row = row(&view);
        assert_eq!(faults(world, row), Vec::<String>::new(), "survey {n}, states {:?}", seen.states);
        seen.states.push(row.state.name());
        seen.reasons.push(row.reason.key);
        if row.next_unread_age_seconds.get().is_some() {
            seen.known_after.get_or_insert(n + 1);
            seen.known += 1;
        }
    }
    seen
}

#[test]
fn the_checks_can_fail() {
    let mut world = World::new();
    world.run(600, 1.0, |_| {});
    world.committed = Some(300);
    let view = Monitor::new(true).poll(&world);
    let good = row(&view).clone();
    assert_eq!((faults(&world, &good), good.next_unread_age_seconds.get()), (Vec::new(), Some(300.0)));
    let wrong = |row: LagRow| assert_eq!(faults(&world, &row).len(), 1, "{row:?}");
    for age in [0.0, 284.9, 315.1, 1e9] {
        wrong(LagRow { next_unread_age_seconds: Some(age).into(), ..good.clone() });
    }
    let bounds = |least, most| [Some(least).into(), Some(most).into()];
    wrong(LagRow { bounds: bounds(10.0, 20.0), ..good.clone() });
    wrong(LagRow { committed: Some(301).into(), ..good.clone() });
    wrong(LagRow { reason: Reason { numbers: [f64::NAN, 0.0, 0.0], ..good.reason }, ..good.clone() });
    // Within 5 %, or 1 s where that is more.
    for age in [285.1, 314.9] {
        let row = LagRow { next_unread_age_seconds: Some(age).into(), ..good.clone() };
        assert_eq!(faults(&world, &row), Vec::<String>::new());
    }
    world.committed = Some(597);
    let late = LagRow { committed: Some(597).into(), ..good.clone() };
    for (age, fine) in [(2.1, true), (3.9, true), (1.9, false), (4.1, false)] {
        let row = LagRow { next_unread_age_seconds: Some(age).into(), ..late.clone() };
        assert_eq!(faults(&world, &row).is_empty(), fine, "{age}, and the truth is 3");
    }
    world.committed = Some(600);
    assert_eq!(
        faults(&world, &LagRow { committed: Some(600).into(), bounds: bounds(1.0, 2.0), ..good }).len(),
        2,
        "an age and bounds of nothing"
    );
}

#[test]
fn steady_behind() {
    let mut world = World::new();
    world.run(3_600, 20.0, |_| {});
    let behind = |w: &mut World| w.commit_as_of(w.now - 120_000);
    behind(&mut world);
    let mut monitor = Monitor::new(false);
    let seen = watch(&mut monitor, &mut world, 40, |w| {
        w.run(POLL, 20.0, |w| {
            if w.now % 5_000 == 0 {
                behind(w);
            }
        });
    });
    assert_eq!((seen.settled(), seen.known, seen.known_after), ("LAGGING", 40, Some(1)), "{seen:?}");
}

/// 600,000 in a minute, an hour ago, idle since; the group stands in the middle.
fn burst() -> World {
    let mut world = World::new();
    world.run(3_600, 1.0, |_| {});
    let began = world.now;
    world.run(60, 10_000.0, |_| {});
    world.commit_as_of(began + 30_000);
    world.run(3_540, 0.0, |_| {});
    world
}

#[test]
fn burst_then_stuck() {
    let mut world = burst();
    let seen = watch(&mut Monitor::new(false), &mut world, 8, |w| w.run(30, 0.0, |_| {}));
    assert_eq!((seen.settled(), seen.all_known()), ("STALLED", true), "{seen:?}");
    let mut world = burst();
    world.die();
    let seen = watch(&mut Monitor::new(false), &mut world, 8, |w| w.run(POLL, 0.0, |_| {}));
    assert_eq!((seen.settled(), seen.all_known()), ("STOPPED", true), "{seen:?}");
}

#[test]
fn the_monitor_is_restarted() {
    let mut world = burst();
    let mut monitor = Monitor::new(false);
    watch(&mut monitor, &mut world, 3, |w| w.run(POLL, 0.0, |_| {}));
    let mut monitor = monitor.restarted(false);
    let seen = watch(&mut monitor, &mut world, 3, |w| w.run(30, 0.0, |_| {}));
    assert_eq!((seen.known, monitor.asked), (3, 0), "the age is known at once, nothing is asked: {seen:?}");
    assert_eq!(seen.settled(), "STALLED", "{seen:?}");
    // A topic that was made anew meanwhile has nothing to do with what was stored.
    world.make_anew();
    world.run(100, 1.0, |_| {});
    world.commit_as_of(world.now - 50_000);
    let seen = watch(&mut monitor.restarted(false), &mut world, 2, |_| {});
    assert_eq!(seen.known, 2);
}

#[test]
fn day_and_night_with_a_dead_consumer() {
    let mut world = World::new();
    world.run(7_200, 100.0, |_| {});
    world.commit_as_of(world.now);
    world.die();
    world.run(18_000, 1.0, |_| {});
    let seen = watch(&mut Monitor::new(false), &mut world, 10, |w| w.run(POLL, 1.0, |_| {}));
    assert_eq!((seen.settled(), seen.all_known()), ("STOPPED", true), "{seen:?}");
}

#[test]
fn rewound_to_earliest() {
    let mut world = World::new();
    world.run(7_200, 20.0, |_| {});
    world.run(18_000, 1.0, |_| {});
    let mut monitor = Monitor::new(false);
    let follow = |w: &mut World| w.run(POLL, 1.0, |w| w.commit_as_of(w.now - 1_000));
    world.commit_as_of(world.now - 1_000);
    let seen = watch(&mut monitor, &mut world, 6, follow);
    assert_eq!(seen.states[1..], ["OK"; 5], "{seen:?}");
    world.committed = Some(0);
    let again = |w: &mut World| w.run(POLL, 1.0, |w| w.committed = w.committed.map(|c| c + 200));
    let seen = watch(&mut monitor, &mut world, 60, again);
    assert_eq!(seen.states, ["REWOUND"; 60], "{seen:?}");
    assert!(seen.known >= 57, "{seen:?}");
    world.commit_as_of(world.now);
    let seen = watch(&mut monitor, &mut world, 4, follow);
    assert_eq!(seen.settled(), "OK", "{seen:?}");
}

#[test]
fn a_spike_in_progress() {
    let mut world = World::new();
    world.run(3_600, 5.0, |_| {});
    world.run(360, 1_000.0, |_| {});
    let behind = |w: &mut World| w.commit_as_of(w.now - 90_000);
    behind(&mut world);
    let seen = watch(&mut Monitor::new(false), &mut world, 12, |w| w.run(POLL, 1_000.0, behind));
    assert_eq!((seen.settled(), seen.all_known()), ("LAGGING", true), "{seen:?}");
}

#[test]
fn idle_with_a_dead_consumer() {
    let mut world = World::new();
    world.run(3_600, 1.0, |_| {});
    world.committed = Some(3_500);
    world.die();
    world.run(23 * 3_600, 0.0, |_| {});
    let mut monitor = Monitor::new(false);
    let seen = watch(&mut monitor, &mut world, 10, |w| w.run(POLL, 0.0, |_| {}));
    assert_eq!((seen.settled(), seen.all_known()), ("STOPPED", true), "{seen:?}");
    assert!(monitor.asked < 20, "{} questions about a log at rest", monitor.asked);
    // The same with a member that does nothing, and with all read.
    (world.members, world.assigned, world.phase) = (1, true, GroupPhase::Stable);
    let seen = watch(&mut Monitor::new(false), &mut world, 5, |w| w.run(30, 0.0, |_| {}));
    assert_eq!(seen.settled(), "STALLED", "{seen:?}");
    world.committed = Some(world.end());
    let seen = watch(&mut Monitor::new(false), &mut world, 5, |w| w.run(60, 0.0, |_| {}));
    assert_eq!((seen.settled(), seen.known), ("IDLE", 5), "{seen:?}");
}

#[test]
fn compacted() {
    for (seed, reading) in (1..20).flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut rng = Rng::new(seed);
        let mut world = World::new();
        for _ in 0..20 {
            world.run(rng.between(60, 1_200), rng.unit() * 4.0, |_| {});
            world.run(rng.between(0, 7_200), 0.0, |_| {});
        }
        world.compact(|_| rng.chance(0.9));
        world.committed = Some(rng.below(world.end()));
        world.die();
        let seen = watch(&mut Monitor::new(reading), &mut world, 8, |w| w.run(POLL, 1.0, |_| {}));
        assert_eq!(seen.settled(), "STOPPED", "seed {seed}: {seen:?}");
        assert!(!reading || seen.known == 8, "what may be read is known, seed {seed}: {seen:?}");
    }
}

#[test]
fn retention_overtakes() {
    let mut world = World::new();
    world.run(7_200, 5.0, |_| {});
    world.committed = Some(9_000);
    world.die();
    let mut monitor = Monitor::new(false);
    let seen = watch(&mut monitor, &mut world, 3, |w| w.run(POLL, 5.0, |_| {}));
    assert_eq!(seen.settled(), "STOPPED");
    let mut lost = 0;
    for _ in 0..20 {
        world.run(POLL, 5.0, |w| w.start += 100);
        let view = monitor.poll(&world);
        let row = row(&view);
        assert_eq!(faults(&world, row), Vec::<String>::new());
        let behind = world.start.saturating_sub(9_000);
        if behind > 0 {
            assert_eq!((row.state, row.reason.numbers[0]), (LagState::Lost, behind as f64));
            assert!(row.next_unread_age_seconds.get().is_some(), "{row:?}");
            lost = behind;
        }
        assert_eq!((row.lost_messages, view.groups[0].lost_messages), (behind, behind));
    }
    assert!(lost > 10_000);
    // Emptied: 0 can be read, and that is said with the loss.
    world.start = world.end();
    let view = monitor.poll(&world);
    let emptied = row(&view);
    assert_eq!(
        (emptied.state, emptied.readable.get(), emptied.next_unread_age_seconds.get()),
        (LagState::Lost, Some(0), Some(0.0))
    );
    assert_eq!(emptied.lag_messages(), Some((world.end() - 9_000) as i64));
}

#[test]
fn made_anew() {
    let mut world = World::new();
    world.run(600, 5.0, |w| w.committed = Some(w.end()));
    let mut monitor = Monitor::new(false);
    watch(&mut monitor, &mut world, 3, |w| w.run(POLL, 5.0, |w| w.committed = Some(w.end())));
    world.make_anew();
    world.run(20, 1.0, |_| {});
    // The stale commit stays, also when the new log has grown beyond it.
    let seen = watch(&mut monitor, &mut world, 10, |w| w.run(600, 1.0, |_| {}));
    assert_eq!(seen.states, ["RECREATED"; 10], "{seen:?}");
    assert!(world.end() > world.committed.unwrap(), "the case is meant");
    world.committed = Some(0);
    let go_on = |w: &mut World| w.run(POLL, 1.0, |w| w.committed = Some((w.committed.unwrap() + 50).min(w.end())));
    let seen = watch(&mut monitor, &mut world, 5, go_on);
    assert_eq!((seen.settled(), seen.known), ("LAGGING", 5), "{seen:?}");
}

#[test]
fn assigned_elsewhere_unmanaged_and_slow_committers() {
    let mut world = World::new();
    world.run(600, 5.0, |w| w.committed = Some(w.end()));
    // Members, but none of them has it.
    world.assigned = false;
    world.run(60, 5.0, |_| {});
    let seen = watch(&mut Monitor::new(false), &mut world, 5, |w| w.run(POLL, 5.0, |_| {}));
    assert_eq!(seen.settled(), "ABANDONED", "{seen:?}");
    // No members at all, but commits: consumers that assign themselves.
    world.die();
    world.protocol = GroupProtocol::Simple;
    let mut monitor = Monitor::new(false);
    let seen = watch(&mut monitor, &mut world, 10, |w| w.run(POLL, 5.0, |w| w.committed = Some(w.end() - 3)));
    assert_eq!(seen.settled(), "OK", "{seen:?}");
    let seen = watch(&mut monitor, &mut world, 10, |w| w.run(POLL, 5.0, |_| {}));
    assert_eq!((seen.states[0], seen.states[4], seen.states[9]), ("OK", "STOPPED", "STOPPED"), "{seen:?}");
    // Commits every 5 minutes: patience is three of its own pauses.
    let mut world = World::new();
    world.run(1_200, 5.0, |w| w.committed = Some(w.end()));
    let mut monitor = Monitor::new(false);
    let slow = |w: &mut World| {
        w.run(POLL, 5.0, |w| {
            if w.now % 300_000 == 0 {
                w.committed = Some(w.end());
            }
        });
    };
    let seen = watch(&mut monitor, &mut world, 200, slow);
    assert!(!seen.states[60..].iter().any(|s| *s == "STALLED" || *s == "STOPPED"), "{seen:?}");
    let stuck = watch(&mut monitor, &mut world, 125, |w| w.run(POLL, 5.0, |_| {}));
    let stalled = stuck.states.iter().position(|s| *s == "STALLED").expect("found");
    assert!((58..=95).contains(&stalled), "after {stalled} surveys: {stuck:?}");
}

#[test]
fn a_silent_cluster_freezes() {
    let mut world = burst();
    let mut monitor = Monitor::new(false);
    let before = monitor.poll(&world);
    world.up = false;
    world.run(60, 0.0, |_| {});
    let after = monitor.poll(&world);
    assert_eq!((after.answering, after.as_of, row(&after).state), (false, before.as_of, LagState::Unknown));
    assert_eq!(row(&after).next_unread_age_seconds, row(&before).next_unread_age_seconds);
    assert!(std::sync::Arc::ptr_eq(&after.groups[0], &monitor.poll(&world).groups[0]), "frozen once");
    world.up = true;
    let back = watch(&mut monitor, &mut world, 2, |_| {});
    assert_eq!(back.known, 2);
}

#[test]
fn times_that_do_not_ascend() {
    // Producers' clocks differ by up to 300 ms; one record of an hour ago claims to be three hours ahead.
    for reading in [false, true] {
        let mut rng = Rng::new(5);
        let mut world = World::new();
        world.append_time = false;
        for second in 0..7_200 {
            for n in 0..10 {
                world.now += 100;
                let ahead = if second == 3_600 && n == 0 { 10_800_000 } else { -rng.between(0, 300) };
                world.append(Kind::Data, world.now + ahead);
            }
        }
        for committed in [100, 20_000, 35_999, 36_000, 36_001, 50_000, 71_900] {
            world.committed = Some(committed);
            let seen = watch(&mut Monitor::new(reading), &mut world, 6, |w| w.now += 1_000);
            // Behind the record from the future only reading helps; before it nothing is disturbed.
            assert!(
                seen.known == 6 || (!reading && committed >= 35_990) || committed == 36_000,
                "{committed}: {seen:?}"
            );
        }
    }
}

/// Any traffic, any consumer, any outages and restarts: never wrong, and known soon.
#[test]
fn random_lives() {
    let seeds = if cfg!(debug_assertions) { 60 } else { 600 };
    let (mut polls, mut known) = (0, 0);
    for seed in 1..=seeds {
        let mut rng = Rng::new(seed);
        let mut world = World::new();
        world.append_time = rng.chance(0.5);
        let mut rate = 10.0;
        for _ in 0..rng.between(1, 6) {
            rate = *rng.pick(&[0.0, 0.1, 1.0, 20.0, 300.0]);
            world.run(rng.between(10, 3_000), rate, |_| {});
        }
        world.committed = Some(rng.below(world.end() + 1));
        let mut monitor = Monitor::new(false);
        let (mut speed, mut dead_for) = (rate, 0);
        let poll = rng.between(1, 30);
        for n in 0..60 {
            if rng.chance(0.1) {
                rate = *rng.pick(&[0.0, 0.1, 1.0, 20.0, 300.0]);
            }
            if rng.chance(0.1) {
                speed = *rng.pick(&[0.0, 1.0, 20.0, 1_000.0]);
                if rng.chance(0.3) {
                    (world.members, world.assigned, world.phase) = (1, true, GroupPhase::Stable);
                    if speed == 0.0 {
                        world.die();
                    }
                }
            }
            if rng.chance(0.02) {
                // While nobody is there only an operator goes back.
                let most = if world.members > 0 { world.end() } else { world.committed.unwrap() };
                world.committed = Some(rng.between(world.start.min(most) as i64, most as i64) as u64);
            }
            if rng.chance(0.02) {
                world.start = rng.between(world.start as i64, world.end() as i64) as u64;
            }
            if rng.chance(0.03) {
                monitor = monitor.restarted(false);
                dead_for = 0;
            }
            let alive = world.members > 0;
            world.run(poll, rate, |w| {
                if alive && w.committed.unwrap() >= w.start {
                    w.committed = Some((w.committed.unwrap() + speed as u64).min(w.end()));
                }
            });
            let view = monitor.poll(&world);
            let row = row(&view);
            assert_eq!(faults(&world, row), Vec::<String>::new(), "seed {seed}, survey {n}");
            let unread = world.next_unread().is_some();
            dead_for = if alive || !unread || world.committed < Some(world.start) { 0 } else { dead_for + 1 };
            if dead_for >= 2 && world.end() - world.committed.unwrap() > 1 {
                assert_eq!(row.state, LagState::Stopped, "seed {seed}, survey {n}: {row:?}");
            }
            if unread {
                polls += 1;
                known += u32::from(row.next_unread_age_seconds.get().is_some());
            }
        }
    }
    let share = f64::from(known) / f64::from(polls);
    println!("{known} of {polls} ages known, {:.1} %", share * 100.0);
    assert!(share > 0.9, "only {share:.3} of the ages are known");
}
