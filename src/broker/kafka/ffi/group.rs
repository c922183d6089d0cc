//! Answers about groups, copied out of librdkafka's events.

use rdkafka::bindings as rd;

use super::answer::slice;
use super::{Fault, text};
use crate::model::{GroupPhase, GroupProtocol};

/// Groups as the brokers list them.
pub(in super::super) struct GroupsOf {
    pub groups: Vec<GroupOf>,
    /// Brokers that did not answer: their groups are missing.
    pub faults: Vec<Fault>,
}

/// One group of the listing.
pub(in super::super) struct GroupOf {
    pub name: String,
    pub protocol: GroupProtocol,
    pub phase: GroupPhase,
}

/// Who is in a group.
pub(in super::super) struct MembersOf {
    pub group: String,
    /// Whether we may read and commit in its name; `None`: not asked, or not said.
    pub may_read: Option<bool>,
    pub members: Result<Vec<MemberOf>, Fault>,
}

/// One member.
pub(in super::super) struct MemberOf {
    pub client_id: String,
    pub host: String,
    pub assigned: Vec<(String, Vec<i32>)>,
}

/// Committed positions by topic: partition, next. Faults of single partitions apart.
#[derive(Default)]
pub(in super::super) struct CommittedOf {
    pub topics: Vec<(String, Vec<(i32, i64)>)>,
    pub fault: Option<Fault>,
}

/// The elements of a list that may be NULL.
///
/// # Safety
/// `list` is NULL or live as long as the result is used.
unsafe fn elements<'e>(list: *const rd::rd_kafka_topic_partition_list_t) -> &'e [rd::rd_kafka_topic_partition_t] {
    if list.is_null() {
        return &[];
    }
    // SAFETY: the caller vouches; count and elements belong together.
    unsafe { slice((*list).elems, usize::try_from((*list).cnt).unwrap_or(0)) }
}

/// Puts an element under its topic: neighbours share one, so each name is copied once.
///
/// # Safety
/// `element` is live.
unsafe fn under<T>(into: &mut Vec<(String, Vec<T>)>, element: &rd::rd_kafka_topic_partition_t, item: T) {
    // SAFETY: the topic of a live element.
    let topic = unsafe { std::ffi::CStr::from_ptr(element.topic) };
    match into.last_mut() {
        Some((last, items)) if last.as_bytes() == topic.to_bytes() => items.push(item),
        _ => into.push((topic.to_string_lossy().into_owned(), vec![item])),
    }
}

/// # Safety
/// `event` is a live answer to a listing of groups.
pub(super) unsafe fn groups(event: *mut rd::rd_kafka_event_t) -> GroupsOf {
    let mut count = 0;
    // SAFETY: listing, errors and names are parts of the live event; all is copied.
    unsafe {
        let result = rd::rd_kafka_event_ListConsumerGroups_result(event);
        let listed = slice(rd::rd_kafka_ListConsumerGroups_result_valid(result, &mut count), count);
        let groups = listed.iter().map(|listing| group(*listing)).collect();
        let errors = slice(rd::rd_kafka_ListConsumerGroups_result_errors(result, &mut count), count);
        GroupsOf { groups, faults: errors.iter().filter_map(|error| Fault::borrowed(*error)).collect() }
    }
}

/// # Safety
/// `listing` is part of a live event.
unsafe fn group(listing: *const rd::rd_kafka_ConsumerGroupListing_t) -> GroupOf {
    use rd::rd_kafka_consumer_group_state_t as State;
    use rd::rd_kafka_consumer_group_type_t as Type;
    // SAFETY: as the caller says.
    let (name, kind, state, simple) = unsafe {
        (
            text(rd::rd_kafka_ConsumerGroupListing_group_id(listing)),
            rd::rd_kafka_ConsumerGroupListing_type(listing),
            rd::rd_kafka_ConsumerGroupListing_state(listing),
            rd::rd_kafka_ConsumerGroupListing_is_simple_consumer_group(listing) != 0,
        )
    };
    let protocol = match kind {
        _ if simple => GroupProtocol::Simple,
        Type::RD_KAFKA_CONSUMER_GROUP_TYPE_CONSUMER => GroupProtocol::Consumer,
        Type::RD_KAFKA_CONSUMER_GROUP_TYPE_CLASSIC => GroupProtocol::Classic,
        _ => GroupProtocol::Unknown,
    };
    let phase = match state {
        State::RD_KAFKA_CONSUMER_GROUP_STATE_STABLE => GroupPhase::Stable,
        State::RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY => GroupPhase::Empty,
        State::RD_KAFKA_CONSUMER_GROUP_STATE_DEAD => GroupPhase::Dead,
        State::RD_KAFKA_CONSUMER_GROUP_STATE_PREPARING_REBALANCE
        | State::RD_KAFKA_CONSUMER_GROUP_STATE_COMPLETING_REBALANCE => GroupPhase::Rebalancing,
        // `Assigning` and `Reconciling` of KIP-848, which librdkafka does not know by name.
        _ if protocol == GroupProtocol::Consumer => GroupPhase::Rebalancing,
        _ => GroupPhase::Unknown,
    };
    GroupOf { name, protocol, phase }
}

