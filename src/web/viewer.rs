//! How a viewer wants to see a page: part of the stable URL of a view, and of the key of its frames.

use std::fmt::Write as _;
use std::hash::{Hash, Hasher};

use axum::http::{HeaderMap, header};

use super::Status;
use super::page::{PageContext, Wishes};
use crate::snapshot::Snapshot;

/// The state of a view besides the view itself. Equal viewers share one rendering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    wishes: Wishes,
    /// What the URL asked for, in fixed order and spelling: equal states have equal links.
    query: String,
}

impl Hash for Viewer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The query nearly tells all; what cookies add is left to `eq`.
        self.query.hash(state);
        self.wishes.range_seconds.hash(state);
    }
}

impl Viewer {
    /// From the query (without `?`), then cookies, then `Accept-Language`.
    #[must_use]
    pub fn of(query: &str, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
        let wishes = Wishes::parse(query, text(header::COOKIE), text(header::ACCEPT_LANGUAGE));
        let asked = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let mut kept = String::new();
        let mut keep = |name: &str, value: &str| {
            let _ = write!(kept, "{}{name}={value}", if kept.is_empty() { "" } else { "&" });
        };
        if asked("lang") {
            keep("lang", wishes.locale.code());
        }
        if asked("range") {
            keep("range", &wishes.range_seconds.to_string());
        }
        if asked("theme") {
            keep("theme", wishes.theme.name());
        }
        if wishes.kiosk {
            keep("kiosk", "1");
        }
        Self { wishes, query: kept }
    }

    /// What a page is rendered from.
    #[must_use]
    pub fn context<'a>(&'a self, snapshot: &'a Snapshot, status: &'a Status, base: &'a str) -> PageContext<'a> {
        let Wishes { locale, range_seconds, theme, kiosk } = self.wishes;
        PageContext { snapshot, status, locale, range_seconds, theme, kiosk, base, query: &self.query }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Locale;

    #[test]
    fn equal_states_are_equal_whatever_the_order_of_the_query() {
        let none = HeaderMap::new();
        let of = |query| Viewer::of(query, &none);
        let (a, b) = (of("range=1h&lang=ko&utm=x&sort=lag"), of("lang=ko&range=3600"));
        assert_eq!(a, b);
        assert_eq!(a.query, "lang=ko&range=3600");
        assert_ne!(a, of("lang=ko"));
    }

    #[test]
    fn a_cookie_decides_where_the_query_is_silent_and_stays_out_of_links() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=b; lang=ko".parse().unwrap());
        let viewer = Viewer::of("", &headers);
        assert_eq!((viewer.wishes.locale, viewer.query.as_str()), (Locale::Ko, ""));
    }
}
