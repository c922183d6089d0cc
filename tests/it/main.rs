//! One module per promise or subject.

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod self_check;
mod true_numbers;
