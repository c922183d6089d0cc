//! The state store against flipped bits, cut files, dying processes and a disk that loses what was not synced.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex};

use redb::{BackendError, StorageBackend};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::shelf::{Shelf, label};
use super::state::FORMAT;
use super::*;

type Content = BTreeMap<BlobKey, Vec<u8>>;

const fn key(kind: u8, number: u64) -> BlobKey {
    BlobKey { kind, number }
}

fn load(store: &mut dyn StateStore) -> Result<Content, StoreError> {
    let mut content = Content::new();
    store.load(&mut |key, bytes| assert!(content.insert(key, bytes.to_vec()).is_none()))?;
    Ok(content)
}

/// Small numbers without end, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 += 1;
        xxh3_64_with_seed(&self.0.to_le_bytes(), 7) % n
    }
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let words = (0..len.div_ceil(8) as u64).map(|i| xxh3_64_with_seed(&i.to_le_bytes(), seed));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(len);
    bytes
}

/// Some changes, and what the store holds after them.
fn change(content: &mut Content, dice: &mut Dice, sizes: &[usize]) -> Changes {
    let mut changes = Changes::default();
    let mut touched = std::collections::BTreeSet::new();
    for _ in 0..1 + dice.below(6) {
        let key = key(dice.below(3) as u8, dice.below(12));
        if !touched.insert(key) {
            continue;
        }
        if dice.below(5) == 0 {
            content.remove(&key);
            changes.deletes.push(key);
        } else {
            let size = sizes[dice.below(sizes.len() as u64) as usize];
            let value = bytes(dice.below(u64::MAX), size);
            content.insert(key, value.clone());
            changes.puts.push((key, value.into()));
        }
    }
    changes
}

#[test]
fn what_was_committed_is_loaded_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/state.redb");
    let (mut content, mut dice) = (Content::new(), Dice(1));
    let mut memory = MemoryState::default();
    for _ in 0..8 {
        let mut store = RedbState::open(&path).unwrap();
        assert_eq!(load(&mut store).unwrap(), content);
        assert_eq!(load(&mut memory).unwrap(), content);
        let changes = change(&mut content, &mut dice, &[0, 1, 500, 65_408, 65_409, 65_536, 140_000]);
        store.commit(&changes).unwrap();
        memory.fail_next(1);
        memory.commit(&changes).unwrap_err();
        memory.commit(&changes).unwrap();
        assert!(matches!(RedbState::open(&path).err(), Some(StoreError::Locked { .. })));
    }
    assert!(content.len() > 5 && memory.commits() == 8);
}

#[test]
fn a_file_that_is_cut_empty_or_another_kind_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let mut store = RedbState::open(&path).unwrap();
    store.commit(&Changes { puts: vec![(key(0, 0), bytes(1, 200_000).into())], deletes: vec![] }).unwrap();
    drop(store);
    let sound = std::fs::read(&path).unwrap();
    for length in [0, 1, 100, 4_096, sound.len() / 2, sound.len() - 1] {
        std::fs::write(&path, &sound[..length]).unwrap();
        let refused = RedbState::open(&path).err();
        assert!(matches!(refused, Some(StoreError::Damaged { .. })), "{length} bytes: {refused:?}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), length as u64);
    }
    std::fs::write(&path, &sound).unwrap();
    assert!(matches!(Ledger::open(&path, 10).err(), Some(StoreError::Damaged { .. })), "state is no ledger");
    assert_eq!(load(&mut RedbState::open(&path).unwrap()).unwrap()[&key(0, 0)], bytes(1, 200_000));
}

#[test]
fn a_file_that_is_mostly_holes_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let mut store = RedbState::open(&path).unwrap();
    let puts = (0..400).map(|n| (key(0, n), vec![n as u8; 65_536].into())).collect();
    store.commit(&Changes { puts, deletes: vec![] }).unwrap();
    store.commit(&Changes { puts: vec![], deletes: (5..400).map(|n| key(0, n)).collect() }).unwrap();
    drop(store);
    let size = || std::fs::metadata(&path).unwrap().len();
    assert!(size() > 20 << 20);
    let content = load(&mut RedbState::open(&path).unwrap()).unwrap();
    assert!(size() < 8 << 20, "{} bytes", size());
    assert_eq!(content.into_values().collect::<Vec<_>>(), (0..5).map(|n| vec![n; 65_536]).collect::<Vec<_>>());
}

