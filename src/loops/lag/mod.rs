//! One thread per cluster that watches its groups: survey, questions, view, on a schedule, never because of a page.
//!
//! ```text
//! Observe.survey -> Board.absorb -> questions <-> Observe.positions_at (some rounds) -> view -> watch<Arc<LagBoard>>
//! ```

mod commits;
mod told;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::DlqKeeper;
use crate::broker::{GroupNames, Observe, Stop};
use crate::dlq::OWN_PREFIX;
use crate::lag::{Board, BoardConfig, StoredIndex};
use crate::model::{LagSpec, StreamSpec, Survey, Timestamp};
use crate::snapshot::{LagBoard, LagCluster, PushView, Snapshot};
use crate::store::{KeepStore, KeptOf, TimesFile};
pub use commits::{Commits, CommitsLoop};
use told::Told;

/// Questions in one round: one request per broker carries them all.
const QUESTIONS: usize = 4_000;
/// Rounds of questions after one survey: an age that was never known takes about ten in all.
const ROUNDS: usize = 8;
/// Records read after one survey, where reading is allowed.
const READS: usize = 200;
/// A round of questions or reads may take so long.
const ROUND: Duration = Duration::from_secs(5);
/// How often changed time indexes are stored: a cache need not be newer.
const STORE: Duration = Duration::from_secs(60);
/// How many at once: meanwhile there are copies of them, here and in the store's transaction.
const STORED: usize = 1_000;
/// How often a waiting loop looks whether it has to stop.
const LOOK: Duration = Duration::from_millis(200);
/// How often commits that are pushed are shown between two surveys.
const PUSHED: Duration = Duration::from_secs(1);

/// Watches the groups of one cluster.
pub struct LagLoop {
    /// Cluster by name.
    pub cluster: String,
    /// `kafka` or `embedded`.
    pub kind: &'static str,
    /// Asks the cluster.
    pub observe: Box<dyn Observe>,
    /// How.
    pub spec: LagSpec,
    /// Streams of this cluster; those of role `lag` are read for lag events, others are not touched.
    pub streams: Vec<StreamSpec>,
    /// Keeps the time indexes over restarts, shared by all clusters; `None`: every start is a cold one.
    pub times: Option<Arc<Mutex<TimesFile>>>,
    /// Keeps the counters over restarts; `None`: they count from now on.
    pub counts: Option<Arc<dyn KeepStore>>,
    /// Commits as they are pushed; `None`: groups are only asked for.
    pub commits: Option<Commits>,
    /// Keeps the dead letters of this cluster from the same surveys, and answers peeks in the pauses; `None`: nobody does.
    pub letters: Option<DlqKeeper>,
    /// What we read ourselves: the records at its ends are known with their times.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Place of this cluster in the board; see [`LagLoop::empty`].
    pub slot: usize,
    /// To the engine's tick: newest wins. All loops send to the same one, each changes its own place.
    pub out: watch::Sender<Arc<LagBoard>>,
    /// The wall clock.
    pub now: fn() -> Timestamp,
    /// Asks to stop.
    pub stop: Stop,
    /// How the pushed commits went last.
    pub push: Option<PushView>,
}

