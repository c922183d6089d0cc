//! Markers that are written, read again, compacted and buried, against what one counts by hand.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn what_is_written_is_read_again(marks in proptest::collection::vec((0u32..3, 0u64..20_000, any::<bool>()), 0..200), from in 0u64..20_000) {
        let mut settled = Settled::new("c/t|1");
        let mut log = Vec::new();
        let mut truth: BTreeMap<(u32, u64), Fate> = BTreeMap::new();
        for (n, (partition, position, sent)) in marks.into_iter().enumerate() {
            let fate = if sent { Fate::Sent } else { Fate::Passed };
            settled.mark(partition, position, fate);
            let old = truth.entry((partition, position)).or_insert(fate);
            if sent { *old = Fate::Sent; }
            if n % 7 == 0 { log.extend(settled.take_touched()); }
        }
        log.extend(settled.take_touched());
        prop_assert!(settled.take_touched().is_empty());
        let mut read = Settled::new("c/t|1");
        for (key, value) in &log { prop_assert!(read.load(key, Some(value))); }
        for partition in 0..3 {
            prop_assert_eq!(read.within(partition, 0, from) + read.from(partition, from), read.from(partition, 0));
            let of = |(p, position): &&(u32, u64)| *p == partition && *position >= from;
            prop_assert_eq!(read.from(partition, from), truth.keys().filter(of).count() as u64);
        }
        for ((partition, position), fate) in truth { prop_assert_eq!(read.fate(partition, position), Some(fate)); }
    }

    #[test]
    fn foreign_records_are_left_alone(key in proptest::collection::vec(any::<u8>(), 0..30), value in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut settled = Settled::new("x");
        prop_assert!(!settled.load(&key, Some(&value)));
    }
}

/// What happens to a log of markers.
#[derive(Clone, Debug)]
enum Event {
    /// A run settles a letter: partition, position, whether a copy goes out.
    Mark(u32, u64, bool),
    /// Its step is durable.
    Write,
    /// The log of letters begins further behind now.
    Expire(u32, u64),
    /// The newest record of each key is all that stays, and a deleted one does not.
    Compact,
    /// A run deletes what says nothing any more.
    Bury,
    /// Another run begins: it reads what is durable.
    Run,
    /// Who watches reads all of it once more, as after a cluster that did not tell the stream.
    Again,
    /// Who watches begins anew.
    Watch,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0u32..2, 0..4 * CHUNK, any::<bool>()).prop_map(|(p, at, sent)| Event::Mark(p, at, sent)),
        4 => Just(Event::Write),
        2 => (0u32..2, 0..4 * CHUNK).prop_map(|(p, start)| Event::Expire(p, start)),
        1 => Just(Event::Compact),
        1 => Just(Event::Bury),
        1 => Just(Event::Run),
        2 => Just(Event::Again),
        1 => Just(Event::Watch),
    ]
}

type Log = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Takes records, then forgets what lies before these begins.
fn read(settled: &mut Settled, log: &[(Vec<u8>, Option<Vec<u8>>)], starts: [u64; 2]) {
    for (key, value) in log {
        settled.load(key, value.as_deref());
    }
    (0..).zip(starts).for_each(|(partition, start)| settled.expire(partition, start));
}

