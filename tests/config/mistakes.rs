//! Mistakes, and exactly what is said about each.

use crate::{KAFKA, parse};

/// Each bad file and exactly what is said about it.
#[test]
fn mistakes_are_named_with_place_key_value_and_what_is_allowed() {
    let kafka = |rest: &str| format!("{KAFKA}{rest}");
    let table: Vec<(String, &str)> = vec![
        ("listn = \"x\"".into(), r#"t.toml:1:1: listn = "x": unknown key, did you mean "listen"?; allowed: listen data_dir public_url log_format limits history cluster stream flow publish auth telemetry trace metrics lag dlq channel rule"#),
        ("listen = \"8080\"".into(), r#"t.toml:1:10: listen = "8080": not an address; allowed: IP:PORT, [IPv6]:PORT or localhost:PORT; port 0 takes any free one"#),
        ("listen = 8080".into(), "t.toml:1:10: listen = 8080: expected a string, found a whole number"),
        ("log_format = \"xml\"".into(), r#"t.toml:1:14: log_format = "xml": unknown word; allowed: text json"#),
        ("public_url = \"host/ops\"".into(), r#"t.toml:1:14: public_url = "host/ops": not a URL; allowed: http://HOST[:PORT][/PATH] or https://..."#),
        ("data_dir = \"/dev/null\"".into(), r#"t.toml:1:12: data_dir = "/dev/null": not a directory; allowed: a directory, or a path where one can be made"#),
        ("listen = \"${NONE}\"".into(), r#"t.toml:1:10: listen = "${NONE}": the environment variable NONE is not set; ${NONE:-default} makes it optional"#),
        ("[[cluster]]\nkind = \"kafka\"".into(), "t.toml:1:1: cluster[0].name: is missing; allowed: 1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit\nt.toml:1:1: cluster[0].bootstrap_servers: is missing; allowed: HOST:PORT, several separated by commas"),
        ("[[cluster]]\nname = \"r\"\nkind = \"redis\"\nurl = \"redis://u:pw@h\"".into(), r#"t.toml:3:8: cluster[0].kind = "redis": not in this version; allowed: kafka embedded"#),
        ("[[cluster]]\nname = \"r\"\nkind = \"kafak\"".into(), r#"t.toml:3:8: cluster[0].kind = "kafak": unknown word, did you mean "kafka"?; allowed: kafka embedded redis nats"#),
        ("[[cluster]]\nname = \"e\"\nkind = \"embedded\"\nbootstrap_servers = \"k:1\"".into(), r#"t.toml:4:21: cluster[0].bootstrap_servers = "k:1": the embedded log has no servers: it lies in data_dir"#),
        (kafka("[cluster.properties]\n\"group.id\" = \"g\""), r#"t.toml:6:14: cluster[0].properties."group.id" = "g": cannot be set: we join no consumer group"#),
        (kafka("[cluster.properties]\n\"secruity.protocol\" = \"SSL\""), r#"t.toml:6:1: cluster[0].properties."secruity.protocol" = ***: librdkafka has no such property, did you mean "security.protocol"?"#),
        (kafka("[cluster.properties]\n\"qwertz\" = \"hunter2\""), r#"t.toml:6:1: cluster[0].properties.qwertz = ***: librdkafka has no such property"#),
        (kafka("[cluster.properties]\n\"sasl.psswrd\" = \"hunter2\""), r#"t.toml:6:1: cluster[0].properties."sasl.psswrd" = ***: librdkafka has no such property, did you mean "sasl.password"?"#),
        (kafka("[cluster.properties]\n\"security.protocol\" = \"TLS\""), r#"t.toml:6:23: cluster[0].properties."security.protocol" = "TLS": Invalid value *** for configuration property "security.protocol""#),
        (kafka(KAFKA), r#"t.toml:6:8: cluster[1].name = "main": another [[cluster]] has this name"#),
        (kafka("[[stream]]\ncluster = \"mian\"\nname = \"o\""), r#"t.toml:6:11: stream[0].cluster = "mian": no [[cluster]] has this name, did you mean "main"?; allowed: main"#),
        (kafka("[[stream]]\nrole = \"events\""), "t.toml:5:1: stream[0].name: is missing; allowed: a name, or a pattern instead"),
        (kafka("[[stream]]\nname = \"a\"\npattern = \"b\""), r#"t.toml:7:11: stream[0].pattern = "b": a [[stream]] has a name or a pattern, not both; allowed: one of them"#),
        (kafka("[[stream]]\nname = \"shop.*\""), r#"t.toml:6:8: stream[0].name = "shop.*": not the name of a stream; write pattern = for a pattern; allowed: 1 to 249 of a-z A-Z 0-9 . _ -"#),
        (kafka("[[stream]]\npattern = '^shop('"), "t.toml:6:11: stream[0].pattern = '^shop(': not a regular expression: error: unclosed group; allowed: a regular expression, as '^shop\\.' is one"),
        (kafka("[[stream]]\nname = \"o\"\nrole = \"dql\""), r#"t.toml:7:8: stream[0].role = "dql": unknown word, did you mean "dlq"?; allowed: events dlq lag"#),
        (kafka("[[stream]]\nname = \"o\"\nstart = \"yesterday\""), r#"t.toml:7:9: stream[0].start = "yesterday": neither a word nor a time; allowed: latest, earliest or a time (RFC 3339, "2026-11-22T10:00:00Z")"#),
        (kafka("[[stream]]\nname = \"o\"\nformat = \"mapped\""), r#"t.toml:7:10: stream[0].format = "mapped": needs a [stream.map]; `sample STREAM` prints one; allowed: auto event cloudevents opaque"#),
        (kafka("[[stream]]\nname = \"o\"\n[[stream]]\nname = \"o\""), r#"t.toml:8:8: stream[1].name = "o": another [[stream]] of this cluster is the same"#),
        (kafka("[[stream]]\nname = \"o\"\n[stream.map]\ntransaction_id = \"order/id\"\nstage = \"field:x\"\nhop = \"/x\"\noutcome = { from = \"/s\", values = { a = \"timed_out\" } }"), "t.toml:8:18: stream[0].map.transaction_id = \"order/id\": not a place of a field; allowed: a JSON pointer (\"/order/id\"), \"header:NAME\", \"key\" or \"const:VALUE\"\nt.toml:9:9: stream[0].map.stage = \"field:x\": a record of Kafka has no fields, an entry of Redis has; allowed: a JSON pointer (\"/order/id\"), \"header:NAME\", \"key\" or \"const:VALUE\"\nt.toml:10:1: stream[0].map.hop = \"/x\": unknown key; allowed: flow transaction_id stage id event_time started_at status service error traceparent outcome\nt.toml:11:41: stream[0].map.outcome.values.a = \"timed_out\": not an outcome; allowed: ok failed compensated dead_lettered"),
        ("[[stream]]\nname = \"o\"".into(), "t.toml:1:1: stream[0].cluster: there is no [[cluster]] to read it from"),
        ("[[flow]]\nname = \"f\"\nstages = [\"a\", \"b\", \"a\"]\nends_at = [\"c\"]\ntimeout = \"15\"\ndeadlines = { d = \"8s\", b = \"0s\" }".into(), "t.toml:3:21: flow[0].stages[2] = \"a\": is listed twice\nt.toml:4:11: flow[0].ends_at: \"c\" is not one of the flow's stages; allowed: a b\nt.toml:5:11: flow[0].timeout = \"15\": not a duration; allowed: a whole number with ms, s, m, h or d (\"500ms\", \"30s\", \"1h30m\")\nt.toml:6:19: flow[0].deadlines.d = \"8s\": the key is not one of the flow's stages; allowed: a b\nt.toml:6:29: flow[0].deadlines.b = \"0s\": out of range; allowed: more than 0s, at most 30d"),
        ("[limits]\ntransactions = 5\nbody_byte = 7\nlive_streams = 20000".into(), "t.toml:2:16: limits.transactions = 5: out of range; allowed: 100 to 100000000\nt.toml:3:1: limits.body_byte = 7: unknown key, did you mean \"body_bytes\"?; allowed: transactions tombstones dedup_events events_per_transaction flows stages_per_flow hops_per_flow streams series stuck_list payload_bytes field_bytes headers json_depth decode_samples body_bytes body_events connections live_streams live_views fanout_threads idempotency_keys\nt.toml:4:16: limits.live_streams = 20000: 20000 live streams do not fit into 12000 connections; allowed: at most limits.connections"),
        ("[history]\n\"1s\" = \"1m\"\n\"10s\" = \"9d\"\n\"1m\" = \"8d\"".into(), "t.toml:2:8: history.1s = \"1m\": out of range; allowed: 1h to 1d, whole seconds\nt.toml:4:8: history.1m = \"8d\": points of 10s would be kept longer than those of 1m"),
        ("[telemetry]\notlp_endpoint = \"https://u:hunter2@c:4317\"\njaeger_url = true".into(), "t.toml:2:17: telemetry.otlp_endpoint = \"https://***@c:4317\": not an endpoint; allowed: http://HOST:PORT of an OTLP gRPC receiver (a collector beside us speaks TLS for us)\nt.toml:3:14: telemetry.jaeger_url = true: expected a string, found true or false"),
        ("[trace]\nkeep_ratio = 1.5\nmax_spans_per_second = -1".into(), "t.toml:2:14: trace.keep_ratio = 1.5: out of range; allowed: 0.0 to 1.0\nt.toml:3:24: trace.max_spans_per_second = -1: out of range; allowed: 0 to 1000000"),
        (kafka("[publish]\ncluster = \"main\"\nkey = \"id\""), "t.toml:5:1: publish.stream: is missing; allowed: 1 to 249 of a-z A-Z 0-9 . _ -\nt.toml:7:7: publish.key = \"id\": unknown word; allowed: transaction_id"),
        ("[metrics]\ncompat = [\"burrow\"]\npartitions = 1".into(), "t.toml:2:11: metrics.compat[0] = \"burrow\": unknown exporter; allowed: kafka-lag-exporter kafka_exporter\nt.toml:3:14: metrics.partitions = 1: expected true or false, found a whole number"),
        ("[dlq]\npatterns = ['dlq(']\npeek = 1\nmask = [\"\"]\nmax_redrives = 0\nlettres = 1".into(), "t.toml:2:13: dlq.patterns[0] = 'dlq(': not a regular expression: error: unclosed group; allowed: a regular expression, as '^shop\\.' is one\nt.toml:3:8: dlq.peek = 1: expected true or false, found a whole number\nt.toml:4:9: dlq.mask[0] = \"\": is empty; allowed: a regular expression, as '^shop\\.' is one\nt.toml:5:16: dlq.max_redrives = 0: out of range; allowed: 1 to 100\nt.toml:6:1: dlq.lettres = 1: unknown key, did you mean \"letters\"?; allowed: patterns mask enabled redrive_group peek streams letters max_redrives rate"),
        ("[auth]\nusers_file = \"/none/users\"".into(), r#"t.toml:2:14: auth.users_file = "/none/users": users_file /none/users: No such file or directory (os error 2); allowed: a file with a line name:argon2hash:role for each user; role = read, act or admin"#),
        ("cluster = \"main\"\n[lag]\n[rule]".into(), "t.toml:1:11: cluster = \"main\": expected one or more [[cluster]] tables, found a string\nt.toml:3:1: rule: expected one or more [[rule]] tables, found a table"),
        ("a = 1\na = 2\nb = \n".into(), "t.toml:2:1: not TOML: duplicate key\nt.toml:3:5: not TOML: string values must be quoted, expected literal string"),
        ("sasl_pasword = \"hunter2\"\npasswort = { x = \"hunter2\" }".into(), "t.toml:1:1: sasl_pasword = ***: unknown key; allowed: ALL\nt.toml:2:1: passwort: unknown key; allowed: ALL"),
    ];
    let all = "listen data_dir public_url log_format limits history cluster stream flow publish auth telemetry trace metrics lag dlq channel rule";
    let mut wrong = String::new();
    for (source, expected) in table {
        let said = parse(&source).map(|c| c.summary().to_string()).expect_err(&source);
        assert!(!said.contains("hunter2"), "a secret in {said}");
        if said != expected.replace("ALL", all) {
            wrong.push_str(&format!("--- of ---\n{source}\n--- said ---\n{said}\n--- not ---\n{expected}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
