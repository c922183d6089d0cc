//! Licences, banned crates and doubled crates of everything that is linked, read from `cargo metadata`.
//!
//! Stands in for cargo-deny, which takes minutes to build; its advisory database is not consulted.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Licences that we may ship in a binary.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "0BSD",
    "CC0-1.0",
    "Unlicense",
    "MIT-0",
    "BSL-1.0",
];

/// Crates that must not come in, each with its reason.
const BANNED: &[(&str, &str)] = &[
    ("reqwest", "hyper is already here; a second client brings a second TLS"),
    ("aws-lc-sys", "one crypto library is enough"),
    ("chrono", "jiff is the time library"),
    ("native-tls", "librdkafka's OpenSSL is the only one"),
];

/// Crates that are linked in two versions because two of our dependencies want different ones.
const DOUBLED: &[(&str, &str)] = &[
    ("getrandom", "proptest and uuid"),
    ("rand", "opentelemetry_sdk and proptest"),
    ("rand_core", "with rand"),
    ("r-efi", "with getrandom"),
    ("syn", "derive macros move to 3 one by one"),
    ("winnow", "toml and proc-macro-crate"),
    ("toml_datetime", "toml and proc-macro-crate"),
    ("toml_parser", "toml and proc-macro-crate"),
    ("hashbrown", "indexmap of tower and ours"),
    ("thiserror", "transitive 1.x"),
    ("thiserror-impl", "transitive 1.x"),
    ("windows-sys", "not built here"),
    ("digest", "sha2 0.11 and argon2's tree"),
    ("block-buffer", "with digest"),
    ("crypto-common", "with digest"),
    ("cpufeatures", "with digest"),
    ("regex-automata", "transitive"),
    ("embedded-io", "postcard offers both"),
    ("wasi", "not built here"),
    ("wasip2", "not built here"),
    ("wasip3", "not built here"),
    ("wit-bindgen", "not built here"),
];

fn metadata() -> Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
        .output()
        .expect("cargo metadata runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("metadata is JSON")
}

/// True where one of the alternatives consists of known licences only.
fn licence_is_known(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ").replace(['(', ')'], " ");
    plain.split(" OR ").any(|choice| choice.split(" AND ").all(|l| LICENCES.contains(&l.trim())))
}

#[test]
fn licences_are_known() {
    let meta = metadata();
    let bad: Vec<String> = meta["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .filter(|p| p["name"] != "streamgauge")
        .filter(|p| !licence_is_known(p["license"].as_str().unwrap_or("none")))
        .map(|p| format!("{} {}: {}", p["name"], p["version"], p["license"]))
        .collect();
    assert!(bad.is_empty(), "licences to look at:\n{}", bad.join("\n"));
    assert!(!licence_is_known("GPL-3.0"), "the check can fail");
}

#[test]
fn banned_and_doubled_crates_stay_out() {
    let meta = metadata();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let resolved: BTreeSet<&str> =
        meta["resolve"]["nodes"].as_array().expect("nodes").iter().filter_map(|n| n["id"].as_str()).collect();
    for p in meta["packages"].as_array().expect("packages") {
        if resolved.contains(p["id"].as_str().expect("id")) {
            versions
                .entry(p["name"].as_str().expect("name"))
                .or_default()
                .insert(p["version"].as_str().expect("version"));
        }
    }
    let banned: Vec<_> = BANNED.iter().filter(|(name, _)| versions.contains_key(name)).collect();
    assert!(banned.is_empty(), "{banned:?}");
    let doubled: Vec<_> =
        versions.iter().filter(|(name, v)| v.len() > 1 && !DOUBLED.iter().any(|(known, _)| known == *name)).collect();
    assert!(doubled.is_empty(), "doubled without a reason: {doubled:?}");
}

#[test]
fn every_dependency_states_its_reason() {
    let manifest = std::fs::read_to_string("Cargo.toml").expect("the manifest");
    let mut inside = false;
    let mut bare = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]" || line == "[dev-dependencies]";
        } else if inside && line.contains(" = ") && !line.starts_with('#') && !line.contains(" # ") {
            bare.push(line.to_owned());
        }
    }
    assert!(bare.is_empty(), "no reason beside: {bare:?}");
}
