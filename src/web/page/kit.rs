//! What every part needs: the context, the words of its language, links that keep the view's state, and safe HTML.

use std::fmt;

use crate::model::Timestamp;
use crate::text::i18n::{
    DlqTexts, LagTexts, Texts, TransactionTexts, cause, dlq_texts, fill, lag_texts, texts, transaction_texts,
};
use crate::text::number::{self, Quantity, UNKNOWN};
use crate::text::{Locale, time};

use super::{PageContext, View};

/// Text that is already HTML: made by escaping or by a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html(pub String);

impl Html {
    /// Escapes a text of unknown origin.
    pub fn text(text: &str) -> Self {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                c => out.push(c),
            }
        }
        Self(out)
    }

    /// A name that may break after its separators, so that a narrow box wraps it where people would.
    pub fn breakable(name: &str) -> Self {
        let pieces = name.split_inclusive(['.', '_', '-', '/', ':']).map(|piece| Self::text(piece).0);
        Self(pieces.collect::<Vec<_>>().join("<wbr>"))
    }

    /// Puts values into the `{name}` places of a sentence of ours.
    pub fn fill(sentence: &str, values: &[(&str, Self)]) -> Self {
        let mut out = Self::text(sentence).0;
        // Values are inserted in one pass from the left, so that a value that looks like a place stays a value.
        let mut done = 0;
        while let Some((at, name, value)) = values
            .iter()
            .filter_map(|(name, value)| out[done..].find(&format!("{{{name}}}")).map(|at| (done + at, name, value)))
            .min_by_key(|(at, ..)| *at)
        {
            out.replace_range(at..at + name.len() + 2, &value.0);
            done = at + value.0.len();
        }
        Self(out)
    }

    /// A link.
    pub fn link(href: &str, text: &Self) -> Self {
        Self(format!("<a href=\"{}\">{}</a>", Self::text(href).0, text.0))
    }

    /// Several, with a middle dot between those that are not empty.
    pub fn dots(items: impl IntoIterator<Item = Self>) -> Self {
        let items: Vec<String> = items.into_iter().map(|h| h.0).filter(|h| !h.is_empty()).collect();
        Self(items.join(" \u{b7} "))
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Html {}

impl From<String> for Html {
    fn from(text: String) -> Self {
        Self::text(&text)
    }
}

impl From<&str> for Html {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

/// State of a thing: always shown as colour, shape and word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing to do.
    #[default]
    Ok,
    /// Not known: neither good nor bad can be said.
    Unknown,
    /// Look at it.
    Warn,
    /// Act.
    Bad,
}

impl Level {
    /// Name of the class and of the shape.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A state with its word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Colour and shape.
    pub level: Level,
    /// The word beside them.
    pub word: String,
}

/// The context with its words.
#[derive(Clone, Copy)]
pub struct Kit<'a> {
    /// What is shown.
    pub cx: &'a PageContext<'a>,
    /// The words of its language.
    pub t: &'static Texts,
    /// Those of groups and their lag.
    pub l: &'static LagTexts,
    /// Those of dead letters.
    pub d: &'static DlqTexts,
    /// Those of one transaction.
    pub x: &'static TransactionTexts,
    /// Its language.
    pub locale: Locale,
    /// Time of the snapshot: every age counts from it.
    pub now: Timestamp,
    /// Whether anything that is read cannot be read now.
    pub any_cut_off: bool,
}

/// Parameters that links keep.
const KEPT: [&str; 4] = ["range", "lang", "theme", "kiosk"];

/// Only plain words are kept: nothing of a hostile query reaches a link.
fn is_plain(v: &str) -> bool {
    !v.is_empty() && v.len() <= 16 && v.bytes().all(|b| b.is_ascii_alphanumeric())
}

impl<'a> Kit<'a> {
    /// Of a context.
    pub fn new(cx: &'a PageContext<'a>) -> Self {
        let locale = cx.locale;
        Self {
            cx,
            t: texts(locale),
            l: lag_texts(locale),
            d: dlq_texts(locale),
            x: transaction_texts(locale),
            locale,
            now: cx.snapshot.as_of,
            any_cut_off: cx.snapshot.sources.iter().any(|s| s.state == "unreachable")
                || cx.status.clusters.iter().any(|c| c.2.up == Some(false)),
        }
    }

    /// URL of a view, with the parameters of this one.
    pub fn url(&self, view: &View) -> String {
        self.url_with(view, &[])
    }

    /// URL of a view, with the parameters of this one and others set (`None` removes one).
    pub fn url_with(&self, view: &View, set: &[(&str, Option<&str>)]) -> String {
        let own = view.query();
        let mut pairs: Vec<String> = if own.is_empty() { Vec::new() } else { vec![own] };
        for key in KEPT {
            let changed = set.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
            let value = match changed {
                Some(value) => value,
                None => self.asked(key),
            };
            if let Some(v) = value.filter(|v| is_plain(v)) {
                pairs.push(format!("{key}={v}"));
            }
        }
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        format!("{}{}{query}", self.cx.base, view.path())
    }

