//! A socket leaves hyper once the head of a stream is written, and goes to the fan-out.
//!
//! hyper flushes its io only when its own write buffer is empty. So the io is wrapped: the stream's
//! body arms a ticket when it is first polled, and the next finished flush says that the head is
//! out. From then on the connection holds nothing that we need, and 10 KiB that we do not.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::frame::lock;
use super::live::Subscriber;

const IDLE: u8 = 0;
const ARMED: u8 = 1;
const FLUSHED: u8 = 2;

/// Lies in the extensions of every request of a connection that can be handed off.
#[derive(Default)]
pub struct Ticket {
    state: AtomicU8,
    /// True once the connection carried a request: one that never did can be cut off when we stop.
    pub asked: AtomicBool,
    subscriber: Mutex<Option<Subscriber>>,
}

impl Ticket {
    /// The body of a stream that leaves: it never yields a byte.
    pub fn depart(self: &Arc<Self>, subscriber: Subscriber) -> Body {
        *lock(&self.subscriber) = Some(subscriber);
        Body::new(UnsyncBoxBody::new(Leaving(Arc::clone(self))))
    }

    /// The subscription, once the head has been written to the socket.
    pub fn departed(&self) -> Option<Subscriber> {
        (self.state.load(Ordering::Acquire) == FLUSHED).then(|| lock(&self.subscriber).take()).flatten()
    }
}

struct Leaving(Arc<Ticket>);

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // No waker: the connection is polled on by the flush that follows, in the same poll.
        let _ = self.0.state.compare_exchange(IDLE, ARMED, Ordering::AcqRel, Ordering::Acquire);
        Poll::Pending
    }
}

/// A body fed by a channel.
pub struct Frames(pub mpsc::Receiver<Bytes>);

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|b| Ok(Frame::data(b))))
    }
}

/// A socket that left hyper, and what it waits for.
pub struct Departed {
    /// Non-blocking.
    pub stream: std::net::TcpStream,
    /// Its subscription.
    pub subscriber: Subscriber,
    /// Its place under `connections`.
    pub permit: OwnedSemaphorePermit,
}

/// The io of a connection, watched for the moment when the head is out.
pub struct Watched {
    /// The socket.
    pub io: TcpStream,
    /// Of this connection.
    pub ticket: Arc<Ticket>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        let _ = self.ticket.state.compare_exchange(ARMED, FLUSHED, Ordering::AcqRel, Ordering::Acquire);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
