//! Tickets that are pruned to a time, and how long they take as measured again: `target = "time:…"`.
//!
//! On a processor with one thread. Networks have their first weights and lose the channels with the smallest L2 norms, those of
//! residual streams included.

use std::sync::Arc;

use super::MeasuredFigure;
use super::step::StepWish;
use tombola_core::net::compact::Compact;
use tombola_core::net::{Layout, initial, zoo};
use tombola_core::plan::Pruning;
use tombola_core::prune::criterion::Key;
use tombola_core::prune::{Pruner, Scorer, TimePrecision};
use tombola_core::sweep::Settings;
use tombola_train::race::{Stopwatch, some_images};
use tombola_train::training::tf32;
use tombola_words::Shape;
use tombola_words::error::Result;
use tombola_words::value::{Criterion, MaybeTarget, NormStart, Precision, PruningType, Streams, Target, Value};

/// Shares of the dense network's time that are asked for.
const ASKED: [f64; 3] = [0.75, 0.5, 0.3];

/// Measures; `say` gets each row as it is known.
///
/// # Errors
/// When a network cannot be built, or a share is beyond its reach.
pub(crate) fn measure(wish: &StepWish, say: &mut dyn FnMut(&MeasuredFigure)) -> Result<Vec<MeasuredFigure>> {
    tombola_train::device::use_threads(1);
    let mut rows = Vec::new();
    for network in &wish.networks {
        for &precision in &wish.precisions {
            for asked in ASKED {
                let row = again(wish, network, precision, asked)?;
                say(&row);
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

/// What a ticket takes of the dense network's time, measured by another stopwatch than that it was drawn with.
fn again(wish: &StepWish, network: &str, precision: Precision, asked: f64) -> Result<MeasuredFigure> {
    let graph = Arc::new(zoo::build(&wish.choice(network), Shape::Image(3, 32, 32), 10)?);
    let layout = Arc::new(Layout::of(&graph));
    let weights = initial(&layout, NormStart::One, 1, 0);
    let target = MaybeTarget(Some(Target::Time(asked)));
    let settings = Settings {
        pruning_type: PruningType::Structured,
        criterion: Some(Criterion::L2),
        streams: Streams::Group,
        target,
        ..Settings::default()
    };
    let pruning = Pruning::of(&settings, settings.pruning_ratio);
    // libtorch itself lets cuDNN round to tf32 where fp32 is asked for; trainings hold the switch as well.
    let _held = tf32::hold(precision == Precision::Tf32);
    let images = || some_images(wish.batch, (3, 32, 32), wish.device);
    let stopwatch = || Stopwatch::new((&graph, &layout), &weights, precision, images());
    let key = Key { seed: 1, level: 1 };
    let ticket = Pruner::new(&graph, &layout).draw(&weights, &pruning, key, &mut stopwatch())?;
    let small = Compact::of(&graph, &layout, &ticket.mask, pruning.streams)?;
    let (dense, ticket) = stopwatch().seconds(&small, TimePrecision::Close)?;
    let name = format!("target {}, {}", target.show(), wish.title(network, precision));
    Ok(MeasuredFigure::less(name, ticket / dense, "of the dense time"))
}
