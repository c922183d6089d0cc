//! `sample STREAM`: the newest records of a stream, decoded, and a `[stream.map]` to paste.

use std::fmt::Write;
use std::time::Duration;

use super::{Exit, Program, Terminal};
use crate::broker::RawRecord;
use crate::config::{ClusterConfig, Config, pattern};
use crate::decode::{BatchBuilder, Decoder, Record, hex, suggest_mapping};
use crate::model::{Event, Format, Kind, Limits, StreamName, StreamSpec, Timestamp};

/// How many records are shown.
const RECORDS: usize = 5;
/// The longest that the cluster is waited for.
const DEADLINE: Duration = Duration::from_secs(15);
/// Characters of a payload that are shown.
const PAYLOAD_CHARS: usize = 200;

pub(super) fn run(
    config: &Config,
    stream: &str,
    cluster: Option<&str>,
    program: &dyn Program,
    terminal: &mut Terminal<'_>,
) -> Exit {
    let (cluster, spec) = match find(config, stream, cluster) {
        Ok(found) => found,
        Err(what) => {
            terminal.complain(what);
            return Exit::Config;
        }
    };
    let records = match program.inspect(config, cluster).and_then(|i| i.sample(stream, RECORDS, DEADLINE)) {
        Ok(records) => records,
        Err(what) => {
            terminal.complain(format_args!("cluster \"{}\", stream \"{stream}\": {what}", cluster.name));
            return Exit::Failed;
        }
    };
    if records.is_empty() {
        terminal.print(format_args!("{stream} is empty: nothing to decode yet\n"));
        return Exit::Clean;
    }
    let format = spec.map_or(Format::Auto, |s| s.format.clone());
    let decoder = Decoder::new(&format, &config.limits, stream);
    for record in &records {
        terminal.print(show(record, &decoder, &config.limits));
    }
    let payloads: Vec<&[u8]> = records.iter().filter_map(|r| r.payload.as_deref()).collect();
    terminal.print(format_args!("\n{}", suggest_mapping(&payloads)));
    Exit::Clean
}

/// The cluster to look into, and the `[[stream]]` that the stream belongs to.
pub(super) fn find<'c>(
    config: &'c Config,
    stream: &str,
    cluster: Option<&str>,
) -> Result<(&'c ClusterConfig, Option<&'c StreamSpec>), String> {
    let names = || config.clusters.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(" ");
    let by_name = |name: &str| config.clusters.iter().find(|c| c.name == name);
    let covers = |spec: &&StreamSpec| match &spec.name {
        StreamName::Exact(name) => name == stream,
        StreamName::Pattern(text) => pattern(text).is_ok_and(|p| p.is_match(stream)),
    };
    let specs: Vec<&StreamSpec> =
        config.streams.iter().filter(|s| cluster.is_none_or(|c| s.cluster == c)).filter(covers).collect();
    // A name says more than a pattern that happens to match.
    let spec = specs.iter().find(|s| matches!(s.name, StreamName::Exact(_))).or(specs.first()).copied();
    let found = match (cluster, spec) {
        (Some(name), _) => {
            by_name(name).ok_or_else(|| format!("--cluster {name}: no such cluster; allowed: {}", names()))?
        }
        (None, Some(spec)) => by_name(&spec.cluster).ok_or("the stream's cluster is not configured")?,
        (None, None) => match config.clusters.as_slice() {
            [only] => only,
            _ => return Err(format!("no [[stream]] covers \"{stream}\": say --cluster NAME; allowed: {}", names())),
        },
    };
    Ok((found, spec))
}

/// One record: where it lies, what it holds, what it was decoded to.
fn show(record: &RawRecord, decoder: &Decoder, limits: &Limits) -> String {
    let (stream, partition, position) = &record.at;
    let mut text = format!("{stream}/{partition} at {position}");
    if let Some(time) = record.record_time {
        let _ = write!(text, ", {}", time_text(time));
    }
    if let Some(key) = &record.key {
        let _ = write!(text, ", key {}", printable(key, PAYLOAD_CHARS));
    }
    text.push('\n');
    for (name, value) in record.headers.iter().take(limits.headers) {
        let value = value.as_deref().map_or("(null)".into(), |v| printable(v, PAYLOAD_CHARS));
        let _ = writeln!(text, "  header {}: {value}", printable(name, PAYLOAD_CHARS));
    }
    let payload = record.payload.as_deref().map_or("(none: a tombstone)".into(), |p| printable(p, PAYLOAD_CHARS));
    let _ = writeln!(text, "  payload {payload}");
    let headers: Vec<_> = record.headers.iter().map(|(n, v)| (n.as_slice(), v.as_deref())).collect();
    let raw = Record {
        position: *position,
        key: record.key.as_deref(),
        payload: record.payload.as_deref(),
        headers: &headers,
        record_time: record.record_time,
    };
    let mut out = BatchBuilder::new();
    let verdict = decoder.decode(&raw, &mut out);
    if let Some(event) = out.events().first() {
        let _ = writeln!(text, "  {}", decoded(event, out.text()));
    }
    if let Err(error) = verdict {
        let _ = writeln!(text, "  not decodable: {error}");
    }
    text
}

/// What the decoder understood, on one line.
fn decoded(event: &Event, arena: &str) -> String {
    let kind = match event.kind {
        Kind::Event => "event",
        Kind::Opaque => "opaque: counted as an event of its stream only",
        Kind::Tombstone => "tombstone",
        Kind::Undecodable(reason) => reason.name(),
    };
    let mut text = format!("-> {kind}");
    let fields = [
        ("flow", event.flow),
        ("transaction", event.transaction),
        ("stage", event.stage),
        ("id", event.id),
        ("service", event.service),
        ("error", event.error),
    ];
    for (name, span) in fields.into_iter().filter(|(_, span)| !span.is_empty()) {
        let _ = write!(text, " {name}={:?}", span.of(arena));
    }
    if event.kind == Kind::Event {
        let _ = write!(text, " status={}", event.status.name());
    }
    if let Some(outcome) = event.outcome {
        let _ = write!(text, " outcome={}", outcome.name());
    }
    if let Some(time) = event.event_time {
        let _ = write!(text, " event_time={}", time_text(time));
    }
    if let Some(trace) = event.trace {
        let _ = write!(text, " trace={}", hex(&trace.trace_id));
    }
    text
}

fn time_text(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.0).map_or_else(|_| format!("{} us", time.0), |t| t.to_string())
}

/// Bytes for a terminal: control characters escaped, at most `most` characters.
fn printable(bytes: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(most * 4)]);
    let mut shown = String::new();
    for c in text.chars().take(most) {
        // A record must not be able to drive the operator's terminal.
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if text.chars().count() > most || bytes.len() > most * 4 {
        let _ = write!(shown, "... ({} bytes)", bytes.len());
    }
    shown
}
