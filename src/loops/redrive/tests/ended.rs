//! Letters whose transactions have ended, have not, or of which nobody knows.

use super::*;

#[test]
fn what_ended_well_is_passed_over_and_can_still_be_sent() {
    let log = world(20);
    let view = run(&log, options(), &["t3", "t4"]);
    assert_eq!((view.sent["orders"], skipped(&view, Skip::EndedOk)), (18, 2));
    assert_eq!(run(&log, options(), &[]).looked_at, 0, "nothing waits");
    let forced = run(&log, RedriveOptions { include_ended_ok: true, ..options() }, &[]);
    assert_eq!((forced.sent["orders"], skipped(&forced, Skip::Settled)), (2, 18));
    assert_eq!(ids(&log.copies("orders")), (0..20).collect::<Vec<_>>());
}

struct Silent;

impl Ended for Silent {
    fn ended_ok(&mut self, transactions: &[(String, String)]) -> Vec<Fared> {
        vec![Fared::Unasked; transactions.len()]
    }

    fn source(&self) -> String {
        "nobody knows".into()
    }

    fn fault(&self) -> Option<String> {
        Some("nobody can be asked".into())
    }
}

#[test]
fn what_nobody_can_be_asked_about_is_not_sent_silently() {
    let log = world(6);
    let mut view = watch::channel(Arc::<RedriveView>::default()).1;
    let mut silent = |options: RedriveOptions| {
        let mut run = loop_of(&log, options, &[], Reins::default());
        run.ended = Box::new(Silent);
        view = run.out.subscribe();
        (run.run(), Arc::clone(&view.borrow()))
    };
    let (dry, _) = silent(RedriveOptions { dry_run: true, ..options() });
    let dry = dry.unwrap();
    assert_eq!((dry.sent.len(), skipped(&dry, Skip::Unasked), dry.unknown_transactions), (0, 6, 6));
    assert!(dry.notes.iter().any(|n| n == "nobody knows"), "{:?}", dry.notes);
    let (refused, _) = silent(options());
    let words = refused.unwrap_err().to_string();
    assert!(words.contains("nobody can be asked") && words.contains("--include-unknown"), "{words}");
    assert_eq!(log.copies("orders").len(), 0, "nothing was sent");
    let (sent, _) = silent(RedriveOptions { include_unknown: true, ..options() });
    assert_eq!(sent.unwrap().sent["orders"], 6);
}

/// An engine that is busy now and then: it says nothing of some, has never heard of others, and knows the rest.
struct Busy;

impl Ended for Busy {
    fn ended_ok(&mut self, transactions: &[(String, String)]) -> Vec<Fared> {
        let fared = |id: &str| match id {
            "t1" => Fared::EndedOk,
            "t2" | "t3" | "t4" => Fared::Unasked,
            "t5" => Fared::Unheard,
            _ => Fared::NotOk,
        };
        transactions.iter().map(|(_, id)| fared(id)).collect()
    }

    fn source(&self) -> String {
        "a busy engine".into()
    }
}

#[test]
fn what_a_busy_engine_did_not_answer_stays_unless_told() {
    let log = world(10);
    let busy = |options: RedriveOptions| {
        let mut run = loop_of(&log, options, &[], Reins::default());
        run.ended = Box::new(Busy);
        run.run().unwrap()
    };
    for dry_run in [true, false] {
        let view = busy(RedriveOptions { dry_run, ..options() });
        assert_eq!((view.sent["orders"], skipped(&view, Skip::EndedOk), skipped(&view, Skip::Unasked)), (6, 1, 3));
        assert_eq!(view.unknown_transactions, 4, "those of which it has never heard are unknown, too, and go");
    }
    assert_eq!(ids(&log.copies("orders")), [0, 5, 6, 7, 8, 9]);
    let view = busy(RedriveOptions { include_unknown: true, ..options() });
    assert_eq!((view.sent["orders"], skipped(&view, Skip::Unasked)), (3, 0), "they waited");
    assert_eq!(ids(&log.copies("orders")), [0, 2, 3, 4, 5, 6, 7, 8, 9]);
}
