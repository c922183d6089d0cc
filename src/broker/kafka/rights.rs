//! `doctor`: the rights that groups, lag and redrives need. Only asks: nothing is opened, joined or appended to try.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::time::Instant;

use rdkafka::consumer::Consumer as _;

use super::ffi::{Answer, Client, Code, Fault, Queue, TopicOf};
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
        let theirs = topics.iter().filter(|of| of.found.as_ref().is_ok_and(|found| !found.internal));
        let (read, unread): (Vec<&TopicOf>, Vec<&TopicOf>) =
            theirs.partition(|of| of.found.as_ref().is_ok_and(|found| found.may.is_none_or(|may| may.read)));
        if unread.is_empty() {
            return finding(what, Some(true), format!("{} topics, all may be read", read.len()), "");
        }
        let detail = format!(
            "{} of {} topics may not be read: ages of what waits there are less exact",
            unread.len(),
            read.len() + unread.len()
        );
        let resource: String = unread.iter().take(NAMED).map(|of| format!(" --topic '{}'", of.name)).collect();
        finding(what, Some(false), detail, self.grant_on(resource.trim_start(), &["Read"]))
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
