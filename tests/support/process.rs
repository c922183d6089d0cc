//! The real binary as a child process: started on port 0, killed at the end of the test whatever happens.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::http::{self, Answer};

/// Longer than anything takes that works, also in the dev profile on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A serving process.
pub struct Server {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts the binary with `args`, `--listen 127.0.0.1:0` and `--data-dir`, and waits for its line.
    pub fn start(args: &[&str], data_dir: &Path) -> Self {
        Self::try_start(args, data_dir).unwrap_or_else(|log| panic!("the server did not serve:\n{log}"))
    }

    /// As `start`; the log where it ended or stayed silent.
    pub fn try_start(args: &[&str], data_dir: &Path) -> Result<Self, String> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_streamgauge"))
            .args(args)
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = child.stderr.take().expect("piped");
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            let mut buffer = [0u8; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut buffer) {
                let mut log = kept.lock().expect("log");
                if log.len() < 200_000 {
                    log.push_str(&String::from_utf8_lossy(&buffer[..n]));
                }
            }
        });
        let (sender, line) = std::sync::mpsc::sync_channel(1);
        let stdout = child.stdout.take().expect("piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("streamgauge listening http://") {
                    let _gone = sender.try_send(url.trim_end_matches('/').to_owned());
                }
            }
        });
        match line.recv_timeout(PATIENCE) {
            Ok(address) => Ok(Self { child, address, log }),
            Err(_) => {
                let _gone = child.kill();
                let _gone = child.wait();
                let log = log.lock().expect("log").clone();
                Err(log)
            }
        }
    }

    /// GET that must be answered.
    pub fn get(&self, path: &str) -> Answer {
        http::get(&self.address, path)
    }

    /// Data of an API answer.
    pub fn data(&self, path: &str) -> serde_json::Value {
        self.get(path).json()["data"].clone()
    }

    /// POST of JSON.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend_from_slice(headers);
        http::request(&self.address, "POST", path, &all, body.as_bytes()).expect("POST answered")
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("log").clone()
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited");
    }

    /// SIGTERM; the exit status and how long it took.
    pub fn terminate(mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        signal(self.child.id(), "TERM");
        let status = self.child.wait().expect("waited");
        (status, began.elapsed())
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a live process");
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|v| v.parse::<u64>().ok()).expect("a number") * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Sends a signal by name to a process of ours.
pub fn signal(pid: u32, name: &str) {
    let done = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().expect("kill runs");
    assert!(done.success(), "kill -{name} {pid}");
}

/// Waits until `check` gives a value; polls every 20 ms and says what it waited for.
pub fn until<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < end, "waited {limit:?} for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
