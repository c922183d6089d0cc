//! Keeps the board of dead letters of one cluster. The loop that surveys the cluster owns the connection and calls
//! in: [`DlqKeeper::absorb`] after each survey, [`DlqKeeper::attend`] in place of its pause until the next one. Where
//! groups are not watched, nobody else surveys: then [`DlqKeeper::run`] is that loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::letters::Reader;
use crate::broker::{Observe, Stop};
use crate::dlq::{Board, MarkerWish, Mask, ReadWish, Rules};
use crate::model::{LagSpec, Survey, Timestamp};
use crate::run::desk::Desk;
use crate::snapshot::{DlqBoard, DlqCounted, LagBoard, PeekQuestion, Peeked, PeekedLetter};
use crate::store::{AuditEntry, AuditLog, KeepStore, KeptOf};

/// Time for reading letters after one survey: a lag that is late because of a breakdown helps nobody.
const READ_BUDGET: Duration = Duration::from_millis(1_000);
/// Time for one read within it.
const READ_DEADLINE: Duration = Duration::from_millis(2_000);
/// Time for asking when the oldest letters were written.
const AGE_DEADLINE: Duration = Duration::from_millis(3_000);
/// Oldest letters asked for after one survey: one request per broker.
const AGES: usize = 2_000;
/// Stretches planned at once.
const WISHES: usize = 200;
/// Bytes of one read.
const READ_BYTES: usize = 4 << 20;
/// Markers in one read: 1 KiB each.
const MARKERS: usize = 1_000;
/// Letters of one peek.
const PEEK_LETTERS: usize = 50;
/// Bytes read for one peek.
const PEEK_BYTES: usize = 8 << 20;
/// Characters shown of a payload, and of a header.
const PEEK_CHARS: (usize, usize) = (20_000, 2_000);
/// How often a pause looks whether the process is to stop.
const LOOK_UP: Duration = Duration::from_millis(200);

/// Answer to a peek: the letters, or why there are none, in words.
pub type PeekAnswer = Result<Peeked, String>;

/// Keeps the dead letters of one cluster.
pub struct DlqKeeper {
    /// Cluster by name.
    pub cluster: Arc<str>,
    /// The numbers.
    pub board: Board,
    /// Reads letters: headers, transaction.
    pub reader: Reader,
    /// Whether payloads may be looked at: `[dlq] peek`.
    pub peek: bool,
    /// What a peek hides.
    pub mask: Mask,
    /// Where groups stand: the record there may be looked at too.
    pub stands: watch::Receiver<Arc<LagBoard>>,
    /// Questions of people.
    pub peeks: Desk<PeekQuestion, PeekAnswer>,
    /// Every peek is noted here before it is answered.
    pub audit: Arc<dyn AuditLog>,
    /// Keeps the counters over restarts; `None`: they count from now on.
    pub counts: Option<Arc<dyn KeepStore>>,
    /// Redrives that were interrupted, as they were stored when the process began: stream and row.
    pub interrupted: Vec<(String, Vec<u8>)>,
    /// To snapshots; shared by the keepers of all clusters, each replaces its own part.
    pub out: watch::Sender<Arc<DlqBoard>>,
    /// The wall clock.
    pub now: fn() -> Timestamp,
}

