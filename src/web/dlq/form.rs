//! Forms that we handed out: a token in the form and a cookie that only we can read belong together.
//!
//! Requests from other sites are refused before (layer `same_site`); this is the second lock, which also
//! holds where a browser says nothing about where a request comes from.

use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use crate::web::page::percent_decode;

/// Name of the cookie.
const COOKIE: &str = "form";
/// Hex digits of a session and of a token.
const DIGITS: usize = 64;

/// Makes and knows the tokens of one process: after a restart a form has to be opened again.
pub struct Forms {
    key: [u8; 32],
}

impl Default for Forms {
    fn default() -> Self {
        let mut key = [0; 32];
        // Not the time in them but 148 random bits make them secret.
        key[..16].copy_from_slice(uuid::Uuid::now_v7().as_bytes());
        key[16..].copy_from_slice(uuid::Uuid::now_v7().as_bytes());
        Self { key }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}

impl Forms {
    /// The token for a caller, and the cookie to set where it has none yet.
    #[must_use]
    pub fn token(&self, headers: &HeaderMap, who: &str) -> (String, Option<HeaderValue>) {
        if let Some(session) = session(headers) {
            return (self.sign(&session, who), None);
        }
        let mut fresh = Sha256::new_with_prefix(self.key);
        fresh.update(uuid::Uuid::now_v7().as_bytes());
        let session = hex(&fresh.finalize());
        let cookie = format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict");
        (self.sign(&session, who), HeaderValue::from_str(&cookie).ok())
    }

    /// True where the token was made for this caller.
    #[must_use]
    pub fn knows(&self, headers: &HeaderMap, who: &str, token: &str) -> bool {
        // Comparing digests of digests tells nothing about either by its time.
        let digest = |text: &str| Sha256::new_with_prefix(self.key).chain_update(text).finalize();
        session(headers).is_some_and(|session| digest(&self.sign(&session, who)) == digest(token))
    }

    /// Of fixed length first, so that no two pairs look alike.
    fn sign(&self, session: &str, who: &str) -> String {
        hex(&Sha256::new_with_prefix(self.key).chain_update(session).chain_update(who).finalize())
    }
}

fn session(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|v| v.to_str().ok());
    let mut pairs = cookies.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    (value.len() == DIGITS && value.bytes().all(|b| b.is_ascii_hexdigit())).then(|| value.to_owned())
}

/// The fields of a form or a query, decoded.
pub fn fields(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| percent_decode(&part.replace('+', " ")).unwrap_or_default();
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| (decode(n), decode(v))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_cookie(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn a_token_belongs_to_its_cookie_its_user_and_its_process() {
        let forms = Forms::default();
        let (token, cookie) = forms.token(&HeaderMap::new(), "ann");
        let cookie = cookie.unwrap().to_str().unwrap().to_owned();
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"));
        let ours = with_cookie(&format!("lang=ko; {}", cookie.split(';').next().unwrap()));
        assert!(forms.knows(&ours, "ann", &token));
        assert_eq!(forms.token(&ours, "ann"), (token.clone(), None), "one cookie serves all forms");
        assert!(!forms.knows(&ours, "bob", &token));
        assert!(!forms.knows(&ours, "ann", ""));
        assert!(!forms.knows(&HeaderMap::new(), "ann", &token));
        assert!(!forms.knows(&with_cookie(&format!("form={}", "a".repeat(64))), "ann", &token));
        assert!(!Forms::default().knows(&ours, "ann", &token));
    }

    #[test]
    fn fields_are_decoded_as_forms_encode_them() {
        let read = fields("a=1+2&b=%26%EA%B0%80&c&=x");
        let read: Vec<(&str, &str)> = read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(read, [("a", "1 2"), ("b", "&\u{ac00}"), ("c", ""), ("", "x")]);
    }
}
