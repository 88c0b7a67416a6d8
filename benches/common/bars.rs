//! Judges measured figures: each bar is a line that says whether it holds.

use std::process::ExitCode;

use tombola_words::error::Result;

/// The bars of a bench.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    broken: usize,
}

impl Bars {
    /// A figure that must not be above `most`.
    pub(crate) fn at_most(&mut self, what: &str, found: f64, most: f64, unit: &str) {
        self.judge(found <= most, &format!("{what}: {found:.3} {unit}, at most {most}"));
    }

    /// A figure that must not be below `least`.
    pub(crate) fn at_least(&mut self, what: &str, found: f64, least: f64, unit: &str) {
        self.judge(found >= least, &format!("{what}: {found:.3} {unit}, at least {least}"));
    }

    fn judge(&mut self, holds: bool, line: &str) {
        println!("  {} {line}", if holds { "holds" } else { "DOES NOT HOLD" });
        self.broken += usize::from(!holds);
    }

    /// The exit code of the bench: 0 if all bars hold, 1 if not, 3 if it could not be measured.
    pub(crate) fn verdict(measured: Result<Self>) -> ExitCode {
        match measured {
            Ok(bars) if bars.broken == 0 => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::from(3)
            }
        }
    }
}
