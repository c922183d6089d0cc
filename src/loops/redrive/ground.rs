//! The beginning of an attempt: fences other runs and reads all that is durable.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use super::{LOOK_UP, READ_BYTES, RedriveError, RedriveLoop, STEP, listed};
use crate::broker::MoveError;
use crate::dlq::{NameClass, Settled, classify, marker_stream, name_class, own_group};
use crate::loops::letters::headers;
use crate::model::{Survey, TopicFacts};

/// Time for the survey at the beginning: it asks all groups of the cluster.
const SURVEY: Duration = Duration::from_secs(30);
/// Least time for a question, however late it is.
const LEAST: Duration = Duration::from_secs(1);
/// Markers in one read: 1 KiB each.
const MARKERS: usize = 1_000;

/// Streams of dead letters named where another one was asked for.
const KNOWN: usize = 20;
/// Streams whose name only suggests dead letters of which a record is looked at, and the time for all of them: they
/// are few, and a run must not wait for those that may not be read.
const LOOKED_INTO: (usize, Duration) = (100, Duration::from_secs(5));
/// Bytes of one record that is looked at.
const LOOK_BYTES: usize = 64 << 10;

/// What an attempt found at its beginning.
pub(super) struct Ground {
    pub settled: Settled,
    /// By partition: where our group stands, or the log begins.
    pub low: BTreeMap<u32, u64>,
    /// By partition: from, to.
    pub spans: Vec<(u32, u64, u64)>,
    pub streams: HashSet<String>,
    /// Bytes of the largest record that a stream takes, where that is known.
    pub most: BTreeMap<String, u64>,
    /// Letters that are too large for their targets: how many, the first of them in words.
    pub large: (u64, Vec<String>),
    pub dlqs: HashSet<String>,
    pub marker: String,
    pub notes: Vec<String>,
    /// Groups by the stream they have positions on.
    pub readers: BTreeMap<String, Vec<String>>,
}

impl RedriveLoop {
    /// Fences other runs, then reads all that is durable. `contact`: the cluster has to answer until then; `reached`:
    /// it did.
    pub(super) fn ground(&mut self, contact: Option<Instant>, reached: &mut bool) -> Result<Ground, RedriveError> {
        let within =
            |most: Duration| contact.map_or(most, |at| at.saturating_duration_since(Instant::now()).clamp(LEAST, most));
        let impossible = |words: String| RedriveError::Impossible(words);
        let stream = self.options.stream.clone();
        let marker = marker_stream(&stream);
        let (mut progress, mut refused) = (None, None);
        if !self.options.dry_run
            && let Some(mover) = &mut self.mover
        {
            refused = (self.prepare)(&marker).err();
            // From here on nobody else's step can succeed: what is read below stays true.
            progress = Some(mover.progress(&stream, within(STEP))?);
            *reached = true;
        }
        let survey = self.observe.survey(within(SURVEY));
        if !survey.answered {
            let why = survey.faults.join("; ");
            return Err(MoveError::Unavailable(format!("the cluster does not answer: {why}")).into());
        }
        *reached = true;
        let topic = |name: &str| survey.topics.iter().find(|t| *t.name == *name);
        let dlqs = self.dlqs(&survey);
        let lie_in = || {
            let mut known: Vec<String> = dlqs.iter().cloned().collect();
            known.sort_unstable();
            listed(&known[..known.len().min(KNOWN)], known.len() as u64)
        };
        let Some(dlq) = topic(&stream) else {
            if !survey.faults.is_empty() {
                let why = survey.faults.join("; ");
                return Err(MoveError::Unavailable(format!("the cluster answers in part: {why}")).into());
            }
            let cluster = &self.options.cluster;
            return Err(impossible(format!(
                "cluster {cluster} has no stream {stream}; dead letters lie in: {}",
                lie_in()
            )));
        };
        if !dlqs.contains(&stream) && !self.options.any_stream {
            return Err(impossible(format!(
                "stream {stream} is not known to hold dead letters; they lie in: {}; to redrive it all the same, name it \
                 in [dlq] patterns, or as a stream of role dlq, or say --any-stream",
                lie_in()
            )));
        }
        if let Some(range) =
            self.options.selection.offsets.iter().find(|r| r.partition as usize >= dlq.partitions.len())
        {
            let (asked, there) = (range.partition, dlq.partitions.len());
            return Err(impossible(format!(
                "stream {stream} has no partition {asked}: it has {there} partitions, from 0 on"
            )));
        }
        if dlq.partitions.is_empty() {
            return Err(MoveError::Unavailable(format!("the cluster does not tell the partitions of {stream}")).into());
        }
        let mut notes = vec![self.ended.source()];
        let mut settled = Settled::new(dlq.id.clone());
        if let Some(markers) = topic(&marker) {
            self.read_markers(markers, &mut settled)?;
            if markers.compacted == Some(false) {
                notes.push(format!("stream {marker} is not compacted: what it says of old letters may expire"));
            }
        } else if let Some(why) = refused {
            let how = "make it by hand: one partition, cleanup.policy=compact";
            return Err(impossible(format!("stream {marker}, which says what was sent, cannot be made: {why}; {how}")));
        } else if !self.options.dry_run {
            return Err(MoveError::Unavailable(format!("stream {marker} is not there yet")).into());
        }
        let progress: BTreeMap<u32, u64> =
            progress.unwrap_or_else(|| committed(&survey, &own_group(&stream), &stream)).into_iter().collect();
        let (mut low, mut spans) = (BTreeMap::new(), Vec::new());
        for (n, p) in (0u32..).zip(&dlq.partitions) {
            let (Some(start), Some(end)) = (p.start, p.stable_end.or(p.end)) else {
                return Err(MoveError::Unavailable(format!("partition {n} of {stream}: {}", p.fault)).into());
            };
            // A position beyond the end is of an earlier topic of this name.
            let at = progress.get(&n).copied().filter(|at| *at <= p.end.unwrap_or(end)).unwrap_or(start).max(start);
            low.insert(n, at);
            settled.expire(n, start);
            let from = if self.options.include_ended_ok { start } else { at };
            spans.extend(self.options.selection.span(n, from, end).map(|(from, to)| (n, from, to)));
        }
        notes.push(
            "the order of records with the same key is not kept: copies are appended behind what is there".into(),
        );
        let streams = survey.topics.iter().map(|t| t.name.to_string()).collect();
        let most = survey.topics.iter().filter_map(|t| Some((t.name.to_string(), t.record_bytes?))).collect();
        let mut readers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for group in &survey.groups {
            let of: HashSet<u32> = group.committed.iter().flatten().map(|c| c.topic).collect();
            for at in of {
                let name = survey.topics.get(at as usize).map(|t| t.name.to_string()).unwrap_or_default();
                readers.entry(name).or_default().push(group.name.to_string());
            }
        }
        Ok(Ground { settled, low, spans, streams, most, large: (0, Vec::new()), dlqs, marker, notes, readers })
    }

