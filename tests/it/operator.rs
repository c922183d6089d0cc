//! What an operator does beside a running server: looks into its log, asks whether it is ready, ends it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::support::process::{PATIENCE, Server, until};

/// One embedded cluster, and what else is said.
fn config(dir: &std::path::Path, more: &str) -> String {
    let file = dir.join("streamgauge.toml");
    let text = format!(
        "data_dir = {:?}\n{more}\n[[cluster]]\nname = \"emb\"\nkind = \"embedded\"\n[[stream]]\ncluster = \"emb\"\nname = \"orders\"\nstart = \"earliest\"\n[publish]\ncluster = \"emb\"\nstream = \"orders\"\n",
        dir.join("data")
    );
    std::fs::write(&file, text).expect("written");
    file.to_str().expect("text").to_owned()
}

/// Exit code, stdout and stderr of a command that ends.
fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_streamgauge")).args(args).output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code(), text(&out.stdout), text(&out.stderr))
}

#[test]
fn doctor_and_sample_look_into_an_embedded_log_beside_its_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = config(dir.path(), "");
    let (code, said, _) = run(&["doctor", "--config", &file]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("not there yet"), "{said}");
    assert!(!dir.path().join("data").exists(), "doctor makes nothing");

    let server = Server::start(&["--config", &file], &dir.path().join("data"));
    for n in 0..7 {
        let body = format!(r#"{{"flow":"checkout","transaction_id":"tx-{n}","stage":"placed"}}"#);
        assert_eq!(server.post("/transactions", &[], &body).status, 202);
    }
    let (code, said, err) = run(&["doctor", "--config", &file]);
    assert_eq!(code, Some(0), "{said}{err}");
    let holder =
        format!("a running server holds it (process {}, pages at http://{}/), 1 streams", server.pid(), server.address);
    assert!(said.contains(&holder), "{holder}: {said}");
    assert!(said.contains("1 partitions, 7 records kept"), "{said}");
    let (code, said, err) = run(&["sample", "orders", "--config", &file]);
    assert_eq!(code, Some(0), "{said}{err}");
    let shown: Vec<_> = (0..7).filter(|n| said.contains(&format!("transaction=\"tx-{n}\""))).collect();
    assert_eq!(shown, [2, 3, 4, 5, 6], "{said}");
    // It goes on writing, and ends as it should.
    assert_eq!(server.post("/transactions", &[], "{}").status, 202);
    assert!(server.terminate().0.success());
    let (code, said, _) = run(&["doctor", "--config", &file]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nobody has it open") && said.contains("8 records kept"), "{said}");
}

#[test]
fn a_half_sent_request_and_a_collector_that_is_silent_do_not_add_up() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dir = tempfile::tempdir().expect("a directory");
    let endpoint = silent.local_addr().expect("bound");
    let file = config(dir.path(), &format!("[telemetry]\notlp_endpoint = \"http://{endpoint}\"\n"));
    let server = Server::start(&["--config", &file], &dir.path().join("data"));
    assert_eq!(server.post("/transactions", &[], "{}").status, 202);
    let mut half = TcpStream::connect(&server.address).expect("connected");
    half.set_read_timeout(Some(PATIENCE)).expect("set");
    let head = format!(
        "POST /transactions HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n",
        server.address
    );
    half.write_all(head.as_bytes()).expect("sent");
    let mut go_on = [0; 25];
    half.read_exact(&mut go_on).expect("the handler waits for the body");
    assert!(go_on.starts_with(b"HTTP/1.1 100 Continue"), "{:?}", String::from_utf8_lossy(&go_on));
    half.write_all(b"{\"flow\":").expect("sent");
    let (status, took) = server.terminate();
    assert!(status.success(), "{status} after {took:?}");
    println!("ended after {took:?}");
    assert!(took <= Duration::from_secs(5), "{took:?}");
    let mut answer = String::new();
    half.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("nothing was done"), "{answer}");
}

#[test]
fn a_broker_that_accepts_and_never_answers_is_named_as_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dir = tempfile::tempdir().expect("a directory");
    let servers = silent.local_addr().expect("bound").to_string();
    let server = Server::start(&["--kafka", &servers], dir.path());
    let cluster = until("words about the cluster", PATIENCE, || {
        let cluster = server.get("/readyz").json()["clusters"][0].clone();
        (cluster["detail"] != "").then_some(cluster)
    });
    let detail = cluster["detail"].as_str().expect("text");
    assert!(detail.starts_with("connecting, no answer for "), "{detail}");
    assert!(cluster["up"].is_null(), "{cluster}");
    let (status, took) = server.terminate();
    assert!(status.success(), "{status} after {took:?}");
}

#[test]
fn loopback_written_as_ipv6_needs_no_users() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let data = data.to_str().expect("text");
    let (code, _, err) = run(&["serve", "--listen", "[::ffff:10.0.0.1]:0", "--data-dir", data]);
    assert_eq!(code, Some(2), "{err}");
    // Beyond the check of exposure it gets to the directory, which is none.
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let below = file.join("data");
    let (code, _, err) =
        run(&["serve", "--listen", "[::ffff:127.0.0.1]:0", "--data-dir", below.to_str().expect("text")]);
    assert_eq!(code, Some(3), "{err}");
}
