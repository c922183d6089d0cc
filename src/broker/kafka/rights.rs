//! `doctor`: the rights that groups, lag and redrives need. Only asks: nothing is opened, joined or appended to try.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::time::Instant;

use rdkafka::consumer::Consumer as _;

use super::ffi::{Answer, Client, Code, Fault, May, Queue, TopicOf};
use super::inspect::{KafkaInspect, finding, left};
use crate::broker::{Finding, Wants};
use crate::dlq::OWN_PREFIX;

/// A name that no group has: who may look at it may look at every group.
const NO_GROUP: &CStr = c"streamgauge.doctor.asks.for.a.group.that.nobody.has";
/// The topic of committed positions.
const OFFSETS: &str = "__consumer_offsets";
/// Topics looked at for the right to read records, at most: a sample tells of a missing right as well.
const TOPICS: usize = 1_000;
/// Topics in one question.
const CHUNK: usize = 250;
/// Names in one command.
const NAMED: usize = 10;
/// How the names of our redrives begin, as groups and as transactional ids.
const REDRIVES: &str = "streamgauge.redrive.";

/// A client with its queue of answers, and until when it is waited for.
struct Asking {
    client: Client,
    queue: Queue,
    until: Instant,
}

impl Asking {
    fn answer(&self) -> Option<Answer> {
        self.queue.answer(left(self.until)).map(|(_, answer)| answer)
    }

    /// What we may do with topics.
    fn topics(&self, names: impl IntoIterator<Item = String>) -> Result<Vec<TopicOf>, String> {
        let names: Vec<Arc<CStr>> =
            names.into_iter().filter_map(|name| Some(CString::new(name).ok()?.into())).collect();
        let mut all = Vec::new();
        for chunk in names.chunks(CHUNK) {
            self.queue.ask_topics(chunk, true, left(self.until), 0);
            match self.answer() {
                Some(Answer::Topics(Ok(topics))) => all.extend(topics),
                Some(Answer::Topics(Err(fault))) => return Err(fault.words),
                _ => return Err("no answer in time".to_owned()),
            }
        }
        Ok(all)
    }
}

impl KafkaInspect {
    pub(super) fn examine_rights(&self, wants: &Wants, until: Instant, say: &mut dyn FnMut(Finding)) {
        // Without a client `doctor` has said why.
        let Ok((client, queue)) = self.open(1) else { return };
        let asking = Asking { client, queue, until };
        if wants.groups {
            say(self.groups(&asking));
        }
        if wants.offsets_topic {
            say(self.offsets_topic(&asking));
        }
        if wants.records {
            say(self.records(&asking));
        }
        if !wants.redrive.is_empty() {
            self.redrives(wants, &asking, say);
        }
    }

    fn groups(&self, asking: &Asking) -> Finding {
        let what = "groups: right to describe";
        asking.queue.ask_groups(left(asking.until), 0);
        let listed = match asking.answer() {
            Some(Answer::Groups(Ok(of))) => of.groups.len(),
            Some(Answer::Groups(Err(fault))) => return finding(what, None, fault.words, ""),
            _ => return finding(what, None, "no answer in time", ""),
        };
        asking.queue.ask_committed(NO_GROUP, left(asking.until), 0);
        let mend = || self.grant_on("--group '*'", &["Describe"]);
        match asking.answer() {
            Some(Answer::Committed(Ok(_))) => finding(what, Some(true), format!("{listed} groups, all are shown"), ""),
            Some(Answer::Committed(Err(Fault { code: Code::GroupAuthorizationFailed, .. }))) => match listed {
                0 => finding(what, Some(false), "no group is shown: we may describe none", mend()),
                _ => {
                    finding(what, None, format!("{listed} groups; those that we may not describe are missing"), mend())
                }
            },
            Some(Answer::Committed(Err(fault))) => finding(what, None, fault.words, ""),
            _ => finding(what, None, "no answer in time", ""),
        }
    }

    fn offsets_topic(&self, asking: &Asking) -> Finding {
        let what = format!("stream {OFFSETS}: right to read");
        let of = match asking.topics([OFFSETS.to_owned()]).map(|mut topics| topics.pop()) {
            Ok(Some(of)) => of.found,
            Ok(None) => return finding(what, None, "no answer", ""),
            Err(words) => return finding(what, None, words, ""),
        };
        let mend = self.grant(OFFSETS, &["Read"]);
        match of {
            Ok(of) => match of.may {
                Some(may) if may.read => finding(what, Some(true), "may be read: commits are seen at once", ""),
                Some(_) => finding(what, Some(false), "may not be read: [lag] offsets_topic has no effect", mend),
                None => finding(what, None, "the broker does not say whether it may be read", ""),
            },
            Err(fault) if matches!(fault.code, Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
                finding(what, None, "does not exist yet: no group has committed", "")
            }
            Err(fault) => finding(what, Some(false), fault.words, mend),
        }
    }

    fn records(&self, asking: &Asking) -> Finding {
        let what = "records at committed positions: right to read";
        let names = match asking.client.fetch_metadata(None, left(asking.until)) {
            Ok(metadata) => metadata.topics().iter().map(|topic| topic.name().to_owned()).collect::<BTreeSet<_>>(),
            Err(error) => return finding(what, None, error.to_string(), ""),
        };
        let topics = match asking.topics(names.into_iter().take(TOPICS)) {
            Ok(topics) => topics,
            Err(words) => return finding(what, None, words, ""),
        };
        let (ok, detail, unread) = may_be_read(&topics);
        let resource: String = unread.iter().take(NAMED).map(|name| format!(" --topic '{name}'")).collect();
        let mend = if unread.is_empty() { String::new() } else { self.grant_on(resource.trim_start(), &["Read"]) };
        finding(what, ok, detail, mend)
    }

