//! The same under the names and labels of kafka-lag-exporter and kafka_exporter, so that their public Grafana
//! dashboards work unchanged. Where those write -1 or NaN for what they do not know, there is no sample here.
//!
//! kafka_exporter speaks of one cluster only; here its samples also carry `cluster_name`, as two clusters may
//! have a topic of one name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::metrics::{Family, Over, current, whole};
use crate::model::PartitionFacts;
use crate::snapshot::{AgeMethod, GroupView, LagCluster, LagRow, beside_unknown};
use crate::web::exposition::{Exposition, Kind};

/// A topic and its partitions by number.
#[derive(Clone, Debug, Default)]
pub struct Topic {
    /// Name.
    pub name: Arc<str>,
    /// Partitions.
    pub partitions: Vec<(u32, PartitionFacts)>,
}

/// The topics of a cluster: all where the board has them, else those that groups read.
pub fn topics(cluster: &LagCluster) -> Vec<Topic> {
    if !cluster.topics.is_empty() {
        let numbered = |p: &[PartitionFacts]| (0..).zip(p.iter().cloned()).collect();
        let topic =
            |t: &crate::model::TopicFacts| Topic { name: Arc::clone(&t.name), partitions: numbered(&t.partitions) };
        return cluster.topics.iter().map(topic).collect();
    }
    let mut found: BTreeMap<&Arc<str>, BTreeMap<u32, PartitionFacts>> = BTreeMap::new();
    for row in cluster.groups.iter().flat_map(|g| &g.rows) {
        let facts = found.entry(&row.stream).or_default().entry(row.partition).or_default();
        facts.start = facts.start.or(row.start.get());
        facts.end = facts.end.or(row.end.get());
    }
    found.into_iter().map(|(name, p)| Topic { name: Arc::clone(name), partitions: p.into_iter().collect() }).collect()
}

const fn gauge(name: &'static str, help: &'static str, over: Over) -> Family {
    Family { name, kind: Kind::Gauge, help, over }
}

fn float(n: Option<u64>) -> Option<f64> {
    n.map(|n| n as f64)
}

/// Sums of what is known, by topic; absent where that is nothing, or nothing but zeros beside unknown ones.
fn by_topic(group: &GroupView, value: impl Fn(&LagRow) -> Option<f64>) -> BTreeMap<&str, f64> {
    let mut sums: BTreeMap<&str, (Option<f64>, bool)> = BTreeMap::new();
    for row in &group.rows {
        let (sum, unknown) = sums.entry(&row.stream).or_default();
        *sum = value(row).map(|value| sum.unwrap_or(0.0) + value).or(*sum);
        *unknown |= row.unknown();
    }
    sums.into_iter().filter_map(|(topic, (sum, unknown))| Some((topic, beside_unknown(sum, unknown)?))).collect()
}

/// Seconds of lag: none where nothing is unread.
fn seconds(row: &LagRow) -> Option<f64> {
    row.next_unread_age_seconds.get().or((row.method == AgeMethod::CaughtUp).then_some(0.0))
}

fn most(group: &GroupView, value: impl Fn(&LagRow) -> Option<f64>) -> Option<f64> {
    beside_unknown(group.rows.iter().filter_map(value).reduce(f64::max), group.unknown_partitions > 0)
}

fn kle_row(out: &mut Exposition, c: &LagCluster, g: &GroupView, r: &LagRow, value: Option<f64>) {
    let partition = r.partition.to_string();
    let (client, host) = r.owner.as_deref().map_or(("", ""), |(id, host)| (&**id, &**host));
    let labels = [
        ("cluster_name", &*c.cluster),
        ("group", &*g.group),
        ("topic", &*r.stream),
        ("partition", &*partition),
        ("member_host", host),
        // Brokers tell it, but it changes with each rebalance: a label that would only make series.
        ("consumer_id", ""),
        ("client_id", client),
    ];
    out.value(&labels, value);
}

fn kle_group(out: &mut Exposition, c: &LagCluster, g: &GroupView, value: Option<f64>) {
    out.value(&[("cluster_name", &c.cluster), ("group", &g.group)], value.filter(|_| current(c, g)));
}

