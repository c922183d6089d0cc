//! Draws the pages from made-up snapshots, so that they can be looked at without a broker.
//!
//! `cargo run --example ui_preview -- out DIR` writes every page; `... -- serve PORT` serves them live under
//! `/<scenario>/`, with the event stream of the contract, on the loopback interface only.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use streamgauge as sg;
use streamgauge::model::Timestamp;
use streamgauge::web::page::{self, PageContext, Theme, View, Wishes};

mod samples;

#[allow(clippy::disallowed_methods, reason = "a preview has no process clock to be given")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["out", folder] => write_all(Path::new(folder)),
        ["serve", port] => serve(port),
        _ => {
            eprintln!("usage: ui_preview out DIR | serve PORT");
            std::process::exit(2);
        }
    }
}

/// The pages of a scenario that are written, and what their files are called.
const PAGES: [(&str, &str); 7] = [
    ("/", "overview"),
    ("/flows/checkout", "flow"),
    ("/status", "status"),
    ("/consumers", "consumers"),
    ("/consumers/main/payments-authorizer", "group"),
    ("/dlq", "dlq"),
    ("/dlq/main/payments.dlq", "letters"),
];

/// Everything about a request that decides a page.
struct Asked<'a> {
    scenario: &'a str,
    query: &'a str,
    wishes: Wishes,
    base: String,
}

fn with_context<T>(asked: &Asked, began: Timestamp, at: Timestamp, then: impl FnOnce(&PageContext) -> T) -> T {
    let (snapshot, status) = samples::scenario(asked.scenario, at, began);
    then(&PageContext {
        snapshot: &snapshot,
        status: &status,
        locale: asked.wishes.locale,
        range_seconds: asked.wishes.range_seconds,
        theme: asked.wishes.theme,
        kiosk: asked.wishes.kiosk,
        base: &asked.base,
        query: asked.query,
    })
}

fn view_of(rest: &str) -> Option<View> {
    match rest {
        "" | "/" => Some(View::Overview),
        other => View::parse(&other.strip_prefix('/')?.replacen("flows/", "flow/", 1)),
    }
}

fn write_all(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let at = now();
    for scenario in samples::SCENARIOS {
        for (rest, name) in PAGES {
            let asked = Asked {
                scenario,
                query: "",
                wishes: Wishes { theme: Theme::Auto, ..Wishes::parse("", "", "") },
                base: String::new(),
            };
            if let Some(html) = view_of(rest).and_then(|v| with_context(&asked, at, at, |cx| page::page(&v, cx))) {
                std::fs::write(folder.join(format!("{scenario}-{name}.html")), html)?;
            }
        }
    }
    Ok(())
}

fn serve(port: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    println!("http://{}/incident/", listener.local_addr()?);
    let began = now();
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            // A browser that went away is no error of ours.
            let _ = answer(stream, began);
        });
    }
    Ok(())
}

fn answer(stream: TcpStream, began: Timestamp) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (mut cookies, mut languages) = (String::new(), String::new());
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "cookie" => value.trim().clone_into(&mut cookies),
                "accept-language" => value.trim().clone_into(&mut languages),
                _ => {}
            }
        }
    }
    let target = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (scenario, rest) = path
        .trim_start_matches('/')
        .split_once('/')
        .map_or((path.trim_start_matches('/'), "/"), |(s, _)| (s, &path[s.len() + 1..]));
    if !samples::SCENARIOS.contains(&scenario) {
        return send(stream, "404 Not Found", "text/plain", samples::SCENARIOS.join("\n").as_bytes());
    }
    let asked =
        Asked { scenario, query, wishes: Wishes::parse(query, &cookies, &languages), base: format!("/{scenario}") };
    if let Some(asset) = rest.strip_prefix("/assets/").and_then(page::asset) {
        return send(stream, "200 OK", asset.content_type, asset.bytes);
    }
    if let Some(view) = rest.strip_prefix("/live/").and_then(View::parse).map(|v| v.asked(query)) {
        return live(stream, &asked, &view, began);
    }
    let found =
        view_of(rest).map(|v| v.asked(query)).and_then(|v| with_context(&asked, began, now(), |cx| page::page(&v, cx)));
    match found {
        Some(html) => send(stream, "200 OK", "text/html; charset=utf-8", html.as_bytes()),
        None => {
            let html = with_context(&asked, began, now(), |cx| {
                page::error_page(404, "No such page", "The address may be mistyped, or the flow was never seen.", cx)
            });
            send(stream, "404 Not Found", "text/html; charset=utf-8", html.as_bytes())
        }
    }
}

/// The headers that the product sends, so that a violation shows here.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

fn send(mut stream: TcpStream, status: &str, content_type: &str, body: &[u8]) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nContent-Security-Policy: {CSP}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)
}

fn live(mut stream: TcpStream, asked: &Asked, view: &View, began: Timestamp) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\nretry: 1500\n\n"
    )?;
    let mut sent: Vec<page::Part> = Vec::new();
    let mut after: Option<i64> = None;
    let mut last = String::new();
    for seq in 0.. {
        let (parts, points, newest) = with_context(asked, began, now(), |cx| {
            let cx = PageContext { query: "", ..*cx };
            (page::parts(view, &cx), page::points(view, &cx, after), page::newest_complete(view, &cx))
        });
        let changed: String = parts
            .iter()
            .filter(|p| !sent.contains(p))
            .map(|p| p.html.replace('\n', "\ndata: "))
            .collect::<Vec<_>>()
            .join("\ndata: ");
        if !changed.is_empty() {
            let event = if seq == 0 { "snap" } else { "frag" };
            write!(stream, "id: 7f3a-{seq}\nevent: {event}\ndata: {changed}\n\n")?;
        }
        if points != last {
            write!(stream, "id: 7f3a-{seq}\nevent: {}\ndata: {points}\n\n", if seq == 0 { "hist" } else { "pt" })?;
        }
        stream.flush()?;
        (sent, last) = (parts, points);
        after = newest;
        std::thread::sleep(Duration::from_millis(250));
    }
    Ok(())
}
