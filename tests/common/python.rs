//! A Python with PyTorch and its like, where there is one: programs of others that should read what Tombola writes.

use std::path::PathBuf;
use std::process::Command;

/// Runs scripts of `tests/outside`.
pub(crate) struct Python {
    program: String,
}

impl Python {
    /// The Python that `TOMBOLA_TEST_PYTHON` names (`scripts/test` does), or `python3`, if it has all `modules`. Otherwise
    /// the test is noted down as skipped.
    pub(crate) fn with(test: &str, modules: &[&str]) -> Option<Self> {
        let program = std::env::var("TOMBOLA_TEST_PYTHON").unwrap_or_else(|_| "python3".to_string());
        let imports = format!("import {}", modules.join(", "));
        let ran = Command::new(&program).args(["-c", &imports]).output();
        match ran {
            Ok(output) if output.status.success() => Some(Self { program }),
            _ => {
                super::skipped(test, &format!("`{program}` has not all of {}", modules.join(", ")));
                None
            }
        }
    }

    /// Where it lies.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// A call of it that finds our own package.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/python")).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// What a script prints.
    pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(
        &self,
        script: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> String {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/outside").join(script);
        let output = Command::new(&self.program).arg(path).args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{script}: {}\n{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }
}
