//! Files in the forms of `torch.save`, put together by hand for tests.

use crate::checkpoint::zipped::archive;

/// What is put into a file.
#[derive(Clone)]
pub(super) enum Made {
    Number(u16),
    /// Type of the storage, shape, bytes.
    Tensor(&'static str, Vec<usize>, Vec<u8>),
    Dictionary(Vec<(String, Made)>),
    /// An object of this module and class.
    Object(&'static str, &'static str),
}

/// A tensor of float32.
pub(super) fn floats(shape: &[usize], values: &[f32]) -> Made {
    Made::Tensor("Float", shape.to_vec(), values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// A tensor of int64 without axes.
pub(super) fn count(value: i64) -> Made {
    Made::Tensor("Long", Vec::new(), value.to_le_bytes().to_vec())
}

pub(super) fn dictionary<N: Into<String>>(entries: impl IntoIterator<Item = (N, Made)>) -> Made {
    Made::Dictionary(entries.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

/// A pickle, and the storages that it names.
#[derive(Default)]
struct Pickled {
    code: Vec<u8>,
    storages: Vec<Vec<u8>>,
    old: bool,
}

impl Pickled {
    fn text(&mut self, text: &str) {
        self.code.push(b'X');
        self.code.extend((text.len() as u32).to_le_bytes());
        self.code.extend(text.as_bytes());
    }

    fn numbers(&mut self, numbers: impl Iterator<Item = usize>) {
        self.code.push(b'(');
        numbers.for_each(|number| self.code.extend([&b"J"[..], &(number as u32).to_le_bytes()].concat()));
        self.code.push(b't');
    }

    fn put(&mut self, value: &Made) {
        match value {
            Made::Number(number) => self.code.extend([&b"M"[..], &number.to_le_bytes()].concat()),
            Made::Object(module, class) => self.code.extend(
                format!("c{module}\n{class}\n)\u{1}}}b").bytes().map(|byte| if byte == 1 { 0x81 } else { byte }),
            ),
            Made::Dictionary(entries) => {
                self.code.extend(b"ccollections\nOrderedDict\n)R(");
                for (name, value) in entries {
                    self.text(name);
                    self.put(value);
                }
                self.code.push(b'u');
            }
            Made::Tensor(kind, shape, bytes) => {
                let (function, end) = if self.old { ("_rebuild_tensor", "") } else { ("_rebuild_tensor_v2", "end") };
                self.code.extend(format!("ctorch._utils\n{function}\n((").bytes());
                self.text("storage");
                self.code.extend(format!("ctorch\n{kind}Storage\n").bytes());
                self.text(&format!("key{}", self.storages.len()));
                self.text("cpu");
                self.code.extend([&b"J"[..], &(shape.iter().product::<usize>() as u32).to_le_bytes()].concat());
                // Old files say of which part of a storage.
                if self.old {
                    self.code.push(b'N');
                }
                self.code.extend(b"tQK\0");
                self.numbers(shape.iter().copied());
                self.numbers((0..shape.len()).map(|axis| shape[axis + 1..].iter().product()));
                if !end.is_empty() {
                    self.code.extend(b"\x89ccollections\nOrderedDict\n)R");
                }
                self.code.extend(b"tR");
                self.storages.push(bytes.clone());
            }
        }
    }
}

/// As PyTorch writes it since 1.6.
pub(super) fn zipped(value: &Made) -> Vec<u8> {
    let mut made = Pickled { code: b"\x80\x02".to_vec(), ..Pickled::default() };
    made.put(value);
    made.code.push(b'.');
    let storages = made.storages.into_iter().enumerate().map(|(key, bytes)| (format!("a/data/key{key}"), bytes));
    archive([("a/data.pkl".to_string(), made.code)].into_iter().chain(storages), "").unwrap()
}

/// As it wrote it before.
pub(super) fn legacy(value: &Made) -> Vec<u8> {
    let mut made = Pickled { old: true, ..Pickled::default() };
    made.code.extend(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02");
    made.put(value);
    made.code.extend(b".\x80\x02](");
    for key in 0..made.storages.len() {
        made.text(&format!("key{key}"));
    }
    made.code.extend(b"e.");
    let sizes = storage_sizes(value);
    for (bytes, size) in made.storages.iter().zip(sizes) {
        made.code.extend(((bytes.len() / size) as u64).to_le_bytes());
        made.code.extend(bytes);
    }
    made.code
}

/// Bytes of a value of each tensor, in their order.
fn storage_sizes(value: &Made) -> Vec<usize> {
    match value {
        Made::Number(_) | Made::Object(..) => Vec::new(),
        Made::Dictionary(entries) => entries.iter().flat_map(|(_, value)| storage_sizes(value)).collect(),
        Made::Tensor(kind, ..) => vec![match *kind {
            "Double" | "Long" => 8,
            "Half" | "BFloat16" => 2,
            "Byte" | "Bool" | "Char" => 1,
            _ => 4,
        }],
    }
}