    fn redrives(&self, wants: &Wants, asking: &Asking, say: &mut dyn FnMut(Finding)) {
        let prefixed = |kind: &str, prefix: &str| format!("--{kind} '{prefix}' --resource-pattern-type prefixed");
        let what = "redrive: right to keep its place";
        let names: Vec<Arc<CStr>> =
            wants.redrive.iter().filter_map(|name| Some(CString::new(name.as_str()).ok()?.into())).collect();
        asking.queue.ask_members(&names, true, left(asking.until), 0);
        let mend = || self.grant_on(&prefixed("group", REDRIVES), &["Read"]);
        say(match asking.answer() {
            Some(Answer::Members(Ok(groups))) => {
                let may = groups.iter().map(|of| match (&of.members, of.may_read) {
                    (Err(fault), _) if fault.code == Code::GroupAuthorizationFailed => Some(false),
                    (_, may) => may,
                });
                match may.min() {
                    Some(Some(true)) => finding(what, Some(true), format!("as group {REDRIVES}STREAM"), ""),
                    Some(Some(false)) => {
                        finding(what, None, format!("groups {REDRIVES}STREAM may not commit: a redrive fails"), mend())
                    }
                    _ => finding(what, None, "the broker does not say", mend()),
                }
            }
            Some(Answer::Members(Err(fault))) => finding(what, None, fault.words, mend()),
            _ => finding(what, None, "no answer in time", ""),
        });
        match asking.topics(wants.redrive_to.iter().cloned()) {
            Err(words) => say(finding("redrive: right to append", None, words, "")),
            Ok(topics) => topics.iter().for_each(|of| {
                let ours = of.name.starts_with(OWN_PREFIX);
                let what = format!("redrive: right to append to {}", of.name);
                let resource = if ours { prefixed("topic", OWN_PREFIX) } else { format!("--topic '{}'", of.name) };
                let mend = |operations: &[&str]| self.grant_on(&resource, operations);
                say(match &of.found {
                    Ok(found) => match found.may {
                        Some(may) if may.write => finding(what, Some(true), "may be written", ""),
                        Some(_) => finding(what, None, "may not be written: a redrive to it fails", mend(&["Write"])),
                        None => finding(what, None, "the broker does not say whether it may be written", ""),
                    },
                    Err(fault) if matches!(fault.code, Code::UnknownTopicOrPartition | Code::UnknownTopic) && ours => {
                        finding(what, Some(true), "the first redrive makes it", "")
                    }
                    Err(fault) => {
                        let needed: &[&str] = if ours { &["Create", "Write", "Read"] } else { &["Write"] };
                        finding(what, None, format!("{}: a redrive to it fails", fault.words), mend(needed))
                    }
                });
            }),
        }
        if self.guarded() {
            say(finding(
                "redrive: right to transactions",
                None,
                "cannot be looked at: who asks would end a redrive that is under way",
                self.grant_on(&prefixed("transactional-id", REDRIVES), &["Write", "Describe"]),
            ));
        }
    }
}

/// Whether all topics of others may be read, in words, and those that may not. What the broker does not say is unknown.
fn may_be_read(topics: &[TopicOf]) -> (Option<bool>, String, Vec<&str>) {
    let (mut all, mut untold, mut unread) = (0, 0, Vec::new());
    for of in topics {
        let Ok(found) = of.found.as_ref().map(|found| (found.internal, found.may)) else { continue };
        match found {
            (true, _) => continue,
            (false, None) => untold += 1,
            (false, Some(May { read: true, .. })) => {}
            (false, Some(_)) => unread.push(of.name.as_str()),
        }
        all += 1;
    }
    let mut said = Vec::new();
    if !unread.is_empty() {
        said.push(format!("{} of {all} topics may not be read: ages of what waits there are less exact", unread.len()));
    }
    if untold > 0 {
        said.push(format!("the broker does not say of {untold} of {all} topics whether they may be read"));
    }
    match (unread.is_empty(), untold) {
        (true, 0) => (Some(true), format!("{all} topics, all may be read"), unread),
        (true, _) => (None, said.join("; "), unread),
        (false, _) => (Some(false), said.join("; "), unread),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::kafka::ffi::TopicFound;

    fn topic(name: &str, internal: bool, read: Option<bool>) -> TopicOf {
        let may = read.map(|read| May { read, write: false, describe_configs: false });
        let (id, leaderless, brokers) = (String::new(), Vec::new(), Vec::new());
        TopicOf {
            name: name.to_owned(),
            found: Ok(TopicFound { id, internal, partitions: 1, leaderless, brokers, may }),
        }
    }

    #[test]
    fn what_the_broker_does_not_say_is_not_taken_for_a_right() {
        let (yes, no, untold) = (Some(true), Some(false), None);
        let say = |rights: &[Option<bool>]| {
            let mut topics: Vec<_> =
                rights.iter().enumerate().map(|(n, may)| topic(&format!("t{n}"), false, *may)).collect();
            topics.push(topic("__consumer_offsets", true, no));
            let (ok, detail, unread) = may_be_read(&topics);
            (ok, detail, unread.len())
        };
        assert_eq!(say(&[yes, yes]), (Some(true), "2 topics, all may be read".to_owned(), 0));
        let words = "the broker does not say of 1 of 2 topics whether they may be read";
        assert_eq!(say(&[yes, untold]), (None, words.to_owned(), 0));
        let both = format!("1 of 2 topics may not be read: ages of what waits there are less exact; {words}");
        assert_eq!(say(&[no, untold]), (Some(false), both, 1));
    }
}
