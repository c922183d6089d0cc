//! The only unsafe code of the crate: what librdkafka can do and rdkafka does not wrap.
//!
//! Batches of messages from partition queues, headers as bytes (rdkafka panics on a header name
//! that is not UTF-8), and admin questions: where logs begin and end, what a topic is, how it is
//! configured, which groups there are, who is in them, what they committed. Everything is owned: a
//! queue keeps its client alive, messages and answers are destroyed when dropped, and no pointer
//! leaves this folder.
//!
//! Run under valgrind 3.19 (memcheck, all leaks) against Apache Kafka 4.3.0, release build: two surveys of 4,000 groups
//! with 160,000 committed positions on 16,000 partitions (`examples/lag_scale.rs`), 9.4 million allocations: no
//! invalid access, no use of uninitialised memory; all freed but 216 bytes of rdkafka's own per client.
#![allow(unsafe_code, reason = "librdkafka's C interface; every block says why it is sound")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
pub(super) use rdkafka::error::RDKafkaErrorCode as Code;

mod admin;
mod answer;
mod group;
mod message;
mod properties;

use super::client::Events;
pub(super) use answer::{Answer, ConfigOf, ConfigsOf, May, OffsetOf, TopicFound, TopicOf};
pub(super) use group::{CommittedOf, MembersOf};
pub(super) use message::{Header, Message, Messages, Room};
pub(super) use properties::properties;

/// Asks for the first position of a log.
pub(super) const BEGIN: i64 = -2;
/// Asks for the last stable end of a log.
pub(super) const END: i64 = -1;

/// A client that lives as long as anybody needs it.
pub(super) type Client = Arc<BaseConsumer<Events>>;
type Wake = Box<dyn Fn() + Send + Sync>;

fn handle(client: &Client) -> *mut rd::rd_kafka_t {
    client.client().native_ptr()
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// The text of a C string that librdkafka owns; empty for NULL.
///
/// # Safety
/// `text` is NULL or a NUL-terminated string that lives through the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not NULL, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// What librdkafka or the broker said instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub code: Code,
    pub words: String,
}