#[test]
fn a_flipped_bit_is_never_read_silently() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.redb");
    let (mut content, mut dice) = (Content::new(), Dice(9));
    let mut store = RedbState::open(&path).unwrap();
    for commit in 0..2 {
        let puts: Vec<_> = (commit..40).map(|n| (key(1, n), bytes(n + commit, [300, 6_000][n as usize % 2]))).collect();
        content.extend(puts.iter().cloned());
        let puts = puts.into_iter().map(|(key, bytes)| (key, bytes.into())).collect();
        store.commit(&Changes { puts, deletes: vec![] }).unwrap();
    }
    drop(store);
    let sound = std::fs::read(&path).unwrap();
    let (mut refused, mut unused) = (0, 0);
    for round in 0..400 {
        let mut flipped = sound.clone();
        // Every third flip in the first page: the headers of the file are its most delicate bytes.
        let at = if round % 3 == 0 { dice.below(4_096) } else { dice.below(sound.len() as u64) } as usize;
        flipped[at] ^= 1 << dice.below(8);
        std::fs::write(&path, &flipped).unwrap();
        match RedbState::open(&path).and_then(|mut store| load(&mut store)) {
            Ok(read) if read == content => unused += 1,
            Ok(_) => panic!("byte {at}: read silently"),
            Err(StoreError::Damaged { .. } | StoreError::Format { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(refused > 50, "refused {refused}, unused {unused}");
}

/// A disk in memory that keeps what was synced; of later writes a crash leaves any sectors it likes.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Sectors>>);

#[derive(Debug, Default)]
struct Sectors {
    /// As the process sees it.
    seen: Vec<u8>,
    /// As it is on the platter.
    synced: Vec<u8>,
    /// Since the last sync.
    writes: Vec<(usize, Vec<u8>)>,
    /// Operations until the disk fails; `None`: never.
    fails_in: Option<u64>,
    /// A disk that lies about syncing: the control of the test.
    lies: bool,
}

const SECTOR: usize = 512;

impl Disk {
    fn with<T>(&self, work: impl FnOnce(&mut Sectors) -> T) -> std::io::Result<T> {
        let mut disk = self.0.lock().unwrap();
        if let Some(left) = &mut disk.fails_in {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Err(std::io::Error::other("power is gone"));
            }
        }
        Ok(work(&mut disk))
    }

    /// Power comes back: of what was not synced, some sectors are there, some are torn, some are not.
    fn power_cycle(&self, dice: &mut Dice) -> Self {
        let disk = self.0.lock().unwrap();
        let mut bytes = disk.synced.clone();
        for (offset, write) in &disk.writes {
            for (i, sector) in write.chunks(SECTOR).enumerate() {
                if dice.below(2) == 0 {
                    let start = offset + i * SECTOR;
                    if bytes.len() < start + sector.len() {
                        bytes.resize(start + sector.len(), 0);
                    }
                    bytes[start..start + sector.len()].copy_from_slice(sector);
                }
            }
        }
        let sectors = Sectors { seen: bytes.clone(), synced: bytes, lies: disk.lies, ..Sectors::default() };
        Self(Arc::new(Mutex::new(sectors)))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        self.with(|disk| disk.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.with(|disk| {
            let start = offset as usize;
            disk.seen.get(start..start + out.len()).map(|bytes| out.copy_from_slice(bytes))
        })?
        .ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.with(|disk| {
            disk.seen.resize(len as usize, 0);
            // A change of length is kept by the journal of the file system.
            disk.synced.resize(len as usize, 0);
        })
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.with(|disk| {
            if !disk.lies {
                disk.synced = disk.seen.clone();
                disk.writes.clear();
            }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.with(|disk| {
            let start = offset as usize;
            disk.seen[start..start + data.len()].copy_from_slice(data);
            disk.writes.push((start, data.to_vec()));
        })
    }

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Err(BackendError::Unsupported)
    }
}

fn on_disk(disk: &Disk) -> Result<RedbState, StoreError> {
    let disk = disk.clone();
    let opener = move |builder: &redb::Builder| builder.create_with_backend(disk.clone());
    Ok(RedbState::on(Shelf::with(Path::new("simulated"), FORMAT, Box::new(opener))?))
}

/// One life after the other, each ended by a power loss in the middle of it. How many ended badly.
fn lives(seed: u64, lies: bool) -> usize {
    let (mut dice, mut disk) = (Dice(seed), Disk::default());
    let made = redb::Database::builder().create_with_backend(disk.clone()).unwrap();
    label(&made, FORMAT.0, FORMAT.1).unwrap();
    drop(made);
    disk.0.lock().unwrap().lies = lies;
    let mut content = Content::new();
    for _ in 0..4 {
        let mut store = match on_disk(&disk) {
            Ok(store) => store,
            Err(_) => return 1,
        };
        disk.0.lock().unwrap().fails_in = Some(1 + dice.below(400));
        // What was acknowledged, and what was being written when the power went: either is right.
        let mut next = content.clone();
        loop {
            let changes = change(&mut next, &mut dice, &[0, 1, 500, 900, 4_000, 9_000]);
            match store.commit(&changes) {
                Ok(()) => content = next.clone(),
                Err(_) => break,
            }
        }
        disk = disk.power_cycle(&mut dice);
        drop(store);
        let read = on_disk(&disk).and_then(|mut store| load(&mut store));
        match read {
            Ok(read) if read == content || read == next => content = read,
            _ => return 1,
        }
    }
    0
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes() {
    let bad: usize = (0..25).map(|seed| lives(seed * 1_000_000, false)).sum();
    assert_eq!(bad, 0, "of 100 power losses");
    let bad: usize = (0..10).map(|seed| lives(seed * 1_000_000, true)).sum();
    assert!(bad > 0, "a disk that lies about syncing must be noticed, or this test notices nothing");
}

#[test]
fn a_disk_that_fails_is_said_and_the_changes_can_be_handed_in_again() {
    let disk = Disk::default();
    label(&redb::Database::builder().create_with_backend(disk.clone()).unwrap(), FORMAT.0, FORMAT.1).unwrap();
    let mut store = on_disk(&disk).unwrap();
    let changes = Changes { puts: vec![(key(0, 1), bytes(3, 70_000).into())], deletes: vec![] };
    disk.0.lock().unwrap().fails_in = Some(3);
    assert!(matches!(store.commit(&changes), Err(StoreError::Io { .. })));
    assert!(matches!(store.commit(&changes), Err(StoreError::Io { .. })), "still no power");
    disk.0.lock().unwrap().fails_in = None;
    store.commit(&changes).unwrap();
    assert_eq!(load(&mut store).unwrap()[&key(0, 1)], bytes(3, 70_000));
}
