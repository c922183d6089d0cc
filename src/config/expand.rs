//! `${VAR}`, `${VAR:-default}` and `${file:PATH}` in strings: so that secrets stay out of the file.
//!
//! `$${` is a literal `${`. What was put in is not expanded again. A default may not contain `}`.

use std::io::Read;
use std::path::Path;

/// Most bytes of a file behind `${file:...}`: secrets and certificates are far below it.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A string after expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// True where any of it came from the environment or a file: then it is never printed.
    pub foreign: bool,
}

/// Expands `raw`. Relative paths start at `base`, the folder of the configuration file.
/// A final line break of a file is taken off.
///
/// # Errors
/// In words that name the variable or file; never with any content.
pub fn expand(raw: &str, env: super::Env<'_>, base: &Path) -> Result<Expanded, String> {
    let mut text = String::with_capacity(raw.len());
    let (mut rest, mut foreign) = (raw, false);
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            text.push_str(&rest[..at - 1]);
            text.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        text.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let end =
            inner.find('}').ok_or_else(|| "\"${\" is not closed by \"}\"; write $${ for a literal ${".to_owned())?;
        text.push_str(&value(&inner[..end], env, base)?);
        foreign = true;
        rest = &inner[end + 1..];
    }
    text.push_str(rest);
    Ok(Expanded { text, foreign })
}

/// The value of what stands between the braces.
fn value(inner: &str, env: super::Env<'_>, base: &Path) -> Result<String, String> {
    if let Some(path) = inner.strip_prefix("file:") {
        return file(&base.join(path)).map_err(|e| format!("cannot read {}: {e}", base.join(path).display()));
    }
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(format!("${{{inner}}} is none of ${{VAR}}, ${{VAR:-default}} and ${{file:PATH}}"));
    }
    match (env(name), default) {
        // As in a shell: an empty variable takes the default too.
        (Some(v), Some(default)) if v.is_empty() => Ok(default.to_owned()),
        (Some(v), _) => Ok(v),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            Err(format!("the environment variable {name} is not set; ${{{name}:-default}} makes it optional"))
        }
    }
}

fn file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|e| e.to_string())?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    let body = text.strip_suffix('\n').map_or(text.len(), |t| t.strip_suffix('\r').unwrap_or(t).len());
    text.truncate(body);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(raw: &str) -> Result<Expanded, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "s3cr\u{e9}t\r\n").unwrap();
        std::fs::write(dir.path().join("large"), vec![b'x'; 70_000]).unwrap();
        let env = |k: &str| match k {
            "USER_NAME" => Some("ann".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${USER_NAME}".to_owned()),
            _ => None,
        };
        expand(raw, &env, dir.path()).map_err(|e| e.replace(&dir.path().display().to_string(), "BASE"))
    }

    #[test]
    fn values_are_put_in() {
        for (raw, text, foreign) in [
            ("plain", "plain", false),
            ("", "", false),
            ("price in $", "price in $", false),
            ("^orders$", "^orders$", false),
            ("$${literal}", "${literal}", false),
            ("u=${USER_NAME};", "u=ann;", true),
            ("${USER_NAME}${USER_NAME}", "annann", true),
            ("${NONE:-}", "", true),
            ("${NONE:-a:b-c}", "a:b-c", true),
            ("${EMPTY:-d}", "d", true),
            ("${EMPTY}", "", true),
            ("${NESTED}", "${USER_NAME}", true),
            ("${file:secret}", "s3cr\u{e9}t", true),
        ] {
            assert_eq!(expanded(raw), Ok(Expanded { text: text.into(), foreign }), "{raw}");
        }
    }

    #[test]
    fn what_cannot_be_put_in_is_named() {
        for (raw, error) in [
            ("${NONE}", "the environment variable NONE is not set; ${NONE:-default} makes it optional"),
            ("${USER_NAME", "\"${\" is not closed by \"}\"; write $${ for a literal ${"),
            ("${a b}", "${a b} is none of ${VAR}, ${VAR:-default} and ${file:PATH}"),
            ("${}", "${} is none of ${VAR}, ${VAR:-default} and ${file:PATH}"),
            ("${file:none}", "cannot read BASE/none: No such file or directory (os error 2)"),
            ("${file:large}", "cannot read BASE/large: it is larger than 65536 bytes"),
        ] {
            assert_eq!(expanded(raw).unwrap_err(), error, "{raw}");
        }
    }
}