impl LagLoop {
    /// The board before the first survey: every cluster by name and kind, in the order of their slots.
    #[must_use]
    pub fn empty(clusters: &[(String, &'static str)]) -> LagBoard {
        let cluster = |(name, kind): &(String, &'static str)| {
            Arc::new(LagCluster { cluster: name.clone(), kind, ..LagCluster::default() })
        };
        LagBoard { clusters: clusters.iter().map(cluster).collect() }
    }

    /// The same with the counters of groups as they were stored: they are there before the first survey.
    #[must_use]
    pub fn stored(clusters: &[(String, &'static str)], counts: &dyn KeepStore) -> LagBoard {
        let mut all = Self::empty(clusters);
        for cluster in &mut all.clusters {
            let mut board = Board::new(BoardConfig::default());
            restore(&mut board, &cluster.cluster, counts);
            Arc::make_mut(cluster).lost = board.losses().into();
        }
        all
    }

    /// Runs until stopped.
    pub fn run(mut self) {
        let mut board = Board::new(BoardConfig {
            cluster: self.cluster.clone(),
            kind: self.kind,
            groups: self.spec.groups,
            rows: self.spec.rows,
            read_records: self.spec.read_records,
        });
        self.load(&mut board);
        if let Some(counts) = &self.counts {
            restore(&mut board, &self.cluster, &**counts);
        }
        let mut lost: Arc<[_]> = board.losses().into();
        if let Some(letters) = &mut self.letters {
            letters.restore();
        }
        self.observe.ends_with(self.stop.clone());
        // What cannot be used leaves nothing out, and is said.
        let (names, fault) =
            GroupNames::new(&self.spec).map_or_else(|e| (GroupNames::default(), Some(e)), |n| (n, None));
        let mut told = Told::new(&self.streams);
        let mut stored = Instant::now();
        while !self.stop.is_set() {
            let began = Instant::now();
            let mut survey = self.observe.survey(self.spec.deadline);
            if self.stop.is_set() {
                break; // it was cut short: what it says of groups is not the whole
            }
            survey.groups.retain(|g| names.wanted(&g.name));
            survey.faults.extend(fault.clone());
            if survey.answered {
                told.read(self.observe.as_mut(), &mut survey, (self.now)());
            }
            // Our own groups keep the progress of redrives: between two of them nobody is late.
            let (own, others) = survey.groups.drain(..).partition(|g| g.name.starts_with(OWN_PREFIX));
            survey.groups = others;
            self.take_pushed(&mut board);
            board.absorb(&survey);
            survey.groups.extend::<Vec<_>>(own);
            board.told(told.newest());
            self.learn(&mut board);
            self.ask(&mut board, began);
            self.count(&mut board, &mut lost);
            let view = board.view((self.now)());
            self.publish(view, &board, &lost);
            if stored.elapsed() >= STORE {
                self.store(&mut board);
                stored = Instant::now();
            }
            // Letters after lag: a breakdown may wait.
            if let Some(letters) = &mut self.letters {
                letters.absorb(&survey, self.observe.as_mut(), &self.stop);
            }
            drop(survey);
            self.rest(&mut board, &lost, began + self.spec.interval);
        }
        self.store(&mut board);
    }

    /// Shows a view.
    fn publish(&self, mut view: Arc<LagCluster>, board: &Board, lost: &Arc<[(Arc<str>, u64)]>) {
        let whole = Arc::make_mut(&mut view);
        whole.lost = Arc::clone(lost);
        whole.push = self.push.clone().map(|push| {
            let (disagreements, disagreed) = board.disagreements();
            let dropped = push.dropped + board.pushes_dropped();
            PushView { disagreements, disagreed: disagreed.to_owned(), dropped, ..push }
        });
        if let Some(push) = &whole.push {
            if !push.words.is_empty() {
                whole.faults.push(format!("commits are not pushed, groups are asked for: {}", push.words));
            }
            if push.disagreements > 0 {
                let (n, last) = (push.disagreements, &push.disagreed);
                whole
                    .faults
                    .push(format!("pushed commits and surveys disagreed {n} times, the survey is believed: {last}"));
            }
        }
        self.out.send_modify(|all| {
            let all = Arc::make_mut(all);
            if let Some(place) = all.clusters.get_mut(self.slot) {
                *place = view;
            }
        });
    }

    /// Commits that were pushed since the last time.
    fn take_pushed(&mut self, board: &mut Board) {
        let Some(commits) = &self.commits else { return };
        let taken = commits.take();
        if taken.anew {
            board.pushes_begin_anew();
        }
        board.pushed(taken.commits);
        self.push = Some(taken.view);
    }

    /// Shows the counters anew once they are durable.
    fn count(&self, board: &mut Board, lost: &mut Arc<[(Arc<str>, u64)]>) {
        if let Some(counts) = &self.counts {
            let rows = board.changed_losses();
            if rows.is_empty() {
                return;
            }
            if let Err(error) = counts.save_kept(&self.cluster, KeptOf::Groups, &rows) {
                tracing::warn!(cluster = %self.cluster, %error, "counters of groups could not be stored; they stand still");
                return board.losses_not_stored(rows);
            }
        }
        *lost = board.losses().into();
    }

    /// The pause until the next survey: people's questions are answered, and what we read meanwhile is learned.
    fn rest(&mut self, board: &mut Board, lost: &Arc<[(Arc<str>, u64)]>, until: Instant) {
        let mut shown = Instant::now();
        while !self.stop.is_set() && Instant::now() < until {
            self.learn(board);
            if shown.elapsed() >= PUSHED {
                self.take_pushed(board);
                shown = Instant::now();
                if let Some(view) = board.pushed_view() {
                    self.publish(view, board, lost);
                }
            }
            let a_while = until.min(Instant::now() + LOOK);
            match &mut self.letters {
                Some(letters) => letters.attend(self.observe.as_mut(), a_while, &self.stop),
                None => std::thread::sleep(a_while.saturating_duration_since(Instant::now())),
            }
        }
    }

    /// Records that we read ourselves, with their times: exact, and they cost the cluster nothing.
    fn learn(&mut self, board: &mut Board) {
        if !self.snapshots.has_changed().unwrap_or(false) {
            return;
        }
        let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        for source in snapshot.sources.iter().filter(|s| *s.key.cluster == *self.cluster) {
            if let Some(last) = source.last {
                board.learn(&source.key.stream, source.key.partition, last, (self.now)());
            }
        }
    }

    /// Asks for what would narrow the ages most, within half of the interval.
    fn ask(&mut self, board: &mut Board, began: Instant) {
        let deadline = ROUND.min(self.spec.deadline);
        for _ in 0..ROUNDS {
            let questions = board.questions((self.now)(), QUESTIONS);
            if questions.is_empty() || self.stop.is_set() {
                break;
            }
            let answers = self.observe.positions_at(&questions, deadline);
            board.answered(&questions, &answers, (self.now)());
            if began.elapsed() > self.spec.interval / 2 {
                break;
            }
        }
        let reads = board.reads((self.now)(), READS);
        if !reads.is_empty() && !self.stop.is_set() {
            let found = self.observe.first_records(&reads, deadline);
            board.was_read(&reads, &found, (self.now)());
        }
    }

    fn load(&self, board: &mut Board) {
        let Some(times) = &self.times else { return };
        let loaded = times.lock().unwrap_or_else(PoisonError::into_inner).load(&self.cluster);
        match loaded {
            Ok((rows, damaged)) => {
                if damaged > 0 {
                    tracing::warn!(cluster = %self.cluster, damaged, "some stored record times were damaged and left out");
                }
                for (stream, partition, bytes) in rows {
                    board.restore(StoredIndex { stream, partition, bytes });
                }
            }
            Err(error) => {
                tracing::warn!(cluster = %self.cluster, %error, "no stored record times; they will be learned again");
            }
        }
    }

    fn store(&self, board: &mut Board) {
        let Some(times) = &self.times else { return };
        loop {
            let changed = board.changed_indexes(STORED);
            if changed.is_empty() {
                return;
            }
            let rows: Vec<_> = changed.into_iter().map(|c| (c.stream, c.partition, c.bytes)).collect();
            let saved = times.lock().unwrap_or_else(PoisonError::into_inner).save(&self.cluster, &rows);
            if let Err(error) = saved {
                // A cache: after a restart these are learned again.
                tracing::warn!(cluster = %self.cluster, %error, "record times could not be stored");
                return;
            }
        }
    }
}

/// Counters go on from what was stored.
fn restore(board: &mut Board, cluster: &str, counts: &dyn KeepStore) {
    match counts.load_kept(cluster, KeptOf::Groups) {
        Ok((rows, damaged)) => {
            let damaged = damaged + board.restore_losses(rows);
            if damaged > 0 {
                tracing::warn!(cluster, damaged, "some stored counters of groups were damaged and begin anew");
            }
        }
        Err(error) => tracing::warn!(cluster, %error, "the stored counters of groups cannot be read; they begin anew"),
    }
}

/// Names of the topics in a survey, for readers of lag events.
fn ends(survey: &Survey) -> impl Iterator<Item = (&Arc<str>, u32, u64, u64)> {
    survey.topics.iter().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .enumerate()
            .filter_map(|(number, p)| Some((&topic.name, number as u32, p.start?, p.stable_end.or(p.end)?)))
    })
}

#[cfg(test)]
mod tests;
