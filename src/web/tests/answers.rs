//! What every answer is made of, whoever asks for what: pages or problems, their headers, their language and colours.

use std::io::Read as _;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tower::ServiceExt;

use super::{Answer, Fixture, send};
use crate::web::WebConfig;
use crate::web::page::asset_url;

async fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(&Fixture::new().router(WebConfig::default()), request.body(Body::empty()).unwrap()).await
}

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

#[tokio::test]
async fn a_problem_is_a_page_for_a_browser_and_json_for_all_others() {
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/flows/none", 404),
        ("GET", "/consumers/main/none", 404),
        ("GET", "/dlq/main/none", 404),
        ("GET", "/flows/%ff", 400),
        ("GET", "/transactions?flow=%ff&id=x", 400),
        ("GET", "/transactions?flow=a&flow=b&id=x", 400),
        ("DELETE", "/status", 405),
        ("POST", "/consumers", 405),
        ("GET", "/live/none", 404),
        ("GET", "/assets/none/app.css", 404),
    ] {
        let script = ask(method, path, &[]).await;
        assert_eq!(
            (script.status.as_u16(), script.header("content-type"), script.header("cache-control")),
            (status, "application/problem+json", "no-store"),
            "{method} {path}"
        );
        assert_eq!(script.json()["status"], status);
        let person = ask(method, path, &[BROWSER, ("accept-language", "ko")]).await;
        assert_eq!(
            (person.status.as_u16(), person.header("content-type"), person.header("cache-control")),
            (status, "text/html; charset=utf-8", "no-store"),
            "{method} {path}"
        );
        assert!(person.text.contains("<html lang=\"ko\"") && person.text.contains(&format!(">{status}<")), "{path}");
        assert_eq!(person.text.matches("<h1").count(), 1, "{path}");
        assert!(!person.text.contains("data-live=\"/"), "a page of a problem has no stream: {path}");
        assert_eq!(person.header("allow"), script.header("allow"), "{path}");
    }
    let api = ask("GET", "/api/v1/flows/none", &[BROWSER]).await;
    assert_eq!((api.status, api.header("content-type")), (StatusCode::NOT_FOUND, "application/problem+json"));
    let hostile = ask("GET", "/%3Cscript%3E", &[BROWSER]).await;
    assert!(hostile.status == StatusCode::NOT_FOUND && !hostile.text.contains("<script>"), "{}", hostile.text);
}

#[tokio::test]
async fn refusals_carry_the_guards_as_well() {
    for (method, path, headers, status) in [
        ("GET", "/flows/%ff", &[][..], 400),
        ("POST", "/transactions", &[("sec-fetch-site", "cross-site")][..], 403),
        ("POST", "/status", &[BROWSER][..], 405),
        ("POST", "/transactions", &[][..], 415),
        ("GET", "/api/v1/groups?limit=0", &[][..], 400),
    ] {
        let answer = ask(method, path, headers).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        let csp = answer.header("content-security-policy");
        assert!(csp.starts_with("default-src 'none'") && csp.contains("frame-ancestors 'none'"), "{path}: {csp}");
        assert_eq!((answer.header("x-content-type-options"), answer.header("cache-control")), ("nosniff", "no-store"));
    }
}

#[tokio::test]
async fn head_says_what_get_says_without_the_body() {
    let asset = asset_url("app.css");
    for path in ["/", "/status", "/consumers", "/api/v1/flows", "/metrics", "/livez", &asset, "/live/overview", "/none"]
    {
        let head = ask("HEAD", path, &[]).await;
        assert_eq!(head.text, "", "{path}");
        if path == "/live/overview" {
            assert_eq!((head.status, head.header("content-type")), (StatusCode::OK, "text/event-stream"));
            continue;
        }
        let get = ask("GET", path, &[]).await;
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-type", "cache-control", "etag", "vary", "content-security-policy"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn files_are_kept_for_ever_pages_never_and_the_api_by_its_tag() {
    let path = asset_url("app.js");
    let file = ask("GET", &path, &[]).await;
    assert_eq!((file.status, file.header("content-type")), (StatusCode::OK, "text/javascript; charset=utf-8"));
    assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
    let again = ask("GET", &path, &[("if-none-match", file.header("etag"))]).await;
    assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(ask("GET", &path, &[("if-none-match", "\"other\"")]).await.status, StatusCode::OK);
    for page in ["/", "/status", "/consumers", "/dlq", "/transactions"] {
        assert_eq!(ask("GET", page, &[]).await.header("cache-control"), "no-store", "{page}");
    }
    let api = ask("GET", "/api/v1/flows", &[]).await;
    assert_eq!(api.header("cache-control"), "no-cache");
    let tag = api.header("etag");
    assert!(tag.len() > 2);
    for held in [tag.to_owned(), format!("W/{tag}"), format!("\"a\", {tag}")] {
        assert_eq!(ask("GET", "/api/v1/flows", &[("if-none-match", &held)]).await.status, StatusCode::NOT_MODIFIED);
    }
}

#[tokio::test]
async fn what_is_worth_it_is_compressed_for_those_who_take_it() {
    let router = Fixture::new().router(WebConfig::default());
    let style = asset_url("app.css");
    for path in ["/", "/status", "/api/v1/flows", "/metrics", "/nothing", &style] {
        let plain = ask("GET", path, &[BROWSER]).await;
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        let request = Request::get(path).header("accept-encoding", "gzip").header(BROWSER.0, BROWSER.1);
        let (head, body) = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().into_parts();
        assert_eq!(head.headers["content-encoding"], "gzip", "{path}");
        let varies = head.headers.get_all("vary").iter().any(|v| v.to_str().unwrap().contains("accept-encoding"));
        assert!(varies, "{path}: a cache must know");
        let packed = to_bytes(body, 10 << 20).await.unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text.len(), plain.text.len(), "{path}");
        assert!(packed.len() < text.len(), "{path}");
    }
}

#[tokio::test]
async fn language_and_colours_come_from_the_address_then_a_cookie_then_the_browser() {
    let of = async |path: &str, headers: &[(&str, &str)]| {
        let page = ask("GET", path, headers).await;
        let text = |name: &str| page.text.split_once(name).unwrap().1.split('"').next().unwrap().to_owned();
        assert!(page.header("vary").contains("cookie, accept-language"), "{}", page.header("vary"));
        (text("<html lang=\""), text("data-theme=\""))
    };
    let pair = |lang: &str, theme: &str| (lang.to_owned(), theme.to_owned());
    let korean = ("accept-language", "fr, ko-KR;q=0.8, en;q=0.5");
    assert_eq!(of("/", &[]).await, pair("en", "auto"));
    assert_eq!(of("/", &[korean]).await, pair("ko", "auto"));
    assert_eq!(of("/", &[("accept-language", "ko;q=0.1, en")]).await, pair("en", "auto"));
    assert_eq!(of("/status", &[korean, ("cookie", "a=b; lang=en; theme=contrast")]).await, pair("en", "contrast"));
    let both = [korean, ("cookie", "lang=en; theme=light")];
    assert_eq!(of("/consumers?theme=dark&lang=ko", &both).await, pair("ko", "dark"));
    assert_eq!(of("/dlq?theme=%22evil&lang=xx", &[]).await, pair("en", "auto"), "what makes no sense is left out");
}
