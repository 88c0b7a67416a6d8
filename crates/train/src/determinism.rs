//! Kernels of a GPU that add in the same order each time, so that the same training gives the same bits. On a processor it always does.
//!
//! libtorch has the switches for the whole process. cuDNN then takes no algorithm that adds as its threads come, and neither do
//! libtorch's own kernels; cuBLAS needs memory of a fixed size, which a variable says before it is first used (`main.rs`).

use tombola_words::error::{Error, Result};

unsafe extern "C" {
    /// `src/network/kernels/deterministic.cpp`.
    fn tombola_deterministic(wished: bool);
    fn tombola_is_deterministic() -> bool;
}

/// What cuBLAS reads when it is first used, and the values that make it add in one order.
const CUBLAS: &str = "CUBLAS_WORKSPACE_CONFIG";
const FIXED: [&str; 2] = [":4096:8", ":16:8"];

/// Whether all kernels are held to one order.
pub fn is_on() -> bool {
    // SAFETY: reads two flags.
    unsafe { tombola_is_deterministic() }
}

/// Holds all kernels of the process to one order, or none.
///
/// # Errors
/// When cuBLAS was told otherwise.
pub fn set(wished: bool) -> Result<()> {
    if wished {
        check(std::env::var(CUBLAS).ok().as_deref())?;
    }
    // SAFETY: sets flags of libtorch; nothing computes yet.
    unsafe { tombola_deterministic(wished) };
    Ok(())
}

fn check(found: Option<&str>) -> Result<()> {
    match found {
        // A program that was not started by `tombola`: a test.
        None => Ok(()),
        Some(value) if FIXED.contains(&value) => Ok(()),
        Some(value) => Err(Error::input(format!(
            "`deterministic`: `{CUBLAS}` is `{value}`, expected `{}` or `{}`",
            FIXED[0], FIXED[1]
        ))
        .hint("unset the variable: `tombola` sets it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_is_where_it_was_set() {
        for wished in [true, false] {
            set(wished).unwrap();
            assert_eq!(is_on(), wished);
        }
    }

    #[test]
    fn a_variable_that_undoes_it_is_refused() {
        for value in [None, Some(":4096:8"), Some(":16:8")] {
            assert!(check(value).is_ok());
        }
        let error = check(Some(":4096:2")).unwrap_err();
        assert!(error.message.contains("`:4096:2`") && error.hint.unwrap().contains("unset"));
    }
}