fn kle_partition(out: &mut Exposition, c: &LagCluster, topic: &Topic, value: impl Fn(&PartitionFacts) -> Option<f64>) {
    for (number, facts) in &topic.partitions {
        let number = number.to_string();
        out.value(&[("cluster_name", &c.cluster), ("topic", &topic.name), ("partition", &number)], value(facts));
    }
}

/// The families of kafka-lag-exporter 0.8.
pub fn kafka_lag_exporter(partitions: bool) -> impl Iterator<Item = Family> {
    let rows: &[Family] = if partitions { KLE_ROWS } else { &[] };
    KLE.iter().chain(rows).copied()
}

const KLE: &[Family] = &[
    gauge(
        "kafka_consumergroup_group_max_lag",
        "Max group offset lag",
        Over::Group(|out, c, g| {
            kle_group(out, c, g, most(g, |r| whole(r.lag_messages())));
        }),
    ),
    gauge(
        "kafka_consumergroup_group_max_lag_seconds",
        "Max group time lag",
        Over::Group(|out, c, g| {
            kle_group(out, c, g, most(g, seconds));
        }),
    ),
    gauge(
        "kafka_consumergroup_group_sum_lag",
        "Sum of group offset lag",
        Over::Group(|out, c, g| {
            kle_group(out, c, g, whole(g.lag_messages));
        }),
    ),
    gauge(
        "kafka_consumergroup_group_topic_sum_lag",
        "Sum of group offset lag across topic partitions",
        Over::Group(|out, c, g| {
            for (topic, sum) in by_topic(g, |r| whole(r.lag_messages())) {
                let labels = [("cluster_name", &*c.cluster), ("group", &*g.group), ("topic", topic)];
                out.value(&labels, Some(sum).filter(|_| current(c, g)));
            }
        }),
    ),
    gauge(
        "kafka_consumergroup_poll_time_ms",
        "Group time poll time",
        Over::Cluster(|out, c, _| {
            out.value(&[("cluster_name", &c.cluster)], c.cycle_seconds.map(|s| s * 1_000.0));
        }),
    ),
];

const KLE_ROWS: &[Family] = &[
    gauge(
        "kafka_consumergroup_group_offset",
        "Last group consumed offset of a partition",
        Over::Row(|out, c, g, r| {
            kle_row(out, c, g, r, float(r.committed.get()));
        }),
    ),
    gauge(
        "kafka_consumergroup_group_lag",
        "Group offset lag of a partition",
        Over::Row(|out, c, g, r| {
            kle_row(out, c, g, r, whole(r.lag_messages()));
        }),
    ),
    gauge(
        "kafka_consumergroup_group_lag_seconds",
        "Group time lag of a partition",
        Over::Row(|out, c, g, r| {
            kle_row(out, c, g, r, seconds(r));
        }),
    ),
    gauge(
        "kafka_partition_latest_offset",
        "Latest offset of a partition",
        Over::Topic(|out, c, t| {
            kle_partition(out, c, t, |p| float(p.end));
        }),
    ),
    gauge(
        "kafka_partition_earliest_offset",
        "Earliest offset of a partition",
        Over::Topic(|out, c, t| {
            kle_partition(out, c, t, |p| float(p.start));
        }),
    ),
];

fn ke_row(out: &mut Exposition, c: &LagCluster, g: &GroupView, r: &LagRow, value: Option<f64>) {
    let partition = r.partition.to_string();
    let labels = [
        ("cluster_name", &*c.cluster),
        ("consumergroup", &*g.group),
        ("topic", &*r.stream),
        ("partition", &*partition),
    ];
    out.value(&labels, value);
}

fn ke_sum(out: &mut Exposition, c: &LagCluster, g: &GroupView, value: impl Fn(&LagRow) -> Option<f64>) {
    for (topic, sum) in by_topic(g, value) {
        let labels = [("cluster_name", &*c.cluster), ("consumergroup", &*g.group), ("topic", topic)];
        out.value(&labels, Some(sum).filter(|_| current(c, g)));
    }
}

/// The families of kafka_exporter 1.9.
pub fn kafka_exporter(partitions: bool) -> impl Iterator<Item = Family> {
    let rows: &[Family] = if partitions { KE_ROWS } else { &[] };
    KE.iter().chain(rows).copied()
}

