//! Asks a running server whether transactions have ended: `GET /api/v1/transactions?flow=&id=`, one after the other
//! over one connection. Cleartext only: the server itself speaks nothing else; a proxy in front of it does not matter here.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use base64::Engine as _;

use crate::config::Config;
use crate::loops::{Ended, Fared};

/// Time to connect, and for one answer.
const WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read; more is no answer of ours.
const MOST: u64 = 4 << 20;
/// Bytes of one line of the head of an answer.
const LINE: u64 = 16 << 10;

/// A server's API.
pub(super) struct Lookup {
    /// `host:port`.
    host: String,
    /// Path before `/api`.
    base: String,
    /// Value of the `authorization` header.
    login: Option<String>,
    connection: Option<BufReader<TcpStream>>,
    /// Why nothing can be learned; empty while it can.
    fault: String,
}

impl Lookup {
    /// `url`: as the user gave it; else the address that the configuration listens on.
    pub(super) fn new(url: Option<&str>, config: &Config) -> Result<Self, String> {
        let own = format!("http://{}{}", config.listen, config.base_path());
        let url = url.unwrap_or(&own);
        let rest = url.strip_prefix("http://").ok_or("allowed: http://[USER:PASSWORD@]HOST:PORT[/PATH]")?;
        let (authority, base) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, authority),
        };
        if host.is_empty() || url.contains(char::is_whitespace) {
            return Err("allowed: http://[USER:PASSWORD@]HOST:PORT[/PATH]".into());
        }
        let base = base.trim_end_matches('/');
        let mut lookup = Self {
            host: if host.contains(':') { host.to_owned() } else { format!("{host}:80") },
            base: if base.is_empty() { String::new() } else { format!("/{base}") },
            login: login.map(|l| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(l))),
            connection: None,
            fault: String::new(),
        };
        if let Err(fault) = lookup.connect() {
            lookup.fault = fault;
        }
        Ok(lookup)
    }

    fn connect(&mut self) -> Result<(), String> {
        let address = self.host.to_socket_addrs().map_err(|e| e.to_string())?.next().ok_or("no address")?;
        let stream = TcpStream::connect_timeout(&address, WITHIN).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(WITHIN)).and_then(|()| stream.set_nodelay(true)).map_err(|e| e.to_string())?;
        self.connection = Some(BufReader::new(stream));
        Ok(())
    }

    /// Status and body of one request.
    fn get(&mut self, path: &str) -> Result<(u16, Vec<u8>), String> {
        if self.connection.is_none() {
            self.connect()?;
        }
        let login = self.login.as_ref().map_or(String::new(), |l| format!("authorization: {l}\r\n"));
        let request = format!(
            "GET {}{path} HTTP/1.1\r\nhost: {}\r\naccept: application/json\r\n{login}\r\n",
            self.base, self.host
        );
        let connection = self.connection.as_mut().ok_or("not connected")?;
        let answer = connection
            .get_mut()
            .write_all(request.as_bytes())
            .map_err(|e| e.to_string())
            .and_then(|()| answer(connection));
        if answer.as_ref().map_or(true, |(.., keep)| !keep) {
            self.connection = None;
        }
        answer.map(|(status, body, _)| (status, body))
    }

    fn ended(&mut self, flow: &str, id: &str) -> Result<Fared, String> {
        let path = format!("/api/v1/transactions?flow={}&id={}", encoded(flow), encoded(id));
        // A connection that stood idle may have been closed by the server: once more, on a new one.
        let (status, body) = self.get(&path).or_else(|_| self.get(&path))?;
        match status {
            200 => {
                let data: serde_json::Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
                let data = &data["data"];
                let state = data["state"].as_str().ok_or("its answer does not say the state")?;
                match state {
                    // It left without an end that we know of: that says nothing.
                    "open_ended" | "evicted" => Ok(Fared::Unheard),
                    "ended" if data["outcome"].as_str() == Some("ok") => Ok(Fared::EndedOk),
                    _ => Ok(Fared::NotOk),
                }
            }
            // It does not know the transaction: that says nothing.
            404 if unknown(&body) => Ok(Fared::Unheard),
            404 => Err("it has no /api/v1/transactions".into()),
            401 | 403 => Err(format!("it refuses ({status}): say --server http://USER:PASSWORD@{}", self.host)),
            status => Err(format!("it answers {status}")),
        }
    }
}

/// True where a server of ours says that it does not know the transaction; one without the route names its path.
fn unknown(body: &[u8]) -> bool {
    let body = String::from_utf8_lossy(body);
    body.contains("transaction") && !body.contains("/api/v1/transactions")
}

