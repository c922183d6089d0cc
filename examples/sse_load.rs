//! Load on the live streams: what one open dashboard costs, and how late its frames are.
//!
//! ```text
//! cargo run --release --example sse_load                     # 5,000 clients, 10 % never read, own server
//! cargo run --release --example sse_load -- --url http://127.0.0.1:8080/live/overview --pid 1234
//! ```
//! The server runs as a process of its own, so that its memory is its own. Needs `ulimit -n` above the clients.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use flate2::{Decompress, FlushDecompress};
use socket2::SockRef;
use streamgauge::model::{Limits, Timestamp, WebLimits};
use streamgauge::snapshot::{
    Durable, FlowView, History, LatencyView, Outcomes, Point, Series, Snapshot, Totals, WINDOWS, WindowView,
};
use streamgauge::store::{Claim, IdempotencyKeys, StoreError, StoredAnswer};
use streamgauge::telemetry::Metrics;
use streamgauge::web::{Server, Status, WebConfig, WebContext};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep};

type Anyhow<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Connections under way at once: more would overflow the backlog of a listener.
const CONNECTING: usize = 64;
/// Of the clients that take compressed frames so many take turns in being timed: inflating costs more than sending.
const TIMED: usize = 50;
const TICK: Duration = Duration::from_millis(250);

/// Opens many live streams and measures them.
#[derive(Parser, Clone)]
struct Options {
    /// Clients.
    #[arg(long, default_value_t = 5_000)]
    clients: usize,
    /// Per cent of them that never read.
    #[arg(long, default_value_t = 10)]
    never_read: usize,
    /// Seconds to measure.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Take compressed frames; delivery is then timed at every fiftieth client.
    #[arg(long)]
    gzip: bool,
    /// A running server; without it one is started.
    #[arg(long)]
    url: Option<String>,
    /// Its process, for its memory.
    #[arg(long)]
    pid: Option<u32>,
    /// Be the server (used by the command itself).
    #[arg(long, hide = true)]
    serve: bool,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Anyhow<()> {
    let options = Options::parse();
    if options.serve {
        return serve(options.clients).await;
    }
    if let Some(url) = options.url.clone() {
        return load(&options, &url, options.pid).await;
    }
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--serve", "--clients", &options.clients.to_string()])
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
    let measured = load(&options, line.trim(), Some(child.id())).await;
    let began = Instant::now();
    // The end of its input is its signal to stop.
    drop(child.stdin.take());
    child.wait()?;
    measured?;
    println!("stop to exit       {} ms", began.elapsed().as_millis());
    Ok(())
}

// ---------------------------------------------------------------------------------------- clients

/// What a client does with its stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Never reads.
    Silent,
    /// Looks for the time in each frame.
    Timed,
    /// The same, compressed.
    Inflating,
    /// Counts reads.
    Counting,
}

#[derive(Default)]
struct Seen {
    frames: AtomicU64,
    bytes: AtomicU64,
    closed: AtomicU64,
    /// Delivery times in milliseconds.
    late_ms: std::sync::Mutex<Vec<u16>>,
}

