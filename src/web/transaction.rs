//! One transaction: `/transactions?flow=&id=` and `/api/v1/transactions?flow=&id=`.
//!
//! The engine itself is asked, for no snapshot holds its table: with a deadline, and only so many at once.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;

use super::App;
use super::api::{Answer, Rfc3339, answer, newest};
use super::error::Problem;
use super::page::transaction::{Told, one};
use super::page::{View, percent_decode};
use super::viewer::Viewer;
use crate::engine::KEPT_SECONDS;
use crate::model::Outcome;
use crate::run::desk::NoAnswer;
use crate::snapshot::{Measured, TransactionEvent, TransactionView, Waits};

/// Longest wait for the engine: it looks at each input, a tick comes four times a second.
const WITHIN: Duration = Duration::from_secs(2);
/// When to try again where it did not answer, seconds.
const RETRY: u32 = 1;

/// Who is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    flow: String,
    id: String,
}

impl Wanted {
    /// From a query without `?`. `strict`: what is not known in it is refused.
    fn of(query: &str, most: usize, strict: bool) -> Result<Self, Problem> {
        let mut wanted = Self::default();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let field = match name {
                "flow" => &mut wanted.flow,
                "id" => &mut wanted.id,
                _ if strict => return Err(Problem::field(name, "unknown; allowed are flow, id")),
                _ => continue,
            };
            if !field.is_empty() {
                return Err(Problem::field(name, "there twice"));
            }
            let text = percent_decode(&value.replace('+', " "));
            *field = text.ok_or_else(|| Problem::field(name, "not percent-encoded UTF-8"))?;
            if field.len() > most {
                return Err(Problem::field(name, format!("longer than limits.field_bytes = {most} bytes")));
            }
        }
        Ok(wanted)
    }
}

enum Silence {
    Off,
    Engine(NoAnswer),
}

async fn ask(app: &App, wanted: &Wanted) -> Result<Option<Box<TransactionView>>, Silence> {
    let asker = app.config.transactions.as_ref().ok_or(Silence::Off)?;
    asker.ask((wanted.flow.clone(), wanted.id.clone()), WITHIN).await.map_err(Silence::Engine)
}

#[derive(Serialize)]
struct Waiting<'a> {
    stage: &'a str,
    since: Rfc3339,
    seconds: f64,
    deadline_seconds: Option<f64>,
    deadline_learned: bool,
    stuck: bool,
}

#[derive(Serialize)]
struct Event<'a> {
    stage: &'a str,
    status: &'static str,
    /// Not kept in memory: the record has it.
    service: Option<&'a str>,
    event_time: Option<Rfc3339>,
    record_time: Option<Rfc3339>,
    cluster: &'a str,
    stream: &'a str,
    partition: u32,
    position: u64,
    /// Not kept in memory: the record has it.
    event_id: Option<&'a str>,
    generation: u32,
    cut_time: Rfc3339,
    outcome: Option<&'static str>,
    meaning: &'static str,
    dead_letter: bool,
    hop_from: Option<&'a str>,
    hop_seconds: Option<f64>,
    hop_clock: Option<&'static str>,
}

impl<'a> Event<'a> {
    fn of(e: &'a TransactionEvent) -> Self {
        let hop = e.hop.as_ref();
        Self {
            stage: &e.stage,
            status: e.status.name(),
            service: None,
            event_time: e.event_time.map(Rfc3339),
            record_time: e.record_time.map(Rfc3339),
            cluster: &e.cluster,
            stream: &e.stream,
            partition: e.partition,
            position: e.position,
            event_id: None,
            generation: e.generation,
            cut_time: Rfc3339(e.cut_time),
            outcome: e.outcome.map(Outcome::name),
            meaning: e.meaning.name(),
            dead_letter: e.dead_letter,
            hop_from: hop.map(|(from, _)| from.as_str()),
            hop_seconds: hop.map(|(_, m)| m.seconds),
            hop_clock: hop.map(|(_, m)| m.clock),
        }
    }
}

/// The first members are those of the contract.
#[derive(Serialize)]
struct Transaction<'a> {
    flow: &'a str,
    transaction_id: &'a str,
    state: &'static str,
    outcome: Option<&'static str>,
    started_at: Option<Rfc3339>,
    ended_at: Option<Rfc3339>,
    events: Option<Vec<Event<'a>>>,
    trace_id: Option<&'a str>,
    trace_url: Option<String>,
    exported: Option<bool>,
    recovered: bool,
    recovered_at: Option<Rfc3339>,
    latency_seconds: Option<f64>,
    clock: Option<&'static str>,
    joined: Option<bool>,
    truncated: Option<bool>,
    waiting: Option<Waiting<'a>>,
    times_out_at: Option<Rfc3339>,
    known_until: Option<Rfc3339>,
}

