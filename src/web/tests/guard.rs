//! Headers, names, other sites, users, unknown paths.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;

use super::{Answer, Fixture, send};
use crate::web::{Auth, WebConfig};

async fn ask(config: &WebConfig, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(&Fixture::new().router(config.clone()), request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn every_answer_carries_the_guards() {
    for path in ["/", "/status", "/api/v1/flows", "/nothing", "/metrics", "/flows/none"] {
        let answer = ask(&WebConfig::default(), "GET", path, &[]).await;
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
    let page = ask(&WebConfig::default(), "GET", "/", &[("x-request-id", "mine-1")]).await;
    assert_eq!((page.header("cache-control"), page.header("x-request-id")), ("no-store", "mine-1"));
    let forged = ask(&WebConfig::default(), "GET", "/", &[("x-request-id", "a b")]).await;
    assert_ne!(forged.header("x-request-id"), "a b");
}

#[tokio::test]
async fn unknown_paths_and_methods() {
    let config = WebConfig::default();
    let path = ask(&config, "GET", "/nothing", &[]).await;
    assert_eq!((path.status, path.header("content-type")), (StatusCode::NOT_FOUND, "application/problem+json"));
    let browser = ask(&config, "GET", "/nothing", &[("accept", "text/html")]).await;
    assert_eq!((browser.status, browser.header("content-type")), (StatusCode::NOT_FOUND, "text/html; charset=utf-8"));
    assert_eq!(ask(&config, "GET", "/flows/none", &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask(&config, "GET", "/flows/a%2Fb%20c", &[]).await.status, StatusCode::OK);
    let method = ask(&config, "DELETE", "/status", &[]).await;
    assert_eq!((method.status, method.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET,HEAD"));
    assert_eq!(method.json()["status"], 405);
    assert_eq!(ask(&config, "GET", "/assets/../Cargo.toml", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn on_loopback_only_our_own_names_are_answered() {
    let config =
        WebConfig { loopback: true, public_url: "https://ops.example/gauge".to_owned(), ..WebConfig::default() };
    let status = |host: &'static str| {
        let config = config.clone();
        async move { ask(&config, "GET", "/livez", &[("host", host)]).await.status }
    };
    for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "ops.example"] {
        assert_eq!(status(host).await, StatusCode::OK, "{host}");
    }
    for host in ["evil.example", "ops.example:81", "10.0.0.1"] {
        assert_eq!(status(host).await, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    // The prefix of the public URL works with and without a proxy that strips it.
    assert_eq!(ask(&config, "GET", "/gauge/livez", &[]).await.status, StatusCode::OK);
    assert_eq!(ask(&config, "GET", "/gauge?range=60", &[]).await.status, StatusCode::OK);
    assert_eq!(ask(&config, "GET", "/gaugex/livez", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_the_framework_refuses_is_a_problem_like_all_else() {
    for path in ["/flows/%ff", "/consumers/%ff/x", "/api/v1/flows/%ff"] {
        let answer = ask(&WebConfig::default(), "GET", path, &[]).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (StatusCode::BAD_REQUEST, "application/problem+json"),
            "{path}"
        );
        assert!(answer.json()["detail"].as_str().is_some_and(|d| d.contains("UTF-8")), "{}", answer.text);
    }
}

#[tokio::test]
async fn other_sites_cannot_post() {
    let config = WebConfig::default();
    let status = |headers: &'static [(&'static str, &'static str)]| {
        let config = config.clone();
        async move { ask(&config, "POST", "/transactions", headers).await.status }
    };
    assert_eq!(status(&[("sec-fetch-site", "cross-site")]).await, StatusCode::FORBIDDEN);
    assert_eq!(status(&[("sec-fetch-site", "same-site")]).await, StatusCode::FORBIDDEN);
    assert_eq!(status(&[("origin", "https://evil.example"), ("host", "localhost")]).await, StatusCode::FORBIDDEN);
    // These go on to the handler, which misses a content type.
    let through = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    assert_eq!(status(&[("sec-fetch-site", "same-origin")]).await, through);
    assert_eq!(status(&[("origin", "http://localhost"), ("host", "localhost")]).await, through);
    assert_eq!(status(&[]).await, through);
}

#[tokio::test]
async fn each_role_may_do_its_part() {
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash = cheap.hash_password_with_salt(b"pw", b"saltsaltsalt").unwrap().to_string();
    let users = ["read", "act", "admin"].map(|role| format!("{role}:{hash}:{role}\n")).concat();
    let config = WebConfig { auth: Some(Arc::new(Auth::parse(&users).unwrap())), ..WebConfig::default() };
    let status = |user: &'static str, method: &'static str, path: &'static str| {
        let config = config.clone();
        async move {
            let basic = format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("{user}:pw")));
            let headers: &[(&str, &str)] = if user.is_empty() { &[] } else { &[("authorization", &basic)] };
            ask(&config, method, path, headers).await
        }
    };
    let (no, forbidden) = (StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN);
    let anonymous = status("", "GET", "/").await;
    assert_eq!(
        (anonymous.status, anonymous.header("www-authenticate")),
        (no, "Basic realm=\"streamgauge\", charset=\"UTF-8\"")
    );
    for path in ["/", "/metrics", "/live/overview", "/nothing", "/api/v1/flows", "/assets/x"] {
        assert_eq!(status("", "GET", path).await.status, no, "{path}");
        assert_eq!(status("eve", "GET", path).await.status, no, "{path}");
    }
    assert_eq!(status("", "GET", "/livez").await.status, StatusCode::OK);
    assert_eq!(status("", "GET", "/readyz").await.status, StatusCode::OK);
    assert_eq!(status("read", "GET", "/metrics").await.status, StatusCode::OK);
    assert_eq!(status("read", "POST", "/transactions").await.status, forbidden);
    assert_eq!(status("act", "POST", "/transactions").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(status("act", "DELETE", "/anything").await.status, forbidden);
    assert_eq!(status("admin", "DELETE", "/anything").await.status, StatusCode::NOT_FOUND);
}
