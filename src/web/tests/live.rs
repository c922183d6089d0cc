//! Live streams over real sockets, read by a parser that we did not write the stream with.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode, Version};
use flate2::{Decompress, FlushDecompress};
use http_body_util::BodyExt;
use socket2::SockRef;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tower::ServiceExt;

use self::sse::{Dechunked, Message, Parser};
use super::{Fixture, snapshot};
use crate::model::WebLimits;
use crate::web::frame::RING_TICKS;
use crate::web::{Server, WebConfig};

#[path = "../../../tests/support/sse.rs"]
mod sse;

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

async fn serve(fixture: &Fixture, limits: WebLimits) -> Running {
    let config = WebConfig { limits, ..WebConfig::default() };
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), fixture.context.clone(), config).await.unwrap();
    let (stop, stopped) = oneshot::channel();
    let addr = server.local_addr();
    let run = server.run(async {
        let _ = stopped.await;
    });
    Running { addr, stop, ended: tokio::spawn(run) }
}

/// A request as text; its head and the rest of the socket.
fn ask(addr: SocketAddr, path: &str, headers: &str) -> (String, BufReader<TcpStream>) {
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").as_bytes()).unwrap();
    let mut reader = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    (head, reader)
}

struct Client {
    head: String,
    body: Dechunked<BufReader<TcpStream>>,
    inflate: Option<Decompress>,
    /// What was read, as it came, and as text; for clients that are to look at the end of a gzip stream.
    raw: Vec<u8>,
    text: Vec<u8>,
    parser: Parser,
    waiting: std::vec::IntoIter<Message>,
}

impl Client {
    fn open(addr: SocketAddr, path: &str, headers: &str) -> Self {
        let (head, reader) = ask(addr, path, headers);
        let mut body = Dechunked::new(reader);
        let mut magic = [0; 10];
        let inflate = head.contains("content-encoding: gzip").then(|| {
            body.read_exact(&mut magic).unwrap();
            assert_eq!(magic[..4], [0x1f, 0x8b, 8, 0], "a gzip header without options");
            Decompress::new(false)
        });
        Self {
            head,
            body,
            inflate,
            raw: magic.to_vec(),
            text: Vec::new(),
            parser: Parser::default(),
            waiting: Vec::new().into_iter(),
        }
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.waiting.next() {
                return Some(message);
            }
            let mut buffer = [0; 4_096];
            let n = self.body.read(&mut buffer).unwrap();
            if n == 0 {
                assert!(self.body.ended, "the last chunk was there");
                return None;
            }
            self.raw.extend_from_slice(&buffer[..n]);
            let mut text = Vec::new();
            match &mut self.inflate {
                None => text.extend_from_slice(&buffer[..n]),
                Some(inflate) => {
                    let before = inflate.total_in();
                    // Until it takes no more and gives no more.
                    while text.len() == text.capacity() {
                        text.reserve(64 << 10);
                        let fed = usize::try_from(inflate.total_in() - before).unwrap();
                        inflate.decompress_vec(&buffer[fed..n], &mut text, FlushDecompress::Sync).unwrap();
                    }
                }
            }
            self.waiting = self.parser.push(&text).into_iter();
            self.text.extend(text);
        }
    }

    /// True where an ordinary gzip decoder is content with the whole body, and finds in it what we read piece by piece.
    fn whole(&self) -> bool {
        let mut text = Vec::new();
        let gzip = self.inflate.is_some();
        !gzip || flate2::read::GzDecoder::new(&self.raw[..]).read_to_end(&mut text).is_ok() && text == self.text
    }

    /// The events of one frame; its last one is `tick`.
    fn frame(&mut self) -> Vec<Message> {
        let mut frame = Vec::new();
        while frame.last().is_none_or(|m: &Message| m.event != "tick") {
            frame.push(self.next().expect("the stream goes on"));
        }
        frame
    }
}

fn names(frame: &[Message]) -> Vec<&str> {
    frame.iter().map(|m| m.event.as_str()).collect()
}

