//! What a pickle can make here: plain values, and tensors as places in the bytes that follow it. Nothing in it is code.

use std::rc::Rc;

use safetensors::Dtype;

/// Bytes of a name: of a tensor, a storage, a file of the archive. A file may name a long one again and again.
pub(in crate::checkpoint) const LONGEST_NAME: usize = 4096;
/// Bytes of the name of a function or class: each is put together anew.
const LONGEST_GLOBAL: usize = 256;
/// Axes of a tensor.
const MOST_AXES: usize = 64;

/// What a pickle can make here.
#[derive(Debug, Clone)]
pub(super) enum PickleValue {
    Nothing,
    Integer(i64),
    Text(Rc<str>),
    Tuple(Rc<Nested>),
    /// Position of a list or dictionary in the machine: both grow after they have been put somewhere.
    List(usize),
    Dictionary(usize),
    /// A name that was asked for.
    Global(Rc<str>),
    Storage(Rc<Storage>),
    Tensor(Rc<StoredTensor>),
    /// An object of this class, or what this function gives: it would take running code to make.
    Object(Rc<str>),
    /// Anything else that is of no use here.
    Other,
}

/// The values of a tuple.
#[derive(Debug)]
pub(super) struct Nested {
    pub(super) values: Vec<PickleValue>,
    /// Levels of tuples, this one among them. Lists and dictionaries are positions, which end it.
    pub(super) depth: usize,
}

/// Where the values of tensors lie.
#[derive(Debug)]
pub(super) struct Storage {
    kind: Dtype,
    key: Rc<str>,
    /// Where its values begin in those of that name.
    start: usize,
}

/// A tensor: which values of its storage it is.
#[derive(Debug)]
pub(in crate::checkpoint) struct StoredTensor {
    /// Type of its values.
    pub(in crate::checkpoint) kind: Dtype,
    /// Name of its storage.
    pub(super) storage: Rc<str>,
    /// Its first value.
    pub(super) offset: usize,
    /// Its shape.
    pub(in crate::checkpoint) shape: Vec<usize>,
    /// Values from one to the next along each axis.
    pub(super) strides: Vec<usize>,
}

/// A name that is asked for; one that is too long is none that is known.
pub(super) fn global(module: &str, name: &str) -> PickleValue {
    match module.len() + name.len() <= LONGEST_GLOBAL {
        true => PickleValue::Global(format!("{module}.{name}").into()),
        false => PickleValue::Other,
    }
}

