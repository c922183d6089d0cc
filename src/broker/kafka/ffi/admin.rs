//! Questions about groups, and where logs stand for readers of every kind.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as rd;

use super::{Client, Fault, List, Options, Queue, handle};

/// What of a topic's configuration matters to us: only that is asked for.
const KEYS: [&CStr; 6] = [
    c"message.timestamp.type",
    c"cleanup.policy",
    c"retention.ms",
    c"retention.bytes",
    c"errors.deadletterqueue.group.enable",
    c"max.message.bytes",
];

impl Queue {
    /// The client that answers.
    pub(in super::super) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks where partitions stand: `(topic, partition, what)`, what = [`BEGIN`](super::BEGIN), [`END`](super::END)
    /// or a time in ms. The end is the last stable one where `committed`, else the high watermark.
    pub(super) fn list_offsets(&self, of: &[(Arc<CStr>, i32, i64)], committed: bool, timeout: Duration, token: usize) {
        use rd::rd_kafka_IsolationLevel_t as Level;
        let level = if committed {
            Level::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
        } else {
            Level::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
        };
        let options = Options::new(self, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout, token);
        let list = List::new(of.iter().map(|(topic, partition, what)| (&**topic, *partition, *what, -1)));
        // SAFETY: list and options live through the calls, which copy them; an error object becomes ours.
        unsafe {
            Fault::owned(rd::rd_kafka_AdminOptions_set_isolation_level(options.0, level));
            rd::rd_kafka_ListOffsets(handle(&self.client), list.0, options.0, self.queue);
        }
    }

    /// Asks where logs end for readers that wait for no transaction: the high watermark.
    pub(in super::super) fn ask_high(&self, of: &[(Arc<CStr>, i32, i64)], timeout: Duration, token: usize) {
        self.list_offsets(of, false, timeout, token);
    }

    /// Asks every broker for its groups.
    pub(in super::super) fn ask_groups(&self, timeout: Duration, token: usize) {
        let options = Options::new(self, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, timeout, token);
        // SAFETY: client, options and queue live through the call, which copies the options.
        unsafe { rd::rd_kafka_ListConsumerGroups(handle(&self.client), options.0, self.queue) };
    }

    /// Asks who is in these groups; no name twice. `rights`: also what we may do in their name.
    pub(in super::super) fn ask_members(&self, groups: &[Arc<CStr>], rights: bool, timeout: Duration, token: usize) {
        let options =
            Options::new(self, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, timeout, token);
        let mut names: Vec<*const c_char> = groups.iter().map(|n| n.as_ptr()).collect();
        // SAFETY: names and options live through the call, which copies them; an error object becomes ours.
        unsafe {
            Fault::owned(rd::rd_kafka_AdminOptions_set_include_authorized_operations(options.0, i32::from(rights)));
            rd::rd_kafka_DescribeConsumerGroups(
                handle(&self.client),
                names.as_mut_ptr(),
                names.len(),
                options.0,
                self.queue,
            );
        }
    }

    /// Asks for all committed positions of one group.
    pub(in super::super) fn ask_committed(&self, group: &CStr, timeout: Duration, token: usize) {
        let options =
            Options::new(self, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, timeout, token);
        // SAFETY: the name lives through `new`, which copies it; NULL asks for all partitions; the request lives
        // through the call, which copies it, and is destroyed once.
        unsafe {
            let mut of = rd::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), ptr::null());
            rd::rd_kafka_ListConsumerGroupOffsets(handle(&self.client), &mut of, 1, options.0, self.queue);
            rd::rd_kafka_ListConsumerGroupOffsets_destroy(of);
        }
    }

    /// Asks how topics are configured, as far as it matters to us.
    pub(in super::super) fn ask_configs(&self, names: &[Arc<CStr>], timeout: Duration, token: usize) {
        let options = Options::new(self, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout, token);
        let kind = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        // SAFETY: resources are made, handed in (copied) and destroyed here, each once; names and keys live through
        // the calls, which copy them.
        unsafe {
            let mut of: Vec<_> = names.iter().map(|n| rd::rd_kafka_ConfigResource_new(kind, n.as_ptr())).collect();
            for resource in &of {
                for key in KEYS {
                    rd::rd_kafka_ConfigResource_set_config(*resource, key.as_ptr(), c"".as_ptr());
                }
            }
            rd::rd_kafka_DescribeConfigs(handle(&self.client), of.as_mut_ptr(), of.len(), options.0, self.queue);
            rd::rd_kafka_ConfigResource_destroy_array(of.as_mut_ptr(), of.len());
        }
    }
}
