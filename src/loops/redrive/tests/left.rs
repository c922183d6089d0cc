//! What a run leaves where it is, and says so.

use super::*;

#[test]
fn a_dry_run_counts_and_changes_nothing() {
    let log = world(100);
    let view = run(&log, RedriveOptions { dry_run: true, max_redrives: 4, ..options() }, &["t1", "t2"]);
    // Every fifth is at the cap; t1 and t2 ended well.
    assert_eq!(view.sent, BTreeMap::from([("orders".to_owned(), 78)]));
    assert_eq!((skipped(&view, Skip::LoopCap), skipped(&view, Skip::EndedOk)), (20, 2));
    assert_eq!((view.state, view.looked_at, view.unknown_transactions), ("done", 100, 0));
    assert_eq!((log.copies("orders").len(), log.world().steps), (0, 0));
    assert!(view.notes.iter().any(|n| n == "a list"), "{:?}", view.notes);
}

#[test]
fn the_cap_holds_and_the_letter_stays_in_sight() {
    let log = world(10);
    let view = run(&log, RedriveOptions { max_redrives: 4, most: Some(3), ..options() }, &[]);
    assert_eq!(view.sent["orders"], 3);
    let rest = run(&log, RedriveOptions { max_redrives: 4, ..options() }, &[]);
    assert_eq!((rest.sent["orders"], skipped(&rest, Skip::LoopCap)), (5, 2));
    let at = |p: u32| log.world().progress[&("orders.dlq".to_owned(), p)];
    assert_eq!((at(0), at(1)), (4, 9), "both capped letters wait");
}

#[test]
fn a_letter_that_its_target_never_takes_stays_named_and_the_others_go() {
    for told in [true, false] {
        let log = world(10);
        for n in [2, 3] {
            let mut world = log.world();
            let letter = &mut world.streams.get_mut("orders.dlq").unwrap()[n % 2][n / 2];
            letter.payload = Some(vec![b' '; 50_000]);
        }
        log.world().most = Some((10_000, told));
        if told {
            let dry = run(&log, RedriveOptions { dry_run: true, ..options() }, &[]);
            assert_eq!((dry.sent["orders"], skipped(&dry, Skip::TooLarge)), (8, 2), "a dry run promises no more");
        }
        let view = run(&log, options(), &[]);
        assert_eq!((view.sent["orders"], skipped(&view, Skip::TooLarge)), (8, 2), "{view:?}");
        assert_eq!(ids(&log.copies("orders")), [0, 1, 4, 5, 6, 7, 8, 9]);
        let note = view.notes.iter().find(|n| n.contains("too large")).unwrap();
        assert!(note.starts_with("2 too large for its target: 0:2 (50") && note.contains(", 1:3 (50"), "{note}");
        assert_eq!(note.contains("which takes 10600"), told, "{note}");
        let at = |p: u32| log.world().progress[&("orders.dlq".to_owned(), p)];
        assert_eq!((at(0), at(1)), (2, 3), "both wait");
        let again = run(&log, options(), &[]);
        assert_eq!((again.sent.len(), skipped(&again, Skip::TooLarge)), (0, 2));
    }
}

#[test]
fn names_that_are_left_out_are_counted() {
    let names = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!((listed(&names(2), 2), listed(&names(2), 11)), ("0, 1".into(), "0, 1 and 9 more".into()));
}