    /// Streams that hold dead letters: by configuration, by name, and, where the name only suggests it, by the headers of
    /// their newest record.
    fn dlqs(&mut self, survey: &Survey) -> HashSet<String> {
        let is = |t: &&TopicFacts| {
            let sure = name_class(&t.name) == NameClass::Sure && !self.rules.others.contains(&*t.name);
            t.dead_letters || sure || self.rules.exact.contains(&*t.name) || self.rules.patterns.is_match(&t.name)
        };
        let mut found: HashSet<String> = survey.topics.iter().filter(is).map(|t| t.name.to_string()).collect();
        let until = Instant::now() + LOOKED_INTO.1;
        let perhaps = survey.topics.iter().filter(|t| self.rules.may_hold(&t.name) && !found.contains(&*t.name));
        let perhaps: Vec<&TopicFacts> = perhaps.take(LOOKED_INTO.0).collect();
        for topic in perhaps {
            let left = until.saturating_duration_since(Instant::now());
            let ends = (0u32..).zip(&topic.partitions).filter_map(|(n, p)| Some((n, p.stable_end?, p.start?)));
            let longest = ends.filter(|(_, end, start)| end > start).max_by_key(|(_, end, _)| *end);
            let Some((partition, end, start)) = longest.filter(|_| !left.is_zero()) else { continue };
            let from = end.saturating_sub(1).max(start);
            // Without the right to read it, it stays a suggestion.
            let read = self.observe.records(&topic.name, partition, from, 1, LOOK_BYTES, left);
            if read.is_ok_and(|s| s.records.iter().any(|r| !classify(&headers(r)).family.is_empty())) {
                found.insert(topic.name.to_string());
            }
        }
        found
    }

    /// Reads every marker up to the end of the log: also behind what other open transactions still hide.
    fn read_markers(&mut self, topic: &TopicFacts, settled: &mut Settled) -> Result<(), RedriveError> {
        let unavailable = |words: String| RedriveError::Moved(MoveError::Unavailable(words));
        // Whoever went on without them would send again what was sent.
        let Some(first) = topic.partitions.first() else {
            return Err(unavailable(format!("the cluster does not tell the partitions of {}", topic.name)));
        };
        let (Some(mut from), Some(end)) = (first.start, first.end) else {
            return Err(unavailable(format!("stream {}: {}", topic.name, first.fault)));
        };
        let until = Instant::now() + STEP;
        while from < end {
            let stretch = self.observe.records(&topic.name, 0, from, MARKERS, READ_BYTES, STEP).map_err(unavailable)?;
            for record in &stretch.records {
                settled.load(record.key.as_deref().unwrap_or_default(), record.payload.as_deref());
            }
            if stretch.next <= from && Instant::now() > until {
                return Err(unavailable(format!("stream {} cannot be read to its end", topic.name)));
            }
            if stretch.next <= from {
                self.sleep(LOOK_UP)?;
            }
            from = stretch.next.max(from);
        }
        Ok(())
    }
}

fn committed(survey: &Survey, group: &str, stream: &str) -> Vec<(u32, u64)> {
    let group = survey.groups.iter().find(|g| *g.name == *group);
    let positions = group.into_iter().flat_map(|g| g.committed.iter().flatten());
    let of = |at: u32| survey.topics.get(at as usize).is_some_and(|t| *t.name == *stream);
    positions.filter(|c| of(c.topic)).map(|c| (c.partition, c.next)).collect()
}
