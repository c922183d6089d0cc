//! Texts of the configuration with a meaning of their own: durations, addresses, URLs.

use std::net::SocketAddr;
use std::time::Duration;

/// What a duration looks like, for messages.
pub const DURATION_FORM: &str = "a whole number with ms, s, m, h or d (\"500ms\", \"30s\", \"1h30m\")";

/// Reads `"15m"`, `"1h30m"`, `"500ms"`. A bare number is refused: its unit would be a guess.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut total, mut last) = (text.trim(), Duration::ZERO, u64::MAX);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let unit_len = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let millis: u64 = match &rest[digits..digits + unit_len] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        // Units descend: "1m1m" and "1s1h" are slips, not sums.
        if millis >= last {
            return None;
        }
        last = millis;
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = rest[digits + unit_len..].trim_start();
    }
    Some(total)
}

/// Writes a duration the way [`duration`] reads it; below a millisecond is cut off.
#[must_use]
pub fn show_duration(d: Duration) -> String {
    let mut millis = d.as_millis();
    let mut text = String::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if millis >= size {
            text.push_str(&format!("{}{unit}", millis / size));
            millis %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// What an address to listen on looks like, for messages.
pub const LISTEN_FORM: &str = "IP:PORT, [IPv6]:PORT or localhost:PORT; port 0 takes any free one";

/// Reads an address to listen on. Names are not looked up, but `localhost` is 127.0.0.1.
#[must_use]
pub fn listen(text: &str) -> Option<SocketAddr> {
    let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().ok()
}

/// What bootstrap servers look like, for messages.
pub const SERVERS_FORM: &str = "HOST:PORT, several separated by commas";

/// True for `host:port[,host:port...]`.
#[must_use]
pub fn is_servers(text: &str) -> bool {
    !text.is_empty() && text.split(',').all(|server| is_host_port(server.trim()))
}

fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    port.parse::<u16>().is_ok_and(|p| p > 0) && is_host(host)
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')),
    }
}

/// Checks `scheme://host[:port][/path]` with one of `schemes` and takes a final slash off.
/// Credentials, queries and fragments are refused.
#[must_use]
pub fn url(text: &str, schemes: &[&str]) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path_ok = path.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>' | '\\'));
    let port_ok = is_host_port(authority) || is_host(authority);
    (schemes.contains(&scheme) && port_ok && path_ok && !path.contains("//"))
        .then(|| text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("15m", 900_000),
            ("30s", 30_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("14d", 1_209_600_000),
            ("1h 5s", 3_605_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in
            ["", "15", "m", "1.5h", "-1s", "1w", "1s1h", "1m1m", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_and_urls() {
        assert_eq!(listen("localhost:0"), Some(([127, 0, 0, 1], 0).into()));
        assert!(listen("[::]:80").is_some());
        assert!(listen("8080").is_none() && listen("example.org:80").is_none());
        for good in ["127.0.0.1:9092", "a-1.b_c:1,[::1]:9092", "a:1, b:2"] {
            assert!(is_servers(good), "{good}");
        }
        for bad in [
            "",
            "kafka",
            "kafka:",
            "kafka:0",
            "kafka:99999",
            ":9092",
            "a:1,,b:2",
            "PLAINTEXT://a:9092",
            "a b:1",
            "::1:9092x",
        ] {
            assert!(!is_servers(bad), "{bad}");
        }
        assert_eq!(url("https://host/ops/", &["http", "https"]).as_deref(), Some("https://host/ops"));
        assert_eq!(url("http://[::1]:16686", &["http"]).as_deref(), Some("http://[::1]:16686"));
        for bad in [
            "host:4317",
            "ftp://host",
            "http://",
            "http://u:p@host",
            "http://host/?q",
            "http://host//x",
            "http://ho st",
        ] {
            assert_eq!(url(bad, &["http", "https"]), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_reads_back(ms in 0_u64..1 << 50) {
            let d = Duration::from_millis(ms);
            prop_assert_eq!(duration(&show_duration(d)), Some(d));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = (duration(&text), listen(&text), is_servers(&text), url(&text, &["http"]));
        }
    }
}