fn is_ok(code: rd::rd_kafka_resp_err_t) -> bool {
    code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

impl Fault {
    fn of(code: rd::rd_kafka_resp_err_t) -> Option<Self> {
        if is_ok(code) {
            return None;
        }
        // SAFETY: err2str returns a static string for every code.
        let words = unsafe { text(rd::rd_kafka_err2str(code)) };
        Some(Self { code: Code::from(code), words })
    }

    /// Copies an error object; NULL and "no error" are none.
    ///
    /// # Safety
    /// `error` is NULL or lives through the call.
    unsafe fn borrowed(error: *const rd::rd_kafka_error_t) -> Option<Self> {
        if error.is_null() {
            return None;
        }
        // SAFETY: live and not NULL.
        unsafe {
            let mut fault = Self::of(rd::rd_kafka_error_code(error))?;
            fault.words = text(rd::rd_kafka_error_string(error));
            Some(fault)
        }
    }

    /// Takes over and destroys an error object; NULL is none.
    ///
    /// # Safety
    /// `error` is NULL or an owned error that nobody else destroys.
    unsafe fn owned(error: *mut rd::rd_kafka_error_t) -> Option<Self> {
        if error.is_null() {
            return None;
        }
        // SAFETY: owned and not NULL; read before it is destroyed, destroyed once.
        unsafe {
            let fault =
                Self { code: rd::rd_kafka_error_code(error).into(), words: text(rd::rd_kafka_error_string(error)) };
            rd::rd_kafka_error_destroy(error);
            Some(fault)
        }
    }
}

/// A queue of one partition, or of answers to admin questions.
pub(super) struct Queue {
    queue: *mut rd::rd_kafka_queue_t,
    /// Boxed twice so that its address stays where librdkafka was told.
    wake: Box<Wake>,
    client: Client,
}

// SAFETY: librdkafka's queues may be used from any thread; the wake function is Send + Sync.
unsafe impl Send for Queue {}

unsafe extern "C" fn wake_up(_: *mut rd::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: the opaque is the `wake` of a live `Queue`: the callback is taken off before it is freed.
    let wake = unsafe { &*opaque.cast::<Wake>() };
    wake();
}

impl Queue {
    /// The queue of one partition, taken out of the consumer's common queue. `wake` is called from a
    /// thread of librdkafka's whenever the empty queue receives something.
    pub(super) fn of_partition(client: &Client, topic: &CStr, partition: i32, wake: Wake) -> Option<Self> {
        // SAFETY: the client is alive; the topic name lives through the call; the queue is ours to destroy.
        let queue = unsafe { rd::rd_kafka_queue_get_partition(handle(client), topic.as_ptr(), partition) };
        if queue.is_null() {
            return None;
        }
        // SAFETY: a live queue; NULL takes it out of the common queue.
        unsafe { rd::rd_kafka_queue_forward(queue, ptr::null_mut()) };
        Some(Self::own(client, queue, wake))
    }

    /// A new queue for answers.
    pub(super) fn of_answers(client: &Client, wake: Wake) -> Self {
        // SAFETY: the client is alive; a new queue is ours to destroy.
        Self::own(client, unsafe { rd::rd_kafka_queue_new(handle(client)) }, wake)
    }

    fn own(client: &Client, queue: *mut rd::rd_kafka_queue_t, wake: Wake) -> Self {
        let wake = Box::new(wake);
        // SAFETY: a live queue; the boxed function outlives the registration (see Drop).
        unsafe {
            rd::rd_kafka_queue_cb_event_enable(queue, Some(wake_up), ptr::from_ref::<Wake>(&wake).cast_mut().cast());
        }
        Self { queue, wake, client: Arc::clone(client) }
    }

    /// Takes at most `room`'s size of messages, without waiting.
    pub(super) fn take<'q>(&'q self, room: &'q mut Room) -> Messages<'q> {
        // SAFETY: a live queue of this client; `room` has space for as many pointers as we say.
        let count = unsafe { rd::rd_kafka_consume_batch_queue(self.queue, 0, room.0.as_mut_ptr(), room.0.len()) };
        let count = usize::try_from(count).unwrap_or(0);
        Messages::own(room, count)
    }

    /// The next answer, waiting at most `timeout`.
    pub(super) fn answer(&self, timeout: Duration) -> Option<(usize, Answer)> {
        // SAFETY: a live queue; the event is ours and destroyed below, after all was copied out of it.
        unsafe {
            let event = rd::rd_kafka_queue_poll(self.queue, millis(timeout));
            if event.is_null() {
                return None;
            }
            let answer = answer::read(event);
            let token = rd::rd_kafka_event_opaque(event) as usize;
            rd::rd_kafka_event_destroy(event);
            answer.map(|answer| (token, answer))
        }
    }

    /// Asks where partitions stand for readers of committed records: `(topic, partition, what)`,
    /// what = [`BEGIN`], [`END`] or a time in ms.
    pub(super) fn ask_offsets(&self, of: &[(Arc<CStr>, i32, i64)], timeout: Duration, token: usize) {
        self.list_offsets(of, true, timeout, token);
    }

    /// Asks what topics are; `rights`: also what we may do with them.
    pub(super) fn ask_topics(&self, names: &[Arc<CStr>], rights: bool, timeout: Duration, token: usize) {
        let options = Options::new(self, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, timeout, token);
        let mut pointers: Vec<*const c_char> = names.iter().map(|n| n.as_ptr()).collect();
        // SAFETY: names and options live through the call, which copies them; the collection is destroyed once.
        unsafe {
            Fault::owned(rd::rd_kafka_AdminOptions_set_include_authorized_operations(options.0, i32::from(rights)));
            let topics = rd::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            rd::rd_kafka_DescribeTopics(handle(&self.client), topics, options.0, self.queue);
            rd::rd_kafka_TopicCollection_destroy(topics);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: taking the callback off holds the queue's lock, under which it is called: afterwards nobody
        // uses `wake`. The queue is ours and destroyed once, before the client (a later field of ours).
        unsafe {
            rd::rd_kafka_queue_cb_event_enable(self.queue, None, ptr::null_mut());
            rd::rd_kafka_queue_destroy(self.queue);
        }
        let _freed_after_the_queue = &self.wake;
    }
}

struct Options(*mut rd::rd_kafka_AdminOptions_t);

impl Options {
    fn new(queue: &Queue, of: rd::rd_kafka_admin_op_t, timeout: Duration, token: usize) -> Self {
        // SAFETY: the client is alive; the opaque is a number to us and never followed; no error text is asked for.
        unsafe {
            let options = rd::rd_kafka_AdminOptions_new(handle(&queue.client), of);
            rd::rd_kafka_AdminOptions_set_request_timeout(options, millis(timeout), ptr::null_mut(), 0);
            rd::rd_kafka_AdminOptions_set_opaque(options, token as *mut c_void);
            Self(options)
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once.
        unsafe { rd::rd_kafka_AdminOptions_destroy(self.0) };
    }
}

struct List(*mut rd::rd_kafka_topic_partition_list_t);

impl List {
    /// Topic, partition, offset, leader epoch (-1 unknown).
    fn new<'n>(of: impl ExactSizeIterator<Item = (&'n CStr, i32, i64, i32)>) -> Self {
        let size = i32::try_from(of.len()).unwrap_or(i32::MAX);
        // SAFETY: a new list that we own; elements are written right after they were added, before the next add moves them.
        unsafe {
            let list = rd::rd_kafka_topic_partition_list_new(size);
            for (topic, partition, offset, epoch) in of {
                let element = rd::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), partition);
                (*element).offset = offset;
                if epoch >= 0 {
                    rd::rd_kafka_topic_partition_set_leader_epoch(element, epoch);
                }
            }
            Self(list)
        }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once.
        unsafe { rd::rd_kafka_topic_partition_list_destroy(self.0) };
    }
}

