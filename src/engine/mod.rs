//! The engine: one owner of all state. Pure: no clock, no I/O, no randomness.
