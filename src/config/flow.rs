//! `[[flow]]`: business processes, their stages, ends and deadlines.
//!
//! `deadlines = { stage = "8s" }` says when a transaction that waits at a stage is stuck. It is an addition to
//! the keys of the first contract; a stage without one learns its deadline from its own history.

use super::read::{Table, Text};
use super::units::{DURATION_FORM, duration};
use crate::model::{FlowSpec, Limits, TIMEOUT_MAX};

/// Reads every `[[flow]]`.
pub(super) fn read_flows(root: &Table<'_>, limits: &Limits) -> Vec<FlowSpec> {
    let tables = root.tables("flow");
    if tables.len() > limits.flows {
        root.refuse(
            "flow",
            format!("{} flows are more than limits.flows", tables.len()),
            format!("at most {}", limits.flows),
        );
    }
    let mut flows: Vec<FlowSpec> = Vec::new();
    for table in tables {
        let flow = read_flow(&table, limits);
        if !flow.name.is_empty() && flows.iter().any(|f| f.name == flow.name) {
            table.refuse("name", "another [[flow]] has this name", "");
        }
        table.finish();
        flows.push(flow);
    }
    flows
}

fn read_flow(table: &Table<'_>, limits: &Limits) -> FlowSpec {
    let name = table.required("name", "the flow's name as its events say it").map(|t| t.text).unwrap_or_default();
    check_length(table, "name", &name, limits);
    let stages = read_stages(table, "stages", limits);
    let ends_at = read_stages(table, "ends_at", limits);
    let known = |stage: &str| stages.is_empty() || stages.iter().any(|s| s == stage);
    for end in &ends_at {
        if !known(end) {
            let hint = super::problem::nearest(end, stages.iter().map(String::as_str));
            let hint = hint.map_or(String::new(), |n| format!(", did you mean \"{n}\"?"));
            table.refuse("ends_at", format!("\"{end}\" is not one of the flow's stages{hint}"), stages.join(" "));
        }
    }
    let timeout = table.parsed("timeout", duration, "not a duration", DURATION_FORM);
    if timeout.is_some_and(|t| t.is_zero() || t > TIMEOUT_MAX) {
        table.refuse("timeout", "out of range", "more than 0s, at most 30d");
    }
    let deadlines = table.table("deadlines");
    let mut stage_deadlines = Vec::new();
    for (stage, text) in deadlines.entries(false) {
        let refuse = |what: &str, allowed: &str| table.reader.refuse(&text.key, &text.at, what, allowed);
        if !known(&stage) {
            refuse("the key is not one of the flow's stages", &stages.join(" "));
        }
        match duration(&text.text) {
            None => refuse("not a duration", DURATION_FORM),
            Some(d) if d.is_zero() || d > TIMEOUT_MAX => refuse("out of range", "more than 0s, at most 30d"),
            Some(d) => {
                if timeout.is_some_and(|t| d >= t) {
                    table.reader.warn(&text.key, &text.at, "never shows: the flow's timeout comes first");
                }
                stage_deadlines.push((stage, d));
            }
        }
    }
    if ends_at.is_empty() && timeout.is_none() && !table.has("ends_at") && !table.has("timeout") {
        table.warn("", "without ends_at and timeout its transactions end only by an event with an outcome");
    }
    FlowSpec { name, stages, ends_at, timeout, stage_deadlines }
}

/// A list of stages, each once.
fn read_stages(table: &Table<'_>, key: &'static str, limits: &Limits) -> Vec<String> {
    let texts = table.texts(key).unwrap_or_default();
    if texts.len() > limits.stages_per_flow {
        table.refuse(
            key,
            format!("{} stages are more than limits.stages_per_flow", texts.len()),
            format!("at most {}", limits.stages_per_flow),
        );
    }
    let mut stages: Vec<String> = Vec::new();
    for Text { text, key, at, .. } in texts {
        if text.is_empty() {
            table.reader.refuse(&key, &at, "is empty", "the stage's name as its events say it");
        } else if stages.contains(&text) {
            table.reader.refuse(&key, &at, "is listed twice", "");
        } else {
            if text.len() > limits.field_bytes {
                table.reader.refuse(
                    &key,
                    &at,
                    "longer than limits.field_bytes",
                    format!("at most {} bytes", limits.field_bytes),
                );
            }
            stages.push(text);
        }
    }
    stages
}

fn check_length(table: &Table<'_>, key: &str, text: &str, limits: &Limits) {
    if text.len() > limits.field_bytes {
        table.refuse(key, "longer than limits.field_bytes", format!("at most {} bytes", limits.field_bytes));
    }
}
