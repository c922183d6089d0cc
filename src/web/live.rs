//! `/live/{view}`: one stream of frames per open page.
//!
//! The stream: `retry:`, then a frame per tick. A frame is `snap` (all parts) or `frag` (those that
//! changed), `hist` (all chart points) or `pt` (new ones), and `tick` with its age and its id. A
//! comment every 15 s while nothing changes, `bye` when we stop. All of it is made once for all.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use axum::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::error::Problem;
use super::fanout::Fanout;
use super::frame::{Frame, Origin, RING_TICKS, Ring, Spec, Tick, lock};
use super::handoff;
use super::page::View;
use super::sse::{Encoding, Piece, Taker, event};
use super::{WebContext, WebLimits};
use crate::telemetry::Metrics;

/// A stream without news says that it is alive: proxies close after 30 to 60 s of silence.
pub const COMMENT_AFTER: Duration = Duration::from_secs(15);
/// Clients come back after 1 to 3 s, spread over this many steps, so a restart is no stampede.
const JITTER_STEPS: usize = 16;

/// Counters of the live streams since the process began.
#[derive(Debug, Default)]
pub struct Counters {
    /// Ticks that a slow client did not get because a newer one was there.
    pub skipped: AtomicU64,
    /// Refused because `limits.live_streams` was reached.
    pub too_many_streams: AtomicU64,
    /// Refused because `limits.live_views` was reached.
    pub too_many_views: AtomicU64,
    /// Closed by the client.
    pub gone: AtomicU64,
    /// Closed by us because it did not read.
    pub stalled: AtomicU64,
}

/// What all streams share.
pub struct Shared {
    origin: Arc<Origin>,
    tick: Mutex<Arc<Tick>>,
    greetings: Vec<Arc<Piece>>,
    /// Says that the stream is alive.
    pub comment: Arc<Piece>,
    /// Says that the stream ends.
    pub bye: Arc<Piece>,
    /// What happened so far.
    pub counters: Counters,
    metrics: Metrics,
}

/// One rendered view and its newest frame.
pub struct Channel {
    spec: Arc<Spec>,
    shared: Arc<Shared>,
    /// Held while rendering, so that a frame is made once.
    rendering: Mutex<()>,
    newest: Mutex<Option<Arc<Frame>>>,
    ring: Mutex<Ring>,
}

impl Channel {
    /// The newest frame; `None` only before the first rendering.
    pub fn newest(&self) -> Option<Arc<Frame>> {
        lock(&self.newest).clone()
    }

    /// Since when nothing was rendered because nobody looks, in ticks.
    fn idle(&self, now: u64) -> u64 {
        lock(&self.newest).as_ref().map_or(RING_TICKS, |f| now.saturating_sub(f.seq()))
    }

    /// Brings the frame up to the newest tick.
    fn render(&self) {
        let _alone = lock(&self.rendering);
        let tick = lock(&self.shared.tick).clone();
        let before = self.newest();
        if before.as_ref().is_some_and(|f| f.seq() == tick.seq) {
            return;
        }
        let consecutive = before.as_deref().filter(|f| f.seq() + 1 == tick.seq);
        let began = Instant::now();
        let frame = Arc::new(Frame::render(&self.spec, &self.shared.origin, &tick, consecutive));
        self.shared.metrics.frame(began.elapsed().as_secs_f64(), kind(&self.spec.view));
        lock(&self.ring).push(&frame);
        *lock(&self.newest) = Some(frame);
    }
}

/// The page of a view: a bounded label.
const fn kind(view: &View) -> &'static str {
    match view {
        View::Overview => "overview",
        View::Flow(_) => "flow",
        View::Status(_) => "status",
        View::Consumers(_) | View::Group(..) => "consumers",
        View::Dlq(_) | View::DlqStream(..) => "dlq",
        View::Transactions | View::Transaction(..) => "transactions",
    }
}

#[derive(Clone, Copy)]
enum Place {
    /// Nothing was sent.
    Start(Option<u64>),
    /// The greeting was sent; what the client says that it saw before.
    Greeted(Option<u64>),
    /// This tick was sent.
    At(u64),
}

/// One client's place in its channel.
pub struct Subscriber {
    channel: Arc<Channel>,
    /// How it takes the stream, and what it took.
    pub taker: Taker,
    place: Place,
    _permit: OwnedSemaphorePermit,
}

