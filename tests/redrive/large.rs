//! One letter that its target never takes: it stays, named, and holds nobody up.

use std::time::{Duration, Instant};

use super::{World, command, sent, skipped};

/// Longest run: the broker leaves a transaction that nobody ends open for a minute.
const SOON: Duration = Duration::from_secs(30);
/// Bytes of a letter that fits where it lies and, with the headers of a copy, nowhere with the default limit.
const LARGE: usize = 1_048_300;

#[test]
fn a_letter_that_is_too_large_stays_and_the_others_go() {
    let Some(world) = World::start() else { return };
    let hand = world.hand();
    // Compressed batches: how large they become is not known before, the broker's refusal decides.
    let compressed = world.dir.path().join("compressed.toml");
    let text = std::fs::read_to_string(world.config()).expect("a configuration");
    std::fs::write(&compressed, format!("{text}[cluster.properties]\n\"compression.type\" = \"lz4\"\n"))
        .expect("written");
    for (dlq, config, told) in [("told.dlq", world.config(), true), ("refused.dlq", compressed, false)] {
        let target = dlq.trim_end_matches(".dlq");
        hand.create(target, 1);
        hand.create_with(dlq, 1, &[("max.message.bytes", "2000000")]);
        hand.noise(dlq, target, &[100, LARGE, 200, LARGE, 300]);
        let run = |more: &[&str]| {
            let began = Instant::now();
            let output = command(&config, dlq, more).output().expect("the binary");
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{out}\n{err}");
            assert!(began.elapsed() < SOON, "{:?}\n{err}", began.elapsed());
            serde_json::from_str::<serde_json::Value>(&out).expect("JSON")
        };
        if told {
            let dry = run(&["--dry-run"]);
            assert_eq!((sent(&dry), skipped(&dry, "too large for its target")), (3, 2), "{dry}");
        }
        let view = run(&[]);
        assert_eq!((sent(&view), skipped(&view, "too large for its target")), (3, 2), "{view}");
        let notes = view["notes"].to_string();
        assert!(notes.contains("2 too large for its target: 0:1 (1048") && notes.contains("0:3 (1048"), "{notes}");
        let lengths: Vec<usize> = hand.copies(target).iter().map(|copy| copy.payload.len()).collect();
        assert_eq!(lengths, [100, 200, 300], "nothing hides them: no transaction is open");
        assert_eq!(hand.stable_end(target), hand.written(target), "readers of committed records reach the end");
        let again = run(&[]);
        assert_eq!((sent(&again), skipped(&again, "too large for its target")), (0, 2), "{again}");
    }
}
