//! What a sweep gave in the forms of other programs: tickets as plain PyTorch modules, ONNX, TorchScript and NumPy, tables as
//! Parquet, training curves for TensorBoard. It may not know of command lines.

mod npy;
mod onnx;
pub mod parquet;
pub mod pdf;
mod python;
pub mod tensorboard;

use std::path::Path;

use tombola_core::checkpoint::zipped;
use tombola_core::folder::{Store, write_atomically};
use tombola_core::net::{Graph, Layout, Snapshot};
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};
use tombola_words::record::PixelStatistics;

/// What the file in a file of TorchScript is called that has mean and standard deviation of each channel.
const NORMALISATION: &str = "normalisation.json";

/// What the facts are called that say how images are filtered before they are normalised.
pub const FILTER: (&str, &str) = ("filter", "filter-sigma");

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A state dict as safetensors.
    Safetensors,
    /// A state dict as safetensors, and beside it a file of Python that loads it into a `torch.nn.Module`.
    Python,
    /// A network of ONNX operators, with its weights.
    Onnx,
    /// A network of TorchScript, with its weights.
    TorchScript,
    /// The mask of each pruned layer as an array of NumPy.
    Numpy,
}

/// Every form: its name, and how the names of its files end.
const FORMS: [(Form, &str, &str); 5] = [
    (Form::Safetensors, "safetensors", "safetensors"),
    (Form::Python, "python", "py"),
    (Form::Onnx, "onnx", "onnx"),
    (Form::TorchScript, "torchscript", "pt"),
    (Form::Numpy, "numpy", "npz"),
];

impl Form {
    /// The names of all forms.
    pub fn names() -> [&'static str; FORMS.len()] {
        FORMS.map(|(_, name, _)| name)
    }

    /// The form of this name.
    pub fn named(name: &str) -> Option<Self> {
        FORMS.iter().find(|(_, known, _)| *known == name).map(|(form, ..)| *form)
    }

    /// The form that a file's name ends like.
    ///
    /// # Errors
    /// When it ends like none.
    pub fn of(path: &Path) -> Result<Self> {
        let end = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        FORMS.iter().find(|(_, _, known)| *known == end).map(|(form, ..)| *form).ok_or_else(|| {
            let ends: Vec<String> = FORMS.iter().map(|(_, name, end)| format!("`.{end}` ({name})")).collect();
            Error::input(format!("`{}` does not say what to write: found the ending `{end}`", path.display()))
                .hint(format!("end the name with {}, or say `--kind`", ends.join(", ")))
        })
    }
}

/// Writes a ticket as TorchScript, which takes libtorch.
pub type Script = fn(&Exported, &Path) -> Result<()>;

/// What is written.
#[derive(Debug)]
pub struct Exported<'a> {
    /// Its operations.
    pub graph: &'a Graph,
    /// Where its weights lie.
    pub layout: &'a Layout,
    /// Its weights and statistics, and for [`Form::Numpy`] its mask.
    pub state: &'a Snapshot,
    /// What examples are normalised by before they go in, where it is known.
    pub pixels: Option<&'a PixelStatistics>,
    /// What goes into the metadata of the file, besides.
    pub facts: &'a [(String, String)],
}

impl Exported<'_> {
    /// Writes the file, and gives the names of all that were written.
    ///
    /// # Errors
    /// When a file cannot be written, or there is no mask to write.
    pub fn write(&self, form: Form, path: &Path, script: Script) -> Result<Vec<std::path::PathBuf>> {
        let facts = self.all_facts();
        let mut written = vec![path.to_path_buf()];
        match form {
            Form::Safetensors => Store::export(path, self.state, self.layout, &facts)?,
            Form::Python => {
                let weights = path.with_extension("safetensors");
                Store::export(&weights, self.state, self.layout, &facts)?;
                let name = weights.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let constants = path.with_extension("constants.safetensors");
                let constants_name = constants.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let module = python::module(self, &name, &constants_name)?;
                if let Some(bytes) = module.fixed {
                    write_atomically(&constants, |file| file.write_all(&bytes))?;
                    written.push(constants);
                }
                write_atomically(path, |file| file.write_all(module.text.as_bytes()))?;
                written.push(weights);
            }
            Form::Onnx => {
                let bytes = onnx::model(self);
                write_atomically(path, |file| file.write_all(&bytes))?;
            }
            Form::TorchScript => {
                script(self, path)?;
                self.add_to_script(path).inspect_err(|_| {
                    ignored(
                        std::fs::remove_file(path),
                        "what lacks a part is not what was asked for, and the error tells of it all the same",
                    );
                })?;
            }
            Form::Numpy => {
                let bytes = npy::masks(self)?;
                write_atomically(path, |file| file.write_all(&bytes))?;
            }
        }
        Ok(written)
    }

    /// What goes into the metadata of a file that has any.
    fn all_facts(&self) -> Vec<(&str, String)> {
        let facts = self.facts.iter().map(|(key, value)| (key.as_str(), value.clone()));
        facts.chain(self.pixels.iter().flat_map(|pixels| pixels.named())).collect()
    }

    /// What images are normalised by, as JSON; and how they are filtered before, where they are.
    fn normalisation(&self) -> Option<String> {
        let pairs = self.pixels?.named().map(|(name, values)| format!("\"{name}\": {values}"));
        let fact = |key: &str| self.facts.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let filter = fact(FILTER.0).zip(fact(FILTER.1)).map_or_else(String::new, |(filter, sigma)| {
            format!(", \"{}\": \"{filter}\", \"{}\": {sigma}", FILTER.0, FILTER.1)
        });
        Some(format!("{{{}{filter}}}", pairs.join(", ")))
    }

    /// Puts what images are normalised by into a file of TorchScript, as one of the further files that
    /// `torch.jit.load(_extra_files=…)` reads.
    fn add_to_script(&self, path: &Path) -> Result<()> {
        let Some(text) = self.normalisation() else { return Ok(()) };
        let bytes = std::fs::read(path).map_err(|error| Error::file("read", path, &error))?;
        let bytes = zipped::with_file(path, &bytes, &format!("extra/{NORMALISATION}"), text.as_bytes())?;
        write_atomically(path, |file| file.write_all(&bytes))
    }

    /// One line: the facts.
    fn about(&self) -> String {
        let facts = self.facts.iter().filter(|(key, _)| !key.starts_with("select."));
        facts.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_name_says_the_form() {
        assert_eq!(Form::of(Path::new("a/ticket.ONNX")).unwrap(), Form::Onnx);
        let error = Form::of(Path::new("ticket.zip")).unwrap_err();
        assert!(error.message.contains("`zip`") && error.hint.unwrap().contains("`.npz` (numpy)"));
        for name in Form::names() {
            assert!(Form::named(name).is_some());
        }
    }
}
