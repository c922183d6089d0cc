//! The parts of the pages: each a struct with its own template, rendered the same for the page and for the stream.

mod attention;
mod books;
mod chain;
mod finds;
mod flows;
mod frame;
mod head;
mod inputs;
mod process;
mod streams;
mod stuck;
mod tiles;
mod windows;

use askama::Template;

pub use attention::attention;
pub use books::{beside, books};
pub use chain::{map, steps};
pub use finds::finds;
pub use flows::flows;
pub use frame::{menu, pulse};
pub use head::head;
pub use inputs::{COLUMNS as SOURCE_COLUMNS, inputs, sources};
pub use process::{clusters, process};
pub use streams::streams;
pub use stuck::{oldest, stuck};
pub use tiles::tiles;
pub use windows::{latency, real, windows};

use super::Part;

/// Renders a part under its id; its template's outermost element carries that id.
pub fn render(id: &str, template: &impl Template) -> Part {
    Part { id: id.to_owned(), html: to_html(template) }
}

/// Renders a template.
pub fn to_html(template: &impl Template) -> String {
    // A template fails only where its writer or one of its values does; a String never does, and our values are plain.
    template.render().expect("a template writes plain values to a String")
}

/// Rows of a table at most: beyond it a page helps nobody, and the rest is counted.
const MAX_ROWS: usize = 100;
