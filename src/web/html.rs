//! Pages, their files and their live streams.

use std::sync::Arc;

use axum::extract::{Extension, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{Html, IntoResponse, Response};

use super::App;
use super::error::Problem;
use super::frame::Spec;
use super::handoff::Ticket;
use super::page::{self, Lens, View};
use super::sse::Encoding;
use super::viewer::Viewer;

/// Longest `Last-Event-ID` that can be ours.
const LAST_ID_BYTES: usize = 100;

/// `/`
pub async fn overview(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    render(&app, &View::Overview, query.as_deref().unwrap_or(""), &headers)
}

/// `/flows/{flow}`
pub async fn flow(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    render(&app, &View::Flow(name), query.as_deref().unwrap_or(""), &headers)
}

/// `/status`
pub async fn status(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    render(&app, &View::Status(Lens::default()), query.as_deref().unwrap_or(""), &headers)
}

/// `/consumers`
pub async fn consumers(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    render(&app, &View::Consumers(Lens::default()), query.as_deref().unwrap_or(""), &headers)
}

/// `/consumers/{cluster}/{group}`
pub async fn group(
    State(app): State<Arc<App>>,
    Path((cluster, group)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    render(&app, &View::Group(cluster, group, Lens::default()), query.as_deref().unwrap_or(""), &headers)
}

/// `/dlq`
pub async fn dlq(State(app): State<Arc<App>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    render(&app, &View::Dlq(Lens::default()), query.as_deref().unwrap_or(""), &headers)
}

/// `/dlq/{cluster}/{stream}`
pub async fn dlq_stream(
    State(app): State<Arc<App>>,
    Path((cluster, stream)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    render(&app, &View::DlqStream(cluster, stream), query.as_deref().unwrap_or(""), &headers)
}

pub(super) fn render(app: &App, view: &View, query: &str, headers: &HeaderMap) -> Response {
    let view = &view.clone().asked(query);
    let viewer = Viewer::of(query, headers);
    let (snapshot, status) = (app.context.snapshot.borrow().clone(), app.context.status.borrow().clone());
    let context = viewer.context(&snapshot, &status, &app.base);
    match page::page(view, &context) {
        Some(html) => vary(Html(html).into_response()),
        None => Problem::not_found(format!("there is no {view}")).into_response(),
    }
}

/// A cookie or the browser's language decides where the URL is silent.
pub(super) fn vary(mut response: Response) -> Response {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("cookie, accept-language"));
    response
}

/// Nothing is served here.
pub async fn not_found(request: Request) -> Response {
    Problem::not_found(format!("nothing is served under {}", request.uri().path())).into_response()
}

/// The page that says what a problem says.
pub(super) fn problem_page(app: &App, problem: &Problem, query: &str, headers: &HeaderMap) -> String {
    let viewer = Viewer::of(query, headers);
    let (snapshot, status) = (app.context.snapshot.borrow().clone(), app.context.status.borrow().clone());
    let title = problem.status.canonical_reason().unwrap_or("Error");
    page::error_page(problem.status.as_u16(), title, &problem.detail, &viewer.context(&snapshot, &status, &app.base))
}

/// The route exists, but not for this method.
pub async fn method_not_allowed(request: Request) -> Response {
    let detail = format!("{} is not allowed here; see the header Allow", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}

/// `/assets/{hash}/{name}`: embedded, found by exact name, kept by browsers for ever. What is found under a hash is
/// what was found there before: who asks again has it.
pub async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = page::asset(&path) else { return Problem::not_found("no such file").into_response() };
    let tag = format!("\"{}\"", path.split('/').next().unwrap_or_default());
    let held = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(&tag));
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::ETAG, tag.as_str()),
    ];
    if held { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, asset.bytes).into_response() }
}

/// `/live/{view}`: the frames of a view. `Last-Event-ID` comes as a header, or as `last_event_id` from a
/// client that made its stream anew.
pub async fn live(
    State(app): State<Arc<App>>,
    ticket: Option<Extension<Arc<Ticket>>>,
    request: Request,
) -> Result<Response, Problem> {
    let (uri, headers) = (request.uri(), request.headers());
    let segment = uri.path().strip_prefix("/live/").unwrap_or("");
    let unknown = || {
        Problem::not_found(
            "no such view; live views are overview, flow/{flow}, consumers, consumers/{cluster}/{group}, dlq, dlq/{cluster}/{stream}, status",
        )
    };
    let query = uri.query().unwrap_or("");
    let view = View::parse(segment).ok_or_else(unknown)?.asked(query);
    let again = query.split('&').find_map(|pair| pair.strip_prefix("last_event_id="));
    let last_id = headers.get("last-event-id").and_then(|v| v.to_str().ok()).or(again);
    let encoding = Encoding::accepted(headers);
    let viewer = Viewer::of(query, headers);
    let spec = Spec { view, viewer };
    let subscriber = app.hub.subscribe(spec, encoding, last_id.filter(|id| id.len() <= LAST_ID_BYTES))?;
    // Only the framing that the fan-out speaks leaves hyper: chunks of HTTP/1.1.
    let leaves = request.version() == Version::HTTP_11 && request.method() == Method::GET;
    let body = match ticket {
        Some(Extension(ticket)) if leaves => ticket.depart(subscriber),
        _ if request.method() == Method::HEAD => axum::body::Body::empty(),
        _ => app.hub.body(subscriber),
    };
    let mut response = Response::new(body);
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // nginx would hold frames back until its buffer is full.
    out.insert("x-accel-buffering", HeaderValue::from_static("no"));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding, cookie, accept-language"));
    if encoding == Encoding::Gzip {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
