//! One data directory, many processes: started, killed at drawn moments, started again.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::http;
use crate::support::process::{Server, until};
use crate::support::rng::Rng;

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Progress is known once per tick (250 ms): the moment between two ticks is drawn.
const PHASE: u64 = 400;

/// Where the process of the moment listens, if there is one.
#[derive(Clone, Default)]
pub struct Address(Arc<Mutex<Option<String>>>);

impl Address {
    /// `host:port`.
    pub fn get(&self) -> Option<String> {
        self.0.lock().expect("an address").clone()
    }

    fn set(&self, to: Option<String>) {
        *self.0.lock().expect("an address") = to;
    }
}

/// The lives of one data directory.
pub struct Lives<'a> {
    dir: &'a Path,
    config: String,
    /// Of the process that lives now.
    pub address: Address,
    server: Option<Server>,
    rng: Rng,
    /// Processes killed so far.
    pub kills: usize,
    /// Of those, with records unread.
    pub behind: usize,
    /// Longest time from the start of a process to its serving.
    pub slowest_start: Duration,
}

impl<'a> Lives<'a> {
    /// Writes the configuration and starts the first life.
    pub fn begin(dir: &'a Path, config: &str, seed: u64) -> Self {
        let file = dir.join("streamgauge.toml");
        std::fs::write(&file, config).expect("the configuration");
        let mut lives = Self {
            dir,
            config: file.display().to_string(),
            address: Address::default(),
            server: None,
            rng: Rng::new(seed),
            kills: 0,
            behind: 0,
            slowest_start: Duration::ZERO,
        };
        lives.start();
        lives
    }

    fn start(&mut self) {
        let began = Instant::now();
        let server = Server::start(&["serve", "--config", &self.config], &self.dir.join("data"));
        self.slowest_start = self.slowest_start.max(began.elapsed());
        self.address.set(Some(server.address.clone()));
        self.server = Some(server);
    }

    /// The process of the moment.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("a process lives")
    }

    /// Ends the last life as an operator would; panics unless it ends well.
    pub fn terminate(mut self) {
        self.address.set(None);
        let (status, took) = self.server.take().expect("a process lives").terminate();
        assert!(status.success(), "{status} after {took:?}");
    }

    /// Records read so far, as the process says; `None` before it says anything.
    pub fn seen(&self) -> Option<u64> {
        let answer = http::request(&self.server().address, "GET", "/api/v1/sources", &[], b"").ok()?;
        let sources = answer.json()["data"]["sources"].as_array()?.clone();
        sources.iter().map(|s| s["next"].as_u64()).sum()
    }

    /// Kills the process `kills` times: each time once it has read a drawn share of `total` records, or at
    /// once after its start. `written` says how many there are by now. Where they are `written_elsewhere`, more
    /// of them are written while the process is dead, so that the next life has to catch up.
    pub fn kill_at_any_moment(&mut self, kills: usize, total: u64, written: &dyn Fn() -> u64, written_elsewhere: bool) {
        let mut moments: Vec<u64> = (0..kills).map(|_| self.rng.below(total)).collect();
        moments.sort_unstable();
        for (n, moment) in moments.into_iter().enumerate() {
            if self.rng.chance(0.2) {
                // In the middle of restoring, opening, joining.
                self.pause(60);
            } else {
                self.wait(&format!("{moment} of {total} records read, kill {n}"), || {
                    self.seen().filter(|seen| *seen >= moment)
                });
                self.pause(PHASE);
            }
            let seen = self.seen();
            self.kill();
            self.behind += usize::from(seen.is_none_or(|s| s < written()));
            if written_elsewhere && self.rng.chance(0.5) {
                let more = (written() + self.rng.below(total / 30)).min(total);
                until("records written while the process is dead", PATIENCE, || (written() >= more).then_some(()));
            }
            self.start();
        }
    }

    /// Waits; on the deadline, fails with the end of what the process logged.
    pub fn wait<T>(&self, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        until(what, PATIENCE * 2, || {
            let log = || self.server().log().lines().rev().take(10).collect::<Vec<_>>().join("\n");
            let sources = || self.server().get("/api/v1/sources").text();
            assert!(Instant::now() < end, "waited {PATIENCE:?} for: {what}\n{}\n{}", log(), sources());
            check()
        })
    }

    fn pause(&mut self, millis: u64) {
        std::thread::sleep(Duration::from_micros(self.rng.below(millis * 1_000)));
    }

    fn kill(&mut self) {
        self.address.set(None);
        self.server.take().expect("a process lives").kill();
        self.kills += 1;
    }

    /// Waits until every source is read to its end and the watermark of every flow has passed `moment`.
    pub fn until_settled(&self, moment: i64) {
        self.wait("every source caught up", || (self.server().get("/readyz?caught_up").status == 200).then_some(()));
        self.wait("the watermark of every flow", || {
            let flows = self.server().data("/api/v1/flows")["flows"].as_array()?.clone();
            let passed = |f: &Value| watermark(f).is_some_and(|w| w > moment);
            (!flows.is_empty() && flows.iter().all(passed)).then_some(())
        });
    }
}

/// The watermark of a flow as shown, microseconds.
pub fn watermark(flow: &Value) -> Option<i64> {
    let time = flow["watermark"].as_str()?.parse::<jiff::Timestamp>().ok()?;
    Some(time.as_microsecond())
}