/// A whole number as its bytes, the lowest first.
pub(super) fn long(bytes: &[u8]) -> PickleValue {
    if bytes.len() > 8 {
        return PickleValue::Other;
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = if negative { [0xff; 8] } else { [0; 8] };
    wide[..bytes.len()].copy_from_slice(bytes);
    PickleValue::Integer(i64::from_le_bytes(wide))
}

/// What PyTorch writes for the values of tensors: `("storage", type, key, device, count)`, in old files with a part of it behind,
/// `(key, first value, count)`. A module, which old files name so too, is its class. `told` gets the key and the bytes of a value.
pub(super) fn persistent(identity: &PickleValue, told: impl FnOnce(&Rc<str>, usize)) -> PickleValue {
    let PickleValue::Tuple(parts) = identity else { return PickleValue::Other };
    let [PickleValue::Text(word), kind, rest @ ..] = parts.values.as_slice() else { return PickleValue::Other };
    if &**word == "module" {
        return kind.clone();
    }
    let (PickleValue::Global(kind), [key, rest @ ..], "storage") = (kind, rest, &**word) else {
        return PickleValue::Other;
    };
    let key: Rc<str> = match key {
        PickleValue::Text(key) if key.len() <= LONGEST_NAME => Rc::clone(key),
        PickleValue::Integer(key) => key.to_string().into(),
        _ => return PickleValue::Other,
    };
    let Some((kind, size)) = kind_of(kind) else { return PickleValue::Other };
    told(&key, size);
    let start = match rest {
        [_, _, PickleValue::Tuple(view), ..] => match view.values.as_slice() {
            [_, PickleValue::Integer(start), ..] => usize::try_from(*start).ok(),
            _ => None,
        },
        _ => Some(0),
    };
    match (kind, start) {
        (Some(kind), Some(start)) => PickleValue::Storage(Rc::new(Storage { kind, key, start })),
        _ => PickleValue::Other,
    }
}

/// The type of a storage's values, where safetensors has it, and the bytes of one.
fn kind_of(name: &str) -> Option<(Option<Dtype>, usize)> {
    let name = name.strip_prefix("torch.")?;
    let name = name.strip_prefix("cuda.").unwrap_or(name).strip_suffix("Storage")?;
    Some(match name {
        "Float" => (Some(Dtype::F32), 4),
        "Double" => (Some(Dtype::F64), 8),
        "Half" => (Some(Dtype::F16), 2),
        "BFloat16" => (Some(Dtype::BF16), 2),
        "Long" => (Some(Dtype::I64), 8),
        "Int" => (Some(Dtype::I32), 4),
        "Short" => (Some(Dtype::I16), 2),
        "Char" => (Some(Dtype::I8), 1),
        "Byte" => (Some(Dtype::U8), 1),
        "Bool" => (Some(Dtype::BOOL), 1),
        // No networks of ours, but other storages stand behind them.
        "QInt8" | "QUInt8" | "QUInt4x2" | "QUInt2x4" => (None, 1),
        "QInt32" => (None, 4),
        "ComplexFloat" => (None, 8),
        "ComplexDouble" => (None, 16),
        _ => return None,
    })
}

/// What one of the known functions makes of its arguments; nothing for those that make lists or dictionaries.
pub(super) fn called(function: &str, arguments: &[PickleValue]) -> PickleValue {
    use PickleValue::{Global, Integer, Object, Storage, Tensor, Tuple};
    match (function, arguments) {
        (
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor",
            [Storage(storage), Integer(offset), Tuple(shape), Tuple(strides), ..],
        ) => tensor(storage, *offset, &shape.values, &strides.values)
            .map_or(PickleValue::Other, |tensor| Tensor(Rc::new(tensor))),
        (
            "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch.nn.parameter.Parameter"
            | "torch.nn.parameter.Buffer",
            [tensor @ Tensor(_), ..],
        ) => tensor.clone(),
        ("torch._tensor._rebuild_from_type_v2", [Global(function), _, Tuple(arguments), ..])
            if &**function != "torch._tensor._rebuild_from_type_v2" =>
        {
            called(function, &arguments.values)
        }
        ("torch.Size", [sizes @ Tuple(_)]) => sizes.clone(),
        ("copyreg._reconstructor" | "copy_reg._reconstructor", [Global(class), ..]) => Object(Rc::clone(class)),
        _ => Object(function.into()),
    }
}

fn tensor(storage: &Storage, offset: i64, shape: &[PickleValue], strides: &[PickleValue]) -> Option<StoredTensor> {
    let sizes = |values: &[PickleValue]| -> Option<Vec<usize>> {
        let size = |value: &PickleValue| match value {
            PickleValue::Integer(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        values.iter().map(size).collect()
    };
    if shape.len() != strides.len() || shape.len() > MOST_AXES {
        return None;
    }
    let (shape, strides) = (sizes(shape)?, sizes(strides)?);
    let offset = usize::try_from(offset).ok()?.checked_add(storage.start)?;
    Some(StoredTensor { kind: storage.kind, storage: Rc::clone(&storage.key), offset, shape, strides })
}

impl StoredTensor {
    /// Its values in the order of its axes, out of all of its storage; nothing where they are not all there.
    pub(super) fn gathered(&self, storage: &[u8]) -> Option<Vec<u8>> {
        let size = self.kind.bitsize() / 8;
        let count = self.shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size))?;
        // A tensor may repeat values of its storage, as a small file that means a huge tensor does: no state dict needs that.
        if count.checked_mul(size)? > storage.len() {
            return None;
        }
        let mut bytes = Vec::with_capacity(count * size);
        let mut place = vec![0usize; self.shape.len()];
        for _ in 0..count {
            let mut at = self.offset;
            for (index, stride) in place.iter().zip(&self.strides) {
                at = at.checked_add(index.checked_mul(*stride)?)?;
            }
            let start = at.checked_mul(size)?;
            bytes.extend(storage.get(start..start.checked_add(size)?)?);
            for axis in (0..place.len()).rev() {
                place[axis] += 1;
                if place[axis] < self.shape[axis] {
                    break;
                }
                place[axis] = 0;
            }
        }
        Some(bytes)
    }
}
