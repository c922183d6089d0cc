//! `/dlq/audit` and `/api/v1/audit`: who has looked at which letters and moved which. For those who may do so too.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::act::{draw, problem};
use crate::store::AuditEntry;
use crate::web::App;
use crate::web::api::{Answer, Rfc3339, answer, newest};
use crate::web::error::Problem;
use crate::web::page;

/// Lines of a page, and of an answer unless it asks for others.
const LINES: usize = 100;
/// Most lines of one answer: the rest is behind `next`.
const MOST: usize = 1_000;

/// Which lines are asked for.
struct Asked {
    before: Option<u64>,
    limit: usize,
}

impl Asked {
    fn of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Problem> {
        let mut asked = Self { before: None, limit: LINES };
        for (name, value) in pairs {
            match name {
                "before" => {
                    let number = value.parse().map_err(|_| Problem::field(name, "the number of a line"))?;
                    asked.before = Some(number);
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|n| (1..=MOST).contains(n));
                    asked.limit = limit.ok_or_else(|| Problem::field(name, format!("1 to {MOST}")))?;
                }
                _ => return Err(Problem::field(name, "unknown; allowed are before, limit")),
            }
        }
        Ok(asked)
    }

    /// The lines, newest first, and the number behind which further ones lie.
    async fn lines(&self, app: &App) -> Result<(Vec<(u64, AuditEntry)>, Option<u64>), Problem> {
        let Some(actions) = &app.config.actions.0 else {
            return Err(Problem::not_found("nothing is audited: this server looks at no letters and moves none"));
        };
        let lines = actions.audited(self.before, self.limit).await;
        let lines = lines.map_err(|refusal| Problem::new(problem(&refusal), refusal.to_string()))?;
        let last = lines.last().map(|(number, _)| *number);
        let more = last.filter(|number| lines.len() == self.limit && *number > 0);
        Ok((lines, more))
    }
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    number: u64,
    at: Rfc3339,
    /// Null: nobody has a name here.
    user: Option<&'a str>,
    action: &'a str,
    detail: &'a str,
}

impl<'a> Line<'a> {
    fn of((number, entry): &'a (u64, AuditEntry)) -> Self {
        Self {
            number: *number,
            at: Rfc3339(entry.at),
            user: Some(entry.user.as_str()).filter(|user| !user.is_empty()),
            action: &entry.action,
            detail: &entry.detail,
        }
    }
}

/// `/api/v1/audit?before=&limit=`.
pub async fn json(
    State(app): State<Arc<App>>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Answer {
    let asked = Asked::of(query.iter().map(|(n, v)| (n.as_str(), v.as_str())))?;
    let (lines, more) = asked.lines(&app).await?;
    let lines: Vec<_> = lines.iter().map(Line::of).collect();
    let next = more.map(|number| format!("limit={}&before={number}", asked.limit));
    answer(&newest(&app), &headers, BTreeMap::from([("lines", lines)]), next)
}

/// `/dlq/audit?before=`: the same for people.
pub async fn page(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    // How a page is to look is said in its query, too.
    let pairs = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| *name == "before");
    let (lines, more) = Asked::of(pairs)?.lines(&app).await?;
    let html = draw(&app, &query, &headers, |cx| page::dlq::audit(cx, &lines, more));
    Ok((StatusCode::OK, html).into_response())
}
