//! The stack machine of pickles, as far as files of tensors need it: Python's `pickletools` describes each operation.
//!
//! It calls nothing, imports nothing and makes nothing but the values below.

use std::rc::Rc;

use safetensors::Dtype;

/// More values than any state dict has, those that were let go of among them: a file that makes more is no state dict.
const MOST_VALUES: usize = 10_000_000;
/// Tuples within tuples. Each level takes stack where a value is let go of.
const DEEPEST: usize = 64;
/// Bytes of a name: of a tensor, a function, a file of the archive. A file may name a long one again and again.
const LONGEST_NAME: usize = 4096;
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
    /// Something that would take running code to make.
    Other,
}

/// The values of a tuple.
#[derive(Debug)]
pub(super) struct Nested {
    values: Vec<PickleValue>,
    /// Levels of tuples, this one among them. Lists and dictionaries are positions, which end it.
    depth: usize,
}

/// Where the values of tensors lie.
#[derive(Debug)]
pub(super) struct Storage {
    kind: Dtype,
    key: String,
}

/// A tensor: which values of its storage it is.
#[derive(Debug)]
pub(super) struct StoredTensor {
    /// Type of its values.
    pub(super) kind: Dtype,
    /// Name of the file of its storage.
    pub(super) storage: String,
    /// Its first value.
    pub(super) offset: usize,
    /// Its shape.
    pub(super) shape: Vec<usize>,
    /// Values from one to the next along each axis.
    pub(super) strides: Vec<usize>,
}

/// Runs pickles.
#[derive(Debug, Default)]
pub(super) struct PickleMachine {
    stack: Vec<PickleValue>,
    marks: Vec<usize>,
    memo: std::collections::HashMap<usize, PickleValue>,
    lists: Vec<Vec<PickleValue>>,
    dictionaries: Vec<Vec<(PickleValue, PickleValue)>>,
    /// Values made so far.
    made: usize,
}

type Done<T> = Result<T, String>;

/// Reads the pickle from its beginning.
struct PickleReader<'p> {
    bytes: &'p [u8],
}

impl<'p> PickleReader<'p> {
    fn take(&mut self, count: usize) -> Done<&'p [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or("it ends too early")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Done<usize> {
        let mut wide = [0; 8];
        wide[..bytes].copy_from_slice(self.take(bytes)?);
        usize::try_from(u64::from_le_bytes(wide)).map_err(|_| "a number is too large".to_string())
    }

    fn text(&mut self, length: usize) -> Done<PickleValue> {
        let bytes = self.take(length)?;
        Ok(PickleValue::Text(String::from_utf8_lossy(bytes).into()))
    }

    fn line(&mut self) -> Done<String> {
        let length = self.bytes.iter().position(|byte| *byte == b'\n').ok_or("it ends too early")?;
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(line)
    }
}

impl PickleMachine {
    /// The entries of a dictionary, if it is one.
    pub(super) fn dictionary(&self, value: &PickleValue) -> Option<&[(PickleValue, PickleValue)]> {
        match value {
            PickleValue::Dictionary(place) => self.dictionaries.get(*place).map(Vec::as_slice),
            _ => None,
        }
    }

    /// Runs a pickle to its end, and gives what it made.
    pub(super) fn run(&mut self, pickle: &[u8]) -> Done<PickleValue> {
        let mut reader = PickleReader { bytes: pickle };
        loop {
            let operation = reader.take(1)?[0];
            if operation == b'.' {
                return self.pop();
            }
            self.step(operation, &mut reader)?;
            self.made += 1;
            if self.made > MOST_VALUES {
                return Err("it makes too many values".into());
            }
        }
    }

