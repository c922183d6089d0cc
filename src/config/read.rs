//! Reads a TOML document table by table and collects every problem, each with its place.
//!
//! A key becomes known by being asked for; [`Table::finish`] refuses the others. So the list of valid
//! keys in a message cannot drift from the keys that are read.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::expand::expand;
use super::problem::{Place, Problem, nearest};

/// Characters of a value that a message shows.
const SHOWN_CHARS_MAX: usize = 60;

/// One document and what was found wrong with it.
pub(super) struct Reader<'a> {
    pub path: &'a Path,
    pub source: &'a str,
    pub env: super::Env<'a>,
    pub problems: RefCell<Vec<Problem>>,
    pub warnings: RefCell<Vec<Problem>>,
}

/// One table of the document, or an absent one: reading from it gives nothing.
pub(super) struct Table<'a> {
    pub reader: &'a Reader<'a>,
    /// Its path with a final dot, empty for the root.
    prefix: String,
    at: Range<usize>,
    map: Option<&'a DeTable<'a>>,
    known: RefCell<Vec<&'static str>>,
}

/// A string after expansion, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub text: String,
    /// It holds something from the environment or a file: never printed.
    pub foreign: bool,
    /// Path of the key.
    pub key: String,
    /// Bytes of the value in the source.
    pub at: Range<usize>,
}

impl<'a> Reader<'a> {
    /// Line and column of a byte, both from 1.
    pub fn place(&self, byte: usize) -> Place {
        let before = &self.source.as_bytes()[..byte.min(self.source.len())];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        Place::File { path: self.path.to_owned(), line, column }
    }

    /// The value as written, short, without secrets. Tables and arrays are not shown: secrets may be in them.
    fn shown(&self, key: &str, at: &Range<usize>) -> String {
        let raw = self.source.get(at.clone()).unwrap_or_default().trim();
        if raw.starts_with(['[', '{']) || raw.is_empty() {
            return String::new();
        }
        // A reference says where a secret lies, not what it is; a key is judged by all parts of its path.
        let inner = raw.trim_matches(['"', '\'']);
        let reference = inner.starts_with("${") && inner.find('}') == Some(inner.len() - 1);
        if super::redact::looks_secret(key) && !reference {
            return super::redact::HIDDEN.to_owned();
        }
        let line = super::redact::without_credentials(raw.lines().next().unwrap_or_default());
        if line.chars().count() > SHOWN_CHARS_MAX || raw.contains('\n') {
            return line.chars().take(SHOWN_CHARS_MAX).chain("...".chars()).collect();
        }
        line
    }

    /// Notes that the value at `at` is wrong.
    pub fn refuse(&self, key: &str, at: &Range<usize>, what: impl Into<String>, allowed: impl Into<String>) {
        self.problems.borrow_mut().push(self.problem(key, at, what.into(), allowed.into()));
    }

    /// Notes something that holds but may surprise.
    pub fn warn(&self, key: &str, at: &Range<usize>, what: impl Into<String>) {
        self.warnings.borrow_mut().push(self.problem(key, at, what.into(), String::new()));
    }

    fn problem(&self, key: &str, at: &Range<usize>, what: String, allowed: String) -> Problem {
        Problem { place: self.place(at.start), key: key.to_owned(), value: self.shown(key, at), what, allowed }
    }

    fn expand(&self, key: &str, at: &Range<usize>, raw: &str) -> Option<Text> {
        let base = self.path.parent().unwrap_or(Path::new(""));
        match expand(raw, self.env, base) {
            Ok(e) => Some(Text { text: e.text, foreign: e.foreign, key: key.to_owned(), at: at.clone() }),
            Err(what) => {
                self.refuse(key, at, what, "");
                None
            }
        }
    }
}

impl<'a> Table<'a> {
    pub fn root(reader: &'a Reader<'a>, map: &'a DeTable<'a>) -> Self {
        Self { reader, prefix: String::new(), at: 0..0, map: Some(map), known: RefCell::default() }
    }

    fn path(&self, key: &str) -> String {
        let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if bare { format!("{}{key}", self.prefix) } else { format!("{}{key:?}", self.prefix) }
    }

