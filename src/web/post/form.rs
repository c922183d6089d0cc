//! The forms in which events are posted: an object, an array, NDJSON, CloudEvents in its three modes.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::value::RawValue;

use super::item::{Envelope, Members, Prepared, Rules, prepare};
use crate::decode;
use crate::web::error::{FieldError, Problem};

/// Errors in one answer; a client that sends a thousand bad items needs only the first.
const ERRORS: usize = 20;
/// Data of a CloudEvent is event v1 where it says one of these; else it is anybody's, and kept as attributes.
const TELLING: [&str; 3] = ["transaction_id", "stage", "flow"];
/// Attributes of the envelope that we understand; all others are kept.
const ENVELOPE: [&str; 9] =
    ["specversion", "id", "source", "type", "subject", "time", "traceparent", "data", "datacontenttype"];

/// How the body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// An object, or an array of objects; each may be a CloudEvent.
    Json,
    /// An object per line.
    Lines,
    /// The body is the data, the `ce-*` headers are the envelope.
    Binary,
}

impl Form {
    /// By the headers of the request.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let refuse = |what: String| {
            let allowed = "application/json, application/x-ndjson, application/cloudevents+json, application/cloudevents-batch+json";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{what}; allowed are {allowed}")))
        };
        if headers.get(header::CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let detail = "content-encoding is not supported: send the body as it is, without compression";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let text = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let media = text.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match media.as_str() {
            "application/json" if headers.contains_key("ce-specversion") => Ok(Self::Binary),
            "application/json" | "application/cloudevents+json" | "application/cloudevents-batch+json" => {
                Ok(Self::Json)
            }
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::Lines),
            "" => refuse("content-type is missing".to_owned()),
            other => refuse(format!("content-type {other:?}")),
        }
    }

    /// All events of a body, or all that is wrong with it.
    pub(super) fn items(
        self,
        body: &[u8],
        headers: &HeaderMap,
        rules: &Rules<'_>,
        most: usize,
    ) -> Result<Vec<Prepared>, Problem> {
        let text = std::str::from_utf8(body).map_err(|e| malformed(format!("the body is not UTF-8: {e}")))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        if too_deep(text, rules.limits.json_depth) {
            return Err(malformed(format!("nested deeper than limits.json_depth = {}", rules.limits.json_depth)));
        }
        let (raws, single) = match self {
            Self::Lines => (lines(text)?, false),
            Self::Json if text.starts_with('[') => (json::<Vec<&RawValue>>(text)?, false),
            Self::Json => (vec![json::<&RawValue>(text)?], true),
            Self::Binary if text.is_empty() => (vec![json::<&RawValue>("{}")?], true),
            Self::Binary => (vec![json::<&RawValue>(text)?], true),
        };
        if raws.is_empty() {
            return Err(malformed("the body holds no event".to_owned()));
        }
        if raws.len() > most {
            let detail = format!("{} events, at most limits.body_events = {most}", raws.len());
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        let (mut items, mut errors) = (Vec::with_capacity(raws.len()), Vec::new());
        for (index, raw) in raws.into_iter().enumerate() {
            let index = (!single).then_some(index);
            let item = if self == Self::Binary { binary(raw, headers, rules) } else { object(raw, index, rules) };
            match item {
                Ok(item) => items.push(item),
                Err(wrong) => errors.extend(wrong),
            }
            if errors.len() >= ERRORS {
                break;
            }
        }
        if errors.is_empty() {
            return Ok(items);
        }
        let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "nothing was appended: see errors");
        problem.errors = errors;
        Err(problem)
    }
}

fn malformed(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

fn json<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|e| malformed(format!("the body is not JSON: {e}")))
}

fn lines(text: &str) -> Result<Vec<&RawValue>, Problem> {
    let full = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = full
        .map(|(n, line)| serde_json::from_str(line).map_err(|e| malformed(format!("line {} is not JSON: {e}", n + 1))));
    parsed.collect()
}

type Item = Result<Prepared, Vec<FieldError>>;

fn wrong(index: Option<usize>, field: &str, detail: &str) -> Vec<FieldError> {
    vec![FieldError { index, field: field.to_owned(), detail: detail.to_owned() }]
}

fn members<'a>(raw: &'a RawValue, index: Option<usize>, pointer: &str) -> Result<Members<'a>, Vec<FieldError>> {
    serde_json::from_str(raw.get()).map_err(|_| wrong(index, pointer, "expected an object"))
}

