//! The network in a file that a sweep names. It may not know of sweeps.

use std::path::Path;

use tombola_core::net::custom::{self, OwnNetwork};
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// No file of a network is larger than this: weights lie elsewhere.
const MOST: u64 = 256 << 20;

/// Reads the network in the file at `path`, which starts from `base` if it is relative; from the program's folder if there is none.
///
/// # Errors
/// When it cannot be read, or describes no network.
pub(super) fn read(base: Option<&Path>, path: &Path) -> Result<OwnNetwork> {
    let place = base.map_or_else(|| path.to_path_buf(), |base| base.join(path));
    let cure = "give the path of a network file, as `tombola.from_torch` writes it; a path in a sweep file is relative to that file, \
                as a flag to the shell's folder";
    let named = |error: Error| error.at(format!("`{}`", place.display()));
    let text = regular::read_short(&place, MOST).map_err(|error| Error::file("read", &place, &error).hint(cure))?;
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| named(Error::input(error.message().to_string()).hint(cure)))?;
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    custom::parse(&name, &toml::Value::Table(table))
}
