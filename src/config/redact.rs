//! What must never be printed: passwords, tokens, and whatever came from the environment or a file.

use std::fmt;

/// Stands where a secret would.
pub const HIDDEN: &str = "***";

/// Parts of a key that say "this is a secret". Too many hidden values cost little; one shown secret costs much.
const SECRET_WORDS: [&str; 13] = [
    "password",
    "passwd",
    "pasword",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "jaas",
    "private",
    "apikey",
    "api_key",
    "key.pem",
];

/// True for keys whose values are secrets by their name.
#[must_use]
pub fn looks_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Takes `user:password@` out of a URL.
#[must_use]
pub fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.find('/').unwrap_or(rest.len());
    match rest[..authority].rfind('@') {
        Some(at) => format!("{scheme}://{HIDDEN}{}", &rest[at..]),
        None => text.to_owned(),
    }
}

/// Client properties, passed on as they are. `Debug` and [`Properties::shown`] hide secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<Property>);

#[derive(Clone, PartialEq, Eq)]
struct Property {
    key: String,
    value: String,
    hidden: bool,
}

impl Properties {
    /// Adds one. `foreign` values are hidden whatever their key.
    pub fn push(&mut self, key: String, value: String, foreign: bool) {
        let hidden = foreign || looks_secret(&key);
        self.0.push(Property { key, value, hidden });
    }

    /// Keys and real values, secrets included: for the client only, never for a log.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|p| (p.key.as_str(), p.value.as_str()))
    }

    /// Words of a client about these properties, without any of their values: it repeats what it refuses, and a
    /// misspelt `sasl.password` does not look like one.
    #[must_use]
    pub fn redact(&self, words: &str) -> String {
        let whole =
            |word: &str| self.0.iter().any(|p| !p.value.is_empty() && p.value == word.trim_matches(['"', ',', ';']));
        let hidden = words.split(' ').map(|word| if whole(word) { HIDDEN } else { word });
        let text = hidden.collect::<Vec<_>>().join(" ");
        // Inside of words only long values: hiding every "1" would hide the message.
        self.0.iter().filter(|p| p.value.len() >= 4).fold(text, |text, p| text.replace(&p.value, HIDDEN))
    }

    /// Keys and values for people.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|p| (p.key.as_str(), if p.hidden { HIDDEN } else { p.value.as_str() }))
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_from_debug_and_reach_the_client() {
        let mut p = Properties::default();
        p.push("security.protocol".into(), "SASL_SSL".into(), false);
        p.push("sasl.password".into(), "hunter2".into(), false);
        p.push("sasl.username".into(), "from-env".into(), true);
        let shown = format!("{p:?}");
        assert_eq!(shown, r#"{"security.protocol": "SASL_SSL", "sasl.password": "***", "sasl.username": "***"}"#);
        assert_eq!(p.iter().nth(1), Some(("sasl.password", "hunter2")));
    }

    #[test]
    fn what_a_client_repeats_is_hidden() {
        let mut p = Properties::default();
        p.push("sasl.pasword".into(), "hunter two".into(), false);
        p.push("retries".into(), "1".into(), false);
        let said = p.redact("no such property: \"sasl.pasword\" sasl.pasword hunter two; retries 1 in 1st place");
        assert_eq!(said, "no such property: \"sasl.pasword\" sasl.pasword ***; retries *** in 1st place");
    }

    #[test]
    fn what_looks_secret() {
        for key in [
            "sasl.password",
            "ssl.key.password",
            "sasl.oauthbearer.client.secret",
            "ssl.key.pem",
            "API_KEY",
            "cluster[0].properties.\"sasl.jaas.config\"",
        ] {
            assert!(looks_secret(key), "{key}");
        }
        for key in ["sasl.mechanism", "ssl.ca.location", "publish.key", "stream[0].name"] {
            assert!(!looks_secret(key), "{key}");
        }
        assert_eq!(without_credentials("\"http://u:p@host/x@y\""), "\"http://***@host/x@y\"");
        assert_eq!(without_credentials("http://host/x@y"), "http://host/x@y");
    }
}
