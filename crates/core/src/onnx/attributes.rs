//! What an operator of an ONNX file says of itself.

use super::proto::{Attribute, NodeProto, TensorProto};

/// The largest number that a window or an axis may have.
pub(super) const MOST: usize = 1 << 16;

impl NodeProto {
    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// A whole number.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.attribute(name)?.integer
    }

    /// KnownSize numbers, if there are any.
    pub(super) fn integers(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| &*attribute.integers).filter(|list| !list.is_empty())
    }

    /// A number with a point.
    pub(super) fn float(&self, name: &str) -> Option<f64> {
        self.attribute(name)?.float.map(f64::from)
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.attribute(name)?.text.as_deref()?).ok()
    }

    /// A tensor.
    pub(super) fn tensor(&self, name: &str) -> Option<&TensorProto> {
        self.attribute(name)?.tensor.as_ref()
    }

    /// Numbers with points.
    pub(super) fn floats(&self, name: &str) -> Option<&[f32]> {
        self.attribute(name).map(|attribute| &*attribute.floats).filter(|list| !list.is_empty())
    }

    /// Sizes of rows and columns, or of a signal, whose rows are 1.
    ///
    /// # Errors
    /// When one is negative or too large, or they are of more axes.
    pub(super) fn sides(&self, name: &str, default: usize) -> Result<[usize; 2], String> {
        let Some(found) = self.integers(name) else { return Ok([default; 2]) };
        let sizes: Option<Vec<usize>> =
            found.iter().map(|size| usize::try_from(*size).ok().filter(|size| *size <= MOST)).collect();
        match sizes.as_deref() {
            Some(&[height, width]) => Ok([height, width]),
            Some(&[width]) => Ok([if name == "kernel_shape" { 1 } else { default }, width]),
            _ => Err(format!("its `{name}` is {found:?}, expected one or two sizes up to {MOST}")),
        }
    }
}

/// An axis that may be counted from the last one.
///
/// # Errors
/// When there is no such axis.
pub(super) fn axis_of(axis: i64, count: usize) -> Result<usize, String> {
    let counted = if axis < 0 { axis.checked_add(count as i64) } else { Some(axis) };
    let found = counted.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < count);
    found.ok_or_else(|| format!("there is no axis {axis} among {count}"))
}
