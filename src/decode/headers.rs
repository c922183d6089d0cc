//! The headers that mean something, found in one pass. Names are bytes: a producer may write anything.

use super::trace;
use crate::model::TraceContext;

/// One header: name and value as the broker gave them.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// How often a record may have been redriven; more is counted as this.
const MOST_REDRIVES: u64 = 255;

/// The known headers of one record. Of a repeated one the last counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Headers<'a> {
    pub traceparent: Option<&'a [u8]>,
    pub content_type: Option<&'a [u8]>,
    pub redrive: Option<&'a [u8]>,
    pub schema_id: bool,
    pub ce: Attributes<&'a [u8]>,
}

/// The attributes of CloudEvents that we use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attributes<T> {
    pub specversion: Option<T>,
    pub id: Option<T>,
    pub source: Option<T>,
    pub kind: Option<T>,
    pub subject: Option<T>,
    pub time: Option<T>,
    pub traceparent: Option<T>,
}

impl<'a> Headers<'a> {
    pub(super) fn of(headers: &[Header<'a>]) -> Self {
        let mut found = Self::default();
        for &(name, value) in headers {
            let Some(value) = value else { continue };
            match name.len() {
                11 if name.eq_ignore_ascii_case(b"traceparent") => found.traceparent = Some(value),
                12 if name.eq_ignore_ascii_case(b"content-type") => found.content_type = Some(value),
                15 if name.eq_ignore_ascii_case(b"x-redrive-count") => found.redrive = Some(value),
                17 if name.eq_ignore_ascii_case(b"__value_schema_id") => found.schema_id = true,
                4.. if name[..2].eq_ignore_ascii_case(b"ce") && matches!(name[2], b'_' | b'-') => {
                    found.ce.set(&name[3..], value);
                }
                _ => {}
            }
        }
        found
    }

    /// The trace context of the last hop, else that of the origin.
    pub(super) fn trace(&self) -> Option<TraceContext> {
        let read = |text: Option<&[u8]>| text.and_then(trace::traceparent);
        read(self.traceparent).or_else(|| read(self.ce.traceparent))
    }

    /// How often the record was redriven; what is no number is 0.
    pub(super) fn redrive(&self) -> u8 {
        let text = self.redrive.and_then(|value| std::str::from_utf8(value).ok());
        let count = text.and_then(|t| t.trim().parse::<u64>().ok()).unwrap_or(0);
        u8::try_from(count.min(MOST_REDRIVES)).unwrap_or(u8::MAX)
    }
}

impl<T> Attributes<T> {
    fn set(&mut self, name: &[u8], value: T) {
        let slot = match name.len() {
            2 if name.eq_ignore_ascii_case(b"id") => &mut self.id,
            4 if name.eq_ignore_ascii_case(b"type") => &mut self.kind,
            4 if name.eq_ignore_ascii_case(b"time") => &mut self.time,
            6 if name.eq_ignore_ascii_case(b"source") => &mut self.source,
            7 if name.eq_ignore_ascii_case(b"subject") => &mut self.subject,
            11 if name.eq_ignore_ascii_case(b"specversion") => &mut self.specversion,
            11 if name.eq_ignore_ascii_case(b"traceparent") => &mut self.traceparent,
            _ => return,
        };
        *slot = Some(value);
    }

    /// Every attribute through `f`, with its name.
    pub(super) fn each<U, E>(
        self,
        mut f: impl FnMut(&'static str, T) -> Result<Option<U>, E>,
    ) -> Result<Attributes<U>, E> {
        let mut one = |name, value: Option<T>| value.map_or(Ok(None), |value| f(name, value));
        Ok(Attributes {
            specversion: one("specversion", self.specversion)?,
            id: one("id", self.id)?,
            source: one("source", self.source)?,
            kind: one("type", self.kind)?,
            subject: one("subject", self.subject)?,
            time: one("time", self.time)?,
            traceparent: one("traceparent", self.traceparent)?,
        })
    }
}

/// The last header of this name, whatever its case.
pub(super) fn find<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().rev().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).and_then(|(_, value)| *value)
}
