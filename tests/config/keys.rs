//! Every key that can be written, one by one: a bad value and a slip of the finger are both answered with the place, the
//! key, the value and what is allowed. That no key is missing here is asked of the program itself.

use crate::parse;

/// A table of the file.
struct Section {
    /// What comes before it.
    before: &'static str,
    /// Its header; empty for the root.
    header: &'static str,
    /// How messages call it, with a final dot.
    path: &'static str,
    /// A key, a good value (empty: it stays away), bad values.
    keys: &'static [(&'static str, &'static str, &'static [&'static str])],
}

const CLUSTER: &str = "[[cluster]]\nname = \"main\"\nkind = \"kafka\"\nbootstrap_servers = \"k:9092\"\n";
const STREAM: &str =
    "[[cluster]]\nname = \"main\"\nkind = \"kafka\"\nbootstrap_servers = \"k:9092\"\n[[stream]]\nname = \"orders\"\n";

/// Types that no key has: a time among texts reads as its text.
const NO_TEXT: &str = "7";
const NO_NUMBER: &str = "\"7\"";
const BOUND: &[&str] = &[NO_NUMBER, "-1", "1.5", "99999999999999999999"];

#[rustfmt::skip]
const SECTIONS: &[Section] = &[
    Section { before: "", header: "", path: "", keys: &[
        ("listen", "", &[NO_TEXT, "\"8080\"", "\"host:1\"", "\"\""]),
        ("data_dir", "", &[NO_TEXT, "\"/dev/null\"", "\"\""]),
        ("public_url", "", &[NO_TEXT, "\"host/ops\"", "\"ftp://h\""]),
        ("log_format", "", &[NO_TEXT, "\"xml\"", "\"\""]),
        ("limits", "", &["1"]), ("history", "", &["1"]), ("cluster", "", &["1"]), ("stream", "", &["1"]),
        ("flow", "", &["1"]), ("publish", "", &["1"]), ("auth", "", &["1"]), ("telemetry", "", &["1"]),
        ("trace", "", &["1"]), ("metrics", "", &["1"]), ("lag", "", &["1"]), ("dlq", "", &["1"]),
        ("channel", "", &["1"]), ("rule", "", &["1"]),
    ] },
    Section { before: "", header: "[[cluster]]", path: "cluster[0].", keys: &[
        ("name", "\"main\"", &[NO_TEXT, "\"a b\"", "\"\""]),
        ("kind", "\"kafka\"", &[NO_TEXT, "\"kafak\"", "\"redis\"", "\"\""]),
        ("bootstrap_servers", "\"k:9092\"", &[NO_TEXT, "\"kafka\"", "\"k:0\"", "\"\""]),
        ("properties", "", &["1"]),
    ] },
    Section { before: CLUSTER, header: "[[stream]]", path: "stream[0].", keys: &[
        ("cluster", "\"main\"", &[NO_TEXT, "\"mian\"", "\"\""]),
        ("name", "\"orders\"", &[NO_TEXT, "\"a b\"", "\"\""]),
        ("pattern", "", &[NO_TEXT, "'^shop('"]),
        ("role", "", &[NO_TEXT, "\"evnets\"", "\"\""]),
        ("start", "", &[NO_TEXT, "\"yesterday\"", "2026-11-22"]),
        ("format", "", &[NO_TEXT, "\"josn\"", "\"mapped\""]),
        ("map", "", &["1"]),
    ] },
    Section { before: STREAM, header: "[stream.map]", path: "stream[0].map.", keys: &[
        ("flow", "", &[NO_TEXT, "\"order/id\"", "\"const:\""]), ("transaction_id", "\"/id\"", &[NO_TEXT, "\"id\""]),
        ("stage", "", &[NO_TEXT, "\"header:\""]), ("id", "", &[NO_TEXT, "\"field:x\""]),
        ("event_time", "", &[NO_TEXT, "\"/a~\""]), ("started_at", "", &[NO_TEXT, "\"\""]),
        ("status", "", &[NO_TEXT, "\"x\""]), ("service", "", &[NO_TEXT, "\"x\""]), ("error", "", &[NO_TEXT, "\"x\""]),
        ("traceparent", "", &[NO_TEXT, "\"x\""]), ("outcome", "", &["1"]),
    ] },
    Section { before: STREAM, header: "[stream.map.outcome]", path: "stream[0].map.outcome.", keys: &[
        ("from", "\"/state\"", &[NO_TEXT, "\"state\"", "\"\""]),
        ("values", "{ a = \"ok\" }", &["1"]),
    ] },
    Section { before: "", header: "[[flow]]", path: "flow[0].", keys: &[
        ("name", "\"checkout\"", &[NO_TEXT, "\"\""]),
        ("stages", "", &["\"a\"", "[1]", "[\"\"]"]),
        ("ends_at", "", &["\"a\"", "[1]", "[\"\"]"]),
        ("timeout", "", &[NO_TEXT, "\"15\"", "\"0s\"", "\"31d\""]),
        ("deadlines", "", &["1"]),
    ] },
    Section { before: "", header: "[auth]", path: "auth.", keys: &[("users_file", "", &[NO_TEXT, "\"/none\""])] },
    Section { before: "", header: "[history]", path: "history.", keys: &[
        ("1s", "", &[NO_TEXT, "\"1\"", "\"1m\"", "\"2d\""]), ("10s", "", &[NO_TEXT, "\"1\"", "\"31d\""]),
        ("1m", "", &[NO_TEXT, "\"1\"", "\"400d\""]),
    ] },
    Section { before: "", header: "[limits]", path: "limits.", keys: &[
        ("transactions", "", BOUND), ("tombstones", "", BOUND), ("dedup_events", "", BOUND),
        ("events_per_transaction", "", BOUND), ("flows", "", BOUND), ("stages_per_flow", "", BOUND),
        ("hops_per_flow", "", BOUND), ("streams", "", BOUND), ("series", "", BOUND), ("stuck_list", "", BOUND),
        ("payload_bytes", "", BOUND), ("field_bytes", "", BOUND), ("headers", "", BOUND), ("json_depth", "", BOUND),
        ("decode_samples", "", BOUND), ("body_bytes", "", BOUND), ("body_events", "", BOUND),
        ("connections", "", BOUND), ("live_streams", "", BOUND), ("live_views", "", BOUND),
        ("fanout_threads", "", BOUND), ("idempotency_keys", "", BOUND),
    ] },
    Section { before: "", header: "[telemetry]", path: "telemetry.", keys: &[
        ("otlp_endpoint", "", &[NO_TEXT, "\"c:4317\"", "\"https://c:4317\""]),
        ("jaeger_url", "", &[NO_TEXT, "\"j\"", "\"ftp://j\""]),
    ] },
    Section { before: "", header: "[trace]", path: "trace.", keys: &[
        ("keep_ratio", "", &["\"1\"", "1.5", "-0.1", "nan", "inf"]), ("max_spans_per_second", "", BOUND),
    ] },
    Section { before: "", header: "[lag]", path: "lag.", keys: &[
        ("enabled", "", &["1", "\"true\""]), ("interval", "", &[NO_TEXT, "\"5\"", "\"0s\"", "\"1h\""]),
        ("include", "", &["'a'", "[1]", "['(']"]), ("exclude", "", &["'a'", "[1]", "['(']"]),
        ("deadline", "", &[NO_TEXT, "\"5\"", "\"0s\"", "\"1h\""]), ("read_records", "", &["1"]),
        ("offsets_topic", "", &["1"]), ("groups", "", BOUND), ("rows", "", BOUND),
    ] },
    Section { before: "", header: "[dlq]", path: "dlq.", keys: &[
        ("patterns", "", &["'a'", "[1]", "['(']", "['']"]), ("mask", "", &["'a'", "[1]", "['(']", "['']"]),
        ("enabled", "", &["1"]), ("redrive_group", "", &[NO_TEXT, "\"a\\nb\""]), ("peek", "", &["1"]),
        ("streams", "", BOUND), ("letters", "", BOUND), ("max_redrives", "", BOUND), ("rate", "", BOUND),
    ] },
    Section { before: CLUSTER, header: "[publish]", path: "publish.", keys: &[
        ("cluster", "\"main\"", &[NO_TEXT, "\"mian\""]), ("stream", "\"posts\"", &[NO_TEXT, "\"a b\"", "\"\""]),
        ("key", "", &[NO_TEXT, "\"id\""]),
    ] },
    Section { before: "", header: "[metrics]", path: "metrics.", keys: &[
        ("partitions", "", &["1"]), ("compat", "", &["\"kafka_exporter\"", "[1]", "[\"burrow\"]"]),
    ] },
    // Of these two only the names are checked yet.
    Section { before: "", header: "[[channel]]", path: "channel[0].", keys: &[
        ("name", "", &[]), ("kind", "", &[]), ("url", "", &[]), ("locale", "", &[]), ("allow", "", &[]),
        ("secret", "", &[]), ("headers", "", &[]), ("rate", "", &[]), ("fallback", "", &[]),
    ] },
    Section { before: "", header: "[[rule]]", path: "rule[0].", keys: &[
        ("name", "", &[]), ("enabled", "", &[]), ("metric", "", &[]), ("match", "", &[]), ("above", "", &[]),
        ("below", "", &[]), ("in", "", &[]), ("above_ratio", "", &[]), ("below_ratio", "", &[]),
        ("baseline", "", &[]), ("burn", "", &[]), ("quantile", "", &[]), ("clear_at", "", &[]), ("for", "", &[]),
        ("window", "", &[]), ("min_count", "", &[]), ("by", "", &[]), ("keep_firing", "", &[]), ("no_data", "", &[]),
        ("repeat", "", &[]), ("labels", "", &[]), ("summary", "", &[]), ("runbook_url", "", &[]),
        ("severity", "", &[]), ("channels", "", &[]),
    ] },
];

impl Section {
    /// The file whose last line is `last`; the other keys have their good values.
    fn with(&self, key: &str, last: &str) -> String {
        let mut source = format!("{}{}\n", self.before, self.header);
        for (name, good, _) in self.keys {
            // A stream has a name or a pattern, not both.
            let instead = *name == "name" && key == "pattern";
            if *name != key && !good.is_empty() && !instead {
                source.push_str(&format!("{name} = {good}\n"));
            }
        }
        source + last + "\n"
    }

