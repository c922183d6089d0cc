//! Whether what feeds a number can be read now. What cannot is frozen: its numbers are those of an earlier time.

use crate::snapshot::{FlowView, SourceView, StreamView};
use crate::web::page::kit::Kit;

/// How much of what feeds a number can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everything that there is.
    All,
    /// All but so many partitions: the number is a part of the truth.
    Without(usize),
    /// None of its partitions: the number is frozen.
    Nothing,
}

/// True where its broker says so, or nobody answers for its whole cluster.
pub fn is_cut_off(kit: &Kit, source: &SourceView) -> bool {
    source.state == "unreachable" || (source.state != "gone" && is_down(kit, &source.key.cluster))
}

/// True where a cluster is known not to answer.
pub fn is_down(kit: &Kit, cluster: &str) -> bool {
    kit.cx.status.clusters.iter().any(|c| c.0 == cluster && c.2.up == Some(false))
}

fn reach(kit: &Kit, feeds: impl Fn(&SourceView) -> bool) -> Reach {
    if !kit.any_cut_off {
        return Reach::All; // the usual case costs no look at hundreds of partitions
    }
    let (mut all, mut off) = (0, 0);
    for source in kit.cx.snapshot.sources.iter().filter(|s| s.state != "gone" && feeds(s)) {
        all += 1;
        off += usize::from(is_cut_off(kit, source));
    }
    match off {
        0 => Reach::All,
        _ if off == all => Reach::Nothing,
        n => Reach::Without(n),
    }
}

/// Of the partitions that feed a flow.
pub fn flow_reach(kit: &Kit, flow: &FlowView) -> Reach {
    reach(kit, |s| flow.is_fed_by(&s.key))
}

/// Of the partitions of a stream.
pub fn stream_reach(kit: &Kit, stream: &StreamView) -> Reach {
    reach(kit, |s| *s.key.cluster == *stream.cluster && *s.key.stream == *stream.stream)
}

/// Partitions that a flow's numbers lack: those that the engine left out, and those that cannot be read since just now.
pub fn lacking(kit: &Kit, flow: &FlowView) -> usize {
    let off = if let Reach::Without(n) = flow_reach(kit, flow) { n } else { 0 };
    off.max(flow.left_out.len())
}
