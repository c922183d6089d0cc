//! Tests of the engine as a whole.

mod bounds;
mod cases;
mod holes;
mod lifecycle;
mod lookup;
mod properties;
mod world;
