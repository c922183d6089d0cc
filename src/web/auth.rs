//! Who may ask for what: users from a file, HTTP basic, three roles, denied unless allowed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordVerifier};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::App;
use super::error::Problem;
use super::frame::lock;

/// Credentials found good are believed for so long without hashing again.
const VERIFIED_FOR: Duration = Duration::from_secs(60);
/// How many of them; more: all are forgotten and hashed again.
const VERIFIED: usize = 1_024;
/// Argon2 takes tens of milliseconds and megabytes: so many at once, the others wait.
const HASHING: usize = 2;
/// A caller that waits longer for its turn gets a 503.
const HASHING_WAIT: Duration = Duration::from_secs(5);
/// Longer credentials are refused unread.
const CREDENTIAL_BYTES: usize = 1_024;
/// A hash that nothing matches: an unknown name costs as much time as a known one.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c3RyZWFtZ2F1Z2Utbm9ib2R5$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What a user may do; each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Read,
    /// Also post events.
    Act,
    /// Also change what the process does.
    Admin,
}

/// The name of the caller, in a request's extensions.
#[derive(Clone, Debug)]
pub struct Caller(pub Arc<str>);

/// Why a users file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// It cannot be read.
    #[error("users_file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A line of it is wrong.
    #[error("users_file line {line}: {detail}; expected name:argon2hash:role with role = read | act | admin")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// Nobody could log in.
    #[error("users_file names no user")]
    Empty,
}

#[derive(Debug)]
struct User {
    name: Arc<str>,
    hash: String,
    role: Role,
}

/// The users and who of them was verified a moment ago.
#[derive(Debug)]
pub struct Auth {
    users: Arc<HashMap<String, User>>,
    /// By keyed hash of the credentials: neither a password nor its plain hash stays in memory.
    verified: Mutex<HashMap<[u8; 32], (String, Instant)>>,
    key: [u8; 32],
    hashing: Arc<Semaphore>,
}

impl Auth {
    /// From `users_file`.
    ///
    /// # Errors
    /// [`AuthError`]: exit code 2.
    pub fn from_file(path: &Path) -> Result<Self, AuthError> {
        let text = std::fs::read_to_string(path).map_err(|source| AuthError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// From the text of one: a user per line, `#` begins a comment line.
    ///
    /// # Errors
    /// [`AuthError`] with the line.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        let mut users = HashMap::new();
        for (line, entry) in text.lines().enumerate().map(|(n, l)| (n + 1, l.trim())) {
            if entry.is_empty() || entry.starts_with('#') {
                continue;
            }
            let wrong = |detail: String| AuthError::Line { line, detail };
            let mut fields = entry.split(':');
            let (Some(name), Some(hash), Some(role), None) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                return Err(wrong("not three fields".to_owned()));
            };
            let role = match role {
                "read" => Role::Read,
                "act" => Role::Act,
                "admin" => Role::Admin,
                other => return Err(wrong(format!("unknown role {other:?}"))),
            };
            let parsed = PasswordHash::new(hash).map_err(|e| wrong(format!("not an argon2 hash: {e}")))?;
            if !parsed.algorithm.as_str().starts_with("argon2") {
                return Err(wrong(format!("not an argon2 hash but {}", parsed.algorithm)));
            }
            let user = User { name: name.into(), hash: hash.to_owned(), role };
            if name.is_empty() || users.insert(name.to_owned(), user).is_some() {
                return Err(wrong(format!("the name {name:?} is empty or there twice")));
            }
        }
        if users.is_empty() {
            return Err(AuthError::Empty);
        }
        let mut key = [0; 32];
        key[..16].copy_from_slice(uuid::Uuid::now_v7().as_bytes());
        key[16..].copy_from_slice(uuid::Uuid::now_v7().as_bytes());
        let hashing = Arc::new(Semaphore::new(HASHING));
        Ok(Self { users: Arc::new(users), verified: Mutex::default(), key, hashing })
    }

    /// Name and role behind an `Authorization` header; `None`: no valid credentials.
    ///
    /// # Errors
    /// 503 where too many passwords wait to be hashed.
    pub async fn identify(&self, authorization: Option<&HeaderValue>) -> Result<Option<(Caller, Role)>, Problem> {
        let Some((name, password)) = authorization.and_then(basic) else { return Ok(None) };
        let mut digest = Sha256::new_with_prefix(self.key);
        digest.update(name.as_bytes());
        digest.update(b":");
        digest.update(password.as_bytes());
        let print: [u8; 32] = digest.finalize().into();
        let now = Instant::now();
        // Comparing keyed hashes in a map tells a caller nothing about credentials that it does not have.
        let known = lock(&self.verified).get(&print).is_some_and(|(_, at)| now.duration_since(*at) < VERIFIED_FOR);
        if !known {
            if !self.hashes_match(&name, password).await? {
                return Ok(None);
            }
            let mut verified = lock(&self.verified);
            if verified.len() >= VERIFIED {
                verified.clear();
            }
            verified.insert(print, (name.clone(), now));
        }
        Ok(self.users.get(&name).map(|user| (Caller(Arc::clone(&user.name)), user.role)))
    }

    async fn hashes_match(&self, name: &str, password: String) -> Result<bool, Problem> {
        let turn = tokio::time::timeout(HASHING_WAIT, Arc::clone(&self.hashing).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Problem::busy("too many passwords are being checked", 5)) };
        let (users, name) = (Arc::clone(&self.users), name.to_owned());
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let user = users.get(&name);
            let hash = PasswordHash::new(user.map_or(NOBODY, |u| u.hash.as_str()));
            let matches = hash.is_ok_and(|h| Argon2::default().verify_password(password.as_bytes(), &h).is_ok());
            matches && user.is_some()
        });
        Ok(checked.await.unwrap_or(false))
    }
}

