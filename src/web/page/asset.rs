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

/// All files by name.
static FILES: &[(&str, Asset)] =
    &[("icon.svg", Asset { bytes: include_bytes!("../../../static/icon.svg"), content_type: "image/svg+xml" })];

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