/// An event v1, or a CloudEvent with its envelope.
fn object(raw: &RawValue, index: Option<usize>, rules: &Rules<'_>) -> Item {
    let mut all = members(raw, index, "")?;
    if !["specversion", "source", "type"].iter().all(|name| all.contains_key(*name)) {
        return prepare(all, Envelope::default(), Members::new(), index, rules);
    }
    let text = |name: &str| -> Result<Option<String>, Vec<FieldError>> {
        let raw = all.get(name).filter(|raw| raw.get() != "null");
        let parsed = raw.map(|raw| serde_json::from_str::<String>(raw.get())).transpose();
        parsed.map_err(|_| wrong(index, &format!("/{name}"), "expected a string"))
    };
    let envelope = envelope(text, "/", index, rules)?;
    if all.contains_key("data_base64") {
        return Err(wrong(index, "/data_base64", "only JSON data is taken"));
    }
    let data = all.remove("data").filter(|raw| raw.get() != "null");
    all.retain(|name, _| !ENVELOPE.contains(&name.as_str()));
    with_data(data, envelope, all, index, rules)
}

/// A CloudEvent whose envelope is in the headers.
fn binary(raw: &RawValue, headers: &HeaderMap, rules: &Rules<'_>) -> Item {
    let text = |name: &str| -> Result<Option<String>, Vec<FieldError>> {
        let Some(value) = headers.get(format!("ce-{name}")) else { return Ok(None) };
        let decoded = value.to_str().ok().and_then(crate::web::page::percent_decode);
        decoded.map(Some).ok_or_else(|| wrong(None, &format!("header:ce-{name}"), "expected percent-encoded UTF-8"))
    };
    let envelope = envelope(text, "header:ce-", None, rules)?;
    with_data(Some(raw), envelope, Members::new(), None, rules)
}

/// What the attributes of a CloudEvent mean for its event, as the decoder of broker records reads them.
fn envelope(
    text: impl Fn(&str) -> Result<Option<String>, Vec<FieldError>>,
    prefix: &str,
    index: Option<usize>,
    rules: &Rules<'_>,
) -> Result<Envelope, Vec<FieldError>> {
    let at = |name: &str| format!("{prefix}{name}");
    let short = |name: &str| {
        let value = text(name)?;
        let cap = rules.limits.field_bytes;
        if value.as_ref().is_some_and(|v| v.len() > cap) {
            return Err(wrong(index, &at(name), &format!("more than limits.field_bytes = {cap}")));
        }
        if value.as_ref().is_some_and(|v| v.chars().any(char::is_control)) {
            return Err(wrong(index, &at(name), "must not hold control characters"));
        }
        Ok(value.filter(|v| !v.is_empty()))
    };
    let needed = |name: &str| short(name)?.map(Some).ok_or_else(|| wrong(index, &at(name), "missing or empty"));
    if !text("specversion")?.is_some_and(|v| v.starts_with("1.")) {
        return Err(wrong(index, &at("specversion"), "expected 1.0"));
    }
    let time = text("time")?.map(|t| decode::parse_time(&t)).transpose();
    Ok(Envelope {
        id: needed("id")?,
        service: needed("source")?,
        stage: needed("type")?,
        transaction_id: short("subject")?,
        event_time: time.map_err(|e| wrong(index, &at("time"), &format!("expected RFC 3339: {e}")))?,
        traceparent: text("traceparent")?,
    })
}

fn with_data<'a>(
    data: Option<&'a RawValue>,
    envelope: Envelope,
    mut extra: Members<'a>,
    index: Option<usize>,
    rules: &Rules<'_>,
) -> Item {
    let Some(data) = data else { return prepare(Members::new(), envelope, extra, index, rules) };
    match members(data, index, "/data") {
        Ok(event) if TELLING.iter().any(|name| event.contains_key(*name)) => {
            prepare(event, envelope, extra, index, rules)
        }
        Ok(foreign) => {
            extra.extend(foreign);
            prepare(Members::new(), envelope, extra, index, rules)
        }
        Err(_) => {
            extra.insert("data".to_owned(), data);
            prepare(Members::new(), envelope, extra, index, rules)
        }
    }
}

/// Nesting, counted without a parser: the parser underneath would skip raw values at any depth.
fn too_deep(text: &str, most: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        assert!(!too_deep(r#"{"a":"[[[[\"[["}"#, 1));
        assert!(too_deep("[[1]]", 1));
        assert!(!too_deep("[1],[2],[3]", 1));
    }
}
