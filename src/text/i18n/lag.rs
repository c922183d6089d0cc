//! The words of groups, their lag, and dead letters.

use crate::text::{Locale, number};

#[rustfmt::skip]
table! {
    nav_consumers: "Consumers", "컨슈머";
    nav_dlq: "Dead letters", "데드 레터";
    // states of groups and what they mean
    s_ok: "OK", "정상";
    s_idle: "Idle", "유휴";
    s_warming: "Warming up", "판단 준비 중";
    s_unknown: "Unknown", "알 수 없음";
    s_never_committed: "Never committed", "커밋 없음";
    s_lagging: "Lagging", "지연";
    s_rewound: "Rewound", "되감김";
    s_recreated: "Topic made anew", "토픽 재생성";
    s_abandoned: "Abandoned", "방치됨";
    s_stopped: "Stopped", "중단";
    s_ack_stalled: "Acks stalled", "확인 응답 정체";
    s_stalled: "Stalled", "정체";
    s_lost: "Messages lost", "메시지 유실";
    w_ok: "Keeps up: what arrives is committed soon.", "도착하는 메시지를 제때 커밋하고 있습니다.";
    w_idle: "Nothing arrives and nothing is unread.", "새 메시지도, 밀린 메시지도 없습니다.";
    w_warming: "Watched for too short a time to judge.", "지켜본 시간이 짧아 아직 판단할 수 없습니다.";
    w_unknown: "Something that the verdict needs is not known; the numbers are the last known ones.", "판단에 필요한 정보가 없습니다. 숫자는 마지막으로 확인된 값입니다.";
    w_never_committed: "The group exists and has never committed a position here, so it has no lag.", "그룹은 있으나 이 파티션에 커밋한 적이 없어 지연을 계산할 수 없습니다.";
    w_lagging: "Commits go on, but more is unread than before.", "커밋은 계속되지만 밀린 메시지가 늘고 있습니다.";
    w_rewound: "The committed position moved backwards: what was read is read again.", "커밋 위치가 뒤로 이동했습니다. 이미 읽은 메시지를 다시 읽습니다.";
    w_recreated: "The committed position lies beyond the end: the topic was deleted and made anew, lag is unknown until the next commit.", "커밋 위치가 로그 끝보다 앞에 있습니다. 토픽이 삭제 후 다시 만들어졌으며, 다음 커밋까지 지연을 알 수 없습니다.";
    w_abandoned: "Positions are kept, but nobody is assigned and nothing is committed any more.", "커밋 위치만 남아 있고 담당 멤버도 커밋도 없습니다.";
    w_stopped: "Messages are unread and commits have stopped.", "밀린 메시지가 있는데 커밋이 멈췄습니다.";
    w_ack_stalled: "Messages are delivered but not acknowledged.", "메시지가 전달되었으나 확인 응답이 없습니다.";
    w_stalled: "The consumer is alive but its position does not move while messages wait.", "컨슈머는 살아 있으나 메시지가 쌓이는 동안 커밋 위치가 움직이지 않습니다.";
    w_lost: "Retention deleted messages before the group read them.", "그룹이 읽기 전에 보존 기간이 지나 메시지가 삭제되었습니다.";
    // the table of groups
    consumers_lead: "every group, worst first", "모든 그룹, 심각한 것부터";
    groups: "Groups", "그룹";
    group: "Group", "그룹";
    state: "State", "상태";
    why: "Why", "이유";
    cluster: "Cluster", "클러스터";
    stream: "Stream", "스트림";
    messages: "Unread", "안 읽은 메시지";
    messages_why: "End of the log minus the committed position, as the broker's own tool prints it", "로그 끝에서 커밋 위치를 뺀 값으로, 브로커 도구의 출력과 같습니다";
    oldest: "Oldest unread", "가장 오래된 것";
    oldest_why: "Age of the next unread message, and how far it can be trusted", "다음에 읽을 메시지의 경과 시간과 그 신뢰도";
    drain: "Drains in", "소진 예상";
    drain_why: "Unread messages over the net rate of now; empty where the backlog does not shrink", "현재 순소비 속도로 밀린 메시지를 모두 읽는 데 걸리는 시간. 줄지 않으면 비어 있습니다";
    rate: "Commits/s", "커밋/초";
    rate_why: "Messages committed per second over the last minute", "최근 1분간 초당 커밋한 메시지 수";
    trend: "Trend", "추이";
    trend_why: "Unread messages at the newest surveys", "최근 조사에서의 안 읽은 메시지 수";
    members: "Members", "멤버";
    protocol: "Protocol", "프로토콜";
    burrow: "Burrow", "Burrow 판정";
    burrow_why: "What Burrow's rules would say of the same commits", "같은 커밋에 Burrow 규칙을 적용한 판정";
    p_unknown: "not said", "알 수 없음";
    p_classic: "classic", "클래식";
    p_consumer: "consumer (KIP-848)", "컨슈머(KIP-848)";
    p_share: "share", "공유 그룹";
    p_simple: "self-assigned", "수동 할당";
    p_embedded: "embedded", "내장 로그";
    f_unknown: "phase not said", "단계 알 수 없음";
    f_stable: "stable", "안정";
    f_rebalancing: "rebalancing", "리밸런싱 중";
    f_empty: "no members", "멤버 없음";
    f_dead: "dead", "종료됨";
    m_caught_up: "caught up", "모두 읽음";
    m_index: "from the time index", "시간 색인 기준";
    m_record: "record read", "레코드 확인";
    m_bracket: "between two records", "두 레코드 사이";
    c_exact: "exact", "정확";
    c_good_short: "\u{b1} 5 %", "\u{b1} 5 % 이내";
    c_rough: "rough", "대략";
    at_least: "at least {age}", "최소 {age}";
    between: "{from} to {to}", "{from}~{to}";
    unknown_rows: "without unknown partitions: {n}", "알 수 없는 파티션 {n}개 제외";
    unknown_short: "unknown in {n}", "{n}개 알 수 없음";
    lost_n: "{n} lost", "유실 {n}건";
    not_draining: "not draining", "줄지 않음";
    frozen_at: "frozen at {time}", "{time}에 멈춘 값";
    n_groups: "Groups: {n}", "그룹 {n}개";
    shown: "{from}-{to} of {n}", "{n}개 중 {from}-{to}";
    shown_filtered: "{from}-{to} of {n} that match, {all} in all", "전체 {all}개 중 조건에 맞는 {n}개의 {from}-{to}";
    next_page: "Next", "다음";
    previous_page: "Previous", "이전";
    pages: "Pages of the table", "표 페이지";
    sort_by: "Sort by", "정렬";
    sort_this: "Sort by {column}", "{column}(으)로 정렬";
    reversed: "reversed", "역순";
    filter: "Filter", "필터";
    filter_text: "Name contains", "이름 포함";
    filter_apply: "Apply", "적용";
    filter_clear: "Clear", "지우기";
    any: "any", "모두";
    none_match: "No group matches the filter.", "조건에 맞는 그룹이 없습니다.";
    no_groups: "No group has been seen. A group appears here once a consumer commits a position; Streamgauge needs the right to describe groups and topics.", "아직 그룹이 없습니다. 컨슈머가 위치를 커밋하면 여기에 나타납니다. Streamgauge에는 그룹과 토픽을 조회(DESCRIBE)할 권한이 필요합니다.";
    not_surveyed: "No cluster has told its groups yet. The first survey comes within seconds of reaching one; to watch a Kafka, name it with [[cluster]] or start with --kafka HOST:PORT.", "아직 그룹을 알려 준 클러스터가 없습니다. 클러스터에 연결되면 몇 초 안에 첫 조사가 끝납니다. Kafka를 보려면 [[cluster]]로 지정하거나 --kafka HOST:PORT로 시작하십시오.";
    not_surveyed_short: "no survey yet", "아직 조사 없음";
    help_states: "What the states mean", "상태 설명";
    group_gone: "This group is no longer listed by the cluster.", "이 그룹은 더 이상 클러스터에 없습니다.";
    // clusters
    surveys: "Surveys", "조사";
    answering: "answers", "응답함";
    partly: "answers in part", "일부만 응답";
    frozen_for: "frozen for {age}", "{age} 동안 멈춤";
    off: "Groups are not watched: [lag] enabled = false.", "그룹을 보지 않습니다: [lag] enabled = false.";
    off_short: "off: [lag] enabled = false", "꺼짐: [lag] enabled = false";
    never_answered: "never answered", "응답한 적 없음";
    as_of: "as of {time}", "{time} 기준";
    cycle: "one survey takes {age}", "조사 1회에 {age}";
    dropped_n: "groups and rows left out because of [lag] groups or [lag] rows: {n}", "[lag] groups 또는 [lag] rows 한도 때문에 제외된 그룹과 행: {n}";
    troubles: "Partitions in trouble", "문제 있는 파티션";
    t_leaderless: "without a leader", "리더 없음";
    t_offline: "offline", "오프라인";
    t_under_replicated: "under-replicated", "복제 부족";
    in_sync: "{n} of {m} replicas in sync", "복제본 {m}개 중 {n}개 동기화";
    n_more: "and {n} more", "그 외 {n}개";
    // one group
    back: "All consumers", "모든 컨슈머";
    partitions: "Partitions", "파티션";
    partition: "Partition", "파티션";
    committed: "Committed", "커밋 위치";
    log_start: "Log start", "로그 시작";
    log_end: "Log end", "로그 끝";
    readable: "Readable", "읽을 수 있는 것";
    readable_why: "What the group can still read: end minus the later of committed and log start", "그룹이 아직 읽을 수 있는 메시지: 로그 끝에서 커밋 위치와 로그 시작 중 뒤쪽을 뺀 값";
    owner: "Owner", "담당";
    nobody: "nobody", "없음";
    samples: "Samples", "표본";
    sample_ago: "{age} before", "{age} 전";
    told: "Told", "전달받은 지연";
    told_why: "What a lag event said about this partition, with its own age", "지연 이벤트가 이 파티션에 대해 전한 값과 그 경과 시간";
    told_unread: "{n} unread", "안 읽은 것 {n}";
    told_pending: "{n} pending", "확인 대기 {n}";
    told_oldest: "oldest {age}", "가장 오래된 것 {age}";
    only_told: "Told by others", "다른 곳에서 전달받은 지연";
    only_told_why: "Lag events about partitions that Streamgauge does not ask about itself: each is as old as its sender made it, and judged by nobody.", "Streamgauge가 직접 조사하지 않는 파티션에 대한 지연 이벤트입니다. 보낸 쪽이 만든 시각의 값이며 상태를 판단하지 않습니다.";
    told_at: "As of", "기준 시각";
    pending: "Not acknowledged", "확인 대기";
    pending_oldest: "Oldest of them", "그중 가장 오래된 것";
    ago: "{age} ago", "{age} 전";
    look: "Look at this record", "이 레코드 보기";
    fact_lost: "Lost to retention since we watch", "관찰 이후 보존 기간으로 유실";
    fact_as_of: "Positions as of", "커밋 위치 기준 시각";
    none_match_rows: "No partition matches the filter.", "조건에 맞는 파티션이 없습니다.";
    no_rows: "The group has no committed position and no assigned partition.", "이 그룹에는 커밋 위치도 할당된 파티션도 없습니다.";
    // overview
    tile_groups: "Groups in trouble", "문제 있는 그룹";
    of_n_groups: "of {n} groups", "그룹 {n}개 중";
    tile_oldest: "Oldest unread message", "가장 오래된 미처리 메시지";
    tile_letters: "Dead letters unhandled", "미처리 데드 레터";
    tile_inflow: "Dead letters arriving", "데드 레터 유입";
    inflow_soon: "known after a minute of surveys", "1분간 조회한 뒤에 알 수 있음";
    per_minute: "/min", "/분";
    in_streams: "streams: {n}", "스트림 {n}개";
    busiest: "most in {stream}", "{stream}에 가장 많음";
    none_behind: "nothing unread has a known age", "경과를 아는 미처리 메시지가 없습니다";
    all_read: "everything is read", "모두 읽었습니다";
    no_dlq_short: "no stream of dead letters found", "데드 레터 스트림을 찾지 못했습니다";
    a_group: "{group}: {state}", "{group}: {state}";
    a_groups: "Groups {state}: {n}", "{state} 그룹 {n}개";
    a_letters: "{n} dead letters unhandled in {stream}", "{stream}에 미처리 데드 레터 {n}건";
    a_expired: "{n} dead letters expired in {stream} before anybody handled them", "{stream}의 데드 레터 {n}건이 처리되기 전에 만료되었습니다";
    a_troubles: "Partitions {what}: {n}", "{what} 파티션 {n}개";
    a_frozen: "Lag of cluster {cluster} is frozen", "클러스터 {cluster}의 지연 정보가 멈췄습니다";
    a_rights: "Cluster {cluster} does not tell everything", "클러스터 {cluster}에서 일부 정보를 알 수 없습니다";
}

