//! The names of the library's properties.

use rdkafka::bindings as rd;

use super::answer::slice;
use super::text;

/// Names of all properties that have a value without being set: of clients, then of topics.
pub(in super::super) fn properties() -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: both configurations are ours and destroyed once. A dump is an array of `count` texts, name and value in
    // turns; the names are never NULL and copied before the dump is freed.
    unsafe {
        let mut take = |dump: *mut *const std::ffi::c_char, count: usize| {
            names.extend(slice(dump.cast_const(), count).iter().step_by(2).map(|name| text(*name)));
            rd::rd_kafka_conf_dump_free(dump, count);
        };
        let mut count = 0;
        let of_clients = rd::rd_kafka_conf_new();
        take(rd::rd_kafka_conf_dump(of_clients, &mut count), count);
        rd::rd_kafka_conf_destroy(of_clients);
        let of_topics = rd::rd_kafka_topic_conf_new();
        take(rd::rd_kafka_topic_conf_dump(of_topics, &mut count), count);
        rd::rd_kafka_topic_conf_destroy(of_topics);
    }
    names
}
