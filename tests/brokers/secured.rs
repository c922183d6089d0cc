//! A cluster that asks who we are: TLS, a password, and rights by topic. What is missing is named, with what mends it.

use std::time::Duration;

use streamgauge::broker::kafka::{KafkaConfig, KafkaInspect, KafkaMove, KafkaTail};
use streamgauge::broker::{Finding, Inspect, Move as _, MoveError, NewRecord, Outgoing, Tail as _, Wants};
use streamgauge::dlq::{marker_stream, own_group};
use streamgauge::model::{Positions, SourceState, Start};

use super::Test;
use super::kafka::Broker;
use super::rig::{Hand, PATIENCE, Rig, exact};

pub const TESTS: &[(&str, Test)] = &[
    ("a_guarded_cluster_is_read_over_tls_with_a_password", read_with_the_least_rights),
    ("a_wrong_password_or_certificate_is_said_in_words", refused_at_the_door),
    ("a_missing_right_is_named_and_the_printed_command_grants_it", missing_right),
    ("rights_of_groups_and_redrives_are_named_and_granted_by_the_printed_commands", further_rights),
];

/// How long a cluster is asked that refuses us: each of the four cases may take all of it.
const REFUSED: Duration = Duration::from_secs(10);
const PASSWORD: &str = "s3cret-of-the-observer";

/// Makes a user and says how the product is told of it.
fn user(broker: &Broker, name: &str) -> KafkaConfig {
    let password = format!("SCRAM-SHA-512=[iterations=4096,password={PASSWORD}]");
    let what = ["--bootstrap-server", &broker.address, "--alter", "--add-config", &password];
    let who = ["--entity-type", "users", "--entity-name", name];
    broker.tool("kafka.admin.ConfigCommand", &[what.as_slice(), &who].concat());
    let properties = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", name),
        ("sasl.password", PASSWORD),
        ("ssl.ca.location", &broker.authority()),
    ];
    KafkaConfig {
        bootstrap_servers: broker.guarded.clone(),
        properties: properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    }
}

fn grant(broker: &Broker, user: &str, topic: &str, operations: &[&str]) {
    let principal = format!("User:{user}");
    let mut arguments = vec!["--bootstrap-server", &broker.address, "--add", "--allow-principal", &principal];
    arguments.extend(["--topic", topic]);
    operations.iter().for_each(|operation| arguments.extend(["--operation", operation]));
    broker.tool("org.apache.kafka.tools.AclCommand", &arguments);
}

fn doctor(config: &KafkaConfig, topics: &[&str], within: Duration) -> Vec<Finding> {
    let streams = topics.iter().flat_map(|topic| exact(topic, Start::Earliest)).collect::<Vec<_>>();
    let findings = KafkaInspect::new("main", config.clone()).doctor(&streams, within);
    findings.iter().for_each(|f| println!("    {:?} {}: {} ({})", f.ok, f.what, f.detail, f.mend));
    assert!(findings.iter().all(|f| !format!("{f:?}").contains(PASSWORD)), "a password is never shown");
    findings
}

fn read_with_the_least_rights(broker: &mut Broker) {
    let (hand, config) = (Hand::new(&broker.address), user(broker, "least"));
    hand.create("paid", 2);
    hand.send("paid", Some(1), 1_000);
    grant(broker, "least", "paid", &["Read"]); // Describe follows from it
    let rig = Rig::start_as(config.clone(), exact("paid", Start::Earliest), Positions::default(), true);
    rig.until_ends("paid", 0, &[0, 1_000]);
    assert_eq!(rig.events("paid"), 1_000);
    let findings = doctor(&config, &["paid"], PATIENCE);
    assert!(findings.iter().all(|f| f.ok != Some(false)), "{findings:?}");
    let may_write = || KafkaInspect::new("main", config.clone()).may_write("paid", PATIENCE).expect("a finding");
    let refused = may_write();
    assert_eq!(refused.ok, Some(false), "{refused:?}");
    run(broker, &refused.mend);
    assert_eq!(may_write().ok, Some(true), "{:?}", may_write());
    // Without the right to read the configuration we cannot know whose clock it is, and say so.
    let unknown = findings.iter().find(|f| f.ok.is_none()).expect("the configuration could not be read");
    assert!(unknown.mend.contains("--operation DescribeConfigs"), "{unknown:?}");
}

fn refused_at_the_door(broker: &mut Broker) {
    let config = user(broker, "wrong");
    let with = |key: &str, value: &str| {
        let mut config = config.clone();
        config.properties.insert(key.to_owned(), value.to_owned());
        config
    };
    let cases = [
        (with("sasl.password", "not-this-one"), "Authentication failed", "sasl.password"),
        (with("ssl.ca.location", "probe"), "certificate", "ssl.ca.location"),
        (with("security.protocol", "PLAINTEXT"), "answers nothing that a Kafka would", "security.protocol"),
        (with("security.protocol", "SASL_PLAINTEXT"), "answers nothing that a Kafka would", "security.protocol"),
    ];
    for (config, words, mend) in cases {
        let findings = doctor(&config, &["paid"], REFUSED);
        let [only] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!(only.ok, Some(false));
        assert!(only.detail.contains(words) && only.mend.contains(mend), "{only:?}");
    }
    let rig = Rig::start_as(
        with("sasl.password", "not-this-one"),
        exact("paid", Start::Earliest),
        Positions::default(),
        true,
    );
    rig.until("the refusal is shown", |_| rig.health.borrow().detail.contains("Authentication failed"));
    assert_eq!(rig.health.borrow().up, Some(false));
}

