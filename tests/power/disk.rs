//! A disk that forgets: from what a program did to the files of a folder, what a power failure at any moment may have left.
//!
//! What was brought to the disk is there; of what was not, each file keeps what chance leaves it: nothing, all, the beginning of
//! the last write, some writes without others, or a length without its bytes. Names of a folder that were not brought to the disk
//! get there in their order, up to one that chance chooses: file systems keep a log of those.

use std::collections::BTreeMap;
use std::path::Path;

use rand::{Rng, RngCore};

/// One thing that the program did; `record.c` says how they are written down.
#[derive(Debug, Clone)]
enum Deed {
    Open { handle: u64, create: bool, empty: bool, path: String },
    Write { handle: u64, offset: usize, bytes: Vec<u8> },
    Cut { handle: u64, length: usize },
    Sync { handle: u64 },
    Rename { from: String, to: String },
    Remove { path: String },
    MakeFolder { path: String },
    RemoveFolder { path: String },
}

/// What a folder held, and everything that was done to it since.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    before: BTreeMap<String, Option<Vec<u8>>>,
    deeds: Vec<Deed>,
}

/// One change of a file's contents that is not known to be on the disk.
#[derive(Debug, Clone)]
enum Change {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

/// A file or folder, whatever its name.
#[derive(Debug, Clone, Default)]
struct Thing {
    folder: bool,
    now: Vec<u8>,
    on_disk: Vec<u8>,
    pending: Vec<Change>,
}

/// One change of the names in a folder: the name, and what has it from then on.
type Naming = (String, Option<usize>);

impl Trace {
    /// Reads what `record.c` wrote down, done to a folder that held `before` (files with contents, folders without).
    pub(super) fn read(before: BTreeMap<String, Option<Vec<u8>>>, mut bytes: &[u8]) -> Self {
        let mut deeds = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let line = std::str::from_utf8(&bytes[..end]).unwrap();
            bytes = &bytes[end + 1..];
            let words: Vec<&str> = line.split(' ').collect();
            let number = |place: usize| words[place].parse::<u64>().unwrap();
            let path = |place: usize| words[place].trim_start_matches("./").to_string();
            deeds.push(match words[0] {
                "O" => Deed::Open { handle: number(1), create: words[2] == "c", empty: words[3] == "t", path: path(4) },
                "W" => {
                    let (written, rest) = bytes.split_at(number(3) as usize);
                    bytes = rest;
                    Deed::Write { handle: number(1), offset: number(2) as usize, bytes: written.to_vec() }
                }
                "T" => Deed::Cut { handle: number(1), length: number(2) as usize },
                "S" => Deed::Sync { handle: number(1) },
                "R" => Deed::Rename { from: path(1), to: path(2) },
                "U" => Deed::Remove { path: path(1) },
                "M" => Deed::MakeFolder { path: path(1) },
                "D" => Deed::RemoveFolder { path: path(1) },
                other => panic!("{other}: {line}"),
            });
        }
        Self { before, deeds }
    }

    /// How many things were done.
    pub(super) fn len(&self) -> usize {
        self.deeds.len()
    }

    /// What a power failure after the first `deeds` of them may have left.
    pub(super) fn cut(&self, deeds: usize, random: &mut impl RngCore) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut disk = Disk::of(&self.before);
        self.deeds[..deeds].iter().for_each(|deed| disk.follow(deed));
        disk.after_power_failure(random)
    }

    /// Everything as it was when the program ended: to hold the imitation against the real folder.
    pub(super) fn end(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut disk = Disk::of(&self.before);
        self.deeds.iter().for_each(|deed| disk.follow(deed));
        disk.names
            .iter()
            .map(|(path, thing)| (path.clone(), disk.contents(*thing, |thing| thing.now.clone())))
            .collect()
    }
}

#[derive(Debug, Default)]
struct Disk {
    things: Vec<Thing>,
    /// By path, as programs see them.
    names: BTreeMap<String, usize>,
    /// By path, as the disk has them.
    names_on_disk: BTreeMap<String, usize>,
    /// By folder, what the disk does not have yet, in order.
    namings: BTreeMap<String, Vec<Naming>>,
    handles: BTreeMap<u64, (usize, String)>,
}

impl Disk {
    fn of(before: &BTreeMap<String, Option<Vec<u8>>>) -> Self {
        let mut disk = Self::default();
        for (path, contents) in before {
            let bytes = contents.clone().unwrap_or_default();
            let thing = Thing { folder: contents.is_none(), now: bytes.clone(), on_disk: bytes, pending: Vec::new() };
            disk.things.push(thing);
            disk.names.insert(path.clone(), disk.things.len() - 1);
        }
        disk.names_on_disk = disk.names.clone();
        disk
    }

