//! What the residual networks for CIFAR have in common: three stages of blocks, each with twice the channels and half the
//! size of the one before.

/// The place of one block in such a network.
#[derive(Debug)]
pub(super) struct BlockPlace {
    /// Its module path: "layer2.0".
    pub(super) name: String,
    /// Its stage, from 1.
    pub(super) stage: usize,
    /// Its place in the stage, from 0.
    pub(super) index: usize,
    /// Channels of its stage.
    pub(super) channels: usize,
    /// Step of the convolution that makes its images smaller, or 1.
    pub(super) stride: usize,
    /// Whether it is the first of its stage.
    pub(super) first: bool,
}

/// The places of `blocks` blocks a stage, the first stage with `width` channels.
pub(super) fn three_stages(blocks: usize, width: usize) -> impl Iterator<Item = BlockPlace> {
    (0..3).flat_map(move |stage| {
        (0..blocks).map(move |index| BlockPlace {
            name: format!("layer{}.{index}", stage + 1),
            stage: stage + 1,
            index,
            channels: width << stage,
            stride: if stage > 0 && index == 0 { 2 } else { 1 },
            first: index == 0,
        })
    })
}
