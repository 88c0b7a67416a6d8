//! Optimisers on one flat vector of weights, each with PyTorch's formulas and defaults.
//!
//! A masked weight never moves: its gradient is zeroed first, and as it, its momentum and its moments start at zero, or become it
//! where the mask changes, every term of every formula stays exactly zero there, weight decay included (docs/pitfalls.md, numbers 2, 3 and 4).

use tch::{Device, Kind, Tensor};

use crate::done;
use crate::network::arena::to_vec;
use tombola_core::mask::Bits;
use tombola_core::net::OptimizerState;
use tombola_core::sweep::Settings;
use tombola_words::error::{Error, Result};
use tombola_words::value::Optimizer as Choice;

const ADAM_EPSILON: f64 = 1e-8;
const ADADELTA_RHO: f64 = 0.9;
const ADADELTA_EPSILON: f64 = 1e-6;
const RMSPROP_ALPHA: f64 = 0.99;
const RMSPROP_EPSILON: f64 = 1e-8;

/// What a step multiplies by and what changes from step to step.
#[derive(Debug, Clone, Copy)]
pub enum Rate<'a> {
    /// The learning rate: the rest follows from it and the number of the step.
    Number(f64),
    /// [`Optimizer::device_factors`], each a float32 of no dimensions on the device, which a captured step reads anew each time.
    OnDevice(&'a [Tensor]),
}

/// One of those.
#[derive(Debug, Clone, Copy)]
enum Factor<'a> {
    Number(f64),
    OnDevice(&'a Tensor),
}

impl Factor<'_> {
    fn scale_(self, values: &mut Tensor) {
        done(match self {
            Self::Number(factor) => values.g_mul_scalar_(factor),
            Self::OnDevice(factor) => values.g_mul_(factor),
        });
    }

    fn times(self, values: &Tensor) -> Tensor {
        match self {
            Self::Number(factor) => values * factor,
            Self::OnDevice(factor) => values * factor,
        }
    }

    /// Divides by a number; on a device its inverse is kept, as libtorch has it there.
    fn divide(self, values: &Tensor) -> Tensor {
        match self {
            Self::Number(factor) => values / factor,
            Self::OnDevice(inverse) => values * inverse,
        }
    }
}

/// An optimiser with its state.
#[derive(Debug)]
pub struct Optimizer {
    choice: Choice,
    weight_decay: f64,
    momentum: f64,
    nesterov: bool,
    betas: (f64, f64),
    steps: u64,
    vectors: Vec<Tensor>,
    mask: Option<Tensor>,
    /// Whether weight decay acts on a weight, where it does not on all.
    decayed: Option<Tensor>,
    /// The longest gradient; 0 if none is too long.
    longest: f64,
}

/// Added to a norm that is divided by, as in PyTorch.
const NORM_EPSILON: f64 = 1e-6;

/// Shortens a gradient that is longer than `longest`, as `torch.nn.utils.clip_grad_norm_` does. Those of pruned weights are 0 by now,
/// so it is the length over the weights that are alive.
fn shorten(gradient: &mut Tensor, longest: f64) {
    let factor = (gradient.norm() + NORM_EPSILON).reciprocal() * longest;
    done(gradient.g_mul_(&factor.clamp_max(1.0)));
}

/// A mask as numbers: 1 where a weight is alive, 0 where it is pruned, float32.
pub fn mask_tensor(mask: &Bits, device: Device) -> Tensor {
    let values: Vec<f32> = mask.iter().map(|alive| if alive { 1.0 } else { 0.0 }).collect();
    Tensor::from_slice(&values).to_device(device)
}

/// Names of the vectors that each optimiser keeps.
fn names(choice: Choice, momentum: f64) -> &'static [&'static str] {
    match choice {
        Choice::Sgd if momentum == 0.0 => &[],
        Choice::Sgd => &["momentum"],
        Choice::Adam | Choice::AdamW => &["mean", "square"],
        Choice::Adadelta => &["square", "change"],
        Choice::RmsProp => &["square"],
    }
}

