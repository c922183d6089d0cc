//! The one client of an observer, its questions and who waits for which answer.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use crate::broker::Stop;
use crate::broker::kafka::client::KafkaConfig;
use crate::broker::kafka::ffi::{Answer, Client, Queue};

/// How long the first attempt to reach anybody lasts; the next ones twice as long each.
const KNOCK: Duration = Duration::from_millis(300);
/// Events of the client handled in one go.
const EVENTS: usize = 64;
/// How often a wait looks whether it has to end.
const LOOK: Duration = Duration::from_millis(100);

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Groups,
    Members,
    Committed,
    Topics,
    Configs,
    Begin,
    Stable,
    End,
    Time,
}

const KINDS: [Kind; 9] = [
    Kind::Groups,
    Kind::Members,
    Kind::Committed,
    Kind::Topics,
    Kind::Configs,
    Kind::Begin,
    Kind::Stable,
    Kind::End,
    Kind::Time,
];
/// Questions of one kind in one round, at most: a power of two.
const ROOM: usize = 1 << 24;

/// A client with its queue of answers.
pub(super) struct Link {
    pub queue: Queue,
    /// Answers to earlier rounds come late: they are thrown away.
    round: usize,
    stop: Stop,
}

impl Link {
    pub(super) fn new(config: &KafkaConfig, stop: Stop) -> Result<Self, String> {
        let client = config.watcher()?;
        Ok(Self { queue: Queue::of_answers(&client, Box::new(|| ())), round: 0, stop })
    }

    pub(super) fn client(&self) -> &Client {
        self.queue.client()
    }

    /// Begins a round: questions of earlier ones are forgotten.
    pub(super) fn begin(&mut self) {
        self.round += 1;
        self.serve();
    }

    /// Lets the client say what it has to say.
    fn serve(&self) {
        for _ in 0..EVENTS {
            drop(self.client().poll(Duration::ZERO)); // `None` may be a log line: more may follow
        }
    }

    /// The client's own words of late.
    pub(super) fn last_words(&self) -> Option<String> {
        self.serve();
        self.client().context().last_words()
    }

    pub(super) fn token(&self, kind: Kind, index: usize) -> usize {
        (self.round * KINDS.len() + kind as usize) * ROOM + index % ROOM
    }

    /// Waits until any broker answers.
    ///
    /// Before a broker is asked by its number it should be known to be there: while it is away, librdkafka tries it
    /// again without any pause for as long as the question is open, thousands of times a second.
    ///
    /// # Errors
    /// Nobody answered until then, or we are to stop; in words.
    pub(super) fn knock(&self, until: Instant) -> Result<(), String> {
        let mut wait = KNOCK;
        loop {
            let told = self.client().fetch_metadata(Some("__consumer_offsets"), left(until).min(wait));
            match told {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= until || self.stop.is_set() => return Err(error.to_string()),
                Err(_) => wait *= 2, // each is a question of its own: a far cluster may need longer for its answer
            }
        }
    }

    /// The next answer to a question of this round: kind, index, answer. `None`: none until then.
    pub(super) fn next(&self, until: Instant) -> Option<(Kind, usize, Answer)> {
        loop {
            let Some((token, answer)) = self.queue.answer(left(until).min(LOOK)) else {
                if self.stop.is_set() || Instant::now() >= until {
                    return None;
                }
                continue;
            };
            let (index, rest) = (token % ROOM, token / ROOM);
            if rest / KINDS.len() == self.round {
                return Some((KINDS[rest % KINDS.len()], index, answer));
            }
            if self.stop.is_set() || Instant::now() >= until {
                return None;
            }
        }
    }

    /// Answers to `missing` questions, as they come; how many did not come.
    pub(super) fn gather(
        &self,
        mut missing: usize,
        until: Instant,
        mut take: impl FnMut(Kind, usize, Answer),
    ) -> usize {
        while missing > 0 {
            let Some((kind, index, answer)) = self.next(until) else { break };
            missing -= 1;
            take(kind, index, answer);
        }
        missing
    }
}

/// Time left; at least a millisecond, so that what is there already is taken.
pub(super) fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
