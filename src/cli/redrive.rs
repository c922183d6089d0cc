//! `redrive --stream DLQ`: counts, or sends, dead letters back to where they came from.
//!
//! Stops at any moment without harm: what was sent is kept in the log beside the copies, and the next run goes on.
//! Whether a transaction has ended ok meanwhile is asked of a running server's API: `--server`, else the address
//! that the configuration says. Where none answers, nothing is sent, unless `--include-unknown` says so.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::watch;

use super::args::Source;
use super::lookup::Lookup;
use super::{Exit, Program, RedriveParts, Terminal, sample};
use crate::config::Config;
use crate::decode::parse_time;
use crate::dlq::{Mask, OffsetRange, Selection};
use crate::loops::{Reader, RedriveError, RedriveLoop, RedriveOptions, Reins, dlq_rules};
use crate::model::Timestamp;
use crate::run::clock::wall;
use crate::snapshot::RedriveView;
use crate::store::{AuditLog, Ledger};

/// How often progress is written.
const PROGRESS: Duration = Duration::from_secs(2);
/// How often the end of the run is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// What `redrive` is told.
#[derive(Args, Debug)]
pub(super) struct Redrive {
    /// The stream of dead letters
    #[arg(long, value_name = "STREAM")]
    stream: String,
    /// Which cluster, where that is not clear
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Count what would be sent and what would stay, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Only letters of this error class, whole or without its package; may be repeated
    #[arg(long, value_name = "CLASS")]
    error: Vec<String>,
    /// Only letters that this group gave up
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Only letters written at this time or later (RFC 3339, or seconds since 1970)
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Only letters written before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// Only these letters: PARTITION:FROM-TO, both included; may be repeated
    #[arg(long, value_name = "P:FROM-TO", value_parser = OffsetRange::parse)]
    offsets: Vec<OffsetRange>,
    /// Letters per second [default: [dlq] rate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// At most so many letters
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// To the retry stream of the group that gave up, so that no other group gets them again
    #[arg(long, conflicts_with = "to_stream")]
    to_retry_topic: bool,
    /// To this stream, whatever the letters say
    #[arg(long, value_name = "STREAM")]
    to_stream: Option<String>,
    /// Also letters whose transaction has ended ok meanwhile
    #[arg(long)]
    include_ended_ok: bool,
    /// Also where no server can be asked whether transactions have ended ok
    #[arg(long)]
    include_unknown: bool,
    /// Also from a stream that is not known to hold dead letters
    #[arg(long)]
    any_stream: bool,
    /// Where to ask about transactions: http://[USER:PASSWORD@]HOST:PORT[/PATH]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub source: Source,
}

fn time(text: &str) -> Result<Timestamp, String> {
    parse_time(text).map_err(|e| e.to_string())
}

