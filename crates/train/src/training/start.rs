//! What a training starts from: for a dense network its first weights, for a ticket its mask, and the weights that it
//! keeps sent back to where they train on from.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::evaluate::{evaluate, evaluation_batch};
use super::scores::TorchScorer;
use super::task::Task;
use crate::batches::Batches;
use crate::network::arena::Arena;
use crate::network::forward::Forward;
use tombola_core::mask::Bits;
use tombola_core::net::compact::Compact;
use tombola_core::net::connectivity::{Connectivity, effective};
use tombola_core::net::cost::Cost;
use tombola_core::net::{Layout, Snapshot, initial};
use tombola_core::plan::LayerChoice;
use tombola_core::plan::Pruning;
use tombola_core::prune::criterion::Key;
use tombola_core::prune::prunable;
use tombola_core::prune::starting_point;
use tombola_core::prune::{Scorer, TimePrecision};
use tombola_core::sweep::Settings;
use tombola_core::training::{Flow, TrainingEvent};
use tombola_words::error::{Error, Result};
use tombola_words::record::{ChannelCount, Drawn, MeasuredTime, PixelStatistics, Scores, Size};
use tombola_words::value::{Budget, Moment};

/// Draws the mask, rewinds, evaluates both, and reports what came out.
pub(super) fn first_state(
    task: &Task,
    forward: &Forward,
    listen: &mut dyn FnMut(TrainingEvent) -> Flow,
) -> Result<Snapshot> {
    let (stage, settings) = (task.stage, &task.stage.settings);
    let seed = settings.init_seed.unwrap_or(settings.seed);
    let mut arena = None;
    let mut scores = |snapshot: &Snapshot| -> Result<Scores> {
        let arena = match &mut arena {
            Some(arena) => arena,
            none => none.insert(Arena::new(Arc::clone(task.layout), snapshot, task.device)?),
        };
        arena.precision = settings.precision;
        arena.restore(snapshot);
        let batch = evaluation_batch(arena.device());
        let mut on = |part: &Batches| evaluate(forward, arena, part, batch);
        Ok(Scores { validation: on(&task.parts.validation), test: on(&task.parts.test) })
    };
    let Some(pruning) = &stage.pruning else {
        let start = match &task.sources.drawn {
            Some(loaded) => (**loaded).clone(),
            None => initial(task.layout, settings.norm_start, seed, 0),
        };
        let scores = scores(&start)?;
        if stage.wanted.contains(&Moment::Epoch(0)) {
            listen(TrainingEvent::Snapshot(Moment::Epoch(0), Arc::new(start.clone())));
        }
        let mask = start.mask.as_deref().cloned().unwrap_or_else(|| Bits::ones(task.layout.len));
        let drawn = Drawn { pruned: scores, start: scores, ..described(task, &mask, &LayerChoice::all()) };
        listen(TrainingEvent::Drawn(Box::new(drawn)));
        return Ok(start);
    };
    let missing = || Error::environment("the drawn snapshot is missing");
    let drawn = task.sources.drawn.as_ref().ok_or_else(missing)?;
    let mut scorer = TorchScorer::new(task, drawn, pruning.score_images);
    let key = Key { seed, level: stage.level as u64 };
    let ticket = match &task.sources.mask {
        Some(mask) => task.pruner.given(drawn, mask, pruning, key),
        None => {
            // What was measured once decides for all that are drawn alike.
            let known = task.measured.map(|measured| pruning.at_share(measured.share));
            task.pruner.draw(drawn, &known.unwrap_or_else(|| pruning.at_the_start()), key, &mut scorer)?
        }
    };
    let measured = match (task.measured, ticket.share) {
        (None, Some(share)) if pruning.is_timed() => {
            let small = Compact::of(task.graph, task.layout, &ticket.mask, pruning.streams)?;
            let (dense_seconds, seconds) = scorer.seconds(&small, TimePrecision::Close)?;
            Some(MeasuredTime { share, dense_seconds, seconds, batch: scorer.images_timed(), draw: 0 })
        }
        (known, _) => known,
    };
    let channels = ticket.channels.as_ref().map(|(_, count)| *count);
    let mask = Arc::new(ticket.mask);
    let mut silenced = (**drawn).clone();
    tombola_core::prune::rewind::silence(&mut silenced.parameters, &mask);
    let pruned = scores(&silenced)?;
    let rewind = pruning.effective_rewind();
    let start = starting_point(rewind, &task.sources, task.layout, settings, stage.level, Arc::clone(&mask))?;
    let sizes = sizes(task, &mask, pruning)?;
    let span = span(task, pruning, drawn, sizes);
    let described = described(task, &mask, &pruning.layers_counted());
    let drawn = Drawn {
        pruned,
        start: scores(&start)?,
        channels,
        sizes: Some(sizes),
        span: (span != stage.epochs()).then_some((span.start, span.end)),
        measured,
        ..described
    };
    listen(TrainingEvent::Drawn(Box::new(drawn)));
    Ok(start)
}

