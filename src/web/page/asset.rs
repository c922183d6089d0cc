//! Embedded files of the pages, under a content hash: a browser may keep them for ever.

use std::fmt::Write as _;
use std::sync::LazyLock;

use xxhash_rust::xxh3::Xxh3;

/// One embedded file.
#[derive(Debug)]
pub struct Asset {
    /// Its bytes.
    pub bytes: &'static [u8],
    /// Its media type.
    pub content_type: &'static str,
}

/// One style sheet of several files: tokens first, then what uses them.
const CSS: &str = concat!(
    include_str!("../../../static/tokens.css"),
    include_str!("../../../static/base.css"),
    include_str!("../../../static/parts.css"),
    include_str!("../../../static/charts.css"),
    include_str!("../../../static/lag.css"),
    include_str!("../../../static/transaction.css"),
);

const fn script(text: &'static str) -> Asset {
    Asset { bytes: text.as_bytes(), content_type: "text/javascript; charset=utf-8" }
}

const fn icon(text: &'static str) -> Asset {
    Asset { bytes: text.as_bytes(), content_type: "image/svg+xml" }
}

/// All files by name.
static FILES: &[(&str, Asset)] = &[
    ("app.css", Asset { bytes: CSS.as_bytes(), content_type: "text/css; charset=utf-8" }),
    ("app.js", script(include_str!("../../../static/app.js"))),
    ("live.js", script(include_str!("../../../static/live.js"))),
    ("morph.js", script(include_str!("../../../static/morph.js"))),
    ("chart.js", script(include_str!("../../../static/chart.js"))),
    ("shape.js", script(include_str!("../../../static/shape.js"))),
    ("keys.js", script(include_str!("../../../static/keys.js"))),
    ("clock.js", script(include_str!("../../../static/clock.js"))),
    ("icon.svg", icon(include_str!("../../../static/icon.svg"))),
    ("icon-bad.svg", icon(include_str!("../../../static/icon-bad.svg"))),
    ("icon-off.svg", icon(include_str!("../../../static/icon-off.svg"))),
];

/// Hash over all files: one folder name, so that modules may import each other by relative names.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Xxh3::new();
    for (name, file) in FILES {
        hash.update(name.as_bytes());
        hash.update(file.bytes);
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "{:016x}", hash.digest());
    text
});

/// The file behind `{base}/assets/{path}`; `path` is `<hash>/<name>`. `None` for another hash or name:
/// what is found may be cached as immutable.
#[must_use]
pub fn asset(path: &str) -> Option<&'static Asset> {
    let (hash, name) = path.split_once('/')?;
    if hash != *HASH {
        return None;
    }
    FILES.iter().find(|(n, _)| *n == name).map(|(_, file)| file)
}

/// Path of a file below the base, with the content hash: `/assets/<hash>/<name>`.
#[must_use]
pub fn asset_url(name: &str) -> String {
    format!("/assets/{}/{name}", *HASH)
}
