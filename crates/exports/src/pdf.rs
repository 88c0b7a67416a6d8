//! A chart as a PDF file, for LaTeX: the same lines, and letters from a font of this machine.

use std::sync::{Arc, LazyLock};

use svg2pdf::usvg::fontdb::Database;
use svg2pdf::usvg::{Options, Tree};
use svg2pdf::{ConversionOptions, PageOptions};

use tombola_words::error::{Error, Result};

/// Fonts without serifs that machines have, the usual ones first.
const USUAL: [&str; 7] = ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans", "Noto Sans", "Open Sans", "FreeSans"];

/// The fonts of this machine; reading them takes a while.
static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_system_fonts();
    let names: Vec<String> =
        fonts.faces().flat_map(|face| face.families.iter().map(|(name, _)| name.clone())).collect();
    let usual = USUAL.iter().find(|usual| names.iter().any(|name| name == *usual)).map(|name| (*name).to_string());
    if let Some(name) = usual.or_else(|| names.first().cloned()) {
        fonts.set_sans_serif_family(name);
    }
    Arc::new(fonts)
});

/// The bytes of the file. Nothing where this machine has no font: letters would be missing.
///
/// # Errors
/// When the picture cannot be converted.
pub fn bytes(svg: &str) -> Result<Option<Vec<u8>>> {
    if FONTS.is_empty() {
        return Ok(None);
    }
    let fail = |error: &dyn std::fmt::Display| Error::environment(format!("cannot make a PDF of a chart: {error}"));
    let options = Options { fontdb: Arc::clone(&FONTS), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| fail(&error))?;
    svg2pdf::to_pdf(&tree, ConversionOptions::default(), PageOptions::default()).map(Some).map_err(|error| fail(&error))
}
