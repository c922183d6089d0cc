//! `POST /transactions`: the write side. 202 means that the log has acknowledged every event.

mod form;
mod item;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::App;
use super::auth::Caller;
use super::error::{Problem, Unsure};
use crate::broker::{Appended, WriteError};
use crate::store::{Claim, StoreError, StoredAnswer};
use form::Form;
use item::{Prepared, Rules};

/// Longest `Idempotency-Key`.
const KEY_BYTES: usize = 255;
/// How long a caller may take to send the body, and how long all of it may take, the log's acknowledgement included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) body: Duration,
    pub(super) whole: Duration,
}

/// The default `limits.body_bytes` at 50 KB/s; and less than the timeout of a request, so that the caller learns the ids.
const PATIENCE: Patience = Patience { body: Duration::from_secs(20), whole: Duration::from_secs(28) };
/// When to try again while the log does not acknowledge, seconds.
const LOG_DOWN_RETRY: u32 = 5;
/// When to try again after a conflict on an idempotency key, seconds.
const CONFLICT_RETRY: u32 = 1;

#[derive(Serialize)]
struct Accepted<'a> {
    id: &'a str,
    transaction_id: &'a str,
    #[serde(flatten)]
    at: &'a Appended,
}

/// The handler.
pub async fn transactions(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    within(PATIENCE, app, request).await
}

pub(super) async fn within(patience: Patience, app: Arc<App>, request: Request) -> Result<Response, Problem> {
    let until = Instant::now() + patience.whole;
    if app.context.publish.is_none() {
        return Err(Problem::not_found("ingest is off: name a cluster and a stream under [publish]"));
    }
    let (parts, body) = request.into_parts();
    let form = Form::of(&parts.headers)?;
    let key = idempotency_key(&parts)?;
    let body = read(&parts.headers, body, app.config.limits.body_bytes, patience.body).await?;
    let body_hash = hash(&parts.headers, &body);
    let seed = key.as_ref().map(|key| Sha256::new().chain_update(body_hash).chain_update(key).finalize().into());
    let rules = Rules::new(&app.context.limits, (app.context.now)(), &parts.headers, seed);
    let items = form.items(&body, &parts.headers, &rules, app.config.limits.body_events)?;
    // A task of its own: a caller that hangs up must not leave a key claimed or an append half told.
    let work = tokio::spawn(async move {
        match key {
            Some(key) => once(&app, key, body_hash, items, until).await,
            None => append(&app, items, until).await.map(|answer| respond(answer, false)),
        }
    });
    work.await.unwrap_or_else(|error| Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())))
}

/// What a key stands for: the same bytes mean something else under another type.
fn hash(headers: &HeaderMap, body: &[u8]) -> [u8; 32] {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    Sha256::new().chain_update(kind).chain_update([0]).chain_update(body).finalize().into()
}

/// Does the work at most once per key and gives the stored answer again.
async fn once(
    app: &App,
    key: String,
    body_hash: [u8; 32],
    items: Vec<Prepared>,
    until: Instant,
) -> Result<Response, Problem> {
    let now = (app.context.now)();
    match on_ledger(app, &key, move |keys, key| keys.claim(key, body_hash, now)).await? {
        Claim::Fresh => {}
        Claim::Replay(answer) => return Ok(respond(answer, true)),
        Claim::OtherBody => {
            let mut problem = Problem::field("header:Idempotency-Key", "was used before with another body");
            problem.status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(problem);
        }
        Claim::InProgress => {
            let mut problem = Problem::new(StatusCode::CONFLICT, "a request with this Idempotency-Key is under way");
            problem.retry_after = Some(CONFLICT_RETRY);
            return Err(problem);
        }
    }
    let claimed = Claimed { app, key: &key };
    let answer = append(app, items, until).await?;
    let stored = answer.clone();
    on_ledger(app, &key, move |keys, key| keys.finish(key, &stored)).await?;
    std::mem::forget(claimed);
    Ok(respond(answer, false))
}

