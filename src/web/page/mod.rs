//! Pages and their live parts. A page struct holds parts; the live frame renders the same parts.
//!
//! The backend calls [`page`] for a request, [`parts`] and [`points`] for the live stream of a view,
//! [`asset`] for `{base}/assets/{path}`. All of them are pure: the same context gives the same bytes.

use std::fmt;
use std::sync::Arc;

use crate::snapshot::{LagState, Snapshot};
pub use crate::text::Locale;
use crate::web::Status;

mod asset;
mod chart;
mod consumers;
pub mod dlq;
mod frame;
mod health;
mod kit;
mod lens;
mod part;
mod scene;
mod table;
#[cfg(test)]
mod tests;
pub mod transaction;

use kit::Kit;

pub use asset::{Asset, asset, asset_url};
pub use lens::Lens;

/// Which page, and which live stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// `/`: everything, worst first.
    Overview,
    /// `/flows/{flow}`: one flow by name.
    Flow(String),
    /// `/status`: sources as the lens shows them, clusters, streams, the process itself.
    Status(Lens),
    /// `/consumers`: the groups of all clusters, as the lens shows them.
    Consumers(Lens),
    /// `/consumers/{cluster}/{group}`: one group by partition.
    Group(String, String, Lens),
    /// `/dlq`: the streams of dead letters.
    Dlq(Lens),
    /// `/dlq/{cluster}/{stream}`: one of them.
    DlqStream(String, String),
    /// `/transactions`: how one is found, and those that wait.
    Transactions,
    /// `/transactions?flow=&id=`: one. Its live stream is the same for all of them: what stands around it.
    Transaction(String, String),
}

impl View {
    /// From the live path segment: `overview`, `flow/<percent-encoded name>`, `status`.
    #[must_use]
    pub fn parse(segment: &str) -> Option<Self> {
        match segment {
            "overview" => Some(Self::Overview),
            "status" => Some(Self::Status(Lens::default())),
            "consumers" => Some(Self::Consumers(Lens::default())),
            "dlq" => Some(Self::Dlq(Lens::default())),
            "transactions" => Some(Self::Transactions),
            "transaction" => Some(Self::Transaction(String::new(), String::new())),
            other => {
                let (page, rest) = other.split_once('/')?;
                let name = |text: &str| percent_decode(text).filter(|name| !name.is_empty());
                let pair = |text: &str| text.split_once('/').and_then(|(a, b)| Some((name(a)?, name(b)?)));
                match page {
                    "flow" => name(rest).map(Self::Flow),
                    "consumers" => pair(rest).map(|(c, g)| Self::Group(c, g, Lens::default())),
                    "dlq" => pair(rest).map(|(c, s)| Self::DlqStream(c, s)),
                    _ => None,
                }
            }
        }
    }

    /// The same view, its table as a query (without `?`) asks for it.
    #[must_use]
    pub fn asked(self, query: &str) -> Self {
        match self {
            Self::Status(_) => Self::Status(Lens::parse(query, part::SOURCE_COLUMNS, &health::SOURCE_STATES)),
            Self::Consumers(_) => {
                Self::Consumers(Lens::parse(query, consumers::GROUP_COLUMNS, &LagState::ALL.map(LagState::name)))
            }
            Self::Group(c, g, _) => {
                Self::Group(c, g, Lens::parse(query, consumers::ROW_COLUMNS, &LagState::ALL.map(LagState::name)))
            }
            Self::Dlq(_) => Self::Dlq(Lens::parse(query, dlq::COLUMNS, &[])),
            view => view,
        }
    }

    /// What of the URL's query belongs to the view itself; empty for most.
    #[must_use]
    pub fn query(&self) -> String {
        match self {
            Self::Status(lens) | Self::Consumers(lens) | Self::Group(_, _, lens) | Self::Dlq(lens) => lens.query(),
            Self::Transaction(flow, id) => format!("flow={}&id={}", percent_encode(flow), percent_encode(id)),
            _ => String::new(),
        }
    }

    /// Path of the page below the base: `/`, `/flows/<percent-encoded name>`, `/status`.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Overview => "/".to_owned(),
            Self::Flow(name) => format!("/flows/{}", percent_encode(name)),
            Self::Transaction(..) => "/transactions".to_owned(),
            view => format!("/{view}"),
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overview => f.write_str("overview"),
            Self::Flow(name) => write!(f, "flow/{}", percent_encode(name)),
            Self::Status(_) => f.write_str("status"),
            Self::Consumers(_) => f.write_str("consumers"),
            Self::Group(c, g, _) => write!(f, "consumers/{}/{}", percent_encode(c), percent_encode(g)),
            Self::Dlq(_) => f.write_str("dlq"),
            Self::Transactions => f.write_str("transactions"),
            Self::Transaction(..) => f.write_str("transaction"),
            Self::DlqStream(c, s) => write!(f, "dlq/{}/{}", percent_encode(c), percent_encode(s)),
        }
    }
}

/// Colours of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Theme {
    /// As the browser prefers.
    #[default]
    Auto,
    /// Dark ink on light ground.
    Light,
    /// Light ink on dark ground.
    Dark,
    /// High contrast.
    Contrast,
}

impl Theme {
    /// All themes in the order of the switch.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Light, Self::Dark, Self::Contrast];