impl<'a> Transaction<'a> {
    fn of(t: &'a TransactionView, jaeger: &str) -> Self {
        let waiting = |w: &'a Waits| Waiting {
            stage: &w.stage,
            since: Rfc3339(w.since),
            seconds: w.seconds,
            deadline_seconds: w.deadline_seconds,
            deadline_learned: w.deadline_learned,
            stuck: w.stuck,
        };
        // Of one that has left, nobody knows any more whether its events carried a trace.
        let here = t.events.is_some();
        let linked = here && t.trace_carried && !jaeger.is_empty();
        let latency: Option<Measured> = t.latency;
        Self {
            flow: &t.flow,
            transaction_id: &t.transaction_id,
            state: t.state.name(),
            outcome: t.outcome.map(Outcome::name),
            started_at: t.started_at.map(Rfc3339),
            ended_at: t.ended_at.map(Rfc3339),
            events: t.events.as_ref().map(|events| events.iter().map(Event::of).collect()),
            trace_id: here.then_some(t.trace_id.as_str()),
            trace_url: linked.then(|| format!("{jaeger}/trace/{}", t.trace_id)),
            // Those who carried it may have exported it; we have not.
            exported: (here && !t.trace_carried).then_some(false),
            recovered: t.recovered,
            recovered_at: t.recovered_at.map(Rfc3339),
            latency_seconds: latency.map(|l| l.seconds),
            clock: latency.map(|l| l.clock),
            joined: here.then_some(t.joined),
            truncated: here.then_some(t.truncated),
            waiting: t.waits.as_ref().map(waiting),
            times_out_at: t.times_out_at.map(Rfc3339),
            known_until: t.kept_until.map(Rfc3339),
        }
    }
}

/// `/api/v1/transactions?flow=&id=`.
pub async fn json(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    let wanted = Wanted::of(query.as_deref().unwrap_or(""), app.context.limits.field_bytes, true)?;
    for (name, value) in [("flow", &wanted.flow), ("id", &wanted.id)] {
        if value.is_empty() {
            return Err(Problem::field(name, "must be given: transactions are found by flow and id"));
        }
    }
    match ask(&app, &wanted).await {
        Ok(Some(told)) => {
            let status = app.context.status.borrow().clone();
            answer(&newest(&app), &headers, Transaction::of(&told, &status.jaeger_url), None)
        }
        Ok(None) => {
            let [events, ok, others] = KEPT_SECONDS;
            Err(Problem::not_found(format!(
                "nothing is known of transaction {:?} of flow {:?}: known are all in flight, ended ones with their events for {events} s, then how they ended: ok for {ok} s, all others for {others} s",
                wanted.id, wanted.flow
            )))
        }
        Err(Silence::Off) => Err(Problem::not_found("this server does not answer questions about single transactions")),
        Err(Silence::Engine(why)) => Err(Problem::busy(why.to_string(), RETRY)),
    }
}

/// `/transactions`: a form; with `flow` and `id` what is known of one.
pub async fn page(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let query = query.unwrap_or_default();
    let mut wanted = match Wanted::of(&query, app.context.limits.field_bytes, false) {
        Ok(wanted) => wanted,
        Err(problem) => return problem.into_response(),
    };
    if wanted.id.is_empty() {
        return super::html::render(&app, &View::Transactions, &query, &headers);
    }
    let mut told = ask(&app, &wanted).await;
    // Ids are pasted with the blanks around them; one that has some of its own is found first.
    if let Ok(None) = told
        && wanted.id.trim() != wanted.id
    {
        wanted.id = wanted.id.trim().to_owned();
        told = ask(&app, &wanted).await;
    }
    let (status, told) = match told {
        Ok(Some(view)) => (StatusCode::OK, Told::Known(view)),
        Ok(None) => (StatusCode::NOT_FOUND, Told::Unknown),
        Err(Silence::Off) => (StatusCode::NOT_FOUND, Told::Off),
        Err(Silence::Engine(_)) => (StatusCode::SERVICE_UNAVAILABLE, Told::Busy),
    };
    let view = View::Transaction(wanted.flow, wanted.id);
    let viewer = Viewer::of(&query, &headers);
    let View::Transaction(flow, id) = &view else { return Problem::not_found("no transaction").into_response() };
    let (snapshot, state) = (app.context.snapshot.borrow().clone(), app.context.status.borrow().clone());
    let html = one(&viewer.context(&snapshot, &state, &app.base), flow, id, &told);
    let mut response = super::html::vary((status, Html(html)).into_response());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY));
    }
    response
}