/// Gives the key back unless the answer was stored.
struct Claimed<'a> {
    app: &'a App,
    key: &'a str,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.app.context.idempotency.release(self.key);
    }
}

/// Asks the ledger off the async threads: it waits for the disk.
async fn on_ledger<T: Send + 'static>(
    app: &App,
    key: &str,
    ask: impl FnOnce(&dyn crate::store::IdempotencyKeys, &str) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let (keys, key) = (Arc::clone(&app.context.idempotency), key.to_owned());
    let asked = tokio::task::spawn_blocking(move || ask(&*keys, &key)).await;
    match asked {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Problem::busy(format!("the ledger of idempotency keys: {error}"), LOG_DOWN_RETRY)),
        Err(error) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// Appends all items and says where they lie.
async fn append(app: &App, items: Vec<Prepared>, until: Instant) -> Result<StoredAnswer, Problem> {
    let Some(publish) = &app.context.publish else { return Err(Problem::not_found("ingest is off")) };
    let (names, records): (Vec<_>, Vec<_>) = items.into_iter().map(|i| ((i.id, i.transaction_id), i.record)).unzip();
    let began = Instant::now();
    let answer = tokio::time::timeout_at(until, publish.write.append(&publish.stream, records)).await;
    let appended = match answer {
        Ok(Ok(appended)) if appended.len() == names.len() => appended,
        Ok(Ok(some)) => {
            return Err(unsure(format!("the log acknowledged {} of {} events", some.len(), names.len()), names));
        }
        Ok(Err(error @ WriteError::Unavailable(_))) => return Err(unsure(error.to_string(), names)),
        Ok(Err(error)) => return Err(Problem::new(StatusCode::BAD_GATEWAY, error.to_string())),
        Err(_) => {
            return Err(unsure(format!("the log did not acknowledge within {:.0?}", began.elapsed()), names));
        }
    };
    let accepted = names.iter().zip(&appended).map(|((id, transaction_id), at)| Accepted { id, transaction_id, at });
    let body = serde_json::json!({"accepted": accepted.collect::<Vec<_>>()});
    Ok(StoredAnswer { status: StatusCode::ACCEPTED.as_u16(), body: body.to_string().into_bytes() })
}

/// No acknowledgement is no refusal: a record that was handed over may be written later.
fn unsure(detail: String, names: Vec<(String, String)>) -> Problem {
    let told = "the events may still be written: send them again with the ids given here, and each counts once";
    let mut problem = Problem::busy(format!("{detail}; {told}"), LOG_DOWN_RETRY);
    problem.unsure = names.into_iter().map(|(id, transaction_id)| Unsure { id, transaction_id }).collect();
    problem
}

fn respond(answer: StoredAnswer, replayed: bool) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::ACCEPTED);
    let mut response = (status, answer.body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if replayed {
        response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// The key as the ledger knows it: one user's keys are no other's.
fn idempotency_key(parts: &Parts) -> Result<Option<String>, Problem> {
    let Some(value) = parts.headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|k| !k.is_empty() && k.len() <= KEY_BYTES);
    let key = key.ok_or_else(|| {
        Problem::field("header:Idempotency-Key", format!("1 to {KEY_BYTES} printable ASCII characters"))
    })?;
    let caller = parts.extensions.get::<Caller>().map_or("", |c| &*c.0);
    Ok(Some(format!("{caller}\n{key}")))
}

async fn read(headers: &HeaderMap, body: Body, cap: usize, patience: Duration) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than limits.body_bytes = {cap} bytes"))
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|n| n > cap) {
        return Err(too_large());
    }
    let all = tokio::time::timeout(patience, to_bytes(body, cap)).await;
    let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the body was not there within {patience:?}"));
    all.map_err(late)?.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>) {
            return too_large();
        }
        Problem::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"))
    })
}
