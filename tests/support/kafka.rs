//! One real Apache Kafka (KRaft) for a test binary: started, stopped, paused, killed, on the same ports and data.
//!
//! It has three doors. The open one lets everybody do everything: the tests' own hands use it. The guarded one speaks
//! TLS, asks for a password (SCRAM-SHA-512) and obeys ACLs. The watched one names itself at [`Broker::relay`], where
//! a test may listen and pass on what it saw to [`Broker::watched`]. A second node can join ([`Broker::join`]).
//!
//! Needs `STREAMGAUGE_KAFKA_LIBS`: the folder that `tests/servers/kafka/get` prints.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::support::ports::free_port;

/// The environment variable that names the folder of jars.
pub const LIBS: &str = "STREAMGAUGE_KAFKA_LIBS";
/// A broker needs 3 s on an idle machine.
const START: Duration = Duration::from_secs(180);

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
    /// `host:port` of its open listener.
    pub address: String,
    /// `host:port` of its guarded listener; its certificate is signed by [`Broker::authority`].
    pub guarded: String,
    /// `host:port` of the listener that says of itself to be at `relay`.
    pub watched: String,
    /// `host:port` where nobody listens unless a test does.
    pub relay: String,
    controller: String,
    cluster: String,
    process: Option<Child>,
}

/// Opens the file with the server's key; it protects nothing but this test.
const KEYSTORE_PASSWORD: &str = "only-for-tests";

impl Broker {
    /// Formats a data folder, starts a broker and waits until it answers.
    pub fn start(libs: &Path) -> Self {
        Self::node(libs, 1, None)
    }

    /// A second node of the same cluster, without a vote of its own: it may be stopped and killed.
    pub fn join(&self) -> Self {
        self.join_as(2)
    }

    /// The same with a number of its own.
    pub fn join_as(&self, id: u32) -> Self {
        Self::node(&self.libs, id, Some((&self.controller, &self.cluster)))
    }

    fn node(libs: &Path, id: u32, of: Option<(&str, &str)>) -> Self {
        let data = tempfile::tempdir().expect("a folder for the broker");
        let [address, guarded, watched, relay, own] = [(); 5].map(|()| format!("127.0.0.1:{}", free_port()));
        let controller = of.map_or(own, |(controller, _)| controller.to_owned());
        let (log, keys) = (data.path().join("log"), data.path().join("server.p12"));
        let (roles, door) = match of {
            None => ("broker,controller", format!(",CONTROLLER://{controller}")),
            Some(_) => ("broker", String::new()),
        };
        let (log, keys) = (log.display(), keys.display());
        let all = format!(
            "process.roles={roles}\nnode.id={id}\ncontroller.quorum.voters=1@{controller}\n\
             listeners=PLAINTEXT://{address},GUARDED://{guarded},WATCHED://{watched}{door}\n\
             advertised.listeners=PLAINTEXT://{address},GUARDED://{guarded},WATCHED://{relay}\n\
             controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,WATCHED:PLAINTEXT,GUARDED:SASL_SSL\n\
             log.dirs={log}\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\ntransaction.state.log.num.partitions=1\n\
             group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\nmessage.max.bytes=12000000\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS\nsasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.guarded.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             listener.name.guarded.ssl.keystore.location={keys}\nlistener.name.guarded.ssl.keystore.type=PKCS12\n\
             listener.name.guarded.ssl.keystore.password={KEYSTORE_PASSWORD}\n\
             broker.session.timeout.ms=6000\nbroker.heartbeat.interval.ms=1000\ncontrolled.shutdown.enable=true\n",
        );
        fs::write(data.path().join("server.properties"), all).expect("server.properties");
        let cluster = of.map_or_else(String::new, |(_, cluster)| cluster.to_owned());
        let libs = libs.to_owned();
        let mut broker = Self { libs, data, address, guarded, watched, relay, controller, cluster, process: None };
        broker.make_certificate();
        if broker.cluster.is_empty() {
            broker.cluster = broker.tool("kafka.tools.StorageTool", &["random-uuid"]).trim().to_owned();
        }
        let (cluster, properties) = (broker.cluster.clone(), broker.properties());
        broker.tool("kafka.tools.StorageTool", &["format", "-t", &cluster, "-c", &properties]);
        broker.resurrect();
        broker
    }

    /// The certificate that signs the guarded listener's, for `ssl.ca.location`.
    pub fn authority(&self) -> String {
        self.data.path().join("server.pem").display().to_string()
    }

    /// A self-signed certificate for 127.0.0.1, made by the JDK's own tool.
    fn make_certificate(&self) {
        let (keys, certificate) = (self.data.path().join("server.p12").display().to_string(), self.authority());
        let keytool = |arguments: &[&str]| {
            let all = [arguments, &["-keystore", &keys, "-storepass", KEYSTORE_PASSWORD, "-alias", "server"]].concat();
            let output = Command::new("keytool").args(all).output().expect("keytool of the JDK");
            assert!(output.status.success(), "keytool: {}", String::from_utf8_lossy(&output.stdout));
        };
        let address = ["-ext", "san=ip:127.0.0.1", "-dname", "CN=127.0.0.1"];
        let made =
            ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "30", "-storetype", "PKCS12"];
        keytool(&[made.as_slice(), &address].concat());
        keytool(&["-exportcert", "-rfc", "-file", &certificate]);
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

    /// Waits until every partition of a topic has `replicas` in sync.
    pub fn in_sync(&self, topic: &str, replicas: usize) {
        let deadline = Instant::now() + START;
        let arguments = ["--bootstrap-server", &self.address, "--describe", "--topic", topic];
        loop {
            let printed = self.tool("org.apache.kafka.tools.TopicCommand", &arguments);
            let mut in_sync = printed.lines().filter_map(|line| {
                let nodes = line.split("Isr: ").nth(1)?.split_whitespace().next()?;
                Some(nodes.split(',').count())
            });
            if in_sync.all(|count| count >= replicas) {
                return;
            }
            assert!(Instant::now() < deadline, "{printed}");
        }
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
