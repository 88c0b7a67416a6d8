//! How many channels have to go until a network is as small, or as fast, as it is to become. It may not know how channels are
//! scored, nor how times are measured.

use super::scorer::{Scorer, TimePrecision};
use crate::mask::Bits;
use crate::net::channels::Channels;
use crate::net::compact::Compact;
use crate::net::cost::Cost;
use crate::net::{Graph, Layout};
use tombola_words::error::{Error, Result};
use tombola_words::value::{MaybeTarget, Target, Value};

/// What is said of a target that no ticket meets.
pub const BEYOND_REACH: &str = "is beyond reach: ";

/// Bytes of a float32.
const FLOAT: usize = 4;
/// How far from the time that is asked for a ticket may be as measured again, in parts of that time; else it is searched for again,
const CLOSE_ENOUGH: f64 = 0.05;
/// so often at most.
const MOST_SEARCHES: usize = 3;
/// Times that are no farther from what is asked for are measured closely.
const NEAR: f64 = 0.15;

/// How small a network is to become.
#[derive(Debug)]
pub struct Goal<'a> {
    target: Target,
    graph: &'a Graph,
    layout: &'a Layout,
    /// What it may have at most, in what the target counts.
    most: f64,
}

impl<'a> Goal<'a> {
    /// For a network whose weights are laid out by `layout`.
    pub fn of(target: Target, graph: &'a Graph, layout: &'a Layout) -> Self {
        let dense = Cost::of(graph);
        let most = match target {
            Target::Macs(share) => share * dense.macs as f64,
            Target::Parameters(share) => share * dense.parameters as f64,
            Target::Size(bytes) => bytes,
            Target::Time(share) => share,
        };
        Self { target, graph, layout, most }
    }

    /// So much of what the target counts, in words.
    fn in_words(&self, amount: f64) -> String {
        match self.target {
            Target::Macs(_) => format!("{amount} multiply-adds"),
            Target::Parameters(_) => format!("{amount} parameters"),
            Target::Size(_) => format!("{amount} bytes"),
            Target::Time(_) => format!("{amount:.3} of the dense network's time"),
        }
    }

    /// What it may have at most, in words.
    fn most_in_words(&self) -> String {
        match self.target {
            Target::Time(share) => format!("{share:?}"),
            _ => self.most.floor().to_string(),
        }
    }

    /// Refuses a target that a network meets before any channel goes for it: whole, or without those that `ratios` take
    /// (`before`, `[channels.len()]`). Times are not known before they are measured.
    ///
    /// # Errors
    /// When it does.
    pub fn check_smaller(&self, channels: &Channels, before: &Bits) -> Result<()> {
        let network = Compact::of_channels(self.graph, self.layout, channels, before)?;
        let Some(found) = self.counted(&network).filter(|found| *found <= self.most) else { return Ok(()) };
        let (what, cure) = match before.count() == channels.len() {
            true => ("the whole network has", "ask for less than that"),
            false => {
                ("with the `ratios` of its layers the network has", "ask for less than that, or give smaller `ratios`")
            }
        };
        Err(Error::input(format!(
            "`target = \"{}\"` prunes nothing: {what} {}",
            MaybeTarget(Some(self.target)).show(),
            self.in_words(found)
        ))
        .hint(cure))
    }

    /// What a network without its dead channels has of what the target counts, unless that has to be measured.
    fn counted(&self, small: &Compact) -> Option<f64> {
        match self.target {
            Target::Macs(_) => Some(Cost::of(&small.graph).macs as f64),
            Target::Parameters(_) => Some(Cost::of(&small.graph).parameters as f64),
            Target::Size(_) => Some((FLOAT * (small.layout.len + small.layout.buffer_len)) as f64),
            Target::Time(_) => None,
        }
    }

    /// Of some draws by a time, each with its mask over channels, the first that is close enough as measured again, or the closest:
    /// while a machine is busy measurements may mislead.
    ///
    /// # Errors
    /// As [`Goal::is_met`], and those of `draw`.
    pub(super) fn closest<D>(
        &self,
        channels: &Channels,
        scorer: &mut dyn Scorer,
        draw: impl Fn(&mut dyn Scorer) -> Result<D>,
        mask: impl Fn(&D) -> &Bits,
    ) -> Result<D> {
        let mut once = || -> Result<(f64, D)> {
            let draw = draw(scorer)?;
            let measured = self.is_met(channels, mask(&draw), scorer)?.measured;
            Ok(((measured / self.most - 1.0).abs(), draw))
        };
        let mut best = once()?;
        for _ in 1..MOST_SEARCHES {
            if best.0 <= CLOSE_ENOUGH {
                break;
            }
            let other = once()?;
            if other.0 < best.0 {
                best = other;
            }
        }
        Ok(best.1)
    }