const KE: &[Family] = &[
    gauge(
        "kafka_brokers",
        "Number of Brokers in the Kafka Cluster.",
        Over::Cluster(|out, c, _| {
            out.value(&[("cluster_name", &c.cluster)], c.brokers.filter(|_| c.answering).map(f64::from));
        }),
    ),
    gauge(
        "kafka_topic_partitions",
        "Number of partitions for this Topic",
        Over::Topic(|out, c, t| {
            out.count(&[("cluster_name", &c.cluster), ("topic", &t.name)], t.partitions.len() as u64);
        }),
    ),
    gauge(
        "kafka_consumergroup_members",
        "Amount of members in a consumer group",
        Over::Group(|out, c, g| {
            let labels = [("cluster_name", &*c.cluster), ("consumergroup", &*g.group)];
            out.value(&labels, g.members.filter(|_| c.answering).map(f64::from));
        }),
    ),
    gauge(
        "kafka_consumergroup_current_offset_sum",
        "Current Offset of a ConsumerGroup at Topic for all partitions",
        Over::Group(|out, c, g| {
            ke_sum(out, c, g, |r| float(r.committed.get()));
        }),
    ),
    gauge(
        "kafka_consumergroup_lag_sum",
        "Current Approximate Lag of a ConsumerGroup at Topic for all partitions",
        Over::Group(|out, c, g| {
            ke_sum(out, c, g, |r| whole(r.lag_messages()));
        }),
    ),
];

const KE_ROWS: &[Family] = &[
    gauge(
        "kafka_topic_partition_current_offset",
        "Current Offset of a Broker at Topic/Partition",
        Over::Topic(|out, c, t| {
            kle_partition(out, c, t, |p| float(p.end));
        }),
    ),
    gauge(
        "kafka_topic_partition_oldest_offset",
        "Oldest Offset of a Broker at Topic/Partition",
        Over::Topic(|out, c, t| {
            kle_partition(out, c, t, |p| float(p.start));
        }),
    ),
    gauge(
        "kafka_topic_partition_leader",
        "Leader Broker ID of this Topic/Partition",
        Over::Topic(|out, c, t| {
            kle_partition(out, c, t, |p| p.leader.map(f64::from));
        }),
    ),
    gauge(
        "kafka_topic_partition_leader_is_preferred",
        "1 if Topic/Partition is using the Preferred Broker",
        Over::Topic(|out, c, t| {
            kle_partition(out, c, t, |p| Some(f64::from(u8::from(p.leader? == p.preferred?))));
        }),
    ),
    gauge(
        "kafka_topic_partition_replicas",
        "Number of Replicas for this Topic/Partition",
        Over::Topic(|out, c, t| {
            kle_partition(out, c, t, |p| replicated(p).then_some(f64::from(p.replicas)));
        }),
    ),
    gauge(
        "kafka_topic_partition_in_sync_replica",
        "Number of In-Sync Replicas for this Topic/Partition",
        Over::Topic(|out, c, t| {
            kle_partition(out, c, t, |p| replicated(p).then_some(f64::from(p.in_sync)));
        }),
    ),
    gauge(
        "kafka_topic_partition_under_replicated_partition",
        "1 if Topic/Partition is under Replicated",
        Over::Topic(|out, c, t| {
            kle_partition(out, c, t, |p| replicated(p).then_some(f64::from(u8::from(p.in_sync < p.replicas))));
        }),
    ),
    gauge(
        "kafka_consumergroup_current_offset",
        "Current Offset of a ConsumerGroup at Topic/Partition",
        Over::Row(|out, c, g, r| {
            ke_row(out, c, g, r, float(r.committed.get()));
        }),
    ),
    gauge(
        "kafka_consumergroup_lag",
        "Current Approximate Lag of a ConsumerGroup at Topic/Partition",
        Over::Row(|out, c, g, r| {
            ke_row(out, c, g, r, whole(r.lag_messages()));
        }),
    ),
];

/// Whether replicas are known at all: a partition has at least one.
const fn replicated(facts: &PartitionFacts) -> bool {
    facts.replicas > 0
}
