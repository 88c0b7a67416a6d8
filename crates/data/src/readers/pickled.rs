//! The few words of pickle that the Python versions of CIFAR are written in, read as data: nothing is ever called, and nothing is known
//! but dictionaries, lists, tuples, numbers, text and arrays of NumPy. Any other word is refused by its name.
//!
//! A pickle is a program of a machine with a stack (Python's `pickletools.py` describes it). Long texts, the pixels, stay in the file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::source::{ByteSource, Compression};
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// A text that is longer stays in the file.
const MOST_HELD: u64 = 1 << 12;
/// Words that a pickle may have; that of CIFAR-100 has half a million.
const MOST_WORDS: usize = 4 << 20;

/// What a pickle may say.
#[derive(Debug, Clone)]
pub(super) enum Pickled {
    None,
    Bool(bool),
    Whole(i64),
    /// Short text or bytes.
    Text(Vec<u8>),
    /// Long text or bytes, which lie in the file.
    Long(ByteSource),
    Tuple(Vec<usize>),
    List(Vec<usize>),
    /// Keys and values.
    Dictionary(Vec<(usize, usize)>),
    /// A name of Python's that stands for something known.
    Name(PickleName),
    /// An array of NumPy: the tuple of its version, shape, type, order and values, once it is said.
    Array(Option<usize>),
    /// A type of NumPy: its letters.
    Kind(Vec<u8>),
}

/// The names that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PickleName {
    Reconstruct,
    Ndarray,
    Dtype,
    Encode,
}

/// All that a pickle made, and the last of it.
#[derive(Debug)]
pub(super) struct PickleContent {
    nodes: Vec<Pickled>,
    pub(super) root: usize,
}

impl PickleContent {
    /// Reads a file.
    ///
    /// # Errors
    /// A word that is not known, and a file that is damaged.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let at = |error: Error| error.at(format!("`{}`", path.display()));
        let failed = |error| Error::file("read", path, &error);
        let file = regular::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut machine = CifarPickle {
            path,
            reader: BufReader::new(file),
            place: 0,
            length,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memory: HashMap::new(),
        };
        let root = machine.run().map_err(at)?;
        Ok(Self { nodes: machine.nodes, root })
    }

    /// One of the things.
    pub(super) fn node(&self, index: usize) -> Option<&Pickled> {
        self.nodes.get(index)
    }

    /// What a dictionary has under a key.
    pub(super) fn value(&self, dictionary: usize, key: &str) -> Option<&Pickled> {
        let Pickled::Dictionary(entries) = self.node(dictionary)? else { return None };
        let is = |node: usize| matches!(self.node(node), Some(Pickled::Text(text)) if text == key.as_bytes());
        entries.iter().find(|(name, _)| is(*name)).and_then(|(_, value)| self.node(*value))
    }

    /// The whole numbers of a list or tuple; none if there is anything else in it.
    pub(super) fn numbers(&self, list: &Pickled) -> Option<Vec<i64>> {
        let (Pickled::List(items) | Pickled::Tuple(items)) = list else { return None };
        let number = |index: &usize| match self.node(*index)? {
            Pickled::Whole(number) => Some(*number),
            _ => None,
        };
        items.iter().map(number).collect()
    }

    /// Shape and bytes of an array of bytes in C's order.
    pub(super) fn bytes(&self, array: &Pickled) -> Option<(Vec<usize>, ByteSource)> {
        let Pickled::Array(Some(state)) = array else { return None };
        let Pickled::Tuple(state) = self.node(*state)? else { return None };
        let [_, shape, kind, fortran, values] = *state.as_slice() else { return None };
        let shape = self.numbers(self.node(shape)?)?.into_iter().map(|size| usize::try_from(size).ok());
        let is_bytes = matches!(self.node(kind)?, Pickled::Kind(letters) if letters == b"u1");
        let in_order = matches!(self.node(fortran)?, Pickled::Bool(false) | Pickled::Whole(0));
        let source = match self.node(values)? {
            Pickled::Long(source) => source.clone(),
            Pickled::Text(bytes) => ByteSource::of_memory(bytes.clone()),
            _ => return None,
        };
        Some((shape.collect::<Option<Vec<usize>>>()?, source)).filter(|_| is_bytes && in_order)
    }
}

