//! Bytes of an event stream: events to text, text to one piece that any number of clients share.
//!
//! A piece is framed as an HTTP/1.1 chunk and deflated once. Deflate is context free: each piece is
//! compressed by a fresh encoder and ends byte-aligned, so a client may join at any piece after its
//! own ten bytes of gzip header. The stream never ends, so no trailer is ever due.

use std::fmt::Write as _;
use std::sync::OnceLock;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

/// What every gzip stream begins with: magic, deflate, no flags, no time, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// Ends a chunked body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Measured: level 6 costs 0.2 ms for a tick of one view; higher levels save nothing on fragments.
const LEVEL: Compression = Compression::new(6);

/// How a client takes its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Plain,
    /// Gzip of shared deflate pieces.
    Gzip,
}

impl Encoding {
    /// Gzip where the client takes it. Browsers offer brotli and zstd over cleartext to localhost only; gzip everywhere.
    #[must_use]
    pub fn accepted(headers: &HeaderMap) -> Self {
        let offers = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|v| v.to_str().ok());
        let mut any = None;
        for offer in offers.flat_map(|v| v.split(',')) {
            let (name, parameter) = offer.split_once(';').unwrap_or((offer, ""));
            let quality = parameter.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f32>().ok());
            let wanted = quality.is_some_and(|q| q > 0.0);
            match name.trim() {
                n if n.eq_ignore_ascii_case("gzip") => return if wanted { Self::Gzip } else { Self::Plain },
                "*" => any = Some(wanted),
                _ => {}
            }
        }
        if any == Some(true) { Self::Gzip } else { Self::Plain }
    }
}

/// Appends one event. `data` may have several lines; a carriage return would end a line too and is dropped.
pub fn event(out: &mut String, name: &str, id: Option<&str>, data: &str) {
    if let Some(id) = id {
        let _ = writeln!(out, "id: {id}");
    }
    let _ = writeln!(out, "event: {name}");
    for line in data.split('\n') {
        out.push_str("data: ");
        out.extend(line.chars().filter(|c| *c != '\r'));
        out.push('\n');
    }
    out.push('\n');
}

/// A piece of a stream, shared by all clients that get it.
#[derive(Debug)]
pub struct Piece {
    plain: Bytes,
    gzip: OnceLock<Bytes>,
    /// True for the first piece of a stream.
    first: bool,
}

impl Piece {
    /// A piece in the middle of a stream.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { plain: chunk(text.as_bytes()), gzip: OnceLock::new(), first: false }
    }

    /// The first piece: under gzip it carries the header.
    #[must_use]
    pub fn first(text: &str) -> Self {
        Self { first: true, ..Self::new(text) }
    }

    /// Framed as a chunk of HTTP/1.1. Compressed on first use, once.
    #[must_use]
    pub fn chunk(&self, encoding: Encoding) -> Bytes {
        match encoding {
            Encoding::Plain => self.plain.clone(),
            Encoding::Gzip => self.gzip.get_or_init(|| self.compress()).clone(),
        }
    }

    /// Without chunk framing: for bodies that hyper frames.
    #[must_use]
    pub fn body(&self, encoding: Encoding) -> Bytes {
        let chunk = self.chunk(encoding);
        payload(&chunk)
    }

    fn compress(&self) -> Bytes {
        let head: &[u8] = if self.first { &GZIP_HEADER } else { &[] };
        chunk(&deflate(head, &payload(&self.plain)))
    }
}

/// The chunk and what ends the body, in one write.
#[must_use]
pub fn last(piece: &Piece, encoding: Encoding) -> Bytes {
    [&piece.chunk(encoding), LAST_CHUNK].concat().into()
}

/// `{length in hex}\r\n{payload}\r\n`. The payload is never empty: an empty chunk would end the body.
fn chunk(payload: &[u8]) -> Bytes {
    debug_assert!(!payload.is_empty());
    let mut out = Vec::with_capacity(payload.len() + 12);
    out.extend_from_slice(format!("{:x}\r\n", payload.len()).as_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    out.into()
}

fn payload(chunk: &Bytes) -> Bytes {
    let start = chunk.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
    chunk.slice(start..chunk.len() - 2)
}

/// `head` as it is, then `text` deflated without context and ended on a byte border.
fn deflate(head: &[u8], text: &[u8]) -> Vec<u8> {
    let mut encoder = Compress::new(LEVEL, false);
    // Incompressible input grows by five bytes per 16 KiB; the flush adds five.
    let mut out = Vec::with_capacity(head.len() + text.len() + text.len() / 1_000 + 64);
    out.extend_from_slice(head);
    loop {
        let fed = usize::try_from(encoder.total_in()).unwrap_or(text.len());
        // `compress_vec` fails only on a misuse of the stream (input after its end), which cannot happen here.
        encoder.compress_vec(&text[fed..], &mut out, FlushCompress::Sync).expect("a fresh deflate stream takes input");
        if encoder.total_in() == text.len() as u64 && out.len() < out.capacity() {
            return out;
        }
        out.reserve(1_024);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn offered(value: &str) -> Encoding {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, value.parse().unwrap());
        Encoding::accepted(&headers)
    }

    #[test]
    fn gzip_only_where_it_is_wanted() {
        assert_eq!(offered("gzip, deflate, br"), Encoding::Gzip);
        assert_eq!(offered("br, GZIP;q=0.5"), Encoding::Gzip);
        assert_eq!(offered("gzip;q=0, *"), Encoding::Plain);
        assert_eq!(offered("*"), Encoding::Gzip);
        assert_eq!(offered("br"), Encoding::Plain);
        assert_eq!(Encoding::accepted(&HeaderMap::new()), Encoding::Plain);
    }

    #[test]
    fn lines_of_data_are_kept_and_carriage_returns_are_not() {
        let mut out = String::new();
        event(&mut out, "frag", Some("b-7"), "<p>\r\n1</p>");
        assert_eq!(out, "id: b-7\nevent: frag\ndata: <p>\ndata: 1</p>\n\n");
    }

    #[test]
    fn pieces_join_to_one_gzip_stream_from_any_piece_on() {
        let noise: String =
            (0u32..40_000).map(|i| char::from(33 + (i.wrapping_mul(2_654_435_761) >> 25) as u8 % 90)).collect();
        let (first, skipped, later) = (Piece::first("retry: 1\n\n"), Piece::new("lost"), Piece::new(&noise));
        let _ = skipped.body(Encoding::Gzip);
        let stream = [first.body(Encoding::Gzip), later.body(Encoding::Gzip)].concat();
        let mut text = vec![0; 10 + noise.len()];
        flate2::read::GzDecoder::new(&stream[..]).read_exact(&mut text).unwrap();
        assert_eq!(text, format!("retry: 1\n\n{noise}").into_bytes());
    }

    #[test]
    fn a_chunk_says_its_length() {
        assert_eq!(&Piece::new("0123456789abcdef!").chunk(Encoding::Plain)[..], b"11\r\n0123456789abcdef!\r\n");
        assert!(last(&Piece::new("x"), Encoding::Plain).ends_with(b"1\r\nx\r\n0\r\n\r\n"));
    }
}
