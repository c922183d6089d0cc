//! `/peek` and `/dlq/{cluster}/{stream}/redrive`: a form by GET, what it does by POST.

use std::sync::Arc;

use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::form::fields;
use super::{RedrivePlan, RedriveStep, RedriveTarget, Refusal};
use crate::model::Timestamp;
use crate::snapshot::{PeekQuestion, Peeked};
use crate::web::App;
use crate::web::auth::Caller;
use crate::web::error::Problem;
use crate::web::page::dlq::{Notice, Runs};
use crate::web::page::{self, PageContext, percent_encode};
use crate::web::viewer::Viewer;

/// Longest text of a field.
const FIELD_BYTES: usize = 300;
/// Letters of one peek.
const PEEKED: usize = 1;

type Who = Option<Extension<Caller>>;

fn name(who: &Who) -> String {
    who.as_ref().map_or_else(String::new, |Extension(Caller(name))| name.to_string())
}

/// Draws a page with what the form's own query says of language and colours.
pub(super) fn draw(
    app: &App,
    query: &str,
    headers: &HeaderMap,
    page: impl FnOnce(&PageContext) -> String,
) -> Html<String> {
    let viewer = Viewer::of(query, headers);
    let (snapshot, status) = (app.context.snapshot.borrow().clone(), app.context.status.borrow().clone());
    Html(page(&viewer.context(&snapshot, &status, &app.base)))
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

pub(super) fn problem(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NotAllowed(_) => StatusCode::FORBIDDEN,
        Refusal::Unknown(_) => StatusCode::NOT_FOUND,
        Refusal::Conflict(_) => StatusCode::CONFLICT,
        Refusal::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What a form says, by name; a field that is too long or there twice is refused.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(text: &str) -> Result<Self, Problem> {
        let list = fields(text);
        for (i, (name, value)) in list.iter().enumerate() {
            if value.len() > FIELD_BYTES {
                return Err(Problem::field(name.as_str(), format!("longer than {FIELD_BYTES} bytes")));
            }
            if list[..i].iter().any(|(other, _)| other == name) {
                return Err(Problem::field(name.as_str(), "there twice"));
            }
        }
        Ok(Self(list))
    }

    fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.trim())
    }

    fn needed(&self, name: &str) -> Result<String, Problem> {
        let value = self.text(name);
        if value.is_empty() { Err(Problem::field(name, "must be given")) } else { Ok(value.to_owned()) }
    }

    /// A number; `None` where the field is empty.
    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| Problem::field(name, "a whole number from 0 on")),
        }
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        match self.text(name) {
            "" => Ok(None),
            text => {
                // What a browser's own field for a time sends has neither seconds nor zone: it is UTC, as the page says.
                let bare = text.len() == 16 && text.as_bytes()[10] == b'T';
                let whole = if bare { format!("{text}:00Z") } else { text.to_owned() };
                let time = crate::decode::parse_time(&whole);
                time.map(Some).map_err(|e| Problem::field(name, format!("RFC 3339 or seconds since 1970: {e}")))
            }
        }
    }
}

/// What is asked for by name; `user` is who asks.
fn question(fields: &Fields, user: String) -> Result<PeekQuestion, Problem> {
    Ok(PeekQuestion {
        cluster: fields.needed("cluster")?,
        stream: fields.needed("stream")?,
        partition: fields.number("partition")?.ok_or_else(|| Problem::field("partition", "must be given"))?,
        position: fields.number("position")?.ok_or_else(|| Problem::field("position", "must be given"))?,
        count: PEEKED,
        user,
    })
}

/// `GET /peek?cluster=&stream=&partition=&position=`: says what will be shown, shows nothing yet.
pub async fn peek_form(
    State(app): State<Arc<App>>,
    who: Who,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let who = name(&who);
    let (token, cookie) = app.forms.token(&headers, &who);
    let ask = question(&Fields::read(&query)?, who)?;
    let notice = if app.config.actions.is_some() { Notice::None } else { Notice::Off };
    let html = draw(&app, &query, &headers, |cx| page::dlq::peek(cx, &ask, &token, None, &notice));
    Ok(with_cookie(html.into_response(), cookie))
}

