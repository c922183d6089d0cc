//! The names that others build on: members of the JSON and labels of the samples, as CONTRACTS writes them.

use super::*;

/// Each of `names` is a member.
fn members(of: &Value, names: &str) {
    let object = of.as_object().unwrap();
    for name in names.split_whitespace() {
        assert!(object.contains_key(name), "no {name} in {of}");
    }
}

#[tokio::test]
async fn members_of_groups_and_dead_letters() {
    let fixture = fixture();
    let list = fixture.get("/api/v1/groups").await.json();
    members(&list, "as_of revision data");
    let one = fixture.get("/api/v1/groups/main/b").await.json();
    for group in [&list["data"]["groups"][0], &one["data"]] {
        members(
            group,
            "cluster group state reason members lag_messages next_unread_age_seconds drain_seconds partitions",
        );
        let row = "stream partition committed start end lag_messages next_unread_age_seconds method confidence state";
        members(&group["partitions"][0], row);
        members(&group["partitions"][0], "reason owner");
    }
    let letters = fixture.get("/api/v1/dlq").await.json()["data"]["streams"][0].clone();
    members(&letters, "cluster stream retained unhandled redrive_group inflow_per_minute oldest_unhandled_age_seconds");
    members(&letters, "expired");
}

#[test]
fn states_of_groups() {
    let contract = "OK WARMING IDLE LAGGING STALLED STOPPED REWOUND LOST NEVER_COMMITTED ABANDONED ACK_STALLED RECREATED \
                    UNKNOWN";
    let mut contract: Vec<_> = contract.split_whitespace().collect();
    let mut ours = LagState::ALL.map(LagState::name).to_vec();
    contract.sort_unstable();
    ours.sort_unstable();
    assert_eq!(ours, contract);
    assert!(LagState::ALL.iter().all(|s| json!(s) == json!(s.name())), "JSON and /metrics write the same");
}

#[tokio::test]
async fn families_and_labels_of_samples() {
    let mut board = board();
    let main = Arc::make_mut(&mut board.clusters[0]);
    let draining = LagRow { drain_seconds: Some(9.0).into(), ..row("orders", 0) };
    main.groups = vec![group("g", LagState::Lagging, vec![draining])];
    let fixture = Fixture::new();
    fixture.snapshot.send_replace(Arc::new(Snapshot {
        lag: Arc::new(board),
        dlq: Arc::new(letters()),
        ..crate::web::tests::snapshot(2)
    }));
    let text =
        send(&fixture.router(WebConfig::default()), Request::get("/metrics").body(Body::empty()).unwrap()).await.text;
    let place = "cluster_name group stream partition";
    for (family, labels) in [
        ("group_lag_messages", place),
        ("group_next_unread_age_seconds", place),
        ("group_drain_seconds", place),
        ("group_state", "cluster_name group stream state"),
        ("group_lost_messages_total", "cluster_name group"),
        ("dlq_retained_messages", "cluster_name stream"),
        ("dlq_inflow_messages_total", "cluster_name stream"),
        ("dlq_expired_messages_total", "cluster_name stream"),
    ] {
        let begin = format!("streamgauge_{family}{{");
        let line = text.lines().find_map(|l| l.strip_prefix(begin.as_str())).unwrap_or_else(|| panic!("no {family}"));
        let inner = line.split_once('}').unwrap().0;
        let found: Vec<_> = inner.split(',').map(|l| l.split_once('=').unwrap().0).collect();
        assert_eq!(found, labels.split(' ').collect::<Vec<_>>(), "{family}");
    }
}
