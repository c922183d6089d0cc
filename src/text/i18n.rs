//! Every visible word of the pages in both languages: one table, so that neither can lack a key.
//!
//! `{name}` is a place that [`fill`] fills; a test holds both languages to the same places.

use super::Locale;

/// Declares the table: `key: "English", "Korean";`
macro_rules! table {
    ($($key:ident: $en:literal, $ko:literal;)*) => {
        /// The words of one language.
        #[allow(missing_docs, reason = "each text is its own documentation")]
        #[derive(Debug)]
        pub struct Texts { $(pub $key: &'static str,)* }
        static EN: Texts = Texts { $($key: $en,)* };
        static KO: Texts = Texts { $($key: $ko,)* };
        #[cfg(test)]
        const TABLE: &[(&str, &str, &str)] = &[$((stringify!($key), $en, $ko),)*];
    };
}

/// The words of a language.
#[must_use]
pub const fn texts(locale: Locale) -> &'static Texts {
    match locale {
        Locale::En => &EN,
        Locale::Ko => &KO,
    }
}

/// Puts values into the places of a sentence, in one pass: a value is never read as a place.
#[must_use]
pub fn fill(sentence: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(sentence.len() + 16);
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else { break };
        match values.iter().find(|(n, _)| *n == name) {
            Some((_, value)) => out.push_str(value),
            None => out.extend(["{", name, "}"]),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

impl Texts {
    /// Outcomes by their number.
    #[must_use]
    pub fn outcome(&self, index: usize) -> &'static str {
        [self.o_ok, self.o_failed, self.o_compensated, self.o_dead_lettered, self.o_timed_out]
            .get(index)
            .copied()
            .unwrap_or(self.unknown)
    }

    /// A rolling window by its name.
    #[must_use]
    pub fn window(&self, name: &str) -> &'static str {
        match name {
            "10s" => self.w_10s,
            "1m" => self.w_1m,
            "5m" => self.w_5m,
            "15m" => self.w_15m,
            "1h" => self.w_1h,
            _ => self.unknown,
        }
    }

    /// The clock of a latency by its name.
    #[must_use]
    pub fn clock(&self, name: &str) -> &'static str {
        match name {
            "event" => self.clock_event,
            "record" => self.clock_record,
            "mixed" => self.clock_mixed,
            _ => "",
        }
    }

    /// A theme by its name.
    #[must_use]
    pub fn theme(&self, name: &str) -> &'static str {
        match name {
            "light" => self.theme_light,
            "dark" => self.theme_dark,
            "contrast" => self.theme_contrast,
            _ => self.theme_auto,
        }
    }

    /// A level by its name, for those who see no colour and no shape.
    #[must_use]
    pub fn level(&self, name: &str) -> &'static str {
        match name {
            "ok" => self.ok,
            "warn" => self.level_warn,
            "bad" => self.level_bad,
            _ => self.unknown,
        }
    }

    /// What a stream carries by its role's name.
    #[must_use]
    pub fn role(&self, name: &str) -> &'static str {
        match name {
            "events" => self.role_events,
            "dlq" => self.role_dlq,
            "lag" => self.role_lag,
            _ => self.unknown,
        }
    }
}

