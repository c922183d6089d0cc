//! Samples of groups and dead letters for `/metrics`, written piece by piece as the reader takes them.
//!
//! 160,000 rows are 20 MB of text and more: no page of that size is ever held. All pieces of one page come from
//! the same boards. What is not known has no sample; a cluster that does not answer has only states.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use super::letters::LETTERS;
use super::{LagMetrics, compat, told};
use crate::model::{MICROS_PER_SECOND, Timestamp};
use crate::snapshot::{
    DlqBoard, DlqCounted, DlqStream, GroupView, LagBoard, LagCluster, LagRow, LagState, PushState, Snapshot, ToldLag,
};
use crate::web::exposition::{Exposition, Kind};

/// A piece is sent once it has so many bytes: large enough to be cheap, small enough to hold for many readers.
pub const PIECE_BYTES: usize = 64 << 10;

/// What the samples of a family are taken from.
#[derive(Clone, Copy)]
pub enum Over {
    /// Each cluster.
    Cluster(fn(&mut Exposition, &LagCluster, Timestamp)),
    /// Each group of each cluster.
    Group(fn(&mut Exposition, &LagCluster, &GroupView)),
    /// Each row of each group that is [`current`].
    Row(fn(&mut Exposition, &LagCluster, &GroupView, &LagRow)),
    /// Each topic of each cluster that answers.
    Topic(fn(&mut Exposition, &LagCluster, &compat::Topic)),
    /// Each stream of dead letters.
    Letters(fn(&mut Exposition, &DlqStream)),
    /// The stored counter of each group of each cluster.
    Lost(fn(&mut Exposition, &LagCluster, &str, u64)),
    /// The newest lag event of each partition that was told of.
    Told(fn(&mut Exposition, &ToldLag, Timestamp)),
    /// The stored counters of each stream of dead letters.
    Counted(fn(&mut Exposition, &DlqCounted)),
}

/// One family of samples.
#[derive(Clone, Copy)]
pub struct Family {
    /// Name.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// What it says.
    pub help: &'static str,
    /// Its samples.
    pub over: Over,
}

/// A page of metrics being written: what was begun, then all groups and dead letters.
pub struct Samples {
    /// `None` once the page is through.
    out: Option<Exposition>,
    lag: Arc<LagBoard>,
    dlq: Arc<DlqBoard>,
    now: Timestamp,
    topics: Vec<Vec<compat::Topic>>,
    /// At most as many as are kept of each cluster, which is few beside the rows.
    told: Vec<ToldLag>,
    families: Vec<Family>,
    /// Family, cluster, group or topic, row: where to go on.
    at: [usize; 4],
    begun: bool,
    rest: bool,
}

impl Samples {
    /// Goes on with a page that was begun.
    #[must_use]
    pub fn new(out: Exposition, snapshot: &Snapshot, choice: &LagMetrics) -> Self {
        let mut families = OURS.to_vec();
        families.extend(if choice.partitions { BY_PARTITION } else { BY_GROUP });
        families.extend(if choice.partitions { told::TOLD } else { &[] });
        families.extend(LETTERS);
        if choice.kafka_lag_exporter {
            families.extend(compat::kafka_lag_exporter(choice.partitions));
        }
        if choice.kafka_exporter {
            families.extend(compat::kafka_exporter(choice.partitions));
        }
        let topics = if choice.kafka_lag_exporter || choice.kafka_exporter {
            snapshot.lag.clusters.iter().map(|c| compat::topics(c)).collect()
        } else {
            vec![Vec::new(); snapshot.lag.clusters.len()]
        };
        let (lag, dlq, now) = (Arc::clone(&snapshot.lag), Arc::clone(&snapshot.dlq), snapshot.as_of);
        let told = lag.told().into_values().cloned().collect();
        Self { out: Some(out), lag, dlq, now, topics, told, families, at: [0; 4], begun: false, rest: false }
    }

    /// The next piece; `None` at the end.
    pub fn piece(&mut self) -> Option<Vec<u8>> {
        let mut out = self.out.take()?;
        while let Some(family) = self.families.get(self.at[0]).copied() {
            if !self.begun {
                out.family(family.name, family.kind, family.help);
                self.begun = true;
            }
            if self.write(&mut out, family.over) {
                let piece = out.take();
                self.out = Some(out);
                return Some(piece);
            }
            self.at = [self.at[0] + 1, 0, 0, 0];
            self.begun = false;
        }
        Some(out.finish())
    }

