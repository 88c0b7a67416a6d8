//! Draws a mask over single weights.
//!
//! Of the `alive` connections that compete with each other, exactly `round(rate · alive)` with the lowest scores are
//! pruned; equal scores are pruned in the order of their positions, the first first. That holds for any values, where
//! a threshold prunes too many or too few (docs/pitfalls.md, numbers 8 and 9), and nothing limits the number of weights
//! (pitfall 30).

use std::ops::Range;

use rand::Rng;

use super::criterion::{Key, scores, wanted};
use super::densities::erdos_renyi_kernel;
use super::layers::first_for;
use super::{Scorer, Want, prunable};
use crate::mask::Bits;
use crate::net::{Graph, Layout, Parameter};
use crate::plan::Pruning;
use tombola_words::error::{Error, Result};
use tombola_words::stream::stream;
use tombola_words::value::{Control, Scope};

/// Steps in which [`Criterion::SynFlow`](tombola_words::value::Criterion) prunes, scores taken anew after each: what is
/// left falls by the same factor each time (Tanaka et al. 2020, algorithm 1, and 100 in its experiments).
const FLOW_STEPS: i32 = 100;

/// What is said where no connection may be pruned.
pub fn nothing_prunable() -> Error {
    Error::input("no layer of this network may be pruned")
        .hint("choose other layers with `--prune-layers`, or fewer that `spare` names")
}

/// Draws the next mask from the weights `values` (`[layout.len]`) and the mask `before` (all ones for a dense network).
///
/// The random-mask twin keeps as many weights in each layer as the ticket, at random positions of the whole layer: it
/// carries nothing of the ticket but its layer densities.
///
/// # Errors
/// When a weight is not a number, no layer may be pruned, or `scorer` cannot give gradients that are needed.
pub fn draw(
    graph: &Graph,
    layout: &Layout,
    values: &[f32],
    before: &Bits,
    pruning: &Pruning,
    key: Key,
    scorer: &mut dyn Scorer,
) -> Result<Bits> {
    draw_of(graph, layout, values, (before, before), pruning, key, scorer)
}

/// As [`draw`], on from a mask `before` that is on its way: the rate is counted of the mask `whole`, in which `before` lies. Of
/// `whole` connections that compete with each other exactly `round(rate · whole)` are dead afterwards, if not more were before.
///
/// # Errors
/// As [`draw`].
pub fn draw_of(
    graph: &Graph,
    layout: &Layout,
    values: &[f32],
    (before, whole): (&Bits, &Bits),
    pruning: &Pruning,
    key: Key,
    scorer: &mut dyn Scorer,
) -> Result<Bits> {
    let want = wanted(pruning.criterion);
    let steps = if want == Some(Want::SynapticFlow) { FLOW_STEPS } else { 1 };
    let groups = groups(graph, layout, (before, whole), pruning)?;
    let mut mask = before.clone();
    for step in 1..=steps {
        let gradients = want.map(|want| scorer.gradients(want, &mask)).transpose()?;
        for group in &groups {
            let mut alive: Vec<(f32, usize)> = Vec::new();
            for (number, parameter) in &group.layers {
                let known = (values, gradients.as_deref());
                let mut scores = scores(pruning.criterion, parameter, *number, known, &mask, key);
                if pruning.scope == Scope::Deviation {
                    let deviation = deviation(values, &scores);
                    scores.iter_mut().for_each(|(score, _)| *score = (f64::from(*score) / deviation) as f32);
                }
                if scores.iter().any(|(score, position)| score.is_nan() || values[*position].is_nan()) {
                    return Err(Error::training(format!("`{}` holds weights that are not numbers", parameter.name))
                        .hint("the training diverged: lower the learning rate"));
                }
                alive.extend(scores);
            }
            let pruned = alive.len() - group.left_after(step, steps).min(alive.len());
            if pruned > 0 {
                let lower = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
                alive.select_nth_unstable_by(pruned - 1, lower);
                alive[..pruned].iter().for_each(|(_, position)| mask.set(*position, false));
            }
        }
    }
    as_twin(&mut mask, layout, pruning, key);
    Ok(mask)
}

