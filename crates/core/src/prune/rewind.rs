//! Sends the weights that a mask keeps back to where they train on from.
//!
//! Everything goes back together: weights, biases, batch-norm scales, shifts and statistics, their batch count, and for
//! a rewind to an epoch, or within one, the optimiser's state there (docs/pitfalls.md, numbers 5 and 7). The result owns all its
//! values (pitfalls 1 and 6).

use std::sync::Arc;

use crate::mask::Bits;
use crate::net::{Layout, OptimizerState, Snapshot, initial};
use crate::sweep::Settings;
use tombola_words::error::{Error, Result};
use tombola_words::value::Rewind;

/// What a stage starts from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The parent's snapshot at the draw.
    pub drawn: Option<Arc<Snapshot>>,
    /// The dense snapshot that it goes back to.
    pub rewound: Option<Arc<Snapshot>>,
    /// The end of the ticket that it is a fork of.
    pub sibling: Option<Arc<Snapshot>>,
    /// The dense network that it learns from.
    pub teacher: Option<Arc<Snapshot>>,
    /// The mask, where it is given and not drawn.
    pub mask: Option<Arc<Bits>>,
}

/// The state that training goes on from: the source of the rewind, everything zero where the mask is.
///
/// `level` names the new weights of [`Rewind::Random`]: each level draws others.
///
/// # Errors
/// When a snapshot that the rewind needs is missing.
pub fn starting_point(
    rewind: Rewind,
    sources: &Sources,
    layout: &Layout,
    settings: &Settings,
    level: usize,
    mask: Arc<Bits>,
) -> Result<Snapshot> {
    let needed = |source: &Option<Arc<Snapshot>>, what: &str| {
        source.as_deref().cloned().ok_or_else(|| Error::environment(format!("the {what} snapshot is missing")))
    };
    let seed = settings.init_seed.unwrap_or(settings.seed);
    let fresh = |draw: usize| initial(layout, settings.norm_start, seed, draw as u64);
    let mut start = match rewind {
        // A new optimiser: momentum from before the pruning points away from weights that are gone.
        Rewind::None | Rewind::LearningRate => {
            Snapshot { epoch: 0, step: 0, optimizer: None, ..needed(&sources.drawn, "drawn")? }
        }
        Rewind::Init => fresh(0),
        Rewind::Random => fresh(level),
        Rewind::Epoch(_) | Rewind::At(_) => needed(&sources.rewound, "rewound")?,
    };
    silence(&mut start.parameters, &mask);
    let vectors = start.optimizer.iter_mut().flat_map(|state| &mut state.vectors);
    for (_, vector) in vectors.filter(|(name, _)| name != OptimizerState::STATISTICS) {
        silence(vector, &mask);
    }
    start.mask = Some(mask);
    Ok(start)
}

