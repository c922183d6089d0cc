//! The scraper: asks for `/metrics` every 200 ms through all kills and remembers the highest that it saw.

use std::collections::HashMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::lives::Address;
use crate::readings::Readings;
use crate::support::http;

const EVERY: Duration = Duration::from_millis(200);
/// These and no other count from the start of the process, as every client library of Prometheus has it.
const OF_THE_PROCESS: &str = "process_";
/// Complaints kept; one defect shows in thousands of scrapes.
const COMPLAINTS: usize = 20;

/// What was seen.
#[derive(Default)]
pub struct Report {
    /// Pages read.
    pub scrapes: usize,
    /// Cumulative series.
    pub series: usize,
    /// What went wrong.
    pub complaints: Vec<String>,
    /// The newest page.
    pub page: String,
}

/// A scraper at work.
pub struct Scraper {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Report>,
}

impl Scraper {
    /// Starts.
    pub fn start(address: Address) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut report, mut highest) = (Report::default(), HashMap::new());
            let mut due = Instant::now();
            while !asked.load(Ordering::Acquire) {
                // A process that is dying refuses, or breaks off: that page is none.
                let answer = address.get().and_then(|a| http::request(&a, "GET", "/metrics", &[], b"").ok());
                if let Some(answer) = answer.filter(|a| a.status == 200) {
                    look(answer.text(), &mut highest, &mut report);
                }
                due = (due + EVERY).max(Instant::now());
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            report.series = highest.len();
            report
        });
        Self { stop, thread }
    }

    /// Stops and hands out what was seen.
    pub fn stop(self) -> Report {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the scraper")
    }
}

fn look(page: String, highest: &mut HashMap<String, f64>, report: &mut Report) {
    report.scrapes += 1;
    let readings = match Readings::parse(&page) {
        Ok(readings) => readings,
        Err(why) => return complain(report, why),
    };
    let (mut known, before) = (0, highest.len());
    let durable = |name: &str| !name.starts_with(OF_THE_PROCESS);
    for sample in readings.samples.iter().filter(|s| durable(&s.name) && readings.is_cumulative(s)) {
        match highest.get_mut(&sample.series()) {
            None => drop(highest.insert(sample.series(), sample.value)),
            Some(was) => {
                known += 1;
                if sample.value < *was {
                    complain(report, format!("{} was {was}, is {}", sample.series(), sample.value));
                }
                *was = was.max(sample.value);
            }
        }
    }
    if known < before {
        complain(report, format!("scrape {}: {} of {before} series are missing", report.scrapes, before - known));
    }
    report.page = page;
}

fn complain(report: &mut Report, why: String) {
    if report.complaints.len() < COMPLAINTS {
        report.complaints.push(why);
    }
}

/// Lets Prometheus' own tool read a page; a machine without it is told of.
pub fn promtool(page: &str) {
    let started =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut tool) = started else {
        println!("1 skipped: promtool is not installed");
        return;
    };
    tool.stdin.take().expect("piped").write_all(page.as_bytes()).expect("promtool reads");
    let output = tool.wait_with_output().expect("promtool ends");
    assert!(output.status.success(), "promtool: {}", String::from_utf8_lossy(&output.stderr));
}
