//! Answers to admin questions, copied out of librdkafka's events.

use std::ffi::CStr;

use rdkafka::bindings as rd;

use super::group::{self, CommittedOf, GroupsOf, MembersOf};
use super::{Code, Fault, text};

/// `RD_KAFKA_OFFSET_INVALID`: librdkafka never got to know.
const NO_OFFSET: i64 = -1001;

/// One answer.
pub(in super::super) enum Answer {
    Offsets(Result<Vec<OffsetOf>, Fault>),
    Topics(Result<Vec<TopicOf>, Fault>),
    Configs(Result<ConfigsOf, Fault>),
    Groups(Result<GroupsOf, Fault>),
    Members(Result<Vec<MembersOf>, Fault>),
    Committed(Result<CommittedOf, Fault>),
}

/// Configurations by topic.
pub(in super::super) type ConfigsOf = Vec<(String, Result<ConfigOf, Fault>)>;

/// Where a partition stands; -1 where no record is as young as was asked for.
pub(in super::super) struct OffsetOf {
    pub topic: String,
    pub partition: i32,
    pub offset: Result<i64, Fault>,
    /// Time of the record at the offset, in ms; -1 where a time was not asked for.
    pub time: i64,
}

/// What a topic is.
pub(in super::super) struct TopicOf {
    pub name: String,
    pub found: Result<TopicFound, Fault>,
}

/// A topic that exists and that we may describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct TopicFound {
    /// As the broker writes it; empty from brokers before 2.8.
    pub id: String,
    pub internal: bool,
    pub partitions: i32,
    /// Partitions that nobody leads at the moment.
    pub leaderless: Vec<i32>,
    /// Each partition's brokers.
    pub brokers: Vec<BrokersOf>,
    /// Whether we may read and describe the configuration; only where asked for.
    pub may: Option<May>,
}

/// Who holds a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct BrokersOf {
    pub partition: i32,
    pub leader: Option<i32>,
    /// The first of the replicas.
    pub preferred: Option<i32>,
    pub replicas: u32,
    pub in_sync: u32,
}

/// Rights on a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct May {
    pub read: bool,
    pub write: bool,
    pub describe_configs: bool,
}

/// What of a topic's configuration matters to a reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct ConfigOf {
    /// `message.timestamp.type = LogAppendTime`.
    pub append_time: bool,
    /// `retention.ms`; -1 forever.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`; -1 without limit.
    pub retention_bytes: Option<i64>,
    /// `cleanup.policy`.
    pub cleanup: String,
    /// `errors.deadletterqueue.group.enable`: of share groups (KIP-1191), from Kafka 4.4 on; Kafka 4.3 does not have it.
    pub dead_letters: bool,
    /// `max.message.bytes`: of a batch as it arrives.
    pub batch_bytes: Option<u64>,
}

/// A counted array of pointers as a slice; NULL is empty.
///
/// # Safety
/// `items` is NULL or has `count` elements that live as long as the result is used.
pub(super) unsafe fn slice<'e, T>(items: *const T, count: usize) -> &'e [T] {
    if items.is_null() {
        return &[];
    }
    // SAFETY: the caller vouches.
    unsafe { std::slice::from_raw_parts(items, count) }
}

/// Copies an answer out of an event; `None` where it is none of ours.
///
/// # Safety
/// `event` is live and stays so through the call.
pub(super) unsafe fn read(event: *mut rd::rd_kafka_event_t) -> Option<Answer> {
    // SAFETY: the accessors return parts of the live event; all is copied before we return.
    unsafe {
        let fault = Fault::of(rd::rd_kafka_event_error(event)).map(|mut fault| {
            let words = text(rd::rd_kafka_event_error_string(event));
            if !words.is_empty() {
                fault.words = words;
            }
            fault
        });
        let mut count = 0;
        Some(match rd::rd_kafka_event_type(event) {
            rd::RD_KAFKA_EVENT_LISTOFFSETS_RESULT => Answer::Offsets(match fault {
                Some(fault) => Err(fault),
                None => {
                    let result = rd::rd_kafka_event_ListOffsets_result(event);
                    let infos = rd::rd_kafka_ListOffsets_result_infos(result, &mut count);
                    Ok(slice(infos, count).iter().map(|info| offset(*info)).collect())
                }
            }),
            rd::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT => Answer::Topics(match fault {
                Some(fault) => Err(fault),
                None => {
                    let result = rd::rd_kafka_event_DescribeTopics_result(event);
                    let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
                    Ok(slice(topics, count).iter().map(|info| topic(*info)).collect())
                }
            }),
            rd::RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT => Answer::Configs(match fault {
                Some(fault) => Err(fault),
                None => {
                    let result = rd::rd_kafka_event_DescribeConfigs_result(event);
                    let resources = rd::rd_kafka_DescribeConfigs_result_resources(result, &mut count);
                    Ok(slice(resources, count).iter().map(|resource| config(*resource)).collect())
                }
            }),
            rd::RD_KAFKA_EVENT_LISTCONSUMERGROUPS_RESULT => {
                Answer::Groups(fault.map_or_else(|| Ok(group::groups(event)), Err))
            }
            rd::RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT => {
                Answer::Members(fault.map_or_else(|| Ok(group::members(event)), Err))
            }
            rd::RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT => {
                Answer::Committed(fault.map_or_else(|| group::committed(event), Err))
            }
            _ => return None,
        })
    }
}