/// For the random-mask twin, moves what each layer keeps to random positions of it.
pub(super) fn as_twin(mask: &mut Bits, layout: &Layout, pruning: &Pruning, key: Key) {
    if pruning.control == Control::RandomMask {
        for (number, parameter) in prunable(layout, &pruning.layers) {
            shuffle(mask, parameter.range(), number, key);
        }
    }
}

/// Connections that compete with each other.
struct PruneGroup<'a> {
    /// With their numbers in the layout.
    layers: Vec<(usize, &'a Parameter)>,
    /// How many of them are alive, and how many stay.
    alive: usize,
    kept: usize,
}

impl<'a> PruneGroup<'a> {
    /// Of which the share `rate` goes, counted of `whole`.
    fn of(layers: Vec<(usize, &'a Parameter)>, (before, whole): (&Bits, &Bits), rate: f64) -> Self {
        let count = |mask: &Bits| layers.iter().map(|(_, layer)| mask.count_in(layer.range())).sum();
        let (alive, all): (usize, usize) = (count(before), count(whole));
        let kept = (all - (rate * all as f64).round() as usize).min(alive);
        Self { layers, alive, kept }
    }

    /// How many are left after some of the steps: the same share goes in each.
    fn left_after(&self, step: i32, steps: i32) -> usize {
        if step == steps {
            return self.kept;
        }
        let share = self.kept as f64 / self.alive.max(1) as f64;
        (self.alive as f64 * share.powf(f64::from(step) / f64::from(steps))).round() as usize
    }
}

/// The sets of connections that compete.
fn groups<'a>(
    graph: &Graph,
    layout: &'a Layout,
    (before, whole): (&Bits, &Bits),
    pruning: &Pruning,
) -> Result<Vec<PruneGroup<'a>>> {
    let parts: Vec<(usize, &Parameter)> = prunable(layout, &pruning.layers).collect();
    if parts.is_empty() {
        return Err(nothing_prunable());
    }
    let output = graph.output_layer();
    let rate_of = |(number, parameter): &(usize, &Parameter)| match first_for(layout, &pruning.layer_rates, *number) {
        Some(rate) => Some(*rate),
        None if pruning.output_rate != 1.0 && Some(parameter.node) == output => {
            Some(pruning.rate * pruning.output_rate)
        }
        None => None,
    };
    // At a rate of its own a layer cannot compete with the others.
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for part in parts {
        match rate_of(&part) {
            Some(rate) => alone.push((part, rate)),
            None => together.push(part),
        }
    }
    let own = |part, rate| PruneGroup::of(vec![part], (before, whole), rate);
    let mut groups: Vec<PruneGroup> = match pruning.scope {
        Scope::Layer => together.into_iter().map(|part| own(part, pruning.rate)).collect(),
        Scope::Global | Scope::Deviation => vec![PruneGroup::of(together, (before, whole), pruning.rate)],
        Scope::Erk => {
            let all = PruneGroup::of(together, (before, whole), pruning.rate);
            let layers: Vec<&Parameter> = all.layers.iter().map(|(_, layer)| *layer).collect();
            let alive: Vec<usize> = layers.iter().map(|layer| before.count_in(layer.range())).collect();
            let kept = erdos_renyi_kernel(&layers, &alive, all.kept);
            let counted = all.layers.into_iter().zip(alive).zip(kept);
            counted.map(|((part, alive), kept)| PruneGroup { layers: vec![part], alive, kept }).collect()
        }
    };
    groups.extend(alone.into_iter().map(|(part, rate)| own(part, rate)));
    Ok(groups)
}

