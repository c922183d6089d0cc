//! The command line: reads it, loads the configuration, and runs what it names.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | ended cleanly; `doctor`: everything holds |
//! | 1 | something failed on the way: a thread died, a finding of `doctor` does not hold, `sample` could not read |
//! | 2 | command line or configuration is wrong |
//! | 3 | the address cannot be bound, or the store not be opened |
//! | 4 | the store is damaged |
//!
//! What a command prints for its user goes to stdout, everything else to stderr.

mod args;
mod doctor;
mod lookup;
mod redrive;
mod sample;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::broker::{Inspect, Move, Observe};
use crate::config::{ClusterConfig, Config, ConfigErrors, Env, Flags};
use crate::loops::Prepare;
use args::{Cli, Command};

/// How a run ended; the number is the exit code of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Exit {
    /// Cleanly.
    Clean = 0,
    /// Something failed on the way.
    Failed = 1,
    /// Command line or configuration is wrong.
    Config = 2,
    /// Cannot bind the address or open the store.
    Start = 3,
    /// The store is damaged.
    Damaged = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What `demo` is told beside its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// Seed of its traffic; the same seed makes the same transactions.
    pub seed: u64,
    /// Transactions per second.
    pub rate: u32,
    /// True where `--listen` was given: then a busy port is an error, not a reason to take the next one.
    pub listen_given: bool,
}

/// What a redrive needs of its cluster.
pub struct RedriveParts {
    /// Reads: must survey every stream of the cluster, for each may be a target.
    pub observe: Box<dyn Observe>,
    /// Writes; `None` for a dry run.
    pub mover: Option<Box<dyn Move>>,
    /// Makes the stream of markers.
    pub prepare: Prepare,
}

/// Looks into clusters; the wiring knows how.
pub trait Brokers {
    /// An inspector of one cluster. Need not reach it yet.
    ///
    /// # Errors
    /// What no retry can mend, in words for an operator.
    fn inspect(&self, config: &Config, cluster: &ClusterConfig) -> Result<Box<dyn Inspect>, String>;

    /// What a redrive of `stream` needs. Need not reach the cluster yet.
    ///
    /// # Errors
    /// What no retry can mend, in words for an operator.
    fn redrive(
        &self,
        config: &Config,
        cluster: &ClusterConfig,
        stream: &str,
        dry_run: bool,
    ) -> Result<RedriveParts, String> {
        let _ = (config, stream, dry_run);
        Err(format!("letters of cluster {} cannot be redriven", cluster.name))
    }

    /// What the client of this cluster says about its settings, without reaching for it.
    ///
    /// # Errors
    /// In words for an operator.
    fn check(&self, cluster: &ClusterConfig) -> Result<(), String> {
        let _ = cluster;
        Ok(())
    }
}

/// What the wiring plugs into the command line. Both methods block until the process is to end.
pub trait Program: Brokers {
    /// `serve`.
    fn serve(&self, config: Config) -> Exit;

    /// `demo`. The configuration is that of `serve` without a file, in a data directory of its own.
    fn demo(&self, config: Config, options: DemoOptions) -> Exit;
}

/// Where a command reads its environment and writes its words.
pub struct Terminal<'a> {
    /// Variables of the environment.
    pub env: Env<'a>,
    /// What was asked for.
    pub out: &'a mut dyn Write,
    /// What went wrong.
    pub err: &'a mut dyn Write,
}

impl Terminal<'_> {
    /// A closed pipe is no reason to fail: whoever closed it has read enough.
    fn print(&mut self, what: impl Display) {
        let _ = write!(self.out, "{what}");
    }

    /// What was printed is to be seen now, also where it is piped on.
    fn flush(&mut self) {
        let _ = self.out.flush();
    }

    fn complain(&mut self, what: impl Display) {
        let _ = writeln!(self.err, "{what}");
    }
}

