//! The life of all threads and tasks: each has a name, and the death of any one stops all, in order.
//!
//! ```text
//! members run --(first of: signal, request, a member ended)--> stop stage by stage --> Ended
//!                                                                 a second signal  --> Ended, forced
//! ```
//!
//! Stopping asks the members of one [`Stage`] and waits for them before it asks the next: readers stop
//! before the engine, so that the last checkpoint covers all that was read. A stage may use at most half
//! of the time that is left until the hard deadline, the last one all of it: one stuck member never robs
//! the last checkpoint.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

/// Most members of one process. Each sends one message in its life, so the channel below never blocks.
pub const MEMBERS_MAX: usize = 256;
/// Room in the channel for signals and requests; what exceeds it says nothing new.
const REQUESTS_MAX: usize = 16;

/// The order in which members are asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Live streams and HTTP: clients are told `bye` first.
    Edge,
    /// Readers and pollers.
    Read,
    /// The engine: what was read is applied, the last checkpoint handed out.
    Engine,
    /// Stores: the last checkpoint and the ledger become durable.
    Store,
}

const STAGES: [Stage; 4] = [Stage::Edge, Stage::Read, Stage::Engine, Stage::Store];

/// Why the process stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The operator or the service manager asked.
    Signal(&'static str),
    /// Our own code asked.
    Asked(String),
    /// A member ended although nobody had asked it to.
    Died {
        /// Its name.
        name: String,
        /// Its error, its panic message, or that it just returned.
        why: String,
    },
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signal(name) => write!(f, "received {name}"),
            Self::Asked(why) => f.write_str(why),
            Self::Died { name, why } => write!(f, "{name} died: {why}"),
        }
    }
}

/// How it ended.
#[derive(Debug)]
#[must_use]
pub struct Ended {
    /// What began it.
    pub reason: Reason,
    /// When.
    pub began: Instant,
    /// Members that failed while stopping, with their errors.
    pub failures: Vec<(String, String)>,
    /// Members that did not stop in time.
    pub stuck: Vec<String>,
    /// A second signal cut it short.
    pub forced: bool,
}

impl Ended {
    /// True where nothing died, failed, got stuck or was cut short.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !matches!(self.reason, Reason::Died { .. }) && self.failures.is_empty() && self.stuck.is_empty() && !self.forced
    }
}

enum Event {
    Ended(usize, Result<(), String>),
    Signal(&'static str),
    Asked(String),
}

struct Member {
    name: String,
    stage: Stage,
    stop: Option<Box<dyn FnOnce() + Send>>,
    running: bool,
}

/// Owns the list of members and the channel by which they report their end.
pub struct Supervisor {
    members: Vec<Member>,
    events: Receiver<Event>,
    report: SyncSender<Event>,
}

/// Asks the whole process to stop, from anywhere.
#[derive(Clone)]
pub struct Stopper(SyncSender<Event>);

impl Stopper {
    /// Asks for an orderly stop. Further requests change nothing.
    pub fn stop(&self, why: impl Into<String>) {
        // Full means that as many requests are waiting already.
        let _ = self.0.try_send(Event::Asked(why.into()));
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl Supervisor {
    /// Nobody runs yet.
    #[must_use]
    pub fn new() -> Self {
        let (report, events) = sync_channel(MEMBERS_MAX + REQUESTS_MAX);
        Self { members: Vec::new(), events, report }
    }

    /// A handle that asks for an orderly stop.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.report.clone())
    }

    /// Starts a named thread. `stop` asks it to end; it is called once, from the supervisor's thread.
    ///
    /// # Errors
    /// When the system gives no thread, or at [`MEMBERS_MAX`].
    pub fn thread(
        &mut self,
        name: &str,
        stage: Stage,
        stop: impl FnOnce() + Send + 'static,
        body: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> std::io::Result<()> {
        let (id, report) = self.enter()?;
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(panicked(&*panic)));
            let _ = report.send(Event::Ended(id, result)); // fails only when the supervisor is gone
        })?;
        self.add(name, stage, stop);
        Ok(())
    }

