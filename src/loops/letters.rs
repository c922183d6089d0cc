//! Reads dead letters: what their headers say of the failure, and what the decoder says of their transaction.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

use crate::broker::RawRecord;
use crate::decode::{BatchBuilder, Decoder, Record, hex, trace_id};
use crate::dlq::{Header, Letter, Mask, Rules, classify};
use crate::model::{DlqSpec, Format, Kind, Limits, Role, StreamName, StreamSpec, TraceContext};
use crate::snapshot::LetterView;

/// Characters of an error's words that are shown and sent on.
const MESSAGE_CHARS: usize = 200;

/// What the decoder says of a letter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// Flow and transaction id.
    pub transaction: Option<(String, String)>,
    /// Error code.
    pub error: String,
    /// Trace context of its headers, else of its payload.
    pub trace: Option<TraceContext>,
}

/// Reads the letters of one cluster.
pub struct Reader {
    specs: Vec<(Matcher, Format)>,
    limits: Arc<Limits>,
    mask: Mask,
    decoders: HashMap<String, Decoder>,
    buffer: BatchBuilder,
}

enum Matcher {
    Exact(String),
    Pattern(Regex),
}

impl Matcher {
    fn is_match(&self, stream: &str) -> bool {
        match self {
            Self::Exact(name) => name == stream,
            Self::Pattern(pattern) => pattern.is_match(stream),
        }
    }
}

impl Reader {
    /// `specs`: the configured streams of the cluster; a stream that none of them covers is decoded by detection.
    /// `mask`: what the words of an error may not show, wherever they go from here.
    #[must_use]
    pub fn new(specs: &[StreamSpec], limits: Arc<Limits>, mask: Mask) -> Self {
        let matcher = |name: &StreamName| match name {
            StreamName::Exact(name) => Some(Matcher::Exact(name.clone())),
            // The configuration was checked; a pattern that does not compile covers nothing.
            StreamName::Pattern(text) => Regex::new(text).ok().map(Matcher::Pattern),
        };
        let mut specs: Vec<_> = specs.iter().filter_map(|s| Some((matcher(&s.name)?, s.format.clone()))).collect();
        // A name says more than a pattern that happens to match.
        specs.sort_by_key(|(m, _)| matches!(m, Matcher::Pattern(_)));
        Self { specs, limits, mask, decoders: HashMap::new(), buffer: BatchBuilder::new() }
    }

    /// What the decoder says of a record.
    pub fn decode(&mut self, record: &RawRecord) -> Said {
        let stream = record.at.0.as_str();
        if !self.decoders.contains_key(stream) {
            // One per stream that was ever looked at; streams are bounded by [dlq] streams.
            let format = self.specs.iter().find(|(m, _)| m.is_match(stream)).map_or(&Format::Auto, |(_, f)| f);
            self.decoders.insert(stream.to_owned(), Decoder::new(format, &self.limits, stream));
        }
        let headers = headers(record);
        let raw = Record {
            position: record.at.2,
            key: record.key.as_deref(),
            payload: record.payload.as_deref(),
            headers: &headers,
            record_time: record.record_time,
        };
        self.buffer.clear();
        // One that is undecodable still may have a trace.
        let _ = self.decoders[stream].decode(&raw, &mut self.buffer);
        let Some(event) = self.buffer.events().first() else { return Said::default() };
        let text = |span: crate::model::TextSpan| span.of(self.buffer.text()).to_owned();
        let whole = event.kind == Kind::Event && !event.transaction.is_empty();
        Said {
            transaction: whole.then(|| (text(event.flow), text(event.transaction))),
            error: text(event.error),
            trace: event.trace,
        }
    }

    /// Both: headers and transaction. The words of the error are masked: they quote what failed.
    pub fn letter(&mut self, record: &RawRecord) -> (Letter, Said) {
        let (mut letter, said) = (classify(&headers(record)), self.decode(record));
        if letter.error.is_empty() {
            letter.error.clone_from(&said.error);
        }
        letter.message = self.mask.message(&letter.message, MESSAGE_CHARS);
        (letter, said)
    }

    /// A letter as the board shows it.
    pub fn view(&mut self, record: &RawRecord) -> LetterView {
        let (letter, said) = self.letter(record);
        let derived = said.transaction.as_ref().map(|(flow, id)| trace_id(flow, id));
        let trace = said.trace.map(|t| t.trace_id).or(derived);
        LetterView {
            partition: record.at.1,
            position: record.at.2,
            time: record.record_time,
            family: letter.family,
            error: letter.error,
            message: letter.message,
            source: letter.first.map(|o| (o.stream, o.partition, o.position)),
            group: letter.group,
            transaction: said.transaction,
            redriven: letter.redriven,
            trace_id: trace.map(|t| hex(&t)).unwrap_or_default(),
        }
    }
}

/// The headers of a record as the core takes them.
pub fn headers(record: &RawRecord) -> Vec<Header<'_>> {
    record.headers.iter().map(|(n, v)| (n.as_slice(), v.as_deref())).collect()
}

/// The board's rules from the configuration of a cluster.
///
/// # Errors
/// A pattern that is none, in the compiler's words.
pub fn rules(spec: &DlqSpec, streams: &[StreamSpec]) -> Result<Rules, String> {
    let exact = |wanted: fn(Role) -> bool| {
        let names = streams.iter().filter(move |s| wanted(s.role)).filter_map(|s| match &s.name {
            StreamName::Exact(name) => Some(name.clone()),
            StreamName::Pattern(_) => None,
        });
        names.collect()
    };
    let patterns = streams.iter().filter(|s| s.role == Role::Dlq).filter_map(|s| match &s.name {
        StreamName::Pattern(text) => Some(text),
        StreamName::Exact(_) => None,
    });
    Ok(Rules {
        exact: exact(|role| role == Role::Dlq),
        others: exact(|role| role != Role::Dlq),
        patterns: regex::RegexSet::new(patterns.chain(&spec.patterns)).map_err(|e| e.to_string())?,
        conventions: spec.patterns.is_empty(),
        redrive_group: spec.redrive_group.clone(),
        streams: spec.streams,
        letters: spec.letters,
    })
}
