//! Verdicts for people: what state a flow or a source is in, and what needs attention, worst first.
//!
//! Pure functions of one snapshot. Every verdict carries its method or its reason. Thresholds are named here.

mod attention;
mod flow;
mod reach;
mod source;

pub use attention::{Item, attention};
pub use flow::{failed_share, flow_state, is_live, ok_latency, slower, window};
pub use reach::{Reach, flow_reach, is_cut_off, is_down, lacking, stream_reach};
pub use source::{Behind, SOURCE_STATES, behind, cluster_state, furthest, not_read_yet, source_kind, source_state};

/// From this share of transactions not ended `ok` on, it is bad, and never fine whatever was usual.
pub const SHARE_BAD: f64 = 0.10;
/// From this share on, it is worth a look where it is more than usual; and bad where it is three times the usual.
pub const SHARE_WARN: f64 = 0.05;
/// Below this share nothing is said, however quiet the hour before was.
pub const SHARE_FLOOR: f64 = 0.01;
/// Against the hour: a third more is noise, three times is an incident.
pub const TIMES_USUAL: f64 = 3.0;
/// Against the hour, which holds the minute itself: half as much again is more than noise.
pub const TIMES_MORE: f64 = 1.5;
/// A share or a percentile of fewer transactions says little.
pub const ENOUGH: u64 = 20;
/// At the tail a watermark is some 2 s old; older than this it is behind.
pub const BEHIND_WARN_SECONDS: f64 = 15.0;
/// Older than this nobody should call it live.
pub const BEHIND_BAD_SECONDS: f64 = 60.0;
/// How long an undecodable record stays news.
pub const DECODE_NEWS_SECONDS: f64 = 900.0;
/// Clock offsets up to this are usual between machines.
pub const CLOCK_OFFSET_SECONDS: f64 = 2.0;
