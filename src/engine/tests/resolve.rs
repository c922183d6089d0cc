//! The verdicts of SEMANTICS that need no more than the events of one transaction.

use super::super::rules::Declared;
use super::*;

const S: i64 = 1_000_000;

fn rules(stages: &[&str], ends_at: &[&str], timeout: Option<i64>) -> Rules {
    let strings = |v: &[&str]| v.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let declared = Declared {
        configured: true,
        stages: strings(stages),
        ends_at: strings(ends_at),
        timeout: timeout.map(|t| t * S),
        deadlines: vec![],
    };
    Rules::new(&declared, |s| s.as_bytes()[0] - b'A')
}

/// Stage letter, cut second, outcome.
fn at(stage: char, cut: i64, outcome: Option<Outcome>) -> Fact {
    Fact {
        cut: cut * S,
        time: cut * S,
        started: None,
        position: 0,
        print: 0,
        source: 0,
        stage: stage as u8 - b'A',
        status: Status::Ok,
        outcome,
        event_clock: true,
        late: false,
    }
}

fn resolve(events: &[Fact], rules: &Rules, passed: bool) -> Resolution {
    let mut events = events.to_vec();
    events.sort_by_key(|e| e.cut);
    let mut r = Resolution::default();
    r.resolve(&events, rules, Context { passed, ..Context::default() });
    r
}

fn hops(r: &Resolution) -> Vec<(char, char, i64)> {
    r.hops.iter().map(|h| ((h.from + b'A') as char, (h.to + b'A') as char, h.sample.micros / S)).collect()
}

#[test]
fn case_1_an_end_before_the_deadline_wins_however_late_it_is_read() {
    let rules = rules(&[], &["B"], Some(60));
    for passed in [false, true] {
        let r = resolve(&[at('A', 1000, None), at('B', 1030, None)], &rules, passed);
        assert_eq!((r.fate(), r.recovery), (Fate::Ended(Outcome::Ok), None));
    }
    let r = resolve(&[at('A', 1000, None), at('B', 1060, None)], &rules, true);
    assert_eq!(r.fate(), Fate::Ended(Outcome::Ok), "at the deadline is not after it");
}

#[test]
fn case_2_an_end_after_the_deadline_is_a_recovery() {
    let rules = rules(&[], &["B"], Some(60));
    let events = [at('A', 1000, None), at('B', 1061, None)];
    let r = resolve(&events, &rules, true);
    let end = r.end.unwrap();
    assert_eq!((end.outcome, end.at.cut, end.latency), (Some(Outcome::TimedOut), 1060 * S, None));
    assert_eq!((r.fate(), r.recovery.unwrap().cut, r.after_end), (Fate::Ended(Outcome::Ok), 1061 * S, 0));
    assert_eq!(resolve(&events, &rules, false).fate(), Fate::InFlight, "until the watermark has passed the deadline");
}

#[test]
fn case_3_hops_join_neighbours() {
    let events = [at('A', 0, None), at('B', 2, None), at('C', 5, None)];
    for stages in [&["A", "B", "C"][..], &[]] {
        assert_eq!(hops(&resolve(&events, &rules(stages, &[], None), false)), [('A', 'B', 2), ('B', 'C', 3)]);
    }
    // A declared stage that was skipped is bridged; an undeclared one follows the log.
    let events = [at('A', 0, None), at('X', 1, None), at('C', 5, None)];
    let r = resolve(&events, &rules(&["A", "B", "C"], &[], None), false);
    assert_eq!(hops(&r), [('A', 'X', 1), ('A', 'C', 5)]);
}

#[test]
fn case_4_the_first_end_is_the_least_by_order_key() {
    let rules = rules(&[], &[], None);
    let r = resolve(&[at('A', 12, Some(Outcome::Failed)), at('A', 10, Some(Outcome::Ok))], &rules, false);
    assert_eq!((r.fate(), r.end.unwrap().at.cut, r.after_end), (Fate::Ended(Outcome::Ok), 10 * S, 1));
}

