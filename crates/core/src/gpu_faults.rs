//! Errors after which a GPU is of no use to a process any more: every later call fails as well, or, worse, does not.
//!
//! The texts are those of CUDA's runtime (`cudaGetErrorString`), of cuBLAS and of cuDNN, as libtorch passes them on. It may not know
//! of torch.

/// What the error of a capture that could not be ended says: libtorch's memory is then in a state that nobody tested.
pub const UNENDED: &str = "could not end the capture of a training step";

/// Parts of texts, in lower case.
const TEXTS: [&str; 18] = [
    "device-side assert",
    "illegal memory access",
    "misaligned address",
    "illegal instruction",
    "illegal address",
    "invalid program counter",
    "invalid address space",
    "hardware stack error",
    "launch failure",
    "launch timed out",
    "uncorrectable ecc",
    "uncorrectable nvlink",
    "fallen off the bus",
    "device is lost",
    "mps client failed",
    "cublas_status_execution_failed",
    "cudnn_status_execution_failed",
    UNENDED,
];

/// Whether an error of this text leaves the GPU unusable for this process.
pub fn is_fatal(text: &str) -> bool {
    let text = text.to_lowercase();
    TEXTS.iter().any(|part| text.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_broken_is_told_from_what_concerns_one_training() {
        for text in [
            "CUDA error: an illegal memory access was encountered",
            "CUDA error: misaligned address",
            "CUDA error: an illegal instruction was encountered",
            "CUDA error: unspecified launch failure",
            "CUDA error: the launch timed out and was terminated",
            "CUDA error: device-side assert triggered",
            "CUDA error: uncorrectable ECC error encountered",
            "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`",
            "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
            "the GPU could not end the capture of a training step: operation not permitted",
        ] {
            assert!(is_fatal(text), "{text}");
        }
        for text in [
            "out of memory: CUDA out of memory. Tried to allocate 2 GiB",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "diverged: the training loss is NaN in epoch 3",
            "CUDA error: invalid device ordinal",
        ] {
            assert!(!is_fatal(text), "{text}");
        }
    }
}
