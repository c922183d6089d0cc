//! Draws the pages from made-up snapshots, so that they can be looked at without a broker.
//!
//! `cargo run --example ui_preview -- out DIR` writes every page; `... -- serve PORT [SCENARIO]` is the product's own
//! server over a made-up scenario that moves on, with pages, live streams and API under `/<scenario>/`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use streamgauge as sg;
use streamgauge::model::{Limits, Timestamp};
use streamgauge::snapshot::{Durable, Snapshot};
use streamgauge::store::{Claim, IdempotencyKeys, StoreError, StoredAnswer};
use streamgauge::telemetry::Metrics;
use streamgauge::web::page::{self, Locale, PageContext, Theme, View};
use streamgauge::web::{Server, Status, WebConfig, WebContext};
use tokio::sync::watch;

mod samples;

/// As the product's ticker.
const TICK: Duration = Duration::from_millis(250);

#[allow(clippy::disallowed_methods, reason = "a preview has no process clock to be given")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let known = |name: &str| samples::SCENARIOS.into_iter().find(|s| *s == name);
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["out", folder] => return write_all(Path::new(folder)),
        ["serve", port] => return serve(port, "incident"),
        ["serve", port, scenario] => {
            if let Some(scenario) = known(scenario) {
                return serve(port, scenario);
            }
        }
        _ => {}
    }
    eprintln!("usage: ui_preview out DIR | serve PORT [{}]", samples::SCENARIOS.join(" | "));
    std::process::exit(2)
}

/// The pages of a scenario that are written, and what their files are called.
const PAGES: [(&str, &str); 7] = [
    ("overview", "overview"),
    ("flow/checkout", "flow"),
    ("status", "status"),
    ("consumers", "consumers"),
    ("consumers/main/payments-authorizer", "group"),
    ("dlq", "dlq"),
    ("dlq/main/payments.dlq", "letters"),
];

fn write_all(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let at = now();
    for scenario in samples::SCENARIOS {
        let (snapshot, status) = samples::scenario(scenario, at, at);
        let cx = PageContext {
            snapshot: &snapshot,
            status: &status,
            locale: Locale::En,
            range_seconds: 900,
            theme: Theme::Auto,
            kiosk: false,
            base: "",
            query: "",
        };
        for (segment, name) in PAGES {
            if let Some(html) = View::parse(segment).and_then(|view| page::page(&view, &cx)) {
                std::fs::write(folder.join(format!("{scenario}-{name}.html")), html)?;
            }
        }
    }
    Ok(())
}

/// Nothing is posted here.
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

fn serve(port: &str, scenario: &'static str) -> std::io::Result<()> {
    let address = format!("127.0.0.1:{port}").parse().map_err(std::io::Error::other)?;
    let began = now();
    let (snapshot, status) = samples::scenario(scenario, began, began);
    let (snapshots, snapshot) = watch::channel(Arc::new(snapshot));
    let (statuses, status) = watch::channel(Arc::new(status));
    let (_durables, durable) = watch::channel(Arc::new(Durable::default()));
    let context = WebContext {
        snapshot,
        durable,
        status,
        publish: None,
        idempotency: Arc::new(NoKeys),
        limits: Arc::new(Limits::default()),
        metrics: Metrics::off(),
        now,
    };
    let config = WebConfig { public_url: format!("http://localhost/{scenario}"), ..WebConfig::default() };
    tokio::runtime::Runtime::new()?.block_on(async {
        let server = Server::bind(address, context, config).await.map_err(std::io::Error::other)?;
        println!("http://{}/{scenario}/", server.local_addr());
        std::thread::spawn(move || go_on(scenario, began, &snapshots, &statuses));
        server.run(std::future::pending()).await;
        Ok(())
    })
}

/// Ticks. As in the product, boards stand still between two surveys.
fn go_on(
    scenario: &str,
    began: Timestamp,
    snapshots: &watch::Sender<Arc<Snapshot>>,
    statuses: &watch::Sender<Arc<Status>>,
) {
    loop {
        std::thread::sleep(TICK);
        let (mut snapshot, status) = samples::scenario(scenario, now(), began);
        let before = snapshots.borrow().clone();
        if samples::lag::survey(before.as_of) == samples::lag::survey(snapshot.as_of) {
            (snapshot.lag, snapshot.dlq) = (Arc::clone(&before.lag), Arc::clone(&before.dlq));
        }
        statuses.send_replace(Arc::new(status));
        snapshots.send_replace(Arc::new(snapshot));
    }
}
