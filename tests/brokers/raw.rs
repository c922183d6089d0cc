//! Records that no client library would write: bytes straight onto the wire (Produce v3, record batch v2).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What a hostile producer may write.
pub struct Hostile<'a> {
    /// Milliseconds; -1 = none.
    pub timestamp: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Names need not be UTF-8.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// Not yet known, not yet led: a topic that was made a moment ago.
const NOT_YET: [i16; 3] = [3, 5, 6];

/// Appends one record to a partition.
pub fn produce(address: &str, topic: &str, partition: i32, record: &Hostile<'_>) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match try_produce(address, topic, partition, record) {
            0 => return,
            error if NOT_YET.contains(&error) && Instant::now() < deadline => std::thread::yield_now(),
            error => panic!("the broker refused the record: error {error}"),
        }
    }
}

fn try_produce(address: &str, topic: &str, partition: i32, record: &Hostile<'_>) -> i16 {
    let batch = batch(record);
    let mut request = Vec::new();
    request.extend(0_i16.to_be_bytes()); // Produce
    request.extend(3_i16.to_be_bytes());
    request.extend(7_i32.to_be_bytes()); // correlation id
    string(&mut request, b"hostile");
    request.extend((-1_i16).to_be_bytes()); // no transaction
    request.extend((-1_i16).to_be_bytes()); // acks = all
    request.extend(10_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    string(&mut request, topic.as_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(partition.to_be_bytes());
    request.extend(i32::try_from(batch.len()).unwrap().to_be_bytes());
    request.extend(batch);

    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    socket.write_all(&request).unwrap();
    let mut size = [0; 4];
    socket.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
    socket.read_exact(&mut answer).unwrap();
    // correlation, topics, name, partitions, index, then the error
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    i16::from_be_bytes(answer[at..at + 2].try_into().unwrap())
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text);
}

fn batch(record: &Hostile<'_>) -> Vec<u8> {
    let mut body = vec![0]; // attributes
    varint(&mut body, 0); // timestamp delta
    varint(&mut body, 0); // offset delta
    bytes(&mut body, record.key);
    bytes(&mut body, record.value);
    varint(&mut body, i64::try_from(record.headers.len()).unwrap());
    for (name, value) in record.headers {
        bytes(&mut body, Some(name));
        bytes(&mut body, *value);
    }
    let mut sealed = Vec::new(); // what the checksum covers
    sealed.extend(0_i16.to_be_bytes()); // no compression, CreateTime
    sealed.extend(0_i32.to_be_bytes()); // last offset delta
    sealed.extend(record.timestamp.to_be_bytes());
    sealed.extend(record.timestamp.to_be_bytes());
    sealed.extend((-1_i64).to_be_bytes()); // producer id
    sealed.extend((-1_i16).to_be_bytes());
    sealed.extend((-1_i32).to_be_bytes());
    sealed.extend(1_i32.to_be_bytes()); // records
    varint(&mut sealed, i64::try_from(body.len()).unwrap());
    sealed.extend(body);
    let mut batch = Vec::new();
    batch.extend(0_i64.to_be_bytes());
    batch.extend(i32::try_from(4 + 1 + 4 + sealed.len()).unwrap().to_be_bytes());
    batch.extend((-1_i32).to_be_bytes()); // leader epoch
    batch.push(2); // magic
    batch.extend(crc32c(&sealed).to_be_bytes());
    batch.extend(sealed);
    batch
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        out.push((zigzag & 0x7f) as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn bytes(out: &mut Vec<u8>, of: Option<&[u8]>) {
    varint(out, of.map_or(-1, |b| i64::try_from(b.len()).unwrap()));
    out.extend(of.unwrap_or_default());
}

fn crc32c(of: &[u8]) -> u32 {
    !of.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}
