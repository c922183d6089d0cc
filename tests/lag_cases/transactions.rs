//! Transactions: markers and aborted records take positions, have times, and are never read.

use super::*;

/// Transactions of ten records, one in four aborted.
fn transactions(world: &mut World, count: i64, pause: i64) {
    for n in 0..count {
        let first = world.end();
        let kind = if n % 4 == 3 { Kind::Aborted } else { Kind::Data };
        for _ in 0..10 {
            world.append(kind, world.now);
            world.now += 20;
        }
        world.open = None;
        world.append(Kind::Marker, world.now);
        world.now += pause;
        assert!(world.end() == first + 11);
    }
}

#[test]
fn transactional() {
    let mut world = World::new();
    transactions(&mut world, 401, 1_000);
    // A consumer that commits the last record plus one stands before the marker.
    world.committed = Some(world.end() - 1);
    let idle = |w: &mut World| w.run(30, 0.0, |_| {});
    let seen = watch(&mut Monitor::new(true), &mut world, 8, idle);
    // A minute after the last of them the log is idle: no survey says anything else.
    assert_eq!((seen.known, &seen.states[..2], &seen.states[2..]), (8, &["OK"; 2][..], &["IDLE"; 6][..]), "{seen:?}");
    // Without the right to read it cannot be told from a message: neither an alarm nor a number.
    let mut world = World::new();
    transactions(&mut world, 401, 1_000);
    world.committed = Some(world.end() - 1);
    let mut monitor = Monitor::new(false);
    for _ in 0..20 {
        let view = monitor.poll(&world);
        let state = row(&view).state;
        assert!(matches!(state, LagState::Warming | LagState::Unknown), "{state:?}");
        idle(&mut world);
    }
    // An open transaction: nothing can be read now, and from now on markers are known to be there.
    let open = world.end();
    world.committed = Some(open);
    world.open = Some(open);
    for _ in 0..5 {
        world.append(Kind::Data, world.now);
    }
    let seen = watch(&mut monitor, &mut world, 3, idle);
    assert_eq!((seen.settled(), seen.reasons[1], seen.known), ("OK", "lag.reason.open_transaction", 3), "{seen:?}");
    let seen = watch(&mut monitor, &mut world, 40, idle);
    assert_eq!(seen.reasons[39], "lag.reason.lagging.transaction", "{seen:?}");
    world.open = None;
    world.append(Kind::Marker, world.now);
    world.committed = Some(world.end() - 1);
    let seen = watch(&mut monitor, &mut world, 8, idle);
    assert_eq!((seen.states[7], seen.reasons[7], seen.known), ("OK", "lag.reason.marker_tail", 0), "{seen:?}");
}

/// One transaction of ten records that is aborted.
fn aborted(world: &mut World) {
    for _ in 0..10 {
        world.append(Kind::Aborted, world.now);
        world.now += 20;
    }
    world.append(Kind::Marker, world.now);
}

/// A group that read everything, on a stream known to carry transactions, behind which only aborted records come.
fn caught_up_before_aborted(reading: bool) -> (World, Monitor) {
    let mut world = World::new();
    transactions(&mut world, 41, 1_000);
    (world.open, world.committed) = (Some(world.end()), Some(world.end()));
    world.append(Kind::Data, world.now);
    let mut monitor = Monitor::new(reading);
    watch(&mut monitor, &mut world, 3, |w| w.run(POLL, 0.0, |_| {}));
    world.open = None;
    world.append(Kind::Marker, world.now);
    world.committed = Some(world.end());
    watch(&mut monitor, &mut world, 3, |w| w.run(POLL, 0.0, |_| {}));
    aborted(&mut world);
    (world, monitor)
}

#[test]
fn an_aborted_tail_is_no_backlog() {
    let idle = |w: &mut World| w.run(POLL, 0.0, |_| {});
    // Whoever may read knows that nothing is left.
    let (mut world, mut monitor) = caught_up_before_aborted(true);
    let seen = watch(&mut monitor, &mut world, 40, idle);
    assert!(seen.states.iter().all(|s| matches!(*s, "OK" | "IDLE")) && seen.known == 40, "{seen:?}");
    // Whoever may not says that it is not known: no age, no alarm.
    let (mut world, mut monitor) = caught_up_before_aborted(false);
    let seen = watch(&mut monitor, &mut world, 40, idle);
    assert!(seen.states.iter().all(|s| matches!(*s, "OK" | "WARMING" | "UNKNOWN")), "{seen:?}");
    assert_eq!((seen.states[39], seen.reasons[39], seen.known), ("UNKNOWN", "lag.reason.unknown.aborted", 0));
    // A monitor that starts now, knowing from before that there are transactions, says no more.
    let seen = watch(&mut monitor.restarted(false), &mut world, 40, idle);
    assert!(seen.states.iter().all(|s| matches!(*s, "WARMING" | "UNKNOWN")) && seen.known == 0, "{seen:?}");
    // One that goes on arriving, with nobody who reads: that is a backlog.
    let (mut world, mut monitor) = caught_up_before_aborted(false);
    let seen = watch(&mut monitor, &mut world, 40, |w| {
        transactions(w, 4, 2_300);
        w.now += 400;
    });
    assert_eq!(seen.states[39], "STALLED", "{seen:?}");
}

#[test]
fn what_stalled_before_we_were_restarted_has_stalled_after_it() {
    // For minutes one transaction after the other is aborted, then nothing more comes; the group does not move.
    let (mut world, mut monitor) = caught_up_before_aborted(false);
    let goes_on = |w: &mut World| {
        aborted(w);
        w.now += 9_800;
    };
    let idle = |w: &mut World| w.run(POLL, 0.0, |_| {});
    watch(&mut monitor, &mut world, 40, goes_on);
    let seen = watch(&mut monitor, &mut world, 10, idle);
    assert_eq!(seen.states, ["STALLED"; 10], "{seen:?}");
    // Nobody can say any more when it arrived but by what was stored.
    let seen = watch(&mut monitor.restarted(false), &mut world, 10, idle);
    assert!(seen.states[..3].iter().all(|s| matches!(*s, "WARMING" | "LAGGING")), "too early to judge: {seen:?}");
    assert_eq!(seen.states[3..], ["STALLED"; 7], "{seen:?}");
}
