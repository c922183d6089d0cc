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

/// Rows of a table at most: beyond it a page helps nobody, and the rest is counted.
const MAX_ROWS: usize = 100;

/// Renders a part under its id; its template's outermost element carries that id.
pub fn render(id: &str, template: &impl Template) -> Part {
    Part { id: id.to_owned(), html: to_html(template) }
}

/// Renders a template.
pub fn to_html(template: &impl Template) -> String {
    // A template fails only where its writer or one of its values does; a String never does, and our values are plain.
    visible(template.render().expect("a template writes plain values to a String"))
}

/// Characters that act on what stands around them, or on nothing at all, are shown by their number: a name from a
/// record must not turn the order of a line, nor hide in it. No template of ours has one.
fn visible(html: String) -> String {
    let acts = |c: char| {
        matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
            || (c.is_control() && !matches!(c, '\n' | '\t'))
    };
    if !html.contains(acts) {
        return html;
    }
    let mut out = String::with_capacity(html.len() + 16);
    for c in html.chars() {
        match c {
            c if acts(c) => out.extend(c.escape_unicode().filter(|c| !matches!(c, '{' | '}'))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn what_turns_or_hides_a_line_is_shown_by_its_number() {
        let told = visible("<b>tx\u{0}-\u{202e}7\u{9f}\n\u{ac00}\u{2066}</b>".to_owned());
        assert_eq!(told, "<b>tx\\u0-\\u202e7\\u9f\n\u{ac00}\\u2066</b>");
        let plain = "<p>checkout \u{b7} \u{2013}\u{2026} \u{ae30}\n</p>";
        assert_eq!(visible(plain.to_owned()), plain);
    }
}