    /// From `?theme=`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    /// The name in URLs and in `data-theme`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Contrast => "contrast",
        }
    }
}

/// What of a request decides how a page looks; the backend parses it once for pages and live streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// `?lang=`, else cookie `lang`, else `Accept-Language`.
    pub locale: Locale,
    /// `?range=` in seconds (also `15m`, `1h`), clamped to 60..=86,400.
    pub range_seconds: i64,
    /// `?theme=`, else cookie `theme`.
    pub theme: Theme,
    /// `?kiosk` or `?kiosk=1`.
    pub kiosk: bool,
}

/// Seconds that charts show where nobody asked for another range.
pub const DEFAULT_RANGE: i64 = 900;

impl Wishes {
    /// From the query (without `?`), the `Cookie` header and the `Accept-Language` header; empty where absent.
    #[must_use]
    pub fn parse(query: &str, cookies: &str, accept_language: &str) -> Self {
        let ask = |name: &str| query.split('&').find_map(|p| pair(p, name));
        let cookie = |name: &str| cookies.split(';').find_map(|p| pair(p.trim(), name));
        Self {
            locale: ask("lang")
                .and_then(Locale::from_code)
                .or_else(|| cookie("lang").and_then(Locale::from_code))
                .unwrap_or_else(|| Locale::from_accept_language(accept_language)),
            range_seconds: ask("range").and_then(seconds).unwrap_or(DEFAULT_RANGE).clamp(60, 86_400),
            theme: ask("theme").or_else(|| cookie("theme")).and_then(Theme::parse).unwrap_or_default(),
            kiosk: ask("kiosk").is_some_and(|v| v != "0"),
        }
    }
}

/// The value of `name` in `name=value`; empty for a bare `name`.
fn pair<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(name)?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix('=') }
}

/// Seconds of `900`, `15m`, `1h`.
fn seconds(text: &str) -> Option<i64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b's' => (&text[..text.len() - 1], 1),
        b'm' => (&text[..text.len() - 1], 60),
        b'h' => (&text[..text.len() - 1], 3_600),
        _ => (text, 1),
    };
    digits.parse::<i64>().ok()?.checked_mul(unit)
}

/// All that a page is made of.
#[derive(Clone, Copy)]
pub struct PageContext<'a> {
    /// Read model.
    pub snapshot: &'a Snapshot,
    /// State of the process.
    pub status: &'a Status,
    /// Language.
    pub locale: Locale,
    /// Seconds that charts show, 60..=86,400.
    pub range_seconds: i64,
    /// Colours.
    pub theme: Theme,
    /// Wall screen: no navigation, never closes its stream.
    pub kiosk: bool,
    /// Path prefix behind a proxy, without trailing slash; empty: none.
    pub base: &'a str,
    /// Query of the request without `?`: known parameters of it are kept in links.
    pub query: &'a str,
}

/// One element with an id, replaced as a whole by the live stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The element's id.
    pub id: String,
    /// The element.
    pub html: String,
}

/// The whole page; `None`: no such flow.
#[must_use]
pub fn page(view: &View, cx: &PageContext) -> Option<String> {
    scene::page(view, &Kit::new(cx))
}

/// The parts of a view, the same bytes as in [`page`] with the same context.
#[must_use]
pub fn parts(view: &View, cx: &PageContext) -> Vec<Part> {
    scene::parts(view, &Kit::new(cx), None)
}

/// The same parts, where those of an earlier tick are at hand: what depends on boards alone that have not
/// changed since is not made anew.
#[must_use]
pub fn parts_after(view: &View, cx: &PageContext, before: Option<(&Snapshot, &[Part])>) -> Vec<Part> {
    let same =
        |b: &&(&Snapshot, &[Part])| Arc::ptr_eq(&b.0.lag, &cx.snapshot.lag) && Arc::ptr_eq(&b.0.dlq, &cx.snapshot.dlq);
    scene::parts(view, &Kit::new(cx), before.as_ref().filter(same).map(|b| b.1))
}

/// Chart points as JSON: the whole range (`None`: event `hist`), or those later than `after` and all that are
/// still incomplete (event `pt`). Pass [`newest_complete`] of the frame before as `after`.
#[must_use]
pub fn points(view: &View, cx: &PageContext, after: Option<i64>) -> String {
    scene::chart(view, &Kit::new(cx), after).json()
}

/// The newest second whose chart point is complete; `None` before anything was read.
#[must_use]
pub fn newest_complete(view: &View, cx: &PageContext) -> Option<i64> {
    let kit = Kit::new(cx);
    // Nearly always within the last minutes: the whole range is gathered for a view that stands still only.
    let recent = scene::chart(view, &kit, Some(cx.snapshot.as_of.second() - 200)).newest_complete();
    recent.or_else(|| scene::chart(view, &kit, None).newest_complete())
}

/// A page that says what went wrong (`title`) and what to do (`detail`).
#[must_use]
pub fn error_page(status: u16, title: &str, detail: &str, cx: &PageContext) -> String {
    scene::error(status, title, detail, &Kit::new(cx))
}

/// Percent-encodes a path segment: everything but unreserved characters.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Decodes a percent-encoded path segment; `None` where it is malformed or not UTF-8.
#[must_use]
pub fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |b: u8| char::from(b).to_digit(16);
            out.push((digit(bytes.next()?)? * 16 + digit(bytes.next()?)?) as u8);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}
