//! Points of the charts at three resolutions, redrawn only where a second changed.
//!
//! Points of 10 s and 1 m are drawn from the seconds while those are kept, and are final afterwards;
//! only final points are stored, all others are drawn again after a restore.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::Limits;
use crate::snapshot::{HEAT_ROWS, History, Point, Series};

use super::histogram::{Code, Histogram, index_of, upper_edge_of, value_of};
use super::second::HOPS_FROM;
use super::window::Seconds;

/// Points per chunk: a snapshot shares all chunks but the newest ones.
const CHUNK: i64 = 60;

/// What decides how a point is drawn, beside its seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// First second in which the flow was seen.
    pub first: i64,
    /// Seconds before it are complete.
    pub complete_to: i64,
    /// Seconds from it on are partial where they are complete.
    pub partial_from: i64,
}

/// A stored point; the order of fields is the format.
pub type Stored = (i64, bool, [u32; 5], u32, u32, [Option<f32>; 4], Vec<(u8, u32)>);

#[derive(Clone, Debug)]
struct Resolution {
    step: i64,
    kept: i64,
    chunks: BTreeMap<i64, Arc<Vec<Point>>>,
    unsaved: BTreeSet<i64>,
    deleted: Vec<i64>,
}

/// The history of one flow.
#[derive(Clone, Debug)]
pub struct Points {
    steps: [Resolution; 3],
    drawn: Option<Frame>,
    final_to: Option<i64>,
    merged: Histogram,
}

impl Points {
    /// Keeps what `limits` allows.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let resolution = |step, kept| Resolution {
            step,
            kept,
            chunks: BTreeMap::new(),
            unsaved: BTreeSet::new(),
            deleted: Vec::new(),
        };
        let steps = [
            resolution(1, limits.history_1s_seconds),
            resolution(10, limits.history_10s_seconds),
            resolution(60, limits.history_1m_seconds),
        ];
        Self { steps, drawn: None, final_to: None, merged: Histogram::default() }
    }

    /// Redraws what changed since the last time, then lets go of the seconds behind the history.
    pub fn draw(&mut self, seconds: &mut Seconds, frame: Frame) {
        let dirty = seconds.take_undrawn();
        let spans: Vec<std::ops::Range<i64>> = match self.drawn {
            None => std::iter::once(frame.first..frame.complete_to).collect(),
            Some(old) => {
                let partial = old.partial_from.min(frame.partial_from)..frame.complete_to;
                let changed = (old.partial_from != frame.partial_from).then_some(partial);
                // The watermark may also fall back, when a stream joins whose content is not known yet.
                let (low, high) = (old.complete_to.min(frame.complete_to), old.complete_to.max(frame.complete_to));
                let quiet = [frame.first..old.first, low..high];
                quiet.into_iter().chain(changed).collect()
            }
        };
        let newest = self.drawn.map_or(frame.complete_to, |old| old.complete_to.max(frame.complete_to));
        self.drawn = Some(frame);
        for resolution in &mut self.steps {
            let step = resolution.step;
            let begin = |second: i64| second.div_euclid(step) * step;
            let mut starts: BTreeSet<i64> = dirty.iter().map(|s| begin(*s)).collect();
            // The point in which the flow begins may begin before it.
            let oldest = seconds.floor().max(begin(frame.first)).max(frame.complete_to.saturating_sub(resolution.kept));
            for span in &spans {
                let (from, to) = (span.start.max(oldest), span.end.min(newest));
                if from < to {
                    starts.extend((begin(from)..to).step_by(step as usize));
                }
            }
            for t in starts.into_iter().filter(|t| *t >= seconds.floor()) {
                let point = draw_one(seconds, frame, t, step, &mut self.merged);
                // What lies ahead of the watermark is unknown, unless something was already seen there.
                if t < frame.complete_to || (point.events, point.started, point.ended) != (0, 0, [0; 5]) {
                    resolution.put(point);
                } else {
                    resolution.remove(t);
                }
            }
            resolution.prune(frame.complete_to);
        }
        seconds.forget();
        self.settle(seconds.floor());
    }

    /// All of it, sharing every chunk.
    #[must_use]
    pub fn history(&self) -> History {
        let series = |r: &Resolution| Series { step: r.step, chunks: r.chunks.values().cloned().collect() };
        History { s1: series(&self.steps[0]), s10: series(&self.steps[1]), m1: series(&self.steps[2]) }
    }

    /// Hands every chunk with new final points to `save` (step, chunk, points; `None`: it went).
    pub fn save(&mut self, mut save: impl FnMut(i64, i64, Option<Vec<Stored>>)) {
        let Some(final_to) = self.final_to else { return };
        for r in &mut self.steps[1..] {
            for chunk in std::mem::take(&mut r.unsaved) {
                let Some(points) = r.chunks.get(&chunk) else { continue };
                save(r.step, chunk, Some(points.iter().filter(|p| p.t < final_to).map(store).collect()));
            }
            for chunk in r.deleted.drain(..) {
                save(r.step, chunk, None);
            }
        }
    }

    /// Puts a stored chunk back.
    pub fn restore(&mut self, step: i64, points: Vec<Stored>) {
        let Some(resolution) = self.steps.iter_mut().find(|r| r.step == step) else { return };
        for stored in points {
            resolution.put(load(stored));
        }
    }

    /// After a restore: points before `floor` are the stored ones.
    pub fn resume(&mut self, floor: i64) {
        self.final_to = (floor > i64::MIN).then_some(floor);
    }

    /// Points that begin before `floor` will not be drawn again.
    fn settle(&mut self, floor: i64) {
        if floor == i64::MIN || self.final_to == Some(floor) {
            return;
        }
        for r in &mut self.steps[1..] {
            let from = self.final_to.map(|f| f.div_euclid(r.step * CHUNK));
            let to = floor.div_euclid(r.step * CHUNK);
            let from = from.unwrap_or_else(|| r.chunks.first_key_value().map_or(to, |(c, _)| *c));
            let moved = r
                .chunks
                .range(from.min(to)..=to)
                .filter(|(_, points)| points.iter().any(|p| p.t < floor && self.final_to.is_none_or(|f| p.t >= f)));
            r.unsaved.extend(moved.map(|(c, _)| *c));
        }
        self.final_to = Some(floor);
    }
}

