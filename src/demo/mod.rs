//! The demo: scripted traffic of a small shop, so that every page has something true to show.
//!
//! Two flows over six streams: `checkout` (five stages, with retries, failures, compensations and dead
//! letters) and `refund` (three stages). The script is a pure function of a seed and of time; this
//! file is the loop that appends what it says, through the same [`Write`] as everybody's events.
//!
//! Live traffic has an incident from 0:45 on, a minute each with 75 s of calm between, in turn: payments
//! slow down and some hang; shipping stalls for 40 s and drains; dead letters pile up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};

use crate::broker::{NewRecord, Stop, Write};
use crate::model::{FlowSpec, Format, MICROS_PER_SECOND, Role, Start, StreamName, StreamSpec, Timestamp};

mod chance;
mod event;
mod incident;
mod plan;
mod script;
mod workers;

use plan::{CHECKOUT, Emission, Flow, Name, REFUND, STREAMS};
use script::Script;
pub use workers::Workers;

/// Transactions that begin per second at rate 1, over both flows.
pub const TRANSACTIONS_PER_SECOND: f64 = 25.0;
/// History written before the first live event.
const HISTORY: i64 = 15 * 60 * MICROS_PER_SECOND;
/// Records of history at most: at higher rates it is shorter.
const HISTORY_RECORDS: f64 = 500_000.0;
/// Records of history per second at rate 1, rounded up.
const RECORDS_PER_SECOND: f64 = 140.0;
/// History that is scripted and appended at once, in microseconds: the streams advance together, so that a reader
/// at their end is at no stream's end long before it is at the others'.
const STRIDE: i64 = 10 * MICROS_PER_SECOND;
/// Strides that wait for the log, about 20,000 records at rate 1.
const LANE: usize = 16;
/// How often live events are appended.
const BEAT: Duration = Duration::from_millis(50);
/// A clock that jumps further than this was stopped (a laptop that slept): traffic pauses instead of bursting.
const JUMP: i64 = 10 * MICROS_PER_SECOND;
/// Records per stream that wait for a log that does not answer; beyond, the oldest go and are counted.
const WAITING: usize = 50_000;
/// A pause after which transactions in flight are left to their timeout instead of going on.
const LONG_PAUSE: i64 = 10 * 60 * MICROS_PER_SECOND;

/// How the traffic begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With 15 minutes of backdated history: the log is empty.
    Backfill,
    /// Without history.
    Live,
    /// After a restart: goes on where the log ends. Transactions that were in flight go on where they stood; the
    /// pause itself stays empty.
    Resume {
        /// When the newest record was appended.
        log_end: Timestamp,
    },
}

/// What was appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Records of history.
    pub history: u64,
    /// Records of live traffic.
    pub live: u64,
    /// Records that went because the log did not answer for too long.
    pub dropped: u64,
}

/// The streams to read, all from their beginning.
#[must_use]
pub fn streams(cluster: &str) -> Vec<StreamSpec> {
    let spec = |name: &&str| StreamSpec {
        cluster: cluster.to_owned(),
        name: StreamName::Exact((*name).to_owned()),
        role: if name.ends_with(".dlq") { Role::Dlq } else { Role::Events },
        start: Start::Earliest,
        format: Format::Auto,
    };
    STREAMS.iter().map(spec).collect()
}

/// The flows, with deadlines close enough that an incident shows as stuck transactions while it lasts.
#[must_use]
pub fn flows() -> Vec<FlowSpec> {
    let flow = |flow: Flow, stages: &[plan::Stage], deadlines: &[u64]| FlowSpec {
        name: flow.name().to_owned(),
        stages: stages.iter().map(|s| s.name.to_owned()).collect(),
        ends_at: stages.last().map(|s| s.name.to_owned()).into_iter().collect(),
        timeout: Some(Duration::from_secs(15 * 60)),
        stage_deadlines: stages[1..]
            .iter()
            .zip(deadlines)
            .map(|(s, seconds)| (s.name.to_owned(), Duration::from_secs(*seconds)))
            .collect(),
    };
    vec![flow(Flow::Checkout, &CHECKOUT, &[6, 5, 12, 10]), flow(Flow::Refund, &REFUND, &[20, 45])]
}

/// Traffic that has begun: its history is written, its live part is still to run.
pub struct Traffic {
    script: Script,
    began: Timestamp,
    done: Appended,
    /// Dead letters that came back: the consumers tell, the script goes on with them.
    redrive: mpsc::Sender<Name>,
    redriven: mpsc::Receiver<Name>,
}

/// Begins the traffic; writes its history, if it shall have one. `rate` scales it: 1 is [`TRANSACTIONS_PER_SECOND`].
///
/// To be awaited before anybody reads: backdated records that are appended behind a reader that stands
/// at the end are late, and the reader would rightly say so.
pub async fn begin(write: Arc<dyn Write>, seed: u64, rate: f64, begin: Begin, now: fn() -> Timestamp) -> Traffic {
    let began = now();
    let mut done = Appended::default();
    let script = match begin {
        Begin::Resume { log_end } if began.since(log_end) < LONG_PAUSE => Script::resume(seed, rate, log_end, began),
        Begin::Live | Begin::Resume { .. } => Script::new(seed, rate, began, Some(began)),
        Begin::Backfill => {
            let (script, history) = backfill(&write, seed, rate, began).await;
            tracing::info!(records = history, micros = now().since(began), "wrote the demo's history");
            done.history = history;
            script
        }
    };
    let (redrive, redriven) = mpsc::channel(workers::REDRIVEN_QUEUE);
    Traffic { script, began, done, redrive, redriven }
}

