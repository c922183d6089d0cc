//! What lag events alone tell, and what nobody tells any more.

use super::*;

#[tokio::test]
async fn of_a_group_that_only_lag_events_know_what_they_told_is_told() {
    let fixture = fixture();
    let body = fixture.get("/api/v1/groups/redis/mailers").await.json();
    let group = &body["data"];
    assert_eq!(
        (&group["cluster"], &group["group"], &group["state"]),
        (&json!("redis"), &json!("mailers"), &json!("UNKNOWN"))
    );
    for member in ["members", "lag_messages", "next_unread_age_seconds", "drain_seconds", "lost_messages", "as_of"] {
        assert_eq!(group[member], Value::Null, "{member}: nobody asked");
    }
    assert_eq!((&group["unknown_partitions"], &group["answering"]), (&json!(1), &json!(false)));
    assert!(group["reason"].as_str().unwrap().contains("lag events"), "{group}");
    let row = &group["partitions"][0];
    assert_eq!((&row["stream"], &row["partition"], &row["committed"]), (&json!("mails"), &json!(0), &Value::Null));
    assert_eq!((&row["told"]["committed"], &row["told"]["end"]), (&json!(70), &json!(95)));
    assert_eq!(group["partitions"].as_array().unwrap().len(), 1);

    // So it is of a partition that only they know of a group that is asked for, and of a group of a cluster of ours.
    let mut board = board();
    let main = Arc::make_mut(&mut board.clusters[0]);
    let elsewhere = |group: &str, stream: &str| ToldLag {
        group: group.to_owned(),
        stream: stream.to_owned(),
        ..main.told[0].clone()
    };
    let more = [elsewhere("b", "other"), elsewhere("unseen", "pay")];
    main.told.extend(more);
    fixture.snapshot.send_replace(Arc::new(Snapshot { lag: Arc::new(board), ..crate::web::tests::snapshot(3) }));
    let b = fixture.get("/api/v1/groups/main/b").await.json()["data"].clone();
    let streams: Vec<_> = b["partitions"].as_array().unwrap().iter().map(|p| (&p["stream"], &p["committed"])).collect();
    assert_eq!(streams, [(&json!("pay"), &json!(90)), (&json!("other"), &Value::Null)]);
    let unseen = fixture.get("/api/v1/groups/main/unseen").await.json()["data"].clone();
    assert_eq!((&unseen["answering"], &unseen["partitions"][0]["told"]["pending"]), (&json!(true), &json!(3)));
}

#[tokio::test]
async fn a_frozen_group_has_no_samples_of_now() {
    let mut board = board();
    let frozen =
        |group: &Arc<GroupView>| Arc::new(GroupView { frozen: true, unknown_partitions: 1, ..GroupView::clone(group) });
    let main = Arc::make_mut(&mut board.clusters[0]);
    main.groups[1] = frozen(&main.groups[1]);
    let old = Arc::make_mut(&mut board.clusters[1]);
    old.groups[0] = frozen(&old.groups[0]);
    let fixture = Fixture::new();
    fixture.snapshot.send_replace(Arc::new(Snapshot { lag: Arc::new(board), ..crate::web::tests::snapshot(2) }));
    for partitions in [true, false] {
        let mut choice = LagMetrics::new(partitions, &["kafka-lag-exporter".to_owned(), "kafka_exporter".to_owned()]);
        choice.partitions = partitions;
        let config = WebConfig { lag_metrics: choice, ..WebConfig::default() };
        let text = send(&fixture.router(config), Request::get("/metrics").body(Body::empty()).unwrap()).await.text;
        has(&text, "streamgauge_group_unknown_partitions{cluster_name=\"main\",group=\"b\"} 1");
        has(&text, "streamgauge_group_unknown_partitions{cluster_name=\"old\",group=\"z\"} 1");
        let said = |l: &&str| (l.contains("group=\"b\"") || l.contains("group=\"z\"")) && !l.contains("told_");
        let numbers: Vec<_> = text.lines().filter(said).filter(|l| l.contains("lag") || l.contains("offset")).collect();
        assert_eq!(numbers, Vec::<&str>::new(), "partitions {partitions}");
        assert!(text.lines().any(|l| l.starts_with("kafka_consumergroup") && l.contains("} 10")), "the others have");
    }
}
