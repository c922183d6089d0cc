//! The words of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::DemoOptions;
use super::redrive::Redrive;
use crate::config::Flags;

/// Watches transactions that travel as events through Kafka or its own log, and says what it saw.
///
/// Without a command it serves. Without a file it uses its own log; with --kafka it watches every topic there.
#[derive(Debug, Parser)]
#[command(name = "streamgauge", version, args_conflicts_with_subcommands = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub serve: Serve,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Watch, and serve what was seen (the default)
    Serve(Serve),
    /// Serve with traffic of its own: 15 minutes at once, then live, with incidents
    Demo(Demo),
    /// Check a configuration file and say what would be read
    CheckConfig {
        /// The file
        file: PathBuf,
        /// As for serve: do not warn about an address that everybody can reach
        #[arg(long)]
        insecure_no_auth: bool,
    },
    /// Reach every cluster, check the rights that are needed, and say how to mend what is missing
    Doctor(Source),
    /// Print the newest five records of a stream, decoded, and a [stream.map] to paste
    Sample {
        /// Topic, or stream of the embedded log
        stream: String,
        /// Which cluster, where that is not clear
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        #[command(flatten)]
        source: Source,
    },
    /// Send dead letters back to where they came from; begin with --dry-run
    Redrive(Redrive),
    /// Print the trace id of a transaction whose events carry none
    TraceId {
        /// Flow
        flow: String,
        /// Transaction id
        transaction: String,
    },
}

/// Where the configuration comes from.
#[derive(Args, Debug)]
pub(super) struct Source {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Without a file: watch every topic of this Kafka
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Where state and the embedded log lie [default: streamgauge-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Source {
    pub(super) fn flags(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            kafka: self.kafka.clone(),
            data_dir: self.data_dir.clone(),
            ..Flags::default()
        }
    }
}

/// Where pages are served.
#[derive(Args, Debug)]
struct Listen {
    /// Address and port; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Listen beyond this machine although no users are configured: everybody can read and post
    #[arg(long)]
    insecure_no_auth: bool,
}

#[derive(Args, Debug)]
pub(super) struct Serve {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    listen: Listen,
}

impl Serve {
    pub(super) fn flags(&self) -> Flags {
        Flags {
            listen: self.listen.listen.clone(),
            insecure_no_auth: self.listen.insecure_no_auth,
            ..self.source.flags()
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct Demo {
    /// The same seed makes the same transactions
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Transactions per second
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Send the traffic through this Kafka instead of the embedded log
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Where state and the embedded log lie [default: demo-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    listen: Listen,
}

impl Demo {
    pub(super) fn split(self) -> (Flags, DemoOptions) {
        let options = DemoOptions { seed: self.seed, rate: self.rate, listen_given: self.listen.listen.is_some() };
        let flags = Flags {
            config: None,
            kafka: self.kafka,
            listen: self.listen.listen,
            data_dir: self.data_dir,
            insecure_no_auth: self.listen.insecure_no_auth,
        };
        (flags, options)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_work_without_the_word_serve() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).map_err(|e| e.kind());
        let cli = parse("streamgauge --kafka k:9092 --listen 127.0.0.1:0").unwrap();
        assert!(cli.command.is_none());
        let flags = Flags { kafka: Some("k:9092".into()), listen: Some("127.0.0.1:0".into()), ..Flags::default() };
        assert_eq!(cli.serve.flags(), flags);
        let Some(Command::Serve(serve)) =
            parse("streamgauge serve --kafka k:9092 --listen 127.0.0.1:0").unwrap().command
        else {
            panic!("serve is a command");
        };
        assert_eq!(serve.flags(), flags);
        for wrong in
            ["streamgauge --listen x demo", "streamgauge redrive", "streamgauge demo --rate 0", "streamgauge sample"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