#[rustfmt::skip]
table! {
    // navigation and switches
    skip: "Skip to content", "본문으로 건너뛰기";
    nav: "Pages", "페이지";
    nav_overview: "Overview", "개요";
    nav_flows: "Flows", "플로우";
    nav_status: "Status", "상태";
    menu_none: "No flow seen yet", "아직 플로우가 없습니다";
    demo: "DEMO", "데모";
    demo_why: "Made-up traffic: this is the demo", "데모용 가상 트래픽입니다";
    range: "Time range", "시간 범위";
    view: "View", "보기";
    language: "Language", "언어";
    theme_name: "Colours", "색상";
    theme_auto: "As the system", "시스템 설정";
    theme_light: "Light", "밝게";
    theme_dark: "Dark", "어둡게";
    theme_contrast: "High contrast", "고대비";
    screen: "Screen", "화면";
    kiosk_on: "Wall screen", "전광판 모드";
    kiosk_off: "Leave wall screen", "전광판 모드 끝내기";
    help: "Keys", "단축키";
    help_pause: "pause and resume", "일시 정지와 다시 시작";
    help_range: "time range", "시간 범위";
    help_cross: "move the crosshair of a focused chart", "선택한 차트의 십자선 이동";
    help_theme: "next colours", "다음 색상";
    help_language: "other language", "언어 전환";
    help_kiosk: "wall screen", "전광판 모드";
    key_space: "space", "스페이스";
    close: "Close", "닫기";
    times_utc: "Times in UTC", "시각은 UTC 기준";
    times_in: "Times in {zone}", "시각은 {zone} 기준";
    windows_end: "Windows end at the last complete second", "모든 윈도는 마지막으로 완결된 초에서 끝납니다";
    to_overview: "To the overview", "개요로 가기";
    // connection
    conn_snapshot: "As of", "기준 시각";
    conn_live: "Live", "실시간";
    conn_connecting: "Connecting", "연결 중";
    conn_reconnecting: "Reconnecting in {n} s", "{n}초 후 다시 연결";
    conn_stale: "Stale for {n} s", "{n}초째 갱신 없음";
    conn_paused: "Paused", "일시 정지";
    conn_hidden: "Paused while hidden", "숨겨져 일시 정지";
    conn_bye: "Server is stopping", "서버가 종료되고 있습니다";
    conn_resumed: "Live again", "다시 실시간입니다";
    // levels and states
    ok: "OK", "정상";
    unknown: "unknown", "알 수 없음";
    level_warn: "Warning", "주의";
    level_bad: "Problem", "문제";
    all_well: "All well", "모두 정상";
    one_problem: "1 issue", "문제 1건";
    n_problems: "{n} issues", "문제 {n}건";
    data_to: "data to {time}, {age} old", "{time}까지 데이터, {age} 전";
    quiet: "OK, quiet", "정상, 이벤트 없음";
    nothing_read: "nothing read yet", "아직 읽은 것이 없음";
    nothing_read_yet: "Nothing was read yet", "아직 읽은 것이 없습니다";
    no_data_for: "no data for {age}", "{age} 동안 데이터 없음";
    nothing_since: "Nothing was read since {time}", "{time} 이후로 읽은 것이 없습니다";
    n_stuck: "{n} stuck", "{n}건 멈춤";
    n_stuck_at: "{n} stuck at {stage}", "{stage}에서 {n}건 멈춤";
    share_not_ok: "{share} not ok", "{share} 실패";
    p99_times: "p99 up {n}x", "p99 {n}배";
    behind_by: "{age} behind", "{age} 뒤처짐";
    partial_without: "partial, unread partitions: {n}", "일부만, 읽지 못한 파티션 {n}개";
    inexact: "inexact", "부정확";
    partial: "partial", "일부만";
    reading: "reading", "읽는 중";
    at_end: "at the end", "끝까지 읽음";
    opening: "opening", "여는 중";
    unreachable: "unreachable", "연결 불가";
    gone: "gone", "사라짐";
    up: "answers", "응답함";
    connecting: "connecting", "연결 중";
    not_seen: "not seen yet", "아직 없음";
    balanced: "balanced", "일치";
    not_balanced: "do not balance", "불일치";
    none_yet: "none yet", "아직 없음";
    // tiles
    tiles: "Now", "현재";
    per_second: "/s", "/초";
    tile_ended: "Transactions ended", "끝난 트랜잭션";
    tile_p99: "End to end, p99", "종단 간 지연 p99";
    tile_in_flight: "In flight", "진행 중";
    tile_behind: "Furthest behind", "가장 뒤처진 소스";
    tile_data_age: "Data age", "데이터 경과";
    tile_failed: "Not ended ok", "정상 종료가 아닌 비율";
    last_10s: "last 10 s", "최근 10초";
    last_1m: "last minute", "최근 1분";
    hour_average: "1 h mean {rate}/s", "1시간 평균 {rate}/초";
    trace_of_one: "trace", "트레이스";
    nothing_ended_ok: "none ended ok within the hour", "최근 1시간 동안 정상 종료가 없습니다";
    nothing_ended_minute: "none ended within the minute", "최근 1분 동안 끝난 것이 없습니다";
    no_transactions: "no transactions here", "트랜잭션이 없는 플로우";
    none_stuck: "none stuck", "멈춘 것 없음";
    oldest_at: "oldest {age} at {stage}", "가장 오래된 것 {age}, {stage}";
    n_unread: "{n} unread", "안 읽은 것 {n}건";
    n_of_m_unreachable: "{n} of {m} partitions unreachable", "파티션 {m}개 중 {n}개 연결 불가";
    no_sources: "No stream is read yet", "아직 읽고 있는 스트림이 없습니다";
    opening_sources: "Partitions are being opened: {n}", "파티션을 여는 중입니다: {n}개";
    complete_to: "complete to {time}", "{time}까지 완결";
    without_flows: "without stale flows: {n}", "갱신 없는 플로우 {n}개 제외";
    frozen: "frozen", "멈춘 값";
    clock_event: "event clock", "이벤트 시각";
    clock_record: "record clock", "기록 시각";
    clock_mixed: "mixed clocks", "섞인 시각";
    // attention
    attention: "Needs attention", "확인이 필요합니다";
    worst_first: "worst first", "심각한 것부터";
    nothing_needs: "Nothing needs attention", "확인할 것이 없습니다";
    checked: "checked: flows {flows}, partitions {sources}", "플로우 {flows}개, 파티션 {sources}개 확인";
    checked_flow: "stuck, failures, latency, data age, exactness", "멈춤, 실패, 지연, 데이터 경과, 정확성 확인";
    n_more: "and {n} more", "그 외 {n}건";
    books_error: "The books do not balance", "장부가 맞지 않습니다";
    books_error_why: "a defect of Streamgauge: do not trust the totals of this flow", "Streamgauge의 결함입니다: 이 플로우의 합계를 믿지 마십시오";
    checkpoint_fails: "State cannot be saved", "상태를 저장할 수 없습니다";
    last_saved: "last saved {age} ago", "마지막 저장 {age} 전";
    never_saved: "never saved", "저장된 적 없음";
    bounds_reached: "A memory bound was reached", "메모리 한도에 도달했습니다";
    future_events: "Events in the future: {n}", "미래 시각의 이벤트 {n}건";
    future_why: "a producer's clock is ahead; they are counted when their second comes", "생산자의 시계가 앞서 있습니다; 그 시각이 되면 집계됩니다";
    cluster_down: "cluster {cluster} cannot be reached", "클러스터 {cluster}에 연결할 수 없습니다";
    last_seen_at: "last seen {time}", "마지막 응답 {time}";
    never_seen: "never answered", "응답한 적 없음";
    values_frozen: "values frozen", "값이 멈춰 있음";
    source_unreachable: "{stream}/{partitions} cannot be read", "{stream}/{partitions} 읽기 불가";
    source_gone: "{stream}/{partitions} no longer exists", "{stream}/{partitions} 더는 없음";
    since: "since {time}", "{time}부터";
    expired_unread: "{source} lost at most {n} records to retention", "{source}의 이벤트 최대 {n}건이 읽기 전에 만료되었습니다";
    expired_why: "they expired before we read them", "읽기 전에 만료되었습니다";
    undecodable_in: "Undecodable records in {stream}: {n}", "{stream}의 레코드 {n}건을 해석하지 못했습니다";
    newest_at: "newest {time}", "최근 {time}";
    one_stuck_at: "1 transaction stuck at {stage}", "{stage}에서 트랜잭션 1건이 멈춤";
    stuck_at: "{n} transactions stuck at {stage}", "{stage}에서 트랜잭션 {n}건이 멈춤";
    oldest_waits: "oldest waits {age}", "가장 오래된 것 {age} 대기";
    deadline_learned: "deadline {age} (learned)", "기한 {age} (학습됨)";
    deadline_configured: "deadline {age} (configured)", "기한 {age} (설정됨)";
    share_high: "{share} of {flow} do not end ok", "{flow}의 {share}가 정상으로 끝나지 않습니다";
    n_of_m: "{n} of {m} in the last minute", "최근 1분 {m}건 중 {n}건";
    usual_share: "the hour's share is {share}", "1시간 비율은 {share}";
    p99_high: "{flow} takes {age} at p99", "{flow}의 p99가 {age}입니다";
    p99_against: "{n}x the hour's {age}; ok only, last minute", "1시간 {age}의 {n}배; 정상 종료, 최근 1분";
    flow_behind: "{flow} is {age} behind", "{flow}의 데이터가 {age} 뒤처져 있습니다";
    flow_partial: "{flow} is read in part", "{flow}을(를) 일부만 읽고 있습니다";
    left_out: "left out because they cannot be read: {sources}", "읽을 수 없어 제외됨: {sources}";
    flow_inexact: "Numbers of {flow} may be inexact", "{flow}의 숫자가 정확하지 않을 수 있습니다";
    inexact_since: "may be inexact since {time}", "{time}부터 정확하지 않을 수 있음";
    unexplained_in: "Unexplained transactions in {flow}: {n}", "{flow}의 트랜잭션 {n}건은 끝을 보지 못했습니다";
    unexplained_why: "past their deadline while records were missing, so nobody can say how they ended", "기한이 지났지만 레코드가 누락되어 결과를 알 수 없습니다";
    // charts
    throughput: "Throughput", "처리량";
    throughput_hint: "ended per second, by outcome", "초당 끝난 트랜잭션, 결과별";
    latency_chart: "End-to-end latency", "종단 간 지연";
    latency_hint: "each cell counts transactions of a latency", "칸마다 해당 지연의 트랜잭션 수";
    no_latency_of: "No transaction of {flow} ended within this range", "이 범위에서 끝난 {flow} 트랜잭션이 없습니다";
    incomplete: "incomplete", "미완결";
    gap: "nothing read", "읽지 못함";
    as_table: "As a table", "표로 보기";
    table_caption: "Newest complete steps of", "최근 완결된 구간, 단위";
    time: "Time", "시각";
    // map, flows
    map: "Where transactions are", "트랜잭션의 위치";
    map_hint: "events per second at each stage, last minute", "단계별 초당 이벤트, 최근 1분";
    hop_title: "latency from stage to stage", "단계 사이의 지연";
    n_waiting: "{n} waiting", "{n}건 대기";
    errors_rate: "{rate}/s errors", "오류 {rate}/초";
    n_more_flows: "and {n} more in the table of flows", "그 외 {n}개는 플로우 표에 있습니다";
    flow: "Flow", "플로우";
    flows_caption: "All flows: rates and latencies of the last minute", "모든 플로우: 최근 1분의 처리율과 지연";
    state: "State", "상태";
    tps: "TPS", "TPS";
    not_ok: "not ok", "실패율";
    in_flight: "in flight", "진행 중";
    stuck: "stuck", "멈춤";
    events_s: "events/s", "이벤트/초";
    no_flows: "Streams are read, but no flow was seen yet", "스트림을 읽고 있지만 아직 플로우가 없습니다";
    // flow page
    n_events: "events {n}", "이벤트 {n}건";
    n_started: "transactions started {n}", "시작된 트랜잭션 {n}건";
    no_transactions_why: "No transactions here: these events carry no transaction id, so they are only counted", "트랜잭션이 없습니다: 이벤트에 트랜잭션 ID가 없어 개수만 셉니다";
    never_ends_why: "Transactions of this flow never end: no event carries an outcome and nothing says where it ends. Say it in the configuration:", "이 플로우의 트랜잭션은 끝나지 않습니다: 결과가 담긴 이벤트도, 끝나는 단계의 설정도 없습니다. 설정에 추가하십시오:";
    stages_hops: "Stages and hops", "단계와 구간";
    stages: "Stages", "단계";
    stages_caption: "Stages: events per second and who waits", "단계: 초당 이벤트와 대기";
    stage: "Stage", "단계";
    no_stages: "No stage was seen yet", "아직 단계가 없습니다";
    errors_s: "errors/s", "오류/초";
    waiting: "waiting", "대기";
    deadline: "deadline", "기한";
    learned: "(learned)", "(학습됨)";
    configured: "(configured)", "(설정됨)";
    hop: "Hop", "구간";
    hops: "Hops", "구간";
    hops_caption: "Hops: time from stage to stage", "구간: 단계 사이의 시간";
    rate_s: "/s", "/초";
    max: "max", "최대";
    clock_name: "clock", "시각 기준";
    skips: "not from one stage to the next", "이웃한 단계가 아님";
    windows: "Windows", "윈도";
    windows_hint: "complete seconds only", "완결된 초만";
    windows_caption: "Rates and outcomes by rolling window", "윈도별 처리율과 결과";
    window_name: "window", "윈도";
    w_10s: "10 s", "10초";
    w_1m: "1 min", "1분";
    w_5m: "5 min", "5분";
    w_15m: "15 min", "15분";
    w_1h: "1 h", "1시간";
    started_s: "started/s", "시작/초";
    recovered: "recovered", "복구됨";
    only_so_far: "only {age} so far", "아직 {age}뿐";
    o_ok: "ok", "정상";
    o_failed: "failed", "실패";
    o_compensated: "compensated", "보상됨";
    o_dead_lettered: "dead-lettered", "데드 레터";
    o_timed_out: "timed out", "시간 초과";
    percentiles: "Latency by outcome", "결과별 지연";
    percentiles_hint: "end to end; relative error at most 1.1 %, max is the edge of its bucket", "종단 간; 상대 오차 최대 1.1 %, 최대값은 버킷의 상한";
    percentiles_caption: "Percentiles of the end-to-end latency by window and outcome", "윈도와 결과별 종단 간 지연 백분위";
    no_latency: "No transaction ended within the hour", "최근 1시간 동안 끝난 트랜잭션이 없습니다";
    outcome_name: "outcome", "결과";
    count: "count", "건수";
    n_negative: "{n} negative", "음수 {n}건";
    real_title: "Real transactions", "실제 트랜잭션";
    no_real: "None is known behind these percentiles yet", "아직 백분위에 해당하는 실제 트랜잭션을 모릅니다";
    transaction: "Transaction", "트랜잭션";
    at: "at", "위치";
    latency: "latency", "지연";
    trace: "trace", "트레이스";
    open_trace: "open trace", "트레이스 열기";
    books: "Books", "장부";
    books_hint: "since the state began", "상태 시작 이후";
    books_caption: "Every transaction that started is in exactly one line", "시작된 트랜잭션은 정확히 한 줄에 있습니다";
    books_others: "Counted beside", "그 밖의 집계";
    sum: "sum", "합계";
    started: "started", "시작됨";
    events: "Events", "이벤트";
    open_ended: "open-ended", "끝없음";
    evicted: "evicted", "밀려남";
    unexplained: "unexplained", "설명 안 됨";
    joined: "joined midway", "중간 합류";
    after_end: "after the end", "종료 후";
    duplicates: "duplicates", "중복";
    late: "late", "늦음";
    truncated: "truncated", "잘림";
    negative: "negative latencies", "음수 지연";
    stuck_title: "Stuck transactions", "멈춘 트랜잭션";
    none_stuck_sentence: "None waits longer than its stage's deadline", "단계의 기한을 넘겨 기다리는 트랜잭션이 없습니다";
    oldest_is: "oldest in flight: {id}, {age}, at {stage}", "가장 오래 진행 중: {id}, {age}, {stage}";
    oldest_title: "Longest in flight", "가장 오래 진행 중";
    oldest_hint: "one of each flow", "플로우마다 하나";
    nothing_in_flight: "Nothing is in flight", "진행 중인 트랜잭션이 없습니다";
    none_in_flight: "none in flight", "진행 중인 것 없음";
    waits_at: "waits at", "대기 단계";
    waits_for: "waits for", "대기 시간";
    age: "age", "경과";
    // inputs, sources, streams
    inputs: "Inputs", "입력";
    inputs_hint: "every partition that is read; events name their flow themselves", "읽고 있는 모든 파티션; 플로우는 이벤트에 담겨 있습니다";
    sources: "Partitions", "파티션";
    partition: "Partition", "파티션";
    cluster: "Cluster", "클러스터";
    data_age: "data age", "데이터 경과";
    position: "position", "위치";
    end: "end", "끝";
    unread: "unread", "안 읽음";
    expired: "expired", "만료";
    undecodable: "undecodable", "해석 불가";
    generation: "generation {n}", "{n}세대";
    streams: "Streams", "스트림";
    stream: "Stream", "스트림";
    carries: "carries", "내용";
    role_events: "events", "이벤트";
    role_dlq: "dead letters", "데드 레터";
    role_lag: "lag", "랙";
    opaque: "opaque", "불투명";
    tombstones: "tombstones", "삭제 표시";
    clock_offset: "clock offset", "시계 차이";
    clock_skew: "clock skew", "시계 어긋남";
    samples_title: "Records that could not be decoded", "해석하지 못한 레코드";
    samples_hint: "newest first", "최근 것부터";
    clusters: "Clusters", "클러스터";
    no_clusters: "No cluster is configured", "설정된 클러스터가 없습니다";
    last_answer: "last answer {age} ago", "마지막 응답 {age} 전";
    cluster_id: "id {id}", "ID {id}";
    n_streams: "streams: {n}", "스트림 {n}개";
    // process
    process: "This process", "이 프로세스";
    version: "Version", "버전";
    uptime: "Running for", "가동 시간";
    started_at: "Started", "시작";
    data_dir: "Data directory", "데이터 디렉터리";
    checkpoint: "Last checkpoint", "마지막 체크포인트";
    ago: "{age} ago", "{age} 전";
    revision: "Snapshot revision", "스냅샷 번호";
    engine_transactions: "Transactions in memory", "메모리의 트랜잭션";
    engine_tombstones: "Tombstones in memory", "메모리의 종료 표시";
    engine_dedup: "Event ids remembered", "기억하는 이벤트 ID";
    engine_bytes: "Transaction pages", "트랜잭션 페이지";
    engine_future: "Events in the future", "미래 시각 이벤트";
    overflow: "Bound {bound} reached", "한도 {bound} 도달";
    bound_reached: "numbers may be inexact", "숫자가 부정확할 수 있음";
    // first steps
    first_title: "Nothing to watch yet", "아직 지켜볼 것이 없습니다";
    first_lead: "Streamgauge runs, with its own log and no stream configured. Three ways to begin; this page turns into the overview with the first event.", "Streamgauge가 자체 로그로 실행 중이며 설정된 스트림은 없습니다. 시작하는 방법은 세 가지입니다. 첫 이벤트가 오면 이 페이지는 개요로 바뀝니다.";
    first_post: "Send events by hand", "직접 이벤트 보내기";
    first_post_why: "A transaction starts with its first event and ends with an outcome.", "트랜잭션은 첫 이벤트로 시작하고 결과로 끝납니다.";
    first_demo: "Watch the demo", "데모 보기";
    first_demo_why: "Made-up traffic with an incident after 45 seconds.", "45초 후 장애가 생기는 가상 트래픽입니다.";
    first_kafka: "Watch a Kafka", "Kafka 지켜보기";
    first_kafka_why: "Finds topics by itself, joins no group of yours, commits nothing.", "토픽을 스스로 찾고, 그룹에 참여하지 않으며, 아무것도 커밋하지 않습니다.";
    first_file_why: "Or say it in a file and start with --config:", "또는 파일에 적고 --config로 시작하십시오:";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn both_languages_say_everything_with_the_same_places() {
        let places = |s: &str| {
            s.split('{').skip(1).filter_map(|p| p.split_once('}')).map(|(n, _)| n.to_owned()).collect::<BTreeSet<_>>()
        };
        for (key, en, ko) in TABLE {
            assert!(!en.trim().is_empty() && !ko.trim().is_empty(), "{key}");
            assert_eq!(places(en), places(ko), "{key}");
            let korean = ko.chars().any(|c| ('\u{ac00}'..='\u{d7a3}').contains(&c));
            assert!(korean || *key == "tps", "{key} is not Korean: {ko}");
        }
    }

    #[test]
    fn values_are_put_in_once() {
        assert_eq!(fill("{a} of {b}", &[("a", "{b}"), ("b", "2")]), "{b} of 2");
        assert_eq!(fill("{a", &[("a", "1")]), "a", "an unclosed place is a mistake of ours, not a loop");
    }
}
