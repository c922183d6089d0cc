//! Decides about one letter, and makes the headers of its copy.

use std::collections::HashSet;

use super::classify::{Header, Letter, is_error_header};
use super::find::{NameClass, name_class, retry_candidates, source_guess};
use crate::model::Timestamp;

/// Why a letter stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// The selection does not take it.
    NotSelected,
    /// A copy was sent by an earlier run, or its transaction had ended well then.
    Settled,
    /// It has been redriven as often as is allowed: it would come back.
    LoopCap,
    /// Its transaction has ended well meanwhile.
    EndedOk,
    /// Nobody answered whether its transaction has.
    Unasked,
    /// Nothing says where it came from.
    NoTarget,
    /// The stream it came from does not exist.
    TargetMissing,
    /// The stream it would go to is one of dead letters.
    TargetIsDlq,
    /// A retry stream was asked for, and there is none.
    NoRetryStream,
    /// Its copy is larger than the target takes.
    TooLarge,
    /// As many as were asked for have been sent.
    Enough,
}

impl Skip {
    /// As reports write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotSelected => "not selected",
            Self::Settled => "settled before",
            Self::LoopCap => "loop cap reached",
            Self::EndedOk => "transaction has ended ok",
            Self::Unasked => "nobody said whether its transaction has ended ok",
            Self::NoTarget => "no target known",
            Self::TargetMissing => "target does not exist",
            Self::TargetIsDlq => "target is a dead letter stream",
            Self::NoRetryStream => "no retry stream",
            Self::TooLarge => "too large for its target",
            Self::Enough => "beyond --max",
        }
    }
}

/// What happens to a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A copy goes to this stream.
    Send(String),
    /// It stays.
    Skip(Skip),
}

/// Where copies go.
#[derive(Clone, Debug, Default)]
pub struct Target<'a> {
    /// The stream of dead letters.
    pub dlq: &'a str,
    /// Streams of the cluster.
    pub streams: Option<&'a HashSet<String>>,
    /// Streams that are known to hold dead letters.
    pub dlqs: Option<&'a HashSet<String>>,
    /// To the retry stream of the group instead of the source.
    pub retry: bool,
    /// To this stream, whatever the letter says.
    pub fixed: Option<&'a str>,
}

/// The stream that a copy of this letter goes to.
///
/// # Errors
/// Why it goes nowhere.
pub fn choose_target(letter: &Letter, target: &Target<'_>) -> Result<String, Skip> {
    let exists = |name: &str| target.streams.is_none_or(|all| all.contains(name));
    let chosen = match (target.fixed, &letter.first) {
        (Some(fixed), _) => fixed.to_owned(),
        (None, Some(first)) => first.stream.clone(),
        // A guess counts only where there is such a stream.
        (None, None) => source_guess(target.dlq).filter(|guess| exists(guess)).ok_or(Skip::NoTarget)?,
    };
    let chosen = if target.retry && target.fixed.is_none() {
        retry_candidates(&chosen, &letter.group).into_iter().find(|name| exists(name)).ok_or(Skip::NoRetryStream)?
    } else {
        chosen
    };
    let is_dlq = chosen == target.dlq
        || target.dlqs.is_some_and(|all| all.contains(&chosen))
        || name_class(&chosen) == NameClass::Sure;
    match () {
        () if is_dlq => Err(Skip::TargetIsDlq),
        () if !exists(&chosen) => Err(Skip::TargetMissing),
        () => Ok(chosen),
    }
}

/// Decides about a selected letter that is not settled. `held`: why its transaction keeps it.
#[must_use]
pub fn judge(letter: &Letter, max_redrives: u32, held: Option<Skip>, target: &Target<'_>) -> Verdict {
    if letter.redriven >= max_redrives {
        return Verdict::Skip(Skip::LoopCap);
    }
    if let Some(why) = held {
        return Verdict::Skip(why);
    }
    choose_target(letter, target).map_or_else(Verdict::Skip, Verdict::Send)
}