    /// Starts a named task on `runtime`. `stop` asks it to end.
    ///
    /// # Errors
    /// At [`MEMBERS_MAX`].
    pub fn task(
        &mut self,
        runtime: &Handle,
        name: &str,
        stage: Stage,
        stop: impl FnOnce() + Send + 'static,
        body: impl Future<Output = Result<(), String>> + Send + 'static,
    ) -> std::io::Result<()> {
        let (id, report) = self.enter()?;
        let task = runtime.spawn(body);
        runtime.spawn(async move {
            let result = match task.await {
                Ok(result) => result,
                Err(e) if e.is_panic() => Err(panicked(&*e.into_panic())),
                Err(_) => Err("was cancelled".to_owned()),
            };
            let _ = report.try_send(Event::Ended(id, result)); // cannot be full: one message per member
        });
        self.add(name, stage, stop);
        Ok(())
    }

    /// Turns SIGINT and SIGTERM into an orderly stop; a second one cuts it short.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub fn signals(&self, runtime: &Handle) -> std::io::Result<()> {
        let _entered = runtime.enter();
        for (kind, name) in [(SignalKind::interrupt(), "SIGINT"), (SignalKind::terminate(), "SIGTERM")] {
            let mut signals = signal(kind)?;
            let report = self.report.clone();
            runtime.spawn(async move {
                while signals.recv().await.is_some() {
                    let _ = report.try_send(Event::Signal(name)); // full: enough of them are waiting
                }
            });
        }
        Ok(())
    }

    /// Blocks until something ends the process, then stops everything within `deadline`.
    /// Not for a thread of the runtime.
    pub fn run(mut self, deadline: Duration) -> Ended {
        let reason = match self.events.recv() {
            Ok(Event::Signal(name)) => Reason::Signal(name),
            Ok(Event::Asked(why)) => Reason::Asked(why),
            Ok(Event::Ended(id, result)) => {
                self.members[id].running = false;
                let why = result.err().unwrap_or_else(|| "it returned although nobody asked it to stop".into());
                Reason::Died { name: self.members[id].name.clone(), why }
            }
            // Cannot be: `self.report` keeps the channel open.
            Err(_) => Reason::Asked("all members are gone".into()),
        };
        tracing::info!(%reason, "stopping");
        self.stop(reason, deadline)
    }

    fn stop(mut self, reason: Reason, deadline: Duration) -> Ended {
        let began = Instant::now();
        let deadline = began + deadline;
        let mut ended = Ended { reason, began, failures: Vec::new(), stuck: Vec::new(), forced: false };
        for stage in STAGES {
            for member in self.members.iter_mut().filter(|m| m.stage == stage) {
                if let Some(stop) = member.stop.take()
                    && catch_unwind(AssertUnwindSafe(stop)).is_err()
                {
                    ended.failures.push((member.name.clone(), "asking it to stop panicked".into()));
                }
            }
            let now = Instant::now();
            let until =
                if stage == Stage::Store { deadline } else { now + (deadline.saturating_duration_since(now) / 2) };
            self.wait(stage, until, &mut ended);
            if ended.forced {
                break;
            }
        }
        ended.stuck = self.members.iter().filter(|m| m.running).map(|m| m.name.clone()).collect();
        ended
    }

    /// Waits until every member of `stage` ended, or `until`.
    fn wait(&mut self, stage: Stage, until: Instant, ended: &mut Ended) {
        while self.members.iter().any(|m| m.running && m.stage == stage) {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Ended(id, result)) => {
                    self.members[id].running = false;
                    if let Err(why) = result {
                        ended.failures.push((self.members[id].name.clone(), why));
                    }
                }
                Ok(Event::Signal(_)) => {
                    ended.forced = true;
                    return;
                }
                Ok(Event::Asked(_)) => {}
                Err(_) => return,
            }
        }
    }

    fn enter(&self) -> std::io::Result<(usize, SyncSender<Event>)> {
        if self.members.len() >= MEMBERS_MAX {
            return Err(std::io::Error::other(format!("more than {MEMBERS_MAX} threads and tasks")));
        }
        Ok((self.members.len(), self.report.clone()))
    }

    fn add(&mut self, name: &str, stage: Stage, stop: impl FnOnce() + Send + 'static) {
        self.members.push(Member { name: name.to_owned(), stage, stop: Some(Box::new(stop)), running: true });
    }
}

