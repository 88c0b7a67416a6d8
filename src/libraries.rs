//! Whether the program that trains finds its libraries, asked before this process becomes it: the loader of the system, which
//! else would be the first to notice, names no cure and ends the process with a code of its own.
//!
//! It may not know of command lines.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::training_program::LIBRARY_PATH;
use tombola_words::error::{Error, Result};

/// Asks the loader for the libraries of a program, which is not run.
const ONLY_LIST: &str = "LD_TRACE_LOADED_OBJECTS";

/// Refuses a program whose libraries cannot be loaded. `library_path` is where it is told to look, if that changes.
///
/// # Errors
/// When one is missing, or the loader cannot read it.
pub fn check(program: &Path, library_path: Option<&OsStr>) -> Result<()> {
    let mut command = Command::new(program);
    command.env(ONLY_LIST, "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(path) = library_path {
        command.env(LIBRARY_PATH, path);
    }
    // A program that cannot even be asked is started all the same, and the system says why it cannot.
    let Ok(listed) = command.output() else { return Ok(()) };
    let said = String::from_utf8_lossy(&listed.stderr);
    match verdict(&String::from_utf8_lossy(&listed.stdout), &said, listed.status.success()) {
        None => Ok(()),
        Some(what) => Err(Error::environment(format!("`{}`, which trains, cannot be loaded: {what}", program.display()))
            .hint(
                "put its libraries back where they were when it was built or installed, set LD_LIBRARY_PATH to their folder, or build or install it again (`scripts/tombola`, `pip install --force-reinstall`)",
            )),
    }
}

/// What is wrong, by what the loader lists and what it says beside.
fn verdict(listed: &str, said: &str, well: bool) -> Option<String> {
    let missing: Vec<String> = listed
        .lines()
        .filter_map(|line| line.trim().strip_suffix("=> not found"))
        .map(|name| format!("`{}`", name.trim()))
        .collect();
    if !missing.is_empty() {
        return Some(format!("found no {}", missing.join(", no ")));
    }
    let first = said.lines().next().unwrap_or("the loader of the system refuses it").trim();
    (!well).then(|| first.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_are_missing_or_of_another_version_are_named() {
        let listed = "\tlinux-vdso.so.1 (0x1)\n\tlibtorch_cpu.so => not found\n\tlibc10.so => not found\n\tlibm.so.6 => /lib/libm.so.6 (0x2)\n";
        assert_eq!(verdict(listed, "", true).unwrap(), "found no `libtorch_cpu.so`, no `libc10.so`");
        let said = "tombola-torch: /lib/libc.so.6: version `GLIBC_9.9' not found (required by tombola-torch)\n";
        assert!(verdict("", said, false).unwrap().contains("GLIBC_9.9"));
        assert_eq!(verdict("\tlibm.so.6 => /lib/libm.so.6 (0x2)\n", "", true), None);
    }
}