    /// Writes on within a family; true once a piece is full.
    fn write(&mut self, out: &mut Exposition, over: Over) -> bool {
        // Dead letters are few (`dlq.streams`) and written at once.
        if let Over::Letters(write) = over {
            self.dlq.streams.iter().for_each(|stream| write(out, stream));
            return false;
        }
        if let Over::Counted(write) = over {
            self.dlq.counted.iter().for_each(|stream| write(out, stream));
            return false;
        }
        let [_, at, item, line] = &mut self.at;
        if let Over::Told(write) = over {
            while let Some(told) = self.told.get(*item) {
                write(out, told, self.now);
                *item += 1;
                if out.waiting() >= PIECE_BYTES {
                    return true;
                }
            }
            return false;
        }
        while let Some(cluster) = self.lag.clusters.get(*at) {
            match over {
                Over::Cluster(write) => write(out, cluster, self.now),
                Over::Group(write) => {
                    while let Some(group) = cluster.groups.get(*item) {
                        write(out, cluster, group);
                        *item += 1;
                        if out.waiting() >= PIECE_BYTES {
                            return true;
                        }
                    }
                }
                Over::Lost(write) => {
                    while let Some((group, lost)) = cluster.lost.get(*item) {
                        write(out, cluster, group, *lost);
                        *item += 1;
                        if out.waiting() >= PIECE_BYTES {
                            return true;
                        }
                    }
                }
                Over::Row(write) if cluster.answering => {
                    while let Some(group) = cluster.groups.get(*item) {
                        while let Some(row) = group.rows.get(*line).filter(|_| current(cluster, group)) {
                            write(out, cluster, group, row);
                            *line += 1;
                            if out.waiting() >= PIECE_BYTES {
                                return true;
                            }
                        }
                        (*item, *line) = (*item + 1, 0);
                    }
                }
                Over::Topic(write) if cluster.answering => {
                    while let Some(topic) = self.topics.get(*at).and_then(|topics| topics.get(*item)) {
                        write(out, cluster, topic);
                        *item += 1;
                        if out.waiting() >= PIECE_BYTES {
                            return true;
                        }
                    }
                }
                Over::Row(_) | Over::Topic(_) | Over::Letters(_) | Over::Counted(_) | Over::Told(_) => {}
            }
            (*at, *item, *line) = (*at + 1, 0, 0);
        }
        false
    }
}

impl Body for Samples {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // A long page must not keep others waiting: between two pieces everybody gets a turn.
        self.rest = !self.rest;
        if !self.rest && self.out.is_some() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.piece().map(|piece| Ok(Frame::data(piece.into()))))
    }
}

pub(super) const fn gauge(name: &'static str, help: &'static str, over: Over) -> Family {
    Family { name, kind: Kind::Gauge, help, over }
}

pub(super) const fn counter(name: &'static str, help: &'static str, over: Over) -> Family {
    Family { name, kind: Kind::Counter, help, over }
}

/// A count as a sample; a negative one is said as it is.
pub fn whole(n: Option<i64>) -> Option<f64> {
    n.map(|n| n as f64)
}

fn row(out: &mut Exposition, cluster: &LagCluster, group: &GroupView, row: &LagRow, value: Option<f64>) {
    let partition = row.partition.to_string();
    let labels = [
        ("cluster_name", &*cluster.cluster),
        ("group", &*group.group),
        ("stream", &*row.stream),
        ("partition", &*partition),
    ];
    out.value(&labels, value);
}

fn group(out: &mut Exposition, cluster: &LagCluster, group: &GroupView, value: Option<f64>) {
    out.value(&[("cluster_name", &cluster.cluster), ("group", &group.group)], value);
}

/// Whether a group's numbers are those of now: frozen ones are shown on pages, with their age, and have no samples.
pub const fn current(cluster: &LagCluster, group: &GroupView) -> bool {
    cluster.answering && !group.frozen
}

/// A number of a group that is live.
fn total(out: &mut Exposition, cluster: &LagCluster, of: &GroupView, value: Option<f64>) {
    group(out, cluster, of, value.filter(|_| current(cluster, of)));
}

const LAG: (&str, &str) = ("streamgauge_group_lag_messages", "End of the log minus the committed position.");
const AGE: (&str, &str) =
    ("streamgauge_group_next_unread_age_seconds", "Age of the next unread message; 0 where nothing is unread.");
const DRAIN: (&str, &str) = (
    "streamgauge_group_drain_seconds",
    "Seconds until nothing is unread at the net rate of now; absent where it is not draining.",
);

/// A sample for each partition.
const BY_PARTITION: &[Family] = &[
    gauge(LAG.0, LAG.1, Over::Row(|out, c, g, r| row(out, c, g, r, whole(r.lag_messages())))),
    gauge(AGE.0, AGE.1, Over::Row(|out, c, g, r| row(out, c, g, r, r.next_unread_age_seconds.get()))),
    gauge(DRAIN.0, DRAIN.1, Over::Row(|out, c, g, r| row(out, c, g, r, r.drain_seconds.get()))),
];

