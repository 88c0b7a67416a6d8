//! The tensors of a file in the dictionaries in which they stand: names, types and shapes, before any value is read.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use safetensors::{Dtype, SafeTensors};

use super::npz::{self, NumpyArray};
use super::torch_file::{self, StoredTable, StoredTensor, TorchFile};
use crate::onnx;
use tombola_words::error::{Error, Result};

/// Version of the metadata of files of ours.
pub(crate) const VERSION: &str = "1";

/// A tensor of a file.
#[derive(Debug, Clone)]
pub(super) struct FileTensor {
    pub(super) name: Rc<str>,
    pub(super) kind: Dtype,
    pub(super) shape: Rc<[usize]>,
    values: ValuePlace,
}

/// Where the values of a tensor are.
#[derive(Debug, Clone)]
enum ValuePlace {
    /// In the bytes of the file.
    Bytes(Range<usize>),
    /// In a storage of a file of PyTorch.
    Stored(Rc<StoredTensor>),
    /// Here.
    Own(Rc<[u8]>),
}

/// A dictionary of tensors.
#[derive(Debug)]
pub(super) struct TensorTable {
    /// The keys that lead to it, joined by dots; nothing for the outermost one.
    pub(super) place: String,
    /// In the order in which the file has them, each name once.
    pub(super) tensors: Vec<FileTensor>,
}

/// A file of tensors, of any kind that is read.
#[derive(Debug)]
pub(super) struct TensorFile<'a> {
    pub(super) path: &'a Path,
    bytes: &'a [u8],
    pub(super) tables: Vec<TensorTable>,
    /// Facts that stand in a safetensors file.
    pub(super) facts: HashMap<String, String>,
    /// Whether the order of the tensors is that in which they were made.
    pub(super) ordered: bool,
    torch: Option<TorchFile<'a>>,
}

impl<'a> TensorFile<'a> {
    /// Reads what tensors are in `bytes`, which `path` holds.
    ///
    /// # Errors
    /// When it is no such file, a damaged one, or one without tensors by name.
    pub(super) fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        if torch_file::is_one(bytes) {
            let torch = TorchFile::open(path, bytes)?;
            let tensor = |(name, stored): &(Rc<str>, Rc<StoredTensor>)| FileTensor {
                name: Rc::clone(name),
                kind: stored.kind,
                shape: stored.shape.as_slice().into(),
                values: ValuePlace::Stored(Rc::clone(stored)),
            };
            let table = |(keys, tensors): &StoredTable| TensorTable {
                place: keys.join("."),
                tensors: tensors.iter().map(tensor).collect(),
            };
            let tables = torch.tables.iter().map(table).collect();
            return Ok(Self { path, bytes, tables, facts: HashMap::new(), ordered: true, torch: Some(torch) });
        }
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx")) {
            let state = onnx::onnx_state(bytes).map_err(|error| error.at(format!("`{}`", path.display())))?;
            let tensor = |tensor: onnx::OnnxTensor| FileTensor {
                name: tensor.name.into(),
                kind: Dtype::F32,
                shape: tensor.shape.into(),
                values: ValuePlace::Own(tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            };
            let tables = vec![TensorTable { place: String::new(), tensors: state.into_iter().map(tensor).collect() }];
            return Ok(Self { path, bytes, tables, facts: HashMap::new(), ordered: false, torch: None });
        }
        torch_file::refuse_others(path, bytes)?;
        let damaged = |error| {
            Error::input(format!("`{}` is no safetensors file, or a damaged one: {error}", path.display()))
                .hint(torch_file::CURE)
        };
        let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        SafeTensors::deserialize(bytes).map_err(damaged)?;
        let facts = metadata.metadata().clone().unwrap_or_default();
        if let Some(other) = facts.get("tombola").filter(|version| *version != VERSION) {
            return Err(Error::input(format!("`{}` is of version {other}, expected {VERSION}", path.display()))
                .hint("read it with the version of Tombola that wrote it"));
        }
        let begin = header + 8;
        let tensors = metadata.tensors().into_iter().map(|(name, info)| FileTensor {
            name: name.into(),
            kind: info.dtype,
            shape: info.shape.as_slice().into(),
            values: ValuePlace::Bytes(begin + info.data_offsets.0..begin + info.data_offsets.1),
        });
        let mut tensors: Vec<FileTensor> = tensors.collect();
        tensors.sort_by(|one, other| natural(&one.name).cmp(&natural(&other.name)));
        if tensors.is_empty() {
            return Err(Error::input(format!("`{}` holds no tensors", path.display())).hint(torch_file::CURE));
        }
        let tables = vec![TensorTable { place: String::new(), tensors }];
        Ok(Self { path, bytes, tables, facts, ordered: false, torch: None })
    }

    /// As [`TensorFile::open`], where arrays of NumPy are read as well.
    ///
    /// # Errors
    /// As there.
    pub(super) fn of_masks(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let arrays = npz::arrays(path, bytes)?;
        if arrays.is_empty() {
            return Self::open(path, bytes);
        }
        let tensor = |array: NumpyArray| FileTensor {
            name: array.name.into(),
            kind: array.kind,
            shape: array.shape.into(),
            values: ValuePlace::Own(array.bytes.into()),
        };
        let tables = vec![TensorTable { place: String::new(), tensors: arrays.into_iter().map(tensor).collect() }];
        Ok(Self { path, bytes, tables, facts: HashMap::new(), ordered: false, torch: None })
    }

    /// The bytes of a tensor's values, in the order of its axes.
    ///
    /// # Errors
    /// When they are not all there.
    pub(super) fn bytes_of(&mut self, tensor: &FileTensor) -> Result<Vec<u8>> {
        let beyond = || {
            Error::input(format!(
                "`{}` is damaged: tensor `{}` goes beyond its bytes",
                self.path.display(),
                tensor.name
            ))
        };
        match (&tensor.values, &mut self.torch) {
            (ValuePlace::Bytes(range), _) => self.bytes.get(range.clone()).map(<[u8]>::to_vec).ok_or_else(beyond),
            (ValuePlace::Own(bytes), _) => Ok(bytes.to_vec()),
            (ValuePlace::Stored(stored), Some(torch)) => torch.values(&tensor.name, stored),
            (ValuePlace::Stored(_), None) => Err(beyond()),
        }
    }
}

/// What a name is sorted by, so that 2 comes before 10.
pub(super) fn natural(name: &str) -> Vec<(&str, usize)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let words = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let (word, digits) = rest.split_at(words);
        let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
        let (number, after) = digits.split_at(end);
        parts.push((word, number.parse().unwrap_or(0)));
        rest = after;
    }
    parts
}
