//! State dicts as `torch.save` writes them (`.pth`, `.pt`), read without running anything in them.
//!
//! Such a file is a zip archive with a pickle, a program for a small stack machine, and the bytes of each tensor. A pickle can
//! call any function of Python; this machine knows two that make tensors and one that makes a dictionary, and takes everything
//! else for something that it has no use for. What comes out is a safetensors file, which the rest of the program reads.

mod machine;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::zipped::Archive;
use machine::{PickleMachine, PickleValue, StoredTensor};
use tombola_words::error::{Error, Result};

/// No pickle of a state dict is larger than this.
const MOST_PICKLE: u64 = 64 << 20;
/// What tensors take together, in multiples of the file, and beside: `torch.save` compresses nothing, and what others compress
/// does not shrink so far. Names of one tensor under which a network has it several times count each.
const MOST_GROWTH: (u64, u64) = (64, 64 << 20);
/// Under which names programs put the state dict into a larger dictionary.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];

/// What files are read.
pub(crate) const CURE: &str = "give a state dict: `safetensors.torch.save_file(model.state_dict(), file)` or `torch.save(model.state_dict(), file)`";

/// Whether these bytes are such a file.
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// The same tensors as a safetensors file. `path` is for errors.
///
/// # Errors
/// When the file is damaged, or holds no tensors by name.
pub(crate) fn as_safetensors(path: &Path, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut archive = Archive::open(path, bytes).map_err(|error| error.hint(CURE))?;
    let damaged = |what: &str| Error::input(format!("`{}` is damaged: {what}", path.display()));
    let Some(folder) = archive.names().iter().find_map(|name| name.strip_suffix("/data.pkl").map(str::to_string))
    else {
        return Err(
            Error::input(format!("`{}` is no file of `torch.save`: it has no `data.pkl`", path.display())).hint(CURE)
        );
    };
    let order = format!("{folder}/byteorder");
    if archive.names().contains(&order) && archive.read(&order, 16)? != b"little" {
        return Err(Error::input(format!("`{}` is of a machine with another byte order", path.display()))
            .hint("save it as safetensors there"));
    }
    let pickle = archive.read(&format!("{folder}/data.pkl"), MOST_PICKLE)?;
    let mut machine = PickleMachine::default();
    let top = machine.run(&pickle).map_err(|what| damaged(&format!("`data.pkl`: {what}")))?;
    let named = named_tensors(&machine, &top)
        .ok_or_else(|| Error::input(format!("`{}` holds no tensors by name", path.display())).hint(CURE))?;
    let mut storages: HashMap<&str, Vec<u8>> = HashMap::new();
    let most = MOST_GROWTH.0.saturating_mul(bytes.len() as u64).saturating_add(MOST_GROWTH.1);
    let mut room = most;
    let mut values: BTreeMap<&str, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for (name, tensor) in &named {
        if !storages.contains_key(tensor.storage.as_str()) {
            let bytes = archive.read(&format!("{folder}/data/{}", tensor.storage), room)?;
            room = room.saturating_sub(bytes.len() as u64);
            storages.insert(&tensor.storage, bytes);
        }
        let gathered = storages.get(tensor.storage.as_str()).and_then(|storage| gathered(tensor, storage));
        let bytes = gathered.ok_or_else(|| damaged(&format!("tensor `{name}` goes beyond its bytes")))?;
        room = room.checked_sub(bytes.len() as u64).ok_or_else(|| {
            damaged(&format!("its tensors take more than {most} bytes, which is more than a file of this size means"))
        })?;
        values.insert(name, (tensor.kind, tensor.shape.clone(), bytes));
    }
    let views: Vec<(&str, TensorView)> = values
        .iter()
        .map(|(name, (kind, shape, bytes))| Ok((*name, TensorView::new(*kind, shape.clone(), bytes)?)))
        .collect::<Result<_, safetensors::SafeTensorError>>()
        .map_err(|error| damaged(&error.to_string()))?;
    safetensors::serialize(views, None).map_err(|error| damaged(&error.to_string()))
}

/// The tensors of a dictionary, or of the one in it that is the state dict; without the `module.` that data-parallel
/// training puts before every name.
fn named_tensors<'m>(machine: &'m PickleMachine, top: &'m PickleValue) -> Option<BTreeMap<&'m str, &'m StoredTensor>> {
    let entries = machine.dictionary(top)?;
    let inner = WRAPPERS.iter().find_map(|wrapper| {
        let inner = entries.iter().find(|(key, _)| matches!(key, PickleValue::Text(key) if **key == **wrapper));
        inner.and_then(|(_, value)| machine.dictionary(value))
    });
    // A name that is given twice means the last one, as in Python.
    let named: BTreeMap<&str, &StoredTensor> = inner
        .unwrap_or(entries)
        .iter()
        .filter_map(|(key, value)| match (key, value) {
            (PickleValue::Text(key), PickleValue::Tensor(tensor)) => Some((&**key, &**tensor)),
            _ => None,
        })
        .collect();
    let bare: Option<BTreeMap<&str, &StoredTensor>> =
        named.iter().map(|(name, tensor)| Some((name.strip_prefix("module.")?, *tensor))).collect();
    (!named.is_empty()).then(|| bare.unwrap_or(named))
}

/// The values of a tensor in the order of its axes; nothing where they are not all there.
fn gathered(tensor: &StoredTensor, storage: &[u8]) -> Option<Vec<u8>> {
    let size = tensor.kind.bitsize() / 8;
    let count = tensor.shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size))?;
    // A tensor may repeat values of its storage, as a small file that means a huge tensor does: no state dict needs that.
    if count.checked_mul(size)? > storage.len() {
        return None;
    }
    let mut bytes = Vec::with_capacity(count * size);
    let mut place = vec![0usize; tensor.shape.len()];
    for _ in 0..count {
        let mut at = tensor.offset;
        for (index, stride) in place.iter().zip(&tensor.strides) {
            at = at.checked_add(index.checked_mul(*stride)?)?;
        }
        let start = at.checked_mul(size)?;
        bytes.extend(storage.get(start..start.checked_add(size)?)?);
        for axis in (0..place.len()).rev() {
            place[axis] += 1;
            if place[axis] < tensor.shape[axis] {
                break;
            }
            place[axis] = 0;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
