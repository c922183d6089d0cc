//! Tests of the engine as a whole.

mod bounds;
mod cases;
mod holes;
mod joining;
mod lifecycle;
mod lookup;
mod properties;
mod world;
