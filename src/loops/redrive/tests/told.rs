//! What the cluster tells at the beginning, and what it does not.

use super::*;

#[test]
fn only_what_is_there_and_holds_dead_letters_is_redriven() {
    let log = world(4);
    let refused = |options| match run_with(&log, options, &[], Reins::default()) {
        Err(RedriveError::Impossible(words)) => words,
        other => panic!("{other:?}"),
    };
    let live = RedriveOptions { stream: "orders".into(), to: Some("other".into()), ..options() };
    let words = refused(live.clone());
    assert!(words.contains("not known to hold dead letters") && words.contains("--any-stream"), "{words}");
    assert_eq!(log.copies("orders").len(), 0);
    let forced = run_with(&log, RedriveOptions { any_stream: true, ..live }, &[], Reins::default());
    assert!(forced.is_ok(), "{forced:?}");
    let offsets = vec![crate::dlq::OffsetRange { partition: 99, from: 0, to: 5 }];
    let words = refused(RedriveOptions { selection: Selection { offsets, ..Selection::default() }, ..options() });
    assert!(words.contains("no partition 99") && words.contains("2 partitions"), "{words}");
}

#[test]
fn a_cluster_that_is_not_there_is_given_up_soon_in_its_words() {
    let log = world(1);
    log.world().gone = true;
    let mut run = loop_of(&log, RedriveOptions { dry_run: true, ..options() }, &[], Reins::default());
    let began = Instant::now();
    let error = run.attempts(&mut RedriveView::default(), began + Duration::from_millis(700)).unwrap_err();
    let words = error.to_string();
    assert!(words.contains("nobody listens") && !words.contains("acknowledged"), "{words}");
    assert!(began.elapsed() < Duration::from_secs(15), "two attempts and no more: {:?}", began.elapsed());
}

#[test]
fn a_cluster_that_lost_sight_of_a_stream_is_asked_again() {
    let log = world(20);
    let some = Selection { errors: vec!["SocketTimeoutException".into()], ..Selection::default() };
    let first = run(&log, RedriveOptions { selection: some, ..options() }, &[]);
    assert_eq!(first.sent["orders"], 13);
    for stream in ["orders.dlq", "streamgauge.redriven.orders.dlq"] {
        log.world().untold.insert(stream.into(), 1);
        let view = run(&log, RedriveOptions { most: Some(2), ..options() }, &[]);
        assert_eq!(view.sent["orders"], 2, "{stream}: what was sent is known, and what was not goes");
    }
    let times: HashSet<u64> = ids(&log.copies("orders")).into_iter().collect();
    assert_eq!((times.len(), log.copies("orders").len()), (17, 17), "none went twice");
}

#[test]
fn streams_whose_headers_say_so_are_named_and_are_no_target() {
    let log = world(4);
    {
        let mut world = log.world();
        let letters = world.streams["orders.dlq"].clone();
        world.streams.insert("payment.failed".into(), letters);
        world.streams.insert(
            "login.failed".into(),
            vec![vec![RawRecord {
                at: ("login.failed".into(), 0, 0),
                payload: Some(b"{}".to_vec()),
                ..RawRecord::default()
            }]],
        );
    }
    let end = |options| run_with(&log, options, &[], Reins::default());
    let words = end(RedriveOptions { stream: "orders".into(), ..options() }).unwrap_err().to_string();
    assert!(words.contains("they lie in: orders.dlq, payment.failed;"), "{words}");
    let view = end(RedriveOptions { to: Some("payment.failed".into()), ..options() }).unwrap();
    assert_eq!((view.sent.len(), skipped(&view, Skip::TargetIsDlq)), (0, 4));
    let found = end(RedriveOptions { stream: "payment.failed".into(), dry_run: true, ..options() }).unwrap();
    assert_eq!(found.sent["orders"], 4, "nobody has to say --any-stream");
    let other = end(RedriveOptions { stream: "login.failed".into(), dry_run: true, ..options() });
    assert!(matches!(other, Err(RedriveError::Impossible(_))), "{other:?}");
}