fn missing_right(broker: &mut Broker) {
    let (hand, config) = (Hand::new(&broker.address), user(broker, "observer"));
    for topic in ["allowed", "unread", "hidden"] {
        hand.create(topic, 1);
        hand.send(topic, Some(0), 100);
    }
    grant(broker, "observer", "allowed", &["Read", "DescribeConfigs"]);
    grant(broker, "observer", "unread", &["Describe"]);
    let all = ["allowed", "unread", "hidden"].map(|topic| exact(topic, Start::Earliest)).concat();
    let rig = Rig::start_as(config.clone(), all, Positions::default(), true);
    rig.until_ends("allowed", 0, &[100]);
    rig.until("what is missing is named", |books| {
        let unread = books.get(&("unread".to_owned(), 0, 0)).and_then(|b| b.state.as_ref());
        matches!(unread, Some(SourceState::Unreachable(words)) if words.contains("authoriz"))
            && rig.health.borrow().detail.contains("stream hidden: ")
    });
    assert_eq!(rig.health.borrow().up, Some(true), "the cluster answers: {:?}", rig.health.borrow());
    // Others go on meanwhile.
    hand.send("allowed", Some(0), 50);
    rig.until_ends("allowed", 0, &[150]);

    // Commits are not pushed without the right to read them, and that is said.
    let refused = KafkaTail::new(config.clone()).unwrap().read(PATIENCE, &mut |_| ());
    assert_eq!(refused, Err("no right to read __consumer_offsets".to_owned()));

    let findings = doctor(&config, &["allowed", "unread", "hidden"], PATIENCE);
    let missing: Vec<&Finding> = findings.iter().filter(|f| f.ok == Some(false)).collect();
    let whats: Vec<&str> = missing.iter().map(|f| f.what.as_str()).collect();
    assert_eq!(whats, ["stream hidden", "stream unread: right to read"], "{findings:?}");
    for finding in missing {
        run(broker, &finding.mend);
    }
    rig.until("reading begins without a restart", |books| {
        ["unread", "hidden"].iter().all(|topic| {
            books.get(&((*topic).to_owned(), 0, 0)).is_some_and(|b| b.events.len() == 100 && b.tail.is_some())
        })
    });
    assert!(doctor(&config, &["allowed", "unread", "hidden"], PATIENCE).iter().all(|f| f.ok != Some(false)));
}

fn further_rights(broker: &mut Broker) {
    let (hand, config) = (Hand::new(&broker.address), user(broker, "mover"));
    for topic in ["letters", "target"] {
        hand.create(topic, 1);
    }
    hand.send("letters", Some(0), 3);
    grant(broker, "mover", "letters", &["Read"]);
    super::offsets::commit_one(&broker.address, "billing", "letters", &[(0, 2)]);
    let wants = Wants {
        groups: true,
        offsets_topic: true,
        records: true,
        redrive: vec![own_group("letters")],
        redrive_to: vec!["target".into(), marker_stream("letters")],
    };
    let rights = || {
        let mut all = Vec::new();
        KafkaInspect::new("main", config.clone()).rights(&wants, PATIENCE, &mut |finding| all.push(finding));
        all.iter().for_each(|f| println!("    {:?} {}: {} ({})", f.ok, f.what, f.detail, f.mend));
        all
    };
    let mut mover = KafkaMove::new(config.clone(), own_group("letters")).expect("a configuration that works");
    let refused = mover.progress("letters", PATIENCE);
    assert!(matches!(refused, Err(MoveError::Refused(_))), "{refused:?}");

    let before = rights();
    let oks: Vec<Option<bool>> = before.iter().map(|f| f.ok).collect();
    // Groups and their topic are wanted by the configuration; a redrive is the operator's own choice.
    assert_eq!(oks, [Some(false), Some(false), Some(true), None, None, None, None]);
    let missing: Vec<&Finding> = before.iter().filter(|f| f.ok != Some(true)).collect();
    missing.iter().for_each(|finding| run(broker, &finding.mend));
    // What may be written is seen now, and that it may not be read.
    let seen = rights();
    assert!(seen[2].ok == Some(false) && seen[2].mend.contains("--topic 'target'"), "{:?}", seen[2]);
    run(broker, &seen[2].mend);
    let after = rights();
    let oks: Vec<Option<bool>> = after.iter().map(|f| f.ok).collect();
    assert_eq!(oks[..6], [Some(true); 6], "only transactions cannot be looked at");
    assert!(after[0].detail.contains("all are shown"), "{:?}", after[0]);

    // The same mover goes on as soon as it may.
    assert!(mover.progress("letters", PATIENCE).expect("granted").is_empty());
    let record = NewRecord { payload: Some(b"a letter".to_vec()), ..NewRecord::default() };
    let out = vec![Outgoing { stream: "target".into(), partition: None, record }];
    mover.step("letters", out, &[(0, 1)], PATIENCE).expect("granted");
    assert_eq!(mover.progress("letters", PATIENCE).expect("granted"), [(0, 1)]);
}

/// Runs a printed `kafka-acls.sh` command through the tool's own class, as an administrator would: by the open door.
fn run(broker: &Broker, mend: &str) {
    let command = mend.split("kafka-acls.sh ").nth(1).unwrap_or_else(|| panic!("no command: {mend}"));
    let mut words: Vec<&str> = command.split(' ').map(|word| word.trim_matches('\'')).collect();
    let server = words.iter().position(|word| *word == broker.guarded).expect("the cluster's own address");
    words[server] = &broker.address;
    if let Some(at) = words.iter().position(|word| *word == "--command-config") {
        words.drain(at..at + 2); // the administrator's own password
    }
    broker.tool("org.apache.kafka.tools.AclCommand", &words);
}