    fn follow(&mut self, deed: &Deed) {
        match deed {
            Deed::Open { handle, create, empty, path } => {
                if path == "." {
                    self.handles.insert(*handle, (usize::MAX, String::new()));
                    return;
                }
                if *create && !self.names.contains_key(path) {
                    self.things.push(Thing::default());
                    self.name(path, Some(self.things.len() - 1));
                }
                let thing = self.names[path];
                self.handles.insert(*handle, (thing, path.clone()));
                if *empty && !self.things[thing].now.is_empty() {
                    self.change(thing, Change::Length(0));
                }
            }
            Deed::Write { handle, offset, bytes } => {
                self.change(self.handles[handle].0, Change::Bytes(*offset, bytes.clone()));
            }
            Deed::Cut { handle, length } => self.change(self.handles[handle].0, Change::Length(*length)),
            Deed::Sync { handle } => {
                let (thing, path) = self.handles[handle].clone();
                if thing == usize::MAX || self.things[thing].folder {
                    for (name, thing) in self.namings.remove(&path).unwrap_or_default() {
                        rename(&mut self.names_on_disk, &name, thing);
                    }
                } else {
                    let thing = &mut self.things[thing];
                    thing.on_disk = thing.now.clone();
                    thing.pending.clear();
                }
            }
            Deed::Rename { from, to } => {
                // Within one folder, as all of ours are: one step for the disk too.
                let thing = self.names[from];
                self.name(from, None);
                self.name(to, Some(thing));
            }
            Deed::Remove { path } | Deed::RemoveFolder { path } => self.name(path, None),
            Deed::MakeFolder { path } if path == "." => {}
            Deed::MakeFolder { path } => {
                self.things.push(Thing { folder: true, ..Thing::default() });
                self.name(path, Some(self.things.len() - 1));
            }
        }
    }

    fn name(&mut self, path: &str, thing: Option<usize>) {
        rename(&mut self.names, path, thing);
        let folder = Path::new(path).parent().unwrap().to_str().unwrap();
        self.namings.entry(folder.to_string()).or_default().push((path.to_string(), thing));
    }

    fn change(&mut self, thing: usize, change: Change) {
        let thing = &mut self.things[thing];
        apply(&mut thing.now, &change);
        thing.pending.push(change);
    }

    fn contents(&self, thing: usize, bytes: impl FnOnce(&Thing) -> Vec<u8>) -> Option<Vec<u8>> {
        let thing = &self.things[thing];
        (!thing.folder).then(|| bytes(thing))
    }

    fn after_power_failure(mut self, random: &mut impl RngCore) -> BTreeMap<String, Option<Vec<u8>>> {
        for namings in std::mem::take(&mut self.namings).into_values() {
            let mut arrived = random.random_range(0..=namings.len());
            // A renaming is one step: the old name does not go without the new one.
            let splits =
                |at: usize| at > 0 && at < namings.len() && namings[at - 1].1.is_none() && namings[at].1.is_some();
            arrived -= usize::from(splits(arrived));
            for (name, thing) in namings.into_iter().take(arrived) {
                rename(&mut self.names_on_disk, &name, thing);
            }
        }
        let mut left: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
        for (path, thing) in &self.names_on_disk {
            // What lies in a folder whose own name did not get there is gone.
            let folder = Path::new(path).parent().unwrap().to_str().unwrap();
            if folder.is_empty() || left.get(folder).is_some_and(Option::is_none) {
                left.insert(path.clone(), self.contents(*thing, |thing| leftover(thing, random)));
            }
        }
        left
    }
}

fn rename(names: &mut BTreeMap<String, usize>, path: &str, thing: Option<usize>) {
    match thing {
        Some(thing) => names.insert(path.to_string(), thing),
        None => names.remove(path),
    };
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(*length, 0),
        Change::Bytes(offset, new) => {
            if bytes.len() < offset + new.len() {
                bytes.resize(offset + new.len(), 0);
            }
            bytes[*offset..offset + new.len()].copy_from_slice(new);
        }
    }
}

/// What may be left of a file.
fn leftover(thing: &Thing, random: &mut impl RngCore) -> Vec<u8> {
    let mut bytes = thing.on_disk.clone();
    match random.random_range(0..5) {
        _ if thing.pending.is_empty() => {}
        0 => {}
        1 => bytes.clone_from(&thing.now),
        // In order, up to the middle of one.
        2 => {
            let whole = random.random_range(0..thing.pending.len());
            thing.pending[..whole].iter().for_each(|change| apply(&mut bytes, change));
            if let Change::Bytes(offset, new) = &thing.pending[whole] {
                apply(&mut bytes, &Change::Bytes(*offset, new[..random.random_range(0..=new.len())].to_vec()));
            }
        }
        // Some without others. What was appended is never there without a beginning: of an append the end is lost.
        3 => {
            for change in &thing.pending {
                let appends = matches!(change, Change::Bytes(offset, _) if *offset >= bytes.len());
                if random.random_bool(0.5) {
                    apply(&mut bytes, change);
                } else if appends {
                    break;
                }
            }
        }
        // The length got there, the bytes behind what was there before did not.
        _ => bytes.resize(thing.now.len(), 0),
    }
    bytes
}
