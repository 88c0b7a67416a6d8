//! Files of `torch.save` (`.pth`, `.pt`), read without running anything in them.
//!
//! Such a file is a pickle, a program for a small stack machine, and the bytes of each tensor: in a zip archive, or, before
//! PyTorch 1.6, one behind the other (`legacy.rs`). A pickle can call any function of Python; the machine here knows those that
//! make tensors and dictionaries, and takes everything else for something that it has no use for.

mod legacy;
mod machine;
mod values;

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use super::zipped::Archive;
use machine::PickleMachine;
use tombola_words::error::{Error, Result};
use values::PickleValue;
pub(super) use values::{LONGEST_NAME, StoredTensor};

/// No pickle of a state dict is larger than this.
const MOST_PICKLE: u64 = 64 << 20;
/// What tensors take together, in multiples of the file, and beside: `torch.save` compresses nothing, and what others compress
/// does not shrink so far. Names of one tensor under which a network has it several times count each.
const MOST_GROWTH: (u64, u64) = (64, 64 << 20);
/// Dictionaries within dictionaries that are looked into, and dictionaries of tensors that are looked at.
const MOST_LEVELS: usize = 16;
const MOST_TABLES: usize = 256;
/// What lies below a key with one of these in it are no weights, though it may have their names.
const NO_WEIGHTS: [&str; 5] = ["optim", "sched", "momentum", "exp_avg", "velocity"];

/// What files are read.
pub(crate) const CURE: &str = "give a state dict: `safetensors.torch.save_file(model.state_dict(), file)` or `torch.save(model.state_dict(), file)`";

/// A dictionary of tensors: the keys that lead to it, and the tensors in their order, each name once.
pub(super) type StoredTable = (Vec<Rc<str>>, Vec<(Rc<str>, Rc<StoredTensor>)>);

/// Where each storage lies in the bytes of a file.
type StoragePlaces = HashMap<Rc<str>, Range<usize>>;

/// A file whose pickle was read.
#[derive(Debug)]
pub(super) struct TorchFile<'a> {
    path: &'a Path,
    pub(super) tables: Vec<StoredTable>,
    source: StorageSource<'a>,
    /// Storages that were read.
    storages: HashMap<Rc<str>, Vec<u8>>,
    /// What tensors may take together, and what is left of it.
    most: u64,
    room: u64,
}

/// Where the values of storages lie.
#[derive(Debug)]
enum StorageSource<'a> {
    /// A folder of an archive.
    Archive(Archive<'a>, String),
    /// Places in the bytes of the file.
    Bytes(&'a [u8], StoragePlaces),
}

/// Whether these bytes are such a file.
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || legacy::is_one(bytes)
}

/// Refuses, with their cures, files of other forms that are taken for one of these.
pub(super) fn refuse_others(path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.get(257..262) == Some(b"ustar") {
        return Err(Error::input(format!(
            "`{}` is a tar archive, as PyTorch wrote files before version 0.1.10",
            path.display()
        ))
        .hint(format!("save it anew in Python:{}", lines(path, "", ""))));
    }
    if bytes.starts_with(b"\x80") && bytes.get(1).is_some_and(|protocol| (2..=5).contains(protocol)) {
        return Err(Error::input(format!("`{}` is a pickle, but not one of `torch.save`", path.display())).hint(CURE));
    }
    Ok(())
}

/// The lines of Python that make a state dict of a file, where `keys` lead to what has it and `method` gives it.
fn lines(path: &Path, keys: &str, method: &str) -> String {
    let stem = path.with_extension("");
    format!(
        "\n  import torch\n  network = torch.load({:?}, map_location=\"cpu\", weights_only=False){keys}\n  torch.save(network{method}, {:?})",
        path.display().to_string(),
        format!("{}-state.pth", stem.display())
    )
}