pub(super) fn run(config: &Config, asked: Redrive, program: &dyn Program, terminal: &mut Terminal<'_>) -> Exit {
    let cluster = match sample::find(config, &asked.stream, asked.cluster.as_deref()) {
        Ok((cluster, _)) => cluster,
        Err(what) => {
            terminal.complain(what);
            return Exit::Config;
        }
    };
    let by = (terminal.env)("USER").filter(|u| !u.is_empty()).unwrap_or_else(|| "cli".into());
    let lookup = match Lookup::new(asked.server.as_deref(), config) {
        Ok(lookup) => lookup,
        Err(what) => {
            terminal.complain(format_args!("--server: {what}"));
            return Exit::Config;
        }
    };
    let streams = config.streams_of(&cluster.name);
    let made = dlq_rules(&config.dlq, &streams).and_then(|rules| {
        Ok((rules, Mask::new(&config.dlq.mask)?, program.redrive(config, cluster, &asked.stream, asked.dry_run)?))
    });
    let (rules, mask, RedriveParts { observe, mover, prepare }) = match made {
        Ok(made) => made,
        Err(what) => {
            terminal.complain(format_args!("cluster \"{}\": {what}", cluster.name));
            return Exit::Failed;
        }
    };
    let audit =
        if asked.dry_run { None } else { ledger(&config.data_dir, config.web_limits.idempotency_keys, terminal) };
    let (out, mut progress) = watch::channel(Arc::<RedriveView>::default());
    let run = RedriveLoop {
        run: uuid::Uuid::now_v7().to_string(),
        options: RedriveOptions {
            cluster: cluster.name.clone(),
            stream: asked.stream,
            selection: Selection {
                errors: asked.error,
                from: asked.from,
                to: asked.to,
                offsets: asked.offsets,
                group: asked.group,
            },
            dry_run: asked.dry_run,
            to_retry_topic: asked.to_retry_topic,
            to: asked.to_stream,
            include_ended_ok: asked.include_ended_ok,
            include_unknown: asked.include_unknown,
            any_stream: asked.any_stream,
            most: asked.max,
            rate: asked.rate.unwrap_or(config.dlq.rate),
            max_redrives: config.dlq.max_redrives,
            by,
        },
        observe,
        mover,
        ended: Box::new(lookup),
        reader: Reader::new(&streams, Arc::new(config.limits.clone()), mask),
        rules,
        prepare,
        audit,
        reins: Reins::default(),
        out,
        now: wall,
    };
    let ended = thread::scope(|scope| {
        let running = scope.spawn(|| run.run());
        let (mut next, mut shown) = (Instant::now() + PROGRESS, String::new());
        while !running.is_finished() {
            thread::sleep(LOOK);
            if Instant::now() >= next {
                next += PROGRESS;
                let now = line(&progress.borrow_and_update());
                if now != shown {
                    terminal.complain(&now);
                    shown = now;
                }
            }
        }
        running.join()
    });
    let view = progress.borrow().clone();
    terminal.print(if asked.json { as_json(&view) } else { report(&view) });
    match ended {
        Ok(Ok(_)) => Exit::Clean,
        Ok(Err(error)) => {
            terminal.complain(format_args!("redrive: {error}"));
            Exit::Failed
        }
        Err(_) => {
            terminal.complain(RedriveError::Impossible("the run panicked: a defect of ours".into()));
            Exit::Failed
        }
    }
}

/// The audit log of the data directory. A server that runs there holds it: then the lines are in the cluster's log only.
fn ledger(data_dir: &Path, keys: usize, terminal: &mut Terminal<'_>) -> Option<Arc<dyn AuditLog>> {
    match Ledger::open(&data_dir.join("ledger.redb"), keys) {
        Ok(ledger) => Some(Arc::new(ledger)),
        Err(error) => {
            terminal.complain(format_args!("audit: {error}; its lines are written beside the copies only"));
            None
        }
    }
}

/// One line of progress.
fn line(view: &RedriveView) -> String {
    let (sent, skipped): (u64, u64) = (view.sent.values().sum(), view.skipped.values().sum());
    let fault = if view.fault.is_empty() { String::new() } else { format!("; {}", view.fault) };
    format!("{}: {} of {} positions, {sent} sent, {skipped} left{fault}", view.state, view.passed, view.span)
}

fn as_json(view: &RedriveView) -> String {
    serde_json::to_string(view).map_or_else(|e| e.to_string(), |json| json + "\n")
}

/// The report for people.
fn report(view: &RedriveView) -> String {
    let mut text = String::new();
    let (what, verb, stay) =
        if view.dry_run { ("dry run", "would send", "would leave") } else { ("redrive", "sent", "left") };
    let _ = writeln!(
        text,
        "{what} of {} on {}: {}, {} letters looked at",
        view.stream, view.cluster, view.state, view.looked_at
    );
    for (target, count) in &view.sent {
        let _ = writeln!(text, "  {verb} {count} to {target}");
    }
    if view.sent.is_empty() {
        let _ = writeln!(text, "  {verb} none");
    }
    for (why, count) in &view.skipped {
        let _ = writeln!(text, "  {stay} {count}: {why}");
    }
    if view.unknown_transactions > 0 {
        let _ = writeln!(text, "  not known whether their transaction has ended: {}", view.unknown_transactions);
    }
    for note in &view.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}