/// Appends live traffic until stopped; tells what it appended.
/// A log that does not answer is asked again; what then overflows is counted.
pub async fn run(mut traffic: Traffic, write: Arc<dyn Write>, now: fn() -> Timestamp, stop: Stop) -> Appended {
    live(&write, &mut traffic, now, &stop).await;
    traffic.done
}

/// Writes the history: the script runs on a thread of its own while a task per stream appends.
async fn backfill(write: &Arc<dyn Write>, seed: u64, rate: f64, now: Timestamp) -> (Script, u64) {
    let seconds = HISTORY_RECORDS / (RECORDS_PER_SECOND * rate.max(0.01));
    let from = now.plus(-HISTORY.min((seconds * MICROS_PER_SECOND as f64) as i64));
    let mut tasks = JoinSet::new();
    let mut lanes = Vec::new();
    for stream in STREAMS {
        // Where that makes the stream, readers find all of them at once. What is wrong, the records will say.
        let _ = write.append(stream, Vec::new()).await;
    }
    for stream in STREAMS {
        let (lane, mut strides) = mpsc::channel::<Vec<NewRecord>>(LANE);
        lanes.push(lane);
        let write = Arc::clone(write);
        tasks.spawn(async move {
            let (mut written, mut waiting) = (0, Vec::new());
            // What waits goes in one append: on a slow disk they become few and large.
            while strides.recv_many(&mut waiting, LANE).await > 0 {
                let chunk: Vec<NewRecord> = waiting.drain(..).flatten().collect();
                let records = chunk.len() as u64;
                match write.append(stream, chunk).await {
                    Ok(_) => written += records,
                    Err(error) => tracing::warn!(stream, records, %error, "a part of the demo's history is missing"),
                }
            }
            // The history is complete: readers need not wait for more of it.
            let _ = write.append(stream, Vec::new()).await;
            written
        });
    }
    let scripted = spawn_blocking(move || {
        let mut script = Script::new(seed, rate, from, Some(now));
        let (mut emissions, mut to) = (Vec::new(), from);
        let mut chunks: Vec<Vec<NewRecord>> = vec![Vec::new(); STREAMS.len()];
        while to < now {
            to = now.min(to.plus(STRIDE));
            script.until(to, &mut emissions);
            for emission in emissions.drain(..) {
                chunks[emission.stage.stream].push(event::record(&emission, Some(emission.at)));
            }
            for (lane, chunk) in lanes.iter().zip(&mut chunks).filter(|(_, chunk)| !chunk.is_empty()) {
                // A lane that is gone has said why.
                let _ = lane.blocking_send(std::mem::take(chunk));
            }
        }
        script
    });
    let script = scripted.await;
    let mut written = 0;
    while let Some(task) = tasks.join_next().await {
        written += task.unwrap_or(0);
    }
    // The thread cannot have panicked but by a defect; live traffic then begins without history.
    (script.unwrap_or_else(|_| Script::new(seed, rate, now, Some(now))), written)
}

/// Appends what is due, twenty times a second.
async fn live(write: &Arc<dyn Write>, traffic: &mut Traffic, now: fn() -> Timestamp, stop: &Stop) {
    let Traffic { script, began, done, redriven, .. } = traffic;
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut last, mut due): (_, Vec<Emission>) = (*began, Vec::new());
    let mut waiting = vec![Vec::new(); STREAMS.len()];
    while !stop.is_set() {
        beat.tick().await;
        let time = now();
        if time.since(last) > JUMP {
            script.pause(last, time);
        }
        last = time.max(last);
        while let Ok(name) = redriven.try_recv() {
            script.redriven(name, last);
        }
        script.until(last, &mut due);
        for emission in due.drain(..) {
            let lane: &mut Vec<NewRecord> = &mut waiting[emission.stage.stream];
            lane.push(event::record(&emission, None));
        }
        let mut appends = JoinSet::new();
        for (lane, records) in waiting.iter_mut().enumerate().filter(|(_, records)| !records.is_empty()) {
            let excess = records.len().saturating_sub(WAITING);
            done.dropped += records.drain(..excess).len() as u64;
            let (write, records) = (Arc::clone(write), std::mem::take(records));
            appends.spawn(async move {
                let result = write.append(STREAMS[lane], records.clone()).await;
                (lane, records, result)
            });
        }
        while let Some(append) = appends.join_next().await {
            match append {
                Ok((_, records, Ok(_))) => done.live += records.len() as u64,
                Ok((lane, records, Err(error))) => {
                    tracing::warn!(stream = STREAMS[lane], %error, "the demo's events wait for the log");
                    waiting[lane] = records;
                }
                Err(error) => tracing::warn!(%error, "an append of the demo ended badly"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
