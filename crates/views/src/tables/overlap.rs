//! `overlap.csv`: what the masks of two tickets have in common, where they differ in one thing only: the seed, the ratio,
//! the moment of the draw, or how weights or channels were scored.
//!
//! Bits are channels where channels were pruned, else weights that may be pruned. `chance` is what two random masks share
//! that have as many ones in each layer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::ops::Range;

use super::repeats::SeedFiles;
use super::sheet::CsvSheet;
use super::tracked;
use tombola_core::folder::journal::History;
use tombola_core::folder::{Store, mask_of};
use tombola_core::mask::Bits;
use tombola_core::mask::overlap::Overlap;
use tombola_core::net::channels::Channels;
use tombola_core::net::custom::OwnNetwork;
use tombola_core::plan::{Networks, Plan, Pruning, Stage};
use tombola_core::prune::prunable;
use tombola_core::sweep::Settings;
use tombola_core::sweep::settings::Decides;
use tombola_words::error::Result;
use tombola_words::value::Control;
use tombola_words::value::Value;

const HEADER: [&str; 22] = [
    "stage",
    "other_stage",
    "level",
    "trial",
    "other_trial",
    "differs",
    "value",
    "other_value",
    "pruning-type",
    "bits",
    "alive",
    "other_alive",
    "shared",
    "chance",
    "chance_low",
    "chance_high",
    "overlap",
    "overlap_chance",
    "overlap_chance_low",
    "overlap_chance_high",
    "deviations",
    "distance",
];

/// What two tickets may differ in.
const AXES: [&str; 4] = ["seed", "ratio", "draw", "criterion"];

/// Two tickets and what they have in common.
#[derive(Debug)]
pub(super) struct Pair {
    stages: (usize, usize),
    axis: usize,
    values: (String, String),
    overlap: Overlap,
}

/// How a mask was drawn: by the four things that are compared, and all else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Drawing {
    values: [String; AXES.len()],
    rest: String,
}

/// Compares the masks that lie in `stores`, those of one group at a time.
///
/// # Errors
/// When a mask cannot be read.
pub(super) fn pairs(
    stores: &[Store],
    own: &BTreeMap<String, OwnNetwork>,
    plan: &Plan,
    history: &History,
) -> Result<Vec<Pair>> {
    let files = SeedFiles::of(plan);
    let mut seen = HashSet::new();
    let mut drawings: Vec<(usize, Drawing)> = Vec::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        let ended = history.stages.get(&stage.id).is_some_and(|known| known.outcome.is_some());
        let drawing = drawing(plan, &files, stage).filter(|_| ended);
        // Tickets that differ only in what is trained afterwards have one mask.
        if let Some(drawing) = drawing.filter(|drawing| seen.insert(drawing.clone())) {
            drawings.push((index, drawing));
        }
    }
    let roots: HashSet<usize> = drawings.iter().map(|(index, _)| plan.stages[*index].root).collect();
    let mut roots: Vec<usize> = roots.into_iter().collect();
    roots.sort_unstable();
    let networks = Networks::of(plan, &roots, own)?;
    let reader = MaskReader { stores, plan, history, networks: &networks };
    let mut pairs = Vec::new();
    for axis in 0..AXES.len() {
        let mut groups: BTreeMap<Drawing, Vec<usize>> = BTreeMap::new();
        for (place, (_, drawing)) in drawings.iter().enumerate() {
            let mut others = drawing.clone();
            others.values[axis].clear();
            groups.entry(others).or_default().push(place);
        }
        for members in groups.into_values().filter(|members| members.len() > 1) {
            let mut masks: Vec<(usize, Bits, Vec<Range<usize>>)> = Vec::new();
            for place in members {
                if let Some((mask, layers)) = reader.mask(drawings[place].0)? {
                    masks.push((place, mask, layers));
                }
            }
            for (later, (place, mask, layers)) in masks.iter().enumerate() {
                for (other, other_mask, _) in &masks[later + 1..] {
                    let value = |place: usize| drawings[place].1.values[axis].clone();
                    pairs.push(Pair {
                        stages: (drawings[*place].0, drawings[*other].0),
                        axis,
                        values: (value(*place), value(*other)),
                        overlap: Overlap::of(mask, other_mask, layers),
                    });
                }
            }
        }
    }
    // In the order of the plan, whatever a group is called.
    pairs.sort_by_key(|pair| (pair.axis, pair.stages));
    Ok(pairs)
}

