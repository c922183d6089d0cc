//! What holds for every answer: headers, caps, the guards against other sites, ids, timeouts, panics.

use std::any::Any;
use std::net::Ipv6Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use tracing::Span;

use super::App;
use super::error::Problem;
use super::html::problem_page;
use crate::telemetry::propagate::adopt;

/// No inline script or style, nothing from elsewhere, nobody frames us.
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// An answer that is not there by then is a 503, a body a 408. Streams are not counted: their head is out at once.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer ids of requests are replaced by our own.
const REQUEST_ID_BYTES: usize = 64;
/// Longest refusal of the framework's that is passed on.
const REFUSAL_BYTES: usize = 4 << 10;
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Headers of every answer.
pub async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Times every answer, by the template of its route.
pub async fn measure(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = std::time::Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |m| m.as_str().to_owned());
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        _ => "_OTHER",
    };
    let response = next.run(request).await;
    app.context.metrics.http(began.elapsed().as_secs_f64(), method, &route, response.status().as_u16());
    response
}

/// Drops ids of requests that could not stand in a log line; a layer below makes one where there is none.
pub async fn sane_request_id(mut request: Request, next: Next) -> Response {
    let sane = |v: &HeaderValue| {
        let bytes = v.as_bytes();
        bytes.len() <= REQUEST_ID_BYTES && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    };
    if request.headers().get(&REQUEST_ID).is_some_and(|v| !sane(v)) {
        request.headers_mut().remove(&REQUEST_ID);
    }
    next.run(request).await
}

/// Refuses what another web site makes a browser send: a name that was rebound to loopback, a cross-site POST.
pub async fn same_site(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match check_site(&app, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check_site(app: &App, request: &Request) -> Result<(), Problem> {
    let text = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
    let host = text("host").or_else(|| request.uri().authority().map(Authority::as_str));
    // Without a Host no browser speaks: HTTP/1.0, in-process callers.
    if let Some(host) = host
        && app.config.loopback
        && !is_local(host)
        && !app.config.public_host().is_some_and(|ours| ours.eq_ignore_ascii_case(host))
    {
        let detail = format!("{host:?} is not a name of this server; set public_url to serve it under this name");
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let foreign = match text("sec-fetch-site") {
        Some(site) => !matches!(site, "same-origin" | "none"),
        // Older browsers say only the origin; what says neither is no browser.
        None => text("origin").is_some_and(|origin| origin.split_once("://").map(|(_, o)| o) != host),
    };
    if foreign {
        return Err(Problem::new(StatusCode::FORBIDDEN, "requests that change something must come from our own pages"));
    }
    Ok(())
}

/// `localhost`, `127.0.0.0/8`, `[::1]`, each with or without port.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::Ipv4Addr>().is_ok_and(|a| a.is_loopback())
        || address.parse::<Ipv6Addr>().is_ok_and(|a| a.is_loopback())
}

/// Ends requests that take too long: 408 while their body is still on its way, else 503.
pub async fn timeout(request: Request, next: Next) -> Response {
    within(REQUEST_TIMEOUT, request, next).await
}

async fn within(limit: Duration, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let arrived = Arc::new(AtomicBool::new(body.is_end_stream()));
    let body = Body::new(Arriving { body, arrived: Arc::clone(&arrived) });
    let answer = tokio::time::timeout(limit, next.run(Request::from_parts(head, body))).await;
    let late = |_| {
        let problem = if arrived.load(Ordering::Relaxed) {
            Problem::busy(format!("no answer within {limit:?}"), 5)
        } else {
            Problem::new(StatusCode::REQUEST_TIMEOUT, format!("the body was not there within {limit:?}"))
        };
        problem.into_response()
    };
    answer.unwrap_or_else(late)
}

/// A body of a request that says when all of it has arrived.
struct Arriving {
    body: Body,
    arrived: Arc<AtomicBool>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        // An error ends it as well: what is late then is not the caller.
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.arrived.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What the framework refuses in words of its own (a path that is not UTF-8, say) is problem+json like all else.
pub async fn own_words(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let plain = response.headers().get(header::CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"text/plain"));
    if !status.is_client_error() || !plain {
        return response;
    }
    let words = to_bytes(response.into_body(), REFUSAL_BYTES).await.unwrap_or_default();
    Problem::new(status, String::from_utf8_lossy(&words)).into_response()
}

/// A problem is a page for those who read pages; scripts, and whoever asks for the API, get it as it is.
pub async fn in_a_page(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let accepted = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    if !accepted.contains("text/html") || request.uri().path().starts_with("/api/") {
        return next.run(request).await;
    }
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let page = problem_page(&app, &problem, uri.query().unwrap_or(""), &headers);
    let (mut head, _) = response.into_parts();
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.append(header::VARY, HeaderValue::from_static("accept"));
    super::html::vary(Response::from_parts(head, Body::from(page)))
}

/// A panic in a handler is our defect: the caller gets a 500, the log the words.
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = words.unwrap_or("?"), "a request handler panicked");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a defect of ours; the log has the details").into_response()
}

/// The span of a request: the route's template, never the path, so that its names are few.
pub fn span(request: &Request) -> Span {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    let id = request.headers().get(&REQUEST_ID).and_then(|v| v.to_str().ok()).unwrap_or("");
    let method = request.method();
    let name = format!("{method} {route}");
    let span = tracing::info_span!("request", otel.name = name, otel.kind = "server", http.request.method = %method, http.route = route, id);
    adopt(&span, request.headers());
    span
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_body_that_does_not_come_is_a_408_and_a_late_answer_a_503() {
        let short = |request, next| within(Duration::from_millis(20), request, next);
        let slow = |body: String| async move { if body.is_empty() { "read" } else { std::future::pending().await } };
        let router = Router::new().route("/", post(slow)).layer(from_fn(short));
        let status = async |body| {
            let request = Request::post("/").body(body).unwrap();
            router.clone().oneshot(request).await.unwrap().status()
        };
        assert_eq!(status(Body::empty()).await, StatusCode::OK);
        assert_eq!(status(Body::from("all of it")).await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(Body::new(Never)).await, StatusCode::REQUEST_TIMEOUT);
    }

    /// A body of which nothing ever comes.
    struct Never;

    impl HttpBody for Never {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            Poll::Pending
        }
    }

    #[test]
    fn only_loopback_names_are_local() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:8080", "[::1]"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", "127.0.0.1.evil.example", "", "a b"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
