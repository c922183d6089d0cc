//! Project law that compilers do not know: layering, size, documentation, plain text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by layer, lowest first. A room may import its own layer's `mod.rs` contracts and everything below.
const LAYERS: &[(&str, &[&str])] = &[
    ("words", &["model", "text"]),
    ("core", &["decode", "dlq", "engine", "lag", "snapshot"]),
    ("means", &["broker", "store", "telemetry", "run"]),
    ("edges", &["loops", "web", "demo"]),
    ("wiring", &["app", "config", "cli", "main", "lib"]),
];

/// Imports between rooms of one layer, each with its reason.
const SIDEWAYS: &[(&str, &str, &str)] = &[
    ("engine", "snapshot", "the engine builds the read model"),
    ("lag", "snapshot", "the board builds the read model of groups"),
    ("dlq", "snapshot", "the board of dead letters builds its views"),
    ("text", "model", "times and numbers of the vocabulary as text"),
    ("broker", "store", "the embedded log fails in the store's words: locked, damaged, format"),
    ("loops", "web", "the status of the process is what pages show"),
    ("app", "config", "wiring is handed the whole configuration"),
    ("cli", "config", "commands read the configuration"),
    ("app", "cli", "the program that the command line runs"),
    ("main", "cli", "the binary is its command line"),
];

/// A file longer than this holds more than one idea.
const MAX_LINES: usize = 400;
/// Tests may be longer: tables of cases.
const MAX_TEST_LINES: usize = 500;

fn files(root: &str, ext: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(root)];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                if !path.ends_with("node_modules") && !path.ends_with("target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|e| e == ext) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn room_of(path: &Path) -> String {
    let rel = path.strip_prefix("src").expect("a source file");
    let first = rel.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn layer_of(room: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, rooms)| rooms.contains(&room))
}

