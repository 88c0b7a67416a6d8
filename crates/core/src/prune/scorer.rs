//! Where criteria get gradients from: whoever can run the network.
//!
//! It may not know of torch, so that masks can be drawn and tested without it.

use crate::mask::Bits;
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

/// Gives gradients of the network that a mask is drawn of.
pub trait Scorer {
    /// One value for each weight (`[Layout::len]`), with the weights that `mask` has pruned at 0.
    ///
    /// # Errors
    /// When they cannot be had.
    fn gradients(&mut self, want: Want, mask: &Bits) -> Result<Vec<f32>>;
}

/// For criteria that look at weights only.
#[derive(Debug, Clone, Copy)]
pub struct NoGradients;

impl Scorer for NoGradients {
    fn gradients(&mut self, _: Want, _: &Bits) -> Result<Vec<f32>> {
        Err(Error::training("the criterion needs gradients, and here are none"))
    }
}
