//! How the process runs: the clock, the life of its threads and tasks, retry delays, readiness.
//!
//! * [`clock`]: the only place that reads the wall clock.
//! * [`supervise`]: named threads and tasks; the death of any one stops all, in order, with a reason.
//! * [`backoff`]: how long to wait before the next attempt; randomness is passed in.
//! * [`desk`]: questions to a thread that answers when it has time.
//! * [`health`]: what start-up still waits for.

pub mod backoff;
pub mod clock;
pub mod desk;
pub mod health;
pub mod supervise;
