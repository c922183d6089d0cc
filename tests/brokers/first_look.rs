//! `--kafka HOST:PORT` without a file: what it found is on the page at once, also where nothing happens.

use std::time::Instant;

use super::Test;
use super::kafka::Broker;
use super::process::{Server, until};
use super::rig::{Hand, PATIENCE};

pub const TESTS: &[(&str, Test)] = &[("kafka_without_a_file_says_at_once_what_it_found", first_look)];

fn first_look(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("quiet", 1);
    hand.send("quiet", Some(0), 500);
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&["--kafka", &broker.address], &dir.path().join("data"));
    let served = Instant::now();
    let row = until("the quiet topic, and what lies before `latest`", PATIENCE, || {
        let page = server.get("/status").text();
        let row = page.split("<tr").find(|row| row.contains(">quiet/0<"))?.to_owned();
        row.contains("waiting since latest; 500 older events").then_some(row)
    });
    let took = served.elapsed();
    println!("    found {took:.1?} after it serves");
    assert!(row.contains("500"), "{row}");
    hand.send("quiet", Some(0), 3);
    until("the new events", PATIENCE, || {
        let flow = server.get("/api/v1/flows/default");
        (flow.status == 200 && flow.json()["data"]["totals"]["events"] == 3).then_some(())
    });
    assert!(!server.get("/status").text().contains("500 older events"), "it waits no longer");
}