impl Resolution {
    fn put(&mut self, point: Point) {
        let chunk = self.chunks.entry(point.t.div_euclid(self.step * CHUNK)).or_default();
        let points = Arc::make_mut(chunk);
        match points.binary_search_by_key(&point.t, |p| p.t) {
            Ok(at) => points[at] = point,
            Err(at) => points.insert(at, point),
        }
    }

    fn remove(&mut self, t: i64) {
        if let Some(chunk) = self.chunks.get_mut(&t.div_euclid(self.step * CHUNK))
            && let Ok(at) = chunk.binary_search_by_key(&t, |p| p.t)
        {
            Arc::make_mut(chunk).remove(at);
        }
    }

    fn prune(&mut self, complete_to: i64) {
        while let Some(first) = self.chunks.first_entry() {
            if (*first.key() + 1) * self.step * CHUNK > complete_to - self.kept {
                break;
            }
            self.deleted.push(*first.key());
            self.unsaved.remove(first.key());
            first.remove();
        }
    }
}

/// Row of the heatmap for a bucket: row `r` begins at `2^(r-10)` seconds.
fn heat_row(code: Code) -> u8 {
    if code <= 0 { 0 } else { (index_of(code).div_euclid(32) + 10).clamp(0, HEAT_ROWS as i32 - 1) as u8 }
}

fn draw_one(seconds: &Seconds, frame: Frame, t: i64, step: i64, merged: &mut Histogram) -> Point {
    let end = t + step;
    let partial = t < frame.complete_to && end.min(frame.complete_to) > frame.partial_from;
    let mut point = Point { t, complete: end <= frame.complete_to, partial, ..Point::default() };
    if merged.count() > 0 {
        merged.clear();
    }
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    for (_, second) in seconds.range(t, end) {
        let counts = &second.counts;
        for (sum, n) in point.ended.iter_mut().zip(counts.ended) {
            *sum = sum.saturating_add(narrow(n));
        }
        point.started = point.started.saturating_add(narrow(counts.started));
        point.events = point.events.saturating_add(narrow(counts.events));
        second.samples(|hist, code, n| {
            if hist < HOPS_FROM && n > 0 {
                merged.add(code, u64::from(n));
            }
        });
    }
    if merged.count() == 0 {
        return point; // most points of a quiet flow: its many buckets need not be looked at
    }
    let value = |q| merged.quantile(q).map(|c| value_of(c) as f32);
    (point.p50, point.p95, point.p99) = (value(0.5), value(0.95), value(0.99));
    point.max = merged.top().map(|c| upper_edge_of(c) as f32);
    for (code, n) in merged.buckets() {
        let (row, n) = (heat_row(code), narrow(n));
        match point.heat.last_mut() {
            Some(last) if last.0 == row => last.1 = last.1.saturating_add(n),
            _ => point.heat.push((row, n)),
        }
    }
    point
}