async fn load(options: &Options, url: &str, pid: Option<u32>) -> Anyhow<()> {
    let (address, path) = url.trim_start_matches("http://").split_once('/').ok_or("URL without path")?;
    let encoding = if options.gzip { "accept-encoding: gzip\r\n" } else { "" };
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {address}\r\n{encoding}\r\n");
    let (seen, turns) = (Arc::new(Seen::default()), Arc::new(Semaphore::new(CONNECTING)));
    let cold = memory(pid);
    // The first client brings the view: its rendering is no cost of the others.
    let first = connect(address, &request, true).await?;
    tokio::spawn({
        let seen = Arc::clone(&seen);
        async move { follow(first, Kind::Counting, &seen).await }
    });
    sleep(Duration::from_secs(2)).await;
    let before = memory(pid);
    let mut joined = Vec::with_capacity(options.clients);
    for n in 0..options.clients {
        let (seen, turns) = (Arc::clone(&seen), Arc::clone(&turns));
        let (address, request) = (address.to_owned(), request.clone());
        let kind = match n {
            _ if n % 100 < options.never_read => Kind::Silent,
            _ if !options.gzip => Kind::Timed,
            _ if n % TIMED == TIMED - 1 => Kind::Inflating,
            _ => Kind::Counting,
        };
        let (opened, open) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let turn = turns.acquire_owned().await;
            if let Ok(socket) = connect(&address, &request, kind != Kind::Silent).await {
                drop(turn);
                let _ = opened.send(());
                follow(socket, kind, &seen).await;
            }
            seen.closed.fetch_add(1, Ordering::Relaxed);
        });
        joined.push(open);
    }
    let mut open = 0_usize;
    for client in joined {
        open += usize::from(client.await.is_ok());
    }
    println!("streams open       {open} of {}, {} % never read", options.clients, options.never_read);
    sleep(Duration::from_secs(3)).await;
    seen.frames.store(0, Ordering::Relaxed);
    seen.bytes.store(0, Ordering::Relaxed);
    seen.late_ms.lock().map_err(|_| "poisoned")?.clear();
    let cpu = processor(pid);
    sleep(Duration::from_secs(options.seconds)).await;
    let (frames, bytes) = (seen.frames.load(Ordering::Relaxed), seen.bytes.load(Ordering::Relaxed));
    let readers = options.clients - options.clients * options.never_read / 100;
    println!(
        "frames             {frames} ({:.2} per reader and second)",
        frames as f64 / readers as f64 / options.seconds as f64
    );
    println!("bytes per frame    {}", bytes.checked_div(frames).unwrap_or(0));
    if let (Some(cpu), Some(after)) = (cpu, processor(pid)) {
        println!("server CPU         {:.1} us per frame", (after - cpu) * 1e6 / frames.max(1) as f64);
    }
    if let (Some(cold), Some(before), Some(after)) = (cold, before, memory(pid)) {
        let each = (after - before) as f64 / open.max(1) as f64;
        println!(
            "server memory      {cold} KB without, {before} KB with one, {after} KB with all: {each:.2} KB per client"
        );
    }
    let mut late = seen.late_ms.lock().map_err(|_| "poisoned")?.clone();
    late.sort_unstable();
    let at = |share: f64| late.get(((late.len() as f64 * share) as usize).min(late.len().saturating_sub(1))).copied();
    if let (Some(p50), Some(p99), Some(max)) = (at(0.5), at(0.99), late.last()) {
        println!("delivery           p50 {p50} ms, p99 {p99} ms, max {max} ms after the snapshot");
    }
    println!("closed meanwhile   {}", seen.closed.load(Ordering::Relaxed));
    Ok(())
}

async fn connect(address: &str, request: &str, reads: bool) -> Anyhow<TcpStream> {
    let mut socket = TcpStream::connect(address).await?;
    if !reads {
        // Its window closes soon, as that of a suspended laptop would.
        SockRef::from(&socket).set_recv_buffer_size(4_096)?;
    }
    socket.write_all(request.as_bytes()).await?;
    if reads {
        // The head and the first bytes: then the stream is open.
        socket.readable().await?;
    }
    Ok(socket)
}

/// Reads a stream to its end.
async fn follow(mut socket: TcpStream, kind: Kind, seen: &Seen) {
    if kind == Kind::Silent {
        return std::future::pending().await;
    }
    let (mut buffer, mut clock, mut inflater) = (vec![0; 32 << 10], Clock::default(), None);
    loop {
        let Ok(n @ 1..) = socket.read(&mut buffer).await else { return };
        let now = jiff::Timestamp::now().as_millisecond();
        seen.bytes.fetch_add(n as u64, Ordering::Relaxed);
        let sent = match kind {
            Kind::Timed => clock.read(&buffer[..n]),
            Kind::Inflating => clock.read(&inflated(&mut inflater, &buffer[..n])),
            Kind::Silent | Kind::Counting => {
                seen.frames.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        let Some(sent) = sent else { continue };
        seen.frames.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut late) = seen.late_ms.lock() {
            late.push(u16::try_from((now - sent).max(0)).unwrap_or(u16::MAX));
        }
    }
}

/// Finds the time of a frame, also where a read cut it in two.
#[derive(Default)]
struct Clock(Vec<u8>);

impl Clock {
    fn read(&mut self, bytes: &[u8]) -> Option<i64> {
        const MARK: &[u8] = b"\"as_of\":\"";
        const TIME: usize = "2026-11-22T10:00:00.000Z".len();
        let tail = bytes.len().saturating_sub(4 * TIME);
        self.0.extend_from_slice(&bytes[tail..]);
        let at = self.0.windows(MARK.len()).rposition(|w| w == MARK).map(|at| at + MARK.len());
        let text = at.and_then(|at| self.0.get(at..at + TIME));
        let time = text.and_then(|t| std::str::from_utf8(t).ok()?.parse::<jiff::Timestamp>().ok());
        let keep = if time.is_some() { 0 } else { self.0.len().min(MARK.len() + TIME) };
        self.0.drain(..self.0.len() - keep);
        time.map(jiff::Timestamp::as_millisecond)
    }
}

/// The text in a read of a chunked and compressed body; every frame is one chunk and comes in one read or more.
fn inflated(state: &mut Option<(Vec<u8>, Decompress)>, bytes: &[u8]) -> Vec<u8> {
    let (raw, inflate) = state.get_or_insert_with(|| (Vec::new(), Decompress::new(false)));
    raw.extend_from_slice(bytes);
    let mut text = Vec::new();
    if let Some(head) = raw.windows(4).position(|w| w == b"\r\n\r\n").filter(|_| raw.starts_with(b"HTTP")) {
        raw.drain(..head + 4);
    }
    while let Some(line) = raw.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&raw[..line]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let Some(chunk) = size.and_then(|size| raw.get(line + 2..line + 2 + size)) else { break };
        // The first chunk begins with the ten bytes of the gzip header.
        let skip = if inflate.total_in() == 0 { 10 } else { 0 };
        let mut out = Vec::with_capacity(1 << 20);
        if inflate.decompress_vec(&chunk[skip..], &mut out, FlushDecompress::Sync).is_err() {
            break;
        }
        text.extend_from_slice(&out);
        raw.drain(..line + 2 + size.unwrap_or(0) + 2);
    }
    text
}

