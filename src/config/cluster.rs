//! `[[cluster]]`: installations of brokers.

use super::problem::nearest;
use super::read::Table;
use super::redact::Properties;
use super::units::{SERVERS_FORM, is_servers};
use crate::broker::kafka::{OUR_PROPERTIES, PropertyFault, property_fault};

/// Most clusters of one process: each has threads of its own.
pub const CLUSTERS_MAX: usize = 32;

/// Kind of broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterKind {
    /// Apache Kafka and what speaks its protocol.
    Kafka,
    /// Our own log in the data directory.
    Embedded,
}

impl ClusterKind {
    /// The word in the configuration, on pages and in labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Embedded => "embedded",
        }
    }
}

/// One `[[cluster]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Name in our configuration, on pages and in labels.
    pub name: String,
    /// Kind of broker.
    pub kind: ClusterKind,
    /// `host:port`, several separated by commas. Empty for `embedded`.
    pub bootstrap_servers: String,
    /// Passed to librdkafka as they are.
    pub properties: Properties,
}

impl ClusterConfig {
    /// The embedded log.
    #[must_use]
    pub fn embedded(name: &str) -> Self {
        Self {
            name: name.into(),
            kind: ClusterKind::Embedded,
            bootstrap_servers: String::new(),
            properties: Properties::default(),
        }
    }

    /// A Kafka without further properties.
    #[must_use]
    pub fn kafka(name: &str, servers: &str) -> Self {
        Self { kind: ClusterKind::Kafka, bootstrap_servers: servers.into(), ..Self::embedded(name) }
    }
}

/// What names look like, for messages.
const NAME_FORM: &str = "1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit";

/// True for names of clusters: they are labels and folder names.
fn is_name(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// A kind as written; those of later versions are known so that the message can say so.
#[derive(Clone)]
enum Written {
    Now(ClusterKind),
    Later,
}

/// Reads every `[[cluster]]`.
pub(super) fn read_clusters(root: &Table<'_>) -> Vec<ClusterConfig> {
    let tables = root.tables("cluster");
    if tables.len() > CLUSTERS_MAX {
        root.refuse("cluster", format!("{} clusters are too many", tables.len()), format!("at most {CLUSTERS_MAX}"));
    }
    let mut clusters: Vec<ClusterConfig> = Vec::new();
    for table in tables {
        let cluster = read_cluster(&table);
        if !cluster.name.is_empty() && clusters.iter().any(|c| c.name == cluster.name) {
            table.refuse("name", "another [[cluster]] has this name", "");
        }
        if cluster.kind == ClusterKind::Embedded && clusters.iter().any(|c| c.kind == ClusterKind::Embedded) {
            table.refuse("kind", "there is one embedded log per data directory, and another [[cluster]] is it", "");
        }
        table.finish();
        clusters.push(cluster);
    }
    clusters
}

fn read_cluster(table: &Table<'_>) -> ClusterConfig {
    let name = table.required("name", NAME_FORM).map(|t| t.text).unwrap_or_default();
    if !name.is_empty() && !is_name(&name) {
        table.refuse("name", "not a name", NAME_FORM);
    }
    let kinds = [
        ("kafka", Written::Now(ClusterKind::Kafka)),
        ("embedded", Written::Now(ClusterKind::Embedded)),
        ("redis", Written::Later),
        ("nats", Written::Later),
    ];
    let kind = match table.choice("kind", &kinds) {
        Some(Written::Now(kind)) => Some(kind),
        Some(Written::Later) => {
            table.refuse("kind", "not in this version", "kafka embedded");
            // Its keys are those of that kind: no further complaints about them.
            let _ = (table.text("url"), table.text("bootstrap_servers"), table.table("properties").entries(true));
            return ClusterConfig::embedded(&name);
        }
        None => {
            if !table.has("kind") {
                table.refuse("kind", "is missing", "kafka embedded");
            }
            None
        }
    };
    let mut cluster = ClusterConfig { kind: kind.unwrap_or(ClusterKind::Kafka), ..ClusterConfig::embedded(&name) };
    if kind == Some(ClusterKind::Embedded) {
        for key in ["bootstrap_servers", "properties"] {
            if table.has(key) {
                table.refuse(key, "the embedded log has no servers: it lies in data_dir", "");
            }
        }
        let _ = (table.text("bootstrap_servers"), table.table("properties"));
        return cluster;
    }
    let servers = match kind {
        Some(_) => table.required("bootstrap_servers", SERVERS_FORM),
        None => table.text("bootstrap_servers"),
    };
    if let Some(servers) = servers {
        if !is_servers(&servers.text) {
            table.refuse("bootstrap_servers", "not an address", SERVERS_FORM);
        }
        cluster.bootstrap_servers = servers.text;
    }
    let properties = table.table("properties");
    for (key, value) in properties.entries(true) {
        if let Some((_, why)) = OUR_PROPERTIES.iter().find(|(ours, _)| *ours == key) {
            properties.refuse(&key, format!("cannot be set: {why}"), "");
        }
        let fault = property_fault(&key, &value.text);
        cluster.properties.push(key.clone(), value.text, value.foreign);
        match fault {
            None => {}
            Some(PropertyFault::Value(words)) => properties.refuse(&key, cluster.properties.redact(&words), ""),
            Some(PropertyFault::Unknown(names)) => {
                let allowed = names.iter().map(String::as_str).filter(|n| OUR_PROPERTIES.iter().all(|(of, _)| of != n));
                let near = nearest(&key, allowed);
                let hint = near.map_or(String::new(), |near| format!(", did you mean \"{near}\"?"));
                // What is said under a name that nobody knows may be a secret.
                properties.refuse_key(&key, format!("librdkafka has no such property{hint}"), true);
            }
        }
    }
    cluster
}
