//! Who has looked at which letters and moved which: the audit log. Not live, and not for everybody.

use askama::Template;

use super::form::frame;
use crate::store::AuditEntry;
use crate::text::i18n::DlqTexts;
use crate::web::page::frame::Frame;
use crate::web::page::kit::{Html, Kit};
use crate::web::page::part::to_html;
use crate::web::page::{Lens, PageContext, View};

struct Line {
    time: Html,
    user: String,
    action: String,
    detail: String,
}

#[derive(Template)]
#[template(path = "page/audit.html")]
struct AuditPage {
    f: Frame,
    d: &'static DlqTexts,
    back: String,
    rows: Vec<Line>,
    older: String,
}

/// What was done, in the words of the page.
fn action(d: &'static DlqTexts, name: &str) -> String {
    let known = [
        ("peek", d.did_peek),
        ("redrive.begin", d.did_begin),
        ("redrive.end", d.did_end),
        ("redrive.pause", d.did_pause),
        ("redrive.resume", d.did_resume),
        ("redrive.cancel", d.did_cancel),
        ("redrive.interrupted", d.did_interrupt),
        ("redrive.dismiss", d.did_dismiss),
    ];
    known.iter().find(|(known, _)| *known == name).map_or(name, |(_, words)| words).to_owned()
}

/// The page; `more`: further lines lie before this number.
pub fn audit(cx: &PageContext, lines: &[(u64, AuditEntry)], more: Option<u64>) -> String {
    let kit = &Kit::new(cx);
    let (d, back) = (kit.d, View::Dlq(Lens::default()));
    let line = |(_, entry): &(u64, AuditEntry)| Line {
        time: kit.time(entry.at),
        user: if entry.user.is_empty() { d.nobody.to_owned() } else { entry.user.clone() },
        action: action(d, &entry.action),
        detail: entry.detail.clone(),
    };
    let kept: String = kit.kept().iter().map(|(name, value)| format!("&{name}={value}")).collect();
    to_html(&AuditPage {
        f: frame(kit, d.audit, &back),
        d,
        back: kit.url(&back),
        rows: lines.iter().map(line).collect(),
        older: more.map_or_else(String::new, |number| format!("{}/dlq/audit?before={number}{kept}", cx.base)),
    })
}
