//! Letters go back once, whatever the log answers, and keep what they are.

use super::*;

#[test]
fn all_go_back_once_whatever_the_log_answers() {
    for fault in [Fault::NotMade, Fault::MadeUnanswered] {
        let log = world(3_000);
        log.world().faults = [(1, fault), (2, fault), (4, fault), (7, fault)].into();
        let view = run(&log, options(), &[]);
        assert_eq!(ids(&log.copies("orders")), (0..3_000).collect::<Vec<_>>());
        assert_eq!(view.sent["orders"], 3_000, "a step without an answer is counted by what the log says: {view:?}");
        assert_eq!(view.skipped.len(), 0, "what this run sent is not \"before\" to it");
        let again = run(&log, options(), &[]);
        assert_eq!((again.sent.len(), again.looked_at), (0, 0), "the group stands at the end");
        assert_eq!(log.copies("orders").len(), 3_000);
    }
}

#[test]
fn a_copy_keeps_key_payload_and_id_and_says_where_it_was() {
    let log = world(1);
    run(&log, options(), &[]);
    let copy = log.copies("orders").remove(0);
    assert_eq!(copy.payload.as_deref(), Some(br#"{"id":"e0","transaction_id":"t0","stage":"paid"}"#.as_slice()));
    let header = |name: &str| {
        let found = copy.headers.iter().find(|(n, _)| n == name.as_bytes()).and_then(|(_, v)| v.clone());
        found.map(|v| String::from_utf8(v).unwrap()).unwrap_or_default()
    };
    assert_eq!(
        (header("x-redrive-count"), header("x-redrive-by"), header("x-redrive-error")),
        ("1".into(), "ann".into(), DATA.into())
    );
    assert!(crate::decode::traceparent(header("traceparent").as_bytes()).is_some(), "{}", header("traceparent"));
    assert_eq!(header("kafka_dlt-original-topic"), "");
    assert_eq!(header("x-redrive-message"), "no login: password=***");
}

#[test]
fn selections_leave_gaps_that_the_next_run_fills() {
    let log = world(600);
    let by_class = |class: &str| RedriveOptions {
        selection: Selection { errors: vec![class.into()], ..Selection::default() },
        ..options()
    };
    let first = run(&log, by_class("SocketTimeoutException"), &[]);
    assert_eq!((first.sent["orders"], skipped(&first, Skip::NotSelected)), (400, 200));
    assert_eq!(run(&log, by_class("SocketTimeoutException"), &[]).sent.len(), 0, "a second run sends none again");
    let at = |p: u32| log.world().progress[&("orders.dlq".to_owned(), p)];
    assert_eq!((at(0), at(1)), (0, 3), "the position stays at the first letter that waits");
    let rest = run(&log, options(), &[]);
    assert_eq!((rest.sent["orders"], skipped(&rest, Skip::Settled)), (200, 399));
    assert_eq!(ids(&log.copies("orders")), (0..600).collect::<Vec<_>>());
}

#[test]
fn a_run_ends_when_cancelled_or_fenced_and_says_what_it_did() {
    let log = world(2_000);
    let reins = Reins::default();
    reins.cancel();
    assert!(matches!(run_with(&log, options(), &[], reins), Err(RedriveError::Cancelled)));
    log.world().faults.insert(4, Fault::Fenced);
    let error = run_with(&log, options(), &[], Reins::default()).unwrap_err();
    assert!(matches!(error, RedriveError::Moved(MoveError::Fenced(_))), "{error}");
    run(&log, options(), &[]);
    assert_eq!(ids(&log.copies("orders")), (0..2_000).collect::<Vec<_>>());
    let lines = log.copies("streamgauge.redriven.orders.dlq");
    let audit = lines.iter().filter(|r| r.key.as_ref().unwrap().starts_with(b"v1|audit|r1|")).count();
    assert!(audit >= 3, "begin and end are in the log too: {audit}");
}

#[test]
fn a_pause_holds_until_told() {
    let log = world(2_000);
    let reins = Reins::default();
    reins.pause();
    let (held, running) = (reins.clone(), log.clone());
    let thread = std::thread::spawn(move || run_with(&running, options(), &[], held).map(|v| v.state));
    let until = Instant::now() + Duration::from_secs(20);
    while log.world().steps == 0 && Instant::now() < until {
        std::thread::yield_now(); // its first line of audit
    }
    assert_eq!((log.copies("orders").len(), thread.is_finished()), (0, false));
    reins.go_on();
    assert_eq!(thread.join().unwrap().unwrap(), "done");
    assert_eq!(log.copies("orders").len(), 2_000);
}