    /// What the URL says of a parameter that links keep.
    fn asked(&self, key: &str) -> Option<&'a str> {
        self.cx.query.split('&').find_map(|p| p.split_once('=').filter(|(k, _)| *k == key)).map(|(_, v)| v)
    }

    /// The parameters that links keep, for forms.
    pub fn kept(&self) -> Vec<(&'static str, String)> {
        let value = |key: &&'static str| self.asked(key).filter(|v| is_plain(v)).map(|v| (*key, v.to_owned()));
        KEPT.iter().filter_map(value).collect()
    }

    /// The age of a moment, which a browser counts on while nothing comes.
    pub fn counting(&self, since: Timestamp) -> Html {
        let seconds = self.seconds_since(since);
        let text = number::duration(seconds, self.locale).text();
        Html(format!("<span data-age=\"{seconds:.1}\">{}</span>", Html::text(&text).0))
    }

    /// That a number stands still, and how old it is.
    pub fn frozen(&self, since: Option<Timestamp>) -> String {
        let age = since.map_or_else(|| UNKNOWN.to_owned(), |w| self.ago(w));
        fill(self.t.frozen_for, &[("age", &age)])
    }

    /// A latency, or the sign of the unknown.
    pub fn duration(&self, seconds: Option<f64>) -> String {
        seconds.map_or_else(|| UNKNOWN.to_owned(), |s| number::duration(s, self.locale).text())
    }

    /// A time limit: whole seconds without a fraction.
    pub fn limit(&self, seconds: f64) -> String {
        if seconds >= 1.0 && seconds.fract() == 0.0 { self.age(seconds) } else { self.duration(Some(seconds)) }
    }

    /// An age in words.
    pub fn age(&self, seconds: f64) -> String {
        number::age(seconds, self.locale).text()
    }

    /// Seconds from `at` to the snapshot, never below zero.
    pub fn seconds_since(&self, at: Timestamp) -> f64 {
        (self.now.since(at) as f64 / 1e6).max(0.0)
    }

    /// How long ago it was, in words.
    pub fn ago(&self, at: Timestamp) -> String {
        self.age(self.seconds_since(at))
    }

    /// A rate, or the sign of the unknown.
    pub fn rate(&self, per_second: Option<f64>) -> String {
        per_second.map_or_else(|| UNKNOWN.to_owned(), number::rate)
    }

    /// A rate as a quantity per second.
    pub fn per_second(&self, per_second: Option<f64>) -> Quantity {
        per_second.map_or_else(Quantity::unknown, |r| Quantity::new(number::rate(r), self.t.per_second))
    }

    /// A moment as an element that the browser may rewrite to its own zone.
    pub fn time(&self, at: Timestamp) -> Html {
        let m = time::moment(at, self.now);
        Html(format!("<time datetime=\"{}\" data-f=\"{}\">{}</time>", m.iso, m.form, m.text))
    }

    /// What a broker said: in the page's words where they are known, and always as it was said.
    pub fn cause(&self, sentence: &str) -> Html {
        if sentence.is_empty() || self.locale == Locale::En {
            return Html::text(sentence);
        }
        let quoted = format!("<q lang=\"en\">{}</q>", Html::text(sentence).0);
        let meaning = cause(sentence, self.locale).unwrap_or(self.t.broker_says);
        Html(format!("{}: {quoted}", Html::text(meaning).0))
    }

    /// A transaction by its id, as a link to all that is known of it.
    pub fn transaction(&self, flow: &str, id: &str) -> Html {
        Html::link(&self.transaction_url(flow, id), &Html::text(id))
    }

    /// Where a transaction is shown.
    pub fn transaction_url(&self, flow: &str, id: &str) -> String {
        self.url(&View::Transaction(flow.to_owned(), id.to_owned()))
    }

    /// A sentence of ours that is written once, in English: in the page's words where they are known, and always as
    /// it was written.
    pub fn note(&self, sentence: &str) -> Html {
        match cause(sentence, self.locale) {
            Some(_) => self.cause(sentence),
            None => Html::text(sentence),
        }
    }

    /// The trace in Jaeger, where there is one and a trace id is known.
    pub fn trace_url(&self, trace_id: &str) -> Option<String> {
        let known = !trace_id.is_empty() && trace_id.bytes().all(|b| b.is_ascii_hexdigit());
        let jaeger = &self.cx.status.jaeger_url;
        (known && !jaeger.is_empty()).then(|| format!("{jaeger}/trace/{trace_id}"))
    }

    /// A link to it.
    pub fn trace(&self, trace_id: &str, text: &str) -> Option<Html> {
        self.trace_url(trace_id).map(|url| Html::link(&url, &Html::text(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_once_and_never_read_as_places() {
        let evil = Html::text("{b}<script>");
        let filled = Html::fill("a {a} & {b}", &[("a", evil), ("b", Html::text("x"))]);
        assert_eq!(filled.0, "a {b}&lt;script&gt; &amp; x");
    }
}