/// What the headers of a copy say about the redrive.
#[derive(Clone, Debug)]
pub struct Redriven<'a> {
    /// Who redrives.
    pub by: &'a str,
    /// When.
    pub at: Timestamp,
    /// Stream of dead letters, partition, position.
    pub from: (&'a str, u32, u64),
    /// The new trace context; `None`: the copy carries none.
    pub traceparent: Option<String>,
}

/// The headers of the copy: those of the letter without what describes the failure, which becomes `x-redrive-*`;
/// the old trace context becomes `x-original-traceparent`, the new one is linked to it. Names that are no UTF-8
/// cannot be written and are returned apart.
#[must_use]
pub fn rewrite(headers: &[Header<'_>], letter: &Letter, redriven: &Redriven<'_>) -> (Vec<(String, Vec<u8>)>, u32) {
    let (mut out, mut lost) = (Vec::with_capacity(headers.len() + 12), 0);
    let (mut parent, mut state, mut original) = (None, None, false);
    for (name, value) in headers {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("traceparent") {
            parent = *value;
        } else if is("tracestate") {
            state = *value; // it belongs to the old context
        } else if is_error_header(name) {
            continue;
        } else {
            original |= is("x-original-traceparent");
            match std::str::from_utf8(name) {
                Ok(name) => out.push((name.to_owned(), value.unwrap_or_default().to_vec())),
                Err(_) => lost += 1,
            }
        }
    }
    let mut say = |name: &str, value: String| out.push((name.to_owned(), value.into_bytes()));
    // The first failure stays the origin, however often the record goes round.
    if let (Some(parent), false) = (parent, original) {
        say("x-original-traceparent", String::from_utf8_lossy(parent).into_owned());
        if let Some(state) = state {
            say("x-original-tracestate", String::from_utf8_lossy(state).into_owned());
        }
    }
    if let Some(new) = &redriven.traceparent {
        say("traceparent", new.clone());
    }
    let (dlq, partition, position) = redriven.from;
    say("x-redrive-count", letter.redriven.saturating_add(1).to_string());
    say("x-redrive-by", redriven.by.to_owned());
    say("x-redrive-at", redriven.at.0.div_euclid(1_000).to_string());
    say("x-redrive-dlq", dlq.to_owned());
    say("x-redrive-dlq-partition", partition.to_string());
    say("x-redrive-dlq-offset", position.to_string());
    if let Some(first) = &letter.first {
        say("x-redrive-source-topic", first.stream.clone());
        first.partition.into_iter().for_each(|n| say("x-redrive-source-partition", n.to_string()));
        first.position.into_iter().for_each(|n| say("x-redrive-source-offset", n.to_string()));
        first.time.into_iter().for_each(|t| say("x-redrive-source-timestamp", t.0.div_euclid(1_000).to_string()));
    }
    for (name, value) in [("group", &letter.group), ("error", &letter.error), ("message", &letter.message)] {
        if !value.is_empty() {
            let name = if name == "group" { "x-redrive-source-group".to_owned() } else { format!("x-redrive-{name}") };
            say(&name, value.clone());
        }
    }
    (out, lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::{Origin, classify};

    fn letter(stream: &str) -> Letter {
        let first = Some(Origin { stream: stream.into(), ..Origin::default() });
        Letter { first, group: "billing".into(), ..Letter::default() }
    }

    #[test]
    fn targets_are_chosen_or_refused_with_the_reason() {
        let streams: HashSet<String> =
            ["orders", "orders.dlq", "orders-billing-retry-0", "graveyard", "plain"].map(str::to_owned).into();
        let dlqs: HashSet<String> = ["graveyard".to_owned()].into();
        let target = Target { dlq: "orders.dlq", streams: Some(&streams), dlqs: Some(&dlqs), ..Target::default() };
        let go = |l: &Letter, t: &Target<'_>| choose_target(l, t);
        assert_eq!(go(&letter("orders"), &target), Ok("orders".into()));
        assert_eq!(go(&Letter::default(), &target), Ok("orders".into()), "guessed by the name");
        assert_eq!(go(&Letter::default(), &Target { dlq: "x.dlq", ..target.clone() }), Err(Skip::NoTarget));
        assert_eq!(go(&letter("gone"), &target), Err(Skip::TargetMissing));
        for dlq in ["orders.dlq", "graveyard", "other.DLT"] {
            assert_eq!(go(&letter(dlq), &target), Err(Skip::TargetIsDlq), "{dlq}");
        }
        let retry = Target { retry: true, ..target.clone() };
        assert_eq!(go(&letter("orders"), &retry), Ok("orders-billing-retry-0".into()));
        assert_eq!(go(&letter("plain"), &retry), Err(Skip::NoRetryStream));
        assert_eq!(go(&letter("gone"), &Target { fixed: Some("plain"), ..target.clone() }), Ok("plain".into()));
        let capped = Letter { redriven: 3, ..letter("orders") };
        assert_eq!(judge(&capped, 3, None, &target), Verdict::Skip(Skip::LoopCap));
        assert_eq!(judge(&letter("orders"), 3, Some(Skip::EndedOk), &target), Verdict::Skip(Skip::EndedOk));
        assert_eq!(judge(&letter("orders"), 3, None, &target), Verdict::Send("orders".into()));
    }

    #[test]
    fn a_copy_keeps_what_is_not_about_the_failure() {
        let headers: Vec<Header<'_>> = vec![
            (b"content-type", Some(b"application/json")),
            (b"traceparent", Some(b"00-old")),
            (b"tracestate", Some(b"a=b")),
            (b"kafka_dlt-original-topic", Some(b"orders")),
            (b"kafka_dlt-original-partition", Some(&[0, 0, 0, 2])),
            (b"kafka_dlt-exception-fqcn", Some(b"E")),
            (b"x-redrive-count", Some(b"1")),
            (b"empty", None),
            (&[0xff, 0xfe], Some(b"x")),
        ];
        let found = classify(&headers);
        let redriven = Redriven {
            by: "ann",
            at: Timestamp(5_000_000),
            from: ("orders.dlq", 1, 42),
            traceparent: Some("00-new".into()),
        };
        let (out, lost) = rewrite(&headers, &found, &redriven);
        let get = |name: &str| -> Vec<String> {
            out.iter().filter(|(n, _)| n == name).map(|(_, v)| String::from_utf8_lossy(v).into_owned()).collect()
        };
        assert_eq!(
            (get("content-type"), get("empty"), lost),
            (vec!["application/json".into()], vec![String::new()], 1)
        );
        assert_eq!(
            (get("traceparent"), get("x-original-traceparent")),
            (vec!["00-new".to_owned()], vec!["00-old".to_owned()])
        );
        assert_eq!(
            (get("x-redrive-count"), get("x-redrive-source-partition")),
            (vec!["2".to_owned()], vec!["2".to_owned()])
        );
        assert_eq!(get("x-original-tracestate"), ["a=b"]);
        assert_eq!((get("tracestate").len(), get("kafka_dlt-original-topic").len()), (0, 0));
        // Round again: the origin stays, the count rises.
        let again: Vec<Header<'_>> = out.iter().map(|(n, v)| (n.as_bytes(), Some(v.as_slice()))).collect();
        let second = classify(&again);
        assert_eq!(
            (second.redriven, second.first.as_ref().map(|o| (o.stream.as_str(), o.partition))),
            (2, Some(("orders", Some(2))))
        );
        let (twice, _) = rewrite(&again, &second, &redriven);
        let originals: Vec<_> = twice.iter().filter(|(n, _)| n == "x-original-traceparent").collect();
        assert_eq!(originals, [&("x-original-traceparent".to_owned(), b"00-old".to_vec())]);
        assert_eq!(twice.len(), out.len(), "headers do not pile up");
    }
}