proptest! {
    #[test]
    fn copies_are_counted_as_one_counts_by_hand(events in proptest::collection::vec(event(), 1..60)) {
        let (mut run, mut watch) = (Settled::new("id"), Settled::new("id"));
        let (mut log, mut starts) = (Log::new(), [0, 0]);
        // By hand: every letter that was ever settled, and whether a copy of it was sent; first what is not durable.
        let (mut pending, mut truth) = (Vec::new(), BTreeMap::<(u32, u64), bool>::new());
        for event in events {
            let written = log.len();
            match event {
                Event::Mark(partition, at, sent) if at >= starts[partition as usize] => {
                    run.mark(partition, at, if sent { Fate::Sent } else { Fate::Passed });
                    pending.push(((partition, at), sent));
                }
                Event::Mark(..) => {}
                Event::Write => {
                    log.extend(run.take_touched().into_iter().map(|(key, value)| (key, Some(value))));
                    for (letter, sent) in pending.drain(..) {
                        *truth.entry(letter).or_default() |= sent;
                    }
                }
                Event::Expire(partition, start) => {
                    let begin = &mut starts[partition as usize];
                    *begin = start.max(*begin);
                    run.expire(partition, start);
                }
                Event::Compact => {
                    let newest: BTreeMap<Vec<u8>, usize> = log.iter().map(|(key, _)| key.clone()).zip(0..).collect();
                    let mut place = 0..;
                    log.retain(|(key, value)| place.next() == newest.get(key).copied() && value.is_some());
                    read(&mut watch, &log, starts);
                    continue;
                }
                Event::Bury => log.extend(run.take_expired(2).into_iter().map(|key| (key, None))),
                Event::Run => {
                    run = Settled::new("id");
                    pending.clear();
                    read(&mut run, &log, starts);
                }
                Event::Again => read(&mut watch, &log[..written], starts),
                Event::Watch => {
                    watch = Settled::new("id");
                    read(&mut watch, &log[..written], starts);
                }
            }
            read(&mut watch, &log[written..], starts);
            let sent = truth.values().filter(|sent| **sent).count() as u64;
            prop_assert_eq!(watch.sent(), sent, "who watches");
            if pending.is_empty() {
                prop_assert_eq!(run.sent(), sent, "who sends");
            }
            for (partition, start) in (0..).zip(starts) {
                let there = truth.keys().filter(|(p, at)| *p == partition && *at >= start).count() as u64;
                prop_assert_eq!(watch.from(partition, start), there);
            }
        }
    }
}

#[test]
fn another_incarnation_is_another_stream() {
    let mut old = Settled::new("id-1");
    old.mark(0, 5, Fate::Sent);
    let (key, value) = old.take_touched().remove(0);
    let mut new = Settled::new("id-2");
    assert!(!new.load(&key, Some(&value)));
    assert_eq!(new.fate(0, 5), None);
    assert!(old.load(&key, None), "a tombstone forgets");
    assert_eq!((old.fate(0, 5), old.sent()), (None, 1), "what was sent stays sent");
    assert_eq!((new.take_expired(9), new.take_expired(9)), (vec![key.clone()], Vec::new()), "it buries the other");
    new.load(&key, Some(&value));
    new.load(&key, None);
    assert!(new.take_expired(9).is_empty(), "it is buried already");
    let mut nameless = Settled::new("");
    assert!(!nameless.load(&key, Some(&value)) && nameless.take_expired(9).is_empty());
    assert!(!new.load(b"v1|audit|run|end", Some(b"{}")) && new.take_expired(9).is_empty(), "no chunk");
}

#[test]
fn what_left_the_log_leaves_the_markers() {
    let mut settled = Settled::new("id");
    for (partition, at) in [(0, 5), (0, CHUNK), (0, 2 * CHUNK), (1, 5)] {
        settled.mark(partition, at, Fate::Sent);
    }
    let written = settled.take_touched();
    settled.expire(0, CHUNK - 1);
    assert!(settled.take_expired(9).is_empty(), "a chunk with a position that is still there stays");
    settled.expire(0, 2 * CHUNK);
    let expired = settled.take_expired(9);
    assert_eq!(expired, [written[0].0.clone(), written[1].0.clone()]);
    assert_eq!((settled.fate(0, 5), settled.fate(0, 2 * CHUNK), settled.sent()), (None, Some(Fate::Sent), 4));
    // Whoever reads the log then finds what is left.
    let mut read = Settled::new("id");
    written.iter().for_each(|(key, value)| assert!(read.load(key, Some(value))));
    expired.iter().for_each(|key| assert!(read.load(key, None)));
    assert_eq!((read.from(0, 0), read.from(1, 0), read.sent()), (1, 1, 4));
}