impl Subscriber {
    /// What to send next; `None`: it has the newest. The newest wins: what lies between is skipped.
    pub fn next(&mut self) -> Option<Arc<Piece>> {
        let shared = &self.channel.shared;
        if let Place::Start(seen) = self.place {
            self.place = Place::Greeted(seen);
            return Some(shared.greeting());
        }
        let frame = self.channel.newest()?;
        let missed = |seq| lock(&self.channel.ring).missed(seq);
        let piece = match self.place {
            Place::At(seq) if seq >= frame.seq() => return None,
            Place::At(seq) => {
                shared.counters.skipped.fetch_add(frame.seq() - seq - 1, Ordering::Relaxed);
                let delta = frame.delta().filter(|_| seq + 1 == frame.seq());
                delta.unwrap_or_else(|| frame.full(missed(seq)))
            }
            Place::Greeted(Some(seq)) => frame.full(missed(seq)),
            Place::Start(_) | Place::Greeted(None) => frame.full(None),
        };
        self.place = Place::At(frame.seq());
        Some(piece)
    }

    /// What all streams share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.channel.shared
    }
}

impl Shared {
    fn greeting(&self) -> Arc<Piece> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Arc::clone(&self.greetings[NEXT.fetch_add(1, Ordering::Relaxed) % JITTER_STEPS])
    }
}

/// All channels of the process.
pub struct Hub {
    context: WebContext,
    shared: Arc<Shared>,
    channels: Mutex<HashMap<Arc<Spec>, Arc<Channel>>>,
    max_channels: usize,
    max_streams: usize,
    permits: Arc<Semaphore>,
    /// The newest tick and whether we stop, for ordinary bodies.
    news: watch::Sender<(u64, bool)>,
    fanout: OnceLock<Fanout>,
}

impl Hub {
    /// Begins to make frames: one task that wakes with each snapshot, the newest wins. Needs a runtime.
    #[must_use]
    pub fn start(context: WebContext, base: &str, limits: &WebLimits) -> Arc<Self> {
        let (snapshot, status) = (context.snapshot.borrow().clone(), context.status.borrow().clone());
        let origin = Arc::new(Origin { boot: status.boot.clone(), base: base.to_owned() });
        let greeting = |step: usize| Arc::new(Piece::first(&format!("retry: {}\n: hi\n\n", 1_000 + step * 125)));
        let mut bye = String::new();
        event(&mut bye, "bye", None, "{}");
        let shared = Arc::new(Shared {
            origin,
            tick: Mutex::new(Arc::new(Tick { seq: 1, snapshot, status })),
            greetings: (0..JITTER_STEPS).map(greeting).collect(),
            comment: Arc::new(Piece::new(": ka\n\n")),
            bye: Arc::new(Piece::new(&bye)),
            counters: Counters::default(),
            metrics: context.metrics.clone(),
        });
        let mut snapshots = context.snapshot.clone();
        let hub = Arc::new(Self {
            context,
            shared,
            channels: Mutex::new(HashMap::new()),
            max_channels: limits.live_views,
            max_streams: limits.live_streams,
            permits: Arc::new(Semaphore::new(limits.live_streams)),
            news: watch::Sender::new((1, false)),
            fanout: OnceLock::new(),
        });
        let weak = Arc::downgrade(&hub);
        tokio::spawn(async move {
            while snapshots.changed().await.is_ok() {
                let Some(hub) = weak.upgrade() else { return };
                // Rendering and compressing take milliseconds: not on the threads that serve requests.
                if let Err(error) = tokio::task::spawn_blocking(move || hub.tick()).await {
                    tracing::error!(%error, "a tick of the live pages failed");
                }
            }
        });
        hub
    }