    /// What is said about the last line of this file.
    fn said(&self, key: &str, last: &str) -> Result<String, String> {
        let source = self.with(key, last);
        let all = parse(&source).map_or_else(|said| said, |_| String::new());
        let place = format!("t.toml:{}:", source.lines().count());
        all.lines().find(|line| line.starts_with(&place)).map(str::to_owned).ok_or_else(|| format!("{source}{all}"))
    }

    /// The keys that the program says are allowed here.
    fn known(&self) -> Vec<String> {
        let said = self.said("", "zzzzzz = 1").expect("an unknown key is refused");
        let (_, allowed) = said.split_once("unknown key; allowed: ").expect("the allowed keys");
        allowed.split(' ').map(str::to_owned).collect()
    }
}

#[test]
fn no_key_is_missing_in_this_table() {
    for section in SECTIONS {
        let mut here: Vec<&str> = section.keys.iter().map(|(name, ..)| *name).collect();
        let mut known = section.known();
        here.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, here, "{}", section.header);
    }
}

#[test]
fn a_bad_value_of_any_key_is_named_with_what_is_allowed() {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for section in SECTIONS {
        for (key, _, bad) in section.keys {
            for value in *bad {
                tried += 1;
                match section.said(key, &format!("{key} = {value}")) {
                    Err(all) => wrong.push(format!("{key} = {value} is not answered:\n{all}")),
                    Ok(said) => {
                        let named = said.contains(&format!(" {}{key}", section.path));
                        let shown = value.starts_with(['[', '{']) || said.contains(value);
                        let helped = said.contains("; allowed: ") || said.contains(": expected ");
                        if !(named && shown && helped) {
                            wrong.push(said);
                        }
                    }
                }
            }
        }
    }
    assert!(tried > 200, "{tried} values");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Two neighbours in the wrong order, one too many, one missing.
fn slips(key: &str) -> Vec<String> {
    let letters: Vec<char> = key.chars().collect();
    let mut out = vec![format!("{key}s")];
    for n in 0..letters.len().saturating_sub(1) {
        let mut swapped = letters.clone();
        swapped.swap(n, n + 1);
        out.push(swapped.into_iter().collect());
    }
    if letters.len() > 3 {
        out.push(letters[..letters.len() - 1].iter().collect());
    }
    out.retain(|slip| slip != key);
    out
}

#[test]
fn a_slip_of_the_finger_is_answered_with_the_key_that_was_meant() {
    let mut wrong = Vec::new();
    for section in SECTIONS {
        for (key, ..) in section.keys {
            for slip in slips(key) {
                if section.keys.iter().any(|(name, ..)| *name == slip) {
                    continue; // it is another key
                }
                match section.said(key, &format!("{slip} = 1")) {
                    Err(all) => wrong.push(format!("{slip} for {key} is not answered:\n{all}")),
                    Ok(said) => {
                        let meant = said.contains(&format!("unknown key, did you mean \"{key}\"?; allowed: "));
                        // Of two keys equally near (`1m` and `1s` for `m1`) either is a help.
                        let near = said.contains("did you mean") && key.len() < 4;
                        if !meant && !near || !said.contains(&slip) {
                            wrong.push(said);
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