/// The totals of each group.
const BY_GROUP: &[Family] = &[
    gauge(LAG.0, LAG.1, Over::Group(|out, c, g| total(out, c, g, whole(g.lag_messages)))),
    gauge(AGE.0, AGE.1, Over::Group(|out, c, g| total(out, c, g, g.next_unread_age_seconds))),
    gauge(DRAIN.0, DRAIN.1, Over::Group(|out, c, g| total(out, c, g, g.drain_seconds))),
];

/// What is said whatever the choice.
const OURS: &[Family] = &[
    gauge(
        "streamgauge_group_state",
        "1 for the worst state among a group's partitions of a stream, 0 for the others.",
        Over::Group(states),
    ),
    gauge(
        "streamgauge_group_unknown_partitions",
        "Partitions of which it is not known how much is unread: they are in no sum. All, where nobody tells it any more.",
        // Of a group of which nothing is known, how much is not known is not known either.
        Over::Group(|out, c, g| group(out, c, g, (!g.rows.is_empty()).then(|| g.unknown_partitions.into()))),
    ),
    counter(
        "streamgauge_group_lost_messages_total",
        "Messages lost to retention before the group read them.",
        Over::Lost(|out, c, group, lost| out.count(&[("cluster_name", &c.cluster), ("group", group)], lost)),
    ),
    gauge(
        "streamgauge_lag_survey_age_seconds",
        "Age of the newest survey of a cluster's groups.",
        Over::Cluster(|out, c, now| {
            let age = c.as_of.map(|at| now.since(at).max(0) as f64 / MICROS_PER_SECOND as f64);
            out.value(&[("cluster_name", &c.cluster)], age);
        }),
    ),
    gauge(
        "streamgauge_lag_survey_duration_seconds",
        "How long the newest survey took.",
        Over::Cluster(|out, c, _| {
            out.value(&[("cluster_name", &c.cluster)], c.cycle_seconds);
        }),
    ),
    gauge(
        "streamgauge_lag_left_out",
        "Groups and rows that the newest survey left out because of [lag] groups or [lag] rows.",
        Over::Cluster(|out, c, _| {
            out.value(&[("cluster_name", &c.cluster)], c.as_of.map(|_| c.dropped as f64));
        }),
    ),
    gauge(
        "streamgauge_offsets_topic_reading",
        "1 while the broker's own log of commits is read, 0 while it cannot be.",
        Over::Cluster(|out, c, _| {
            let reading = c.push.as_ref().map(|p| f64::from(u8::from(p.state == PushState::Reading)));
            out.value(&[("cluster_name", &c.cluster)], reading);
        }),
    ),
    gauge(
        "streamgauge_offsets_topic_records",
        "Records of that log since the process began, by what became of them.",
        Over::Cluster(|out, c, _| {
            let Some(p) = &c.push else { return };
            for (what, n) in
                [("commit", p.commits), ("unknown", p.unknown), ("undecodable", p.faults), ("dropped", p.dropped)]
            {
                out.count(&[("cluster_name", &c.cluster), ("what", what)], n);
            }
        }),
    ),
    gauge(
        "streamgauge_offsets_topic_disagreements",
        "Positions on which that log and the survey went on disagreeing since the process began; the survey is believed.",
        Over::Cluster(|out, c, _| {
            if let Some(p) = &c.push {
                out.count(&[("cluster_name", &c.cluster)], p.disagreements);
            }
        }),
    ),
    gauge(
        "streamgauge_partition_troubles",
        "Partitions that are leaderless, offline or under-replicated.",
        Over::Cluster(|out, c, _| {
            for what in ["leaderless", "offline", "under_replicated"] {
                let n = c.troubles.iter().filter(|t| t.what == what).count() as f64;
                out.value(&[("cluster_name", &c.cluster), ("what", what)], Some(n).filter(|_| c.answering));
            }
        }),
    ),
];

/// The state of a group on each stream: that of its worst partition there.
fn states(out: &mut Exposition, cluster: &LagCluster, group: &GroupView) {
    let mut worst: BTreeMap<&str, LagState> = BTreeMap::new();
    for row in &group.rows {
        let state = worst.entry(&row.stream).or_insert(row.state);
        *state = (*state).max(row.state);
    }
    if worst.is_empty() {
        worst.insert("", group.state);
    }
    for (stream, now) in worst {
        for state in LagState::ALL {
            let labels = [
                ("cluster_name", &*cluster.cluster),
                ("group", &*group.group),
                ("stream", stream),
                ("state", state.name()),
            ];
            out.count(&labels, u64::from(state == now));
        }
    }
}
