//! What pages may make happen: only by a form of ours, only for whom it is allowed, and only once.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::{Answer, Fixture, send};
use crate::broker::Boxed;
use crate::dlq::Skip;
use crate::model::Timestamp;
use crate::snapshot::{DlqBoard, DlqStream, LetterView, PeekQuestion, Peeked, PeekedLetter, RedriveView};
use crate::store::AuditEntry;
use crate::text::Locale;
use crate::text::i18n::{dlq_texts, fill};
use crate::web::{Actions, DlqActions, InterruptedRun, RedrivePlan, RedriveStep, RedriveTarget, Refusal, WebConfig};

/// Writes down what it is asked to do.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<String>>,
    plans: Mutex<Vec<RedrivePlan>>,
    run: Mutex<Option<(RedrivePlan, Arc<RedriveView>)>>,
    interrupted: Mutex<Option<InterruptedRun>>,
}

impl Fake {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl DlqActions for Fake {
    fn peek(&self, question: PeekQuestion) -> Boxed<'_, Result<Peeked, Refusal>> {
        self.note(format!("peek {}/{} {}", question.stream, question.partition, question.position));
        let letter = PeekedLetter {
            letter: LetterView { position: 7, ..LetterView::default() },
            payload: Some("{\"card\":\"***\",\"x\":\"<script>\"}".to_owned()),
            ..PeekedLetter::default()
        };
        let found = Peeked { letters: vec![letter], ..Peeked::default() };
        Box::pin(async move {
            if question.stream == "gone" { Err(Refusal::Unknown("no such stream".to_owned())) } else { Ok(found) }
        })
    }

    fn dry_run<'a>(&'a self, _: &'a str, plan: RedrivePlan) -> Boxed<'a, Result<(), Refusal>> {
        self.note("dry_run".to_owned());
        self.plans.lock().unwrap().push(plan.clone());
        let run = RedriveView {
            dry_run: true,
            state: "done",
            sent: [("orders".to_owned(), 12)].into(),
            skipped: [("transaction has ended ok", 3), (Skip::Unasked.name(), 7)].into(),
            ..RedriveView::default()
        };
        *self.run.lock().unwrap() = Some((plan, Arc::new(run)));
        Box::pin(async { Ok(()) })
    }

    fn start<'a>(&'a self, _: &'a str, plan: RedrivePlan) -> Boxed<'a, Result<(), Refusal>> {
        self.note("start".to_owned());
        self.plans.lock().unwrap().push(plan);
        Box::pin(async { Ok(()) })
    }

    fn step<'a>(
        &'a self,
        _: &'a str,
        cluster: &'a str,
        stream: &'a str,
        step: RedriveStep,
    ) -> Boxed<'a, Result<(), Refusal>> {
        self.note(format!("{step:?} {cluster}/{stream}"));
        Box::pin(async { Err(Refusal::Conflict("nothing runs".to_owned())) })
    }

    fn progress(&self, _: &str, _: &str) -> Option<(RedrivePlan, Arc<RedriveView>)> {
        self.run.lock().unwrap().clone()
    }

    fn interrupted(&self, _: &str, _: &str) -> Option<InterruptedRun> {
        self.interrupted.lock().unwrap().clone()
    }

    fn audited(&self, before: Option<u64>, most: usize) -> Boxed<'_, Result<Vec<(u64, AuditEntry)>, Refusal>> {
        let line = |number: u64| AuditEntry {
            at: Timestamp::from_seconds(1_795_341_600),
            user: if number == 1 { String::new() } else { "ann".into() },
            action: if number == 2 { "redrive.begin".into() } else { "peek".into() },
            detail: format!("line {number} <of> orders.dlq"),
        };
        let lines = (0..before.unwrap_or(250).min(250)).rev().take(most).map(|n| (n, line(n))).collect();
        Box::pin(async move { Ok(lines) })
    }
}

fn router(fake: &Arc<Fake>) -> Router {
    let actions = Actions(Some(Arc::clone(fake) as Arc<dyn DlqActions>));
    watched().router(WebConfig { actions, ..WebConfig::default() })
}

