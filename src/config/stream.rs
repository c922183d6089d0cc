//! `[[stream]]`: which streams are read, what they carry, and how.

use super::cluster::{ClusterConfig, ClusterKind};
use super::mapping::read_mapping;
use super::read::Table;
use crate::model::{Format, Role, Start, StreamName, StreamSpec, Timestamp};

/// What stream names look like, for messages: the rule of Kafka, which the embedded log shares.
pub(super) const STREAM_FORM: &str = "1 to 249 of a-z A-Z 0-9 . _ -";
/// Bytes of a compiled pattern: patterns are for names of a few dozen characters.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// True for names of streams.
pub(super) fn is_stream(text: &str) -> bool {
    (1..=249).contains(&text.len())
        && text != "."
        && text != ".."
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// Compiles a pattern as every user of [`StreamName::Pattern`] does: it matches anywhere in the name,
/// so `^` and `$` are needed to anchor it.
///
/// # Errors
/// The compiler's words, on one line.
pub fn pattern(text: &str) -> Result<regex::Regex, String> {
    let short = |e: regex::Error| e.to_string().lines().last().unwrap_or_default().trim().to_owned();
    regex::RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build().map_err(short)
}

/// Reads every `[[stream]]`.
pub(super) fn read_streams(root: &Table<'_>, clusters: &[ClusterConfig]) -> Vec<StreamSpec> {
    let mut streams: Vec<StreamSpec> = Vec::new();
    for table in root.tables("stream") {
        if let Some(spec) = read_stream(&table, clusters) {
            if streams.iter().any(|s| s.cluster == spec.cluster && s.name == spec.name) {
                let key = if table.has("name") { "name" } else { "pattern" };
                table.refuse(key, "another [[stream]] of this cluster is the same", "");
            }
            streams.push(spec);
        }
        table.finish();
    }
    streams
}

fn read_stream(table: &Table<'_>, clusters: &[ClusterConfig]) -> Option<StreamSpec> {
    let cluster = read_cluster_name(table, clusters);
    let name = read_name(table);
    let role = table.choice("role", &[("events", Role::Events), ("dlq", Role::Dlq), ("lag", Role::Lag)]);
    let start = table.parsed("start", start, "neither a word nor a time", START_FORM);
    let format = read_format(table, cluster.is_some_and(|c| c.kind == ClusterKind::Kafka));
    Some(StreamSpec {
        cluster: cluster?.name.clone(),
        name: name?,
        role: role.unwrap_or_default(),
        start: start.unwrap_or_default(),
        format,
    })
}

/// The cluster of a table; with one cluster only it need not be named.
pub(super) fn read_cluster_name<'c>(table: &Table<'_>, clusters: &'c [ClusterConfig]) -> Option<&'c ClusterConfig> {
    let known = || clusters.iter().map(|c| c.name.as_str()).filter(|n| !n.is_empty()).collect::<Vec<_>>().join(" ");
    let Some(name) = table.text("cluster") else {
        if !table.has("cluster") && clusters.len() != 1 {
            let what = if clusters.is_empty() { "there is no [[cluster]] to read it from" } else { "is missing" };
            table.refuse("cluster", what, known());
        }
        return clusters.first().filter(|_| clusters.len() == 1);
    };
    let found = clusters.iter().find(|c| c.name == name.text);
    if found.is_none() {
        let hint = super::problem::nearest(&name.text, clusters.iter().map(|c| c.name.as_str()));
        let hint = hint.map_or(String::new(), |n| format!(", did you mean \"{n}\"?"));
        table.refuse("cluster", format!("no [[cluster]] has this name{hint}"), known());
    }
    found
}

fn read_name(table: &Table<'_>) -> Option<StreamName> {
    let (name, search) = (table.text("name"), table.text("pattern"));
    if table.has("name") && table.has("pattern") {
        table.refuse("pattern", "a [[stream]] has a name or a pattern, not both", "one of them");
        return None;
    }
    if !table.has("name") && !table.has("pattern") {
        table.refuse("name", "is missing", "a name, or a pattern instead");
    }
    if let Some(name) = name {
        if !is_stream(&name.text) {
            let hint = if name.text.contains(['*', '^', '$', '\\']) { "; write pattern = for a pattern" } else { "" };
            table.refuse("name", format!("not the name of a stream{hint}"), STREAM_FORM);
        }
        return Some(StreamName::Exact(name.text));
    }
    let search = search?.text;
    match pattern(&search) {
        Ok(_) => Some(StreamName::Pattern(search)),
        Err(why) => {
            table.refuse("pattern", format!("not a regular expression: {why}"), PATTERN_FORM);
            None
        }
    }
}

/// What a pattern looks like, for messages.
pub(super) const PATTERN_FORM: &str = "a regular expression, as '^shop\\.' is one";
const START_FORM: &str = "latest, earliest or a time (RFC 3339, \"2026-11-22T10:00:00Z\")";

fn start(text: &str) -> Option<Start> {
    match text {
        "latest" => Some(Start::Latest),
        "earliest" => Some(Start::Earliest),
        time => {
            let time: jiff::Timestamp = time.parse().ok()?;
            Some(Start::At(Timestamp(time.as_microsecond())))
        }
    }
}

/// `format` and `[stream.map]`. A map alone means `mapped`: so the lines of `sample` can be pasted as they are.
fn read_format(table: &Table<'_>, kafka: bool) -> Format {
    let words = [
        ("auto", Some(Format::Auto)),
        ("event", Some(Format::Event)),
        ("cloudevents", Some(Format::CloudEvents)),
        ("opaque", Some(Format::Opaque)),
        ("mapped", None),
    ];
    let format = table.choice("format", &words);
    let map = table.table("map");
    let mapped = map.exists().then(|| Format::Mapped(Box::new(read_mapping(&map, kafka))));
    match (format, mapped) {
        (None | Some(None), Some(mapped)) => mapped,
        (Some(Some(format)), None) => format,
        (None, None) => Format::Auto,
        (Some(None), None) => {
            table.refuse("format", "needs a [stream.map]; `sample STREAM` prints one", "auto event cloudevents opaque");
            Format::Auto
        }
        (Some(Some(format)), Some(_)) => {
            table.refuse("format", "has no [stream.map]", "mapped");
            format
        }
    }
}