/// What became of a mask that changed while the stage trained: counts and sizes, without scores.
pub(super) fn settled(task: &Task, mask: &Bits) -> Result<Drawn> {
    let Some(pruning) = &task.stage.pruning else { return Ok(described(task, mask, &LayerChoice::all())) };
    let sizes = Some(sizes(task, mask, pruning)?);
    Ok(Drawn { sizes, ..described(task, mask, &pruning.layers_counted()) })
}

/// The epochs that a stage trains, and its settings, stretched where it has as many multiply-adds as the dense network.
///
/// The same whether it begins or goes on: both follow from the snapshot that was drawn from and from the mask of `start`.
pub(super) fn course(task: &Task, start: &Snapshot) -> Result<(Range<usize>, Settings)> {
    let (stage, settings) = (task.stage, &task.stage.settings);
    let (Some(pruning), Some(drawn), Some(mask)) = (&stage.pruning, &task.sources.drawn, &start.mask) else {
        return Ok((stage.epochs(), (**settings).clone()));
    };
    let sizes = match pruning.budget {
        Budget::Flops => sizes(task, mask, pruning)?,
        Budget::Epochs | Budget::Remaining => Default::default(),
    };
    let span = span(task, pruning, drawn, sizes);
    let settings = match pruning.budget {
        Budget::Flops => settings.stretched(span.len()),
        Budget::Epochs | Budget::Remaining => (**settings).clone(),
    };
    Ok((span, settings))
}

fn span(task: &Task, pruning: &Pruning, drawn: &Snapshot, sizes: (Size, Size)) -> Range<usize> {
    let planned = task.stage.epochs();
    match pruning.budget {
        Budget::Epochs => planned,
        Budget::Remaining => drawn.epoch.min(planned.end)..planned.end,
        Budget::Flops => {
            let (dense, alive) = sizes;
            let factor = dense.macs.max(1) as f64 / alive.macs.max(1) as f64;
            0..((planned.len() as f64 * factor).round() as usize).max(1)
        }
    }
}

/// The dense network, and what a mask leaves of it.
fn sizes(task: &Task, mask: &Bits, pruning: &Pruning) -> Result<(Size, Size)> {
    let size =
        |cost: Cost| Size { parameters: cost.parameters, macs: cost.macs, activation_bytes: cost.activation_bytes };
    let alive = match pruning.channels {
        true => Cost::of(&Compact::of(task.graph, task.layout, mask, pruning.streams)?.graph),
        false => Cost::masked(task.graph, task.layout, mask),
    };
    Ok((size(Cost::of(task.graph)), size(alive)))
}

/// The counts of a mask.
fn described(task: &Task, mask: &Bits, layers: &LayerChoice) -> Drawn {
    let connectivity = effective(task.graph, task.layout, mask);
    let prunable = prunable(task.layout, layers);
    let (prunable, alive) =
        prunable.fold((0, 0), |(all, alive), (_, p)| (all + p.len, alive + mask.count_in(p.range())));
    let effective = match layers.is_all() {
        true => connectivity.effective,
        // Of the layers that may be pruned only, as the density is.
        false => effective_within(&connectivity, task.layout, layers),
    };
    Drawn {
        prunable,
        alive,
        effective,
        parameters: task.layout.len,
        dead_layers: connectivity.dead_layers,
        channels: None::<ChannelCount>,
        pixels: Some(PixelStatistics {
            mean: task.parts.normalisation.mean.clone(),
            standard_deviation: task.parts.normalisation.standard_deviation.clone(),
        }),
        ..Drawn::default()
    }
}

fn effective_within(connectivity: &Connectivity, layout: &Layout, layers: &LayerChoice) -> usize {
    let connections = layout.parameters.iter().filter(|parameter| parameter.role.is_connection());
    let chosen: BTreeSet<usize> = prunable(layout, layers).map(|(_, parameter)| parameter.offset).collect();
    connections
        .zip(&connectivity.layers)
        .filter(|(parameter, _)| chosen.contains(&parameter.offset))
        .map(|(_, layer)| layer.effective)
        .sum()
}
