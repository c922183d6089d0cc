//! What the producer of a mover says on its own: which records it could not deliver, and why.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;

use super::Events;

/// What was refused of one step.
#[derive(Debug, Default)]
pub(super) struct Failed {
    /// The reason; `None`: nothing was refused.
    pub code: Option<Code>,
    /// Places in the step of records in batches that are larger than their topic takes.
    pub too_large: Vec<usize>,
}

/// Clones share it.
#[derive(Clone, Default)]
pub(super) struct Said {
    pub events: Events,
    failed: Arc<Mutex<Failed>>,
}

impl ClientContext for Said {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }
}

impl ProducerContext for Said {
    /// Its place in the step.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        if let Err((error, _)) = result
            && let Some(code) = error.rdkafka_error_code()
        {
            self.refuse(code, place);
        }
    }
}

impl Said {
    fn failed(&self) -> MutexGuard<'_, Failed> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record was not taken.
    pub(super) fn refuse(&self, code: Code, place: usize) {
        let mut failed = self.failed();
        // What follows a refusal is thrown away, and that may be reported first: the refusal is the reason.
        if failed.code.is_none_or(|code| matches!(code, Code::PurgeQueue | Code::PurgeInflight)) {
            failed.code = Some(code);
        }
        if is_too_large(code) {
            failed.too_large.push(place);
        }
    }

    /// The reason of the first refusal of this step.
    pub(super) fn code(&self) -> Option<Code> {
        self.failed().code
    }

    pub(super) fn take(&self) -> Failed {
        std::mem::take(&mut *self.failed())
    }
}

/// True where it is the size that a log, or the client itself, does not take.
pub(super) fn is_too_large(code: Code) -> bool {
    matches!(code, Code::MessageSizeTooLarge | Code::MessageBatchTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_the_reason_whatever_is_reported_first() {
        let said = Said::default();
        said.refuse(Code::PurgeQueue, 4);
        said.refuse(Code::MessageSizeTooLarge, 2);
        said.refuse(Code::PurgeInflight, 3);
        assert_eq!(said.code(), Some(Code::MessageSizeTooLarge));
        let failed = said.take();
        assert_eq!((failed.code, failed.too_large), (Some(Code::MessageSizeTooLarge), vec![2]));
        assert!(said.code().is_none() && said.take().too_large.is_empty(), "the next step begins anew");
    }
}
