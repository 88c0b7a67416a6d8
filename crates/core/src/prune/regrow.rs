//! Replaces weights of a sparse network: the smallest of each layer go, and as many with large gradients come.
//!
//! Evci et al. 2020, "Rigging the Lottery", algorithm 1. Each layer keeps its number of weights exactly. It may not know when that
//! happens, nor of torch: gradients are given.

use super::prunable;
use crate::mask::Bits;
use crate::net::Layout;
use crate::plan::LayerChoice;
use tombola_words::error::{Error, Result};

/// What a change leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Regrowth {
    /// Weights that were alive and stay so: all else of the weights and of what the optimiser knows becomes 0.
    pub kept: Bits,
    /// The new mask: those, and those that come.
    pub mask: Bits,
}

/// Replaces the share `share` of the alive weights of each layer that may be pruned, rounded to whole weights.
///
/// `values` and `gradients` are all weights and the gradients of the loss with respect to all, dead ones included (`[Layout::len]`
/// both), `before` the mask and `whole` what may be alive at all. Of a layer those of smallest magnitude go; then come, of all that are
/// dead now, those whose gradients are largest. So a weight that went can come back, as in the paper; it starts at 0 as the others
/// do. Equal values are taken in the order of their positions. No more go than were dead before: a dense layer stays as it is.
///
/// # Errors
/// When a weight or a gradient is not a number.
pub fn regrow(
    layout: &Layout,
    layers: &LayerChoice,
    (values, gradients): (&[f32], &[f32]),
    (before, whole): (&Bits, &Bits),
    share: f64,
) -> Result<Regrowth> {
    let (mut kept, mut mask) = (before.clone(), before.clone());
    for (_, parameter) in prunable(layout, layers) {
        let range = parameter.range();
        if range.clone().any(|position| values[position].is_nan() || gradients[position].is_nan()) {
            return Err(Error::training(format!(
                "`{}` holds weights or gradients that are not numbers",
                parameter.name
            ))
            .hint("the training diverged: lower the learning rate"));
        }
        let alive: Vec<usize> = range.clone().filter(|position| before.get(*position)).collect();
        let dead = range.clone().filter(|position| whole.get(*position) && !before.get(*position)).count();
        let count = ((share * alive.len() as f64).round() as usize).min(dead).min(alive.len());
        let smallest = first(alive, count, |position| values[position].abs());
        smallest.iter().for_each(|position| kept.set(*position, false));
        let candidates = range.clone().filter(|position| whole.get(*position) && !kept.get(*position)).collect();
        let largest = first(candidates, count, |position| -gradients[position].abs());
        smallest.into_iter().for_each(|position| mask.set(position, false));
        largest.into_iter().for_each(|position| mask.set(position, true));
    }
    Ok(Regrowth { kept, mask })
}

/// The `count` positions with the lowest scores, of equal ones the first.
fn first(mut positions: Vec<usize>, count: usize, score: impl Fn(usize) -> f32) -> Vec<usize> {
    if count == 0 {
        return Vec::new();
    }
    positions.select_nth_unstable_by(count - 1, |a, b| score(*a).total_cmp(&score(*b)).then(a.cmp(b)));
    positions.truncate(count);
    positions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Builder, Op};
    use proptest::prelude::*;
    use tombola_words::Shape;

    fn layout() -> Layout {
        let mut build = Builder::new(Shape::Image(1, 4, 4));
        let conv = build.conv("conv", 0, 3, 3, 1).unwrap();
        let pool = build.add("pool", Op::GlobalAveragePool, &[conv]).unwrap();
        build.linear("fc", pool, 4).unwrap();
        Layout::of(&build.finish(4).unwrap())
    }

    fn row(layout: &Layout, name: &str) -> std::ops::Range<usize> {
        layout.parameters.iter().find(|parameter| parameter.name == name).unwrap().range()
    }

    #[test]
    fn the_smallest_go_and_the_largest_gradients_come_even_of_those_that_went() {
        let layout = layout();
        let fc = row(&layout, "fc.weight");
        let (mut values, mut gradients) = (vec![9.0f32; layout.len], vec![0.0f32; layout.len]);
        let mut before = Bits::ones(layout.len);
        // Four of twelve are dead. The share is of the eight others: two.
        (fc.start + 8..fc.end).for_each(|position| before.set(position, false));
        (values[fc.start + 3], values[fc.start + 5]) = (-0.5, 0.25);
        (gradients[fc.start + 3], gradients[fc.start + 9]) = (-7.0, 6.0);
        (gradients[fc.start + 1], gradients[fc.start + 10]) = (100.0, 5.0);
        let whole = Bits::ones(layout.len);
        let found = regrow(&layout, &LayerChoice::all(), (&values, &gradients), (&before, &whole), 0.25).unwrap();
        let of = |mask: &Bits| fc.clone().filter(|at| mask.get(*at)).map(|at| at - fc.start).collect::<Vec<_>>();
        assert_eq!(of(&found.kept), [0, 1, 2, 4, 6, 7]);
        assert_eq!(of(&found.mask), [0, 1, 2, 3, 4, 6, 7, 9]);
        // The convolution has nothing dead: nothing of it goes.
        let conv = row(&layout, "conv.weight");
        assert_eq!((found.kept.count_in(conv.clone()), found.mask.count_in(conv.clone())), (conv.len(), conv.len()));
        // What may never be alive does not come.
        let mut whole = whole;
        whole.set(fc.start + 9, false);
        let found = regrow(&layout, &LayerChoice::all(), (&values, &gradients), (&before, &whole), 0.25).unwrap();
        assert_eq!(of(&found.mask), [0, 1, 2, 3, 4, 6, 7, 10]);
        values[fc.start] = f32::NAN;
        assert!(regrow(&layout, &LayerChoice::all(), (&values, &gradients), (&before, &whole), 0.1).is_err());
    }

    proptest! {
        #[test]
        fn every_layer_keeps_its_number_of_weights(
            numbers in proptest::collection::vec((-1.0f32..1.0, -1.0f32..1.0, any::<bool>()), layout().len), share in 0.0f64..=1.0,
        ) {
            let layout = layout();
            let values: Vec<f32> = numbers.iter().map(|(value, ..)| (value * 4.0).round()).collect();
            let gradients: Vec<f32> = numbers.iter().map(|(_, gradient, _)| (gradient * 4.0).round()).collect();
            let mut before = Bits::ones(layout.len);
            for (_, parameter) in prunable(&layout, &LayerChoice::all()) {
                parameter.range().filter(|at| !numbers[*at].2).for_each(|at| before.set(at, false));
            }
            let whole = Bits::ones(layout.len);
            let found = regrow(&layout, &LayerChoice::all(), (&values, &gradients), (&before, &whole), share).unwrap();
            prop_assert!(found.kept.is_within(&before) && found.kept.is_within(&found.mask));
            for (_, parameter) in prunable(&layout, &LayerChoice::all()) {
                let (alive, len) = (before.count_in(parameter.range()), parameter.len);
                prop_assert_eq!(found.mask.count_in(parameter.range()), alive);
                let gone = ((share * alive as f64).round() as usize).min(len - alive).min(alive);
                prop_assert_eq!(alive - found.kept.count_in(parameter.range()), gone);
            }
        }
    }
}
