//! What stands around every page: head, header, navigation, switches, help, and the words of the scripts.

use crate::text::Locale;
use crate::text::i18n::{LagTexts, Texts, TransactionTexts, fill};

use super::chart::RANGES;
use super::kit::{Html, Kit};
use super::part::{menu, pulse};
use super::{Lens, Part, Theme, View, asset_url};

/// A link of a switch.
pub struct Choice {
    /// Where it leads.
    pub href: String,
    /// What stands on it.
    pub label: String,
    /// True for the one in force.
    pub here: bool,
    /// Value in the URL, also the key of the keyboard.
    pub value: String,
}

/// The parts of a page by their ids.
pub struct Slots(pub Vec<Part>);

impl Slots {
    /// The HTML of a part; empty where the view has no such part.
    pub fn at(&self, id: &str) -> Html {
        Html(self.0.iter().find(|p| p.id == id).map_or_else(String::new, |p| p.html.clone()))
    }
}

/// Everything that `base.html` needs.
pub struct Frame {
    /// Words.
    pub t: &'static Texts,
    /// Words of groups and dead letters.
    pub l: &'static LagTexts,
    /// `en` or `ko`.
    pub lang: &'static str,
    /// `auto light dark contrast`.
    pub theme: &'static str,
    /// Wall screen.
    pub kiosk: bool,
    /// Path prefix.
    pub base: String,
    /// Title of the document, without the name of the product.
    pub title: String,
    /// `overview`, `flow`, `status` or `error`.
    pub kind: &'static str,
    /// URL of the live stream; empty: none.
    pub live: String,
    /// Scheme, host and port of this server, for commands to copy.
    pub origin: String,
    /// Id of the process: another one means a new build may be running.
    pub boot: String,
    /// Without a script the page comes again by itself: not where somebody types.
    pub refresh: bool,
    /// Demo badge.
    pub demo: bool,
    /// Version and time of the snapshot.
    pub version: &'static str,
    /// Time of the snapshot.
    pub as_of: Html,
    /// Links of the navigation.
    pub home: String,
    /// Link to the status page.
    pub status: String,
    /// Link to the page of consumers.
    pub consumers: String,
    /// Link to the page of dead letters.
    pub dlq: String,
    /// Link to the page of transactions.
    pub transactions: String,
    /// Words of transactions.
    pub x: &'static TransactionTexts,
    /// Ranges of the charts.
    pub ranges: Vec<Choice>,
    /// Name of the range in force.
    pub range: String,
    /// Languages.
    pub languages: Vec<Choice>,
    /// Themes.
    pub themes: Vec<Choice>,
    /// Link that switches the wall screen.
    pub kiosk_href: String,
    /// Parts of the view.
    pub parts: Slots,
}

impl Frame {
    /// Around the parts of a view.
    pub fn new(kit: &Kit, view: &View, title: String, mut parts: Vec<Part>) -> Self {
        let (cx, t) = (kit.cx, kit.t);
        parts.extend([pulse(kit), menu(kit, view)]);
        let range_name = |s: i64| kit.age(s as f64);
        let ranges = RANGES.iter().map(|s| Choice {
            href: kit.url_with(view, &[("range", Some(&s.to_string()))]),
            label: range_name(*s),
            here: *s == cx.range_seconds,
            value: s.to_string(),
        });
        let languages = [(Locale::En, t.english), (Locale::Ko, t.korean)].map(|(locale, name)| Choice {
            href: kit.url_with(view, &[("lang", Some(locale.code()))]),
            label: name.to_owned(),
            here: locale == cx.locale,
            value: locale.code().to_owned(),
        });
        let themes = Theme::ALL.map(|theme| Choice {
            href: kit.url_with(view, &[("theme", Some(theme.name()))]),
            label: t.theme(theme.name()).to_owned(),
            here: theme == cx.theme,
            value: theme.name().to_owned(),
        });
        let kind = match view {
            View::Overview => "overview",
            View::Flow(_) => "flow",
            View::Status(_) => "status",
            View::Consumers(_) | View::Group(..) => "consumers",
            View::Dlq(_) | View::DlqStream(..) => "dlq",
            View::Transactions | View::Transaction(..) => "transactions",
        };
        let own = if matches!(view, View::Transaction(..)) { String::new() } else { view.query() };
        let own = if own.is_empty() { own } else { format!("{own}&") };
        Self {
            t,
            l: kit.l,
            lang: cx.locale.code(),
            theme: cx.theme.name(),
            kiosk: cx.kiosk,
            base: cx.base.to_owned(),
            title,
            kind,
            live: format!("{}/live/{view}?{own}range={}&lang={}", cx.base, cx.range_seconds, cx.locale.code()),
            origin: match cx.status.origin.as_str() {
                "" => "http://127.0.0.1:8080".to_owned(),
                known => known.to_owned(),
            },
            boot: cx.status.boot.clone(),
            refresh: kind != "transactions",
            demo: cx.status.demo,
            version: cx.status.version,
            as_of: kit.time(kit.now),
            home: kit.url(&View::Overview),
            status: kit.url(&View::Status(Lens::default())),
            consumers: kit.url(&View::Consumers(Lens::default())),
            dlq: kit.url(&View::Dlq(Lens::default())),
            transactions: kit.url(&View::Transactions),
            x: kit.x,
            ranges: ranges.collect(),
            range: range_name(cx.range_seconds),
            languages: languages.into(),
            themes: themes.into(),
            kiosk_href: kit.url_with(view, &[("kiosk", (!cx.kiosk).then_some("1"))]),
            parts: Slots(parts),
        }
    }

    /// URL of an embedded file.
    pub fn file(&self, name: &str) -> String {
        format!("{}{}", self.base, asset_url(name))
    }

    /// `n of 6 keys`: the keys of the ranges as they stand in the help.
    pub fn range_keys(&self) -> String {
        fill("1-{n}", &[("n", &self.ranges.len().to_string())])
    }
}
