//! How the images of an epoch are cut into batches, and what becomes of the last ones where they are fewer than a batch.
//!
//! It may not know of tensors.

use std::ops::Range;

use tombola_core::net::Graph;
use tombola_core::sweep::Settings;
use tombola_words::value::LastBatch;

/// The batches of an epoch, as places in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portions {
    images: usize,
    size: usize,
    steps: usize,
    /// Whether the last batch has all that is left.
    joined: bool,
}

impl Portions {
    /// Those of `images` images, of which each batch has as many as the settings say. An epoch has one batch at least: where all
    /// images are fewer than a batch, they are one whatever `last-batch` says.
    pub fn of(images: usize, settings: &Settings, graph: &Graph) -> Self {
        let size = settings.batch_size.max(1);
        let (whole, rest) = (images / size, images % size);
        let kept = Self { images, size, steps: images.div_ceil(size), joined: false };
        let fewer = Self { steps: whole, ..kept };
        if rest == 0 || whole == 0 {
            return kept;
        }
        match settings.last_batch {
            LastBatch::Keep => kept,
            LastBatch::Drop => fewer,
            LastBatch::Join => Self { joined: true, ..fewer },
            LastBatch::Auto if rest == 1 && graph.lone_norm().is_some() => Self { joined: true, ..fewer },
            LastBatch::Auto => kept,
        }
    }

    /// Batches of an epoch.
    pub fn steps(self) -> usize {
        self.steps
    }

    /// Images of an epoch.
    pub fn images(self) -> usize {
        if self.joined { self.images } else { self.images.min(self.steps * self.size) }
    }

    /// Where the images of a batch stand in the order of the epoch.
    pub fn batch(self, number: usize) -> Range<usize> {
        let start = number * self.size;
        let end = if self.joined && number + 1 == self.steps { self.images } else { start + self.size };
        start..end.min(self.images)
    }

    /// Whether the last batch has more images than others.
    pub fn is_joined(self) -> bool {
        self.joined
    }
}

#[cfg(test)]
mod tests {
    use tombola_core::net::{Builder, Op};
    use tombola_words::Shape;

    use super::*;

    /// A network whose batch norm sees one value an image, or many.
    fn network(lone: bool) -> Graph {
        let mut build = Builder::new(Shape::Image(1, 4, 4));
        let mut last = build.conv("conv", 0, 3, 3, 1).unwrap();
        if lone {
            last = build.add("pool", Op::GlobalAveragePool, &[last]).unwrap();
            last = build.linear("hidden", last, 3).unwrap();
        }
        last = build.batch_norm("bn", last).unwrap();
        if !lone {
            last = build.add("pool", Op::GlobalAveragePool, &[last]).unwrap();
        }
        build.linear("fc", last, 2).unwrap();
        build.finish(2).unwrap()
    }

    fn batches(images: usize, last_batch: LastBatch, lone: bool) -> Vec<(usize, usize)> {
        let settings = Settings { batch_size: 4, last_batch, ..Settings::default() };
        let portions = Portions::of(images, &settings, &network(lone));
        assert_eq!(portions.images(), (0..portions.steps()).map(|number| portions.batch(number).len()).sum::<usize>());
        (0..portions.steps()).map(|number| portions.batch(number)).map(|batch| (batch.start, batch.end)).collect()
    }

    #[test]
    fn the_last_images_are_kept_dropped_or_joined() {
        for lone in [false, true] {
            assert_eq!(batches(10, LastBatch::Auto, lone), [(0, 4), (4, 8), (8, 10)]);
            assert_eq!(batches(9, LastBatch::Keep, lone), [(0, 4), (4, 8), (8, 9)]);
            assert_eq!(batches(10, LastBatch::Drop, lone), [(0, 4), (4, 8)]);
            assert_eq!(batches(10, LastBatch::Join, lone), [(0, 4), (4, 10)]);
            for last_batch in [LastBatch::Auto, LastBatch::Keep, LastBatch::Drop, LastBatch::Join] {
                assert_eq!(batches(8, last_batch, lone), [(0, 4), (4, 8)]);
                assert_eq!(batches(3, last_batch, lone), [(0, 3)]);
            }
        }
    }

    #[test]
    fn one_image_is_joined_where_a_norm_would_see_a_single_value() {
        assert_eq!(batches(9, LastBatch::Auto, true), [(0, 4), (4, 9)]);
        assert_eq!(batches(9, LastBatch::Auto, false), [(0, 4), (4, 8), (8, 9)]);
        assert_eq!(batches(1, LastBatch::Auto, true), [(0, 1)]);
    }
}
