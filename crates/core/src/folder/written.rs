//! The text of a results folder's `sweep.toml`, under a checksum of its own: a file that was cut or changed is told from the one
//! that the program wrote. It may not know what the text says.
//!
//! The checksum is a comment in the second line, which programs that do not know of it pass over. Complete sweep files of before
//! have none, and those that a user copied and changed are read as the sweep files that they are, without looking at it.

use std::io::ErrorKind;
use std::path::Path;

use super::atomic::write_atomically;
use super::foreign::holds;
use crate::sweep::Spec;
use tombola_words::Checksum;
use tombola_words::error::{Error, Result};
use tombola_words::regular;
use tombola_words::value::{Shard, Value};

/// What the line with the checksum begins with.
const LINE: &str = "# blake3 of what follows: ";

/// What every complete sweep file has.
const BLOCK: &str = "\n[[grid]]\n";

/// The text of a folder's `sweep.toml`; nothing where there is none.
///
/// # Errors
/// When the file cannot be read, or is not what the program wrote.
pub(super) fn text_in(folder: &Path) -> Result<Option<String>> {
    let path = folder.join("sweep.toml");
    let text = match regular::read(&path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| damaged(folder, "no text")),
        // A folder that cannot be made is told of by who makes it.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(Error::file("read", &path, &error)),
    }?;
    match fault(&text) {
        Some(found) => Err(damaged(folder, &found)),
        None => Ok(Some(text)),
    }
}

/// Writes a complete sweep file into a folder, under its checksum.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write_text(folder: &Path, text: &str) -> Result<()> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let text = format!("{first}\n{LINE}{}\n{rest}", Checksum::of(rest.as_bytes()));
    write_atomically(&folder.join("sweep.toml"), |file| file.write_all(text.as_bytes()))
}

/// Whether a complete sweep file, wherever it lies, is as this program wrote it.
pub fn is_as_written(text: &str) -> bool {
    fault(text).is_none()
}

/// What is found where a whole file of this program was expected.
fn fault(text: &str) -> Option<String> {
    if !Spec::wrote(text) {
        return Some(
            if text.trim_matches(['\0', '\n']).is_empty() { "nothing" } else { "another first line" }.to_string(),
        );
    }
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    let Some((sum, rest)) = rest.strip_prefix(LINE).and_then(|rest| rest.split_once('\n')) else {
        return (!rest.contains(BLOCK)).then(|| "only the beginning of it".to_string());
    };
    let found = Checksum::of(rest.as_bytes()).to_string();
    (sum != found).then(|| format!("text with the checksum {found}, expected {sum}"))
}

/// The error for a file that is not what the program wrote.
fn damaged(folder: &Path, found: &str) -> Error {
    let path = folder.join("sweep.toml");
    let error = Error::environment(format!("`{}` is not what this program wrote there: found {found}", path.display()));
    // Joined shards have their trainings in folders of their own.
    error.hint(match holds(folder, "journal") {
        Ok(false) => format!("move it away: `tombola tables {}` writes it anew", folder.display()),
        _ => {
            let flags = run_flags(folder);
            format!(
                "put it back from a copy; or move it away and run your sweep file again with `{flags}`, which writes it anew. If \
                 you changed it on purpose, move it away and run that with `{flags}`"
            )
        }
    })
}

/// The flags of a run that goes on in a results folder, or in that of a shard.
pub(super) fn run_flags(folder: &Path) -> String {
    match (folder.parent(), folder.file_name().and_then(|name| Shard::of_folder(&name.to_string_lossy()))) {
        (Some(parent), Some(shard)) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            format!("--out {} --shard {}", parent.display(), shard.show())
        }
        _ => format!("--out {}", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tombola_words::error::Kind;

    #[test]
    fn the_cure_names_the_flags_that_lead_to_the_folder_again() {
        assert_eq!(run_flags(Path::new("results/x")), "--out results/x");
        assert_eq!(run_flags(Path::new("results/x/shard-2-of-3")), "--out results/x --shard 2/3");
        assert_eq!(run_flags(Path::new("shard-2-of-3")), "--out . --shard 2/3");
    }

    fn written() -> (tempfile::TempDir, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let spec = Spec::read(Some("epochs = [1, 2]\nseed = [1, 2]"), &[]).unwrap();
        write_text(folder.path(), &spec.to_toml()).unwrap();
        let bytes = std::fs::read(folder.path().join("sweep.toml")).unwrap();
        (folder, bytes)
    }

    /// What reading such a file gives; where it is taken, the sweep must be the one that was written.
    fn is_refused(folder: &Path, bytes: &[u8], whole: &str) -> bool {
        std::fs::write(folder.join("sweep.toml"), bytes).unwrap();
        match text_in(folder) {
            Err(error) => {
                assert_eq!(error.kind, Kind::Environment);
                assert!(error.message.contains("sweep.toml") && error.hint.is_some(), "{error}");
                true
            }
            Ok(text) => {
                let spec = Spec::read(text.as_deref(), &[]);
                assert!(spec.is_err() || spec.unwrap().to_toml() == whole);
                false
            }
        }
    }

    #[test]
    fn a_file_cut_anywhere_or_with_any_byte_flipped_is_refused_or_says_the_same() {
        let (folder, bytes) = written();
        let whole = Spec::read(Some(std::str::from_utf8(&bytes).unwrap()), &[]).unwrap().to_toml();
        assert!(!is_refused(folder.path(), &bytes, &whole));
        for end in 0..bytes.len() {
            assert!(is_refused(folder.path(), &bytes[..end], &whole), "cut at {end}");
        }
        let mut taken = 0;
        for place in 0..bytes.len() {
            for flip in [0x01, 0x10, 0xff] {
                let mut changed = bytes.clone();
                changed[place] ^= flip;
                taken += usize::from(!is_refused(folder.path(), &changed, &whole));
            }
        }
        // Only the words that announce the checksum can change and nothing come of it, where they stay text.
        assert!(taken <= 2 * LINE.len() + 2, "{taken}");
        assert!(is_refused(folder.path(), &vec![0; bytes.len()], &whole));
    }

    #[test]
    fn a_complete_file_of_before_checksums_is_taken_and_none_is_none() {
        let (folder, bytes) = written();
        let text = String::from_utf8(bytes).unwrap();
        let before: String =
            text.lines().filter(|line| !line.starts_with(LINE)).map(|line| format!("{line}\n")).collect();
        assert!(!is_refused(folder.path(), before.as_bytes(), &before));
        std::fs::remove_file(folder.path().join("sweep.toml")).unwrap();
        assert_eq!(text_in(folder.path()).unwrap(), None);
    }
}