/// `POST /peek`: shows a record.
pub async fn peek_show(
    State(app): State<Arc<App>>,
    who: Who,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Problem> {
    let (fields, who) = (Fields::read(&body)?, name(&who));
    let ask = question(&fields, who.clone())?;
    let (token, cookie) = app.forms.token(&headers, &who);
    let page = |status: StatusCode, found: Option<&Peeked>, notice: &Notice| {
        let html = draw(&app, &body, &headers, |cx| page::dlq::peek(cx, &ask, &token, found, notice));
        (status, html).into_response()
    };
    let response = match &app.config.actions.0 {
        None => page(StatusCode::NOT_FOUND, None, &Notice::Off),
        Some(_) if !app.forms.knows(&headers, &who, fields.text("token")) => {
            page(StatusCode::FORBIDDEN, None, &Notice::Token)
        }
        Some(actions) => match actions.peek(ask.clone()).await {
            Ok(found) => page(StatusCode::OK, Some(&found), &Notice::None),
            Err(refusal) => page(problem(&refusal), None, &Notice::Refused(refusal.to_string())),
        },
    };
    Ok(with_cookie(response, cookie))
}

/// The plan that fields say; those that are absent ask for nothing.
fn plan(cluster: String, stream: String, fields: &Fields) -> Result<RedrivePlan, Problem> {
    let bounds = (fields.number("first")?, fields.number("last")?);
    let positions = match (fields.number("partition")?, bounds) {
        (Some(partition), (first, last)) => Some((partition, first.unwrap_or(0), last.unwrap_or(u64::MAX))),
        (None, (None, None)) => None,
        (None, _) => return Err(Problem::field("partition", "positions are those of one partition: name it")),
    };
    let plan = RedrivePlan {
        cluster,
        stream,
        error: fields.text("error").to_owned(),
        group: fields.text("group").to_owned(),
        from: fields.time("from")?,
        to: fields.time("to")?,
        positions,
        most: fields.number("most")?,
        rate: fields.number("rate")?,
        target: match fields.text("target") {
            "" | "source" => RedriveTarget::Source,
            "retry" => RedriveTarget::Retry,
            "stream" => RedriveTarget::Stream(fields.needed("target_stream")?),
            _ => return Err(Problem::field("target", "one of source, retry, stream")),
        },
        include_ok: fields.text("include_ok") == "1",
        include_unknown: fields.text("include_unknown") == "1",
    };
    if plan.rate == Some(0) {
        return Err(Problem::field("rate", "at least 1"));
    }
    if plan.most == Some(0) {
        return Err(Problem::field("most", "at least 1"));
    }
    if let (Some(from), Some(to)) = (plan.from, plan.to)
        && from >= to
    {
        return Err(Problem::field("from", "must lie before to"));
    }
    if plan.positions.is_some_and(|(_, first, last)| first > last) {
        return Err(Problem::field("first", "must not lie behind last"));
    }
    Ok(plan)
}

/// Live events are not redriven: only streams of the board, and those with a run that was begun from it.
fn is_watched(app: &App, cluster: &str, stream: &str) -> bool {
    let snapshot = app.context.snapshot.borrow().clone(); // the engine waits for whoever borrows it
    snapshot.dlq.streams.iter().any(|s| s.cluster == *cluster && *s.stream == *stream)
        || app
            .config
            .actions
            .0
            .as_ref()
            .is_some_and(|a| a.progress(cluster, stream).is_some() || a.interrupted(cluster, stream).is_some())
}

/// What is known of the runs of a stream.
fn runs(app: &App, cluster: &str, stream: &str) -> Runs {
    app.config.actions.0.as_ref().map_or_else(Runs::default, |actions| Runs {
        newest: actions.progress(cluster, stream),
        interrupted: actions.interrupted(cluster, stream),
    })
}

fn not_watched(app: &App, query: &str, headers: &HeaderMap, cluster: &str, stream: &str) -> Response {
    let detail = format!("No dead letters are watched in stream {stream} of cluster {cluster}.");
    let html = draw(app, query, headers, |cx| page::error_page(404, "Not found", &detail, cx));
    (StatusCode::NOT_FOUND, html).into_response()
}

/// `GET /dlq/{cluster}/{stream}/redrive`: the form, filled as its query says, and the newest run.
pub async fn redrive_form(
    State(app): State<Arc<App>>,
    who: Who,
    Path((cluster, stream)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    if !is_watched(&app, &cluster, &stream) {
        return Ok(not_watched(&app, &query, &headers, &cluster, &stream));
    }
    let (token, cookie) = app.forms.token(&headers, &name(&who));
    let notice = if app.config.actions.is_some() { Notice::None } else { Notice::Off };
    let runs = runs(&app, &cluster, &stream);
    let plan = plan(cluster, stream, &Fields::read(&query)?)?;
    let html = draw(&app, &query, &headers, |cx| page::dlq::redrive(cx, &plan, &token, &runs, &notice));
    Ok(with_cookie(html.into_response(), cookie))
}

/// `POST /dlq/{cluster}/{stream}/redrive`: `act` is `dry_run`, `start`, `pause`, `resume`, `cancel` or `dismiss`.
pub async fn redrive_act(
    State(app): State<Arc<App>>,
    who: Who,
    Path((cluster, stream)): Path<(String, String)>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Problem> {
    if !is_watched(&app, &cluster, &stream) {
        return Ok(not_watched(&app, "", &headers, &cluster, &stream));
    }
    let (fields, who) = (Fields::read(&body)?, name(&who));
    let plan = plan(cluster.clone(), stream.clone(), &fields)?;
    let (token, cookie) = app.forms.token(&headers, &who);
    let page = |status: StatusCode, notice: &Notice| {
        let runs = runs(&app, &cluster, &stream);
        let html = draw(&app, &body, &headers, |cx| page::dlq::redrive(cx, &plan, &token, &runs, notice));
        (status, html).into_response()
    };
    let Some(actions) = &app.config.actions.0 else {
        return Ok(page(StatusCode::NOT_FOUND, &Notice::Off));
    };
    if !app.forms.knows(&headers, &who, fields.text("token")) {
        return Ok(with_cookie(page(StatusCode::FORBIDDEN, &Notice::Token), cookie));
    }
    let done = match fields.text("act") {
        "dry_run" => actions.dry_run(&who, plan.clone()).await,
        "start" => actions.start(&who, plan.clone()).await,
        "pause" => actions.step(&who, &cluster, &stream, RedriveStep::Pause).await,
        "resume" => actions.step(&who, &cluster, &stream, RedriveStep::Resume).await,
        "cancel" => actions.step(&who, &cluster, &stream, RedriveStep::Cancel).await,
        "dismiss" => actions.step(&who, &cluster, &stream, RedriveStep::Dismiss).await,
        _ => return Err(Problem::field("act", "one of dry_run, start, pause, resume, cancel, dismiss")),
    };
    Ok(match done {
        // To the same page by GET: reloading it does nothing again. What was chosen stays in its address.
        Ok(()) => {
            let kept = fields.0.iter().filter(|(n, v)| !v.is_empty() && n != "token" && n != "act");
            let query: Vec<_> = kept.map(|(n, v)| format!("{}={}", percent_encode(n), percent_encode(v))).collect();
            let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
            let path = format!("/dlq/{}/{}/redrive", percent_encode(&cluster), percent_encode(&stream));
            (StatusCode::SEE_OTHER, [(header::LOCATION, format!("{}{path}{query}", app.base))]).into_response()
        }
        Err(refusal) => page(problem(&refusal), &Notice::Refused(refusal.to_string())),
    })
}