/// # Safety
/// `info` is part of a live event.
unsafe fn offset(info: *const rd::rd_kafka_ListOffsetsResultInfo_t) -> OffsetOf {
    // SAFETY: as the caller says; the partition is part of the info.
    unsafe {
        let of = &*rd::rd_kafka_ListOffsetsResultInfo_topic_partition(info);
        // A question that its broker did not answer comes back without an error and without an offset.
        let unanswered = || Fault { code: Code::OperationTimedOut, words: "no answer in time".to_owned() };
        let offset = match Fault::of(of.err) {
            Some(fault) => Err(fault),
            None if of.offset == NO_OFFSET => Err(unanswered()),
            None => Ok(of.offset),
        };
        let time = rd::rd_kafka_ListOffsetsResultInfo_timestamp(info);
        OffsetOf { topic: text(of.topic), partition: of.partition, offset, time }
    }
}

/// # Safety
/// `info` is part of a live event.
unsafe fn topic(info: *const rd::rd_kafka_TopicDescription_t) -> TopicOf {
    use rd::rd_kafka_AclOperation_t as Op;
    // SAFETY: as the caller says; names, partitions and rights are parts of it. The id's text belongs to the id.
    unsafe {
        let name = text(rd::rd_kafka_TopicDescription_name(info));
        let error = rd::rd_kafka_TopicDescription_error(info);
        if !error.is_null()
            && let Some(mut fault) = Fault::of(rd::rd_kafka_error_code(error))
        {
            fault.words = text(rd::rd_kafka_error_string(error));
            return TopicOf { name, found: Err(fault) };
        }
        let mut count = 0;
        let partitions = slice(rd::rd_kafka_TopicDescription_partitions(info, &mut count), count);
        let brokers: Vec<BrokersOf> = partitions.iter().map(|partition| brokers(*partition)).collect();
        let leaderless = brokers.iter().filter(|p| p.leader.is_none()).map(|p| p.partition).collect();
        let mut rights = 0;
        let operations = rd::rd_kafka_TopicDescription_authorized_operations(info, &mut rights);
        let may = (!operations.is_null()).then(|| {
            let operations = slice(operations, rights);
            let can = |op: Op| operations.iter().any(|o| *o == op || *o == Op::RD_KAFKA_ACL_OPERATION_ALL);
            May {
                read: can(Op::RD_KAFKA_ACL_OPERATION_READ),
                write: can(Op::RD_KAFKA_ACL_OPERATION_WRITE),
                describe_configs: can(Op::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS),
            }
        });
        let id = rd::rd_kafka_TopicDescription_topic_id(info);
        let none = id.is_null()
            || (rd::rd_kafka_Uuid_most_significant_bits(id) == 0 && rd::rd_kafka_Uuid_least_significant_bits(id) == 0);
        TopicOf {
            name,
            found: Ok(TopicFound {
                id: if none { String::new() } else { text(rd::rd_kafka_Uuid_base64str(id)) },
                internal: rd::rd_kafka_TopicDescription_is_internal(info) != 0,
                partitions: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
                leaderless,
                brokers,
                may,
            }),
        }
    }
}

/// # Safety
/// `partition` is part of a live event.
unsafe fn brokers(partition: *const rd::rd_kafka_TopicPartitionInfo_t) -> BrokersOf {
    let (mut replicas, mut in_sync) = (0, 0);
    // SAFETY: as the caller says; the leader and the replicas are parts of it.
    unsafe {
        let leader = rd::rd_kafka_TopicPartitionInfo_leader(partition);
        let id = if leader.is_null() { -1 } else { rd::rd_kafka_Node_id(leader) };
        let held_by = rd::rd_kafka_TopicPartitionInfo_replicas(partition, &mut replicas);
        let preferred = slice(held_by, replicas).first().map(|node| rd::rd_kafka_Node_id(*node));
        rd::rd_kafka_TopicPartitionInfo_isr(partition, &mut in_sync);
        BrokersOf {
            partition: rd::rd_kafka_TopicPartitionInfo_partition(partition),
            leader: (id >= 0).then_some(id),
            preferred,
            replicas: u32::try_from(replicas).unwrap_or(u32::MAX),
            in_sync: u32::try_from(in_sync).unwrap_or(u32::MAX),
        }
    }
}

/// # Safety
/// `resource` is part of a live event.
unsafe fn config(resource: *const rd::rd_kafka_ConfigResource_t) -> (String, Result<ConfigOf, Fault>) {
    // SAFETY: as the caller says; name, error and entries are parts of it.
    unsafe {
        let name = text(rd::rd_kafka_ConfigResource_name(resource));
        if let Some(mut fault) = Fault::of(rd::rd_kafka_ConfigResource_error(resource)) {
            fault.words = text(rd::rd_kafka_ConfigResource_error_string(resource));
            return (name, Err(fault));
        }
        let (mut count, mut of) = (0, ConfigOf::default());
        for entry in slice(rd::rd_kafka_ConfigResource_configs(resource, &mut count), count) {
            let key = rd::rd_kafka_ConfigEntry_name(*entry);
            let value = text(rd::rd_kafka_ConfigEntry_value(*entry));
            match CStr::from_ptr(key).to_bytes() {
                b"message.timestamp.type" => of.append_time = value == "LogAppendTime",
                b"retention.ms" => of.retention_ms = value.parse().ok(),
                b"retention.bytes" => of.retention_bytes = value.parse().ok(),
                b"cleanup.policy" => of.cleanup = value,
                b"max.message.bytes" => of.batch_bytes = value.parse().ok(),
                b"errors.deadletterqueue.group.enable" => of.dead_letters = value == "true",
                _ => {}
            }
        }
        (name, Ok(of))
    }
}
