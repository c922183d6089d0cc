//! A desk: many may ask, one thread answers when it has time. Bounded, and nobody waits longer than they said.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// As many questions as are allowed wait already.
    #[error("too many questions wait; try again")]
    Busy,
    /// It took longer than was allowed.
    #[error("no answer in time")]
    Late,
    /// Nobody answers here any more.
    #[error("the process is stopping")]
    Gone,
}

/// Where questions are put. Clones share the desk.
pub struct Asker<Q, A> {
    desk: SyncSender<Asked<Q, A>>,
    /// Tells the one who answers that somebody waits.
    bell: Option<Bell>,
}

/// Rung once a question lies on the desk.
pub type Bell = Arc<dyn Fn() + Send + Sync>;

impl<Q, A> Clone for Asker<Q, A> {
    fn clone(&self) -> Self {
        Self { desk: self.desk.clone(), bell: self.bell.clone() }
    }
}

impl<Q, A> fmt::Debug for Asker<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("bell", &self.bell.is_some()).finish_non_exhaustive()
    }
}

/// One question; answering it takes it.
#[derive(Debug)]
pub struct Asked<Q, A> {
    /// The question.
    pub question: Q,
    /// Nobody waits longer than until then.
    pub until: Instant,
    answer: oneshot::Sender<A>,
}

impl<Q, A> Asked<Q, A> {
    /// Answers. Whoever stopped waiting is not missed.
    pub fn answer(self, answer: A) {
        let _gone = self.answer.send(answer);
    }

    /// True where nobody waits any more.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.answer.is_closed() || Instant::now() >= self.until
    }
}

/// Where questions are taken from.
pub struct Desk<Q, A>(Receiver<Asked<Q, A>>);

/// A desk at which `waiting` questions may wait.
#[must_use]
pub fn desk<Q, A>(waiting: usize) -> (Asker<Q, A>, Desk<Q, A>) {
    let (sender, receiver) = sync_channel(waiting);
    (Asker { desk: sender, bell: None }, Desk(receiver))
}

impl<Q, A> Asker<Q, A> {
    /// The same with a bell, for a desk whose owner does not look at it all the time.
    #[must_use]
    pub fn with_bell(self, bell: Bell) -> Self {
        Self { bell: Some(bell), ..self }
    }

    /// Asks, and waits for at most `within`.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn ask(&self, question: Q, within: Duration) -> Result<A, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.desk.try_send(Asked { question, until: Instant::now() + within, answer }).map_err(|e| match e {
            TrySendError::Full(_) => NoAnswer::Busy,
            TrySendError::Disconnected(_) => NoAnswer::Gone,
        })?;
        if let Some(bell) = &self.bell {
            bell();
        }
        match tokio::time::timeout(within, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(NoAnswer::Gone),
            Err(_) => Err(NoAnswer::Late),
        }
    }
}

impl<Q, A> Desk<Q, A> {
    /// A question for which somebody waits, without waiting for one.
    #[must_use]
    pub fn waiting(&self) -> Option<Asked<Q, A>> {
        self.0.try_iter().find(|asked| !asked.is_stale())
    }

    /// The next question for which somebody still waits; waits for one for at most `for_so_long`.
    /// `None`: there was none.
    #[must_use]
    pub fn next(&self, for_so_long: Duration) -> Option<Asked<Q, A>> {
        let until = Instant::now() + for_so_long;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.0.recv_timeout(left) {
                Ok(asked) if asked.is_stale() => {}
                Ok(asked) => return Some(asked),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => {
                    // Nobody can ask any more; the caller's time is its own to wait for.
                    std::thread::sleep(left);
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn questions_are_answered_refused_or_late() {
        let (asker, taken) = desk::<u32, u32>(1);
        let rung = Arc::new(AtomicUsize::new(0));
        let ringing = Arc::clone(&rung);
        let asker = asker.with_bell(Arc::new(move || {
            ringing.fetch_add(1, Ordering::SeqCst);
        }));
        let answering = std::thread::spawn(move || {
            let asked = taken.next(LONG).expect("a question");
            let twice = asked.question * 2;
            asked.answer(twice);
            taken
        });
        assert_eq!(asker.ask(21, LONG).await, Ok(42));
        let taken = answering.join().unwrap();
        let short = Duration::from_millis(1);
        assert_eq!(asker.ask(1, short).await, Err(NoAnswer::Late));
        assert_eq!(asker.ask(2, LONG).await, Err(NoAnswer::Busy), "the late one still lies there");
        assert!(taken.next(Duration::ZERO).is_none(), "and is not answered");
        drop(taken);
        assert_eq!(asker.ask(3, LONG).await, Err(NoAnswer::Gone));
        assert_eq!(rung.load(Ordering::SeqCst), 2, "for those that lay on the desk, no others");
    }
}
