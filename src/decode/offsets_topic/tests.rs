//! Records by hand from the schemas, records that a broker wrote, and records that nobody should write.

use proptest::prelude::*;

use super::*;

fn string(text: &str) -> Vec<u8> {
    let mut bytes = i16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn varint(mut n: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

fn compact(text: &str) -> Vec<u8> {
    [varint(u32::try_from(text.len()).unwrap() + 1), text.as_bytes().to_vec()].concat()
}

fn key(group: &str, topic: &str, partition: i32) -> Vec<u8> {
    [vec![0, 1], string(group), string(topic), partition.to_be_bytes().to_vec()].concat()
}

/// A commit value of a version, with a tag that nobody knows and the topic's id.
fn value(version: i16, offset: i64, metadata: &str, at: i64) -> Vec<u8> {
    let mut bytes = [version.to_be_bytes().to_vec(), offset.to_be_bytes().to_vec()].concat();
    if version >= 3 {
        bytes.extend(7i32.to_be_bytes());
    }
    bytes.extend(if version >= 4 { compact(metadata) } else { string(metadata) });
    bytes.extend(at.to_be_bytes());
    if version == 1 {
        bytes.extend((at + 1).to_be_bytes());
    }
    if version >= 4 {
        bytes.extend([vec![2, 0, 16], vec![9; 16], varint(300), varint(130), vec![1; 130]].concat());
    }
    bytes
}

fn commit_of<'a>(key: &'a [u8], value: &'a [u8]) -> CommitValue<'a> {
    match decode_offsets(key, Some(value)) {
        Ok(OffsetsRecord::Commit(of, Some(value))) => {
            assert_eq!((of.group, of.topic, of.partition), ("billing", "orders", 3));
            value
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn every_version_says_the_same(offset in 0i64..1 << 60, length in 0usize..400, at in 0i64..1 << 44) {
        let metadata = "m".repeat(length);
        let key = key("billing", "orders", 3);
        for version in 0..=5 {
            let bytes = value(version, offset, &metadata, at);
            let found = commit_of(&key, &bytes);
            prop_assert_eq!((found.offset, found.metadata, found.commit_millis), (offset, metadata.as_str(), at));
            prop_assert_eq!(found.leader_epoch, if version >= 3 { 7 } else { -1 });
            prop_assert_eq!(found.topic_id, (version >= 4).then_some([9; 16]));
            for cut in 0..bytes.len() {
                prop_assert!(decode_offsets(&key, Some(&bytes[..cut])).is_err(), "version {} cut at {}", version, cut);
            }
        }
    }

    #[test]
    fn nothing_panics(kind in 0i16..12, rest in proptest::collection::vec(any::<u8>(), 0..60), value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..80))) {
        let key = [kind.to_be_bytes().to_vec(), rest].concat();
        let _ = decode_offsets(&key, value.as_deref());
        let mut topic = OffsetsTopic::new(10);
        topic.apply(&key, value.as_deref(), None);
        prop_assert!(topic.len() <= 1);
    }
}

#[test]
fn classic_groups_of_every_version() {
    let key = [vec![0, 2], string("billing")].concat();
    for version in 0i16..=4 {
        let flexible = version >= 4;
        let text = |t: &str| if flexible { compact(t) } else { string(t) };
        let bytes = |b: &[u8]| {
            let n = u32::try_from(b.len()).unwrap();
            [if flexible { varint(n + 1) } else { n.to_be_bytes().to_vec() }, b.to_vec()].concat()
        };
        let mut value =
            [version.to_be_bytes().to_vec(), text("consumer"), 4i32.to_be_bytes().to_vec(), text("range")].concat();
        value.extend(if flexible { vec![0] } else { vec![0xff, 0xff] }); // no leader
        if version >= 2 {
            value.extend(5i64.to_be_bytes());
        }
        value.extend(if flexible { varint(2) } else { 1i32.to_be_bytes().to_vec() });
        value.extend(text("m-1"));
        if version >= 3 {
            value.extend(if flexible { vec![0] } else { vec![0xff, 0xff] }); // no instance id
        }
        value.extend([text("app"), text("/10.0.0.1")].concat());
        if version >= 1 {
            value.extend(1i32.to_be_bytes());
        }
        value.extend([1i32.to_be_bytes().to_vec(), bytes(b"sub"), bytes(b"assignment")].concat());
        if flexible {
            value.extend([0, 0]);
        }
        let want = ClassicGroup { protocol_type: "consumer", generation: 4, members: vec![("app", "/10.0.0.1")] };
        assert_eq!(
            decode_offsets(&key, Some(&value)),
            Ok(OffsetsRecord::ClassicGroup("billing", Some(want))),
            "version {version}"
        );
    }
    assert_eq!(decode_offsets(&key, None), Ok(OffsetsRecord::ClassicGroup("billing", None)));
}

#[test]
fn other_keys_are_told_apart() {
    let of = |kind: u8| [vec![0, kind], string("g"), string("member")].concat();
    assert_eq!(decode_offsets(&of(3), Some(&[0, 0, 0, 0, 0, 9, 0])), Ok(OffsetsRecord::Group("g", Some(Some(9)))));
    assert_eq!(decode_offsets(&of(3), None), Ok(OffsetsRecord::Group("g", None)));
    assert_eq!(
        decode_offsets(&of(5), None),
        Ok(OffsetsRecord::Group("g", Some(None))),
        "a member left, the group did not"
    );
    assert_eq!(decode_offsets(&of(17), Some(b"x")), Ok(OffsetsRecord::Unknown(17)));
    assert_eq!(decode_offsets(b"", None), Err(OffsetsFault::Short));
    let key = key("billing", "orders", 3);
    assert_eq!(decode_offsets(&key, Some(&[0xff, 0xff])), Err(OffsetsFault::Version(-1)));
}

#[test]
fn the_topic_keeps_the_newest_commit_of_each() {
    let mut topic = OffsetsTopic::new(2);
    let (a, b, c) = (key("g", "t", 0), key("g", "t", 1), key("h", "t", 0));
    let seen = topic.apply(&a, Some(&value(3, 10, "", 1_000)), None).unwrap();
    assert_eq!((seen.next, seen.at), (Some(10), Some(Timestamp(1_000_000))));
    topic.apply(&a, Some(&value(4, 12, "", 2_000)), None);
    topic.apply(&b, Some(&value(4, 5, "", 2_000)), None);
    assert_eq!(topic.apply(&c, Some(&value(4, 5, "", 2_000)), None), None, "beyond the bound");
    assert_eq!((topic.dropped, topic.len(), topic.seen), (1, 2, 4));
    assert_eq!(topic.newest("g", "t", 0), Some((12, Timestamp(2_000_000))));
    let gone = topic.apply(&a, None, Some(Timestamp(3))).unwrap();
    assert_eq!((gone.next, gone.at), (None, Some(Timestamp(3))));
    assert_eq!(topic.apply(&a, None, None), None, "gone is gone once");
    assert_eq!((topic.newest("g", "t", 0), topic.len(), topic.all().count()), (None, 1, 1));
    topic.apply(&[0, 40], Some(b"x"), None);
    topic.apply(&[0], Some(b"x"), None);
    assert_eq!((topic.unknown, topic.faults), (1, 1));
}