/// Resident kilobytes of a process.
fn memory(pid: Option<u32>) -> Option<i64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", pid?)).ok()?;
    text.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
}

/// Processor seconds of a process.
fn processor(pid: Option<u32>) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", pid?)).ok()?;
    let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
    Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) / 100.0)
}

// ----------------------------------------------------------------------------------------- server

async fn serve(clients: usize) -> Anyhow<()> {
    let now = || Timestamp(jiff::Timestamp::now().as_microsecond());
    let (snapshots, snapshot) = watch::channel(Arc::new(synthetic(0, now())));
    let (_durables, durable) = watch::channel(Arc::new(Durable::default()));
    let status = Status { boot: "load".to_owned(), restored: true, version: "load", ..Status::default() };
    let (_statuses, status) = watch::channel(Arc::new(status));
    let idempotency = Arc::new(NoKeys);
    let limits = Arc::new(Limits::default());
    let context =
        WebContext { snapshot, durable, status, publish: None, idempotency, limits, metrics: Metrics::off(), now };
    let limits = WebLimits { live_streams: clients + 100, connections: clients + 1_000, ..WebLimits::default() };
    let config = WebConfig { limits, ..WebConfig::default() };
    let server = Server::bind("127.0.0.1:0".parse()?, context, config).await?;
    println!("http://{}/live/overview", server.local_addr());
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(TICK);
        for revision in 1.. {
            ticks.tick().await;
            snapshots.send_replace(Arc::new(synthetic(revision, now())));
        }
    });
    // The parent closes our input when it is done.
    let stop = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    server
        .run(async {
            let _ = stop.await;
        })
        .await;
    Ok(())
}

/// Five flows whose numbers change with every tick.
fn synthetic(revision: u64, at: Timestamp) -> Snapshot {
    let flow = |n: u64| {
        let outcomes = Outcomes { ok: revision * (n + 3), failed: revision, ..Outcomes::default() };
        let latency = LatencyView {
            clock: "event",
            count: 100,
            p50: Some(0.1),
            p99: Some((revision % 50) as f64 / 10.0),
            ..LatencyView::default()
        };
        let window = |w: &(&'static str, i64)| WindowView {
            name: w.0,
            from: Some(at.plus(-w.1 * 1_000_000)),
            to: Some(at),
            complete: true,
            tps: Some((revision % 100) as f64 + n as f64),
            outcomes,
            latency_seconds: [("ok", latency.clone())].into(),
            ..WindowView::default()
        };
        let series = |step: i64| {
            let newest = at.second().div_euclid(step) * step;
            let point = |k: i64| Point {
                t: newest - k * step,
                complete: true,
                events: 9,
                p50: Some(0.1),
                p99: Some(1.5),
                ended: [7, 1, 0, 0, 0],
                ..Point::default()
            };
            Series { step, chunks: vec![Arc::new((1..=900).rev().map(point).collect())] }
        };
        Arc::new(FlowView {
            name: format!("flow-{n}"),
            watermark: Some(at),
            transactional: true,
            totals: Totals {
                events: revision * 9,
                ended: outcomes.sum(),
                started: outcomes.sum(),
                outcomes,
                ..Totals::default()
            },
            windows: WINDOWS.iter().map(window).collect(),
            history: History { s1: series(1), s10: series(10), m1: series(60) },
            ..FlowView::default()
        })
    };
    Snapshot { revision, as_of: at, flows: (0..5).map(flow).collect(), ..Snapshot::default() }
}

struct NoKeys;

impl IdempotencyKeys for NoKeys {
    fn claim(&self, _: &str, _: [u8; 32], _: Timestamp) -> Result<Claim, StoreError> {
        Ok(Claim::Fresh)
    }

    fn finish(&self, _: &str, _: &StoredAnswer) -> Result<(), StoreError> {
        Ok(())
    }

    fn release(&self, _: &str) {}
}