/// Why a group got its state, by the key that the verdict gives. A place is `{0}` for a count or a position,
/// `{0:age}` for seconds, `{0:rate}` for something per second.
#[rustfmt::skip]
pub(super) const REASONS: &[(&str, &str, &str)] = &[
    ("lag.reason.ok", "reads as fast as it is written; {0} unread", "쓰이는 만큼 읽고 있습니다. 안 읽은 메시지 {0}건"),
    ("lag.reason.caught_up", "nothing is unread", "밀린 메시지가 없습니다"),
    ("lag.reason.arriving", "{0} just arrived", "방금 {0}건이 도착했습니다"),
    ("lag.reason.markers", "nothing is unread: the last {0} positions are transaction markers or were aborted", "밀린 메시지가 없습니다. 마지막 {0}개 위치는 트랜잭션 마커이거나 중단된 레코드입니다"),
    ("lag.reason.marker_tail", "the last position is most likely a transaction marker; allow read_records to be sure", "마지막 위치는 트랜잭션 마커로 보입니다. 확실히 하려면 read_records를 켜십시오"),
    ("lag.reason.open_transaction", "nothing can be read: {0} records belong to an open transaction", "읽을 수 있는 것이 없습니다. 레코드 {0}건이 아직 열린 트랜잭션에 속해 있습니다"),
    ("lag.reason.idle", "nothing is unread, nothing arrived for {0:age}", "밀린 메시지가 없고 {0:age} 동안 새 메시지도 없습니다"),
    ("lag.reason.warming", "watched for {0:age}: too short to judge {1} unread", "{0:age} 동안 지켜봤습니다. 안 읽은 {1}건을 판단하기에는 짧습니다"),
    ("lag.reason.unknown.silent", "the cluster does not answer", "클러스터가 응답하지 않습니다"),
    ("lag.reason.unknown.group", "the group's positions could not be learned", "그룹의 커밋 위치를 알아내지 못했습니다"),
    ("lag.reason.unknown.partition", "begin and end of the log could not be learned", "로그의 시작과 끝을 알아내지 못했습니다"),
    ("lag.reason.unknown.share", "a share group: this client cannot ask for its positions", "공유 그룹: 이 클라이언트로는 위치를 조회할 수 없습니다"),
    ("lag.reason.unknown.aborted", "{0} positions are left, nothing committed for {1} s: messages, or markers and aborted records; allow read_records to know", "위치 {0}개가 남았고 {1}초 동안 커밋이 없습니다. 메시지인지, 트랜잭션 마커와 중단된 레코드뿐인지 알 수 없습니다. 알려면 read_records를 켜십시오"),
    ("lag.reason.unknown.tail", "one position is left, a message or a transaction marker; allow read_records to know", "남은 위치 하나가 메시지인지 트랜잭션 마커인지 알 수 없습니다. 알려면 read_records를 켜십시오"),
    ("lag.reason.never.assigned", "a member has it and never committed; {0} can be read", "멤버가 맡고 있으나 커밋한 적이 없습니다. {0}건을 읽을 수 있습니다"),
    ("lag.reason.never.partly", "never committed here, though elsewhere in the stream; {0} can be read", "같은 스트림의 다른 파티션과 달리 여기에는 커밋한 적이 없습니다. {0}건을 읽을 수 있습니다"),
    ("lag.reason.never.group", "the group never committed anything", "그룹이 아무것도 커밋한 적이 없습니다"),
    ("lag.reason.lagging.growing", "{0} unread, growing by {1:rate} per second; the next waits for {2:age}", "안 읽은 메시지 {0}건, 초당 {1:rate}건씩 늘어남. 다음 메시지는 {2:age}째 대기 중"),
    ("lag.reason.lagging.steady", "{0} unread, as many as before; the next waits for {2:age}", "안 읽은 메시지 {0}건, 변화 없음. 다음 메시지는 {2:age}째 대기 중"),
    ("lag.reason.lagging.draining", "{0} unread, shrinking by {1:rate} per second; the next waits for {2:age}", "안 읽은 메시지 {0}건, 초당 {1:rate}건씩 줄어듦. 다음 메시지는 {2:age}째 대기 중"),
    ("lag.reason.lagging.transaction", "a transaction has been open for {1:age}; {0} records wait behind it", "트랜잭션이 {1:age} 동안 열려 있어 레코드 {0}건이 그 뒤에서 기다립니다"),
    ("lag.reason.rewound", "went back to {1} from {0}; {2} are read again", "{0}에서 {1}(으)로 되돌아갔습니다. {2}건을 다시 읽습니다"),
    ("lag.reason.recreated", "committed {0}, but the log ends at {1}: it was made anew or cut off", "커밋 위치는 {0}인데 로그는 {1}에서 끝납니다. 다시 만들어졌거나 잘렸습니다"),
    ("lag.reason.recreated.stale", "committed {0} in an earlier log of this name; {1} are in this one and none is known to be read: reset the group's position, or wait for its next commit", "이 이름의 이전 로그에서 {0}까지 커밋했습니다. 지금 로그에는 {1}개가 있고 읽었는지 알 수 없습니다. 그룹 위치를 재설정하거나 다음 커밋을 기다리십시오"),
    ("lag.reason.abandoned", "no member has it; {0} unread, nothing committed for {1:age}", "맡은 멤버가 없습니다. 안 읽은 메시지 {0}건, {1:age} 동안 커밋 없음"),
    ("lag.reason.stopped", "the group has no members; {0} unread, nothing committed for {1:age}", "그룹에 멤버가 없습니다. 안 읽은 메시지 {0}건, {1:age} 동안 커밋 없음"),
    ("lag.reason.silent", "nobody commits; {0} unread, nothing committed for {1:age}", "아무도 커밋하지 않습니다. 안 읽은 메시지 {0}건, {1:age} 동안 커밋 없음"),
    ("lag.reason.ack_stalled", "{0} delivered and not acknowledged, the oldest for {1:age}", "전달 후 확인 응답이 없는 메시지 {0}건, 가장 오래된 것은 {1:age}째"),
    ("lag.reason.stalled", "a member has it, but nothing was committed for {1:age}; {0} unread, stands at {2}", "멤버가 맡고 있으나 {1:age} 동안 커밋이 없습니다. 안 읽은 메시지 {0}건, 위치 {2}에 멈춤"),
    ("lag.reason.lost", "{0} expired before they were read; {1} can still be read", "{0}건이 읽기 전에 만료되었습니다. 아직 {1}건을 읽을 수 있습니다"),
];