/// Name and password of HTTP basic credentials.
fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > CREDENTIAL_BYTES {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}

/// The role that a request needs; `None`: anybody's. What nobody thought of needs an admin.
fn needed(method: &Method, path: &str) -> Option<Role> {
    match (method, path) {
        (&Method::GET | &Method::HEAD, "/livez" | "/readyz") => None,
        // What was looked at and moved is for those who may do so.
        (&Method::GET | &Method::HEAD, "/dlq/audit" | "/api/v1/audit") => Some(Role::Act),
        (&Method::GET | &Method::HEAD | &Method::OPTIONS, _) => Some(Role::Read),
        (&Method::POST, "/transactions" | "/peek") => Some(Role::Act),
        (&Method::POST, path) if path.starts_with("/dlq/") && path.ends_with("/redrive") => Some(Role::Act),
        _ => Some(Role::Admin),
    }
}

/// Lets a request through, or says 401 or 403.
pub async fn guard(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let Some(auth) = &app.config.auth else { return next.run(request).await };
    let Some(needed) = needed(request.method(), request.uri().path()) else { return next.run(request).await };
    let identified = auth.identify(request.headers().get(header::AUTHORIZATION)).await;
    match identified {
        Err(problem) => problem.into_response(),
        Ok(Some((caller, role))) if role >= needed => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Ok(Some((Caller(name), role))) => {
            let detail = format!("{name} has the role {role:?}, this needs {needed:?}").to_lowercase();
            Problem::new(StatusCode::FORBIDDEN, detail).into_response()
        }
        Ok(None) => {
            let mut response = Problem::new(StatusCode::UNAUTHORIZED, "name and password, please").into_response();
            let challenge = HeaderValue::from_static("Basic realm=\"streamgauge\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
    }
}

/// Listening beyond loopback without authentication.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is reachable from other machines and [auth] is not set: set auth.users_file, listen on 127.0.0.1, or say --insecure-no-auth"
)]
pub struct ListenError(pub SocketAddr);

/// Whether it is acceptable to listen on `addr`.
///
/// # Errors
/// Where anybody on the network could read and post.
pub const fn check_listen(addr: SocketAddr, auth: bool, insecure: bool) -> Result<(), ListenError> {
    if addr.ip().is_loopback() || auth || insecure { Ok(()) } else { Err(ListenError(addr)) }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordHasher;

    use super::*;

    /// Cheap parameters: the test is about us, not about argon2.
    fn hashed(password: &str) -> String {
        let params = argon2::Params::new(8, 1, 1, None).unwrap();
        let argon = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        argon.hash_password_with_salt(password.as_bytes(), b"saltsaltsalt").unwrap().to_string()
    }

    fn header(text: &str) -> HeaderValue {
        HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(text))).unwrap()
    }

    #[tokio::test]
    async fn right_credentials_and_no_others() {
        let auth = Auth::parse(&format!("# ours\nann:{}:act\n\nbob:{}:read\n", hashed("p:w"), hashed("x"))).unwrap();
        for _ in 0..2 {
            let (caller, role) = auth.identify(Some(&header("ann:p:w"))).await.unwrap().unwrap();
            assert_eq!((&*caller.0, role), ("ann", Role::Act));
        }
        assert_eq!(lock(&auth.verified).len(), 1);
        for wrong in ["ann:x", "bob:p:w", "eve:x", "ann", ""] {
            assert!(auth.identify(Some(&header(wrong))).await.unwrap().is_none(), "{wrong}");
        }
        assert!(auth.identify(None).await.unwrap().is_none());
    }

    #[test]
    fn nobody_costs_what_somebody_costs() {
        let hash = PasswordHash::new(NOBODY).unwrap();
        assert!(Argon2::default().verify_password(b"", &hash).is_err());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let line = |text: &str| match Auth::parse(text) {
            Err(AuthError::Line { line, .. }) => line,
            other => panic!("{other:?}"),
        };
        assert_eq!(line("\nann:plain:read"), 2);
        assert_eq!(line(&format!("ann:{}:boss", hashed("x"))), 1);
        assert_eq!(line(&format!("a:{0}:read\na:{0}:read", hashed("x"))), 2);
        assert!(matches!(Auth::parse("# none"), Err(AuthError::Empty)));
    }

    #[test]
    fn what_changes_something_needs_more_than_reading() {
        assert_eq!(needed(&Method::GET, "/livez"), None);
        assert_eq!(needed(&Method::GET, "/metrics"), Some(Role::Read));
        assert_eq!(needed(&Method::POST, "/transactions"), Some(Role::Act));
        assert_eq!(["/dlq/audit", "/api/v1/audit"].map(|path| needed(&Method::GET, path)), [Some(Role::Act); 2]);
        for (method, path) in [(Method::POST, "/"), (Method::DELETE, "/transactions"), (Method::POST, "/livez")] {
            assert_eq!(needed(&method, path), Some(Role::Admin));
        }
    }

    #[test]
    fn beyond_loopback_only_with_auth_or_on_purpose() {
        let (here, anywhere) = ("127.0.0.1:0".parse().unwrap(), "0.0.0.0:0".parse().unwrap());
        assert!(check_listen(here, false, false).is_ok());
        assert!(check_listen(anywhere, true, false).is_ok());
        assert!(check_listen(anywhere, false, true).is_ok());
        assert_eq!(check_listen(anywhere, false, false), Err(ListenError(anywhere)));
    }
}
