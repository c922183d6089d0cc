//! Every page of every made-up scenario, in both languages: what must hold whatever they show.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::*;
use crate as sg;
use crate::model::Timestamp;
use crate::text::i18n;

#[path = "../../../examples/ui_preview/samples/mod.rs"]
mod samples;

const NOW: Timestamp = Timestamp(1_795_341_484_300_000);

/// Built once: hours of made-up history take a while to make.
static SCENARIOS: LazyLock<Vec<(&str, (Snapshot, Status))>> =
    LazyLock::new(|| samples::SCENARIOS.map(|name| (name, samples::scenario(name, NOW, NOW))).into());

/// Calls `look` with each scenario, view and language.
fn each(mut look: impl FnMut(&str, &View, &PageContext)) {
    for (scenario, (snapshot, status)) in &*SCENARIOS {
        let mut views = vec![View::Overview, View::Transactions];
        views.extend(
            ["", "sort=unread&find=a", "find=zzz", "state=gone"].map(|q| View::Status(Lens::default()).asked(q)),
        );
        views.extend(snapshot.flows.iter().take(4).map(|f| View::Flow(f.name.clone())));
        views.extend(
            ["", "sort=-lag&state=STALLED", "find=zzz", "page=9"].map(|q| View::Consumers(Lens::default()).asked(q)),
        );
        views.push(View::Dlq(Lens::default()));
        if let Some(cluster) = snapshot.lag.clusters.first() {
            let group = |g: &Arc<sg::snapshot::GroupView>| {
                View::Group(cluster.cluster.clone(), g.group.to_string(), Lens::default())
            };
            views.extend(cluster.groups.iter().take(20).map(group));
        }
        let stream = |s: &Arc<sg::snapshot::DlqStream>| View::DlqStream(s.cluster.clone(), s.stream.to_string());
        views.extend(snapshot.dlq.streams.iter().map(stream));
        for locale in [Locale::En, Locale::Ko] {
            let cx = PageContext {
                snapshot,
                status,
                locale,
                range_seconds: 900,
                theme: Theme::Dark,
                kiosk: false,
                base: "/ops",
                query: "range=900&lang=%22%3E<u>&theme=dark",
            };
            for view in &views {
                look(scenario, view, &cx);
            }
        }
    }
}

/// All tags of an HTML text: name, attributes, whether it closes.
fn tags(html: &str) -> Vec<(&str, &str, bool)> {
    let mut out = Vec::new();
    for piece in html.split('<').skip(1) {
        let Some((tag, _)) = piece.split_once('>') else { panic!("unclosed tag: {piece}") };
        let closing = tag.starts_with('/');
        let tag = tag.trim_start_matches('/');
        let (name, rest) = tag.split_once(|c: char| c.is_whitespace() || c == '/').unwrap_or((tag, ""));
        out.push((name, rest, closing || tag.ends_with('/')));
    }
    out
}

#[test]
fn the_page_holds_every_part_byte_for_byte_and_twice_is_the_same() {
    each(|scenario, view, cx| {
        let html = page(view, cx).expect("the flow exists");
        assert_eq!(html, page(view, cx).unwrap(), "{scenario} {view}");
        let parts = parts(view, cx);
        let ids: BTreeSet<&str> = parts.iter().map(|p| p.id.as_str()).collect();
        assert_eq!(ids.len(), parts.len(), "ids are unique");
        for part in &parts {
            assert!(html.contains(&part.html), "{scenario} {view} lacks {}", part.id);
            assert!(part.html.trim_start().starts_with('<') && part.html.contains(&format!("id=\"{}\"", part.id)));
        }
    });
}