    /// Whether the network without its dead channels (`mask`, `[channels.len()]`) is small enough, and what it is. Times are
    /// measured by `scorer`: closely where they are near to what is asked for.
    ///
    /// # Errors
    /// When a layer would be left without channels, or a time cannot be measured.
    pub(super) fn is_met(&self, channels: &Channels, mask: &Bits, scorer: &mut dyn Scorer) -> Result<Met<'_>> {
        let small = Compact::of_channels(self.graph, self.layout, channels, mask)?;
        let measured = match self.counted(&small) {
            Some(counted) => counted,
            None => {
                let mut share = |wanted| -> Result<f64> {
                    let (dense, small) = scorer.seconds(&small, wanted)?;
                    Ok(small / dense)
                };
                match share(TimePrecision::Rough)? {
                    near if (near / self.most - 1.0).abs() <= NEAR => share(TimePrecision::Close)?,
                    far => far,
                }
            }
        };
        Ok(Met { is_met: measured <= self.most, measured, goal: self })
    }
}

/// How far a network is from what it is to become.
#[derive(Debug)]
pub(super) struct Met<'g> {
    is_met: bool,
    measured: f64,
    goal: &'g Goal<'g>,
}

/// The smallest share of `count` channels at which a goal is met. Fewer channels never make a network larger; of times, which fewer
/// channels may make a little longer, it is a share at which the goal is met beside one at which it is not.
///
/// # Errors
/// When it is not met with as few channels as there can be.
pub(super) fn least_share<'g>(count: usize, mut met: impl FnMut(f64) -> Result<Met<'g>>) -> Result<f64> {
    let share = |gone: usize| gone as f64 / count.max(1) as f64;
    let mut all = met(1.0)?;
    for _ in 1..MOST_SEARCHES {
        // Where a machine is busy a time may be taken for longer than it is.
        if !all.is_met {
            all = met(1.0)?;
        }
    }
    if !all.is_met {
        let Met { measured, goal, .. } = all;
        return Err(Error::input(format!(
            "`target = \"{}\"` {BEYOND_REACH}with one channel in each layer that is pruned, {} are left, expected at most {}",
            MaybeTarget(Some(goal.target)).show(),
            goal.in_words(measured),
            goal.most_in_words()
        ))
        .hint("ask for less, spare fewer layers, or prune streams as well if they are whole (`streams = \"group\"`)"));
    }
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        match met(share(middle))?.is_met {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    Ok(share(high))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::net::initial;
    use crate::net::zoo::{self, Choice};
    use crate::plan::Pruning;
    use crate::prune::channels::draw;
    use crate::prune::criterion::Key;
    use crate::prune::{Pruner, Want};
    use crate::sweep::Settings;
    use tombola_words::Shape;
    use tombola_words::value::{Criterion, NormStart, PruningType, Streams};

    /// Takes the multiply-adds for the time, and now and then a few percent more or less.
    struct Pretended<'a> {
        graph: &'a Graph,
        calls: usize,
        /// Measurements at the beginning that take a ticket for twice as fast as it is.
        misled: usize,
    }

    impl Scorer for Pretended<'_> {
        fn gradients(&mut self, _: Want, _: &Bits) -> Result<Vec<f32>> {
            Err(Error::training("no gradients"))
        }

        fn seconds(&mut self, small: &Compact, wanted: TimePrecision) -> Result<(f64, f64)> {
            self.calls += 1;
            let off = match wanted {
                TimePrecision::Rough => [0.95, 1.0, 1.05][self.calls % 3],
                TimePrecision::Close => [0.99, 1.0, 1.01][self.calls % 3],
            };
            let off = if self.calls <= self.misled { 0.5 } else { off };
            Ok((Cost::of(self.graph).macs as f64, off * Cost::of(&small.graph).macs as f64))
        }
    }

    /// What is left of what a target counts with the channels that it takes, and with one channel more.
    fn left(network: &str, streams: Streams, target: &str) -> Result<(f64, f64, f64)> {
        let graph = zoo::build(&Choice { depth: 20, ..Choice::named(network) }, Shape::Image(3, 32, 32), 10).unwrap();
        let layout = Layout::of(&graph);
        let channels = Channels::of(&graph, &layout, streams);
        let start = initial(&layout, NormStart::Uniform, 1, 0);
        let MaybeTarget(target) = MaybeTarget::parse(target).unwrap();
        let settings = Settings {
            pruning_type: PruningType::Structured,
            criterion: Some(Criterion::L2),
            streams,
            target: MaybeTarget(target),
            ..Settings::default()
        };
        let goal = Goal::of(target.unwrap(), &graph, &layout);
        let all = Bits::ones(channels.len());
        let key = Key { seed: 1, level: 1 };
        let at =
            |pruning: &Pruning, goal| draw(&layout, &channels, (&start.parameters, None), &all, pruning, key, goal);
        let pruning = Pruning::of(&settings, 0.0);
        let mut pretended = Pretended { graph: &graph, calls: 0, misled: 0 };
        let drawn = at(&pruning, Some((&goal, &mut pretended)))?;
        // Whoever knows the share draws the same without a target.
        let known = pruning.at_share(drawn.share.unwrap());
        assert_eq!(known.target, None);
        assert_eq!(at(&known, None)?.mask, drawn.mask);
        let gone = channels.len() - drawn.mask.count();
        let rate = (gone - 1) as f64 / channels.len() as f64;
        let one_more = at(&Pruning::of(&settings, rate), None)?;
        assert_eq!(one_more.mask.count(), drawn.mask.count() + 1);
        let mut measure = |mask: &Bits| Ok(goal.is_met(&channels, mask, &mut pretended)?.measured);
        Ok((measure(&drawn.mask)?, measure(&one_more.mask)?, goal.most))
    }

    #[test]
    fn targets_are_met_within_one_channel() {
        for network in ["resnet", "vgg-11"] {
            for target in ["macs:0.5", "macs:0.71", "parameters:0.3", "size:500kB"] {
                let (met, one_more, most) = left(network, Streams::Group, target).unwrap();
                assert!(met <= most && one_more > most, "{network} {target}: {met} and {one_more} of {most}");
            }
        }
    }

    #[test]
    fn times_are_met_as_closely_as_they_are_measured() {
        for network in ["resnet", "vgg-11"] {
            for target in ["time:0.5", "time:0.8", "time:0.2"] {
                let (met, one_more, most) = left(network, Streams::Group, target).unwrap();
                assert!(met < 1.02 * most && one_more > 0.98 * most, "{network} {target}: {met} and {one_more}");
            }
        }
        let error = left("resnet", Streams::Whole, "time:0.001").unwrap_err();
        assert!(error.message.contains("of the dense network's time are left, expected at most 0.001"), "{error}");
    }

    #[test]
    fn what_was_measured_beside_other_work_is_measured_again() {
        let graph = zoo::build(&Choice::named("vgg-11"), Shape::Image(3, 32, 32), 10).unwrap();
        let (graph, layout) = (Arc::new(graph.clone()), Arc::new(Layout::of(&graph)));
        let start = initial(&layout, NormStart::Uniform, 1, 0);
        let settings = Settings {
            pruning_type: PruningType::Structured,
            criterion: Some(Criterion::L2),
            target: MaybeTarget(Some(Target::Time(0.5))),
            ..Settings::default()
        };
        let pruning = Pruning::of(&settings, 0.0);
        let mut pretended = Pretended { graph: &graph, calls: 0, misled: 12 };
        let key = Key { seed: 1, level: 1 };
        let ticket = Pruner::new(&graph, &layout).draw(&start, &pruning, key, &mut pretended).unwrap();
        let small = Compact::of(&graph, &layout, &ticket.mask, pruning.streams).unwrap();
        let found = Cost::of(&small.graph).macs as f64 / Cost::of(&graph).macs as f64;
        assert!((found - 0.5).abs() < 0.05, "{found}");
    }

    #[test]
    fn what_is_beyond_reach_is_told_with_what_there_is() {
        let error = left("resnet", Streams::Whole, "parameters:0.001").unwrap_err();
        assert!(error.message.contains("`target = \"parameters:0.001\"` is beyond reach"), "{error}");
    }
}
