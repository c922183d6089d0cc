//! What pages may make happen: only by a form of ours, only for whom it is allowed, and only once.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::{Answer, Fixture, send};
use crate::broker::Boxed;
use crate::snapshot::{DlqBoard, DlqStream, LetterView, PeekQuestion, Peeked, PeekedLetter, RedriveView};
use crate::web::{Actions, DlqActions, RedrivePlan, RedriveStep, RedriveTarget, Refusal, WebConfig};

/// Writes down what it is asked to do.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<String>>,
    plans: Mutex<Vec<RedrivePlan>>,
    run: Mutex<Option<(RedrivePlan, Arc<RedriveView>)>>,
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
            skipped: [("transaction has ended ok", 3)].into(),
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
async fn an_interrupted_redrive_is_told_and_resumed() {
    let fake = Arc::<Fake>::default();
    let plan = RedrivePlan { cluster: "main".into(), stream: "orders.dlq".into(), ..RedrivePlan::default() };
    let run = RedriveView { run: "r1".into(), state: "interrupted", ..RedriveView::default() };
    *fake.run.lock().unwrap() = Some((plan, Arc::new(run)));
    let router = router(&fake);
    let path = "/dlq/main/orders.dlq/redrive";
    let form = get(&router, path).await;
    let shown = form.text.split("id=\"run\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(shown.contains("Interrupted") && shown.contains("value=\"resume\""), "{shown}");
    assert!(!shown.contains("data-again"), "nothing moves: the page need not come again");
    let (cookie, token) = keys(&form);
    post(&router, path, &cookie, format!("token={token}&act=resume")).await;
    assert_eq!(fake.asked(), ["Resume main/orders.dlq"]);
}