/// The sentence of a verdict with its numbers; `None` where the key is not known.
#[must_use]
pub fn reason(key: &str, numbers: &[f64; 3], locale: Locale) -> Option<String> {
    let (_, en, ko) = REASONS.iter().find(|r| r.0 == key)?;
    Some(spell(if locale == Locale::Ko { ko } else { en }, *numbers, locale))
}

/// Puts numbers into the places of a sentence.
fn spell(sentence: &str, numbers: [f64; 3], locale: Locale) -> String {
    let mut out = String::with_capacity(sentence.len() + 16);
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((place, tail)) = after.split_once('}') else { break };
        let (index, form) = place.split_once(':').unwrap_or((place, ""));
        let value = index.parse::<usize>().ok().and_then(|i| numbers.get(i)).copied().unwrap_or(f64::NAN);
        out.push_str(&match form {
            "age" => number::age(value, locale).text(),
            "rate" => number::rate(value),
            _ if value.is_finite() => number::count(value.max(0.0) as u64),
            _ => number::UNKNOWN.to_owned(),
        });
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_as_what_they_are() {
        let say = |key, locale| reason(key, &[12_000.0, 41.0, 7.0], locale).unwrap();
        let stalled = "a member has it, but nothing was committed for 41 s; 12,000 unread, stands at 7";
        assert_eq!(say("lag.reason.stalled", Locale::En), stalled);
        assert!(say("lag.reason.stalled", Locale::Ko).contains("41\u{cd08}"));
        assert_eq!(reason("lag.reason.nobody_knows", &[0.0; 3], Locale::En), None);
        assert!(!spell("{0:age} {1} {9}", [f64::NAN; 3], Locale::En).contains("NaN"));
    }
}