    /// Gives streams whose socket can leave hyper to threads of their own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start_fanout(&self, threads: usize) -> std::io::Result<()> {
        let fanout = Fanout::start(threads, &self.shared)?;
        // A second call would bring a second set of threads; it is dropped, which ends them.
        let _ = self.fanout.set(fanout);
        Ok(())
    }

    /// Open streams.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.max_streams - self.permits.available_permits()
    }

    /// Counters since the process began.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    fn tick(&self) {
        let (snapshot, status) = (self.context.snapshot.borrow().clone(), self.context.status.borrow().clone());
        let seq = {
            let mut tick = lock(&self.shared.tick);
            *tick = Arc::new(Tick { seq: tick.seq + 1, snapshot, status });
            tick.seq
        };
        let channels: Vec<_> = {
            let mut channels = lock(&self.channels);
            // A channel held by this map alone has no client: it is not rendered, and kept while one may resume.
            channels.retain(|_, channel| Arc::strong_count(channel) > 1 || channel.idle(seq) < RING_TICKS);
            channels.values().filter(|channel| Arc::strong_count(channel) > 1).cloned().collect()
        };
        for channel in &channels {
            // One broken template must not freeze the other views.
            if catch_unwind(AssertUnwindSafe(|| channel.render())).is_err() {
                tracing::error!(view = ?channel.spec.view, "a live view could not be rendered");
            }
        }
        drop(channels);
        self.news.send_modify(|news| news.0 = seq);
        if let Some(fanout) = self.fanout.get() {
            fanout.wake();
        }
    }

    /// A client joins.
    ///
    /// # Errors
    /// 503 where a bound is reached or we stop, 404 where there is no such view.
    pub fn subscribe(&self, spec: Spec, encoding: Encoding, last_id: Option<&str>) -> Result<Subscriber, Problem> {
        let counters = &self.shared.counters;
        let refuse = |bound: &str, count: &AtomicU64| {
            count.fetch_add(1, Ordering::Relaxed);
            Problem::busy(format!("limits.{bound} is reached"), 10)
        };
        if self.news.borrow().1 {
            return Err(Problem::busy("stopping", 1));
        }
        if let View::Flow(name) = &spec.view
            && !lock(&self.shared.tick).snapshot.flows.iter().any(|f| f.name == *name)
        {
            return Err(Problem::not_found(format!("no flow {name:?}")));
        }
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| refuse("live_streams", &counters.too_many_streams))?;
        let channel = {
            let mut channels = lock(&self.channels);
            if let Some(channel) = channels.get(&spec) {
                Arc::clone(channel)
            } else {
                if channels.len() >= self.max_channels {
                    channels.retain(|_, channel| Arc::strong_count(channel) > 1);
                }
                if channels.len() >= self.max_channels {
                    return Err(refuse("live_views", &counters.too_many_views));
                }
                let spec = Arc::new(spec);
                let channel = Arc::new(Channel {
                    spec: Arc::clone(&spec),
                    shared: Arc::clone(&self.shared),
                    rendering: Mutex::new(()),
                    newest: Mutex::new(None),
                    ring: Mutex::new(Ring::default()),
                });
                channels.insert(spec, Arc::clone(&channel));
                channel
            }
        };
        // An idle channel has an old frame, a new one none. One that is in use is at the newest tick.
        channel.render();
        let seen = last_id.and_then(|id| id.rsplit_once('-')).filter(|(boot, _)| *boot == self.shared.origin.boot);
        let seen = seen.and_then(|(_, seq)| seq.parse().ok());
        Ok(Subscriber { channel, taker: Taker::new(encoding), place: Place::Start(seen), _permit: permit })
    }

    /// Takes over a socket that left hyper.
    pub fn adopt(&self, departed: handoff::Departed) {
        if let Some(fanout) = self.fanout.get() {
            fanout.adopt(departed);
        }
    }

    /// Says `bye` on all streams and ends them. Returns when the threads have ended, within a second.
    pub async fn stop(&self) {
        self.news.send_modify(|news| news.1 = true);
        if let Some(fanout) = self.fanout.get() {
            let ended = fanout.stop();
            if tokio::task::spawn_blocking(move || ended.into_iter().try_for_each(std::thread::JoinHandle::join))
                .await
                .is_err()
            {
                tracing::error!("a fan-out thread died");
            }
        }
    }

    /// The same frames as an ordinary body: HTTP/1.0, and whoever calls the router without a socket.
    pub fn body(&self, mut subscriber: Subscriber) -> Body {
        let (out, frames) = mpsc::channel(1);
        let mut news = self.news.subscribe();
        tokio::spawn(async move {
            let shared = Arc::clone(subscriber.shared());
            // The slot comes first, then the choice: a slow client gets the newest.
            while let Ok(slot) = out.reserve().await {
                let stopping = news.borrow_and_update().1;
                if stopping {
                    slot.send(subscriber.taker.last_body(&shared.bye));
                    return;
                }
                if let Some(piece) = subscriber.next() {
                    slot.send(subscriber.taker.body(&piece));
                    continue;
                }
                tokio::select! {
                    changed = news.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(COMMENT_AFTER) => slot.send(subscriber.taker.body(&shared.comment)),
                    () = out.closed() => return,
                }
            }
        });
        Body::new(handoff::Frames(frames))
    }
}
