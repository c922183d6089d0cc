//! Ports for servers that must be told theirs before they start.
//!
//! Not by `bind(0)`: such a port lies among those that every outgoing connection of the machine is given, so it may be
//! taken before the server binds it, or while it is down; a client that tries it again and again may even meet itself.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// The lowest port that is handed out.
const LOWEST: u32 = 15_000;

/// A port that nobody has at the moment, below those of outgoing connections; another one at each call.
pub fn free_port() -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    // Linux, where these tests run, says where its own range begins; 32768 unless it was told otherwise.
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let above = range.split_whitespace().next().and_then(|low| low.parse().ok()).unwrap_or(32_768);
    let count = if above > LOWEST + 1_000 { above - LOWEST } else { 32_768 - LOWEST };
    // Test binaries that run side by side begin at different places.
    let first = std::process::id().wrapping_mul(101);
    (0..count)
        .map(|_| LOWEST + first.wrapping_add(CALLS.fetch_add(1, Ordering::Relaxed)) % count)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