/// Publishes and opens in turn, so that each side waits for the other.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_arrive_plain_and_compressed() {
    let fixture = Fixture::new();
    let running = serve(&fixture, WebLimits::default()).await;
    let addr = running.addr;
    let open = move || ["", "accept-encoding: gzip, br\r\n"].map(|h| Client::open(addr, "/live/overview?range=60", h));
    let mut clients = blocking(open).await;
    assert!(!clients[0].head.contains("content-encoding") && clients[1].head.contains("content-encoding: gzip"));
    for client in &clients {
        for header in [
            "200 OK",
            "content-type: text/event-stream",
            "cache-control: no-cache, no-transform",
            "x-accel-buffering: no",
        ] {
            assert!(client.head.contains(header), "{header} in {}", client.head);
        }
    }
    let first = clients.each_mut().map(Client::frame);
    assert_eq!(first[0], first[1]);
    assert_eq!(names(&first[0]), ["snap", "hist", "tick"]);
    assert_eq!(first[0][2].id, "boot-1-1");
    assert!(first[0][2].data.contains("\"as_of\":\"2026-11-22T10:00:00.000Z\""), "{}", first[0][2].data);
    for client in &clients {
        assert!((1_000..=3_000).contains(&client.parser.retry.unwrap()));
        assert!(!client.parser.comments.is_empty(), "the first bytes come at once");
    }
    fixture.snapshot.send_replace(Arc::new(snapshot(2)));
    let second = blocking(move || clients.each_mut().map(Client::frame)).await;
    assert_eq!(second[0], second[1]);
    assert!(matches!(names(&second[0])[..], ["frag", "pt" | "hist", "tick"]), "{second:?}");
    assert_eq!(second[0].last().unwrap().id, "boot-1-2");
    drop(running.stop);
    running.ended.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_gets_the_points_that_it_missed() {
    let fixture = Fixture::new();
    let running = serve(&fixture, WebLimits::default()).await;
    let addr = running.addr;
    let frames = |headers: &'static str| blocking(move || Client::open(addr, "/live/flow/checkout", headers).frame());
    let first = frames("").await;
    assert_eq!(names(&first), ["snap", "hist", "tick"]);
    fixture.snapshot.send_replace(Arc::new(snapshot(2)));
    let again = frames("last-event-id: boot-1-1\r\n").await;
    assert_eq!(names(&again), ["snap", "pt", "tick"]);
    // A client that makes its stream anew cannot send the header.
    let asked = blocking(move || Client::open(addr, "/live/flow/checkout?last_event_id=boot-1-1", "").frame()).await;
    assert_eq!(names(&asked), ["snap", "pt", "tick"]);
    for stranger in ["last-event-id: boot-2-1\r\n", "last-event-id: boot-1-999\r\n", "last-event-id: x\r\n"] {
        assert_eq!(names(&frames(stranger).await), ["snap", "hist", "tick"], "{stranger}");
    }
    drop(running.stop);
    running.ended.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_for_longer_than_is_remembered_gets_the_whole_history() {
    let fixture = Fixture::new();
    let running = serve(&fixture, WebLimits::default()).await;
    let addr = running.addr;
    let open =
        move |last: u64| Client::open(addr, "/live/overview?range=60", &format!("last-event-id: boot-1-{last}\r\n"));
    let mut client = blocking(move || open(0)).await;
    let newest = RING_TICKS + 2;
    for revision in 1..=newest {
        client = blocking(move || {
            assert_eq!(client.frame().last().unwrap().id, format!("boot-1-{revision}"));
            client
        })
        .await;
        if revision < newest {
            fixture.snapshot.send_replace(Arc::new(snapshot(revision + 1)));
        }
    }
    for (last, points) in [(1, "hist"), (2, "hist"), (3, "pt"), (newest, "pt")] {
        let frame = blocking(move || open(last).frame()).await;
        assert_eq!(names(&frame), ["snap", points, "tick"], "{last} of {newest}");
        assert_eq!(frame[2].id, format!("boot-1-{newest}"));
    }
    drop(running.stop);
    running.ended.await.unwrap();
}

#[tokio::test]
async fn without_a_socket_the_same_frames_come_as_a_body() {
    let fixture = Fixture::new();
    let router = fixture.router(WebConfig::default());
    let request = Request::get("/live/overview").version(Version::HTTP_10).body(Body::empty()).unwrap();
    let mut body = router.clone().oneshot(request).await.unwrap().into_body();
    let (mut parser, mut seen) = (Parser::default(), Vec::new());
    for revision in 2..4 {
        while seen.last().is_none_or(|m: &Message| m.event != "tick") {
            let frame = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
            seen.extend(parser.push(frame.data_ref().unwrap()));
        }
        assert!(matches!(seen.remove(0).event.as_str(), "snap" | "frag"));
        seen.clear();
        fixture.snapshot.send_replace(Arc::new(snapshot(revision)));
    }
    for path in ["/live/none", "/live/flow/none", "/live/flow/%ff", "/live/"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(router.clone().oneshot(request).await.unwrap().status(), StatusCode::NOT_FOUND, "{path}");
    }
}

/// A number of `/metrics`.
fn metric(addr: SocketAddr, line: &str) -> f64 {
    let (_, mut reader) = ask(addr, "/metrics", "connection: close\r\n");
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let found = text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("{line} in {text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_did_not_read_jumps_to_the_newest_frame() {
    /// Far more than the socket buffers of both sides hold.
    const FRAMES: u64 = 150;
    let fixture = Fixture::new();
    let running = serve(&fixture, WebLimits::default()).await;
    let addr = running.addr;
    let mut clients = blocking(move || [(); 2].map(|()| Client::open(addr, "/live/overview", ""))).await;
    clients = blocking(move || {
        for client in &mut clients {
            client.frame();
        }
        SockRef::from(clients[0].body.inner.get_ref()).set_recv_buffer_size(4_096).unwrap();
        clients
    })
    .await;
    for revision in 2..=FRAMES {
        fixture.snapshot.send_replace(Arc::new(snapshot(revision)));
        clients = blocking(move || {
            // The one that reads gets each of them, in order and as a delta, whatever the other does.
            let frame = clients[1].frame();
            assert_eq!((names(&frame)[0], frame.last().unwrap().id.as_str()), ("frag", &*format!("boot-1-{revision}")));
            clients
        })
        .await;
    }
    let (seen, kinds) = blocking(move || {
        let (mut seen, mut kinds) = (vec![1], Vec::new());
        while seen.last() != Some(&FRAMES) {
            let frame = clients[0].frame();
            seen.push(frame.last().unwrap().id.rsplit_once('-').unwrap().1.parse().unwrap());
            kinds.push(frame[0].event.clone());
        }
        (seen, kinds)
    })
    .await;
    let skipped: u64 = seen.windows(2).map(|pair| pair[1] - pair[0] - 1).sum();
    assert!(skipped > 0, "the sockets took everything: {seen:?}");
    for (pair, kind) in seen.windows(2).zip(kinds) {
        assert_eq!(kind, if pair[1] == pair[0] + 1 { "frag" } else { "snap" }, "{pair:?}");
    }
    let counted = blocking(move || metric(addr, "streamgauge_live_frames_skipped_total")).await;
    assert_eq!(counted, skipped as f64);
    drop(running.stop);
    running.ended.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_end_within_a_second_of_stop() {
    let fixture = Fixture::new();
    let running = serve(&fixture, WebLimits::default()).await;
    let addr = running.addr;
    let mut clients = blocking(move || {
        let open = |n| Client::open(addr, "/live/overview", if n % 2 == 0 { "" } else { "accept-encoding: gzip\r\n" });
        (0..100).map(open).map(|mut c| (c.frame(), c)).collect::<Vec<_>>()
    })
    .await;
    assert_eq!(blocking(move || metric(addr, "streamgauge_live_streams")).await, 100.0);
    // Connections that a browser opened in advance or keeps for later do not hold up the end.
    let _unused = blocking(move || (TcpStream::connect(addr).unwrap(), ask(addr, "/livez", ""))).await;
    let began = Instant::now();
    running.stop.send(()).unwrap();
    running.ended.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    blocking(move || {
        for (_, client) in &mut clients {
            let mut last = String::new();
            while let Some(message) = client.next() {
                last = message.event;
            }
            assert_eq!(last, "bye");
            // A gzip stream that we end has its trailer: a whole one for decoders, which check it.
            assert!(client.whole(), "{:?}", client.head);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stream_too_many_is_a_503_and_a_closed_one_makes_room() {
    let fixture = Fixture::new();
    let running = serve(&fixture, WebLimits { live_streams: 1, ..WebLimits::default() }).await;
    let addr = running.addr;
    blocking(move || {
        let client = Client::open(addr, "/live/overview", "");
        let (head, mut rest) = ask(addr, "/live/overview", "connection: close\r\n");
        assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: 10"), "{head}");
        let mut body = String::new();
        rest.read_to_string(&mut body).unwrap();
        assert!(body.contains("limits.live_streams"), "a bound is said by its name in the configuration: {body}");
        drop(client);
        let began = Instant::now();
        while !ask(addr, "/live/overview", "").0.starts_with("HTTP/1.1 200") {
            assert!(began.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
    })
    .await;
    drop(running.stop);
    running.ended.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_is_a_503_and_a_large_head_is_refused() {
    let fixture = Fixture::new();
    let running = serve(&fixture, WebLimits { connections: 1, ..WebLimits::default() }).await;
    let addr = running.addr;
    blocking(move || {
        let (_, held) = ask(addr, "/livez", "");
        let (head, mut rest) = ask(addr, "/livez", "");
        assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: 5"), "{head}");
        let mut body = String::new();
        rest.read_to_string(&mut body).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&body).unwrap()["status"], 503);
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        drop(held);
        let began = Instant::now();
        let large = format!("x-large: {}\r\n", "x".repeat(10_000));
        while !ask(addr, "/livez", &large).0.starts_with("HTTP/1.1 431") {
            assert!(began.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
    })
    .await;
    drop(running.stop);
    running.ended.await.unwrap();
}
