//! Metrics of the process under their customary names, from `/proc/self`. What cannot be read is absent.

use std::fs;

use super::exposition::{Exposition, Kind};
use crate::model::{MICROS_PER_SECOND, Timestamp};

/// Linux shows processor time in hundredths of a second on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Writes them.
pub fn metrics(out: &mut Exposition, started_at: Timestamp) {
    let (cpu, threads) = stat();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open = fs::read_dir("/proc/self/fd").map(|fds| fds.count() as f64).ok();
    let most = limits.lines().find_map(|l| l.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
    let started = (started_at.0 > 0).then(|| started_at.0 as f64 / MICROS_PER_SECOND as f64);
    let rows: [(&str, Kind, &str, Option<f64>); 7] = [
        ("process_cpu_seconds_total", Kind::Counter, "Processor time, user and system.", cpu),
        ("process_open_fds", Kind::Gauge, "Open file descriptors.", open),
        ("process_max_fds", Kind::Gauge, "Most file descriptors allowed.", most),
        ("process_resident_memory_bytes", Kind::Gauge, "Resident memory.", memory(&status, "VmRSS:")),
        ("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory.", memory(&status, "VmSize:")),
        ("process_threads", Kind::Gauge, "Threads.", threads),
        ("process_start_time_seconds", Kind::Gauge, "When the process started, since 1970.", started),
    ];
    for (name, kind, help, value) in rows {
        out.family(name, kind, help);
        out.value(&[], value);
    }
}

/// Processor seconds and threads. The name of the program stands in parentheses and may hold anything.
fn stat() -> (Option<f64>, Option<f64>) {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        text.rsplit(')').next().unwrap_or("").split_whitespace().map(|f| f.parse().unwrap_or(f64::NAN)).collect();
    // Fields 14, 15 and 20 of the line; the first after the name is number 3.
    let field = |number: usize| fields.get(number - 3).copied();
    (field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS_PER_SECOND), field(20))
}

fn memory(status: &str, name: &str) -> Option<f64> {
    let kilobytes = status.lines().find_map(|l| l.strip_prefix(name)?.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map(|kb| kb * 1_024.0)
}