#[test]
fn case_5_a_dead_letter_is_recovered_by_a_later_ok() {
    let rules = rules(&["A", "B"], &["B"], None);
    let dead = at('A', 5, Some(Outcome::DeadLettered));
    let r = resolve(&[at('A', 0, None), dead], &rules, false);
    assert_eq!((r.fate(), r.end.unwrap().latency.unwrap().micros), (Fate::Ended(Outcome::DeadLettered), 5 * S));
    let r = resolve(&[at('A', 0, None), dead, at('B', 72_000, None)], &rules, false);
    assert_eq!((r.fate(), r.recovery.unwrap().cut, r.after_end), (Fate::Ended(Outcome::Ok), 72_000 * S, 0));
    assert_eq!(r.end.unwrap().latency.unwrap().micros, 5 * S, "the first end keeps its latency");
    let r = resolve(&[at('A', 0, None), dead, at('B', 9, Some(Outcome::Failed))], &rules, false);
    assert_eq!((r.fate(), r.after_end), (Fate::Ended(Outcome::DeadLettered), 1));
}

#[test]
fn an_event_appended_late_but_made_before_the_end_still_belongs() {
    let rules = rules(&["A", "B", "C"], &["C"], None);
    let mut poller = at('A', 20, None);
    poller.time = 3 * S;
    let r = resolve(&[at('B', 5, None), at('C', 9, None), poller], &rules, false);
    assert_eq!((r.after_end, r.end.unwrap().latency.unwrap().micros), (0, 6 * S));
    assert_eq!(hops(&r), [('A', 'B', 2), ('B', 'C', 4)]);
}

#[test]
fn an_end_alone_counts_from_its_started_at() {
    let rules = rules(&[], &["A"], None);
    assert_eq!(resolve(&[at('A', 9, None)], &rules, false).end.unwrap().latency, None);
    let alone = Fact { started: Some(7 * S), event_clock: false, ..at('A', 9, None) };
    let r = resolve(&[alone], &rules, false);
    assert_eq!(r.end.unwrap().latency, Some(Sample { clock: Clock::Mixed, micros: 2 * S }));
}

#[test]
fn retries_reach_nothing() {
    let rules = rules(&["A", "B", "C"], &["B"], None);
    let retry = Fact { status: Status::Retried, ..at('B', 1, None) };
    let r = resolve(&[at('A', 0, None), retry], &rules, false);
    assert_eq!((r.fate(), hops(&r), r.waiting), (Fate::InFlight, vec![], 1));
    let r = resolve(&[at('A', 0, None), retry, at('B', 4, None)], &rules, false);
    assert_eq!((r.fate(), hops(&r)), (Fate::Ended(Outcome::Ok), vec![('A', 'B', 4)]));
}

#[test]
fn what_a_flow_waits_for() {
    let declared = rules(&["A", "B", "C"], &[], None);
    assert_eq!(resolve(&[at('A', 0, None)], &declared, false).waiting, 1);
    assert_eq!(resolve(&[at('X', 0, None)], &declared, false).waiting, 0);
    assert_eq!(resolve(&[at('C', 0, None), at('A', 1, None)], &declared, false).waiting, 2);
    assert_eq!(resolve(&[at('C', 0, None), at('A', 1, None)], &rules(&[], &[], None), false).waiting, 0);
}

#[test]
fn a_hole_leaves_it_unexplained_until_an_ok_explains_it() {
    let rules = rules(&[], &["B"], Some(60));
    let context = Context { passed: true, hole: true, joined: false };
    let mut r = Resolution::default();
    r.resolve(&[at('A', 0, None)], &rules, context);
    assert_eq!(r.fate(), Fate::Unexplained);
    r.resolve(&[at('A', 0, None), at('B', 70, None)], &rules, context);
    assert_eq!((r.fate(), r.recovery.is_some()), (Fate::Ended(Outcome::Ok), true));
    r.resolve(&[at('A', 0, None), at('B', 50, None)], &rules, Context { joined: true, ..context });
    assert_eq!((r.fate(), r.end.unwrap().latency, r.hops.len()), (Fate::Ended(Outcome::Ok), None, 0));
}
