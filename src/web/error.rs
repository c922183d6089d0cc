//! What a caller is told when something is wrong: problem+json (RFC 9457), with names and what is allowed.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Index of the item in a batch, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// JSON pointer into the item, name of a query parameter, or `header:NAME`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub detail: String,
}

/// An answer that says what went wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Words for the caller.
    pub detail: String,
    /// Fields that are wrong; empty where it is not about fields.
    pub errors: Vec<FieldError>,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u32>,
    /// Events of which nobody knows whether they were written.
    pub unsure: Vec<Unsure>,
}

/// An event that may still be written: sent again under the same ids it counts once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unsure {
    /// Its id.
    pub id: String,
    /// Its transaction's id.
    pub transaction_id: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    may_be_written: &'a [Unsure],
}

impl Problem {
    /// A problem in words.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Vec::new(), retry_after: None, unsure: Vec::new() }
    }

    /// A bad query parameter or header.
    pub fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let error = FieldError { index: None, field: field.into(), detail: detail.into() };
        let mut problem = Self::new(StatusCode::BAD_REQUEST, format!("{}: {}", error.field, error.detail));
        problem.errors.push(error);
        problem
    }

    /// Nothing is served under this path.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, what)
    }

    /// A bound was reached or something behind us is down: try again after `seconds`.
    pub fn busy(detail: impl Into<String>, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
            may_be_written: &self.unsure,
        };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        // For the layer that makes a page of it.
        response.extensions_mut().insert(self);
        response
    }
}
