//! A row of big numbers: of a group, of the overview, of dead letters.

use askama::Template;

use crate::text::number::Quantity;
use crate::web::page::Part;
use crate::web::page::kit::{Html, Level};
use crate::web::page::part::render;

/// One number with its unit, what it says, and a picture.
pub struct Tile {
    /// What it is.
    pub label: &'static str,
    /// Where it leads; empty: nowhere.
    pub href: String,
    /// The number.
    pub value: Quantity,
    /// Window, comparison, cause.
    pub sub: Html,
    /// Colour and shape.
    pub level: Level,
    /// A sparkline, or nothing.
    pub art: Html,
}

#[derive(Template)]
#[template(path = "part/numbers.html")]
struct Numbers<'a> {
    id: &'a str,
    label: &'static str,
    tiles: Vec<Tile>,
}

/// Tiles under an id; hidden where there are none.
pub fn numbers(id: &str, label: &'static str, tiles: Vec<Tile>) -> Part {
    render(id, &Numbers { id, label, tiles })
}