/// Where `demo` keeps its data unless told otherwise: beside, never in, that of `serve`.
pub const DEMO_DIR_DEFAULT: &str = "demo-data";

/// Runs the command line. `args` begins with the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>, program: &dyn Program, terminal: &mut Terminal<'_>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        // `--help` and `--version` come this way too.
        Err(e) if e.use_stderr() => {
            terminal.complain(e.render().to_string().trim_end());
            return Exit::Config;
        }
        Err(e) => {
            terminal.print(e.render());
            return Exit::Clean;
        }
    };
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(serve) => match load(&serve.flags(), program, terminal) {
            Ok(config) => match exposed(&config, terminal) {
                Some(exit) => exit,
                None => program.serve(config),
            },
            Err(exit) => exit,
        },
        Command::Demo(demo) => {
            let (mut flags, options) = demo.split();
            // A variable of the environment may still say otherwise.
            if flags.data_dir.is_none() && (terminal.env)("STREAMGAUGE_DATA_DIR").is_none_or(|v| v.is_empty()) {
                flags.data_dir = Some(PathBuf::from(DEMO_DIR_DEFAULT));
            }
            match load(&flags, program, terminal) {
                Ok(config) => match exposed(&config, terminal) {
                    Some(exit) => exit,
                    None => program.demo(config, options),
                },
                Err(exit) => exit,
            }
        }
        Command::CheckConfig { file, insecure_no_auth } => check_config(file, insecure_no_auth, program, terminal),
        Command::Doctor(source) => match load(&source.flags(), program, terminal) {
            Ok(config) => doctor::run(&config, program, terminal),
            Err(exit) => exit,
        },
        Command::Sample { stream, cluster, source } => match load(&source.flags(), program, terminal) {
            Ok(config) => sample::run(&config, &stream, cluster.as_deref(), program, terminal),
            Err(exit) => exit,
        },
        Command::Redrive(asked) => match load(&asked.source.flags(), program, terminal) {
            Ok(config) => redrive::run(&config, asked, program, terminal),
            Err(exit) => exit,
        },
        Command::TraceId { flow, transaction } => {
            let id = crate::decode::hex(&crate::decode::trace_id(&flow, &transaction));
            terminal.print(format_args!("{id}\n"));
            Exit::Clean
        }
    }
}

/// Loads and checks; complaints are printed.
fn load(flags: &Flags, program: &dyn Program, terminal: &mut Terminal<'_>) -> Result<Config, Exit> {
    let config = Config::load(flags, terminal.env).map_err(|errors: ConfigErrors| {
        terminal.complain(&errors);
        Exit::Config
    })?;
    let refusals: Vec<String> = config
        .clusters
        .iter()
        .filter_map(|c| {
            program.check(c).err().map(|why| format!("cluster \"{}\": {}", c.name, c.properties.redact(&why)))
        })
        .collect();
    for refusal in &refusals {
        terminal.complain(refusal);
    }
    if refusals.is_empty() { Ok(config) } else { Err(Exit::Config) }
}

/// Warnings on the way to a start, and the end of it where everybody could look in.
fn exposed(config: &Config, terminal: &mut Terminal<'_>) -> Option<Exit> {
    for warning in &config.warnings {
        terminal.complain(format_args!("warning: {warning}"));
    }
    let problem = config.check_exposure().err()?;
    terminal.complain(problem);
    Some(Exit::Config)
}

fn check_config(file: PathBuf, insecure_no_auth: bool, program: &dyn Program, terminal: &mut Terminal<'_>) -> Exit {
    let flags = Flags { config: Some(file), insecure_no_auth, ..Flags::default() };
    match load(&flags, program, terminal) {
        Ok(config) => {
            terminal.print(config.summary());
            // Only a start can know whether the flag will be given, so this is no error yet.
            if let Err(problem) = config.check_exposure() {
                terminal.print(format_args!("warning: {problem}\n"));
            }
            Exit::Clean
        }
        Err(exit) => exit,
    }
}
