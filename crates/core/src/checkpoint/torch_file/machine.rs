//! The stack machine of pickles, as far as files of tensors need it: Python's `pickletools` describes each operation.
//!
//! It calls nothing, imports nothing and makes nothing but the values below.

use std::collections::HashMap;
use std::rc::Rc;

use super::values::{Nested, PickleValue, called, global, long, persistent};

/// More values than any state dict has, those that were let go of among them: a file that makes more is no state dict.
const MOST_VALUES: usize = 10_000_000;
/// Tuples within tuples. Each level takes stack where a value is let go of.
const DEEPEST: usize = 64;

/// Runs pickles.
#[derive(Debug, Default)]
pub(super) struct PickleMachine {
    stack: Vec<PickleValue>,
    marks: Vec<usize>,
    memo: HashMap<usize, PickleValue>,
    /// Bytes of a value of each storage that was named.
    pub(super) sizes: HashMap<Rc<str>, usize>,
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

    /// The values of a list or tuple, if it is one.
    pub(super) fn sequence<'v>(&'v self, value: &'v PickleValue) -> Option<&'v [PickleValue]> {
        match value {
            PickleValue::List(place) => self.lists.get(*place).map(Vec::as_slice),
            PickleValue::Tuple(nested) => Some(&nested.values),
            _ => None,
        }
    }

    /// Runs the pickle that `pickle` begins with to its end, and gives what it made and what follows. Lists and dictionaries of
    /// earlier ones stay.
    pub(super) fn run<'p>(&mut self, pickle: &'p [u8]) -> Done<(PickleValue, &'p [u8])> {
        let mut reader = PickleReader { bytes: pickle };
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        loop {
            let operation = reader.take(1)?[0];
            if operation == b'.' {
                return Ok((self.pop()?, reader.bytes));
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
            // LONG1, LONG4
            0x8a | 0x8b => {
                let length = reader.number(if operation == 0x8a { 1 } else { 4 })?;
                long(reader.take(length)?)
            }
            // INT, LONG, FLOAT, STRING and UNICODE as lines of text
            b'I' | b'L' => {
                let line = reader.line()?;
                line.trim_end_matches('L').parse().map_or(PickleValue::Other, PickleValue::Integer)
            }
            b'F' => reader.line().map(|_| PickleValue::Other)?,
            b'S' => PickleValue::Text(reader.line()?.trim_matches(['\'', '"']).into()),
            b'V' => PickleValue::Text(reader.line()?.into()),
            b'G' => {
                reader.take(8)?;
                PickleValue::Other
            }
            // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8, BINSTRING, SHORT_BINSTRING, and bytes, which are no names
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
            b'C' | b'B' | 0x8e | 0x96 => {
                let length = reader.number(match operation {
                    b'C' => 1,
                    b'B' => 4,
                    _ => 8,
                })?;
                reader.take(length)?;
                PickleValue::Other
            }
            // NEXT_BUFFER, READONLY_BUFFER: bytes that stand elsewhere
            0x97 => PickleValue::Other,
            0x98 => return Ok(()),
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
            // PUT, BINPUT, LONG_BINPUT, MEMOIZE, GET, BINGET, LONG_BINGET
            b'p' | b'g' => {
                let place = reader.line()?.parse().map_err(|_| "it keeps something under no number")?;
                return if operation == b'p' { self.remember(place) } else { self.recall(place) };
            }
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
            // REDUCE, NEWOBJ, NEWOBJ_EX, INST, OBJ, BUILD, BINPERSID
            b'R' | 0x81 => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.call(&function, &arguments)
            }
            0x92 => {
                let (_, arguments, function) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(&function, &arguments)
            }
            b'i' => {
                let (module, name) = (reader.line()?, reader.line()?);
                self.since_mark()?;
                object(&global(&module, &name))
            }
            b'o' => self.since_mark()?.first().map_or(PickleValue::Other, object),
            b'b' => {
                // The state of an object: an ordered dictionary has its attributes there, which are no entries.
                return self.pop().map(|_| ());
            }
            b'Q' => {
                let identity = self.pop()?;
                let sizes = &mut self.sizes;
                persistent(&identity, |key, size| {
                    sizes.insert(Rc::clone(key), size);
                })
            }
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

    /// What a function makes of its arguments, as far as it is known.
    fn call(&mut self, function: &PickleValue, arguments: &PickleValue) -> PickleValue {
        let (PickleValue::Global(name), PickleValue::Tuple(arguments)) = (function, arguments) else {
            return PickleValue::Other;
        };
        match (&**name, arguments.values.as_slice()) {
            ("collections.OrderedDict" | "__builtin__.dict" | "builtins.dict", []) => self.new_dictionary(),
            ("collections.defaultdict", _) => self.new_dictionary(),
            // As Python 2 wrote it.
            ("collections.OrderedDict" | "__builtin__.dict" | "builtins.dict", [pairs]) => {
                let pair = |pair: &PickleValue| match self.sequence(pair) {
                    Some([key, value]) => Some((key.clone(), value.clone())),
                    _ => None,
                };
                let pairs: Vec<_> = self.sequence(pairs).unwrap_or_default().iter().filter_map(pair).collect();
                // The same list may be given again and again.
                self.made = self.made.saturating_add(pairs.len());
                self.dictionaries.push(pairs);
                PickleValue::Dictionary(self.dictionaries.len() - 1)
            }
            (name, arguments) => called(name, arguments),
        }
    }
}

/// An object of a class whose arguments do not matter.
fn object(class: &PickleValue) -> PickleValue {
    match class {
        PickleValue::Global(class) => PickleValue::Object(Rc::clone(class)),
        _ => PickleValue::Other,
    }
}
