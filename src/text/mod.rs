//! Texts for people: numbers, times and the two languages of every visible word. No logic beyond formatting.

pub mod i18n;

pub use i18n::Locale;
