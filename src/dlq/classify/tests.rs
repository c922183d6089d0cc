//! Letters of each family as its own writer makes them, and letters as nobody should make them.

use proptest::prelude::*;

use super::*;

fn letter(headers: &[(&str, &[u8])]) -> Letter {
    let headers: Vec<Header<'_>> = headers.iter().map(|(n, v)| (n.as_bytes(), Some(*v))).collect();
    classify(&headers)
}

fn at(stream: &str, partition: u32, position: u64) -> Origin {
    Origin { stream: stream.into(), partition: Some(partition), position: Some(position), time: None }
}

#[test]
fn spring_writes_binary_numbers_and_appends_each_hop() {
    let found = letter(&[
        ("traceparent", b"00-x"),
        ("kafka_dlt-original-topic", b"orders"),
        ("kafka_dlt-original-partition", &[0, 0, 0, 2]),
        ("kafka_dlt-original-offset", &[0, 0, 0, 0, 0, 0, 0x10, 0]),
        ("kafka_dlt-original-timestamp", &1_700_000_000_123_i64.to_be_bytes()),
        ("kafka_dlt-exception-fqcn", b"org.springframework.kafka.listener.ListenerExecutionFailedException"),
        ("kafka_dlt-exception-cause-fqcn", b"java.net.SocketTimeoutException"),
        ("kafka_dlt-exception-message", b"Listener failed; Read timed out"),
        ("kafka_dlt-original-consumer-group", b"billing"),
        ("kafka_dlt-original-topic", b"orders-retry-0"),
        ("kafka_dlt-original-partition", &[0, 0, 0, 1]),
        ("kafka_dlt-original-offset", &[0, 0, 0, 0, 0, 0, 0, 9]),
        ("kafka_dlt-exception-cause-fqcn", b"java.lang.IllegalStateException"),
        ("kafka_dlt-original-consumer-group", b"billing-retry"),
    ]);
    assert_eq!(found.family, "spring");
    assert_eq!((found.error.as_str(), found.group.as_str()), ("java.lang.IllegalStateException", "billing-retry"));
    let time = Some(Timestamp::from_millis(1_700_000_000_123));
    assert_eq!(found.first, Some(Origin { time, ..at("orders", 2, 4096) }));
    assert_eq!(found.last, Some(Origin { time, ..at("orders-retry-0", 1, 9) }));
}

#[test]
fn families_with_numbers_in_text() {
    let connect = letter(&[
        ("__connect.errors.topic", b"orders"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"1234"),
        ("__connect.errors.connector.name", b"jdbc-sink"),
        ("__connect.errors.exception.class.name", b"org.apache.kafka.connect.errors.DataException"),
        ("__connect.errors.exception.message", b"bad row"),
    ]);
    assert_eq!(
        (connect.family, connect.group.as_str(), connect.message.as_str()),
        ("connect", "connect-jdbc-sink", "bad row")
    );
    assert_eq!(connect.first, Some(at("orders", 3, 1234)));
    let streams = letter(&[
        ("__streams.errors.exception", b"java.lang.ArithmeticException"),
        ("__streams.errors.topic", b"in"),
        ("__streams.errors.partition", b"0"),
        ("__streams.errors.offset", b"7"),
    ]);
    assert_eq!((streams.family, streams.last), ("streams", Some(at("in", 0, 7))));
    let share = letter(&[
        ("__dlq.errors.topic", b"jobs"),
        ("__dlq.errors.partition", b"1"),
        ("__dlq.errors.offset", b"5"),
        ("__dlq.errors.group", b"workers"),
        ("__dlq.errors.delivery.count", b"5"),
    ]);
    assert_eq!((share.family, share.group.as_str(), share.attempts), ("share", "workers", Some(5)));
    let smallrye = letter(&[
        ("dead-letter-exception-class-name", b"java.lang.RuntimeException"),
        ("dead-letter-cause-class-name", b"java.io.IOException"),
        ("dead-letter-reason", b"no"),
        ("dead-letter-topic", b"prices"),
        ("dead-letter-partition", b"0"),
        ("dead-letter-offset", b"11"),
    ]);
    assert_eq!((smallrye.family, smallrye.error.as_str()), ("smallrye", "java.io.IOException"));
    let cloud = letter(&[
        ("x-original-topic", b"\"orders\""),
        ("x-original-partition", &[0, 0, 0, 4]),
        ("x-exception-stacktrace", b"java.lang.NullPointerException: x\n\tat A.b(A.java:1)"),
    ]);
    assert_eq!((cloud.family, cloud.error.as_str()), ("spring-cloud", "java.lang.NullPointerException"));
    assert_eq!(cloud.first.map(|o| (o.stream, o.partition, o.position)), Some(("orders".into(), Some(4), None)));
}