/// A board with one stream.
fn watched() -> Fixture {
    let fixture = Fixture::new();
    let stream = DlqStream { cluster: "main".into(), stream: "orders.dlq".into(), ..DlqStream::default() };
    let board = DlqBoard { streams: vec![stream.into()], ..DlqBoard::default() };
    fixture.snapshot.send_modify(|snapshot| Arc::make_mut(snapshot).dlq = Arc::new(board));
    fixture
}

async fn post(router: &Router, path: &str, cookie: &str, body: String) -> Answer {
    let request = Request::post(path).header("cookie", cookie).body(Body::from(body)).unwrap();
    send(router, request).await
}

async fn get(router: &Router, path: &str) -> Answer {
    send(router, Request::get(path).body(Body::empty()).unwrap()).await
}

/// The cookie of a form, and its token.
fn keys(form: &Answer) -> (String, String) {
    let cookie = form.header("set-cookie").split(';').next().unwrap().to_owned();
    let token = form.text.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    (cookie, token.to_owned())
}

const PEEK: &str = "cluster=main&stream=orders&partition=2&position=41";

#[tokio::test]
async fn a_record_is_shown_to_who_opened_the_form() {
    let fake = Arc::<Fake>::default();
    let router = router(&fake);
    let form = get(&router, &format!("/peek?{PEEK}")).await;
    assert_eq!((form.status, fake.asked().len()), (StatusCode::OK, 0), "opening a form does nothing");
    let (cookie, token) = keys(&form);
    for (cookie, token) in [("", token.as_str()), (cookie.as_str(), ""), (cookie.as_str(), "0")] {
        let refused = post(&router, "/peek", cookie, format!("{PEEK}&token={token}")).await;
        assert_eq!((refused.status, fake.asked().len()), (StatusCode::FORBIDDEN, 0));
    }
    let shown = post(&router, "/peek", &cookie, format!("{PEEK}&token={token}")).await;
    assert_eq!((shown.status, fake.asked()), (StatusCode::OK, vec!["peek orders/2 41".to_owned()]));
    assert!(shown.text.contains("***") && !shown.text.contains("<script>\""), "{}", shown.text);
    let gone = post(&router, "/peek", &cookie, format!("{}&token={token}", PEEK.replace("orders", "gone"))).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert!(gone.text.contains("no such stream"));
    assert_eq!(get(&router, "/peek?cluster=main&stream=orders").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_redrive_begins_with_a_dry_run_of_the_same_plan() {
    let fake = Arc::<Fake>::default();
    let router = router(&fake);
    let path = "/dlq/main/orders.dlq/redrive";
    let (cookie, token) = keys(&get(&router, path).await);
    let plan = "error=Timeout&partition=1&first=5&last=9&rate=50&target=stream&target_stream=orders-2&from=2026-11-22T10%3A00&include_ok=1";
    let answer = post(&router, path, &cookie, format!("{plan}&token={token}&act=dry_run")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let page = get(&router, answer.header("location")).await;
    for text in ["Begin: move 12 letters", "transaction has ended ok", "name=\"first\" value=\"5\"", "orders-2"] {
        assert!(page.text.contains(text), "{text} in {}", page.text);
    }
    // Whoever opens the page afresh begins what was counted, not all that there is.
    let afresh = get(&router, path).await;
    let begins = afresh.text.split("id=\"run\"").nth(1).unwrap().split("</section>").next().unwrap();
    for text in [
        "Begin: move 12 letters",
        "value=\"2026-11-22T10:00:00.000000Z\"",
        "name=\"last\" value=\"9\"",
        "name=\"error\" value=\"Timeout\"",
    ] {
        assert!(begins.contains(text), "{text} in {begins}");
    }
    assert!(!page.header("location").contains("token") && !answer.header("location").contains(&token));
    let started = post(&router, path, &cookie, format!("{plan}&token={token}&act=start")).await;
    assert_eq!((started.status, fake.asked()), (StatusCode::SEE_OTHER, vec!["dry_run".to_owned(), "start".to_owned()]));
    let plans = fake.plans.lock().unwrap().clone();
    assert_eq!(plans[0], plans[1]);
    assert_eq!((plans[0].positions, plans[0].rate, plans[0].include_ok), (Some((1, 5, 9)), Some(50), true));
    assert_eq!(plans[0].target, RedriveTarget::Stream("orders-2".to_owned()));
    assert_eq!(plans[0].from.map(crate::model::Timestamp::second), Some(1_795_341_600));
    let paused = post(&router, path, &cookie, format!("token={token}&act=pause")).await;
    assert_eq!(paused.status, StatusCode::CONFLICT);
    assert!(paused.text.contains("nothing runs"));
    for wrong in
        ["act=boom", "act=start&rate=0", "act=start&first=3", "act=start&act=dry_run", "act=start&from=yesterday"]
    {
        let answer = post(&router, path, &cookie, format!("{wrong}&token={token}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(fake.asked().len(), 3, "what is wrong does nothing");
}

#[tokio::test]
async fn live_events_are_not_redriven() {
    let fake = Arc::<Fake>::default();
    let router = router(&fake);
    let (cookie, token) = keys(&get(&router, "/dlq/main/orders.dlq/redrive").await);
    for path in ["/dlq/main/payments/redrive", "/dlq/other/orders.dlq/redrive"] {
        assert_eq!(get(&router, path).await.status, StatusCode::NOT_FOUND, "{path}");
        for act in ["dry_run", "start", "resume"] {
            let body = format!("token={token}&act={act}&target=stream&target_stream=target&most=5");
            let answer = post(&router, path, &cookie, body).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path} {act}");
            assert!(answer.text.contains("No dead letters are watched"), "{}", answer.text);
        }
    }
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn without_actions_the_pages_say_so() {
    let fixture = watched();
    let form = fixture.get("/dlq/main/orders.dlq/redrive").await;
    assert_eq!(form.status, StatusCode::OK);
    assert!(!form.text.contains("name=\"act\""), "nothing is offered");
    let router = fixture.router(WebConfig::default());
    assert_eq!(post(&router, "/peek", "", PEEK.to_owned()).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn letters_that_nobody_could_tell_of_are_counted_and_offered() {
    let fake = Arc::<Fake>::default();
    let router = router(&fake);
    let path = "/dlq/main/orders.dlq/redrive";
    let (cookie, token) = keys(&get(&router, path).await);
    let counted = post(&router, path, &cookie, format!("token={token}&act=dry_run")).await;
    let page = get(&router, counted.header("location")).await;
    for text in ["nobody said whether the transaction has ended ok", "7 letters stay", "name=\"include_unknown\""] {
        assert!(page.text.contains(text), "{text} in {}", page.text);
    }
    assert!(!page.text.contains("name=\"include_unknown\" value=\"1\" checked"), "nobody has said so");
    let korean = get(&router, &format!("{path}?lang=ko")).await;
    let said = fill(dlq_texts(Locale::Ko).unasked_why, &[("n", "7")]);
    assert!(korean.text.contains(&said), "{said} in {}", korean.text);
    let told = post(&router, path, &cookie, format!("token={token}&act=dry_run&include_unknown=1")).await;
    let page = get(&router, told.header("location")).await;
    assert!(page.text.contains("name=\"include_unknown\" value=\"1\" checked"), "{}", page.text);
    let asked: Vec<bool> = fake.plans.lock().unwrap().iter().map(|p| p.include_unknown).collect();
    assert_eq!(asked, [false, true]);
}

/// What the page says of the interrupted run.
fn interrupted_of(page: &Answer) -> &str {
    page.text.split("id=\"interrupted\"").nth(1).map_or("", |rest| rest.split("</section>").next().unwrap())
}

#[tokio::test]
async fn an_interrupted_redrive_is_told_beside_others_resumed_and_dismissed() {
    let fake = Arc::<Fake>::default();
    let plan = RedrivePlan { error: "Timeout".into(), ..RedrivePlan::default() };
    *fake.interrupted.lock().unwrap() = Some(InterruptedRun { run: "r1".into(), by: "ann".into(), plan: plan.clone() });
    let router = router(&fake);
    let path = "/dlq/main/orders.dlq/redrive";
    let form = get(&router, path).await;
    let shown = interrupted_of(&form);
    for text in ["Interrupted", "begun by ann", "Timeout", "value=\"resume\"", "value=\"dismiss\""] {
        assert!(shown.contains(text), "{text} in {shown}");
    }
    assert!(!form.text.contains("data-again"), "nothing moves: the page need not come again");
    let (cookie, token) = keys(&form);
    // A dry run beside it hides nothing, and nothing else begins.
    post(&router, path, &cookie, format!("token={token}&act=dry_run")).await;
    let form = get(&router, path).await;
    assert!(interrupted_of(&form).contains("value=\"resume\""), "{}", form.text);
    assert!(!form.text.contains("value=\"start\"") && form.text.contains("resume or dismiss the interrupted run"));
    let api = get(&router, "/api/v1/dlq").await;
    let streams = serde_json::from_str::<serde_json::Value>(&api.text).unwrap()["data"]["streams"][0].clone();
    assert_eq!(streams["interrupted"], serde_json::json!({"run": "r1", "by": "ann", "can_resume": true}));
    assert_eq!(streams["redrive"]["state"], "done");
    for act in ["resume", "dismiss"] {
        post(&router, path, &cookie, format!("token={token}&act={act}")).await;
    }
    assert_eq!(fake.asked(), ["dry_run", "Resume main/orders.dlq", "Dismiss main/orders.dlq"]);
    // Of a limited number nobody knows how many are left.
    let limited = RedrivePlan { most: Some(5), ..plan };
    *fake.interrupted.lock().unwrap() = Some(InterruptedRun { plan: limited, ..InterruptedRun::default() });
    let form = get(&router, path).await;
    let shown = interrupted_of(&form);
    assert!(!shown.contains("value=\"resume\"") && shown.contains("value=\"dismiss\""), "{shown}");
}

#[tokio::test]
async fn who_looked_and_moved_is_listed_newest_first_and_in_pages() {
    let router = router(&Arc::default());
    let page = get(&router, "/dlq/audit").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.text.contains("line 249 &#60;of&#62; orders.dlq") && !page.text.contains("line 149 "),
        "{}",
        page.text
    );
    assert!(page.text.contains("href=\"/dlq/audit?before=150\""), "{}", page.text);
    let last = get(&router, "/dlq/audit?before=3&lang=ko").await;
    let ko = dlq_texts(Locale::Ko);
    for text in [ko.did_begin, ko.nobody, ko.did_peek] {
        assert!(last.text.contains(text), "{text} in {}", last.text);
    }
    assert!(!last.text.contains("before=0"), "that was all");
    let json = |answer: &Answer| serde_json::from_str::<serde_json::Value>(&answer.text).unwrap();
    let first = json(&get(&router, "/api/v1/audit?limit=2").await);
    assert_eq!(first["next"], "limit=2&before=248");
    let line = serde_json::json!({"number": 249, "at": "2026-11-22T10:00:00.000Z", "user": "ann", "action": "peek", "detail": "line 249 <of> orders.dlq"});
    assert_eq!(first["data"]["lines"][0], line);
    let last = json(&get(&router, "/api/v1/audit?before=2").await);
    assert_eq!(
        (&last["data"]["lines"][0]["user"], &last["next"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    for wrong in ["limit=0", "limit=1001", "before=x", "user=ann"] {
        assert_eq!(get(&router, &format!("/api/v1/audit?{wrong}")).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let off = watched().router(WebConfig::default());
    assert_eq!(get(&off, "/api/v1/audit").await.status, StatusCode::NOT_FOUND);
}