impl DlqKeeper {
    /// The board before the first survey: the counters of these clusters as they were stored.
    #[must_use]
    pub fn stored<'a>(clusters: impl Iterator<Item = &'a str>, counts: &dyn KeepStore) -> DlqBoard {
        let of = |cluster: &str| {
            let mut board = Board::new(cluster, Rules::default());
            restore(&mut board, cluster, counts);
            board.counted()
        };
        DlqBoard { counted: clusters.flat_map(of).collect(), ..DlqBoard::default() }
    }

    /// Goes on from the counters as they were stored.
    pub fn restore(&mut self) {
        if let Some(counts) = &self.counts {
            restore(&mut self.board, &self.cluster, &**counts);
            self.interrupted =
                counts.load_kept(&self.cluster, KeptOf::Redrives).map_or_else(|_| Vec::new(), |(rows, _)| rows);
        }
    }

    /// Surveys for dead letters alone, until stopped: as often and as long as `spec` says.
    pub fn run(mut self, mut observe: Box<dyn Observe>, spec: &LagSpec, stop: &Stop) {
        self.restore();
        observe.ends_with(stop.clone());
        while !stop.is_set() {
            let began = Instant::now();
            let survey = observe.survey(spec.deadline);
            if stop.is_set() {
                return; // it was cut short
            }
            self.absorb(&survey, observe.as_mut(), stop);
            drop(survey);
            self.attend(observe.as_mut(), began + spec.interval, stop);
        }
    }

    /// What was interrupted and is still as it was: a run that was resumed is another row.
    fn still_interrupted(&mut self) {
        if let Some(counts) = self.counts.as_ref().filter(|_| !self.interrupted.is_empty())
            && let Ok((rows, _)) = counts.load_kept(&self.cluster, KeptOf::Redrives)
        {
            self.interrupted.retain(|run| rows.contains(run));
        }
    }

    /// Takes a survey, asks for what it makes worth knowing, and publishes.
    pub fn absorb(&mut self, survey: &Survey, observe: &mut dyn Observe, stop: &Stop) {
        self.board.absorb(survey);
        if survey.answered {
            let asked = self.board.questions(AGES);
            if !asked.is_empty() {
                let answers = observe.first_records(&asked, AGE_DEADLINE);
                self.board.told(&asked, &answers);
            }
            // From here on: a slow answer to the questions above must not keep the markers from being read.
            let until = Instant::now() + READ_BUDGET;
            for wish in self.board.marker_wishes() {
                self.read_markers(&wish, observe, until, stop);
            }
            if self.board.waits() {
                self.board.absorb(survey);
            }
            while Instant::now() < until && !stop.is_set() {
                let wishes = self.board.wishes(WISHES);
                if wishes.is_empty() {
                    break;
                }
                for wish in wishes {
                    if Instant::now() >= until || stop.is_set() {
                        break;
                    }
                    self.read_letters(&wish, observe);
                }
            }
        }
        self.still_interrupted();
        let counted = self.count();
        self.publish(counted);
    }

    /// The counters, once they are durable; `None`: those shown stay.
    fn count(&mut self) -> Option<Vec<DlqCounted>> {
        if let Some(counts) = &self.counts {
            let rows = self.board.unstored();
            if !rows.is_empty() {
                if let Err(error) = counts.save_kept(&self.cluster, KeptOf::Letters, &rows) {
                    tracing::warn!(cluster = %self.cluster, %error, "counters of dead letters could not be stored; they stand still");
                    return None;
                }
                self.board.are_stored(rows);
            }
        }
        Some(self.board.counted())
    }

    fn read_markers(&mut self, wish: &MarkerWish, observe: &mut dyn Observe, until: Instant, stop: &Stop) {
        let mut from = wish.from;
        while Instant::now() < until && !stop.is_set() {
            match observe.records(&wish.stream, 0, from, MARKERS, READ_BYTES, READ_DEADLINE) {
                Ok(stretch) => {
                    let pairs =
                        stretch.records.iter().map(|r| (r.key.as_deref().unwrap_or_default(), r.payload.as_deref()));
                    self.board.marked(&wish.of, pairs, stretch.next);
                    from = stretch.next.max(from + 1);
                    if stretch.at_end {
                        return;
                    }
                }
                Err(why) => return self.board.refused(&wish.of, format!("{}: {why}", wish.stream)),
            }
        }
    }

    fn read_letters(&mut self, wish: &ReadWish, observe: &mut dyn Observe) {
        match observe.records(&wish.stream, wish.partition, wish.from, wish.count, READ_BYTES, READ_DEADLINE) {
            Ok(stretch) => {
                let letters = stretch.records.iter().map(|r| self.reader.view(r)).collect();
                self.board.read(wish, letters, stretch.next);
            }
            Err(why) => self.board.refused(&wish.stream, why),
        }
    }

    fn publish(&self, counted: Option<Vec<DlqCounted>>) {
        let (views, left_out) = self.board.views();
        let (retry, suggested) = self.board.beside();
        self.out.send_modify(|board| {
            let mine = |cluster: &str| *cluster == *self.cluster;
            let named =
                |names: Vec<Arc<str>>| names.into_iter().map(|n| (self.cluster.to_string(), n)).collect::<Vec<_>>();
            let mut new = DlqBoard { left_out: board.left_out.clone(), ..DlqBoard::default() };
            new.streams = board.streams.iter().filter(|s| !mine(&s.cluster)).cloned().chain(views).collect();
            new.streams.sort_by(|a, b| (&a.cluster, &a.stream).cmp(&(&b.cluster, &b.stream)));
            let others = |of: &[(String, Arc<str>)]| of.iter().filter(|(c, _)| !mine(c)).cloned().collect::<Vec<_>>();
            new.retry = [others(&board.retry), named(retry)].concat();
            new.suggested = [others(&board.suggested), named(suggested)].concat();
            let broken = self.interrupted.iter().map(|(stream, _)| stream.as_str().into()).collect();
            new.interrupted = [others(&board.interrupted), named(broken)].concat();
            new.counted = match &counted {
                Some(counted) => board.counted.iter().filter(|c| !mine(&c.cluster)).chain(counted).cloned().collect(),
                None => board.counted.clone(),
            };
            new.counted.sort_by(|a, b| (&a.cluster, &a.stream).cmp(&(&b.cluster, &b.stream)));
            new.left_out.insert(self.cluster.to_string(), left_out);
            *board = Arc::new(new);
        });
    }

    /// Answers peeks until `until`: the pause of the loop that calls.
    pub fn attend(&mut self, observe: &mut dyn Observe, until: Instant, stop: &Stop) {
        while !stop.is_set() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            if let Some(asked) = self.peeks.next(left.min(LOOK_UP)) {
                let within = asked.until.saturating_duration_since(Instant::now());
                let answer = self.look(&asked.question, observe, within);
                asked.answer(answer);
            }
        }
    }

    /// Whether a group stands at that position.
    fn stands_at(&self, question: &PeekQuestion) -> bool {
        let all = self.stands.borrow();
        let groups = all.clusters.iter().filter(|c| *c.cluster == *self.cluster).flat_map(|c| &c.groups);
        let mut rows = groups.flat_map(|g| &g.rows);
        rows.any(|r| {
            let at = r.committed.get().map(|c| c.max(r.start.get().unwrap_or(0)));
            *r.stream == *question.stream && r.partition == question.partition && at == Some(question.position)
        })
    }

    /// One peek. It is noted before anything is read: what cannot be audited does not happen.
    ///
    /// # Errors
    /// In words for whoever asked.
    pub fn look(&mut self, question: &PeekQuestion, observe: &mut dyn Observe, within: Duration) -> PeekAnswer {
        let PeekQuestion { stream, partition, position, user, .. } = question;
        if !self.peek {
            return Err("payloads may not be looked at: [dlq] peek is false".into());
        }
        let letters = self.board.views().0.iter().any(|s| *s.stream == **stream);
        if !letters && !self.stands_at(question) {
            return Err(format!(
                "{stream} is not a stream of dead letters that is watched, and no group stands at {partition}/{position}"
            ));
        }
        if letters && !self.board.has(stream, *partition) {
            return Err(format!("{stream} has no partition {partition}, as far as the cluster has told"));
        }
        // Of a live stream only the one record that a group does not get past.
        let count = if letters { question.count.clamp(1, PEEK_LETTERS) } else { 1 };
        let entry = AuditEntry {
            at: (self.now)(),
            user: user.clone(),
            action: "peek".into(),
            detail: format!(
                "cluster {} stream {stream} partition {partition} from {position}, {count} letters",
                self.cluster
            ),
        };
        self.audit.note(&entry).map_err(|e| format!("not shown, because it cannot be audited: {e}"))?;
        let stretch = observe.records(stream, *partition, *position, count, PEEK_BYTES, within)?;
        let letters = stretch.records.iter().map(|record| {
            let text = |bytes: &[u8]| self.mask.payload(bytes, PEEK_CHARS.0);
            let headers = record.headers.iter().map(|(name, value)| {
                let name = String::from_utf8_lossy(name).into_owned();
                let shown = self.mask.header(&name, value.as_deref().unwrap_or_default(), PEEK_CHARS.1);
                (name, shown)
            });
            let letter = self.reader.view(record);
            PeekedLetter {
                letter,
                key: record.key.as_deref().map(text),
                payload: record.payload.as_deref().map(text),
                payload_bytes: record.payload.as_ref().map_or(0, Vec::len),
                headers: headers.collect(),
            }
        });
        Ok(Peeked { letters: letters.collect(), next: stretch.next, at_end: stretch.at_end })
    }
}

fn restore(board: &mut Board, cluster: &str, counts: &dyn KeepStore) {
    match counts.load_kept(cluster, KeptOf::Letters) {
        Ok((rows, damaged)) => {
            let damaged = damaged + board.restore(rows);
            if damaged > 0 {
                tracing::warn!(cluster, damaged, "some stored counters of dead letters were damaged and begin anew");
            }
        }
        Err(error) => {
            tracing::warn!(cluster, %error, "the stored counters of dead letters cannot be read; they begin anew");
        }
    }
}

#[cfg(test)]
#[path = "dlq/tests.rs"]
mod tests;
