//! Messages of a queue, as bytes; destroyed together.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr;

use rdkafka::bindings as rd;

use super::{Fault, Queue, is_ok, text};

/// Space for pointers to messages, used again and again.
pub(in super::super) struct Room(pub(super) Vec<*mut rd::rd_kafka_message_t>);

impl Room {
    pub(in super::super) fn new(messages: usize) -> Self {
        Self(vec![ptr::null_mut(); messages])
    }
}

/// Messages of one queue, destroyed together.
pub(in super::super) struct Messages<'q> {
    taken: &'q mut [*mut rd::rd_kafka_message_t],
    queue: PhantomData<&'q Queue>,
}

impl<'q> Messages<'q> {
    /// Takes over the first `count` messages of the room, which `Queue::take` has just filled.
    pub(super) fn own(room: &'q mut Room, count: usize) -> Self {
        Self { taken: &mut room.0[..count], queue: PhantomData }
    }
}

impl Messages<'_> {
    pub(in super::super) fn len(&self) -> usize {
        self.taken.len()
    }

    pub(in super::super) fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        // SAFETY: librdkafka filled these pointers; they are destroyed in Drop, after every borrow of `self`.
        self.taken.iter().map(|m| Message(unsafe { &**m }))
    }
}

impl Drop for Messages<'_> {
    fn drop(&mut self) {
        for message in &*self.taken {
            // SAFETY: taken from the queue by us and destroyed once; their client outlives the queue.
            unsafe { rd::rd_kafka_message_destroy(*message) };
        }
    }
}

/// One message, or an error of its partition.
#[derive(Clone, Copy)]
pub(in super::super) struct Message<'m>(&'m rd::rd_kafka_message_t);

/// Name and value of a header, as the bytes they are.
pub(in super::super) type Header<'m> = (&'m [u8], Option<&'m [u8]>);

impl<'m> Message<'m> {
    pub(in super::super) fn fault(self) -> Option<Fault> {
        let mut fault = Fault::of(self.0.err)?;
        // SAFETY: a live message; the text lives as long.
        let words = unsafe { text(rd::rd_kafka_message_errstr(self.0)) };
        if !words.is_empty() {
            fault.words = words;
        }
        Some(fault)
    }

    /// Position; negative where an error has none.
    pub(in super::super) fn offset(self) -> i64 {
        self.0.offset
    }

    pub(in super::super) fn key(self) -> Option<&'m [u8]> {
        // SAFETY: key and length belong together and live as long as the message.
        (!self.0.key.is_null()).then(|| unsafe { std::slice::from_raw_parts(self.0.key.cast(), self.0.key_len) })
    }

    pub(in super::super) fn payload(self) -> Option<&'m [u8]> {
        // SAFETY: payload and length belong together and live as long as the message.
        (!self.0.payload.is_null()).then(|| unsafe { std::slice::from_raw_parts(self.0.payload.cast(), self.0.len) })
    }

    /// Record time in ms; `None` where the log wrote none.
    pub(in super::super) fn millis(self) -> Option<i64> {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: a live message; `kind` lives through the call.
        let millis = unsafe { rd::rd_kafka_message_timestamp(self.0, &mut kind) };
        (millis >= 0 && kind != rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE).then_some(millis)
    }

    pub(in super::super) fn leader_epoch(self) -> i32 {
        // SAFETY: a live message.
        unsafe { rd::rd_kafka_message_leader_epoch(self.0) }
    }

    /// Appends at most `most` headers to `into`.
    pub(in super::super) fn headers(self, most: usize, into: &mut Vec<Header<'m>>) {
        let mut headers = ptr::null_mut();
        // SAFETY: a live message; the headers stay the message's and live as long; name and value point into them.
        unsafe {
            if !is_ok(rd::rd_kafka_message_headers(self.0, &mut headers)) {
                return;
            }
            for index in 0..most {
                let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
                if !is_ok(rd::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size)) {
                    return;
                }
                let value = (!value.is_null()).then(|| std::slice::from_raw_parts(value.cast(), size));
                into.push((CStr::from_ptr(name).to_bytes(), value));
            }
        }
    }
}
