//! Reads a topic from its beginning to its end through the Kafka reader, decoded, into an engine that only counts.
//!
//! `cargo run --release --example kafka_drain -- HOST:PORT TOPIC` prints events, wall and CPU time, peak memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use streamgauge::broker::kafka::{KafkaConfig, KafkaRead};
use streamgauge::broker::{ClusterHealth, Read as _, ReadContext, Stop};
use streamgauge::decode::Spares;
use streamgauge::model::{Format, Input, Positions, Role, SourcePosition, Start, StreamName, StreamSpec, Timestamp};
use tokio::sync::watch;

fn wall() -> Timestamp {
    Timestamp(std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as i64))
}

/// User and system time of this process in seconds (clock ticks are 10 ms on Linux).
fn cpu() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) / 100.0)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(topic)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: kafka_drain HOST:PORT TOPIC");
        std::process::exit(2);
    };
    let (out, input) = sync_channel(8);
    let (samples, _samples) = sync_channel(1);
    let (health, _health) = watch::channel(ClusterHealth::default());
    let (durable, positions) = watch::channel(Arc::new(Positions::default()));
    let (stop, spares) = (Stop::default(), Spares::default());
    let stream = StreamSpec {
        cluster: "main".into(),
        name: StreamName::Exact(topic),
        role: Role::Events,
        start: Start::Earliest,
        format: Format::Auto,
    };
    let context = ReadContext {
        cluster: "main".into(),
        streams: vec![stream],
        limits: Arc::default(),
        positions,
        out,
        spares: spares.clone(),
        samples,
        health,
        stop: stop.clone(),
        now: wall,
    };
    let config = KafkaConfig { bootstrap_servers: address, ..KafkaConfig::default() };
    let began = Instant::now();
    let reader = thread::spawn(move || Box::new(KafkaRead::new(config)).run(context));
    let (mut events, mut batches, mut open) = (0_u64, 0_u64, HashMap::new());
    let mut known = Positions::default();
    let mut first = None;
    for input in &input {
        match input {
            Input::Open(o) => {
                open.insert(Arc::clone(&o.source), false);
                let key = (*o.source).clone();
                let at =
                    SourcePosition { key, incarnation: o.incarnation, next: o.next, leader_epoch: -1, began: o.began };
                known.sources.push(at);
                durable.send_replace(Arc::new(known.clone()));
            }
            Input::Batch(batch) => {
                first.get_or_insert_with(Instant::now);
                (events, batches) = (events + batch.events.len() as u64, batches + 1);
                spares.give(batch);
            }
            Input::Tail(tail) => {
                if tail.next == tail.end {
                    open.insert(tail.source, true);
                }
                if open.values().all(|at_end| *at_end) {
                    break;
                }
            }
            _ => {}
        }
    }
    let seconds = first.map_or(0.0, |first| first.elapsed().as_secs_f64());
    println!(
        "{events} events in {batches} batches, {seconds:.2} s ({:.0} events/s), first after {:.2} s",
        events as f64 / seconds,
        began.elapsed().as_secs_f64() - seconds
    );
    if let Some(cpu) = cpu() {
        println!("{cpu:.2} s CPU, {:.0} ns/event", cpu * 1e9 / events as f64);
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        status
            .lines()
            .filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"))
            .for_each(|l| println!("{l}"));
    }
    stop.set();
    drop(input);
    drop(reader.join());
}
