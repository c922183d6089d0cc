//! Files and directories of the log: names, the lock and who holds it, the file that describes a stream.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use crate::store::StoreError;

/// Version of the layout.
const FORMAT: u32 = 1;
/// The file that describes a stream.
const DESCRIPTION: &str = "stream";
/// Longest name of a stream: that of a Kafka topic, so that a stream can move there.
const NAME_BYTES: usize = 249;

/// The system's words about a file.
pub(super) fn io(path: &Path) -> impl Fn(std::io::Error) -> StoreError + '_ {
    move |error| StoreError::Io { path: path.to_owned(), detail: error.to_string() }
}

pub(super) fn damaged(path: &Path, detail: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), detail: detail.into() }
}

/// Whether a stream may be called so: it becomes the name of a directory.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let sound = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if sound && !name.is_empty() && name.len() <= NAME_BYTES && name != "." && name != ".." && name != "lock" {
        return Ok(());
    }
    Err(format!(
        "{name:?} cannot name a stream: 1 to {NAME_BYTES} letters, digits, '.', '_' and '-' are allowed (not \".\", \"..\", \"lock\")"
    ))
}

/// How long a lock is waited for: a process that was just killed gives its locks back when it is gone.
const PATIENCE: Duration = Duration::from_millis(400);

/// Makes the directory and holds its lock while the returned file lives.
pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    fs::create_dir_all(dir).map_err(io(dir))?;
    let path = dir.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(io(&path))?;
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => {
                sign(&file, &format!("process {}", std::process::id()));
                return Ok(file);
            }
            Err(TryLockError::WouldBlock) if since.elapsed() < PATIENCE => std::thread::sleep(PATIENCE / 20),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path }),
            Err(TryLockError::Error(error)) => return Err(io(&path)(error)),
        }
    }
}

/// Longest signature that is read.
const SIGNATURE_BYTES: u64 = 1_024;

/// Says in the lock's file who holds it. Nothing depends on it but words: a disk that is full is no reason to fail.
pub(super) fn sign(mut lock: &File, who: &str) {
    let signed = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(who.as_bytes()));
    if let Err(error) = signed {
        tracing::debug!(%error, "the lock could not be signed");
    }
}

/// Who has the log.
#[derive(Debug)]
pub(super) enum Holder {
    /// There is no log.
    None,
    /// Nobody; nobody can open it while this file lives, others may look as well.
    Nobody(File),
    /// Another process, which said this of itself; empty where it said nothing.
    Somebody(String),
}

/// Looks who holds the lock of a log. Changes nothing.
pub(super) fn holder(dir: &Path) -> Result<Holder, StoreError> {
    let path = dir.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Holder::None),
        Err(error) => return Err(io(&path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Holder::Nobody(file)),
        Err(TryLockError::WouldBlock) => {
            let mut who = Vec::new();
            file.take(SIGNATURE_BYTES).read_to_end(&mut who).map_err(io(&path))?;
            Ok(Holder::Somebody(String::from_utf8_lossy(&who).into_owned()))
        }
        Err(TryLockError::Error(error)) => Err(io(&path)(error)),
    }
}

/// Makes names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Path of a segment.
pub(super) fn segment_path(dir: &Path, partition: u32, base: u64) -> PathBuf {
    dir.join(format!("{partition:04}-{base:020}.log"))
}

/// Partition and first position of a segment, from its name.
pub(super) fn segment_name(name: &str) -> Option<(u32, u64)> {
    let (partition, base) = name.strip_suffix(".log")?.split_once('-')?;
    (partition.len() >= 4 && base.len() == 20).then_some((partition.parse().ok()?, base.parse().ok()?))
}

/// What is written once about a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// Differs for every stream ever made, also of the same name.
    pub incarnation: String,
    /// Number of partitions.
    pub partitions: u32,
}

impl Description {
    /// Writes it so that it is there as a whole or not at all.
    pub(super) fn write(&self, dir: &Path) -> std::io::Result<()> {
        let text =
            format!("streamgauge-stream {FORMAT}\nincarnation {}\npartitions {}\n", self.incarnation, self.partitions);
        let new = dir.join("stream.new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        writeln!(file, "check {:016x}", xxh3_64(text.as_bytes()))?;
        file.sync_all()?;
        fs::rename(&new, dir.join(DESCRIPTION))?;
        sync_dir(dir)
    }

    /// Reads it; `None` where there is none.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(DESCRIPTION);
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(&path)(error)),
        };
        let broken = || damaged(&path, "the description of the stream does not match its checksum");
        let (body, check) = text.split_once("check ").ok_or_else(broken)?;
        if check != format!("{:016x}\n", xxh3_64(body.as_bytes())) {
            return Err(broken());
        }
        let field = |name: &str| {
            let mut lines = body.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let format: u32 = field("streamgauge-stream").and_then(|v| v.parse().ok()).ok_or_else(broken)?;
        if format != FORMAT {
            return Err(StoreError::Format { path, found: format, known: FORMAT });
        }
        let incarnation = field("incarnation").ok_or_else(broken)?.to_owned();
        let partitions = field("partitions").and_then(|v| v.parse().ok()).ok_or_else(broken)?;
        Ok(Some(Self { incarnation, partitions }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_survives_or_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Description::read(dir.path()).unwrap(), None);
        let wanted = Description { incarnation: "01-ab".into(), partitions: 3 };
        wanted.write(dir.path()).unwrap();
        assert_eq!(Description::read(dir.path()).unwrap(), Some(wanted));
        let path = dir.path().join(DESCRIPTION);
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut flipped = sound.clone();
            flipped[at] ^= 1;
            fs::write(&path, flipped).unwrap();
            assert!(matches!(Description::read(dir.path()), Err(StoreError::Damaged { .. })), "byte {at}");
        }
    }

    #[test]
    fn names_of_streams_are_safe_names_of_directories() {
        for good in ["orders", "shop.payments.dlq", "A-1_b"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", ".", "..", "lock", "a/b", "a b", "\u{e9}", &"x".repeat(250)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        assert_eq!(segment_name("0003-00000000000000000042.log"), Some((3, 42)));
        assert_eq!(segment_name("stream"), None);
    }
}
