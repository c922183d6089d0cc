//! Burrow's verdict about the same samples, so that people who know it can compare.
//!
//! Its rules are applied as they are, with their known weaknesses (one dip hides any growth; the first commit is
//! STOP; slow commits delay detection). One difference cannot be avoided: Burrow sees every commit, we see what
//! was committed at each survey. A partition that a member has counts as committed at every survey.

use crate::snapshot::Burrow;

/// A commit as Burrow keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurrowCommit {
    /// Seconds, from any beginning.
    pub at: f64,
    /// Committed position.
    pub position: u64,
    /// Lag at that moment; `None`: not known.
    pub lag: Option<u64>,
}

/// Burrow keeps the ends of a log for so long: ten of them, one every ten seconds.
pub const ENDS_SECONDS: u32 = 100;

/// Verdict of a partition: any but that of groups, `ERR`. `commits` oldest first; `ends` of the log within the
/// last [`ENDS_SECONDS`]; `lag` as of `now` (seconds). Allowed lag and minimum completeness are Burrow's defaults, 0.
#[must_use]
pub fn burrow(commits: &[BurrowCommit], ends: &[u64], lag: u64, now: f64) -> Burrow {
    let from = commits.iter().position(|c| c.lag.is_some()).unwrap_or(commits.len());
    let known = &commits[from..];
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return if commits.is_empty() { Burrow::NotFound } else { Burrow::Ok };
    };
    if lag == 0 {
        return Burrow::Ok;
    }
    if now - last.at > last.at - first.at && !ends.iter().any(|end| *end <= last.position) {
        return Burrow::Stop;
    }
    let back = known.windows(2).position(|w| w[1].position < w[0].position);
    if let Some(i) = back
        && !known[i + 1..].iter().any(|c| c.position >= known[i].position)
    {
        return Burrow::Rewind;
    }
    if known.iter().any(|c| c.lag == Some(0)) {
        return Burrow::Ok;
    }
    if known.iter().all(|c| c.position == first.position) {
        return Burrow::Stall;
    }
    let never_falls = known.windows(2).all(|w| match (w[0].lag, w[1].lag) {
        (Some(before), Some(after)) => after >= before,
        _ => true,
    });
    if never_falls { Burrow::Warn } else { Burrow::Ok }
}

/// Verdict of a group over its partitions: `OK WARN ERR NOTFOUND`, as Burrow folds them.
#[must_use]
pub fn worst(partitions: impl Iterator<Item = Burrow>) -> Burrow {
    let rank = |p: Burrow| match p {
        Burrow::Unsaid | Burrow::NotFound => 0,
        Burrow::Ok => 1,
        Burrow::Warn => 2,
        _ => 3,
    };
    [Burrow::NotFound, Burrow::Ok, Burrow::Warn, Burrow::Err][partitions.map(rank).max().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits every `step` seconds: (position, lag).
    fn commits(step: f64, all: &[(u64, u64)]) -> Vec<BurrowCommit> {
        let one = |(i, (p, l)): (usize, &(u64, u64))| BurrowCommit { at: i as f64 * step, position: *p, lag: Some(*l) };
        all.iter().enumerate().map(one).collect()
    }

    #[test]
    fn as_the_original() {
        let grow: Vec<(u64, u64)> = (1..=10).map(|i| (i * 10, i * 5)).collect();
        let mut dip = grow.clone();
        dip[5].1 = dip[4].1 - 1;
        let mut first = grow.clone();
        first[0].1 = 0;
        let still = [(50, 5); 10];
        let marker: Vec<(u64, u64)> = (1..=10).map(|i| (i * 10, 1)).collect();
        let back = [(50, 5), (60, 5), (20, 45), (30, 40)];
        let hidden = [(50, 5), (20, 35), (60, 5), (30, 35), (31, 40)];
        for (name, all, lag, now, verdict) in [
            ("lag grows with every commit", &grow[..], 50, 91.0, "WARN"),
            ("one dip of one message", &dip, 50, 91.0, "OK"),
            ("the first lag was 0", &first, 50, 91.0, "OK"),
            ("steady 1, a marker", &marker, 1, 91.0, "WARN"),
            ("first commit, 1 s old", &grow[..1], 5, 1.0, "STOP"),
            ("dead, silence shorter than the window", &grow, 60, 170.0, "WARN"),
            ("dead, silence longer than the window", &grow, 60, 181.0, "STOP"),
            ("the same position again and again", &still, 5, 91.0, "STALL"),
            ("went back", &back, 40, 31.0, "REWIND"),
            ("a rewind behind an earlier one that recovered", &hidden, 40, 41.0, "OK"),
            ("all read", &grow, 0, 9_999.0, "OK"),
            ("never committed", &[], 100, 1.0, "NOTFOUND"),
        ] {
            let end = all.last().map_or(100, |l| l.0 + lag);
            assert_eq!(burrow(&commits(10.0, all), &[end], lag, now).name(), verdict, "{name}");
        }
        assert_eq!(worst([Burrow::Ok, Burrow::Stop, Burrow::Warn].into_iter()), Burrow::Err);
        assert_eq!(worst([Burrow::Ok, Burrow::Warn].into_iter()), Burrow::Warn);
        assert_eq!(worst(std::iter::empty()), Burrow::NotFound);
    }
}
