//! The weights before the first epoch.
//!
//! Connections are normal with variance 2 / inputs (He et al. 2015, "fan in"), biases and shifts 0, batch-norm scales as
//! asked, those of other norms 1. Each parameter has a random stream of its own, so initial weights can be made again at any time from the
//! seed alone: rewinding to them needs no file. It may not know of torch.

use rand_distr::{Distribution, StandardNormal, StandardUniform};

use super::layout::{Layout, Role};
use super::op::LearnedStart;
use super::snapshot::Snapshot;
use tombola_words::stream::stream;
use tombola_words::value::NormStart;

/// What PyTorch starts the slopes of a PReLU with (He et al. 2015).
const SLOPE: f32 = 0.25;

/// A network before training.
///
/// `draw` tells initialisations from one seed apart: 0 is the one that dense training starts from, level k
/// re-initialises with draw k.
pub fn initial(layout: &Layout, norms: NormStart, seed: u64, draw: u64) -> Snapshot {
    let mut parameters = vec![0f32; layout.len];
    for (number, parameter) in layout.parameters.iter().enumerate() {
        let values = &mut parameters[parameter.range()];
        let mut numbers = stream(seed, "initialisation", &[draw, number as u64]);
        match parameter.role {
            Role::ConvWeight | Role::TransposedWeight(_) | Role::LinearWeight => {
                let deviation = (2.0 / parameter.fan_in().max(1) as f64).sqrt();
                for value in values {
                    let normal: f64 = StandardNormal.sample(&mut numbers);
                    *value = (normal * deviation) as f32;
                }
            }
            Role::NormScale => match norms {
                NormStart::One => values.fill(1.0),
                NormStart::Half => values.fill(0.5),
                NormStart::Uniform => values.iter_mut().for_each(|value| *value = StandardUniform.sample(&mut numbers)),
            },
            Role::Gain => values.fill(1.0),
            Role::Slope => values.fill(SLOPE),
            Role::Learned(LearnedStart::Constant(number)) => values.fill(number.0 as f32),
            Role::Learned(LearnedStart::Normal(deviation)) => {
                for value in values {
                    let normal: f64 = StandardNormal.sample(&mut numbers);
                    *value = (normal * deviation.0) as f32;
                }
            }
            Role::Bias | Role::NormShift | Role::Offset => {}
        }
    }
    let mut buffers = vec![0f32; layout.buffer_len];
    for buffer in &layout.buffers {
        buffers[buffer.range()].fill(buffer.start);
    }
    Snapshot { epoch: 0, step: 0, batches: 0, parameters, buffers, optimizer: None, mask: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Builder, Graph};
    use tombola_words::Shape;

    fn network() -> Graph {
        let mut build = Builder::new(Shape::Image(3, 8, 8));
        let conv = build.conv("conv", 0, 32, 3, 1).unwrap();
        let norm = build.batch_norm("bn", conv).unwrap();
        let pool = build.add("pool", crate::net::Op::GlobalAveragePool, &[norm]).unwrap();
        build.linear("fc", pool, 10).unwrap();
        build.finish(10).unwrap()
    }

    #[test]
    fn connections_have_the_variance_of_he_and_the_rest_starts_as_stated() {
        let layout = Layout::of(&network());
        let start = initial(&layout, NormStart::Uniform, 1, 0);
        let conv = &start.parameters[layout.parameters[0].range()];
        let variance = conv.iter().map(|w| f64::from(w * w)).sum::<f64>() / conv.len() as f64;
        assert!((variance * 27.0 / 2.0 - 1.0).abs() < 0.15, "{variance}");
        let scales = &start.parameters[layout.parameters[1].range()];
        assert!(scales.iter().all(|s| (0.0..1.0).contains(s)) && scales[0] != scales[1]);
        assert!(start.parameters[layout.parameters[2].range()].iter().all(|shift| *shift == 0.0));
        assert_eq!(start.buffers[..32], [0.0; 32]);
        assert_eq!(start.buffers[32..], [1.0; 32]);
    }

    #[test]
    fn the_same_seed_gives_the_same_weights_and_another_draw_gives_others() {
        let layout = Layout::of(&network());
        let weights = |seed, draw| initial(&layout, NormStart::One, seed, draw).checksum();
        assert_eq!(weights(1, 0), weights(1, 0));
        assert_ne!(weights(1, 0), weights(1, 1));
        assert_ne!(weights(1, 0), weights(2, 0));
    }
}
