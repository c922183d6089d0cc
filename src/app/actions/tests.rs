//! What may begin, and what becomes of a run that was interrupted.

use std::time::Instant;

use super::*;
use crate::broker::NewRecord;
use crate::config::Flags;
use crate::run::desk::desk;
use crate::store::{IDEMPOTENCY_KEYS, Ledger};

#[test]
fn only_what_a_finished_dry_run_counted_may_begin() {
    let plan = RedrivePlan { stream: "orders.dlq".into(), most: Some(5), ..RedrivePlan::default() };
    let run = |state, dry_run| {
        let view = RedriveView { state, dry_run, ..RedriveView::default() };
        Run { plan: plan.clone(), reins: Reins::default(), view: watch::channel(Arc::new(view)).1 }
    };
    assert!(run("done", true).has_counted(&plan));
    for (state, dry_run) in [("running", true), ("failed", true), ("cancelled", true), ("done", false)] {
        assert!(!run(state, dry_run).has_counted(&plan), "{state} {dry_run}");
    }
    let others = [
        RedrivePlan { most: None, ..plan.clone() },
        RedrivePlan { include_ok: true, ..plan.clone() },
        RedrivePlan { include_unknown: true, ..plan.clone() },
        RedrivePlan { target: RedriveTarget::Stream("other".into()), ..plan.clone() },
    ];
    for other in others {
        assert!(!run("done", true).has_counted(&other), "{other:?}");
    }
}

/// A process with the embedded log, two dead letters in it, and a run that an earlier process did not end.
fn interrupted_process(dir: &std::path::Path, runtime: &tokio::runtime::Runtime) -> (LetterActions, Arc<Ledger>) {
    let flags = Flags { data_dir: Some(dir.to_owned()), ..Flags::default() };
    let config = Config::load(&flags, &|_| None).unwrap();
    let clusters = Clusters::open(&config).unwrap();
    let letter = |n: u8| NewRecord {
        key: Some(vec![n]),
        payload: Some(b"{}".to_vec()),
        headers: vec![("kafka_dlt-original-topic".into(), b"orders".to_vec())],
        ..NewRecord::default()
    };
    let writer = clusters.log().unwrap().writer();
    runtime.block_on(async {
        writer.append("orders", Vec::new()).await.unwrap();
        writer.append("orders.dlq", vec![letter(1), letter(2)]).await.unwrap();
    });
    let ledger = Arc::new(Ledger::open(&dir.join("ledger.redb"), IDEMPOTENCY_KEYS).unwrap());
    let plan = RedrivePlan { error: "Timeout".into(), ..plan_of(&config) };
    remember(&*ledger, &StoredRun { run: "r1".into(), by: "ann".into(), plan, noted: false }).unwrap();
    let actions = LetterActions {
        config: Arc::new(config),
        clusters,
        peeks: Peeks::default(),
        lookups: desk(1).0,
        audit: Arc::clone(&ledger) as Arc<dyn AuditLog>,
        kept: Arc::clone(&ledger) as Arc<dyn KeepStore>,
        runtime: runtime.handle().clone(),
        runs: Arc::default(),
    };
    actions.find_interrupted();
    (actions, ledger)
}

fn plan_of(config: &Config) -> RedrivePlan {
    RedrivePlan { cluster: config.clusters[0].name.clone(), stream: "orders.dlq".into(), ..RedrivePlan::default() }
}

/// Waits for the end of the newest run.
fn ended(actions: &LetterActions, cluster: &str) -> Arc<RedriveView> {
    let until = Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let view = actions.progress(cluster, "orders.dlq").unwrap().1;
        let of = (cluster.to_owned(), "orders.dlq".to_owned());
        if actions.runs().going(&of).is_none() {
            return view;
        }
        assert!(Instant::now() < until, "{view:?}");
        std::thread::yield_now();
    }
}

#[test]
fn an_interrupted_run_is_hidden_by_nothing_until_somebody_resumes_or_dismisses_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (actions, ledger) = interrupted_process(dir.path(), &runtime);
    let plan = plan_of(&actions.config);
    let cluster = plan.cluster.clone();
    let do_it = |step| runtime.block_on(actions.step("bob", &cluster, "orders.dlq", step));
    let stored = || ledger.load_kept(&cluster, crate::store::KeptOf::Redrives).unwrap().0.len();
    let known = || actions.interrupted(&cluster, "orders.dlq").map(|run| run.run);

    runtime.block_on(actions.dry_run("bob", plan.clone())).unwrap();
    assert_eq!(ended(&actions, &cluster).sent["orders"], 2);
    assert_eq!((known(), stored()), (Some("r1".into()), 1), "a dry run beside it changes nothing");
    let refused = runtime.block_on(actions.start("bob", plan.clone()));
    assert!(matches!(refused, Err(Refusal::Conflict(ref why)) if why.contains("dismiss")), "{refused:?}");

    do_it(RedriveStep::Dismiss).unwrap();
    assert_eq!((known(), stored()), (None, 0));
    assert!(matches!(do_it(RedriveStep::Dismiss), Err(Refusal::Unknown(_))), "once");
    let lines = runtime.block_on(actions.audited(None, 1)).unwrap();
    assert_eq!((lines[0].1.action.as_str(), lines[0].1.user.as_str()), ("redrive.dismiss", "bob"));

    runtime.block_on(actions.start("bob", plan.clone())).unwrap();
    assert_eq!(ended(&actions, &cluster).sent["orders"], 2);
    // Its thread removes the row behind its last word.
    let until = Instant::now() + std::time::Duration::from_secs(60);
    while stored() > 0 {
        assert!(Instant::now() < until, "the row of a run that has ended stays");
        std::thread::yield_now();
    }
}

#[test]
fn an_interrupted_run_goes_on_as_what_it_was() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (actions, _) = interrupted_process(dir.path(), &runtime);
    let cluster = plan_of(&actions.config).cluster;
    runtime.block_on(actions.step("bob", &cluster, "orders.dlq", RedriveStep::Resume)).unwrap();
    assert_eq!(actions.interrupted(&cluster, "orders.dlq"), None);
    let view = ended(&actions, &cluster);
    let left = view.skipped.get(crate::dlq::Skip::NotSelected.name()).copied();
    assert_eq!((view.state, left), ("done", Some(2)), "none of them is a Timeout: {view:?}");
}
