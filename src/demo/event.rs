//! An emission as a record: event v1 JSON, keyed by its transaction, with a traceparent.

use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_64;

use super::plan::{Emission, Flow, Name, STREAMS};
use crate::broker::NewRecord;
use crate::decode::{hex, trace_id};
use crate::model::{Outcome, Timestamp};

impl Flow {
    /// Name of the flow.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Refund => "refund",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Checkout => "co",
            Self::Refund => "rf",
        }
    }
}

impl Name {
    /// Transaction id.
    pub(super) fn id(self) -> String {
        format!("{}-{:x}-{}", self.flow.prefix(), self.second, self.number)
    }
}

/// The record of an emission. `record_time`: backdated traffic brings its own.
pub(super) fn record(emission: &Emission, record_time: Option<Timestamp>) -> NewRecord {
    let (transaction, flow) = (emission.name.id(), emission.name.flow.name());
    let id = format!("{transaction}.{}", emission.number);
    let mut json = String::with_capacity(384);
    let text = &mut json;
    put(text, "{\"id\":\"", &id);
    put(text, "\",\"transaction_id\":\"", &transaction);
    put(text, "\",\"flow\":\"", flow);
    put(text, "\",\"stage\":\"", emission.stage.name);
    put(text, "\",\"status\":\"", emission.status.name());
    if let Some(outcome) = emission.outcome.map(Outcome::name) {
        put(text, "\",\"outcome\":\"", outcome);
    }
    put(text, "\",\"event_time\":\"", "");
    put_time(text, emission.event_time);
    put(text, "\",\"service\":\"", emission.stage.service);
    if let Some(code) = emission.error {
        put(text, "\",\"error\":{\"code\":\"", code);
        put(text, "\",\"message\":\"", words(code));
        text.push_str("\"},\"attributes\":{\"amount\":\"");
    } else {
        text.push_str("\",\"attributes\":{\"amount\":\"");
    }
    // Writing into a String cannot fail.
    let _ = write!(text, "{}.{:02}\",\"currency\":\"EUR\"}}}}", emission.cents / 100, emission.cents % 100);
    let trace = hex(&trace_id(flow, &transaction));
    let span = xxh3_64(id.as_bytes()).max(1);
    let mut headers = vec![("traceparent".to_owned(), format!("00-{trace}-{span:016x}-01").into_bytes())];
    if STREAMS[emission.stage.stream].ends_with(".dlq") {
        // As Spring Kafka writes them: numbers are big-endian bytes.
        let error = emission.error.unwrap_or_default();
        let mut header = |name: &str, value: Vec<u8>| headers.push((format!("kafka_dlt-{name}"), value));
        header("original-topic", b"shop.payments".to_vec());
        header("original-partition", 0i32.to_be_bytes().to_vec());
        header("original-timestamp", (emission.event_time.0 / 1_000).to_be_bytes().to_vec());
        header("original-consumer-group", b"warehouse-service".to_vec());
        header("exception-fqcn", format!("com.example.shop.{}", class(error)).into_bytes());
        header("exception-message", words(error).into());
    }
    NewRecord { key: Some(transaction.into_bytes()), payload: Some(json.into_bytes()), headers, record_time }
}

/// All texts are ours and plain ASCII: nothing needs escaping (a test parses them).
fn put(text: &mut String, before: &str, value: &str) {
    text.push_str(before);
    text.push_str(value);
}

/// RFC 3339 in UTC with microseconds.
fn put_time(text: &mut String, time: Timestamp) {
    match jiff::Timestamp::from_microsecond(time.0) {
        // Writing into a String cannot fail.
        Ok(time) => drop(write!(text, "{time:.6}")),
        // Outside of year -9999 to 9999: the number of microseconds is a time as well.
        Err(_) => drop(write!(text, "{}", time.0)),
    }
}

/// The class of an error code: `gateway_timeout` is thrown as `GatewayTimeout`.
fn class(code: &str) -> String {
    let capital = |word: &str| word.get(..1).map(|first| first.to_uppercase() + &word[1..]).unwrap_or_default();
    code.split('_').map(capital).collect()
}

fn words(code: &str) -> &'static str {
    match code {
        "gateway_timeout" => "the payment gateway did not answer within 2 s",
        "card_declined" => "the issuer declined the card",
        "insufficient_funds" => "the account has insufficient funds",
        "fraud_suspected" => "the risk check refused the payment",
        "out_of_stock" => "no stock left in any warehouse",
        "label_printer_busy" => "the label printer is busy",
        "address_invalid" => "the carrier refused the address",
        "not_eligible" => "the order is not eligible for a refund",
        "bank_unavailable" => "the bank is unavailable",
        _ => "unknown",
    }
}