/// Standard deviation of the alive weights of a layer; 1 for a layer without any spread, or with weights that have none.
fn deviation(values: &[f32], alive: &[(f32, usize)]) -> f64 {
    let count = alive.len().max(1) as f64;
    let weights = || alive.iter().map(|(_, position)| f64::from(values[*position]));
    let mean = weights().sum::<f64>() / count;
    let variance = weights().map(|weight| (weight - mean).powi(2)).sum::<f64>() / count;
    if variance > 0.0 && variance.is_finite() { variance.sqrt() } else { 1.0 }
}

/// Moves the alive bits of a layer to random positions of it (Fisher and Yates).
fn shuffle(mask: &mut Bits, range: Range<usize>, number: usize, key: Key) {
    let mut numbers = stream(key.seed, "random mask", &[key.level, number as u64]);
    for last in (range.start + 1..range.end).rev() {
        let other = numbers.random_range(range.start..=last);
        let (a, b) = (mask.get(last), mask.get(other));
        mask.set(last, b);
        mask.set(other, a);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Builder;
    use crate::plan::LayerChoice;
    use crate::prune::scorer::NoGradients;
    use crate::sweep::Settings;
    use proptest::prelude::*;
    use tombola_words::Shape;
    use tombola_words::value::{Criterion, PruneLayers, Rewind};

    fn network() -> Graph {
        let mut build = Builder::new(Shape::Image(2, 5, 5));
        let conv = build.conv("conv", 0, 4, 3, 1).unwrap();
        let norm = build.batch_norm("bn", conv).unwrap();
        let flat = build.add("flatten", crate::net::Op::Flatten, &[norm]).unwrap();
        let hidden = build.linear("fc1", flat, 7).unwrap();
        build.linear("fc2", hidden, 3).unwrap();
        build.finish(3).unwrap()
    }

    fn pruning(rate: f64) -> Pruning {
        let settings = Settings { rewind: Rewind::Init, ..Settings::default() };
        Pruning { criterion: Criterion::Magnitude, ..Pruning::of(&settings, rate) }
    }

    const KEY: Key = Key { seed: 1, level: 1 };

    fn alive(mask: &Bits, layout: &Layout, layers: PruneLayers) -> usize {
        prunable(layout, &LayerChoice::of(layers)).map(|(_, p)| mask.count_in(p.range())).sum()
    }

    fn values_strategy(len: usize) -> impl Strategy<Value = Vec<f32>> {
        let one = prop_oneof![Just(0.0f32), Just(-0.0), Just(0.5), Just(-0.5), -2.0f32..2.0, Just(f32::INFINITY)];
        prop_oneof![proptest::collection::vec(one, len), (-1.0f32..1.0).prop_map(move |constant| vec![constant; len])]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn pitfall_8_exactly_the_rounded_share_is_pruned_whatever_the_values(
            values in values_strategy(Layout::of(&network()).len), rate in 0.0f64..1.0,
            scope in proptest::sample::select(vec![Scope::Global, Scope::Layer, Scope::Erk, Scope::Deviation]),
            criterion in proptest::sample::select(vec![Criterion::Magnitude, Criterion::Lamp, Criterion::Random]),
        ) {
            let (graph, layout) = (network(), Layout::of(&network()));
            let before = Bits::ones(layout.len);
            let mask = draw(&graph, &layout, &values, &before, &Pruning { scope, criterion, ..pruning(rate) }, KEY, &mut NoGradients).unwrap();
            let expected: usize = match scope {
                Scope::Global | Scope::Erk | Scope::Deviation => {
                    let total = alive(&before, &layout, PruneLayers::All);
                    total - (rate * total as f64).round() as usize
                }
                Scope::Layer => prunable(&layout, &LayerChoice::all()).map(|(_, p)| p.len - (rate * p.len as f64).round() as usize).sum(),
            };
            prop_assert_eq!(alive(&mask, &layout, PruneLayers::All), expected);
            // Nothing but connections is ever pruned.
            for parameter in layout.parameters.iter().filter(|p| !p.role.is_connection()) {
                prop_assert_eq!(mask.count_in(parameter.range()), parameter.len);
            }
        }

        #[test]
        fn pitfall_9_masks_only_shrink_and_n_levels_reach_the_ratio(
            values in values_strategy(Layout::of(&network()).len), ratio in 0.0f64..0.95, levels in 1usize..6,
        ) {
            let (graph, layout) = (network(), Layout::of(&network()));
            let rate = crate::sweep::Settings { pruning_ratio: ratio, prune_iterations: levels, ..Default::default() }.rate();
            let total = alive(&Bits::ones(layout.len), &layout, PruneLayers::All);
            let mut mask = Bits::ones(layout.len);
            for _ in 0..levels {
                let next = draw(&graph, &layout, &values, &mask, &pruning(rate), KEY, &mut NoGradients).unwrap();
                prop_assert!(next.is_within(&mask));
                mask = next;
            }
            let reached = alive(&mask, &layout, PruneLayers::All) as f64;
            // Each level rounds by at most half a weight, and later levels shrink that.
            prop_assert!((reached - (1.0 - ratio) * total as f64).abs() <= 0.5 * levels as f64 + 0.5);
        }
    }

    proptest! {
        #[test]
        fn a_mask_on_its_way_has_exactly_the_share_of_the_whole_and_only_shrinks(
            values in values_strategy(Layout::of(&network()).len), mut rates in proptest::collection::vec(0.0f64..1.0, 1..6),
            scope in proptest::sample::select(vec![Scope::Global, Scope::Layer, Scope::Erk, Scope::Deviation]),
        ) {
            let (graph, layout) = (network(), Layout::of(&network()));
            rates.sort_by(f64::total_cmp);
            let whole = Bits::ones(layout.len);
            let mut mask = whole.clone();
            for rate in rates {
                let pruning = Pruning { scope, ..pruning(rate) };
                let next = draw_of(&graph, &layout, &values, (&mask, &whole), &pruning, KEY, &mut NoGradients).unwrap();
                prop_assert!(next.is_within(&mask));
                let dead = |len: usize| (rate * len as f64).round() as usize;
                let expected: usize = match scope {
                    Scope::Layer => prunable(&layout, &LayerChoice::all()).map(|(_, layer)| dead(layer.len)).sum(),
                    _ => dead(alive(&whole, &layout, PruneLayers::All)),
                };
                prop_assert_eq!(layout.len - next.count(), expected);
                mask = next;
            }
        }
    }

    #[test]
    fn pitfall_8_equal_scores_fall_in_the_order_of_their_positions() {
        let (graph, layout) = (network(), Layout::of(&network()));
        let mask = draw(
            &graph,
            &layout,
            &vec![0.5; layout.len],
            &Bits::ones(layout.len),
            &pruning(0.25),
            KEY,
            &mut NoGradients,
        )
        .unwrap();
        let positions: Vec<usize> = prunable(&layout, &LayerChoice::all()).flat_map(|(_, p)| p.range()).collect();
        let pruned = (positions.len() as f64 * 0.25).round() as usize;
        for (index, position) in positions.into_iter().enumerate() {
            assert_eq!(mask.get(position), index >= pruned);
        }
    }

    #[test]
    fn pitfall_4_a_weight_that_is_zero_or_negative_is_not_dead_for_that() {
        let (graph, layout) = (network(), Layout::of(&network()));
        let mut values = vec![1.0f32; layout.len];
        values[0] = 0.0;
        values[1] = -3.0;
        // Level 1 prunes nothing: the zero weight lives on, and counts among the alive at level 2.
        let kept =
            draw(&graph, &layout, &values, &Bits::ones(layout.len), &pruning(0.0), KEY, &mut NoGradients).unwrap();
        assert_eq!(kept, Bits::ones(layout.len));
        let total = alive(&kept, &layout, PruneLayers::All);
        let next = draw(&graph, &layout, &values, &kept, &pruning(1.0 / total as f64), KEY, &mut NoGradients).unwrap();
        assert!(!next.get(0) && next.get(1), "the smallest magnitude goes first, the sign does not matter");
    }

    #[test]
    fn pitfall_10_the_layers_that_may_be_pruned_are_the_ones_that_are() {
        let (graph, layout) = (network(), Layout::of(&network()));
        let values: Vec<f32> = (0..layout.len).map(|i| (i as f32).sin()).collect();
        let conv = Pruning { layers: LayerChoice::of(PruneLayers::Conv), ..pruning(0.5) };
        let mask = draw(&graph, &layout, &values, &Bits::ones(layout.len), &conv, KEY, &mut NoGradients).unwrap();
        assert_eq!(alive(&mask, &layout, PruneLayers::Conv), 36);
        assert_eq!(alive(&mask, &layout, PruneLayers::Linear), 700 + 21);
    }

    #[test]
    fn the_output_layer_can_be_spared_or_pruned_at_half_rate() {
        let (graph, layout) = (network(), Layout::of(&network()));
        let values: Vec<f32> = (0..layout.len).map(|i| (i as f32).sin()).collect();
        let output = layout.parameters.iter().find(|p| p.name == "fc2.weight").unwrap();
        for scope in [Scope::Global, Scope::Layer] {
            for (output_rate, pruned) in [(0.0, 0), (0.5, 4)] {
                let pruning = Pruning { output_rate, scope, ..pruning(0.4) };
                let mask =
                    draw(&graph, &layout, &values, &Bits::ones(layout.len), &pruning, KEY, &mut NoGradients).unwrap();
                assert_eq!(output.len - mask.count_in(output.range()), pruned);
            }
        }
    }

    #[test]
    fn the_random_twin_keeps_the_layer_densities_and_nothing_else() {
        let (graph, layout) = (network(), Layout::of(&network()));
        let values: Vec<f32> = (0..layout.len).map(|i| (i as f32).sin()).collect();
        let twin = Pruning { control: Control::RandomMask, ..pruning(0.6) };
        let ticket =
            draw(&graph, &layout, &values, &Bits::ones(layout.len), &pruning(0.6), KEY, &mut NoGradients).unwrap();
        let random = draw(&graph, &layout, &values, &Bits::ones(layout.len), &twin, KEY, &mut NoGradients).unwrap();
        assert_ne!(ticket, random);
        for parameter in &layout.parameters {
            assert_eq!(ticket.count_in(parameter.range()), random.count_in(parameter.range()), "{}", parameter.name);
        }
    }

    #[test]
    fn weights_that_are_not_numbers_are_an_error() {
        let (graph, layout) = (network(), Layout::of(&network()));
        let mut values = vec![1.0f32; layout.len];
        values[3] = f32::NAN;
        let error =
            draw(&graph, &layout, &values, &Bits::ones(layout.len), &pruning(0.5), KEY, &mut NoGradients).unwrap_err();
        assert!(error.message.contains("conv.weight"));
    }

    #[test]
    fn pitfall_30_more_weights_than_torch_quantile_takes_are_no_problem() {
        // torch.quantile refuses more than 16 million values; VGG-16 has 15 million weights, VGG-19 20 million.
        let mut build = Builder::new(Shape::Vector(4200));
        build.linear("fc", 0, 4000).unwrap();
        let graph = build.finish(4000).unwrap();
        let layout = Layout::of(&graph);
        let values: Vec<f32> = (0..layout.len).map(|i| ((i as u64 * 2_654_435_761) % 1_000_003) as f32).collect();
        let mask =
            draw(&graph, &layout, &values, &Bits::ones(layout.len), &pruning(0.9), KEY, &mut NoGradients).unwrap();
        assert_eq!(alive(&mask, &layout, PruneLayers::All), 1_680_000);
    }
}
