//! Groups at the web edge: JSON, `/metrics`, and the same under the names of other exporters.

pub mod api;
mod compat;
mod letters;
pub mod metrics;
mod shape;
#[cfg(test)]
mod tests;
mod told;

/// What `/metrics` says of groups: `[metrics]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LagMetrics {
    /// A sample per partition; else only totals of each group.
    pub partitions: bool,
    /// Also under the names of kafka-lag-exporter.
    pub kafka_lag_exporter: bool,
    /// Also under the names of kafka_exporter.
    pub kafka_exporter: bool,
}

impl Default for LagMetrics {
    fn default() -> Self {
        Self { partitions: true, kafka_lag_exporter: false, kafka_exporter: false }
    }
}

impl LagMetrics {
    /// From `[metrics]`: `partitions` and the names in `compat`.
    #[must_use]
    pub fn new(partitions: bool, compat: &[String]) -> Self {
        let named = |name: &str| compat.iter().any(|c| c == name);
        Self { partitions, kafka_lag_exporter: named("kafka-lag-exporter"), kafka_exporter: named("kafka_exporter") }
    }
}
