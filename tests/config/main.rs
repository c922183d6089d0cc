//! What people type: configuration files, their mistakes, and the commands that read them.

mod commands;
mod keys;
mod mistakes;
mod whole;

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use streamgauge::broker::{Finding, Inspect, RawRecord};
use streamgauge::cli::{self, Brokers, DemoOptions, Exit, Program, Terminal};
use streamgauge::config::{ClusterConfig, Config, Flags};
use streamgauge::model::StreamSpec;

fn env(name: &str) -> Option<String> {
    match name {
        "OPS_PASSWORD" => Some("hunter2".into()),
        "BROKERS" => Some("k1:9092,k2:9092".into()),
        _ => None,
    }
}

fn parse(source: &str) -> Result<Config, String> {
    Config::parse(Path::new("t.toml"), source, &Flags::default(), &env).map_err(|e| e.to_string())
}

const KAFKA: &str = "[[cluster]]\nname = \"main\"\nkind = \"kafka\"\nbootstrap_servers = \"k:9092\"\n";

/// A program that notes what it was asked to do.
#[derive(Default)]
struct Fake {
    calls: RefCell<Vec<String>>,
    findings: Vec<Finding>,
    records: Vec<RawRecord>,
}

struct FakeInspect(Vec<Finding>, Vec<RawRecord>);

impl Inspect for FakeInspect {
    fn doctor(&self, streams: &[StreamSpec], _: Duration) -> Vec<Finding> {
        assert!(!streams.is_empty());
        self.0.clone()
    }

    fn sample(&self, stream: &str, count: usize, _: Duration) -> Result<Vec<RawRecord>, String> {
        if stream == "none" { Err("no such stream".into()) } else { Ok(self.1.iter().take(count).cloned().collect()) }
    }
}

impl Brokers for Fake {
    fn inspect(&self, _: &Config, _: &ClusterConfig) -> Result<Box<dyn Inspect>, String> {
        Ok(Box::new(FakeInspect(self.findings.clone(), self.records.clone())))
    }

    fn check(&self, cluster: &ClusterConfig) -> Result<(), String> {
        match cluster.properties.iter().find(|(k, _)| *k == "client.id") {
            Some((key, value)) => Err(format!("not this \"{key}\": {value}")),
            None => Ok(()),
        }
    }
}

impl Program for Fake {
    fn serve(&self, config: Config) -> Exit {
        self.calls.borrow_mut().push(format!("serve {}", config.listen));
        Exit::Start
    }

    fn demo(&self, config: Config, o: DemoOptions) -> Exit {
        let dir = config.data_dir.display().to_string();
        self.calls.borrow_mut().push(format!("demo {dir} seed {} rate {} given {}", o.seed, o.rate, o.listen_given));
        Exit::Clean
    }
}

fn command(words: &[&str], program: &Fake) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = std::iter::once("streamgauge").chain(words.iter().copied()).map(Into::into);
    let exit = cli::run(args, program, &mut Terminal { env: &env, out: &mut out, err: &mut err });
    (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}