/// Begins to fetch partitions: topic, partition, position, leader epoch (-1 unknown). Others go on untouched.
pub(super) fn assign(client: &Client, of: &[(Arc<CStr>, i32, i64, i32)]) -> Result<(), Fault> {
    let list = List::new(of.iter().map(|(topic, partition, next, epoch)| (&**topic, *partition, *next, *epoch)));
    // SAFETY: client and list live through the call, which copies the list; the error is ours.
    unsafe { Fault::owned(rd::rd_kafka_incremental_assign(handle(client), list.0)) }.map_or(Ok(()), Err)
}

/// Goes to positions, each compared with its leader's epochs first: topic, partition, position, leader epoch. Waits
/// for nothing: a position that the log does not have is an error of the partition's queue.
pub(super) fn seek(client: &Client, of: &[(Arc<CStr>, i32, i64, i32)]) -> Result<(), Fault> {
    let list = List::new(of.iter().map(|(topic, partition, next, epoch)| (&**topic, *partition, *next, *epoch)));
    // SAFETY: client and list live through the call, which without a timeout keeps nothing of the list; the error is ours.
    unsafe { Fault::owned(rd::rd_kafka_seek_partitions(handle(client), list.0, 0)) }.map_or(Ok(()), Err)
}

/// Ends fetching of partitions.
pub(super) fn unassign(client: &Client, of: &[(Arc<CStr>, i32)]) -> Result<(), Fault> {
    let list = List::new(of.iter().map(|(topic, partition)| (&**topic, *partition, 0, -1)));
    // SAFETY: as in `assign`.
    unsafe { Fault::owned(rd::rd_kafka_incremental_unassign(handle(client), list.0)) }.map_or(Ok(()), Err)
}

/// First position and high watermark as of the newest fetch response; from memory, no request. `None`: none yet.
pub(super) fn watermarks(client: &Client, topic: &CStr, partition: i32) -> Option<(u64, u64)> {
    let (mut low, mut high) = (-1, -1);
    // SAFETY: client, topic and both numbers live through the call.
    let code =
        unsafe { rd::rd_kafka_get_watermark_offsets(handle(client), topic.as_ptr(), partition, &mut low, &mut high) };
    is_ok(code).then_some(())?;
    Some((u64::try_from(low).ok()?, u64::try_from(high).ok()?))
}
