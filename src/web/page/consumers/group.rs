//! The head of one group: its state with the reason, the lag triple, who it is.

use askama::Template;

use crate::model::Timestamp;
use crate::snapshot::{GroupView, LagCluster, LagState};
use crate::text::i18n::LagTexts;
use crate::text::number::{self, Quantity};
use crate::web::page::kit::{Html, Kit, Level, State};
use crate::web::page::lens::Lens;
use crate::web::page::part::{render, to_html};
use crate::web::page::{Part, View};

use super::clusters::survey_state;
use super::tile::{Tile, numbers};
use super::{groups, words};

#[derive(Template)]
#[template(path = "part/group_head.html")]
struct Head {
    l: &'static LagTexts,
    name: String,
    back: String,
    state: State,
    meaning: &'static str,
    why: String,
    facts: Html,
    note: String,
    tiles: Html,
}

/// The head; `found` is `None` where the cluster no longer lists the group.
pub fn head(kit: &Kit, cluster: &str, name: &str, found: Option<(&LagCluster, &GroupView)>) -> Part {
    let l = kit.l;
    let back = kit.url(&View::Consumers(Lens::default()));
    let name = name.to_owned();
    let Some((cluster, group)) = found else {
        let state = words::state(kit, LagState::Unknown);
        let (facts, why) = (Html::text(cluster), l.group_gone.to_owned());
        let head = Head { l, name, back, state, meaning: "", why, facts, note: String::new(), tiles: Html::default() };
        return render("group-head", &head);
    };
    let survey = survey_state(kit, cluster);
    let members = group.members.map_or_else(|| number::UNKNOWN.to_owned(), |n| number::count(n.into()));
    let facts = Html::dots([
        Html::text(&format!("{} ({})", cluster.cluster, cluster.kind)),
        Html::text(groups::protocol(l, group.protocol)),
        Html::text(groups::phase(l, group.phase)),
        Html::text(&format!("{} {members}", l.members)),
        Html::text(&match group.burrow.name() {
            "" => String::new(),
            said => format!("Burrow {said}"),
        }),
        // Nobody could ask for the positions of a share group: there is no time of which they are.
        if group.as_of == Timestamp::default() {
            Html::default()
        } else {
            Html::fill(l.as_of, &[("time", kit.time(group.as_of))])
        },
    ]);
    let head = Head {
        l,
        name,
        back,
        state: words::state(kit, group.state),
        meaning: words::words(l, group.state).1,
        why: groups::why(kit, group),
        facts,
        note: if survey.level == Level::Bad { survey.word } else { String::new() },
        tiles: Html(numbers("group-numbers", l.group, tiles(kit, group)).html),
    };
    Part { id: "group-head".to_owned(), html: to_html(&head) }
}

fn tiles(kit: &Kit, group: &GroupView) -> Vec<Tile> {
    let l = kit.l;
    let (age, drain) = (words::group_age(kit, group), words::drain(kit, group.drain_seconds, group.lag_messages));
    let level = words::level(group.state);
    let tile = |label, value: String, sub: Html, level| Tile {
        label,
        href: String::new(),
        value: Quantity::new(value, ""),
        sub,
        level,
        art: Html::default(),
    };
    let unknown = match group.unknown_partitions {
        0 => Html::text(&words::trend_words(&group.trend)),
        // What is frozen is in the sum, as it was.
        _ if group.frozen => Html::text(&words::trend_words(&group.trend)),
        n => Html::text(&crate::text::i18n::fill(l.unknown_rows, &[("n", &n.to_string())])),
    };
    let waits = group.lag_messages.is_some_and(|n| n > 0);
    // A number that is part of the trouble looks like it: no commit while messages wait is not well.
    let known = |known: bool, part: bool| match (known, part && waits && level >= Level::Warn) {
        (false, _) => Level::Unknown,
        (true, true) => level,
        (true, false) => Level::Ok,
    };
    let quiet = |cell: &words::Cell| if cell.quiet { number::UNKNOWN.to_owned() } else { cell.value.clone() };
    let age_words = if age.quiet && age.title.is_empty() { age.value.clone() } else { age.title.clone() };
    let lost = if group.lost_messages > 0 { Level::Bad } else { Level::Ok };
    vec![
        Tile {
            art: words::sparkline(&group.trend, level),
            ..tile(
                l.messages,
                words::messages(group.lag_messages),
                unknown,
                if group.lag_messages.is_some() { level } else { Level::Unknown },
            )
        },
        tile(l.oldest, quiet(&age), Html::text(&age_words), known(!age.quiet || group.lag_messages == Some(0), true)),
        tile(
            l.drain,
            quiet(&drain),
            Html::text(&drain.title),
            known(!drain.quiet || group.lag_messages == Some(0), false),
        ),
        tile(
            l.rate,
            kit.rate(group.commit_rate),
            Html::text(kit.t.last_1m),
            known(group.commit_rate.is_some(), group.commit_rate == Some(0.0)),
        ),
        tile(l.fact_lost, number::count(group.lost_messages), Html::default(), lost),
    ]
}
