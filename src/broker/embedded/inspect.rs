//! The log on an operator's table: `doctor` and `sample`.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::cursor::Cursor;
use super::observe::raw;
use crate::broker::{Finding, Inspect, RawRecord};
use crate::model::{StreamName, StreamSpec};

/// Looks at the log.
pub(super) struct Inspector(pub(super) Arc<Shared>);

impl Inspect for Inspector {
    fn doctor(&self, streams: &[StreamSpec], _deadline: Duration) -> Vec<Finding> {
        let dir = self.0.dir.display();
        let mut findings = vec![Finding {
            what: format!("embedded log {dir}"),
            ok: Some(true),
            detail: format!("open, {} streams", self.0.count()),
            mend: String::new(),
        }];
        findings.extend(self.0.cuts.iter().map(|cut| Finding {
            what: format!("{}", cut.path.display()),
            ok: Some(true),
            detail: format!("{} bytes of a torn tail were cut off; nothing acknowledged was lost", cut.bytes),
            mend: String::new(),
        }));
        let names = streams.iter().filter_map(|spec| match &spec.name {
            StreamName::Exact(name) => Some(name),
            StreamName::Pattern(_) => None,
        });
        findings.extend(names.map(|name| self.stream(name)));
        findings
    }

    fn sample(&self, stream: &str, count: usize, _deadline: Duration) -> Result<Vec<RawRecord>, String> {
        let found = self.0.stream(stream).ok_or_else(|| {
            let names: Vec<_> = self.0.streams().iter().map(|s| s.name.to_string()).collect();
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
        let Some(stream) = self.0.stream(name) else {
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
