//! What `check-config` prints: what will be read, and what may surprise. Secrets are never shown.

use std::fmt::{self, Display, Formatter};

use super::limits::changed;
use super::{ClusterKind, Config, show_duration};
use crate::model::{Format, Role, Start, StreamName, StreamSpec};

/// A configuration for people.
pub struct Summary<'a>(&'a Config);

impl Config {
    /// What will be read, for people.
    #[must_use]
    pub fn summary(&self) -> Summary<'_> {
        Summary(self)
    }
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let c = self.0;
        writeln!(f, "listen      {}", c.listen)?;
        writeln!(f, "data_dir    {}", c.data_dir.display())?;
        if !c.public_url.is_empty() {
            writeln!(f, "public_url  {}", c.public_url)?;
        }
        if let Some(file) = &c.auth.users_file {
            writeln!(f, "users_file  {}", file.display())?;
        }
        for cluster in &c.clusters {
            let servers = match cluster.kind {
                ClusterKind::Kafka => format!(" at {}", cluster.bootstrap_servers),
                ClusterKind::Embedded => " in data_dir".to_owned(),
            };
            writeln!(f, "cluster     {} ({}){servers}", cluster.name, cluster.kind.name())?;
            for (key, value) in cluster.properties.shown() {
                writeln!(f, "              {key} = {value}")?;
            }
            for stream in c.streams.iter().filter(|s| s.cluster == cluster.name) {
                writeln!(f, "  stream    {}", Line(stream))?;
            }
        }
        for flow in &c.flows {
            write!(f, "flow        {}", flow.name)?;
            if !flow.stages.is_empty() {
                write!(f, ": {}", flow.stages.join(" > "))?;
            }
            if !flow.ends_at.is_empty() {
                write!(f, "; ends at {}", flow.ends_at.join(", "))?;
            }
            if let Some(timeout) = flow.timeout {
                write!(f, "; times out after {}", show_duration(timeout))?;
            }
            for (stage, deadline) in &flow.stage_deadlines {
                write!(f, "; stuck at {stage} after {}", show_duration(*deadline))?;
            }
            writeln!(f)?;
        }
        match &c.publish {
            Some(p) => writeln!(f, "publish     POST /transactions writes to {} on {}", p.stream, p.cluster)?,
            None => writeln!(f, "publish     off: POST /transactions is refused")?,
        }
        let lag = &c.lag;
        if lag.enabled {
            let every = show_duration(lag.interval);
            writeln!(f, "lag         every {every}, at most {} groups and {} rows", lag.groups, lag.rows)?;
        } else {
            writeln!(f, "lag         off: [lag] enabled = false; groups are not watched")?;
        }
        writeln!(f, "dlq         {}", Letters(c))?;
        let detail = if c.metrics.partitions { "partition" } else { "group" };
        write!(f, "metrics     a sample per {detail}")?;
        if !c.metrics.compat.is_empty() {
            write!(f, "; also as {}", c.metrics.compat.join(", "))?;
        }
        writeln!(f)?;
        if let Some(endpoint) = &c.telemetry.otlp_endpoint {
            writeln!(f, "telemetry   OTLP to {endpoint}")?;
        }
        for (name, value) in changed(&c.limits, &c.web_limits) {
            writeln!(f, "limit       {name} = {value}")?;
        }
        for warning in &c.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

/// How dead letters are found, and who handles them.
struct Letters<'a>(&'a Config);

impl Display for Letters<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let dlq = &self.0.dlq;
        if !dlq.enabled {
            return write!(
                f,
                "off: [dlq] enabled = false; dead letters are not watched, and streams of role dlq have no depth"
            );
        }
        if dlq.patterns.is_empty() {
            write!(f, "found by role, topic configuration, name and headers")?;
        } else {
            let patterns = dlq.patterns.join(", ");
            write!(
                f,
                "found by role, topic configuration and the patterns {patterns}; not by known names and headers"
            )?;
        }
        match dlq.redrive_group.as_str() {
            "" => write!(f, "; handled by our redrive")?,
            group => write!(f, "; handled by our redrive and group {group}")?,
        }
        write!(f, "; peek {}", if dlq.peek { "on" } else { "off" })
    }
}

/// One stream on one line.
struct Line<'a>(&'a StreamSpec);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0.name {
            StreamName::Exact(name) => write!(f, "{name}")?,
            StreamName::Pattern(pattern) => write!(f, "every one that matches {pattern}")?,
        }
        let role = match self.0.role {
            Role::Events => "events",
            Role::Dlq => "dead letters",
            Role::Lag => "lag events",
        };
        let format = match &self.0.format {
            Format::Auto => "auto",
            Format::Event => "event",
            Format::CloudEvents => "cloudevents",
            Format::Mapped(_) => "mapped",
            Format::Opaque => "opaque",
        };
        write!(f, ": {role}, format {format}, ")?;
        match self.0.start {
            Start::Latest => write!(f, "from now on"),
            Start::Earliest => write!(f, "from the beginning"),
            Start::At(time) => match jiff::Timestamp::from_microsecond(time.0) {
                Ok(time) => write!(f, "from {time}"),
                Err(_) => write!(f, "from {} us", time.0),
            },
        }
    }
}
