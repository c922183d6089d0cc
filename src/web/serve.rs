//! The accept loop: sockets in, requests to the router, streams to the fan-out, an orderly end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::auth::is_loopback;
use super::handoff::{Departed, Ticket, Watched};
use super::live::Hub;
use super::{App, WebConfig, WebContext, routes};

/// A head that is not complete by then ends the connection; so does an idle one.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// hyper's buffers per connection, and so the cap of a request's head.
pub const MAX_HEAD_BYTES: usize = 8 << 10;
/// A peer that acknowledges nothing, or keeps its window shut, for so long is gone.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a stream that the kernel holds for a client that does not read: it would let them grow to megabytes.
const STREAM_SEND_BUFFER: usize = 64 << 10;
/// What requests under way get to finish when we stop, streams to say `bye`: less than the supervisor gives this stage
/// (half of 4 s), and more than `layer` waits before it answers for them. So only who does not read is cut off.
const DRAIN: Duration = Duration::from_millis(1_800);
/// Refusals under way at once; beyond, connections are closed without a word.
const REFUSALS: usize = 64;
const BUSY: &str =
    r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"limits.connections is reached"}"#;

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is taken or not ours.
    #[error("cannot listen on {addr}: {source}")]
    Address {
        /// What was asked for.
        addr: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// No thread for the live streams.
    #[error("cannot start the threads of the live streams: {0}")]
    Threads(io::Error),
}

/// Counters of the accept loop.
#[derive(Debug, Default)]
pub struct ServeCounters {
    /// Connections refused because `connections` was reached.
    pub refused: AtomicU64,
}

/// A bound listener with all that it serves.
pub struct Server {
    listener: TcpListener,
    local: SocketAddr,
    router: Router,
    app: Arc<App>,
}

impl Server {
    /// Binds. Port 0 takes a free one; see [`Server::local_addr`]. Needs a runtime.
    ///
    /// # Errors
    /// [`BindError`]: the process exits with code 3.
    pub async fn bind(addr: SocketAddr, context: WebContext, mut config: WebConfig) -> Result<Self, BindError> {
        let failed = |source| BindError::Address { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        config.loopback = is_loopback(local.ip());
        let threads = config.limits.fanout_threads;
        let app = App::new(context, config);
        app.hub.start_fanout(threads).map_err(BindError::Threads)?;
        Ok(Self { listener, local, router: routes(&app), app })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Counts the open live streams, whenever asked.
    pub fn live_streams(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let hub = Arc::clone(&self.app.hub);
        move || hub.streams() as u64
    }

    /// Serves until `stop`; then streams say `bye`, and requests under way are finished.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let permits = Arc::new(Semaphore::new(self.app.config.limits.connections));
        let refusals = Arc::new(Semaphore::new(REFUSALS));
        let stopping = &self.app.stopping;
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let stream = tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => (stream, peer),
                    Err(error) => {
                        // Out of file descriptors, most likely: those in use must end first.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                () = &mut stop => break,
            };
            let (stream, peer) = stream;
            tune(&stream);
            if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
                let (router, hub) = (self.router.clone(), Arc::clone(&self.app.hub));
                connections.spawn(connection(stream, peer, router, hub, permit, stopping.subscribe()));
            } else {
                self.app.serve_counters.refused.fetch_add(1, Ordering::Relaxed);
                if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                    connections.spawn(refuse(stream, permit));
                }
            }
        }
        drop(self.listener);
        stopping.send_replace(true);
        let drained = async {
            self.app.hub.stop().await;
            while connections.join_next().await.is_some() {}
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("requests under way did not finish in {DRAIN:?} and were cut off");
        }
    }
}

/// Without these a dead peer would hold its connection for hours, and small frames would wait for others.
fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10));
    let tuned = stream
        .set_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive))
        .and_then(|()| socket.set_tcp_user_timeout(Some(USER_TIMEOUT)));
    if let Err(error) = tuned {
        tracing::debug!(%error, "socket option refused");
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// One connection to its end, or until its socket leaves for the fan-out.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    hub: Arc<Hub>,
    permit: OwnedSemaphorePermit,
    mut stopping: watch::Receiver<bool>,
) {
    let ticket = Arc::new(Ticket::default());
    let io = TokioIo::new(Watched { io: stream, ticket: Arc::clone(&ticket) });
    let for_requests = Arc::clone(&ticket);
    let service = service_fn(move |mut request: Request<Incoming>| {
        for_requests.asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(Arc::clone(&for_requests));
        request.extensions_mut().insert(ConnectInfo(peer));
        // Boxed, because the connection must stay movable to be taken apart.
        Box::pin(router.clone().oneshot(request.map(Body::new))) as Answer
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    let mut running = Some(builder.serve_connection(io, service).with_upgrades());
    let mut stop = Some(Box::pin(async move {
        let _ = stopping.wait_for(|stop| *stop).await;
    }));
    let left = poll_fn(|cx| {
        let Some(connection) = running.as_mut() else { return Poll::Ready(None) };
        if stop.as_mut().is_some_and(|s| s.as_mut().poll(cx).is_ready()) {
            stop = None;
            if !ticket.asked.load(Ordering::Relaxed) {
                // Opened in advance by a browser, say: hyper would wait for its first request.
                return Poll::Ready(None);
            }
            Pin::new(&mut *connection).graceful_shutdown();
        }
        if let Poll::Ready(result) = Pin::new(connection).poll(cx) {
            if let Err(error) = result {
                tracing::debug!(%error, %peer, "connection ended");
            }
            return Poll::Ready(None);
        }
        let Some(subscriber) = ticket.departed() else { return Poll::Pending };
        Poll::Ready(running.take().and_then(UpgradeableConnection::into_parts).map(|parts| (parts, subscriber)))
    })
    .await;
    let Some((parts, subscriber)) = left else { return };
    if !parts.read_buf.is_empty() {
        // A request pipelined behind a stream would never be answered.
        return;
    }
    // `into_std` also frees the waker that would keep this task's memory alive.
    let Ok(stream) = parts.io.into_inner().io.into_std() else { return };
    if let Err(error) = SockRef::from(&stream).set_send_buffer_size(STREAM_SEND_BUFFER) {
        tracing::debug!(%error, "send buffer refused");
    }
    hub.adopt(Departed { stream, subscriber, permit });
}

/// Says 503 to one connection too many. Its request is read first: closing with unread bytes would reset the answer away.
async fn refuse(mut stream: TcpStream, _permit: OwnedSemaphorePermit) {
    let head = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-type: application/problem+json";
    let text = format!("{head}\r\ncontent-length: {}\r\n\r\n{BUSY}", BUSY.len());
    let answer = async {
        let _ = stream.read(&mut [0; 1_024]).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), answer).await;
}
