//! Two ways of computing on a GPU that may be faster and have not been measured there: variables turn them on, for whoever measures.
//!
//! They change the order in which numbers are added, and nothing else.

use std::sync::OnceLock;

use tch::{Cuda, Device};

/// `yes` lets cuDNN try its kernels for each new convolution and take the fastest: better steps, a slower start.
const BENCHMARK: &str = "TOMBOLA_CUDNN_BENCHMARK";
/// `yes` computes with images and weights as PyTorch has them by default, channel by channel, in place of channels-last.
const CONTIGUOUS: &str = "TOMBOLA_CUDA_CONTIGUOUS";

fn is_wished(name: &str) -> bool {
    std::env::var(name).is_ok_and(|wish| wish == "yes")
}

/// Lets cuDNN choose by time, where that is wished and numbers need not come out the same each time.
pub(super) fn let_cudnn_choose() {
    if is_wished(BENCHMARK) && !crate::determinism::is_on() {
        Cuda::cudnn_set_benchmark(true);
    }
}

/// Whether a device computes channel by channel.
pub fn is_contiguous(device: Device) -> bool {
    static WISHED: OnceLock<bool> = OnceLock::new();
    device.is_cuda() && *WISHED.get_or_init(|| is_wished(CONTIGUOUS))
}
