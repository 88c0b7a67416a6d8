//! How many weights each layer keeps where a rule says it.

use crate::net::Parameter;

/// Erdős–Rényi-kernel densities (Evci et al. 2020, "Rigging the Lottery", section 3): the density of a layer is
/// proportional to the sum of its weight's sizes over their product, never above what the layer has left.
///
/// `alive` are the weights that each of `layers` has; together they keep exactly `kept` of them (at most all). Rounding
/// goes to the largest remainders, the first layer first.
pub fn erdos_renyi_kernel(layers: &[&Parameter], alive: &[usize], kept: usize) -> Vec<usize> {
    let raw: Vec<f64> = layers.iter().map(|layer| layer.shape.iter().sum::<usize>() as f64).collect();
    // Density times size is `factor` times the sum of the sizes. Layers that this would overfill keep all they have.
    let mut full = vec![false; layers.len()];
    let factor = loop {
        let open = || (0..layers.len()).filter(|layer| !full[*layer]);
        let taken: usize = (0..layers.len()).filter(|layer| full[*layer]).map(|layer| alive[layer]).sum();
        let sum: f64 = open().map(|layer| raw[layer]).sum();
        let factor = if sum > 0.0 { kept.saturating_sub(taken) as f64 / sum } else { 0.0 };
        let overfull: Vec<usize> = open().filter(|layer| factor * raw[*layer] > alive[*layer] as f64).collect();
        if overfull.is_empty() {
            break factor;
        }
        overfull.into_iter().for_each(|layer| full[layer] = true);
    };
    let share = |layer: usize| if full[layer] { alive[layer] as f64 } else { factor * raw[layer] };
    let mut counts: Vec<usize> = (0..layers.len()).map(|layer| share(layer).floor() as usize).collect();
    let mut order: Vec<usize> = (0..layers.len()).collect();
    let remainder = |layer: usize| share(layer) - share(layer).floor();
    order.sort_by(|a, b| remainder(*b).total_cmp(&remainder(*a)));
    // A layer that is full passes what is left over on; more than one round is needed only where floats erred.
    let mut missing = kept.saturating_sub(counts.iter().sum());
    while missing > 0 {
        let before = missing;
        for &layer in &order {
            if missing > 0 && counts[layer] < alive[layer] {
                counts[layer] += 1;
                missing -= 1;
            }
        }
        if missing == before {
            break;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Builder, Layout, Op};
    use proptest::prelude::*;
    use tombola_words::Shape;

    fn layout(widths: &[usize]) -> Layout {
        let mut build = Builder::new(Shape::Image(3, 8, 8));
        let mut last = 0;
        for (number, width) in widths.iter().enumerate() {
            last = build.conv(&format!("conv{number}"), last, *width, 3, 1).unwrap();
        }
        last = build.add("pool", Op::GlobalAveragePool, &[last]).unwrap();
        build.linear("fc", last, 10).unwrap();
        Layout::of(&build.finish(10).unwrap())
    }

    fn weights(layout: &Layout) -> Vec<&Parameter> {
        layout.parameters.iter().filter(|parameter| parameter.role.is_connection()).collect()
    }

    #[test]
    fn small_layers_stay_dense_and_large_ones_pay() {
        let layout = layout(&[16, 64, 64]);
        let layers = weights(&layout);
        let alive: Vec<usize> = layers.iter().map(|layer| layer.len).collect();
        let total: usize = alive.iter().sum();
        let counts = erdos_renyi_kernel(&layers, &alive, total / 10);
        assert_eq!(counts.iter().sum::<usize>(), total / 10);
        let density = |layer: usize| counts[layer] as f64 / alive[layer] as f64;
        // Sums of sizes 25, 86, 134, 74 over 432, 9216, 36864, 640 weights, by hand at total 4715: the sum of all sums is
        // 319, so the factor is 14.78 and the last layer (74 · 14.78 = 1094) is full. Without it 4075 / 245 = 16.63.
        assert_eq!(counts, [416, 1430, 2229, 640]);
        assert!(density(0) > density(1) && density(1) > density(2));
    }

    proptest! {
        #[test]
        fn exactly_as_many_stay_as_shall_and_none_that_is_gone(
            widths in proptest::collection::vec(1usize..40, 1..5), share in 0.0f64..=1.0, left in 0.0f64..=1.0,
        ) {
            let layout = layout(&widths);
            let layers = weights(&layout);
            let alive: Vec<usize> = layers.iter().map(|layer| (layer.len as f64 * left) as usize).collect();
            let kept = (alive.iter().sum::<usize>() as f64 * share) as usize;
            let counts = erdos_renyi_kernel(&layers, &alive, kept);
            prop_assert_eq!(counts.iter().sum::<usize>(), kept);
            for (count, alive) in counts.iter().zip(&alive) {
                prop_assert!(count <= alive);
            }
        }
    }
}
