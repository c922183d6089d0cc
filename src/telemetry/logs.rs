//! Log lines on stderr, and the layer that turns spans of this crate into OpenTelemetry spans.

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::{Export, SERVICE, TelemetryError};

/// Without `RUST_LOG`: our own news, and of the libraries only what is wrong.
const FILTER_DEFAULT: &str =
    "info,rdkafka=warn,librdkafka=warn,hyper=warn,h2=warn,tonic=warn,tower=warn,opentelemetry=warn";

/// Shape of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The word of the configuration.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The filter of `RUST_LOG`, or a quiet default.
pub(super) fn filter(env: &dyn Fn(&str) -> Option<String>) -> Result<EnvFilter, TelemetryError> {
    let value = env("RUST_LOG").filter(|v| !v.is_empty()).unwrap_or_else(|| FILTER_DEFAULT.into());
    EnvFilter::try_new(&value).map_err(|e| TelemetryError::Filter { value, detail: e.to_string() })
}

/// Makes it the subscriber of the process.
pub(super) fn install(format: LogFormat, filter: EnvFilter, export: Option<&Export>) -> Result<(), TelemetryError> {
    tracing_subscriber::registry()
        .with(lines(format, std::io::stderr().is_terminal(), std::io::stderr).with_filter(filter))
        .with(export.and_then(spans))
        .try_init()
        .map_err(|_| TelemetryError::Twice)
}

/// The layer that writes lines.
pub(super) fn lines<W>(format: LogFormat, colour: bool, to: W) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(to).with_ansi(colour);
    match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
    }
}

/// The layer that exports spans of this crate, and of this crate only. `None` where spans are not exported.
pub(super) fn spans<S>(export: &Export) -> Option<impl Layer<S> + use<S>>
where
    S: tracing::Subscriber + for<'s> tracing_subscriber::registry::LookupSpan<'s>,
{
    let ours = Targets::new().with_target(SERVICE, LevelFilter::INFO);
    let tracer = export.traces()?.tracer(SERVICE);
    Some(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, rust_log: Option<&str>) -> String {
        let sink = Sink::default();
        let to = sink.clone();
        let filter = filter(&|k| (k == "RUST_LOG").then_some(rust_log.map(Into::into)).flatten()).unwrap();
        let subscriber =
            tracing_subscriber::registry().with(lines(format, false, move || to.clone()).with_filter(filter));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(partition = 3, "reading");
            tracing::debug!("detail");
            tracing::info!(target: "h2::client", "noise");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_quiet_default_and_rust_log() {
        let text = written(LogFormat::Text, None);
        assert!(text.contains("reading partition=3") && !text.contains("detail") && !text.contains("noise"), "{text}");
        let text = written(LogFormat::Text, Some("warn,h2=info,streamgauge=debug"));
        assert!(text.contains("detail") && text.contains("noise"), "{text}");
    }

    #[test]
    fn json_lines_are_json() {
        let text = written(LogFormat::Json, None);
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!((line["message"].as_str(), line["partition"].as_i64()), (Some("reading"), Some(3)));
    }

    #[test]
    fn a_bad_rust_log_is_named() {
        let error = filter(&|_| Some("info,=x=".into())).unwrap_err().to_string();
        assert!(error.starts_with("environment variable RUST_LOG = \"info,=x=\": "), "{error}");
    }
}
