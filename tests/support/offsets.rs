//! Commits positions of a group that has no members: bytes straight onto the wire (OffsetCommit v2), many at once.
#![allow(dead_code, reason = "each binary uses its own part")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Not yet there, not loaded, not the coordinator: a broker that has just made its offsets topic.
const NOT_YET: [i16; 4] = [3, 14, 15, 16];
/// Requests on their way at once.
const PIPELINE: usize = 200;

/// Positions of one topic: partition, next.
pub type Rows = Vec<(i32, i64)>;

/// Commits for every group what is said of its topics. One broker, which coordinates all groups.
pub fn commit(address: &str, groups: &[(String, Vec<(String, Rows)>)]) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    coordinator(&mut socket, &groups[0].0);
    for some in groups.chunks(PIPELINE) {
        let mut open: Vec<_> = some.iter().collect();
        let deadline = Instant::now() + Duration::from_secs(120);
        while !open.is_empty() {
            assert!(Instant::now() < deadline, "commits are not taken");
            let requests: Vec<u8> = open.iter().flat_map(|(group, topics)| offset_commit(group, topics)).collect();
            socket.write_all(&requests).unwrap();
            let answers: Vec<Option<i16>> = open.iter().map(|_| error_of(&answer(&mut socket))).collect();
            let mut each = answers.iter();
            open.retain(|(group, _)| match each.next().unwrap() {
                None => false,
                Some(error) if NOT_YET.contains(error) => true,
                Some(error) => panic!("the broker refused the commit of {group}: error {error}"),
            });
            if !open.is_empty() {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// One position.
pub fn commit_one(address: &str, group: &str, topic: &str, rows: &[(i32, i64)]) {
    commit(address, &[(group.to_owned(), vec![(topic.to_owned(), rows.to_vec())])]);
}

/// Asks for the coordinator until there is one: the first such question makes the offsets topic.
fn coordinator(socket: &mut TcpStream, group: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let mut body = header(10, 1);
        string(&mut body, group);
        body.push(0); // of a group
        socket.write_all(&framed(body)).unwrap();
        let answer = answer(socket);
        if i16::from_be_bytes(answer[8..10].try_into().unwrap()) == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "no coordinator");
        thread::sleep(Duration::from_millis(50));
    }
}

fn offset_commit(group: &str, topics: &[(String, Rows)]) -> Vec<u8> {
    let mut body = header(8, 2);
    string(&mut body, group);
    body.extend((-1_i32).to_be_bytes()); // no generation: not a member
    string(&mut body, "");
    body.extend((-1_i64).to_be_bytes()); // the broker's retention
    body.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for (topic, rows) in topics {
        string(&mut body, topic);
        body.extend(i32::try_from(rows.len()).unwrap().to_be_bytes());
        for (partition, next) in rows {
            body.extend(partition.to_be_bytes());
            body.extend(next.to_be_bytes());
            body.extend((-1_i16).to_be_bytes()); // no metadata
        }
    }
    framed(body)
}

fn header(api: i16, version: i16) -> Vec<u8> {
    let mut head = Vec::new();
    head.extend(api.to_be_bytes());
    head.extend(version.to_be_bytes());
    head.extend(1_i32.to_be_bytes()); // correlation: answers come in order
    string(&mut head, "by-hand");
    head
}

fn framed(body: Vec<u8>) -> Vec<u8> {
    let mut frame = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text.as_bytes());
}

fn answer(socket: &mut TcpStream) -> Vec<u8> {
    let mut size = [0; 4];
    socket.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
    socket.read_exact(&mut answer).unwrap();
    answer
}

/// The first error of an answer to OffsetCommit v2: correlation, topics (name, partitions (number, error)).
fn error_of(answer: &[u8]) -> Option<i16> {
    let mut at = 4;
    let mut take = |count: usize| {
        at += count;
        &answer[at - count..at]
    };
    let topics = i32::from_be_bytes(take(4).try_into().unwrap());
    let mut first = None;
    for _ in 0..topics {
        let name = i16::from_be_bytes(take(2).try_into().unwrap());
        take(usize::try_from(name).unwrap());
        let partitions = i32::from_be_bytes(take(4).try_into().unwrap());
        for _ in 0..partitions {
            take(4);
            let error = i16::from_be_bytes(take(2).try_into().unwrap());
            first = first.or((error != 0).then_some(error));
        }
    }
    first
}