/// Writes the table.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(file: &mut dyn Write, plan: &Plan, pairs: &[Pair]) -> std::io::Result<()> {
    let first = tracked::first_trials(plan);
    let mut sheet = CsvSheet::new(file, HEADER)?;
    for pair in pairs {
        let (stage, other) = (&plan.stages[pair.stages.0], &plan.stages[pair.stages.1]);
        let Overlap { len, alive, other_alive, shared, chance, deviation } = pair.overlap;
        let (low, high) = pair.overlap.interval();
        sheet.put(stage.id)?;
        sheet.put(other.id)?;
        sheet.put(stage.level)?;
        sheet.maybe(first[pair.stages.0])?;
        sheet.maybe(first[pair.stages.1])?;
        sheet.put(AXES[pair.axis])?;
        sheet.put(&pair.values.0)?;
        sheet.put(&pair.values.1)?;
        sheet.put(tracked::pruning_type(stage.pruning.as_ref()))?;
        sheet.put(len)?;
        sheet.put(alive)?;
        sheet.put(other_alive)?;
        sheet.put(shared)?;
        for count in [chance, low, high] {
            sheet.float(Some(count))?;
        }
        for count in [shared as f64, chance, low, high] {
            sheet.float(Some(pair.overlap.share(count)))?;
        }
        sheet.float((deviation > 0.0).then(|| (shared as f64 - chance) / deviation))?;
        sheet.float(Some((alive + other_alive - 2 * shared) as f64 / len.max(1) as f64))?;
        sheet.end_row()?;
    }
    sheet.finish()
}

/// How the mask of a stage was drawn; nothing for dense stages and for twins, whose masks are random or the ticket's.
fn drawing(plan: &Plan, files: &SeedFiles, stage: &Stage) -> Option<Drawing> {
    let pruning = stage.pruning.as_ref().filter(|pruning| pruning.control == Control::None)?;
    let settings = &plan.stages[stage.root].settings;
    let seeds = [("init", settings.init_seed), ("order", settings.order_seed), ("augment", settings.augment_seed)];
    let seeds: Vec<String> = seeds.iter().map(|(of, seed)| format!("{of} {}", seed.unwrap_or(settings.seed))).collect();
    let seedless = Settings { init_seed: None, order_seed: None, augment_seed: None, ..(**settings).clone() };
    let mut rest = format!(
        "{}\n{}\n{}\nlevel {}\n",
        settings.network,
        files.shown(settings),
        seedless.identity(Decides::Training),
        stage.level
    );
    // What earlier levels trained on decides the mask; what follows the last draw does not.
    let before = stage.parent.and_then(|parent| plan.stages[parent].pruning.as_ref());
    let Pruning { channels, layers, output_rate, streams, round_channels, score_images, .. } = pruning;
    rest.push_str(&format!("{channels} {layers:?} {output_rate} {streams:?} {round_channels} {score_images}\n"));
    if let Some(pruning) = before {
        let Pruning { rewind, fine_tune_epochs, fine_tune_lr, budget, .. } = pruning;
        rest.push_str(&format!("{rewind:?} {fine_tune_epochs} {fine_tune_lr:?} {budget:?}\n"));
    }
    // Then what is trained decides the mask, too.
    if let Some(changing) = pruning.changing {
        let Pruning { rewind, fine_tune_epochs, fine_tune_lr, teaching, .. } = pruning;
        let trained = format!("{rewind:?} {fine_tune_epochs} {fine_tune_lr:?} {teaching:?}");
        rest.push_str(&format!("{}{trained}\n", changing.words()));
    }
    let draw = match pruning.draw.is_early_bird() {
        // Its key names the ratio too.
        true => format!(
            "early-bird {} {} {}",
            pruning.settling.rule.show(),
            pruning.settling.window,
            pruning.settling.epsilon
        ),
        false => pruning.draw.show(),
    };
    let ratio = 1.0 - stage.planned_density();
    let ratio = ((ratio * 1e6).round() / 1e6).to_string();
    let criterion = format!("{} {}", pruning.criterion.show(), pruning.scope.show());
    let seed = match seeds.iter().all(|seed| seed.ends_with(&format!(" {}", settings.seed))) {
        true => settings.seed.to_string(),
        false => seeds.join(", "),
    };
    Some(Drawing { values: [seed, ratio, draw, criterion], rest })
}

/// Reads masks back and cuts them into what is compared.
struct MaskReader<'a> {
    stores: &'a [Store],
    plan: &'a Plan,
    history: &'a History,
    networks: &'a Networks,
}

impl MaskReader<'_> {
    /// The bits of a ticket and where each layer's lie; nothing if its mask was not kept.
    fn mask(&self, index: usize) -> Result<Option<(Bits, Vec<Range<usize>>)>> {
        let stage = &self.plan.stages[index];
        let (Some(network), Some(pruning)) = (self.networks.get(self.plan, index), &stage.pruning) else {
            return Ok(None);
        };
        let Some(mask) = mask_of(self.stores, self.history, stage.id, &network.layout)? else { return Ok(None) };
        if pruning.channels {
            let channels = Channels::of(&network.graph, &network.layout, pruning.streams);
            let alive = channels.alive(&mask);
            let mut layers: HashMap<usize, Range<usize>> = HashMap::new();
            for (place, unit) in channels.units.iter().enumerate() {
                layers.entry(unit.layer).or_insert(place..place).end = place + 1;
            }
            let mut layers: Vec<Range<usize>> = layers.into_values().collect();
            layers.sort_unstable_by_key(|layer| layer.start);
            return Ok(Some((alive, layers)));
        }
        let ranges = || prunable(&network.layout, &pruning.layers).map(|(_, parameter)| parameter.range());
        let mut start = 0;
        let layers = ranges().map(|range| {
            start += range.len();
            start - range.len()..start
        });
        let layers = layers.collect();
        Ok(Some((mask.select(ranges()), layers)))
    }
}
