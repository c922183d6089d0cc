//! The log on an operator's table: `doctor` and `sample`. Also beside the process that has it open: segments only grow
//! at their end, and a frame is whole or not there.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::cursor::Cursor;
use super::disk::{self, Holder};
use super::observe::raw;
use super::partition::Stream;
use super::recover::{self, Rest};
use super::{Cut, Shared};
use crate::broker::{Finding, Inspect, RawRecord};
use crate::model::{StreamName, StreamSpec};
use crate::store::StoreError;

/// The log at one moment.
pub(super) struct Inspector {
    dir: PathBuf,
    streams: BTreeMap<Arc<str>, Arc<Stream>>,
    cuts: Vec<Cut>,
    access: Access,
}

/// On what ground the log is looked at.
enum Access {
    /// We have it open, and keep it so.
    Open(#[expect(dead_code, reason = "held, never read")] Arc<Shared>),
    /// There is none.
    None,
    /// Nobody has it, and nobody opens it meanwhile.
    Free(#[expect(dead_code, reason = "held, never read")] File),
    /// Another process has it, which says this of itself.
    Beside(String),
}

impl Inspector {
    /// Looks at a log that is open.
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        let streams = shared.streams().into_iter().map(|stream| (Arc::clone(&stream.name), stream)).collect();
        Self { dir: shared.dir.clone(), streams, cuts: shared.cuts.clone(), access: Access::Open(Arc::clone(shared)) }
    }

    /// Looks at a log that is not ours, and changes nothing.
    pub(super) fn beside(dir: &Path) -> Result<Self, StoreError> {
        let (access, rest) = match disk::holder(dir)? {
            Holder::None => {
                let (streams, cuts) = Default::default();
                return Ok(Self { dir: dir.to_owned(), streams, cuts, access: Access::None });
            }
            Holder::Nobody(lock) => (Access::Free(lock), Rest::Check),
            Holder::Somebody(who) => (Access::Beside(who), Rest::Ignore),
        };
        let (streams, cuts) = recover::streams(dir, rest)?;
        Ok(Self { dir: dir.to_owned(), streams, cuts, access })
    }

    fn found(&self) -> String {
        let streams = self.streams.len();
        match &self.access {
            Access::Open(_) => format!("open, {streams} streams"),
            Access::None => "not there yet: the first start makes it".to_owned(),
            Access::Free(_) => format!("sound, {streams} streams, nobody has it open"),
            Access::Beside(who) if who.is_empty() => format!("a running server holds it, {streams} streams"),
            Access::Beside(who) => format!("a running server holds it ({who}), {streams} streams"),
        }
    }
}

impl Inspect for Inspector {
    fn doctor(&self, streams: &[StreamSpec], _deadline: Duration) -> Vec<Finding> {
        let fine = |what, detail| Finding { what, ok: Some(true), detail, mend: String::new() };
        let mut findings = vec![fine(format!("embedded log {}", self.dir.display()), self.found())];
        let verb = if matches!(self.access, Access::Open(_)) { "were" } else { "will be" };
        findings.extend(self.cuts.iter().map(|cut| {
            let detail = format!("{} bytes of a torn tail {verb} cut off; nothing acknowledged was lost", cut.bytes);
            fine(cut.path.display().to_string(), detail)
        }));
        let names = streams.iter().filter_map(|spec| match &spec.name {
            StreamName::Exact(name) => Some(name),
            StreamName::Pattern(_) => None,
        });
        findings.extend(names.map(|name| self.stream(name)));
        findings
    }

    fn sample(&self, stream: &str, count: usize, _deadline: Duration) -> Result<Vec<RawRecord>, String> {
        let found = self.streams.get(stream).ok_or_else(|| {
            let names: Vec<_> = self.streams.keys().map(|name| &**name).collect();
            format!("the embedded log has no stream {stream:?}; it has: {}", names.join(", "))
        })?;
        let mut records = Vec::new();
        for partition in &found.partitions {
            let (start, end) = {
                let view = partition.view();
                (view.log_start(), view.end)
            };
            let mut cursor = Cursor::new(Arc::clone(partition), end.saturating_sub(count as u64).max(start));
            while let Some(record) = cursor.record().map_err(|stuck| stuck.to_string())? {
                records.push(raw(stream, partition.number, &record));
            }
        }
        records.sort_by_key(|r| (r.record_time, r.at.1, r.at.2));
        Ok(records.split_off(records.len().saturating_sub(count)))
    }
}

impl Inspector {
    fn stream(&self, name: &str) -> Finding {
        let what = format!("stream {name}");
        let Some(stream) = self.streams.get(name) else {
            let detail = "not there yet".into();
            return Finding { what, ok: None, detail, mend: "it is made by its first event".into() };
        };
        let records: u64 = stream
            .partitions
            .iter()
            .map(|p| {
                let view = p.view();
                view.end - view.log_start()
            })
            .sum();
        let detail = format!("{} partitions, {records} records kept", stream.partitions.len());
        Finding { what, ok: Some(true), detail, mend: String::new() }
    }
}
