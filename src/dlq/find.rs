//! Which streams hold dead letters, by the conventions of their names.

use std::sync::LazyLock;

use regex::Regex;

/// Streams of our own begin so; they are never taken for somebody's dead letters.
pub const OWN_PREFIX: &str = "streamgauge.";

/// What a name says about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameClass {
    /// Dead letters, beyond doubt.
    Sure,
    /// Perhaps: the headers of its records have to tell.
    Perhaps,
    /// Records that wait for another try: not dead.
    Retry,
    /// Anything else.
    Other,
}

/// Endings that nobody uses for anything else, and the beginnings of frameworks.
static SURE: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?i)[._-](?:dlt|dlq|dead[._-]?letters?(?:[._-](?:queue|topic))?)$|^(?:dlq|dlt)[._-]|^dead-letter-topic-|^error\.[^.]+\..+",
    )
});
/// The words anywhere in a name.
static PERHAPS: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?i)(?:^|[._-])(?:dlq|dlt|dead[._-]?letters?(?:[._-](?:queue|topic))?|errors?|failed|poison|parking[._-]?lot)(?:[._-]|$)",
    )
});
static RETRY: LazyLock<Regex> = LazyLock::new(|| compiled(r"(?i)[._-]retry(?:[._-]\d+)?$|^__.+__retry$|^retry[._-]"));
/// What is taken off a name to guess the stream that the letters came from.
static AFFIX: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?i)^(?:(?:dlq|dlt)[._-]|dead-letter-topic-|dead[._-]?letters?[._-])|[._-](?:dlt|dlq|dead[._-]?letters?(?:[._-](?:queue|topic))?|errors?|failed|poison|parking[._-]?lot)$",
    )
});

fn compiled(pattern: &str) -> Regex {
    // Constants of this file; the tests below compile every one of them.
    Regex::new(pattern).expect("a pattern of ours")
}

/// What a name says. Internal streams of brokers and our own are `Other`.
#[must_use]
pub fn name_class(name: &str) -> NameClass {
    if name.starts_with(OWN_PREFIX) {
        return NameClass::Other;
    }
    if RETRY.is_match(name) {
        return NameClass::Retry;
    }
    match () {
        () if name.starts_with('_') => NameClass::Other,
        () if SURE.is_match(name) => NameClass::Sure,
        () if PERHAPS.is_match(name) => NameClass::Perhaps,
        () => NameClass::Other,
    }
}

/// The stream that letters of a stream of this name probably came from. A guess: headers know better.
#[must_use]
pub fn source_guess(name: &str) -> Option<String> {
    // error.<destination>.<group>
    if let Some((destination, _group)) = name.strip_prefix("error.").and_then(|rest| rest.rsplit_once('.')) {
        return Some(destination.to_owned());
    }
    let rest = AFFIX.replace(name, "");
    (rest != name && !rest.is_empty()).then(|| rest.into_owned())
}

/// Names under which the retry stream of a source, or of one of its groups, may be found; the likeliest first.
#[must_use]
pub fn retry_candidates(source: &str, group: &str) -> Vec<String> {
    let mut names = Vec::new();
    if !group.is_empty() {
        names.extend([
            format!("{source}-{group}-retry-0"),
            format!("{source}-{group}-retry"),
            format!("{source}.{group}.retry"),
            format!("{group}.{source}.retry"),
            format!("{group}-{source}-retry"),
            format!("__{group}__retry"),
        ]);
    }
    names.extend([
        format!("{source}-retry-0"),
        format!("{source}-retry"),
        format!("{source}.retry"),
        format!("{source}_retry"),
    ]);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let cases: [(&[&str], NameClass); 4] = [
            (
                &[
                    "orders.DLT",
                    "orders-dlt",
                    "orders.dlq",
                    "orders_dlq",
                    "orders-dead-letter",
                    "a.dead.letters",
                    "dlq-lcc-x1",
                    "dlq.orders.billing",
                    "dead-letter-topic-prices",
                    "error.orders.billing",
                    "orders-retry-dlt",
                    "shop.orders.dead-letter-queue",
                ],
                NameClass::Sure,
            ),
            (
                &["orders.errors", "failed-orders", "orders.dlq.v2", "error.log", "parking-lot", "poison"],
                NameClass::Perhaps,
            ),
            (&["orders-retry", "orders-retry-3", "orders.retry.0", "__billing__retry"], NameClass::Retry),
            (
                &[
                    "orders",
                    "terrors",
                    "__consumer_offsets",
                    "_schemas",
                    "dlqs",
                    "mirror",
                    "streamgauge.redriven.orders.dlq",
                    "__dlq",
                    "adlt",
                ],
                NameClass::Other,
            ),
        ];
        for (names, class) in cases {
            for name in names {
                assert_eq!(name_class(name), class, "{name}");
            }
        }
    }

    #[test]
    fn sources_are_guessed() {
        for (name, source) in [
            ("orders.DLT", Some("orders")),
            ("orders-dlt", Some("orders")),
            ("shop.orders.dead-letter-queue", Some("shop.orders")),
            ("dlq.orders", Some("orders")),
            ("error.shop.orders.billing", Some("shop.orders")),
            ("dead-letter-topic-prices", Some("prices")),
            ("failed-orders", None),
            ("orders", None),
        ] {
            assert_eq!(source_guess(name).as_deref(), source, "{name}");
        }
    }
}
