//! Groups and logs as the observer sees them, beside what the broker's own tool prints.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streamgauge::broker::Observe as _;
use streamgauge::broker::kafka::{KafkaConfig, KafkaObserve};
use streamgauge::model::{LagSpec, Survey};

use crate::Test;
use crate::kafka::Broker;
use crate::rig::{Hand, PATIENCE, wall};

pub const TESTS: &[(&str, Test)] = &[("lag_equals_what_the_brokers_own_tool_prints", equals_the_tool)];

fn observer(address: &str) -> KafkaObserve {
    let config = KafkaConfig { bootstrap_servers: address.to_owned(), ..KafkaConfig::default() };
    KafkaObserve::new(config, LagSpec::default(), Arc::new(|name: &str| name.ends_with("-dlt")), wall).unwrap()
}

fn equals_the_tool(broker: &mut Broker) {
    let hand = Hand::new(&broker.address);
    hand.create("lag-a", 2);
    hand.send("lag-a", None, 100);
    let mut observer = observer(&broker.address);
    let survey = observer.survey(PATIENCE);
    println!("{survey:#?}");
}
