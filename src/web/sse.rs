//! Bytes of an event stream: events to text, text to one piece that any number of clients share.
//!
//! A piece is framed as an HTTP/1.1 chunk and deflated once. Deflate is context free: each piece is
//! compressed by a fresh encoder and ends byte-aligned, so a client may join at any piece after its
//! own ten bytes of gzip header. What a client was sent is its own too: [`Taker`] keeps the checksum of
//! it in eight bytes, so that a stream that we end has the trailer that decoders ask for.

use std::fmt::Write as _;
use std::sync::OnceLock;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};

/// What every gzip stream begins with: magic, deflate, no flags, no time, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The last block of a deflate stream, with nothing in it.
const LAST_BLOCK: [u8; 2] = [3, 0];
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
    gzip: OnceLock<Squeezed>,
    /// True for the first piece of a stream.
    first: bool,
}

/// A compressed piece, and what it does to a checksum.
#[derive(Debug)]
struct Squeezed {
    chunk: Bytes,
    /// CRC-32 of its text.
    crc: u32,
    /// `x^(8 n)` for its n bytes of text: what a checksum is multiplied with when they follow.
    shift: u32,
    /// Bytes of its text, as the trailer counts them.
    length: u32,
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

    /// Compressed on first use, once.
    fn squeezed(&self) -> &Squeezed {
        self.gzip.get_or_init(|| {
            let head: &[u8] = if self.first { &GZIP_HEADER } else { &[] };
            let text = payload(&self.plain);
            let mut crc = Crc::new();
            crc.update(&text);
            let chunk = chunk(&deflate(head, &text));
            Squeezed { chunk, crc: crc.sum(), shift: power(text.len()), length: text.len() as u32 }
        })
    }
}

/// One client's end of a stream: how it takes it, and the checksum of what it was given.
#[derive(Clone, Copy, Debug)]
pub struct Taker {
    encoding: Encoding,
    crc: u32,
    length: u32,
}

impl Taker {
    /// Nothing was given yet.
    #[must_use]
    pub const fn new(encoding: Encoding) -> Self {
        Self { encoding, crc: 0, length: 0 }
    }

    /// The next piece, framed as a chunk of HTTP/1.1.
    pub fn chunk(&mut self, piece: &Piece) -> Bytes {
        match self.encoding {
            Encoding::Plain => piece.plain.clone(),
            Encoding::Gzip => {
                let squeezed = piece.squeezed();
                self.crc = multiply(self.crc, squeezed.shift) ^ squeezed.crc;
                self.length = self.length.wrapping_add(squeezed.length);
                squeezed.chunk.clone()
            }
        }
    }

    /// The next piece without chunk framing: for bodies that hyper frames.
    pub fn body(&mut self, piece: &Piece) -> Bytes {
        payload(&self.chunk(piece))
    }

    /// The last piece and what ends the body, in one write.
    #[must_use]
    pub fn last_chunk(mut self, piece: &Piece) -> Bytes {
        let piece = self.chunk(piece);
        match self.encoding {
            Encoding::Plain => [&piece, LAST_CHUNK].concat().into(),
            Encoding::Gzip => [&piece, &*chunk(&self.trailer()), LAST_CHUNK].concat().into(),
        }
    }

    /// The last piece without chunk framing.
    #[must_use]
    pub fn last_body(mut self, piece: &Piece) -> Bytes {
        let piece = self.body(piece);
        match self.encoding {
            Encoding::Plain => piece,
            Encoding::Gzip => [&*piece, &self.trailer()].concat().into(),
        }
    }

    fn trailer(&self) -> [u8; 10] {
        let mut out = [0; 10];
        out[..2].copy_from_slice(&LAST_BLOCK);
        out[2..6].copy_from_slice(&self.crc.to_le_bytes());
        out[6..].copy_from_slice(&self.length.to_le_bytes());
        out
    }
}

/// CRC-32 polynomial, bits reversed: the highest bit is `x^0`.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// Product of two polynomials modulo that of CRC-32.
fn multiply(a: u32, b: u32) -> u32 {
    let (mut product, mut b) = (0, b);
    for bit in (0..32).rev() {
        if a >> bit & 1 == 1 {
            product ^= b;
        }
        b = if b & 1 == 1 { b >> 1 ^ POLYNOMIAL } else { b >> 1 };
    }
    product
}

/// `x^(8 bytes)`.
fn power(bytes: usize) -> u32 {
    let (mut result, mut square, mut rest) = (1 << 31, 1 << 23, bytes);
    while rest > 0 {
        if rest & 1 == 1 {
            result = multiply(result, square);
        }
        square = multiply(square, square);
        rest >>= 1;
    }
    result
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
    fn pieces_join_to_one_gzip_stream_from_any_piece_on_and_end_with_its_trailer() {
        let noise: String =
            (0u32..40_000).map(|i| char::from(33 + (i.wrapping_mul(2_654_435_761) >> 25) as u8 % 90)).collect();
        let (first, skipped, later) = (Piece::first("retry: 1\n\n"), Piece::new("lost"), Piece::new(&noise));
        let mut other = Taker::new(Encoding::Gzip);
        let _ = other.body(&skipped);
        let mut taker = Taker::new(Encoding::Gzip);
        let begin = [taker.body(&first), taker.body(&later), taker.body(&first).slice(10..)].concat();
        let stream = [&*begin, &taker.last_body(&Piece::new("bye"))].concat();
        let mut text = String::new();
        // A decoder that we did not write checks the checksum and the length.
        flate2::read::GzDecoder::new(&stream[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, format!("retry: 1\n\n{noise}retry: 1\n\nbye"));
        let mut spoiled = stream;
        *spoiled.last_mut().unwrap() ^= 1;
        assert!(flate2::read::GzDecoder::new(&spoiled[..]).read_to_string(&mut text).is_err());
    }

    #[test]
    fn a_chunk_says_its_length() {
        let mut taker = Taker::new(Encoding::Plain);
        assert_eq!(&taker.chunk(&Piece::new("0123456789abcdef!"))[..], b"11\r\n0123456789abcdef!\r\n");
        assert_eq!(&taker.last_chunk(&Piece::new("x"))[..], b"1\r\nx\r\n0\r\n\r\n");
    }
}
