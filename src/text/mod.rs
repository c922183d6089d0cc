//! Texts for people: numbers, times and the two languages of every visible word. No logic beyond formatting.

pub mod i18n;
mod locale;
mod natural;
pub mod number;
pub mod time;

pub use locale::Locale;
pub use natural::natural;
