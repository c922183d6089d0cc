//! An event stream parser for tests, written from the WHATWG HTML standard (9.2.5, 9.2.6), and a reader of
//! chunked bodies from RFC 9112 (7.1). Neither shares a line with the product.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{self, BufRead, Read};

/// One dispatched event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its type; `message` where the stream named none.
    pub event: String,
    /// Its data without the last line feed.
    pub data: String,
    /// The last event id at its dispatch.
    pub id: String,
}

/// Takes bytes as they come, gives events as they are complete.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    started: bool,
    event: String,
    data: String,
    id: String,
    last_id: String,
    /// The last reconnection time, milliseconds.
    pub retry: Option<u64>,
    /// Comment lines seen.
    pub comments: Vec<String>,
}

impl Parser {
    /// The events that these bytes complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        for &byte in bytes {
            let lf_of_crlf = byte == b'\n' && std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if lf_of_crlf => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    messages.extend(self.end_of_line(&line));
                }
                other => {
                    self.after_cr = false;
                    self.line.push(other);
                }
            }
        }
        messages
    }

    fn end_of_line(&mut self, line: &[u8]) -> Option<Message> {
        let line = if self.started { line } else { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) };
        self.started = true;
        let line = String::from_utf8_lossy(line).into_owned();
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = match line.split_once(':') {
            Some(("", comment)) => {
                self.comments.push(comment.to_owned());
                return None;
            }
            Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
            None => (line.as_str(), ""),
        };
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry = value.parse().ok();
            }
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Message> {
        self.last_id.clone_from(&self.id);
        let (event, mut data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        if data.is_empty() {
            return None;
        }
        data.pop();
        let event = if event.is_empty() { "message".to_owned() } else { event };
        Some(Message { event, data, id: self.last_id.clone() })
    }
}

/// The payload of a chunked body.
pub struct Dechunked<R> {
    /// What it reads from.
    pub inner: R,
    left: usize,
    /// True once the last chunk was read.
    pub ended: bool,
}

impl<R: BufRead> Dechunked<R> {
    /// Of what follows a head.
    pub fn new(inner: R) -> Self {
        Self { inner, left: 0, ended: false }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.inner.read_line(&mut line)?;
        if !line.ends_with("\r\n") {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl<R: BufRead> Read for Dechunked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or("");
            self.left =
                usize::from_str_radix(size, 16).map_err(|_| io::Error::other(format!("chunk size {line:?}")))?;
            if self.left == 0 {
                while !self.line()?.is_empty() {}
                self.ended = true;
                return Ok(0);
            }
        }
        let most = buffer.len().min(self.left);
        let read = self.inner.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        if self.left == 0 && !self.line()?.is_empty() {
            return Err(io::Error::other("a chunk does not end where it said"));
        }
        Ok(read)
    }
}
