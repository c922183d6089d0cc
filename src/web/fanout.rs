//! Plain threads that own the sockets of the live streams. No task, no buffer, no timer per client.
//!
//! A client holds at most one half-written piece. When that is out it gets the newest frame,
//! whatever it missed. One that does not read costs a failed write per tick and is closed after
//! [`STALLED_AFTER`].

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use tokio::sync::OwnedSemaphorePermit;

use super::frame::lock;
use super::handoff::Departed;
use super::live::{COMMENT_AFTER, Shared, Subscriber};

/// A client that took no byte for so long is closed.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// A client that took bytes a moment ago and now does not is tried again so soon.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// ... as long as it is not silent for longer than this; then with each tick.
const EAGER_FOR: Duration = Duration::from_secs(2);
/// How often we look for clients that left and streams that need a comment.
const SWEEP_EVERY: Duration = Duration::from_secs(2);
/// What slow clients get to take their last bytes when we stop.
const FAREWELL: Duration = Duration::from_millis(600);

#[derive(Default)]
struct Inbox {
    arrivals: Vec<Departed>,
    ticks: u64,
    stop: bool,
}

#[derive(Default)]
struct Lane {
    inbox: Mutex<Inbox>,
    wake: Condvar,
}

/// The threads.
pub struct Fanout {
    lanes: Vec<Arc<Lane>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next: AtomicUsize,
}

