//! What start-up still waits for. Once ready, always ready: a broker that goes down later is a state
//! of its source on a page, never a reason to take the dashboard out of service.

use std::sync::{Arc, Mutex, PoisonError};

/// A set of named latches; ready once every one was opened. Clone it freely.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    waiting: Arc<Mutex<Vec<&'static str>>>,
}

/// One thing that start-up waits for. Dropping it unopened (a thread that died) leaves it closed.
#[derive(Debug)]
#[must_use = "a latch that is never opened keeps the process unready"]
pub struct Latch {
    name: &'static str,
    of: Readiness,
}

impl Readiness {
    /// Nothing to wait for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a latch. All of them are made before the first one opens: in the wiring.
    pub fn latch(&self, name: &'static str) -> Latch {
        self.lock().push(name);
        Latch { name, of: self.clone() }
    }

    /// True once every latch was opened.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.lock().is_empty()
    }

    /// What is still waited for, in the order in which it was added.
    #[must_use]
    pub fn waiting(&self) -> Vec<&'static str> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<&'static str>> {
        // The list is whole between any two of our statements, so a poisoned lock loses nothing.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latch {
    /// Opens it, for good.
    pub fn open(self) {
        let mut waiting = self.of.lock();
        if let Some(at) = waiting.iter().position(|name| *name == self.name) {
            waiting.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_all_are_open() {
        let readiness = Readiness::new();
        let (state, http) = (readiness.latch("state"), readiness.latch("http"));
        assert_eq!(readiness.waiting(), ["state", "http"]);
        state.open();
        assert!(!readiness.is_ready());
        http.open();
        assert!(readiness.is_ready());
    }

    #[test]
    fn a_latch_that_is_dropped_stays_closed() {
        let readiness = Readiness::new();
        drop(readiness.latch("state"));
        assert_eq!(readiness.waiting(), ["state"]);
    }
}