fn store(p: &Point) -> Stored {
    (p.t, p.partial, p.ended, p.started, p.events, [p.p50, p.p95, p.p99, p.max], p.heat.clone())
}

fn load((t, partial, ended, started, events, [p50, p95, p99, max], heat): Stored) -> Point {
    Point { t, complete: true, partial, ended, started, events, p50, p95, p99, max, heat }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::histogram::code_of;
    use crate::engine::second::Tally;
    use crate::model::Outcome;

    fn frame(complete_to: i64) -> Frame {
        Frame { first: 1_000, complete_to, partial_from: i64::MAX }
    }

    #[test]
    fn seconds_become_points_and_quiet_ones_are_zero() {
        let (mut seconds, mut points) = (Seconds::new(3_600), Points::new(&Limits::default()));
        for (second, micros) in [(1_000, 3_000), (1_003, 700_000), (1_003, -1)] {
            seconds.bump(second, Tally::Ended(Outcome::Failed), 1);
            seconds.bump(second, Tally::Sample(0, code_of(micros)), 1);
        }
        seconds.advance(1_003);
        points.draw(&mut seconds, frame(1_003));
        let history = points.history();
        let s1: Vec<_> = history.s1.range(0, i64::MAX).map(|p| (p.t, p.complete, p.ended[1])).collect();
        assert_eq!(s1, [(1_000, true, 1), (1_001, true, 0), (1_002, true, 0), (1_003, false, 2)]);
        let ten = history.s10.last().unwrap();
        assert_eq!(
            (ten.t, ten.complete, ten.ended[1], &ten.heat[..]),
            (1_000, false, 3, &[(0, 1), (1, 1), (9, 1)][..])
        );
        assert_eq!(history.s1.range(1_001, 1_002).next().unwrap().p50, None);
    }

    #[test]
    fn the_point_in_which_a_flow_begins_is_redrawn_before_its_first_second() {
        let (mut seconds, mut points) = (Seconds::new(3_600), Points::new(&Limits::default()));
        seconds.bump(1_005, Tally::Started, 1);
        let partial = |points: &Points| points.history().s10.last().map(|p| p.partial);
        points.draw(&mut seconds, Frame { first: 1_005, complete_to: 1_000, partial_from: 1_001 });
        assert_eq!(partial(&points), Some(false));
        points.draw(&mut seconds, Frame { first: 1_005, complete_to: 1_003, partial_from: 1_001 });
        assert_eq!(partial(&points), Some(true));
    }

    #[test]
    fn final_points_survive_their_seconds() {
        let (mut seconds, mut points) = (Seconds::new(3_600), Points::new(&Limits::default()));
        let mut saved: BTreeMap<(i64, i64), Vec<Stored>> = BTreeMap::new();
        for to in (1_000..9_000).step_by(7) {
            seconds.bump(to, Tally::Started, 1);
            seconds.advance(to);
            points.draw(&mut seconds, frame(to));
            points.save(|step, chunk, points| match points {
                Some(points) => drop(saved.insert((step, chunk), points)),
                None => drop(saved.remove(&(step, chunk))),
            });
        }
        let mut restored = Points::new(&Limits::default());
        for ((step, _), stored) in saved {
            restored.restore(step, stored);
        }
        restored.resume(seconds.floor());
        let floor = seconds.floor();
        for (a, b) in [(points.history().s10, restored.history().s10), (points.history().m1, restored.history().m1)] {
            assert!(a.range(0, floor).eq(b.range(0, floor)) && a.range(0, floor).count() > 50);
            assert_eq!(b.range(floor, i64::MAX).count(), 0);
        }
        let started: u32 = points.history().m1.range(0, i64::MAX).map(|p| p.started).sum();
        assert_eq!(started, (1_000..9_000).step_by(7).count() as u32);
        assert!(points.history().s1.range(0, i64::MAX).all(|p| p.t > 9_000 - 3_600 - 120));
    }
}
