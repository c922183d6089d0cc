//! Cut times of one partition, from its own prefix.

use streamgauge::model::{Kind, MICROS_PER_SECOND};

use super::super::record::Seen;
use super::Hole;

/// Record times that the quartile looks back on.
const LOOK_BACK: usize = 64;
/// Record times of producers that must be known before the frontier is believed: among fewer, one clock ahead decides.
const BELIEVED: usize = 8;

/// At the most a record comes this much later than its cut to the end of a log, as far as watermarks care.
const LATENESS: i64 = 60 * MICROS_PER_SECOND;

/// Where one record is cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Microseconds; `None` where nothing at all says when it was.
    pub at: Option<i64>,
    /// Behind the kept history of this partition.
    pub late: bool,
    /// Frontier of the partition including this record.
    pub frontier: Option<i64>,
}

/// The cut of every record, in order.
pub fn cuts(source: &Seen, history: i64) -> Vec<Cut> {
    let mut times: Vec<i64> = Vec::new();
    let mut frontier: Option<i64> = None;
    let mut out = Vec::with_capacity(source.records.len());
    for record in &source.records {
        let event_time = record.event_time.map(|t| t.0);
        let at = if source.append_time {
            frontier = frontier.max(record.record_time.map(|t| t.0));
            record.record_time.map(|t| t.0).or(frontier).or(event_time)
        } else {
            times.extend(record.record_time.map(|t| t.0));
            let quartile = upper_quartile(&times[times.len().saturating_sub(LOOK_BACK)..]);
            if times.len() >= BELIEVED {
                frontier = frontier.max(quartile);
            }
            record.record_time.map(|t| t.0).max(quartile).or(event_time)
        };
        let late = matches!((at, frontier), (Some(a), Some(f)) if a < f - history * MICROS_PER_SECOND);
        out.push(Cut { at, late, frontier });
    }
    out
}

/// The value that a quarter of the others do not fall short of.
pub fn upper_quartile(times: &[i64]) -> Option<i64> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.get(3 * sorted.len().saturating_sub(1) / 4).copied()
}

/// Where something may be missing: at each undecodable record, and across each gap.
pub fn holes(source: &Seen, cuts: &[Cut]) -> Vec<Hole> {
    let mut out = Vec::new();
    for (record, cut) in source.records.iter().zip(cuts) {
        if let (Kind::Undecodable(_), Some(at)) = (record.kind, cut.at) {
            out.push(Hole { from: at, surely: at, to: at });
        }
    }
    for gap in &source.gaps {
        let before = source.records.partition_point(|r| r.position < gap.from);
        let after = source.records.partition_point(|r| r.position < gap.to);
        // What was cut before the last record, or before the end was last confirmed, is not what is missing.
        let read = before.checked_sub(1).and_then(|i| cuts[i].frontier);
        let confirmed = gap.confirmed.map(|t| t.0);
        out.push(Hole {
            from: read.max(confirmed.map(|t| t - LATENESS)).unwrap_or(i64::MIN),
            surely: read.max(confirmed).unwrap_or(i64::MIN),
            to: cuts.get(after).and_then(|c| c.at).unwrap_or(i64::MAX),
        });
    }
    out
}
