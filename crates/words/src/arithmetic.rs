//! What the numbers of a training depend on beside its settings.

use serde::{Deserialize, Serialize};

/// Where and how a training was computed, as far as other sums come out elsewhere: libtorch adds in another order with another
/// number of threads, another instruction set or another GPU, and a training carries the last digits on to the first.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Arithmetic {
    /// `cpu`, or the model of the GPU.
    pub device: String,
    /// Instruction set and maker of the processor; empty for a GPU.
    #[serde(default)]
    pub instructions: String,
    /// CPU threads of a training; 0 for a GPU, where they change nothing.
    #[serde(default)]
    pub threads: usize,
    /// Whether a GPU was kept to kernels that add in the same order each time.
    #[serde(default)]
    pub deterministic: bool,
}

impl std::fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { device, instructions, threads, deterministic } = self;
        write!(f, "{device}")?;
        if !instructions.is_empty() {
            write!(f, " ({instructions})")?;
        }
        match threads {
            0 => {}
            1 => write!(f, ", 1 thread")?,
            threads => write!(f, ", {threads} threads")?,
        }
        match deterministic {
            true => write!(f, ", deterministic"),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_a_few_words() {
        let of = |device: &str, instructions: &str, threads| {
            let (device, instructions) = (device.into(), instructions.into());
            Arithmetic { device, instructions, threads, deterministic: false }.to_string()
        };
        assert_eq!(of("cpu", "AVX2, AMD", 1), "cpu (AVX2, AMD), 1 thread");
        assert_eq!(of("cpu", "", 2), "cpu, 2 threads");
        assert_eq!(of("NVIDIA H100", "", 0), "NVIDIA H100");
        let kept = Arithmetic { device: "NVIDIA H100".into(), deterministic: true, ..Arithmetic::default() };
        assert_eq!(kept.to_string(), "NVIDIA H100, deterministic");
    }
}
