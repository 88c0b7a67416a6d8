//! The network in a file that a sweep names: a list of nodes, or a model of ONNX. It may not know of sweeps.

use std::path::Path;

use tombola_core::net::custom::{self, OwnForm, OwnNetwork};
use tombola_core::onnx;
use tombola_words::error::{Error, Result};
use tombola_words::{regular, speech};

/// No list of nodes is larger than this: weights lie elsewhere.
const MOST: u64 = 256 << 20;
/// No model of ONNX is: it holds its weights, and its form has no more.
const MOST_MODEL: u64 = 2 << 30;

/// Reads the network in the file at `path`, which starts from `base` if it is relative; from the program's folder if there is none.
///
/// # Errors
/// When it cannot be read, or describes no network.
pub(super) fn read(base: Option<&Path>, path: &Path) -> Result<OwnNetwork> {
    let place = base.map_or_else(|| path.to_path_buf(), |base| base.join(path));
    let cure = "give the path of a network file, as `tombola.from_torch` writes it; a path in a sweep file is relative to that file, \
                as a flag to the shell's folder";
    let named = |error: Error| error.at(format!("`{}`", place.display()));
    let missing = |error: &std::io::Error| Error::file("read", &place, error).hint(cure);
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if place.extension().is_some_and(|ending| ending == "onnx") {
        let size = regular::open(&place).and_then(|file| file.metadata()).map_err(|error| missing(&error))?.len();
        if size > MOST_MODEL {
            return Err(named(Error::input(format!("has {size} bytes, expected at most {MOST_MODEL}"))));
        }
        let bytes = regular::read(&place).map_err(|error| missing(&error))?;
        let network = onnx::network(&bytes, false).map_err(named)?;
        for note in network.notes {
            speech::say(format!("note: `{}`: {note}", place.display()));
        }
        return Ok(OwnNetwork { name, form: OwnForm::Nodes(network.nodes) });
    }
    let text = regular::read_short(&place, MOST).map_err(|error| missing(&error))?;
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| named(Error::input(error.message().to_string()).hint(cure)))?;
    custom::parse(&name, &toml::Value::Table(table))
}