/// # Safety
/// `event` is a live answer to a description of groups.
pub(super) unsafe fn members(event: *mut rd::rd_kafka_event_t) -> Vec<MembersOf> {
    let mut count = 0;
    // SAFETY: descriptions are parts of the live event.
    unsafe {
        let result = rd::rd_kafka_event_DescribeConsumerGroups_result(event);
        let described = slice(rd::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count), count);
        described.iter().map(|description| description_of(*description)).collect()
    }
}

/// # Safety
/// `description` is part of a live event.
unsafe fn description_of(description: *const rd::rd_kafka_ConsumerGroupDescription_t) -> MembersOf {
    // SAFETY: as the caller says; members, assignments and lists are parts of it.
    unsafe {
        let group = text(rd::rd_kafka_ConsumerGroupDescription_group_id(description));
        if let Some(fault) = Fault::borrowed(rd::rd_kafka_ConsumerGroupDescription_error(description)) {
            return MembersOf { group, may_read: None, members: Err(fault) };
        }
        let members = (0..rd::rd_kafka_ConsumerGroupDescription_member_count(description)).map(|index| {
            let member = rd::rd_kafka_ConsumerGroupDescription_member(description, index);
            let mut assigned = Vec::new();
            let assignment = rd::rd_kafka_MemberDescription_assignment(member);
            if !assignment.is_null() {
                for element in elements(rd::rd_kafka_MemberAssignment_partitions(assignment)) {
                    under(&mut assigned, element, element.partition);
                }
            }
            MemberOf {
                client_id: text(rd::rd_kafka_MemberDescription_client_id(member)),
                host: text(rd::rd_kafka_MemberDescription_host(member)),
                assigned,
            }
        });
        let mut rights = 0;
        let operations = rd::rd_kafka_ConsumerGroupDescription_authorized_operations(description, &mut rights);
        let may_read = (!operations.is_null()).then(|| {
            use rd::rd_kafka_AclOperation_t as Op;
            let granted = [Op::RD_KAFKA_ACL_OPERATION_READ, Op::RD_KAFKA_ACL_OPERATION_ALL];
            slice(operations, rights).iter().any(|operation| granted.contains(operation))
        });
        MembersOf { group, may_read, members: Ok(members.collect()) }
    }
}

/// # Safety
/// `event` is a live answer to a question for committed positions.
pub(super) unsafe fn committed(event: *mut rd::rd_kafka_event_t) -> Result<CommittedOf, Fault> {
    let (mut count, mut of) = (0, CommittedOf::default());
    // SAFETY: groups, lists and elements are parts of the live event; all is copied.
    unsafe {
        let result = rd::rd_kafka_event_ListConsumerGroupOffsets_result(event);
        for group in slice(rd::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count), count) {
            if let Some(fault) = Fault::borrowed(rd::rd_kafka_group_result_error(*group)) {
                return Err(fault);
            }
            for element in elements(rd::rd_kafka_group_result_partitions(*group)) {
                match Fault::of(element.err) {
                    Some(fault) => of.fault = Some(fault),
                    // Negative: a partition without a commit.
                    None if element.offset >= 0 => {
                        under(&mut of.topics, element, (element.partition, element.offset));
                    }
                    None => {}
                }
            }
        }
    }
    Ok(of)
}
