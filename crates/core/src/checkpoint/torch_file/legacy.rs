//! Files of `torch.save` before PyTorch 1.6, and of its `_use_new_zipfile_serialization=False`.
//!
//! Five pickles (a magic number, the version of the form, what machine wrote it, the object, the names of the storages), then each
//! storage in the order of the names: the number of its values in eight bytes, and the values.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use super::machine::PickleMachine;
use super::values::PickleValue;
use super::{CURE, MOST_PICKLE, StoragePlaces};
use tombola_words::error::{Error, Result};

/// The magic number 0x1950a86a20f9469cfc6c as a pickle has it.
const MAGIC: &[u8] = &[0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The same as the first protocols of pickles have it.
const MAGIC_LINE: &[u8] = b"L119547037146038801333356L\n.";
/// A frame may stand before it.
const BEFORE_MAGIC: usize = 16;
/// The only version of the form there has ever been.
const VERSION: i64 = 1001;

/// Whether these bytes are such a file.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    let begin = bytes.get(..bytes.len().min(BEFORE_MAGIC + MAGIC.len())).unwrap_or_default();
    bytes.starts_with(MAGIC_LINE)
        || bytes.first() == Some(&0x80) && begin.windows(MAGIC.len()).any(|part| part == MAGIC)
}

/// The object of such a file, and where each of its storages lies in `bytes`.
pub(super) fn read(path: &Path, bytes: &[u8], machine: &mut PickleMachine) -> Result<(PickleValue, StoragePlaces)> {
    let damaged = |what: String| Error::input(format!("`{}` is damaged: {what}", path.display()));
    let mut rest = bytes;
    let mut next = |what: &str| -> Result<PickleValue> {
        let most = rest.len().min(MOST_PICKLE as usize);
        let (value, after) =
            machine.run(&rest[..most]).map_err(|error| damaged(format!("the pickle of {what}: {error}")))?;
        rest = &rest[most - after.len()..];
        Ok(value)
    };
    next("the magic number")?;
    match next("the version")? {
        PickleValue::Integer(VERSION) => {}
        _ => {
            return Err(
                Error::input(format!("`{}` is of a version of the form that is not known", path.display())).hint(CURE)
            );
        }
    }
    let machine_facts = next("the machine")?;
    let object = next("the object")?;
    let keys = next("the storages")?;
    let mut at = bytes.len() - rest.len();
    let little = machine.dictionary(&machine_facts).unwrap_or_default().iter().find_map(|entry| match entry {
        (PickleValue::Text(key), PickleValue::Integer(little)) if &**key == "little_endian" => Some(*little != 0),
        _ => None,
    });
    if little == Some(false) {
        return Err(Error::input(format!("`{}` is of a machine with another byte order", path.display()))
            .hint("save it as safetensors there"));
    }
    let mut storages = HashMap::new();
    for key in machine.sequence(&keys).unwrap_or_default() {
        let key: Rc<str> = match key {
            PickleValue::Text(key) => Rc::clone(key),
            PickleValue::Integer(key) => key.to_string().into(),
            _ => return Err(damaged("a storage has no name".to_string())),
        };
        let size = machine.sizes.get(&key).copied();
        let size = size.ok_or_else(|| damaged(format!("nothing says of what type the storage `{key}` is")))?;
        let count = bytes.get(at..at.saturating_add(8)).and_then(|count| count.try_into().ok());
        let count = usize::try_from(u64::from_le_bytes(count.unwrap_or([0xff; 8]))).ok();
        let start = at.saturating_add(8);
        let end = count.and_then(|count| count.checked_mul(size)?.checked_add(start)).filter(|end| *end <= bytes.len());
        let end = end.ok_or_else(|| damaged(format!("the storage `{key}` is not whole")))?;
        storages.insert(key, start..end);
        at = end;
    }
    Ok((object, storages))
}
