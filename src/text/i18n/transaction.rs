//! The words of one transaction: how to find it, where it stands, what is still known of it.

#[rustfmt::skip]
table! {
    nav: "Transactions", "트랜잭션";
    lead: "one by its id", "ID로 하나 찾기";
    find: "Find", "찾기";
    flow: "Flow", "플로우";
    id: "Transaction id", "트랜잭션 ID";
    id_hint: "exactly as in the events", "이벤트에 적힌 그대로";
    any_flow: "choose a flow", "플로우 선택";
    kept: "Known are all in flight; ended ones with their events for {events}, then only how they ended: those that ended ok, or were quiet too long to tell, for {ok}, all others for {others}.", "진행 중인 트랜잭션은 모두 알 수 있습니다. 끝난 뒤 {events} 동안은 이벤트까지, 그 뒤에는 결과만 남습니다. 정상 종료와 끝을 알 수 없는 것은 {ok}, 그 밖의 종료는 {others} 보관합니다.";
    unknown_title: "Nothing is known of this transaction", "이 트랜잭션에 대해 아는 것이 없습니다";
    unknown_why: "Either no event of it was read, under this flow and exactly this id, or it ended longer ago than is kept.", "이 플로우와 정확히 이 ID로 읽은 이벤트가 없거나, 보관 기간보다 먼저 끝난 트랜잭션입니다.";
    busy: "The engine did not answer in time: it has much to do. Try again.", "엔진이 바빠 제때 응답하지 못했습니다. 다시 시도하십시오.";
    off: "This server does not answer questions about single transactions.", "이 서버는 개별 트랜잭션을 조회하지 않습니다.";
    transaction: "transaction", "트랜잭션";
    // where it stands
    s_in_flight: "In flight", "진행 중";
    s_stuck: "Stuck at {stage}", "{stage}에서 정체";
    s_ended: "Ended {outcome}", "종료: {outcome}";
    s_unexplained: "Unexplained", "설명 불가";
    s_open_ended: "Left open", "끝 없이 남음";
    s_evicted: "Pushed out", "밀려남";
    w_unexplained: "Past its deadline, but a hole in its log may have held the end: whether it ended is not known.", "기한이 지났지만 로그의 빈 구간에 종료가 있었을 수 있어, 끝났는지 알 수 없습니다.";
    w_open_ended: "Nothing came for 15 minutes, and its flow does not say how a transaction ends. It may still go on.", "15분 동안 이벤트가 없었고, 이 플로우에는 종료 조건이 없습니다. 아직 진행 중일 수도 있습니다.";
    w_evicted: "It left the memory before it ended, because limits.transactions was reached. What became of it is not known.", "limits.transactions 한도 때문에 끝나기 전에 메모리에서 밀려났습니다. 이후의 일은 알 수 없습니다.";
    w_gone: "Its events are no longer in memory; they are kept for {events} after the end. The records may still be in the log.", "이벤트는 더 이상 메모리에 없습니다. 종료 후 {events} 동안만 보관합니다. 레코드는 로그에 남아 있을 수 있습니다.";
    w_joined: "Reading began in the middle of it: it has no latency.", "도중부터 읽기 시작해 지연 시간이 없습니다.";
    w_truncated: "It had more events than are kept (limits.events_per_transaction): some are missing.", "보관 한도(limits.events_per_transaction)보다 이벤트가 많았습니다. 빠진 이벤트가 있습니다.";
    w_recovered: "It was given up first and ended ok later.", "먼저 실패로 처리되었다가 나중에 정상 종료되었습니다.";
    // facts
    age: "In flight for", "진행 시간";
    end_to_end: "End to end", "전체 지연";
    started: "Started", "시작";
    ended: "Ended", "종료";
    recovered: "Recovered", "복구";
    waits_at: "Waits for", "대기 중";
    last_seen_at: "Last seen at", "마지막 단계";
    waits_since: "for {age}, since {time}", "{age}째, {time}부터";
    deadline: "stuck after {age}", "{age} 뒤 정체로 봄";
    deadline_learned: "stuck after {age}, learned", "{age} 뒤 정체로 봄(학습값)";
    times_out: "Times out", "시간 초과 예정";
    trace: "Trace", "트레이스";
    trace_open: "open in Jaeger", "Jaeger에서 열기";
    trace_derived: "derived; no event carried one, so no trace is to be found under it", "파생 값입니다. 이벤트에 트레이스가 없어 이 ID로는 찾을 수 없습니다";
    trace_carried: "carried by its events", "이벤트가 전달한 값";
    known_until: "Known until", "보관 기한";
    // events
    events: "Events", "이벤트";
    events_hint: "in the order of the log", "로그 순서";
    time: "Time", "시각";
    stage: "Stage", "단계";
    status: "Status", "상태";
    hop: "Hop", "홉";
    hop_from: "from {stage}, {clock}", "{stage}부터, {clock}";
    when: "When", "구간";
    record: "Record", "레코드";
    waiting_for: "awaited", "대기";
    not_seen: "not yet seen", "아직 없음";
    m_end: "the end", "종료";
    m_recovery: "the recovery", "복구";
    m_after_end: "after the end: changes nothing", "종료 후 이벤트: 영향 없음";
    by_log: "time of the log: the event carries none", "이벤트에 시각이 없어 로그의 시각을 표시";
    st_ok: "ok", "정상";
    st_retried: "retried", "재시도";
    st_failed: "failed", "실패";
    st_compensated: "compensated", "보상됨";
    st_dead_lettered: "dead letter", "데드 레터";
    // beside
    letters: "Its dead letters", "이 트랜잭션의 데드 레터";
    letters_hint: "among the newest of each stream", "스트림별 최근 데드 레터 중";
    waiting: "In flight for long", "오래 진행 중인 트랜잭션";
    waiting_hint: "stuck ones first", "정체된 것부터";
    nothing_waits: "No transaction is in flight.", "진행 중인 트랜잭션이 없습니다.";
}

impl Texts {
    /// A status by its name.
    #[must_use]
    pub fn status(&self, name: &str) -> &'static str {
        match name {
            "ok" => self.st_ok,
            "retried" => self.st_retried,
            "failed" => self.st_failed,
            "compensated" => self.st_compensated,
            _ => self.st_dead_lettered,
        }
    }
}