impl Ended for Lookup {
    fn ended_ok(&mut self, transactions: &[(String, String)]) -> Vec<Fared> {
        let mut answers = vec![Fared::Unasked; transactions.len()];
        for ((flow, id), answer) in transactions.iter().zip(&mut answers) {
            if !self.fault.is_empty() {
                break;
            }
            match self.ended(flow, id) {
                Ok(told) => *answer = told,
                Err(fault) => self.fault = fault,
            }
        }
        answers
    }

    fn source(&self) -> String {
        if self.fault.is_empty() {
            format!("whether transactions have ended ok is asked of the server at {}", self.host)
        } else {
            format!(
                "it is not known which transactions have ended ok: the server at {} cannot be asked: {}",
                self.host, self.fault
            )
        }
    }

    fn fault(&self) -> Option<String> {
        (!self.fault.is_empty()).then(|| self.source())
    }
}

/// Reads one answer: status, body, whether the connection may be used again.
fn answer(connection: &mut BufReader<TcpStream>) -> Result<(u16, Vec<u8>, bool), String> {
    let line = |connection: &mut BufReader<TcpStream>| -> Result<String, String> {
        let mut text = String::new();
        let read = connection.take(LINE).read_line(&mut text).map_err(|e| e.to_string())?;
        if read == 0 { Err("it closed the connection".into()) } else { Ok(text.trim_end().to_owned()) }
    };
    let first = line(connection)?;
    let status = first.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or("it does not speak HTTP")?;
    let (mut length, mut keep) = (None, true);
    loop {
        let header = line(connection)?;
        if header.is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<u64>().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            keep = !value.eq_ignore_ascii_case("close");
        }
    }
    let mut body = Vec::new();
    match length {
        Some(length) if length <= MOST => connection.take(length).read_to_end(&mut body).map(drop),
        Some(length) => return Err(format!("its answer has {length} bytes")),
        // Our server always says the length; what does not say it ends with the connection.
        None => {
            keep = false;
            connection.take(MOST).read_to_end(&mut body).map(drop)
        }
    }
    .map_err(|e| e.to_string())?;
    Ok((status, body, keep))
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::config::{Config, Flags};

    fn lookup(url: Option<&str>) -> Result<Lookup, String> {
        let config = Config::load(&Flags::default(), &|_| None).unwrap();
        Lookup::new(url, &config)
    }

    #[test]
    fn a_server_is_asked_and_its_answers_are_understood() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let bodies = [
            (200, r#"{"data":{"state":"ended","outcome":"ok"}}"#),
            (200, r#"{"data":{"state":"ended","outcome":"failed"}}"#),
            (200, r#"{"data":{"state":"in_flight","outcome":null}}"#),
            (404, r#"{"detail":"no transaction \"x\""}"#),
            (503, "{}"),
        ];
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut asked = Vec::new();
            for (status, body) in bodies {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    assert!(reader.read_line(&mut head).unwrap() > 0);
                }
                asked.push(head);
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
            asked
        });
        let mut lookup = lookup(Some(&format!("http://ann:pw@{address}/ops/"))).unwrap();
        let names: Vec<_> = ["a", "b", "c", "d/\u{e9}", "e", "f"].map(|id| ("shop".to_owned(), id.to_owned())).into();
        let answers = lookup.ended_ok(&names);
        use Fared::{EndedOk, NotOk, Unasked, Unheard};
        assert_eq!(answers, [EndedOk, NotOk, NotOk, Unheard, Unasked, Unasked]);
        let asked = server.join().unwrap();
        assert!(asked[0].starts_with("GET /ops/api/v1/transactions?flow=shop&id=a HTTP/1.1\r\n"), "{}", asked[0]);
        assert!(
            asked[3].contains("id=d%2F%C3%A9 ") && asked[3].contains("authorization: Basic YW5uOnB3"),
            "{}",
            asked[3]
        );
        assert!(lookup.source().contains("answers 503"), "{}", lookup.source());
    }

    #[test]
    fn a_server_without_the_route_is_no_server_without_the_transaction() {
        assert!(unknown(br#"{"detail":"no transaction \"x\""}"#));
        assert!(!unknown(br#"{"detail":"nothing is served under /api/v1/transactions"}"#));
        assert!(!unknown(b"<h1>Not Found</h1>"));
    }

    #[test]
    fn a_server_that_is_not_there_is_told_not_guessed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut gone = lookup(Some(&format!("http://{address}"))).unwrap();
        assert_eq!(gone.ended_ok(&[("f".into(), "t".into())]), [Fared::Unasked]);
        assert!(gone.source().contains("not known"), "{}", gone.source());
        for wrong in ["https://h", "http://", "h:80", "http://a b"] {
            assert!(lookup(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