/// Rooms named by `crate::room` outside of comments.
fn imports(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
        let line = line.split(" // ").next().unwrap_or_default();
        for (at, _) in line.match_indices("crate::") {
            let preceded = line[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
            let room: String = line[at + 7..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            if !preceded && !room.is_empty() {
                rooms.push(room);
            }
        }
    }
    rooms
}

/// What breaks the direction of imports in one file.
fn layering_faults(room: &str, text: &str) -> Vec<String> {
    let Some(own) = layer_of(room) else { return vec![format!("room `{room}` is in no layer")] };
    imports(text)
        .into_iter()
        .filter(|other| other != room)
        .filter_map(|other| {
            let theirs = layer_of(&other)?;
            let sideways = SIDEWAYS.iter().any(|(a, b, _)| *a == room && *b == other);
            (theirs > own || (theirs == own && !sideways))
                .then(|| format!("`{room}` ({}) imports `{other}` ({})", LAYERS[own].0, LAYERS[theirs].0))
        })
        .collect()
}

#[test]
fn imports_point_downward() {
    let mut faults = Vec::new();
    for path in files("src", "rs") {
        if path.ends_with("src/lib.rs") {
            continue;
        }
        for fault in layering_faults(&room_of(&path), &read(&path)) {
            faults.push(format!("{}: {fault}", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_layering_check_can_fail() {
    assert_eq!(layering_faults("engine", "use crate::web::Status;").len(), 1);
    assert_eq!(layering_faults("model", "fn f() -> crate::engine::Engine {}").len(), 1);
    assert!(layering_faults("engine", "use crate::snapshot::Point; // crate::web").is_empty());
}

#[test]
fn core_reads_no_clock_and_does_no_io() {
    const BANNED: &[&str] =
        &["std::time::Instant", "SystemTime", "std::fs", "std::net", "tokio::", "async fn", "opentelemetry"];
    let mut faults = Vec::new();
    let core = LAYERS.iter().find(|(layer, _)| *layer == "core").expect("the pure layer").1;
    for room in core {
        for path in files(&format!("src/{room}"), "rs") {
            for (n, line) in read(&path).lines().enumerate() {
                if line.trim_start().starts_with("//") {
                    continue;
                }
                for word in BANNED.iter().filter(|w| line.contains(**w)) {
                    faults.push(format!("{}:{}: `{word}` in the pure core", path.display(), n + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_is_documented_short_and_plain() {
    let mut faults = Vec::new();
    for (root, max) in
        [("src", MAX_LINES), ("tests", MAX_TEST_LINES), ("benches", MAX_TEST_LINES), ("examples", MAX_TEST_LINES)]
    {
        for path in files(root, "rs") {
            let text = read(&path);
            let name = path.display();
            if !text.starts_with("//!") && !text.starts_with("#!") {
                faults.push(format!("{name}: does not open with //!"));
            }
            let lines = text.lines().count();
            let max = if path.to_string_lossy().contains("/tests") { MAX_TEST_LINES } else { max };
            if lines > max {
                faults.push(format!("{name}: {lines} lines, at most {max}"));
            }
            if !path.to_string_lossy().contains("i18n") && !text.is_ascii() {
                let line = text.lines().position(|l| !l.is_ascii()).unwrap_or(0) + 1;
                faults.push(format!("{name}:{line}: not ASCII"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_is_left_half_done() {
    let words = ["todo!(".to_owned(), "unimplemented!(".to_owned(), ["FIX", "ME"].concat(), ["TO", "DO"].concat()];
    let mut faults = Vec::new();
    for path in ["src", "static", "templates", "benches", "examples"]
        .iter()
        .flat_map(|r| ["rs", "js", "css", "html"].into_iter().flat_map(move |e| files(r, e)))
    {
        for (n, line) in read(&path).lines().enumerate() {
            if words.iter().any(|w| line.contains(w.as_str())) {
                faults.push(format!("{}:{}: {}", path.display(), n + 1, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Ways to leave a test out that no closing line would count.
#[test]
fn no_test_is_left_out_in_silence() {
    let out = [["#[ign", "ore"].concat(), [".sk", "ip("].concat(), [".to", "do("].concat(), [".on", "ly("].concat()];
    let mut faults = Vec::new();
    let sources = ["src", "tests", "benches"].iter().flat_map(|root| files(root, "rs"));
    for path in sources {
        let text = read(&path);
        if text.contains(&out[0]) {
            faults.push(format!("{}: {}", path.display(), out[0]));
        }
        // A test that needs a server asks the environment for it, and says so where it is not there.
        let asks = path.starts_with("tests") && (text.contains("env::var_os(") || text.contains("kafka::libs()"));
        if asks && !path.ends_with("support/kafka.rs") && !path.ends_with("tidy.rs") && !text.contains(" skipped: ") {
            faults.push(format!("{}: asks for a server and never says `n skipped: why`", path.display()));
        }
    }
    for path in files("tests/browser", "mjs") {
        let text = read(&path);
        faults.extend(out[1..].iter().filter(|o| text.contains(&***o)).map(|o| format!("{}: {o}", path.display())));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A promise of the design is a test module of its name; those that are still to come are named in the documentation.
#[test]
fn every_promise_has_its_tests() {
    let promises = ["true_numbers", "live", "no_alert_lost", "light", "disturbs_nothing", "one_command"];
    let architecture = read(Path::new("docs/ARCHITECTURE.md"));
    for promise in promises {
        let found = files("tests", "rs").into_iter().any(|p| p.file_stem().is_some_and(|stem| stem == promise));
        let row = architecture.lines().find(|line| line.contains(&format!("`{promise}`")));
        let row = row.unwrap_or_else(|| panic!("docs/ARCHITECTURE.md does not name `{promise}`"));
        assert_eq!(row.contains("still to come"), !found, "{promise}: {row}");
    }
}

/// The tables of layers that people read name the rooms that there are, each in its layer.
#[test]
fn the_documented_layers_are_these() {
    for doc in ["src/lib.rs", "docs/ARCHITECTURE.md"] {
        let text = read(Path::new(doc));
        for (layer, rooms) in LAYERS {
            let row = text.lines().find(|l| l.contains(&format!("| {layer} |")));
            let row = row.unwrap_or_else(|| panic!("{doc}: no row for the layer {layer}"));
            for room in *rooms {
                let exists = Path::new("src").join(room).is_dir();
                assert!(!exists || row.contains(&format!("`{room}`")), "{doc}: `{room}` is missing in: {row}");
            }
        }
    }
}

#[test]
fn unsafe_code_stays_in_one_place() {
    let faults: Vec<_> = files("src", "rs")
        .into_iter()
        .filter(|p| !p.starts_with("src/broker/kafka/ffi") && !p.ends_with("src/broker/kafka/ffi.rs"))
        .filter(|p| read(p).lines().any(|l| !l.trim_start().starts_with("//") && l.contains("unsafe ")))
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn every_template_and_static_file_is_used() {
    let sources: String = files("src", "rs").iter().map(|p| read(p)).collect();
    let templates = files("templates", "html");
    let bodies: String = templates.iter().map(|p| read(p)).collect();
    let scripts: String = ["js", "css"].iter().flat_map(|e| files("static", e)).map(|p| read(&p)).collect();
    let mut faults = Vec::new();
    for path in &templates {
        let name = path.strip_prefix("templates").expect("in templates").to_string_lossy().into_owned();
        if !sources.contains(&name) && !bodies.contains(&name) {
            faults.push(format!("{}: no page uses it", path.display()));
        }
    }
    for path in ["js", "css", "svg"].iter().flat_map(|e| files("static", e)) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if !sources.contains(&name) && !bodies.contains(&name) && !scripts.contains(&name) {
            faults.push(format!("{}: nothing serves it", path.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_root_stays_short() {
    const ROOT: &[&str] = &[
        "Cargo.lock",
        "Cargo.toml",
        "Dockerfile",
        "LICENSE",
        "Makefile",
        "README.md",
        "askama.toml",
        "benches",
        "clippy.toml",
        "docker-compose.yml",
        "docs",
        "examples",
        "fuzz",
        "otel-collector.yaml",
        "rustfmt.toml",
        "src",
        "static",
        "templates",
        "tests",
    ];
    // What belongs to the project: others may put their files beside it. Without git, everything that lies there.
    let listed = std::process::Command::new("git").args(["ls-files"]).output().ok().filter(|o| o.status.success());
    let names: BTreeSet<String> = match listed {
        Some(out) => String::from_utf8_lossy(&out.stdout)
            .lines()
            .filter_map(|path| path.split('/').next().map(str::to_owned))
            .collect(),
        None => fs::read_dir(".")
            .expect("the root")
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .filter(|n| n != "target" && !n.ends_with("-data"))
            .collect(),
    };
    assert!(names.contains("Cargo.toml"), "{names:?}");
    let extra: Vec<_> = names.iter().filter(|n| !n.starts_with('.') && !ROOT.contains(&n.as_str())).collect();
    assert!(extra.is_empty(), "not in the list of the root: {extra:?}");
}
