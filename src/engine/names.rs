//! Flows and streams by name: how they join, and where each flow was seen.

use std::sync::Arc;

use crate::model::{Began, Role};

use super::Engine;
use super::flow::{self, Flow, Revisit};
use super::missing::expired_words;
use super::overflow::Bound;
use super::rules::{self, Declared};
use super::stream::Stream;

impl Engine {
    /// A flow was seen in a stream for the first time, or at a lesser cut than ever.
    pub(super) fn seen_in(&mut self, flow: u16, stream: u16, cut: i64) {
        let it = &mut self.flows[usize::from(flow)];
        let begins = it.state.streams.is_empty();
        let known = it.state.streams.insert(stream, cut).is_some();
        if begins {
            it.begin(&self.limits, self.low);
            self.forget();
        }
        let it = &mut self.flows[usize::from(flow)];
        it.unsaved = true;
        let seen = &self.streams[usize::from(stream)];
        if it.rules.timeout.is_some() && !seen.state.holes.is_empty() {
            it.revisit(Revisit::Verdicts);
            it.verdicts_gone(cut);
        }
        if known {
            return;
        }
        if let Some(since) = seen.state.gap_since {
            it.inexact(since, &expired_words(seen));
        }
        self.learn_beginning(flow, stream);
        self.name_streams(flow);
    }

    /// The streams of a flow by the names that they have at their brokers.
    pub(super) fn name_streams(&mut self, flow: u16) {
        let it = &mut self.flows[usize::from(flow)];
        let of_flow = self.sources.in_order().map(|n| self.sources.get(n));
        let names = of_flow.filter(|s| it.state.streams.contains_key(&s.stream));
        let mut names: Vec<_> = names.map(|s| (Arc::clone(&s.key.cluster), Arc::clone(&s.key.stream))).collect();
        names.dedup(); // they are in the order of their keys
        it.streams = names.into();
        it.changed = true;
    }

    /// Starts that lie shortly after the middle of a log where reading began may not be starts.
    pub(super) fn learn_beginning(&mut self, flow: u16, stream: u16) {
        let it = &mut self.flows[usize::from(flow)];
        let span = it.rules.timeout.unwrap_or(0).max(rules::QUIET);
        let of_stream = self.sources.iter().filter(|(_, s)| s.stream == stream);
        let begun = of_stream.filter_map(|(_, s)| match s.began {
            Began::Middle(at) => Some(at.0.saturating_add(span)),
            Began::Beginning => None,
        });
        let until = begun.max().max(it.state.joined_until);
        if until != it.state.joined_until {
            it.state.joined_until = until;
            it.unsaved = true;
            if !it.rules.order.is_empty() {
                it.revisit(Revisit::Everything);
            }
        }
    }

    /// The number of a stream; beyond the bound all streams are `other`.
    pub(super) fn stream_of(&mut self, cluster: &str, name: &str, role: Role) -> u16 {
        let key = |c: &str, n: &str| (c.to_owned(), n.to_owned());
        if let Some(number) = self.stream_index.get(&key(cluster, name)) {
            return *number;
        }
        let full = match self.streams.len() >= self.limits.streams.clamp(1, usize::from(u16::MAX) - 1) {
            true => Some(Bound::Streams),
            false => (!self.series.has_room()).then_some(Bound::Series),
        };
        let (cluster, name) = if full.is_some() { (flow::OTHER, flow::OTHER) } else { (cluster, name) };
        if let Some(bound) = full {
            self.overflow.add(bound, 1);
        }
        if let Some(number) = self.stream_index.get(&key(cluster, name)) {
            return *number;
        }
        self.add_stream(Stream::new(cluster, name, role, self.seed))
    }

    pub(super) fn add_stream(&mut self, stream: Stream) -> u16 {
        let number = self.streams.len() as u16;
        self.series.add(1);
        self.stream_index.insert((stream.state.cluster.clone(), stream.state.name.clone()), number);
        self.streams.push(stream);
        number
    }

    pub(super) fn add_declared(&mut self) {
        for spec in self.specs.clone() {
            if !self.flow_index.contains_key(&spec.name) {
                self.add_flow(&spec.name);
            }
        }
    }

    pub(super) fn declared(&self, name: &str) -> Declared {
        Declared::from_spec(self.specs.iter().find(|s| s.name == name))
    }

    pub(super) fn add_flow(&mut self, name: &str) -> u16 {
        let flow = Flow::new(name, self.declared(name), &self.limits, &self.series);
        self.push_flow(flow)
    }

    pub(super) fn push_flow(&mut self, flow: Flow) -> u16 {
        let number = self.flows.len() as u16;
        self.series.add(1);
        self.flow_index.insert(flow.state.name.clone(), number);
        self.flows.push(flow);
        number
    }

    /// The flow into which flows beyond the bound are folded.
    pub(super) fn other_flow(&mut self) -> u16 {
        let known = self.flow_index.get(flow::OTHER).copied();
        known.unwrap_or_else(|| self.add_flow(flow::OTHER))
    }
}