/// Zeroes what the mask has pruned.
pub fn silence(values: &mut [f32], mask: &Bits) {
    values.iter_mut().zip(mask.iter()).filter(|(_, alive)| !alive).for_each(|(value, _)| *value = 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Builder, Op};
    use tombola_words::Shape;
    use tombola_words::value::NormStart;

    fn layout() -> Layout {
        let mut build = Builder::new(Shape::Image(1, 4, 4));
        let conv = build.conv("conv", 0, 3, 3, 1).unwrap();
        let norm = build.batch_norm("bn", conv).unwrap();
        let pool = build.add("pool", Op::GlobalAveragePool, &[norm]).unwrap();
        build.linear("fc", pool, 2).unwrap();
        Layout::of(&build.finish(2).unwrap())
    }

    fn trained(layout: &Layout, offset: f32) -> Arc<Snapshot> {
        Arc::new(Snapshot {
            epoch: 4,
            step: 0,
            batches: 40,
            parameters: (0..layout.len).map(|i| i as f32 + offset).collect(),
            buffers: (0..layout.buffer_len).map(|i| i as f32 - offset).collect(),
            optimizer: Some(OptimizerState { steps: 40, vectors: vec![("momentum".into(), vec![offset; layout.len])] }),
            mask: None,
        })
    }

    fn mask(layout: &Layout) -> Arc<Bits> {
        let mut mask = Bits::ones(layout.len);
        [0, 5, 7].into_iter().for_each(|position| mask.set(position, false));
        Arc::new(mask)
    }

    #[test]
    fn pitfall_5_a_rewind_to_an_epoch_restores_everything_but_the_pruned() {
        let layout = layout();
        let sources =
            Sources { drawn: Some(trained(&layout, 9.0)), rewound: Some(trained(&layout, 0.5)), ..Sources::default() };
        let start =
            starting_point(Rewind::Epoch(4), &sources, &layout, &Settings::default(), 2, mask(&layout)).unwrap();
        let then = trained(&layout, 0.5);
        assert_eq!((&start.buffers, start.batches, start.epoch), (&then.buffers, 40, 4));
        let momentum = &start.optimizer.as_ref().unwrap().vectors[0].1;
        for (position, (weight, momentum)) in start.parameters.iter().zip(momentum).enumerate() {
            let dead = [0, 5, 7].contains(&position);
            assert_eq!(*weight, if dead { 0.0 } else { then.parameters[position] });
            assert_eq!(*momentum, if dead { 0.0 } else { 0.5 });
        }
    }

    #[test]
    fn pitfall_5_a_rewind_to_init_restores_norms_statistics_and_biases() {
        let layout = layout();
        let settings = Settings { norm_start: NormStart::Uniform, ..Settings::default() };
        let sources = Sources { drawn: Some(trained(&layout, 9.0)), ..Sources::default() };
        let start =
            starting_point(Rewind::Init, &sources, &layout, &settings, 3, Arc::new(Bits::ones(layout.len))).unwrap();
        let first = initial(&layout, NormStart::Uniform, settings.seed, 0);
        assert_eq!((start.parameters, start.buffers, start.batches), (first.parameters, first.buffers, 0));
        assert_eq!(start.optimizer, None);
    }

    #[test]
    fn pitfall_6_rewinding_twice_gives_the_same_biases_and_leaves_the_sources_alone() {
        let layout = layout();
        let rewound = trained(&layout, 0.5);
        let before = rewound.checksum();
        let sources =
            Sources { drawn: Some(trained(&layout, 9.0)), rewound: Some(Arc::clone(&rewound)), ..Sources::default() };
        let go =
            || starting_point(Rewind::Epoch(4), &sources, &layout, &Settings::default(), 1, mask(&layout)).unwrap();
        let mut first = go();
        first.parameters.iter_mut().for_each(|value| *value += 1.0);
        assert_eq!(rewound.checksum(), before);
        assert_eq!(go().parameters[1], rewound.parameters[1]);
    }

    #[test]
    fn new_random_weights_are_neither_the_initial_nor_those_of_another_level() {
        let layout = layout();
        let all = Arc::new(Bits::ones(layout.len));
        let go = |rewind, level| {
            starting_point(rewind, &Sources::default(), &layout, &Settings::default(), level, Arc::clone(&all))
                .unwrap()
                .checksum()
        };
        let states = [go(Rewind::Init, 1), go(Rewind::Random, 1), go(Rewind::Random, 2)];
        assert!(states[0] != states[1] && states[1] != states[2] && states[0] != states[2]);
        assert_eq!(go(Rewind::Init, 1), go(Rewind::Init, 2));
    }

    #[test]
    fn fine_tuning_keeps_the_trained_weights_and_takes_a_new_optimiser() {
        let layout = layout();
        let sources = Sources { drawn: Some(trained(&layout, 9.0)), ..Sources::default() };
        let start = starting_point(Rewind::None, &sources, &layout, &Settings::default(), 1, mask(&layout)).unwrap();
        assert_eq!((start.parameters[1], start.parameters[0], start.optimizer), (10.0, 0.0, None));
        assert_eq!(start.buffers, trained(&layout, 9.0).buffers);
    }
}
