//! One module per promise or subject.

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod light;
mod live;
mod native;
mod one_command;
mod operator;
mod self_check;
mod strange_records;
mod true_numbers;