    fn pop(&mut self) -> Done<PickleValue> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("it takes what it has not made".into());
        }
        self.stack.pop().ok_or_else(|| "it takes what it has not made".into())
    }

    /// What was made since the last mark.
    fn since_mark(&mut self) -> Done<Vec<PickleValue>> {
        let mark = self.marks.pop().ok_or("it looks for a mark that it has not set")?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Done<()> {
        let mut values = (0..count).map(|_| self.pop()).collect::<Done<Vec<PickleValue>>>()?;
        values.reverse();
        self.push_tuple(values)
    }

    fn push_tuple(&mut self, values: Vec<PickleValue>) -> Done<()> {
        let inner = values.iter().map(|value| match value {
            PickleValue::Tuple(nested) => nested.depth,
            _ => 0,
        });
        let depth = 1 + inner.max().unwrap_or(0);
        if depth > DEEPEST {
            return Err(format!("it nests tuples more than {DEEPEST} deep"));
        }
        self.stack.push(PickleValue::Tuple(Rc::new(Nested { values, depth })));
        Ok(())
    }

    fn append(&mut self, values: Vec<PickleValue>) -> Done<()> {
        // To something else, which would take code, it is lost.
        if let Some(PickleValue::List(place)) = self.stack.last() {
            self.lists[*place].extend(values);
        }
        Ok(())
    }

    fn set(&mut self, values: Vec<PickleValue>) -> Done<()> {
        if let Some(PickleValue::Dictionary(place)) = self.stack.last() {
            let pairs = values.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            self.dictionaries[*place].extend(pairs);
        }
        Ok(())
    }

    fn remember(&mut self, place: usize) -> Done<()> {
        let value = self.stack.last().ok_or("it remembers nothing")?.clone();
        self.memo.insert(place, value);
        Ok(())
    }

    fn recall(&mut self, place: usize) -> Done<()> {
        let value = self.memo.get(&place).ok_or("it recalls what it has not kept")?.clone();
        self.stack.push(value);
        Ok(())
    }

    fn step(&mut self, operation: u8, reader: &mut PickleReader) -> Done<()> {
        let value = match operation {
            // PROTO, FRAME
            0x80 => return reader.take(1).map(|_| ()),
            0x95 => return reader.take(8).map(|_| ()),
            // MARK, POP, POP_MARK, DUP
            b'(' => {
                self.marks.push(self.stack.len());
                return Ok(());
            }
            b'0' => return self.pop().map(|_| ()),
            b'1' => return self.since_mark().map(|_| ()),
            b'2' => self.stack.last().ok_or("it doubles nothing")?.clone(),
            // NONE, NEWTRUE, NEWFALSE, BININT, BININT1, BININT2, LONG1, BINFLOAT
            b'N' => PickleValue::Nothing,
            0x88 => PickleValue::Integer(1),
            0x89 => PickleValue::Integer(0),
            b'J' => {
                let bytes = reader.take(4)?;
                PickleValue::Integer(i64::from(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])))
            }
            b'K' => PickleValue::Integer(reader.number(1)? as i64),
            b'M' => PickleValue::Integer(reader.number(2)? as i64),
            0x8a => {
                let length = reader.number(1)?;
                long(reader.take(length)?)
            }
            b'G' => {
                reader.take(8)?;
                PickleValue::Other
            }
            // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8, and bytes, which are no names.
            b'X' | b'T' => {
                let length = reader.number(4)?;
                reader.text(length)?
            }
            0x8c | b'U' => {
                let length = reader.number(1)?;
                reader.text(length)?
            }
            0x8d => {
                let length = reader.number(8)?;
                reader.text(length)?
            }
            b'C' | b'B' | 0x8e => {
                let length = reader.number(match operation {
                    b'C' => 1,
                    b'B' => 4,
                    _ => 8,
                })?;
                reader.take(length)?;
                PickleValue::Other
            }
            // EMPTY_TUPLE, TUPLE, TUPLE1 to TUPLE3
            b')' => return self.push_tuple(Vec::new()),
            b't' => {
                let values = self.since_mark()?;
                return self.push_tuple(values);
            }
            0x85..=0x87 => return self.tuple(usize::from(operation - 0x84)),
            // EMPTY_LIST, LIST, APPEND, APPENDS
            b']' => self.list(Vec::new()),
            b'l' => {
                let values = self.since_mark()?;
                self.list(values)
            }
            b'a' => {
                let value = self.pop()?;
                return self.append(vec![value]);
            }
            b'e' => {
                let values = self.since_mark()?;
                return self.append(values);
            }
            // EMPTY_DICT, DICT, SETITEM, SETITEMS
            b'}' => self.new_dictionary(),
            b'd' => {
                let (values, dictionary) = (self.since_mark()?, self.new_dictionary());
                self.stack.push(dictionary);
                return self.set(values);
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                return self.set(vec![key, value]);
            }
            b'u' => {
                let values = self.since_mark()?;
                return self.set(values);
            }
            // EMPTY_SET, ADDITEMS, FROZENSET
            0x8f => PickleValue::Other,
            0x90 => return self.since_mark().map(|_| ()),
            0x91 => {
                self.since_mark()?;
                PickleValue::Other
            }
            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
            b'q' => {
                let place = reader.number(1)?;
                return self.remember(place);
            }
            b'r' => {
                let place = reader.number(4)?;
                return self.remember(place);
            }
            0x94 => return self.remember(self.memo.len()),
            b'h' => {
                let place = reader.number(1)?;
                return self.recall(place);
            }
            b'j' => {
                let place = reader.number(4)?;
                return self.recall(place);
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (reader.line()?, reader.line()?);
                global(&module, &name)
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (PickleValue::Text(name), PickleValue::Text(module)) => global(&module, &name),
                _ => PickleValue::Other,
            },
            // REDUCE, NEWOBJ, BUILD, BINPERSID
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(&function, &arguments)
            }
            b'b' => {
                // The state of an object: an ordered dictionary has its attributes there, which are no entries.
                return self.pop().map(|_| ());
            }
            b'Q' => storage(&self.pop()?),
            other => return Err(format!("operation {other:#04x} is unknown")),
        };
        self.stack.push(value);
        Ok(())
    }

    fn list(&mut self, values: Vec<PickleValue>) -> PickleValue {
        self.lists.push(values);
        PickleValue::List(self.lists.len() - 1)
    }

    fn new_dictionary(&mut self) -> PickleValue {
        self.dictionaries.push(Vec::new());
        PickleValue::Dictionary(self.dictionaries.len() - 1)
    }

    /// What one of the known functions makes of its arguments.
    fn call(&mut self, function: &PickleValue, arguments: &PickleValue) -> PickleValue {
        let (PickleValue::Global(name), PickleValue::Tuple(arguments)) = (function, arguments) else {
            return PickleValue::Other;
        };
        match (&**name, arguments.values.as_slice()) {
            ("collections.OrderedDict", []) => self.new_dictionary(),
            (
                "torch._utils._rebuild_tensor_v2",
                [
                    PickleValue::Storage(storage),
                    PickleValue::Integer(offset),
                    PickleValue::Tuple(shape),
                    PickleValue::Tuple(strides),
                    ..,
                ],
            ) => tensor(storage, *offset, &shape.values, &strides.values)
                .map_or(PickleValue::Other, |tensor| PickleValue::Tensor(Rc::new(tensor))),
            ("torch._utils._rebuild_parameter", [tensor @ PickleValue::Tensor(_), ..]) => tensor.clone(),
            _ => PickleValue::Other,
        }
    }
}

