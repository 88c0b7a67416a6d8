//! Where criteria get gradients from, and targets of time their times: whoever can run the network.
//!
//! It may not know of torch, so that masks can be drawn and tested without it.

use crate::mask::Bits;
use crate::net::compact::Compact;
use tombola_words::error::{Error, Result};

/// What a criterion asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Gradient of the mean loss over the score images.
    Gradient,
    /// Hessian of that loss times that gradient.
    HessianGradient,
    /// Gradient of the sum of all outputs for an image of ones, all weights replaced by their absolute values.
    SynapticFlow,
}

/// How closely a time is to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePrecision {
    /// As far as is enough to tell what is far apart.
    Rough,
    /// To a few percent.
    Close,
}

/// Runs the network that a mask is drawn of: gives its gradients, and times.
pub trait Scorer {
    /// One value for each weight (`[Layout::len]`), with the weights that `mask` has pruned at 0.
    ///
    /// # Errors
    /// When they cannot be had.
    fn gradients(&mut self, want: Want, mask: &Bits) -> Result<Vec<f32>>;

    /// Seconds that a batch takes through the dense network, and through `small`, measured by turns.
    ///
    /// # Errors
    /// When it cannot be measured.
    fn seconds(&mut self, small: &Compact, wanted: TimePrecision) -> Result<(f64, f64)>;
}

/// For criteria that look at weights only.
#[derive(Debug, Clone, Copy)]
pub struct NoGradients;

impl Scorer for NoGradients {
    fn gradients(&mut self, _: Want, _: &Bits) -> Result<Vec<f32>> {
        Err(Error::training("the criterion needs gradients, and here are none"))
    }

    fn seconds(&mut self, _: &Compact, _: TimePrecision) -> Result<(f64, f64)> {
        Err(Error::training("`target` asks for a time, and here is nothing that could be measured"))
    }
}
