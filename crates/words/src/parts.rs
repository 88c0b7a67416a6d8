//! How many training images are trained on and how many validate: the rule for plans, which know numbers alone, and for data.

use crate::error::{Error, Result};

/// Validation images unless asked otherwise, where there are enough: MNIST-like sets become 55,000 + 5,000,
/// CIFAR 45,000 + 5,000.
const DEFAULT_VALIDATION: usize = 5000;

/// Of the first `limit` of `total` training images, those that are trained on and those that validate.
///
/// Without `limit` all are used; without `validation` a tenth, at least 1 and at most 5000.
///
/// # Errors
/// A limit of 0 or above `total`, and a validation that leaves nothing to train on.
pub fn parted(total: usize, limit: Option<usize>, validation: Option<usize>) -> Result<(usize, usize)> {
    let used = limit.unwrap_or(total);
    if used == 0 || used > total {
        return Err(Error::input(format!(
            "{used} training images are asked for; expected 1 to {total}, which the data set has"
        ))
        .hint("give another `--train-limit`, or leave it out to use all"));
    }
    let validation = validation.unwrap_or_else(|| (used / 10).clamp(1, DEFAULT_VALIDATION));
    if validation >= used {
        return Err(Error::input(format!(
            "{validation} validation images of {used} training images leave nothing to train on; expected at most {}",
            used - 1
        ))
        .hint("take fewer validation images or a larger `--train-limit`"));
    }
    Ok((used - validation, validation))
}

/// How many of the training images are held out for validation, as [`parted`] takes them: none where data have a part of
/// `own_part` examples for that, else as many as were `asked` for.
///
/// # Errors
/// When a number is asked for beside a part of their own.
pub fn held_out(own_part: Option<usize>, asked: Option<usize>) -> Result<Option<usize>> {
    match (own_part, asked) {
        (None, asked) => Ok(asked),
        (Some(_), None) => Ok(Some(0)),
        (Some(part), Some(size)) => Err(Error::input(format!(
            "`validation-size` is {size}, but the data have a validation part of their own, of {part} examples"
        ))
        .hint("leave `validation-size` out, or say `validation = \"\"` in the block `[datasets.NAME]` to leave that part aside")),
    }
}
