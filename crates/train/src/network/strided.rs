//! Strided 1x1 convolutions of few channels, without the kernels of libtorch that write past their memory.
//!
//! For the gradient of the weights of a strided 1x1 convolution of channels-last images, oneDNN, which libtorch 2.11 carries,
//! copies every `stride`-th pixel to a buffer, part by part, and then has stride 1. It reserves `channels` numbers a pixel, but
//! a part that begins at the n-th pixel of an image is written `n * block` numbers behind the start: 8 are a block with AVX2
//! (float32), 16 with AVX-512 (float32 and bfloat16). With fewer channels than that it ends behind the buffer, or in that of
//! another thread. Images are cut into parts
//!
//! - with AVX2 wherever they have a second row, or threads share a batch;
//! - with AVX-512 where they have more pixels than a share of the first cache holds (512 of 32 KiB), or threads share a batch.
//!
//! So the pixels are taken here, and the convolution that is called has stride 1. It adds the same products, perhaps in another
//! order: what was right before stays as it was only where this is left alone. `tests/memory/main.rs` holds all of it to a checking
//! allocator.

use tch::{Device, Tensor};

use tombola_core::net::Window;

/// Channels of a block with AVX2 and with AVX-512.
const BLOCKS: [i64; 2] = [8, 16];

/// Images up to this many pixels are one part with AVX-512 on one thread: half of what the smallest first cache allows.
const WHOLE: i64 = 256;

/// The convolution to be done.
#[derive(Debug, Clone, Copy)]
struct Case {
    channels: i64,
    /// Of what comes in.
    height: i64,
    width: i64,
    kernel: [i64; 2],
    stride: i64,
    padding: i64,
    threads: i32,
}

impl Case {
    /// Whether a kernel for it could write past its memory, with any instruction set: what is computed depends on the
    /// processor no more than it must.
    fn is_dangerous(self) -> bool {
        // Elsewhere oneDNN copies nothing.
        let divides = self.height % self.stride == 0 && self.width % self.stride == 0;
        if self.kernel != [1, 1] || self.stride == 1 || self.padding != 0 || !divides {
            return false;
        }
        let pixels = (self.height / self.stride) * (self.width / self.stride);
        let [short, long] = BLOCKS;
        let is_cut = pixels > WHOLE || self.threads > 1;
        pixels > 1 && (self.channels < short || self.channels < long && is_cut)
    }
}

/// The convolution of `x`, `[images, channels, height, width]`, with a kernel `weight`, `[out, channels / groups, height, width]`.
pub(super) fn conv(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, window: Window, groups: i64) -> Tensor {
    let pair = |sizes: [usize; 2]| sizes.map(|size| size as i64);
    let (stride, padding, dilation) = (pair(window.stride), pair(window.padding), pair(window.dilation));
    if x.device() == Device::Cpu && case(x, weight, stride, padding).is_some_and(Case::is_dangerous) {
        return every(x, stride[0]).conv2d(weight, bias, [1, 1], [0, 0], [1, 1], groups);
    }
    x.conv2d(weight, bias, stride, padding, dilation, groups)
}

/// Every `stride`-th pixel of each row and column, channels-last.
///
/// The axes are turned first: the gradient of a slice lies as the axes do, so it is channels-last as well.
fn every(x: &Tensor, stride: i64) -> Tensor {
    let pixels = x.permute([0, 2, 3, 1]).slice(1, 0, None, stride).slice(2, 0, None, stride);
    pixels.contiguous().permute([0, 3, 1, 2])
}

/// The same step along both axes: with two steps, or a kernel that is not square, nothing is copied. Of several groups, each has its
/// own channels.
fn case(x: &Tensor, weight: &Tensor, stride: [i64; 2], padding: [i64; 2]) -> Option<Case> {
    match (&*x.size(), &*weight.size()) {
        (&[_, _, height, width], &[_, channels, rows, columns]) if stride[0] == stride[1] => {
            let (threads, padding) = (tch::get_num_threads(), padding[0].max(padding[1]));
            Some(Case { channels, height, width, kernel: [rows, columns], stride: stride[0], padding, threads })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A strided shortcut of images of 8x8 pixels.
    fn shortcut(channels: i64) -> Case {
        Case { channels, height: 8, width: 8, kernel: [1, 1], stride: 2, padding: 0, threads: 1 }
    }

    #[test]
    fn fewer_channels_than_a_block_are_dangerous() {
        let found: Vec<i64> = (1..40).filter(|channels| shortcut(*channels).is_dangerous()).collect();
        assert_eq!(found, [1, 2, 3, 4, 5, 6, 7]);
        // Of more pixels, or shared by threads, also those that AVX-512 has in one block.
        let large = |channels| Case { height: 34, width: 34, ..shortcut(channels) };
        let shared = |channels| Case { threads: 2, ..shortcut(channels) };
        for case in [large as fn(i64) -> Case, shared] {
            let found: Vec<i64> = (1..40).filter(|channels| case(*channels).is_dangerous()).collect();
            assert_eq!(found, (1..16).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_not_copied_is_left_alone() {
        let case = shortcut(4);
        assert!(case.is_dangerous());
        assert!(!Case { stride: 1, ..case }.is_dangerous());
        assert!(!Case { kernel: [3, 3], ..case }.is_dangerous());
        assert!(!Case { padding: 1, ..case }.is_dangerous());
        assert!(!Case { height: 9, ..case }.is_dangerous());
        assert!(!Case { height: 2, width: 2, ..case }.is_dangerous(), "one pixel is one part");
    }
}
