//! One pass over a JSON text that picks out the wanted values and skips all others.
//!
//! A [`Shape`] is a trie of pointer segments. Picked values stay what they are in the text (a raw
//! slice): a number keeps its digits, a string its escapes, until somebody asks what they mean.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Undecodable;
use crate::model::DecodeReason;

/// The most values that one shape can want: event v1, CloudEvents and event v1 in `data` together want 29.
pub(super) const SLOTS: usize = 32;

/// The picked values as raw JSON, by slot.
pub(super) type Slots<'a> = [Option<&'a str>; SLOTS];

/// Nesting that the parser underneath refuses whatever the configuration says (its own cap is 128).
const PARSER_DEPTH: usize = 120;

/// What to pick: a node of a trie of JSON pointer segments.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    slot: Option<usize>,
    children: Vec<Child>,
}

#[derive(Clone, Debug)]
struct Child {
    key: Box<str>,
    /// The key as an index of an array, where it can be one (RFC 6901: no leading zeros, no sign).
    index: Option<usize>,
    shape: Shape,
}

impl Shape {
    /// Wants the value at `path`; the same path twice is the same slot.
    ///
    /// # Panics
    /// Above [`SLOTS`] paths: shapes are made of a fixed list of fields.
    pub(super) fn want<S: AsRef<str>>(&mut self, path: &[S], used: &mut usize) -> usize {
        let mut node = self;
        for segment in path {
            let segment = segment.as_ref();
            let at = node.children.iter().position(|child| *child.key == *segment).unwrap_or_else(|| {
                let index = segment.parse().ok().filter(|i: &usize| i.to_string() == segment);
                node.children.push(Child { key: segment.into(), index, shape: Self::default() });
                node.children.len() - 1
            });
            node = &mut node.children[at].shape;
        }
        *node.slot.get_or_insert_with(|| {
            assert!(*used < SLOTS, "a shape wants more than {SLOTS} values");
            *used += 1;
            *used - 1
        })
    }

    /// Picks the wanted values out of one JSON text.
    pub(super) fn pick<'a>(&self, text: &'a str, slots: &mut Slots<'a>) -> Result<(), Undecodable> {
        self.walk(text, slots).map_err(|e| Undecodable::new(DecodeReason::InvalidJson, format!("payload: {e}")))
    }

    fn walk<'a>(&self, text: &'a str, slots: &mut Slots<'a>) -> Result<(), serde_json::Error> {
        let mut parser = serde_json::Deserializer::from_str(text);
        Pick { shape: self, slots }.deserialize(&mut parser)?;
        parser.end()
    }

    fn child(&self, key: &str) -> Option<&Self> {
        self.children.iter().find(|child| *child.key == *key).map(|child| &child.shape)
    }

    fn element(&self, index: usize) -> Option<&Self> {
        self.children.iter().find(|child| child.index == Some(index)).map(|child| &child.shape)
    }
}

/// Reads one value: picks it, walks into it, or skips it.
struct Pick<'s, 'o, 'a> {
    shape: &'s Shape,
    slots: &'o mut Slots<'a>,
}

impl<'a> DeserializeSeed<'a> for Pick<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, parser: D) -> Result<(), D::Error> {
        match (self.shape.slot, self.shape.children.is_empty()) {
            (None, true) => parser.deserialize_ignored_any(IgnoredAny).map(drop),
            (None, false) => parser.deserialize_any(self),
            (Some(slot), leaf) => {
                let raw = <&RawValue as serde::Deserialize>::deserialize(parser)?.get();
                self.slots[slot] = Some(raw);
                if !leaf && raw.starts_with(['{', '[']) {
                    self.shape.walk(raw, self.slots).map_err(serde::de::Error::custom)?;
                }
                Ok(())
            }
        }
    }
}

impl<'a> Visitor<'a> for Pick<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(child) = map.next_key_seed(Key(self.shape))? {
            match child {
                Some(shape) => map.next_value_seed(Pick { shape, slots: self.slots })?,
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut seq: S) -> Result<(), S::Error> {
        let nothing = Shape::default();
        let mut index = 0;
        while let Some(()) =
            seq.next_element_seed(Pick { shape: self.shape.element(index).unwrap_or(&nothing), slots: self.slots })?
        {
            index += 1;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads one key and says which child it names.
struct Key<'s>(&'s Shape);

impl<'s, 'a> DeserializeSeed<'a> for Key<'s> {
    type Value = Option<&'s Shape>;

    fn deserialize<D: serde::Deserializer<'a>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_str(self)
    }
}

impl<'s> Visitor<'_> for Key<'s> {
    type Value = Option<&'s Shape>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.child(key))
    }
}

/// True where `text` nests deeper than `cap` (or than the parser could follow).
///
/// A text can only do so with more than `cap` opening brackets: counting those is one vectorised
/// pass, and enough for nearly every record.
pub(super) fn too_deep(text: &str, cap: usize) -> bool {
    let cap = cap.min(PARSER_DEPTH);
    // '[' | 0x20 == '{'
    let opening: usize = text
        .as_bytes()
        .chunks(128)
        .map(|c| usize::from(c.iter().map(|b| u8::from(b | 0x20 == b'{')).sum::<u8>()))
        .sum();
    opening > cap && deepest(text) > cap
}

/// Nesting of a text, brackets within strings left out.
fn deepest(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    deepest
}
