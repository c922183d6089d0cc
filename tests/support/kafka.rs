//! One real Apache Kafka (KRaft, one node) for a test binary: started, stopped, paused, killed, on the same ports and data.
//!
//! Needs `STREAMGAUGE_KAFKA_LIBS`: the folder that `tests/servers/kafka/get` prints.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The environment variable that names the folder of jars.
pub const LIBS: &str = "STREAMGAUGE_KAFKA_LIBS";
/// A broker needs 3 s on an idle machine.
const START: Duration = Duration::from_secs(60);

/// The folder of jars, or why there is none.
pub fn libs() -> Result<PathBuf, String> {
    let Some(libs) = std::env::var_os(LIBS).map(PathBuf::from) else {
        return Err(format!("{LIBS} is not set (tests/servers/kafka/get prints its value)"));
    };
    if libs.is_dir() { Ok(libs) } else { Err(format!("{LIBS}: {} is no folder", libs.display())) }
}

/// A broker of our own. Killed when dropped.
pub struct Broker {
    libs: PathBuf,
    data: tempfile::TempDir,
    /// `host:port` of its plaintext listener.
    pub address: String,
    process: Option<Child>,
}

impl Broker {
    /// Formats a data folder, starts a broker and waits until it answers.
    pub fn start(libs: &Path) -> Self {
        Self::start_with(libs, "")
    }

    /// The same, with lines appended to `server.properties`.
    pub fn start_with(libs: &Path, properties: &str) -> Self {
        let data = tempfile::tempdir().expect("a folder for the broker");
        let (port, controller) = two_free_ports();
        let address = format!("127.0.0.1:{port}");
        let log = data.path().join("log");
        let all = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://{address},CONTROLLER://127.0.0.1:{controller}\nadvertised.listeners=PLAINTEXT://{address}\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\ntransaction.state.log.num.partitions=1\n\
             group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\nmessage.max.bytes=12000000\n{properties}\n",
            log.display()
        );
        fs::write(data.path().join("server.properties"), all).expect("server.properties");
        let mut broker = Self { libs: libs.to_owned(), data, address, process: None };
        let id = broker.tool("kafka.tools.StorageTool", &["random-uuid"]);
        let properties = broker.properties();
        broker.tool("kafka.tools.StorageTool", &["format", "-t", id.trim(), "-c", &properties]);
        broker.resurrect();
        broker
    }

    fn properties(&self) -> String {
        self.data.path().join("server.properties").display().to_string()
    }

    fn java(&self, class: &str, heap: &str) -> Command {
        let mut java = Command::new("java");
        java.args([
            heap,
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
        ])
        .arg("-cp")
        .arg(self.libs.join("*"))
        .arg(class);
        java
    }

    /// Runs one of Kafka's own tools to its end and returns what it printed.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let output = self.java(class, "-Xmx256m").args(arguments).output().expect("java");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{class} {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Ends of a topic's partitions as Kafka's own tool prints them, by partition.
    pub fn ends(&self, topic: &str) -> Vec<u64> {
        let arguments = ["--bootstrap-server", &self.address, "--topic-partitions", topic];
        let printed = self.tool("org.apache.kafka.tools.GetOffsetShell", &arguments);
        let mut ends: Vec<(u32, u64)> = printed
            .lines()
            .filter_map(|line| {
                let mut parts = line.rsplit(':');
                let end = parts.next()?.parse().ok()?;
                Some((parts.next()?.parse().ok()?, end))
            })
            .collect();
        ends.sort_unstable();
        ends.into_iter().map(|(_, end)| end).collect()
    }

    /// Starts the process on the data that is there and waits until it answers.
    pub fn resurrect(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let log = fs::File::create(self.data.path().join("stdout")).expect("a log file");
        let mut start = self.java("kafka.Kafka", "-Xmx768m");
        start.arg(self.properties()).stdout(log.try_clone().expect("a second handle")).stderr(log).stdin(Stdio::null());
        self.process = Some(start.spawn().expect("java"));
        let deadline = Instant::now() + START;
        while TcpStream::connect(&self.address).is_err() {
            let ended = self.process.as_mut().and_then(|p| p.try_wait().ok().flatten());
            let log = || fs::read_to_string(self.data.path().join("stdout")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < deadline, "the broker did not start: {}", log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, name: &str) {
        let id = self.process.as_ref().expect("a running broker").id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("kill").success());
    }

    /// SIGSTOP: it holds its connections and answers nothing.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("SIGKILL");
            process.wait().expect("its end");
        }
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) {
        self.signal("-TERM");
        self.process.take().expect("a running broker").wait().expect("its end");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn two_free_ports() -> (u16, u16) {
    let bind = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (a, b) = (bind(), bind());
    (a.local_addr().expect("a port").port(), b.local_addr().expect("a port").port())
}
