//! What a training pass draws: which values dropout leaves out.
//!
//! The numbers come from a stream named by the seed, the batch and the node, on the processor: so they are the same on every device,
//! and a training that is taken up again repeats them.

use rand::RngCore;
use tch::Tensor;

use tombola_core::net::op::Dropped;
use tombola_words::stream::stream;

/// How a network is run in training.
#[derive(Debug, Clone, Copy)]
pub struct TrainingPass {
    /// How far the statistics of batch norms move, where that is not what each norm says.
    pub momentum: Option<f64>,
    /// The seed of the data order, which is part of the identity of every training.
    pub seed: u64,
    /// Batches trained, this one among them.
    pub batch: u64,
}

/// The random numbers of one node in one training pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise {
    pass: TrainingPass,
    node: usize,
}

impl TrainingPass {
    /// What node `node` draws.
    pub(super) fn at(self, node: usize) -> Noise {
        Noise { pass: self, node }
    }
}

impl Noise {
    /// `x` without a share `rate` of its values, channels or images; the others are scaled so that the mean stays.
    pub(super) fn dropped(self, x: &Tensor, rate: f64, of: Dropped) -> Tensor {
        let sizes = x.size();
        let told = match of {
            Dropped::Values => sizes.len(),
            Dropped::Channels => 2.min(sizes.len()),
            Dropped::Images => 1,
        };
        let shape: Vec<i64> =
            sizes.iter().enumerate().map(|(axis, size)| if axis < told { *size } else { 1 }).collect();
        let count = shape.iter().product::<i64>() as usize;
        let mut bytes = vec![0u8; 4 * count];
        stream(self.pass.seed, "dropout", &[self.pass.batch, self.node as u64]).fill_bytes(&mut bytes);
        let (limit, scale) = ((rate * 4_294_967_296.0) as u64, (1.0 / (1.0 - rate)) as f32);
        let factors: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|number| u64::from(u32::from_le_bytes([number[0], number[1], number[2], number[3]])))
            .map(|number| if number < limit { 0.0 } else { scale })
            .collect();
        let factors = Tensor::from_slice(&factors).view(shape.as_slice()).to_device(x.device()).to_kind(x.kind());
        x * factors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn the_same_batch_of_the_same_training_drops_the_same_and_the_mean_stays() {
        let x = Tensor::ones([64, 8, 5, 5], (Kind::Float, Device::Cpu));
        let noise = |seed, batch, node| TrainingPass { momentum: None, seed, batch }.at(node);
        let one = noise(1, 7, 3).dropped(&x, 0.3, Dropped::Values);
        assert!(one.equal(&noise(1, 7, 3).dropped(&x, 0.3, Dropped::Values)));
        for other in [noise(2, 7, 3), noise(1, 8, 3), noise(1, 7, 4)] {
            assert!(!one.equal(&other.dropped(&x, 0.3, Dropped::Values)));
        }
        let mean = one.mean(Kind::Double).double_value(&[]);
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        let left = one.not_equal(0.0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
        assert!((left - 0.7).abs() < 0.02, "{left}");
        let channels = noise(1, 1, 1).dropped(&x, 0.5, Dropped::Channels);
        assert!(channels.equal(&channels.narrow(2, 0, 1).narrow(3, 0, 1).expand([64, 8, 5, 5], false)));
        let images = noise(1, 1, 1).dropped(&x, 0.5, Dropped::Images);
        assert!(images.equal(&images.narrow(1, 0, 1).narrow(2, 0, 1).narrow(3, 0, 1).expand([64, 8, 5, 5], false)));
    }
}