impl Optimizer {
    /// A new optimiser for `count` weights. `mask` (`[count]`, 0 or 1, float32) keeps pruned weights at zero.
    pub fn new(settings: &Settings, count: usize, mask: Option<Tensor>, device: Device) -> Self {
        let zeros = |_: &&str| Tensor::zeros([count as i64], (Kind::Float, device));
        Self {
            choice: settings.optimizer,
            weight_decay: settings.weight_decay,
            momentum: settings.momentum,
            nesterov: settings.nesterov,
            betas: (settings.beta1, settings.beta2),
            steps: 0,
            vectors: names(settings.optimizer, settings.momentum).iter().map(zeros).collect(),
            mask,
            decayed: None,
            longest: settings.clip_norm,
        }
    }

    /// Lets weight decay act where `decayed` (`[count]`, truth values) says so only.
    #[must_use]
    pub fn decaying(self, decayed: Option<Tensor>) -> Self {
        Self { decayed, ..self }
    }

    /// What the step after `steps` others multiplies by, at a learning rate. The first is the rate itself or, for Adam, the rate over
    /// the correction of its mean; then come, for Adam, the root of the correction of its squares and, for AdamW, what its decay
    /// leaves of a weight (Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2).
    pub fn factors(&self, steps: u64, learning_rate: f64) -> Vec<f64> {
        let steps = (steps + 1) as f64;
        let (beta1, beta2) = self.betas;
        let (correction1, correction2) = (1.0 - beta1.powf(steps), 1.0 - beta2.powf(steps));
        match self.choice {
            Choice::Sgd | Choice::Adadelta | Choice::RmsProp => vec![learning_rate],
            Choice::Adam => vec![learning_rate / correction1, correction2.sqrt()],
            Choice::AdamW => {
                vec![learning_rate / correction1, correction2.sqrt(), 1.0 - learning_rate * self.weight_decay]
            }
        }
    }

