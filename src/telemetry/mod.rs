//! What the process says of itself: logs to stderr, and spans and metrics by OTLP where an endpoint is given.
//!
//! ```text
//! init(settings) -> Guard          keep it until the end of main
//!   logs     always, to stderr; RUST_LOG or a quiet default
//!   OTLP     only with [telemetry] otlp_endpoint or OTEL_EXPORTER_OTLP_*ENDPOINT; gRPC, cleartext
//! drop(Guard)                      flushes what is queued, for at most FLUSH_DEADLINE, and not beyond end_by
//! ```
//!
//! Export runs on a small runtime of its own: so it may be started and flushed from any thread, before
//! the main runtime exists and after it is gone, and no flush waits for a thread that waits for it.
//! Only spans of this crate are exported, never those of the exporter's own HTTP client: else every
//! export would cause the next.

mod export;
mod logs;
pub mod metrics;
pub mod propagate;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use opentelemetry::metrics::{Meter, MeterProvider};

pub use export::{Export, plan};
pub use logs::LogFormat;
pub use metrics::Metrics;

/// Name of the instrumentation scope and default `service.name`.
pub const SERVICE: &str = "streamgauge";
/// The longest that the end of the process waits for a collector.
pub const FLUSH_DEADLINE: Duration = Duration::from_secs(3);

/// What [`init`] is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Shape of log lines.
    pub log_format: LogFormat,
    /// `[telemetry] otlp_endpoint`; an `OTEL_EXPORTER_OTLP_*ENDPOINT` variable is stronger.
    pub otlp_endpoint: Option<String>,
    /// `service.instance.id` unless `OTEL_RESOURCE_ATTRIBUTES` says one: the random id of this process.
    pub instance: String,
}

/// Why telemetry cannot be set up. All are mistakes of configuration.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `RUST_LOG` cannot be read.
    #[error("environment variable RUST_LOG = \"{value}\": {detail}; allowed: like \"info,streamgauge=debug\"")]
    Filter {
        /// Its value.
        value: String,
        /// The parser's words.
        detail: String,
    },
    /// A variable of OpenTelemetry has a value that this build cannot do.
    #[error("environment variable {name} = \"{value}\": {what}; allowed: {allowed}")]
    Variable {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// What is wrong.
        what: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The exporter refuses its configuration.
    #[error("OTLP export cannot be set up: {0}")]
    Export(String),
    /// Somebody in this process set up logging before.
    #[error("logging is set up already")]
    Twice,
}

/// Keeps telemetry alive. Dropping it flushes, on every path out of `main`.
#[must_use = "dropping it ends telemetry"]
pub struct Guard {
    export: Option<Export>,
    end: OnceLock<Instant>,
}

/// Sets up logs and, where an endpoint is given, OTLP. Once per process, from any thread.
///
/// # Errors
/// [`TelemetryError`] names the variable that is wrong.
pub fn init(settings: &Settings, env: &dyn Fn(&str) -> Option<String>) -> Result<Guard, TelemetryError> {
    let filter = logs::filter(env)?;
    let export = Export::start(&plan(settings.otlp_endpoint.as_deref(), env)?, &settings.instance)?;
    logs::install(settings.log_format, filter, export.as_ref())?;
    if let Some(export) = &export {
        tracing::info!(endpoint = export.endpoints(), "OTLP export is on");
    }
    Ok(Guard { export, end: OnceLock::new() })
}

impl Guard {
    /// Where self-metrics are recorded; leads nowhere while OTLP is off.
    #[must_use]
    pub fn meter(&self) -> Meter {
        match self.export.as_ref().and_then(Export::meter) {
            Some(meter) => meter,
            None => opentelemetry::metrics::noop::NoopMeterProvider::new().meter(SERVICE),
        }
    }
}

impl Guard {
    /// The process is to have ended by then: flushing shares its last moments with all that stopped before. The
    /// first call holds.
    pub fn end_by(&self, at: Instant) {
        let _first_holds = self.end.set(at);
    }

    /// What flushing may take from now on.
    fn flush_within(&self) -> Duration {
        let left = self.end.get().map(|end| end.saturating_duration_since(Instant::now()));
        left.map_or(FLUSH_DEADLINE, |left| left.min(FLUSH_DEADLINE))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let within = self.flush_within();
        if let Some(export) = self.export.take()
            && !export.stop(within)
        {
            tracing::warn!(
                "the collector did not take everything at the end (it was given {within:.1?}): the last spans are lost"
            );
        }
    }
}