struct CifarPickle<'a> {
    path: &'a Path,
    reader: BufReader<File>,
    place: u64,
    length: u64,
    nodes: Vec<Pickled>,
    stack: Vec<usize>,
    marks: Vec<usize>,
    memory: HashMap<u32, usize>,
}

impl CifarPickle<'_> {
    /// Runs to the end, and says what is on the stack then.
    fn run(&mut self) -> Result<usize> {
        for _ in 0..MOST_WORDS {
            let [word] = self.bytes()?;
            if word == b'.' {
                return self.pop();
            }
            self.step(word)?;
        }
        Err(damaged("it has more in it than any set of CIFAR"))
    }

    fn step(&mut self, word: u8) -> Result<()> {
        match word {
            0x80 => match self.bytes()? {
                [2] => Ok(()),
                [version] => Err(refused(&format!("protocol {version}"))),
            },
            b'N' => self.push(Pickled::None),
            0x88 => self.push(Pickled::Bool(true)),
            0x89 => self.push(Pickled::Bool(false)),
            b'K' => self.bytes().map(|[byte]| i64::from(byte)).and_then(|number| self.push(Pickled::Whole(number))),
            b'M' => {
                let number = u16::from_le_bytes(self.bytes()?);
                self.push(Pickled::Whole(number.into()))
            }
            b'J' => {
                let number = i32::from_le_bytes(self.bytes()?);
                self.push(Pickled::Whole(number.into()))
            }
            b'U' => self.bytes().map(|[length]| u64::from(length)).and_then(|length| self.text(length, false)),
            b'T' | b'X' => {
                let length = u32::from_le_bytes(self.bytes()?);
                self.text(length.into(), word == b'X')
            }
            b']' => self.push(Pickled::List(Vec::new())),
            b'}' => self.push(Pickled::Dictionary(Vec::new())),
            b')' => self.push(Pickled::Tuple(Vec::new())),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b't' => {
                let items = self.since_mark()?;
                self.push(Pickled::Tuple(items))
            }
            0x85..=0x87 => {
                let start =
                    self.stack.len().checked_sub(usize::from(word - 0x84)).filter(|start| *start >= self.floor());
                let items = self.stack.split_off(start.ok_or_else(|| damaged("a tuple lacks its parts"))?);
                self.push(Pickled::Tuple(items))
            }
            b'q' => self.bytes().and_then(|[key]| self.remember(key.into())),
            b'r' => {
                let key = u32::from_le_bytes(self.bytes()?);
                self.remember(key)
            }
            b'h' => self.bytes().and_then(|[key]| self.recall(key.into())),
            b'j' => {
                let key = u32::from_le_bytes(self.bytes()?);
                self.recall(key)
            }
            b'a' | b'e' => {
                let items = if word == b'a' { vec![self.pop()?] } else { self.since_mark()? };
                match self.top()? {
                    Pickled::List(list) => list.extend(items),
                    _ => return Err(damaged("something is added to what is no list")),
                }
                Ok(())
            }
            b's' | b'u' => {
                let items = match word {
                    b's' => {
                        let value = self.pop()?;
                        vec![self.pop()?, value]
                    }
                    _ => self.since_mark()?,
                };
                let pairs = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
                match self.top()? {
                    Pickled::Dictionary(entries) if items.len().is_multiple_of(2) => entries.extend(pairs),
                    _ => return Err(damaged("something is put into what is no dictionary")),
                }
                Ok(())
            }
            b'c' => self.name(),
            b'R' => self.call(),
            b'b' => self.build(),
            _ => Err(refused(&format!("the word {word:#04x}"))),
        }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|error| super::source::broken(&error))?;
        self.place += N as u64;
        Ok(bytes)
    }

    fn push(&mut self, node: Pickled) -> Result<()> {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    /// What stands below the last mark is not to be taken.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<usize> {
        if self.stack.len() <= self.floor() {
            return Err(damaged("something is taken that is not there"));
        }
        self.stack.pop().ok_or_else(|| damaged("something is taken that is not there"))
    }

    fn top(&mut self) -> Result<&mut Pickled> {
        let top = self.stack.last().copied().filter(|_| self.stack.len() > self.marks.last().copied().unwrap_or(0));
        top.and_then(|index| self.nodes.get_mut(index)).ok_or_else(|| damaged("something is missing"))
    }

    fn since_mark(&mut self) -> Result<Vec<usize>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or_else(|| damaged("a mark is missing"))?))
    }

    /// Text; Python 3 writes bytes as text of these letters.
    fn text(&mut self, length: u64, unicode: bool) -> Result<()> {
        if length > self.length.saturating_sub(self.place) {
            return Err(damaged("a text would reach beyond the end"));
        }
        let (start, held) = (self.place, length <= MOST_HELD);
        self.place += length;
        if held {
            let mut text = vec![0; length as usize];
            self.reader.read_exact(&mut text).map_err(|error| super::source::broken(&error))?;
            return self.push(Pickled::Text(text));
        }
        self.reader.seek(SeekFrom::Start(self.place)).map_err(|error| super::source::broken(&error))?;
        let packed = if unicode { Compression::Latin } else { Compression::Plain };
        self.push(Pickled::Long(ByteSource::of_part(self.path, start, length, packed)))
    }

    fn remember(&mut self, key: u32) -> Result<()> {
        let top = self.stack.last().copied().ok_or_else(|| damaged("nothing is there to be remembered"))?;
        self.memory.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<()> {
        let known = self.memory.get(&key).copied();
        self.stack.push(known.ok_or_else(|| damaged("something is recalled that was not remembered"))?);
        Ok(())
    }

    /// A name of Python's: of these alone it is known what they mean.
    fn name(&mut self) -> Result<()> {
        let (module, name) = (self.line()?, self.line()?);
        let known = match (module.as_str(), name.as_str()) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => PickleName::Reconstruct,
            ("numpy", "ndarray") => PickleName::Ndarray,
            ("numpy", "dtype") => PickleName::Dtype,
            ("_codecs", "encode") => PickleName::Encode,
            _ => return Err(refused(&format!("`{module}.{name}`"))),
        };
        self.push(Pickled::Name(known))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        loop {
            match self.bytes()? {
                [b'\n'] => return Ok(String::from_utf8_lossy(&line).into_owned()),
                [byte] if line.len() < 100 => line.push(byte),
                _ => return Err(damaged("a name has more than 100 letters")),
            }
        }
    }

    /// What a call of a known name gives; it is not called.
    fn call(&mut self) -> Result<()> {
        let (arguments, called) = (self.pop()?, self.pop()?);
        let Some(Pickled::Tuple(arguments)) = self.nodes.get(arguments) else {
            return Err(damaged("a call has no arguments"));
        };
        let first = arguments.first().and_then(|index| self.nodes.get(*index)).cloned();
        let made = match (self.nodes.get(called), first) {
            (Some(Pickled::Name(PickleName::Reconstruct)), _) => Pickled::Array(None),
            (Some(Pickled::Name(PickleName::Dtype)), Some(Pickled::Text(letters))) => Pickled::Kind(letters),
            (Some(Pickled::Name(PickleName::Encode)), Some(Pickled::Text(text))) => Pickled::Text(latin(&text)?),
            (Some(Pickled::Name(PickleName::Encode)), Some(long @ Pickled::Long(_))) => long,
            _ => return Err(refused("a call of something else")),
        };
        self.push(made)
    }

    /// The state of an array or of a type; that of a type says nothing of bytes.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        match self.top()? {
            Pickled::Array(own) => *own = Some(state),
            Pickled::Kind(_) => {}
            _ => return Err(refused("an object with a state")),
        }
        Ok(())
    }
}

/// The bytes that the letters of a text stand for.
fn latin(text: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(text).map_err(|_| damaged("a text is none"))?;
    let bytes = text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect::<Option<Vec<u8>>>();
    bytes.ok_or_else(|| damaged("a text is none of bytes"))
}

fn damaged(what: &str) -> Error {
    Error::input(format!("is damaged: {what}")).hint(super::source::AGAIN)
}

fn refused(what: &str) -> Error {
    Error::input(format!(
        "is a pickle with {what}, which is not read: of pickles, programs that can do anything, the words of CIFAR alone are known"
    ))
    .hint("save arrays instead: `numpy.savez(\"set.npz\", x=images, y=labels)`")
}

#[cfg(test)]
mod tests;
