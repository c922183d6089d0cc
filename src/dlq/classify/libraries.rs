//! One letter of each library, with all headers that it writes, in its order and its bytes: as the sources of Spring
//! Kafka 3 (`DeadLetterPublishingRecoverer`), Kafka Connect and Kafka Streams 4.2, the share groups of Kafka 4.4 and
//! SmallRye Reactive Messaging 4 (`KafkaDeadLetterQueue`) have them.

use super::*;

/// What of a letter each library says: family, error, message, group, deliveries.
type Words<'a> = (&'a str, &'a str, &'a str, &'a str, Option<u64>);

fn letter(headers: &[(&str, &[u8])]) -> Letter {
    let headers: Vec<Header<'_>> = headers.iter().map(|(n, v)| (n.as_bytes(), Some(*v))).collect();
    classify(&headers)
}

/// All of them say the same origin: partition 3, position 4,294,967,298 of `orders`.
fn says(headers: &[(&str, &[u8])], words: Words<'_>, millis: Option<i64>) {
    let found = letter(headers);
    let Letter { family, error, message, group, attempts, .. } = &found;
    assert_eq!((*family, error.as_str(), message.as_str(), group.as_str(), *attempts), words);
    let time = millis.map(Timestamp::from_millis);
    let origin = Origin { stream: "orders".into(), partition: Some(3), position: Some(4_294_967_298), time };
    assert_eq!((found.first.as_ref(), found.last.as_ref()), (Some(&origin), Some(&origin)), "{family}");
    for (name, _) in headers.iter().filter(|(name, _)| *name != "tenant") {
        assert!(is_error_header(name.as_bytes()), "{name} does not go back with the record");
    }
}

#[test]
fn spring_writes_its_numbers_as_bytes() {
    let headers: [(&str, &[u8]); 13] = [
        ("tenant", b"acme"),
        ("kafka_dlt-original-topic", b"orders"),
        ("kafka_dlt-original-partition", b"\x00\x00\x00\x03"),
        ("kafka_dlt-original-offset", b"\x00\x00\x00\x01\x00\x00\x00\x02"),
        ("kafka_dlt-original-timestamp", b"\x00\x00\x01\x9a\xa8\x1f\x4c\x00"),
        ("kafka_dlt-original-timestamp-type", b"CreateTime"),
        ("kafka_dlt-original-consumer-group", b"billing"),
        ("kafka_dlt-exception-fqcn", b"org.springframework.kafka.listener.ListenerExecutionFailedException"),
        ("kafka_dlt-exception-cause-fqcn", b"java.lang.IllegalStateException"),
        ("kafka_dlt-exception-message", b"Listener method could not be invoked; no stock"),
        ("kafka_dlt-exception-stacktrace", b"org.springframework.kafka.KafkaException: x\n\tat a.B.c(B.java:1)"),
        ("retry_topic-attempts", b"\x00\x00\x00\x04"),
        ("retry_topic-original-timestamp", b"\x00\x00\x01\x9a\xa8\x1f\x4c\x00"),
    ];
    let words = "Listener method could not be invoked; no stock";
    let millis = 0x0000_019a_a81f_4c00;
    says(&headers, ("spring", "java.lang.IllegalStateException", words, "billing", None), Some(millis));
}

#[test]
fn connect_writes_texts() {
    let headers: [(&str, &[u8]); 11] = [
        ("tenant", b"acme"),
        ("__connect.errors.topic", b"orders"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"4294967298"),
        ("__connect.errors.connector.name", b"jdbc-sink"),
        ("__connect.errors.task.id", b"0"),
        ("__connect.errors.stage", b"VALUE_CONVERTER"),
        ("__connect.errors.class.name", b"org.apache.kafka.connect.json.JsonConverter"),
        ("__connect.errors.exception.class.name", b"org.apache.kafka.connect.errors.DataException"),
        ("__connect.errors.exception.message", b"Converting byte[] to Kafka Connect data failed"),
        ("__connect.errors.exception.stacktrace", b"org.apache.kafka.connect.errors.DataException: x\n\tat a"),
    ];
    let words = "Converting byte[] to Kafka Connect data failed";
    let error = "org.apache.kafka.connect.errors.DataException";
    says(&headers, ("connect", error, words, "connect-jdbc-sink", None), None);
}

#[test]
fn streams_writes_the_class_or_the_whole_exception() {
    for exception in ["java.lang.RuntimeException", "java.lang.RuntimeException: Missing 'ball': none"] {
        let headers: [(&str, &[u8]); 6] = [
            ("__streams.errors.exception", exception.as_bytes()),
            ("__streams.errors.message", b"Missing 'ball': none"),
            ("__streams.errors.stacktrace", b"java.lang.RuntimeException: Missing 'ball': none\n\tat a.B.c(B.java:40)"),
            ("__streams.errors.topic", b"orders"),
            ("__streams.errors.partition", b"3"),
            ("__streams.errors.offset", b"4294967298"),
        ];
        says(&headers, ("streams", "java.lang.RuntimeException", "Missing 'ball': none", "", None), None);
    }
}

#[test]
fn share_groups_write_texts_and_no_class() {
    let headers: [(&str, &[u8]); 6] = [
        ("__dlq.errors.topic", b"orders"),
        ("__dlq.errors.partition", b"3"),
        ("__dlq.errors.offset", b"4294967298"),
        ("__dlq.errors.group", b"workers"),
        ("__dlq.errors.delivery.count", b"5"),
        ("__dlq.errors.message", b"Offset delivery count exceeded the threshold."),
    ];
    says(&headers, ("share", "", "Offset delivery count exceeded the threshold.", "workers", Some(5)), None);
}

#[test]
fn smallrye_writes_its_headers_before_those_of_the_record() {
    let headers: [(&str, &[u8]); 8] = [
        ("dead-letter-exception-class-name", b"java.util.concurrent.CompletionException"),
        ("dead-letter-reason", b"java.io.IOException: no route"),
        ("dead-letter-cause-class-name", b"java.io.IOException"),
        ("dead-letter-cause", b"no route"),
        ("dead-letter-topic", b"orders"),
        ("dead-letter-partition", b"3"),
        ("dead-letter-offset", b"4294967298"),
        ("tenant", b"acme"),
    ];
    says(&headers, ("smallrye", "java.io.IOException", "java.io.IOException: no route", "", None), None);
    // Taken from there and failed once more: the newest failure stands before the first.
    let again: [(&str, &[u8]); 5] = [
        ("dead-letter-exception-class-name", b"java.lang.IllegalStateException"),
        ("dead-letter-reason", b"closed"),
        ("dead-letter-topic", b"dead-letter-topic-orders"),
        ("dead-letter-partition", b"0"),
        ("dead-letter-offset", b"7"),
    ];
    let found = letter(&[&again[..], &headers[..]].concat());
    assert_eq!((found.message.as_str(), found.last.unwrap().stream.as_str()), ("closed", "dead-letter-topic-orders"));
    assert_eq!(found.first.map(|o| (o.stream, o.position)), Some(("orders".into(), Some(4_294_967_298))));
}