impl<'a> TorchFile<'a> {
    /// Reads the pickle of the file in `bytes`, which `path` holds.
    ///
    /// # Errors
    /// When the file is damaged, or holds no tensors by name.
    pub(super) fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let mut machine = PickleMachine::default();
        let (top, source) = match legacy::is_one(bytes) {
            true => {
                let (top, storages) = legacy::read(path, bytes, &mut machine)?;
                (top, StorageSource::Bytes(bytes, storages))
            }
            false => zipped(path, bytes, &mut machine)?,
        };
        let PickleContents { tables, object } = found(&machine, &top);
        if tables.is_empty() {
            return Err(none(path, object));
        }
        let most = MOST_GROWTH.0.saturating_mul(bytes.len() as u64).saturating_add(MOST_GROWTH.1);
        Ok(Self { path, tables, source, storages: HashMap::new(), most, room: most })
    }

    /// The bytes of a tensor's values, in the order of its axes; `name` is for errors.
    ///
    /// # Errors
    /// When they are not all there, or take more than a file of this size means.
    pub(super) fn values(&mut self, name: &str, tensor: &StoredTensor) -> Result<Vec<u8>> {
        let damaged = |what: String| Error::input(format!("`{}` is damaged: {what}", self.path.display()));
        let key = &tensor.storage;
        let storage: &[u8] = match &mut self.source {
            StorageSource::Archive(archive, folder) => {
                if !self.storages.contains_key(key) {
                    let bytes = archive.read(&format!("{folder}/data/{key}"), self.room)?;
                    self.room = self.room.saturating_sub(bytes.len() as u64);
                    self.storages.insert(Rc::clone(key), bytes);
                }
                self.storages.get(key).map_or(&[], Vec::as_slice)
            }
            StorageSource::Bytes(bytes, places) => {
                places.get(key).and_then(|place| bytes.get(place.clone())).unwrap_or_default()
            }
        };
        let bytes =
            tensor.gathered(storage).ok_or_else(|| damaged(format!("tensor `{name}` goes beyond its bytes")))?;
        self.room = self.room.checked_sub(bytes.len() as u64).ok_or_else(|| {
            damaged(format!(
                "its tensors take more than {} bytes, which is more than a file of this size means",
                self.most
            ))
        })?;
        Ok(bytes)
    }
}

/// What an archive holds.
fn zipped<'a>(
    path: &'a Path,
    bytes: &'a [u8],
    machine: &mut PickleMachine,
) -> Result<(PickleValue, StorageSource<'a>)> {
    let mut archive = Archive::open(path, bytes).map_err(|error| error.hint(CURE))?;
    let names = archive.names();
    let Some(folder) = names.iter().find_map(|name| name.strip_suffix("/data.pkl").map(str::to_string)) else {
        let error =
            Error::input(format!("`{}` is no file of `torch.save`: it has no `data.pkl`", path.display())).hint(CURE);
        return Err(match names.iter().any(|name| name.ends_with(".npy")) {
            true => error.hint("arrays of NumPy can be a mask (`load-mask`); weights are read from a state dict"),
            false => error,
        });
    };
    if names.contains(&format!("{folder}/constants.pkl")) {
        let script = lines(path, "", ".state_dict()").replace("torch.load(", "torch.jit.load(");
        return Err(Error::input(format!("`{}` is TorchScript, a program and no state dict", path.display()))
            .hint(format!("make a state dict of it in Python:{}", script.replace(", weights_only=False", ""))));
    }
    let order = format!("{folder}/byteorder");
    if names.contains(&order) && archive.read(&order, 16)? != b"little" {
        return Err(Error::input(format!("`{}` is of a machine with another byte order", path.display()))
            .hint("save it as safetensors there"));
    }
    let pickle = archive.read(&format!("{folder}/data.pkl"), MOST_PICKLE)?;
    let (top, _) = machine
        .run(&pickle)
        .map_err(|what| Error::input(format!("`{}` is damaged: `data.pkl`: {what}", path.display())))?;
    Ok((top, StorageSource::Archive(archive, folder)))
}