#[test]
fn nothing_is_inline_nothing_hostile_is_markup_and_tags_balance() {
    const VOID: [&str; 5] = ["meta", "link", "br", "wbr", "input"];
    each(|scenario, view, cx| {
        let html = page(view, cx).unwrap();
        let mut open: Vec<&str> = Vec::new();
        for (name, attributes, closes) in tags(&html) {
            let lower = attributes.to_ascii_lowercase();
            assert!(
                !lower.contains(" style=") && !lower.starts_with("style="),
                "{scenario} {view}: <{name} {attributes}>"
            );
            assert!(!lower.contains(" onload=x") || lower.contains("&#"), "{scenario} {view}: <{name} {attributes}>");
            assert!(name != "script" || closes || lower.contains("src="), "{scenario} {view}");
            if name.starts_with('!') || VOID.contains(&name) {
                continue;
            }
            match (closes, attributes.ends_with('/')) {
                (_, true) => {}
                (true, _) => assert_eq!(open.pop(), Some(name), "{scenario} {view}"),
                (false, _) => open.push(name),
            }
        }
        assert!(open.is_empty(), "{scenario} {view}: {open:?}");
        assert!(!html.contains("<script>") && !html.contains("<u>") && !html.contains("NaN"), "{scenario} {view}");
        assert!(!html.contains("{t.ok}\u{27}"), "names are escaped");
    });
}

#[test]
fn headings_begin_at_one_ids_are_unique_and_local_links_lead_somewhere() {
    each(|scenario, view, cx| {
        let html = page(view, cx).unwrap();
        assert_eq!(html.matches("<h1").count(), 1, "{scenario} {view}");
        assert!(html.find("<h1") < html.find("<h2"), "{scenario} {view}: the first heading is the page's");
        assert_eq!(html.matches("<table").count(), html.matches("<caption").count(), "{scenario} {view}");
        let ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|p| p.split('"').next()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{scenario} {view}");
        for place in html.split("href=\"#").skip(1).filter_map(|p| p.split('"').next()) {
            assert!(ids.contains(&place), "#{place}");
        }
        for path in html.split("\"/ops/assets/").skip(1).filter_map(|p| p.split('"').next()) {
            assert!(asset(path).is_some(), "{path}");
        }
    });
}

#[test]
fn a_korean_page_has_no_english_sentence_and_the_other_way_round() {
    each(|scenario, view, cx| {
        let html = page(view, cx).unwrap();
        for (key, en, ko) in i18n::all() {
            let other = if cx.locale == Locale::En { ko } else { en };
            let whole = !other.contains('{') && other.len() > 12 && en != ko;
            assert!(
                !whole || !html.contains(&Html::text(other).0),
                "{scenario} {view}: {key} is in the other language"
            );
        }
    });
}

#[test]
fn no_template_holds_words_of_its_own() {
    fn visit(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { visit(&path, found) } else { found.push(path) }
        }
    }
    let mut files = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"), &mut files);
    assert!(files.len() > 15);
    for file in files {
        let mut text = fs::read_to_string(&file).unwrap();
        for (from, to) in
            [("{#", "#}"), ("{%", "%}"), ("{{", "}}"), ("<pre", "</pre>"), ("<kbd>", "</kbd>"), ("<", ">")]
        {
            while let Some(at) = text.find(from) {
                let end = text[at..].find(to).unwrap_or_else(|| panic!("{}: {from}", file.display()));
                let cut = text[at..at + end + to.len()].to_owned();
                for name in ["title=\"", "aria-label=\"", "alt=\"", "placeholder=\""] {
                    let words = cut.split(name).nth(1).and_then(|v| v.split('"').next()).unwrap_or("");
                    assert!(from != "<" || !words.chars().any(char::is_alphabetic), "{}: {cut}", file.display());
                }
                text.replace_range(at..at + end + to.len(), " ");
            }
        }
        for word in
            text.split(|c: char| !c.is_alphanumeric() && c != '&').filter(|w| w.chars().any(char::is_alphabetic))
        {
            assert!(
                ["Streamgauge", "p50", "p95", "p99", "&larr", "&rarr"].contains(&word),
                "{}: {word}",
                file.display()
            );
        }
    }
}

