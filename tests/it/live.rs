//! Promise 2: an event is on every open dashboard with the next tick; streams end when the server does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::support::process::{PATIENCE, Server, until};

/// A live stream without compression, read line by line.
struct Stream {
    lines: BufReader<TcpStream>,
}

impl Stream {
    fn open(address: &str, path: &str, last: Option<&str>) -> Self {
        let mut socket = TcpStream::connect(address).expect("connected");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let resume = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n{resume}\r\n")
            .expect("asked");
        Self { lines: BufReader::new(socket) }
    }

    /// The next event: name, id, data. `None` at the end of the stream. Chunk sizes are lines of their own here.
    fn next(&mut self) -> Option<(String, String, String)> {
        let (mut name, mut id, mut data) = (String::new(), String::new(), String::new());
        let began = Instant::now();
        loop {
            // Comments keep a stream open that says nothing: without this a server gone silent would be waited for.
            assert!(began.elapsed() < PATIENCE, "a stream without an event");
            let mut line = String::new();
            if self.lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end_matches(['\r', '\n']);
            if let Some(v) = line.strip_prefix("event:") {
                name = v.trim().to_owned();
            } else if let Some(v) = line.strip_prefix("id:") {
                id = v.trim().to_owned();
            } else if let Some(v) = line.strip_prefix("data:") {
                data += v.trim_start();
                data.push('\n');
            } else if line.is_empty() && !name.is_empty() {
                return Some((name, id, data));
            }
        }
    }

    fn until(&mut self, what: &str, mut check: impl FnMut(&str, &str, &str) -> bool) -> String {
        for _ in 0..2_000 {
            let (name, id, data) = self.next().unwrap_or_else(|| panic!("the stream ended before: {what}"));
            if check(&name, &id, &data) {
                return id;
            }
        }
        panic!("2,000 events without: {what}");
    }
}

/// Whether a frame holds the books of a flow that has started `n` transactions: the last cell of their foot.
fn started(frame: &str, n: u64) -> bool {
    frame.contains("id=\"books\"") && frame.contains(&format!("<td class=\"r\">{n}</td></tr></tfoot>"))
}

fn post(server: &Server, transaction: &str) {
    let body = format!(r#"{{"flow":"checkout","transaction_id":"{transaction}","stage":"order.placed"}}"#);
    assert_eq!(server.post("/transactions", &[], &body).status, 202);
}

#[test]
fn an_event_reaches_every_open_dashboard() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(&[], dir.path());
    post(&server, "before");
    until("the flow", PATIENCE, || (server.get("/api/v1/flows/checkout").status == 200).then_some(()));
    let mut streams: Vec<_> = (0..20).map(|_| Stream::open(&server.address, "/live/flow/checkout", None)).collect();
    for stream in &mut streams {
        stream.until("a snapshot", |name, _, data| name == "snap" && started(data, 1));
    }
    post(&server, "tx-seen-by-all");
    for stream in &mut streams {
        stream.until("the new transaction in the books", |_, _, data| started(data, 2));
    }
}

#[test]
fn a_client_that_comes_back_resumes_and_one_from_before_the_restart_gets_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(&["demo", "--seed", "3"], dir.path());
    let mut first = Stream::open(&server.address, "/live/overview", None);
    // While no second is complete yet, there is nothing to resume from but the history itself.
    first.until("a point", |name, _, _| name == "pt");
    let id = first.until("an id", |_, id, _| !id.is_empty());
    drop(first);
    let boot = id.rsplit_once('-').expect("<boot>-<seq>").0.to_owned();
    let mut second = Stream::open(&server.address, "/live/overview", Some(&id));
    let mut saw_history = false;
    let again = second.until("an id after the resume", |name, id, _| {
        saw_history |= name == "hist";
        !id.is_empty()
    });
    assert!(again.starts_with(&boot), "the same process goes on with its own numbers");
    assert!(!saw_history, "a resumed client gets the points that it missed, not the whole history");
    let mut stranger = Stream::open(&server.address, "/live/overview", Some("ffff0000-7"));
    stranger.until("history for a stranger", |name, _, _| name == "hist");
}

#[test]
fn a_hundred_open_streams_end_with_the_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(&["demo"], dir.path());
    let mut streams: Vec<_> = (0..100).map(|_| Stream::open(&server.address, "/live/overview", None)).collect();
    for stream in &mut streams {
        stream.until("the first parts", |name, _, _| name == "snap");
    }
    // A stream that did not end by itself would hold up the end until it is forced, and that is no success.
    let (status, took) = server.terminate();
    assert!(status.success(), "{status} after {took:?}");
    for stream in &mut streams {
        let mut said_bye = false;
        while let Some((name, _, _)) = stream.next() {
            said_bye |= name == "bye";
        }
        assert!(said_bye, "a stream ends with bye");
        assert_eq!(stream.lines.read(&mut [0u8; 1]).unwrap_or(0), 0);
    }
}