    /// The same as they lie on a device: where a number is divided by, its inverse in float32, which libtorch's kernels of a GPU take
    /// when they are given the number. So captured and eager steps there have the same bits.
    pub fn device_factors(&self, steps: u64, learning_rate: f64) -> Vec<f64> {
        let mut factors = self.factors(steps, learning_rate);
        if let Some(root) = factors.get_mut(1) {
            *root = f64::from(1.0 / *root as f32);
        }
        factors
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Counts steps that the device took by itself.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Takes one step: moves `weights` (`[count]`) against `gradient` (`[count]`), which is used up.
    pub fn step(&mut self, weights: &mut Tensor, gradient: Tensor, rate: Rate) {
        let _no_grad = tch::no_grad_guard();
        let numbers = match rate {
            Rate::Number(learning_rate) => self.factors(self.steps, learning_rate),
            Rate::OnDevice(_) => Vec::new(),
        };
        let factor = |number: usize| match rate {
            Rate::Number(_) => Factor::Number(numbers[number]),
            Rate::OnDevice(factors) => Factor::OnDevice(&factors[number]),
        };
        self.steps += 1;
        let mut gradient = gradient;
        if let Some(mask) = &self.mask {
            done(gradient.g_mul_(mask));
        }
        if self.longest > 0.0 {
            shorten(&mut gradient, self.longest);
        }
        if self.weight_decay != 0.0 && self.choice != Choice::AdamW {
            let decay = &*weights * self.weight_decay;
            done(gradient.g_add_(&match &self.decayed {
                Some(decayed) => decay * decayed,
                None => decay,
            }));
        }
        let (beta1, beta2) = self.betas;
        match (self.choice, self.vectors.as_mut_slice()) {
            (Choice::Sgd, [momentum]) => {
                done(momentum.g_mul_scalar_(self.momentum).g_add_(&gradient));
                if self.nesterov {
                    done(gradient.g_add_(&(&*momentum * self.momentum)));
                } else {
                    gradient.copy_(momentum);
                }
                factor(0).scale_(&mut gradient);
                done(weights.g_sub_(&gradient));
            }
            (Choice::Adam | Choice::AdamW, [mean, square]) => {
                if self.choice == Choice::AdamW {
                    match &self.decayed {
                        Some(decayed) => weights.copy_(&factor(2).times(weights).where_self(decayed, weights)),
                        None => factor(2).scale_(weights),
                    }
                }
                done(mean.lerp_(&gradient, 1.0 - beta1));
                done(square.g_mul_scalar_(beta2).g_add_(&((&gradient * &gradient) * (1.0 - beta2))));
                let size = factor(1).divide(&square.sqrt()).g_add_scalar_(ADAM_EPSILON);
                done(weights.g_sub_(&factor(0).times(&(&*mean / size))));
            }
            (Choice::Adadelta, [square, change]) => {
                done(square.g_mul_scalar_(ADADELTA_RHO).g_add_(&((&gradient * &gradient) * (1.0 - ADADELTA_RHO))));
                let size = (&*square + ADADELTA_EPSILON).sqrt();
                let delta = (&*change + ADADELTA_EPSILON).sqrt() / size * &gradient;
                done(change.g_mul_scalar_(ADADELTA_RHO).g_add_(&((&delta * &delta) * (1.0 - ADADELTA_RHO))));
                done(weights.g_sub_(&factor(0).times(&delta)));
            }
            (Choice::RmsProp, [square]) => {
                done(square.g_mul_scalar_(RMSPROP_ALPHA).g_add_(&((&gradient * &gradient) * (1.0 - RMSPROP_ALPHA))));
                let size = square.sqrt().g_add_scalar_(RMSPROP_EPSILON);
                done(weights.g_sub_(&factor(0).times(&(gradient / size))));
            }
            // Plain gradient descent keeps no vector.
            _ => {
                factor(0).scale_(&mut gradient);
                done(weights.g_sub_(&gradient));
            }
        }
    }

    /// Takes another mask (`[count]`, 0 or 1, float32): what is not among the `kept` weights (`[count]`, likewise) becomes 0, of the
    /// weights and of all that is known of them. In place: whoever holds the mask's tensor sees the new one.
    pub fn change_mask(&mut self, weights: &mut Tensor, kept: &Tensor, mask: Tensor) {
        let _no_grad = tch::no_grad_guard();
        // Not by a product, which would leave negative zeros.
        let gone = kept.eq(0.0);
        for values in self.vectors.iter_mut().chain([weights]) {
            done(values.masked_fill_(&gone, 0.0));
        }
        match &mut self.mask {
            Some(own) => own.copy_(&mask),
            none => *none = Some(mask),
        }
    }

    /// Copies the state into ordinary memory.
    pub fn state(&self) -> OptimizerState {
        let names = names(self.choice, self.momentum).iter();
        let vectors = names.zip(&self.vectors).map(|(name, vector)| (name.to_string(), to_vec(vector))).collect();
        OptimizerState { steps: self.steps, vectors }
    }

    /// Takes a state up again.
    ///
    /// # Errors
    /// When it is the state of another optimiser or another network.
    pub fn restore(&mut self, state: &OptimizerState) -> Result<()> {
        let names = names(self.choice, self.momentum);
        let found: Vec<&str> = state.vectors.iter().map(|(name, _)| name.as_str()).collect();
        if found != names {
            return Err(Error::input(format!("the snapshot holds the optimiser state {found:?}, expected {names:?}")));
        }
        for (vector, (name, values)) in self.vectors.iter_mut().zip(&state.vectors) {
            if vector.numel() != values.len() {
                return Err(Error::input(format!(
                    "the optimiser state `{name}` has {} values, expected {}",
                    values.len(),
                    vector.numel()
                )));
            }
            vector.copy_(&Tensor::from_slice(values));
        }
        self.steps = state.steps;
        Ok(())
    }
}