    /// Path of the table itself.
    pub fn name(&self) -> &str {
        self.prefix.trim_end_matches('.')
    }

    pub fn exists(&self) -> bool {
        self.map.is_some()
    }

    fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        self.map?.get(key)
    }

    /// Takes these keys, separated by blanks, without reading them.
    pub fn accept(&self, keys: &'static str) {
        self.known.borrow_mut().extend(keys.split_ascii_whitespace());
    }

    /// True where the key is written, whatever its value.
    pub fn has(&self, key: &str) -> bool {
        self.map.is_some_and(|m| m.contains_key(key))
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        self.reader.refuse(key, &value.span(), format!("expected {wanted}, found {}", kind(value.as_ref())), "");
    }

    /// Notes that the value of `key` is wrong; the table itself where the key is not written.
    pub fn refuse(&self, key: &str, what: impl Into<String>, allowed: impl Into<String>) {
        let at = self.map.and_then(|m| m.get(key)).map_or_else(|| self.at.clone(), Spanned::span);
        self.reader.refuse(&self.path(key), &at, what, allowed);
    }

    /// Refuses a key itself; `hide`: its value is not shown.
    pub fn refuse_key(&self, key: &str, what: String, hide: bool) {
        let found = self.map.and_then(|m| m.get_key_value(key));
        let (place, at) =
            found.map_or((self.at.start, self.at.clone()), |(key, value)| (key.span().start, value.span()));
        let mut problem = self.reader.problem(&self.path(key), &at, what, String::new());
        problem.place = self.reader.place(place);
        if hide {
            problem.value = super::redact::HIDDEN.to_owned();
        }
        self.reader.problems.borrow_mut().push(problem);
    }

    /// Notes something about the table or one of its keys that holds but may surprise.
    pub fn warn(&self, key: &str, what: impl Into<String>) {
        let at = self.map.and_then(|m| m.get(key)).map_or_else(|| self.at.clone(), Spanned::span);
        let path = if key.is_empty() { self.name().to_owned() } else { self.path(key) };
        self.reader.warn(&path, &at, what);
    }

    pub fn text(&self, key: &'static str) -> Option<Text> {
        let value = self.get(key)?;
        self.as_text(&self.path(key), value)
    }

    fn as_text(&self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<Text> {
        match value.as_ref() {
            DeValue::String(raw) => self.reader.expand(path, &value.span(), raw),
            // `start = 2026-11-22T10:00:00Z` without quotes is as clear as with them.
            DeValue::Datetime(time) => {
                Some(Text { text: time.to_string(), foreign: false, key: path.to_owned(), at: value.span() })
            }
            _ => {
                self.wrong_type(path, value, "a string");
                None
            }
        }
    }

    /// A string that must be there and must not be empty.
    pub fn required(&self, key: &'static str, allowed: &str) -> Option<Text> {
        if self.map.is_some() && !self.has(key) {
            self.known.borrow_mut().push(key);
            self.refuse(key, "is missing", allowed);
            return None;
        }
        self.text(key).filter(|t| {
            if t.text.is_empty() {
                self.refuse(key, "is empty", allowed);
            }
            !t.text.is_empty()
        })
    }

    /// A string with a meaning: `parse` gives it.
    pub fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        what: &str,
        allowed: &str,
    ) -> Option<T> {
        let text = self.text(key)?;
        let value = parse(&text.text);
        if value.is_none() {
            self.refuse(key, what, allowed);
        }
        value
    }

    /// One of several words.
    pub fn choice<T: Clone>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text.text).map(|(_, value)| value.clone());
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let hint =
                nearest(&text.text, all.iter().copied()).map_or(String::new(), |n| format!(", did you mean \"{n}\"?"));
            self.refuse(key, format!("unknown word{hint}"), all.join(" "));
        }
        found
    }

    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        match value.as_ref() {
            DeValue::Boolean(b) => Some(*b),
            _ => {
                self.wrong_type(&self.path(key), value, "true or false");
                None
            }
        }
    }

    /// A whole number within bounds.
    pub fn number(&self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        let value = self.get(key)?;
        let DeValue::Integer(digits) = value.as_ref() else {
            self.wrong_type(&self.path(key), value, "a whole number");
            return None;
        };
        let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok().filter(|n| (least..=most).contains(n));
        if number.is_none() {
            self.refuse(key, "out of range", format!("{least} to {most}"));
        }
        number
    }

    /// A share, 0 to 1.
    pub fn ratio(&self, key: &'static str) -> Option<f64> {
        let value = self.get(key)?;
        let number: Option<f64> = match value.as_ref() {
            DeValue::Float(f) => f.as_str().replace('_', "").parse().ok(),
            DeValue::Integer(i) => i.as_str().parse().ok(),
            _ => {
                self.wrong_type(&self.path(key), value, "a number");
                return None;
            }
        };
        let share = number.filter(|n| (0.0..=1.0).contains(n));
        if share.is_none() {
            self.refuse(key, "out of range", "0.0 to 1.0");
        }
        share
    }

    /// A list of strings.
    pub fn texts(&self, key: &'static str) -> Option<Vec<Text>> {
        let value = self.get(key)?;
        let path = self.path(key);
        let DeValue::Array(items) = value.as_ref() else {
            self.wrong_type(&path, value, "a list of strings");
            return None;
        };
        Some(items.iter().enumerate().filter_map(|(n, item)| self.as_text(&format!("{path}[{n}]"), item)).collect())
    }

    /// A table; an absent one reads as empty.
    pub fn table(&self, key: &'static str) -> Table<'a> {
        let path = self.path(key);
        let value = self.get(key);
        let (at, map) = match value.map(|v| (v.span(), v.as_ref())) {
            Some((at, DeValue::Table(map))) => (at, Some(map)),
            Some((at, _)) => {
                self.wrong_type(&path, value.expect("it was matched just now"), "a table");
                (at, None)
            }
            None => (self.at.clone(), None),
        };
        Table { reader: self.reader, prefix: format!("{path}."), at, map, known: RefCell::default() }
    }

    /// Every `[[key]]`, in the order of the file.
    pub fn tables(&self, key: &'static str) -> Vec<Table<'a>> {
        let path = self.path(key);
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.as_ref() else {
            self.wrong_type(&path, value, &format!("one or more [[{key}]] tables"));
            return Vec::new();
        };
        let table = |(n, item): (usize, &'a Spanned<DeValue<'a>>)| {
            let path = format!("{path}[{n}]");
            let DeValue::Table(map) = item.as_ref() else {
                self.wrong_type(&path, item, "a table");
                return None;
            };
            Some(Table {
                reader: self.reader,
                prefix: format!("{path}."),
                at: item.span(),
                map: Some(map),
                known: RefCell::default(),
            })
        };
        items.iter().enumerate().filter_map(table).collect()
    }

    /// All entries of a table with free keys, each value as a string. `scalars`: numbers and booleans too.
    pub fn entries(&self, scalars: bool) -> Vec<(String, Text)> {
        let Some(map) = self.map else { return Vec::new() };
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let key: &std::borrow::Cow<'_, str> = key.as_ref();
            let path = self.path(key);
            let plain = |text| Some(Text { text, foreign: false, key: path.clone(), at: value.span() });
            let text = match value.as_ref() {
                DeValue::Boolean(b) if scalars => plain(b.to_string()),
                DeValue::Integer(i) if scalars && i.radix() == 10 => plain(i.as_str().to_owned()),
                DeValue::Float(f) if scalars => plain(f.as_str().to_owned()),
                _ => self.as_text(&path, value),
            };
            text.map(|t| (key.to_string(), t))
        };
        map.iter().filter_map(entry).collect()
    }

    /// Refuses every key that nobody asked for.
    pub fn finish(&self) {
        let Some(map) = self.map else { return };
        let known = self.known.borrow();
        for (key, value) in map {
            let word: &str = key.as_ref();
            if known.contains(&word) {
                continue;
            }
            let hint =
                nearest(word, known.iter().copied()).map_or(String::new(), |n| format!(", did you mean \"{n}\"?"));
            let mut problem =
                self.reader.problem(&self.path(word), &value.span(), format!("unknown key{hint}"), known.join(" "));
            problem.place = self.reader.place(key.span().start);
            self.reader.problems.borrow_mut().push(problem);
        }
    }
}

/// The type of a value, in words.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
