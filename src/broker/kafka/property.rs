//! Single properties of the client library: which are ours, whether there is one of this name, and whether it takes
//! this value.

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::ffi;

/// What is wrong with a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyFault {
    /// There is none of this name; the names that there are.
    Unknown(Vec<String>),
    /// It does not take this value: the library's words, which may contain the value.
    Value(String),
}

/// Properties that only we set, and the promise that would break.
pub const OUR_PROPERTIES: [(&str, &str); 14] = [
    ("bootstrap.servers", "say bootstrap_servers of the cluster instead"),
    ("metadata.broker.list", "say bootstrap_servers of the cluster instead"),
    ("group.id", "we join no consumer group"),
    ("group.instance.id", "we join no consumer group"),
    ("group.protocol", "we join no consumer group"),
    ("enable.auto.commit", "we commit nothing to the broker"),
    ("auto.commit.enable", "we commit nothing to the broker"),
    ("enable.auto.offset.store", "we commit nothing to the broker"),
    ("auto.offset.reset", "a lost position is a gap that must be shown"),
    ("isolation.level", "aborted transactions never count"),
    ("enable.partition.eof", "the end of a log is confirmed by it"),
    ("transactional.id", "we write outside of transactions"),
    ("enable.idempotence", "what we write is written once"),
    ("acks", "only what all replicas hold is acknowledged"),
];

/// Properties without a value of their own, which the library does not list: those that reach a guarded cluster.
const UNLISTED: [&str; 20] = [
    "client.rack",
    "debug",
    "sasl.kerberos.keytab",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.password",
    "sasl.username",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
];

/// What is wrong with a property; `None`: nothing.
#[must_use]
pub fn property_fault(name: &str, value: &str) -> Option<PropertyFault> {
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
            let mut names = ffi::properties();
            names.extend(UNLISTED.map(str::to_owned));
            Some(PropertyFault::Unknown(names))
        }
        Err(KafkaError::ClientConfig(_, words, ..)) => Some(PropertyFault::Value(words)),
        Err(error) => Some(PropertyFault::Value(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_exist_comes_with_those_that_do() {
        let Some(PropertyFault::Unknown(names)) = property_fault("sasl.usernam", "x") else { panic!("it exists") };
        for known in ["sasl.username", "security.protocol", "fetch.max.bytes", "partitioner"] {
            assert!(names.iter().any(|name| name == known), "{known}");
        }
        for name in &names {
            assert!(!matches!(property_fault(name, "1"), Some(PropertyFault::Unknown(_))), "{name} exists");
        }
    }

    #[test]
    fn a_value_that_is_not_taken_is_refused_in_the_librarys_words() {
        let Some(PropertyFault::Value(words)) = property_fault("security.protocol", "TLS") else { panic!("taken") };
        assert!(words.contains("security.protocol") && words.contains("TLS"), "{words}");
        assert_eq!(property_fault("security.protocol", "sasl_ssl"), None);
    }
}