/// What a pickle made.
struct PickleContents {
    tables: Vec<StoredTable>,
    /// The first object that would take code to make, by the keys that lead to it.
    object: Option<(Vec<Rc<str>>, Rc<str>)>,
}

/// The dictionaries of tensors, the outermost first, each once.
fn found(machine: &PickleMachine, top: &PickleValue) -> PickleContents {
    let mut found = PickleContents { tables: Vec::new(), object: None };
    let mut queue: VecDeque<(Vec<Rc<str>>, &PickleValue)> = VecDeque::from([(Vec::new(), top)]);
    let mut seen = HashSet::new();
    while let Some((keys, value)) = queue.pop_front() {
        if let (PickleValue::Object(class), None) = (value, &found.object) {
            found.object = Some((keys.clone(), Rc::clone(class)));
        }
        let identity = match value {
            PickleValue::Dictionary(place) => (0, *place),
            PickleValue::List(place) => (1, *place),
            PickleValue::Tuple(nested) => (2, Rc::as_ptr(nested) as usize),
            _ => continue,
        };
        if !seen.insert(identity) || keys.len() > MOST_LEVELS || found.tables.len() >= MOST_TABLES {
            continue;
        }
        let below = |key: &str| [keys.as_slice(), &[key.into()]].concat();
        for (index, value) in machine.sequence(value).unwrap_or_default().iter().enumerate() {
            if holds_others(value) {
                queue.push_back((below(&index.to_string()), value));
            }
        }
        let entries = machine.dictionary(value).unwrap_or_default();
        for (key, value) in entries {
            let PickleValue::Text(key) = key else { continue };
            let lower = || key.to_lowercase();
            if holds_others(value) && key.len() <= LONGEST_NAME && !NO_WEIGHTS.iter().any(|word| lower().contains(word))
            {
                queue.push_back((below(key), value));
            }
        }
        let tensors = tensors(entries);
        if !tensors.is_empty() {
            found.tables.push((keys, tensors));
        }
    }
    found
}

fn holds_others(value: &PickleValue) -> bool {
    use PickleValue::{Dictionary, List, Object, Tuple};
    matches!(value, Dictionary(_) | List(_) | Tuple(_) | Object(_))
}

/// The tensors of a dictionary. A name that is given twice means the last one, at the first place, as in Python.
fn tensors(entries: &[(PickleValue, PickleValue)]) -> Vec<(Rc<str>, Rc<StoredTensor>)> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut tensors: Vec<(Rc<str>, Rc<StoredTensor>)> = Vec::new();
    for (key, value) in entries {
        let (PickleValue::Text(name), PickleValue::Tensor(tensor)) = (key, value) else { continue };
        if name.len() > LONGEST_NAME {
            continue;
        }
        match places.get(&**name) {
            Some(place) => tensors[*place].1 = Rc::clone(tensor),
            None => {
                places.insert(name, tensors.len());
                tensors.push((Rc::clone(name), Rc::clone(tensor)));
            }
        }
    }
    tensors
}

/// The error for a file without tensors by name.
fn none(path: &Path, object: Option<(Vec<Rc<str>>, Rc<str>)>) -> Error {
    let Some((keys, class)) = object else {
        return Error::input(format!("`{}` holds no tensors by name", path.display())).hint(CURE);
    };
    let place = match keys.is_empty() {
        true => "it is".to_string(),
        false => format!("`{}` in it is", keys.join(".")),
    };
    let keys: String = keys
        .iter()
        .map(|key| match key.parse::<usize>() {
            Ok(index) => format!("[{index}]"),
            Err(_) => format!("[{key:?}]"),
        })
        .collect();
    Error::input(format!(
        "`{}` holds no tensors by name: {place} an object of the class `{class}`, which takes running code to read",
        path.display()
    ))
    .hint(format!("make a state dict of it in Python, where its code is:{}", lines(path, &keys, ".state_dict()")))
}

#[cfg(test)]
mod tests;