#[test]
fn text_colours_have_a_contrast_of_four_and_a_half() {
    fn luminance(hex: &str) -> f64 {
        let channel = |i: usize| {
            let c = f64::from(u8::from_str_radix(&hex[i..i + 2], 16).unwrap()) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    }
    let css = include_str!("../../../static/tokens.css");
    let colour = |name: &str, dark: usize| {
        let value = css.split_once(&format!("--{name}: light-dark(")).unwrap_or_else(|| panic!("{name}")).1;
        value.split(')').next().unwrap().split(',').nth(dark).unwrap().trim().trim_start_matches('#').to_owned()
    };
    for ground in ["bg", "panel", "raise"] {
        for ink in ["ink", "ink-2", "ink-3", "accent", "ok", "warn", "bad", "unknown"] {
            for dark in [0, 1] {
                let (a, b) = (luminance(&colour(ground, dark)), luminance(&colour(ink, dark)));
                let ratio = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(ratio >= 4.5, "{ink} on {ground} ({}): {ratio:.2}", ["light", "dark"][dark]);
            }
        }
    }
}

#[test]
fn unknown_is_said_and_never_zero() {
    each(|scenario, view, cx| {
        if !matches!(scenario, "empty" | "opening") || *view != View::Overview {
            return;
        }
        let tiles = parts(view, cx).into_iter().find(|p| p.id == "tiles").unwrap().html;
        assert_eq!(tiles.matches("<p class=\"num\">\u{2013}</p>").count(), 5, "{tiles}");
        assert!(!tiles.contains(">0<"));
    });
}

#[test]
fn groups_of_which_nothing_is_known_are_not_none_in_trouble() {
    each(|scenario, view, cx| {
        let expected = match scenario {
            "unreachable" | "opening" => "\u{2013}",
            "calm" => "0",
            _ => return,
        };
        if *view == View::Overview {
            let tiles = parts(view, cx).into_iter().find(|p| p.id == "lag-tiles").unwrap().html;
            let first = tiles.split("<p class=\"num\">").nth(1).and_then(|t| t.split('<').next());
            assert_eq!(first, Some(expected), "{scenario}: {tiles}");
        }
    });
}

#[test]
fn a_tick_sends_what_is_new_and_the_first_event_sends_all() {
    let (_, (snapshot, status)) = SCENARIOS.iter().find(|s| s.0 == "incident").unwrap();
    let cx = PageContext {
        snapshot,
        status,
        locale: Locale::En,
        range_seconds: 60,
        theme: Theme::Auto,
        kiosk: false,
        base: "",
        query: "",
    };
    let read = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let all = read(points(&View::Overview, &cx, None));
    assert_eq!(all["pts"].as_array().unwrap().len(), 59, "every second up to the newest");
    let newest = newest_complete(&View::Overview, &cx).unwrap();
    let tick = read(points(&View::Overview, &cx, Some(newest - 1)));
    let times: Vec<i64> = tick["pts"].as_array().unwrap().iter().map(|p| p[0].as_i64().unwrap()).collect();
    assert_eq!(times[0], newest);
    assert!(tick["pts"].as_array().unwrap().iter().skip(1).all(|p| p[1] == 0), "the others are incomplete");
}

#[test]
fn views_and_wishes_are_read_back() {
    for view in [View::Overview, View::Status(Lens::default()), View::Flow("a/b \u{ac00}%".to_owned())] {
        assert_eq!(View::parse(&view.to_string()), Some(view));
    }
    assert_eq!((View::parse("flow/"), View::parse("flow/%F"), View::parse("x")), (None, None, None));
    let w = Wishes::parse("range=1h&kiosk&theme=dark", "a=b; lang=ko", "en");
    assert_eq!((w.range_seconds, w.kiosk, w.theme, w.locale), (3_600, true, Theme::Dark, Locale::Ko));
    let w = Wishes::parse("range=9999999&theme=evil&lang=fr", "", "de, ko;q=0.8, en;q=0.5");
    assert_eq!((w.range_seconds, w.theme, w.locale), (86_400, Theme::Auto, Locale::Ko));
}

use kit::Html;

#[test]
fn a_table_of_hundreds_is_found_through_by_its_address() {
    let (snapshot, status) = &SCENARIOS.iter().find(|s| s.0 == "many").unwrap().1;
    let sources = |query: &str| {
        let cx = PageContext {
            snapshot,
            status,
            locale: Locale::Ko,
            range_seconds: 900,
            theme: Theme::Auto,
            kiosk: false,
            base: "/ops",
            query,
        };
        parts(&View::Status(Lens::default()).asked(query), &cx).into_iter().find(|p| p.id == "sources").unwrap().html
    };
    let rows = |html: &str| html.matches("<tr class=").count();
    let whole = sources("lang=ko");
    assert_eq!(rows(&whole), 100, "a page of them");
    assert!(whole.contains("620\u{ac1c} \u{c911} 1-100") && whole.contains("href=\"/ops/status?page=2&#38;lang=ko\""));
    assert!(
        whole.find("Broker transport failure").unwrap() < whole.find("shop.region-0.orders/9").unwrap(),
        "worst first"
    );
    assert_eq!(rows(&sources("page=6")), 100);
    assert_eq!(rows(&sources("page=99")), 20, "the last page there is");
    let found = sources("find=REGION-7.orders&sort=unread");
    assert_eq!(rows(&found), 24);
    assert!(found.contains("aria-sort=\"descending\"") && found.contains("value=\"REGION-7.orders\""));
    let unread = |html: &str| -> Vec<u64> {
        let cells = html.split("<tr class=").skip(1).map(|row| row.split("<td class=\"r").nth(4).unwrap());
        let digits = |cell: &str| cell.split(['>', '<']).nth(1).unwrap().replace(',', "").parse().unwrap();
        cells.map(digits).collect()
    };
    assert!(unread(&found).is_sorted_by(|a, b| a >= b), "{:?}", unread(&found));
    assert!(unread(&sources("find=REGION-7.orders&sort=-unread")).is_sorted());
    let down = sources("state=unreachable&theme=dark");
    assert_eq!(rows(&down), 7);
    assert!(
        down.contains("<input type=\"hidden\" name=\"state\" value=\"unreachable\">")
            && down.contains("name=\"theme\"")
    );
    assert!(sources("find=%3Cscript%3E").contains("value=\"&#60;script&#62;\""), "what is looked for is text");
}

/// One part of a view of a scenario that was changed.
fn part_of(snapshot: &Snapshot, status: &Status, locale: Locale, view: &View, id: &str) -> String {
    let cx = PageContext {
        snapshot,
        status,
        locale,
        range_seconds: 900,
        theme: Theme::Auto,
        kiosk: false,
        base: "",
        query: "",
    };
    parts(view, &cx).into_iter().find(|p| p.id == id).unwrap_or_else(|| panic!("{view} has no {id}")).html
}

#[test]
fn what_only_an_unreachable_cluster_feeds_is_unknown_and_no_part_of_a_sum() {
    // The cluster of `refund` hangs for half a minute: nothing is so old yet that its age alone would say it.
    let (snapshot, status) = samples::scenario("unreachable", NOW, NOW.plus(100_000_000));
    let part = |view: &View, id| part_of(&snapshot, &status, Locale::En, view, id);
    let tiles = part(&View::Overview, "tiles");
    assert!(tiles.contains("partial, without refund"), "{tiles}");
    assert!(tiles.contains("<div class=\"tile warn\"><h2>Transactions ended"), "{tiles}");
    let map = part(&View::Overview, "map");
    assert_eq!(map.matches("frozen, 30 s old").count(), 1, "{map}");
    let refund = View::Flow("refund".to_owned());
    for id in ["tiles", "map", "steps", "head"] {
        let html = part(&refund, id);
        assert!(!html.contains("tile ok") && !html.contains("st ok"), "{id}: {html}");
    }
    assert!(part(&refund, "tiles").contains("frozen, 30 s old"));
    let streams = part(&View::Status(Lens::default()), "streams");
    let row = streams.split("data-key=\"eu refunds\"").nth(1).and_then(|r| r.split("</tr>").next()).unwrap();
    assert!(row.contains("st unknown") && row.contains("frozen, 30 s old") && !row.contains("st ok"), "{row}");
    assert!(streams.contains("<tr class=\"unknown\" data-key=\"eu refunds\""));
    assert!(part_of(&snapshot, &status, Locale::Ko, &View::Overview, "map").contains("\u{ba48}\u{cd98} \u{ac12}, 30"));
}

#[test]
fn a_missing_latency_has_its_true_reason() {
    let (mut snapshot, status) = samples::scenario("one", NOW, NOW);
    let mut flow = (*snapshot.flows[0]).clone();
    for w in &mut flow.windows {
        w.outcomes = sg::snapshot::Outcomes { ok: 3, ..Default::default() };
        w.latency_seconds.clear();
    }
    let tiles = |snapshot: &Snapshot, locale| part_of(snapshot, &status, locale, &View::Overview, "tiles");
    snapshot.flows = vec![Arc::new(flow.clone())];
    assert!(tiles(&snapshot, Locale::En).contains("3 ended ok, none with a latency: a lone event needs started_at"));
    assert!(tiles(&snapshot, Locale::Ko).contains("started_at"));
    flow.windows.iter_mut().for_each(|w| w.outcomes.ok = 0);
    snapshot.flows = vec![Arc::new(flow)];
    assert!(tiles(&snapshot, Locale::En).contains("none ended ok within the hour"));
}

#[test]
fn a_mean_says_what_it_is_over() {
    let (mut snapshot, status) = samples::scenario("one", NOW, NOW);
    let mut tiles = |seconds: i64| {
        let mut flow = (*snapshot.flows[0]).clone();
        let hour = flow.windows.iter_mut().find(|w| w.name == "1h").unwrap();
        hour.from = hour.to.map(|to| to.plus(-seconds * 1_000_000));
        (hour.complete, hour.outcomes) =
            (seconds == 3_600, sg::snapshot::Outcomes { ok: 36_000, ..Default::default() });
        snapshot.flows = vec![Arc::new(flow)];
        part_of(&snapshot, &status, Locale::En, &View::Overview, "tiles")
    };
    assert!(tiles(3_600).contains("1 h mean 10.0/s"));
    assert!(tiles(953).contains("mean 37.8/s, 15 min 53 s so far"));
    assert!(!tiles(9).contains("mean"));
    let streams = part_of(&snapshot, &status, Locale::En, &View::Status(Lens::default()), "streams");
    assert_eq!(streams.matches("only 15 min 53 s so far").count(), 3);
}

#[test]
fn older_events_are_named_only_while_nothing_was_read() {
    let (mut snapshot, status) = samples::scenario("waiting", NOW, NOW);
    let status_page = |s: &Snapshot| part_of(s, &status, Locale::En, &View::Status(Lens::default()), "sources");
    assert_eq!(status_page(&snapshot).matches("waiting since latest").count(), 12);
    // Few records say nothing of the time up to which all are known, but they were read.
    snapshot.sources.iter_mut().for_each(|s| s.waiting = false);
    assert_eq!(status_page(&snapshot).matches("waiting since latest").count(), 0);
}

#[test]
fn an_id_that_turns_the_line_is_shown_by_its_numbers() {
    let (mut snapshot, status) = samples::scenario("incident", NOW, NOW);
    let mut flow = (*snapshot.flows[0]).clone();
    flow.stuck.iter_mut().for_each(|w| w.transaction_id = "tx\u{202e}7\u{0}".to_owned());
    snapshot.flows[0] = Arc::new(flow);
    let stuck = part_of(&snapshot, &status, Locale::En, &View::Flow("checkout".to_owned()), "stuck");
    assert!(stuck.contains("tx\\u202e7\\u0<") && !stuck.contains(['\u{202e}', '\0']), "{stuck}");
}
