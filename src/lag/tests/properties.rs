//! Any log, any target: what the time index says of it.

use proptest::prelude::*;

use super::super::index::Look;
use super::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    /// Any log, any target, any broker that answers truly: what the index says holds, and it ends.
    #[test]
    fn the_index_never_says_more_than_it_was_told(
        steps in prop::collection::vec(prop_oneof![Just(0_i64), 1..50_i64, 1_000..5_000_000_i64], 1..120),
        holes in prop::collection::vec(any::<bool>(), 120),
        target in 0_usize..120,
        shrink in any::<bool>(),
    ) {
        let mut time = 1_700_000_000_000_i64;
        let log: Vec<Option<i64>> = steps.iter().zip(&holes).map(|(step, hole)| {
            time += step;
            (!hole).then_some(time)
        }).collect();
        let now = Timestamp::from_millis(time + 10_000);
        let (end, target) = (log.len() as u64, (target % log.len()) as u64);
        let look = Look { end, now, ascending: true, markers: false, flowing: false };
        let truth = log[target as usize..].iter().find_map(|t| *t);
        let mut index = TimeIndex::default();
        for _ in 0..200 {
            if shrink {
                index.shrink(8, &[target], now);
            }
            let next = index.next(target, look);
            let age = age_of(next, now);
            if let (Some(age), Some(truth)) = (age.seconds, truth) {
                let truth = now.since(Timestamp::from_millis(truth)) as f64 / 1e6;
                prop_assert!((age - truth).abs() <= (truth * 0.05).max(1.0) + 0.01, "{age} {truth} {next:?}");
            }
            prop_assert!(truth.is_some() || age.seconds.is_none(), "{next:?} about nothing");
            if age.seconds.is_some() {
                return Ok(());
            }
            let Some(asked) = index.question(target, look) else { return Ok(()) };
            let first = log.iter().enumerate().find_map(|(p, t)| {
                let time = Timestamp::from_millis((*t)?);
                (time >= asked).then_some(TimedPosition { position: p as u64, time })
            });
            // The board lets a partition rest then.
            if !index.answered(asked, first, look) {
                return Ok(());
            }
        }
        prop_assert!(false, "it goes on asking");
    }
}