impl Fanout {
    /// Starts `threads` of them.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(threads: usize, shared: &Arc<Shared>) -> io::Result<Self> {
        let mut fanout = Self { lanes: Vec::new(), threads: Mutex::new(Vec::new()), next: AtomicUsize::new(0) };
        for n in 0..threads.max(1) {
            let (lane, shared) = (Arc::new(Lane::default()), Arc::clone(shared));
            fanout.lanes.push(Arc::clone(&lane));
            let run = move || Worker { lane, shared, clients: Vec::new() }.run();
            lock(&fanout.threads).push(std::thread::Builder::new().name(format!("fanout-{n}")).spawn(run)?);
        }
        Ok(fanout)
    }

    /// Takes a socket. One that comes after `stop` is closed.
    pub fn adopt(&self, departed: Departed) {
        let lane = &self.lanes[self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len()];
        let mut inbox = lock(&lane.inbox);
        if !inbox.stop {
            inbox.arrivals.push(departed);
            lane.wake.notify_one();
        }
    }

    /// Says that there are new frames.
    pub fn wake(&self) {
        for lane in &self.lanes {
            lock(&lane.inbox).ticks += 1;
            lane.wake.notify_one();
        }
    }

    /// Asks all threads to say `bye` and end; they do within [`FAREWELL`].
    pub fn stop(&self) -> Vec<JoinHandle<()>> {
        for lane in &self.lanes {
            lock(&lane.inbox).stop = true;
            lane.wake.notify_one();
        }
        std::mem::take(&mut lock(&self.threads))
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Client {
    stream: TcpStream,
    subscriber: Subscriber,
    /// Rest of the piece that is being written.
    rest: Bytes,
    /// When it last took a byte.
    moved: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Client {
    fn blocked(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Writes what is left; true when nothing is.
    fn flush(&mut self, now: Instant) -> io::Result<bool> {
        while !self.rest.is_empty() {
            match self.stream.write(&self.rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.rest.advance(n);
                    self.moved = now;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        // A piece is shared: an emptied rest must not keep it alive.
        self.rest = Bytes::new();
        Ok(true)
    }

    /// Writes until the client has the newest frame or its socket is full.
    fn pump(&mut self, now: Instant) -> io::Result<()> {
        while self.flush(now)? {
            let Some(piece) = self.subscriber.next() else { break };
            self.rest = self.subscriber.taker.chunk(&piece);
        }
        Ok(())
    }

    /// Fails once the other side has closed. What it sends is read and dropped: a stream takes nothing.
    fn present(&mut self) -> io::Result<()> {
        match self.stream.read(&mut [0; 64]) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Err(e) if !matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Err(e),
            _ => Ok(()),
        }
    }
}

struct Worker {
    lane: Arc<Lane>,
    shared: Arc<Shared>,
    clients: Vec<Client>,
}

impl Worker {
    fn run(mut self) {
        let (mut ticks, mut swept) = (0, Instant::now());
        loop {
            let (arrivals, newest, stop) = self.wait(ticks);
            let now = Instant::now();
            for Departed { stream, subscriber, permit } in arrivals {
                self.clients.push(Client { stream, subscriber, rest: Bytes::new(), moved: now, _permit: permit });
            }
            if stop {
                return self.farewell();
            }
            let (all, sweep) = (newest != ticks, now.duration_since(swept) >= SWEEP_EVERY);
            (ticks, swept) = (newest, if sweep { now } else { swept });
            self.round(now, all, sweep);
        }
    }

    fn wait(&self, ticks: u64) -> (Vec<Departed>, u64, bool) {
        let now = Instant::now();
        let eager = self.clients.iter().any(|c| c.blocked() && now.duration_since(c.moved) < EAGER_FOR);
        let nothing = |inbox: &mut Inbox| inbox.ticks == ticks && inbox.arrivals.is_empty() && !inbox.stop;
        let patience = if eager { RETRY_AFTER } else { SWEEP_EVERY };
        let waited = self.lane.wake.wait_timeout_while(lock(&self.lane.inbox), patience, nothing);
        let (mut inbox, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut inbox.arrivals), inbox.ticks, inbox.stop)
    }

    fn round(&mut self, now: Instant, all: bool, sweep: bool) {
        let counters = &self.shared.counters;
        let comment = &self.shared.comment;
        self.clients.retain_mut(|client| {
            let quiet = now.duration_since(client.moved);
            // Arrivals hold nothing and moved just now: they are greeted at once.
            let due = all || quiet.is_zero() || (client.blocked() && quiet < EAGER_FOR);
            let mut outcome = if due { client.pump(now) } else { Ok(()) };
            if client.blocked() && quiet > STALLED_AFTER {
                outcome = Err(ErrorKind::TimedOut.into());
            }
            if sweep && outcome.is_ok() {
                if !client.blocked() && quiet >= COMMENT_AFTER {
                    client.rest = client.subscriber.taker.chunk(comment);
                }
                outcome = client.present().and_then(|()| client.flush(now).map(drop));
            }
            // The kernel says the same of a window that stays shut for as long.
            let (stalled, gone) = match outcome {
                Ok(()) => return true,
                Err(e) if e.kind() == ErrorKind::TimedOut => (1, 0),
                Err(_) => (0, 1),
            };
            counters.stalled.fetch_add(stalled, Ordering::Relaxed);
            counters.gone.fetch_add(gone, Ordering::Relaxed);
            false
        });
        if self.clients.len() < self.clients.capacity() / 4 {
            self.clients.shrink_to(self.clients.len() * 2);
        }
    }

    /// What is half written is finished, then `bye`, then the end.
    fn farewell(mut self) {
        let began = Instant::now();
        let mut leaving: Vec<(Client, bool)> = self.clients.drain(..).map(|c| (c, false)).collect();
        while !leaving.is_empty() && began.elapsed() < FAREWELL {
            leaving.retain_mut(|(client, said)| {
                loop {
                    match client.flush(began) {
                        Ok(false) => return true,
                        Ok(true) if !*said => {
                            *said = true;
                            client.rest = client.subscriber.taker.last_chunk(&self.shared.bye);
                        }
                        Ok(true) => {
                            // What this leaves unsaid is said by the close that follows.
                            let _ = client.stream.shutdown(Shutdown::Write);
                            return false;
                        }
                        Err(_) => return false,
                    }
                }
            });
            if !leaving.is_empty() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