/// The message of a panic.
fn panicked(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".into());
    format!("panicked: {message}")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel as bounded;
    use std::sync::{Arc, Mutex};

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// A member that runs until asked and then notes its name.
    fn obedient(s: &mut Supervisor, name: &'static str, stage: Stage, log: &Arc<Mutex<Vec<&'static str>>>) {
        let (ask, asked) = sync_channel::<()>(1);
        let log = log.clone();
        s.thread(
            name,
            stage,
            move || drop(ask),
            move || {
                let _ = asked.recv();
                log.lock().unwrap().push(name);
                Ok(())
            },
        )
        .unwrap();
    }

    #[test]
    fn the_death_of_one_stops_all_in_order() {
        let log = Arc::default();
        let mut s = Supervisor::new();
        obedient(&mut s, "store", Stage::Store, &log);
        obedient(&mut s, "http", Stage::Edge, &log);
        obedient(&mut s, "engine", Stage::Engine, &log);
        obedient(&mut s, "read-0", Stage::Read, &log);
        s.thread("lag", Stage::Read, || (), || panic!("no coordinator")).unwrap();
        let ended = s.run(SOON);
        assert_eq!(ended.reason.to_string(), "lag died: panicked: no coordinator");
        assert_eq!(*log.lock().unwrap(), ["http", "read-0", "engine", "store"]);
        assert!(ended.failures.is_empty() && ended.stuck.is_empty() && !ended.is_clean());
    }

    #[test]
    fn returning_unasked_is_a_death_and_an_error_while_stopping_is_kept() {
        let mut s = Supervisor::new();
        let (ask, asked) = sync_channel::<()>(1);
        s.thread(
            "store",
            Stage::Store,
            move || drop(ask),
            move || {
                let _ = asked.recv();
                Err("disk full".into())
            },
        )
        .unwrap();
        s.thread("engine", Stage::Engine, || (), || Ok(())).unwrap();
        let ended = s.run(SOON);
        assert_eq!(ended.reason.to_string(), "engine died: it returned although nobody asked it to stop");
        assert_eq!(ended.failures, [("store".to_owned(), "disk full".to_owned())]);
    }

    #[test]
    fn a_stuck_member_is_named_and_does_not_rob_the_last_checkpoint() {
        let log = Arc::default();
        let (release, held) = bounded::<()>(1);
        let mut s = Supervisor::new();
        s.thread(
            "read-0",
            Stage::Read,
            || (),
            move || {
                let _ = held.recv();
                Ok(())
            },
        )
        .unwrap();
        obedient(&mut s, "store", Stage::Store, &log);
        s.stopper().stop("test");
        let ended = s.run(Duration::from_millis(200));
        drop(release);
        assert_eq!(ended.stuck, ["read-0"]);
        assert_eq!(*log.lock().unwrap(), ["store"]);
    }

    #[test]
    fn tasks_too_and_a_second_signal_cuts_short() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let mut s = Supervisor::new();
        s.task(runtime.handle(), "http", Stage::Edge, || (), std::future::pending()).unwrap();
        s.report.send(Event::Signal("SIGTERM")).unwrap();
        s.report.send(Event::Signal("SIGINT")).unwrap();
        let ended = s.run(SOON);
        assert!(ended.forced);
        assert_eq!(
            (ended.reason.to_string().as_str(), ended.stuck.as_slice()),
            ("received SIGTERM", &["http".into()][..])
        );

        let mut s = Supervisor::new();
        s.task(runtime.handle(), "frame", Stage::Edge, || (), async { panic!("bad template") }).unwrap();
        assert_eq!(s.run(SOON).reason.to_string(), "frame died: panicked: bad template");
    }
}