#[test]
fn a_letter_that_came_back_knows_where_it_failed_first() {
    let found = letter(&[
        ("x-redrive-count", b"2"),
        ("x-redrive-source-topic", b"orders"),
        ("x-redrive-source-partition", b"1"),
        ("x-redrive-source-offset", b"40"),
        ("x-redrive-error", b"java.net.ConnectException"),
        ("kafka_dlt-original-topic", b"orders-retry"),
        ("kafka_dlt-exception-fqcn", b"java.lang.IllegalStateException"),
    ]);
    assert_eq!((found.family, found.redriven), ("spring", 2));
    assert_eq!(found.error, "java.lang.IllegalStateException");
    assert_eq!(found.first, Some(at("orders", 1, 40)));
    assert_eq!(found.last.map(|o| o.stream).as_deref(), Some("orders-retry"));
    let only_ours =
        letter(&[("x-redrive-source-topic", b"orders"), ("x-redrive-error", b"E"), ("x-redrive-count", b"x")]);
    assert_eq!((only_ours.family, only_ours.error.as_str(), only_ours.redriven), ("streamgauge", "E", 0));
    let counts: [(&str, &[u8]); 4] =
        [("x-redrive-count", b"1"), ("x-redrive-count", b"7"), ("X-Redrive-Count", b"0"), ("x-redrive-count", b"?")];
    assert_eq!(letter(&counts).redriven, 7, "the greatest: who writes another one does not lift the cap");
}

#[test]
fn error_headers_and_others() {
    for name in
        ["kafka_dlt-original-topic", "X-Redrive-Count", "__connect.errors.stage", "kafka.OFFSET", "dead-letter-x"]
    {
        assert!(is_error_header(name.as_bytes()), "{name}");
    }
    for name in ["traceparent", "ce_id", "x-original-traceparent", "kafka_messageKey", "x", "", "kafka.KEY", "source"] {
        assert!(!is_error_header(name.as_bytes()), "{name}");
    }
    assert_eq!(letter(&[("content-type", b"application/json")]), Letter::default());
}

/// Names that mean something, among others.
fn names() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static str> = FAMILIES
        .iter()
        .chain([&OURS])
        .flat_map(|f| {
            [f.topic, f.partition, f.offset, f.time, f.group, f.attempts, f.stacktrace]
                .into_iter()
                .chain(f.errors.iter().copied())
                .chain(f.messages.iter().copied())
        })
        .chain(["x-redrive-count"])
        .collect();
    prop_oneof![
        proptest::sample::select(known).prop_map(|n| n.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn any_headers_make_a_letter_of_bounded_size(
        headers in proptest::collection::vec((names(), proptest::option::of(proptest::collection::vec(any::<u8>(), 0..600))), 0..30)
    ) {
        let borrowed: Vec<Header<'_>> = headers.iter().map(|(n, v)| (n.as_slice(), v.as_deref())).collect();
        let found = classify(&borrowed);
        prop_assert!(found.message.chars().count() <= MESSAGE_CHARS);
        prop_assert!(found.error.chars().count() <= CLASS_CHARS);
        prop_assert!(found.group.chars().count() <= NAME_CHARS + 8);
        prop_assert_eq!(found.family.is_empty() && found.first.is_some(), false);
    }

    #[test]
    fn numbers_in_text_and_in_bytes_agree(family in 0usize..FAMILIES.len(), partition in 0i32..10_000, offset in 0i64..1 << 50) {
        let family = &FAMILIES[family];
        let (p, o) = (partition.to_string(), offset.to_string());
        let text: [(&str, &[u8]); 3] = [(family.topic, b"t"), (family.partition, p.as_bytes()), (family.offset, o.as_bytes())];
        let (p, o) = (partition.to_be_bytes(), offset.to_be_bytes());
        let bytes: [(&str, &[u8]); 3] = [(family.topic, b"t"), (family.partition, &p), (family.offset, &o)];
        prop_assert_eq!(letter(&text), letter(&bytes));
    }
}