/// A name that is asked for; one that is too long is none that is known.
fn global(module: &str, name: &str) -> PickleValue {
    match module.len() + name.len() <= LONGEST_NAME {
        true => PickleValue::Global(format!("{module}.{name}").into()),
        false => PickleValue::Other,
    }
}

fn long(bytes: &[u8]) -> PickleValue {
    if bytes.len() > 8 {
        return PickleValue::Other;
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = if negative { [0xff; 8] } else { [0; 8] };
    wide[..bytes.len()].copy_from_slice(bytes);
    PickleValue::Integer(i64::from_le_bytes(wide))
}

/// `("storage", type, key, device, count)`: what PyTorch writes for the values of tensors.
fn storage(identity: &PickleValue) -> PickleValue {
    let PickleValue::Tuple(parts) = identity else { return PickleValue::Other };
    let [PickleValue::Text(word), PickleValue::Global(kind), PickleValue::Text(key), ..] = parts.values.as_slice()
    else {
        return PickleValue::Other;
    };
    if key.len() > LONGEST_NAME {
        return PickleValue::Other;
    }
    let kind = match kind.strip_prefix("torch.").and_then(|kind| kind.strip_suffix("Storage")) {
        Some("Float") => Dtype::F32,
        Some("Double") => Dtype::F64,
        Some("Half") => Dtype::F16,
        Some("BFloat16") => Dtype::BF16,
        Some("Long") => Dtype::I64,
        Some("Int") => Dtype::I32,
        Some("Short") => Dtype::I16,
        Some("Char") => Dtype::I8,
        Some("Byte") => Dtype::U8,
        Some("Bool") => Dtype::BOOL,
        _ => return PickleValue::Other,
    };
    match &**word {
        "storage" => PickleValue::Storage(Rc::new(Storage { kind, key: key.to_string() })),
        _ => PickleValue::Other,
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
    let offset = usize::try_from(offset).ok()?;
    let storage_name = storage.key.clone();
    Some(StoredTensor { kind: storage.kind, storage: storage_name, offset, shape, strides })
}
