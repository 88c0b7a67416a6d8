//! How many channels have to go until a network is as small as it is to become. It may not know how channels are scored.

use crate::mask::Bits;
use crate::net::channels::Channels;
use crate::net::compact::Compact;
use crate::net::cost::Cost;
use crate::net::{Graph, Layout};
use tombola_words::error::{Error, Result};
use tombola_words::value::{MaybeTarget, Target, Value};

/// Bytes of a float32.
const FLOAT: usize = 4;

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
        };
        Self { target, graph, layout, most }
    }

    /// What the target counts, in words.
    fn unit(&self) -> &'static str {
        match self.target {
            Target::Macs(_) => "multiply-adds",
            Target::Parameters(_) => "parameters",
            Target::Size(_) => "bytes",
        }
    }

    /// Refuses a target that the whole network meets.
    ///
    /// # Errors
    /// When it does.
    pub fn check_smaller(&self, channels: &Channels) -> Result<()> {
        let whole = self.measure(channels, &Bits::ones(channels.len()))?;
        if whole > self.most {
            return Ok(());
        }
        Err(Error::input(format!(
            "`target = \"{}\"` prunes nothing: the whole network has {whole} {}",
            MaybeTarget(Some(self.target)).show(),
            self.unit()
        ))
        .hint("ask for less than that"))
    }

    /// What the network without its dead channels (`mask`, `[channels.len()]`) has of what the target counts.
    ///
    /// # Errors
    /// When a layer would be left without channels.
    pub fn measure(&self, channels: &Channels, mask: &Bits) -> Result<f64> {
        let small = Compact::of_channels(self.graph, self.layout, channels, mask)?;
        let cost = Cost::of(&small.graph);
        Ok(match self.target {
            Target::Macs(_) => cost.macs as f64,
            Target::Parameters(_) => cost.parameters as f64,
            Target::Size(_) => (FLOAT * (small.layout.len + small.layout.buffer_len)) as f64,
        })
    }

    /// Whether that is small enough, and, if not, what it is.
    pub(super) fn is_met(&self, channels: &Channels, mask: &Bits) -> Result<Met<'_>> {
        let measured = self.measure(channels, mask)?;
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

/// The smallest share of `count` channels at which a goal is met. Fewer channels never make a network larger.
///
/// # Errors
/// When it is not met with as few channels as there can be.
pub(super) fn least_share<'g>(count: usize, met: impl Fn(f64) -> Result<Met<'g>>) -> Result<f64> {
    let share = |gone: usize| gone as f64 / count.max(1) as f64;
    let all = met(1.0)?;
    if !all.is_met {
        let Met { measured, goal, .. } = all;
        return Err(Error::input(format!(
            "`target = \"{}\"` is beyond reach: with one channel in each layer that is pruned, {measured} {} are left, expected at most {}",
            MaybeTarget(Some(goal.target)).show(),
            goal.unit(),
            goal.most.floor()
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
    use super::*;
    use crate::net::initial;
    use crate::net::zoo::{self, Choice};
    use crate::plan::Pruning;
    use crate::prune::channels::draw;
    use crate::prune::criterion::Key;
    use crate::sweep::Settings;
    use tombola_words::Shape;
    use tombola_words::value::{Criterion, NormStart, PruningType, Streams};

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
        let pruning = Pruning::of(&settings, 0.0);
        let drawn = draw(&layout, &channels, (&start.parameters, None), &all, &pruning, key, Some(&goal))?;
        let gone = channels.len() - drawn.mask.count();
        let rate = (gone - 1) as f64 / channels.len() as f64;
        let one_more =
            draw(&layout, &channels, (&start.parameters, None), &all, &Pruning::of(&settings, rate), key, None)?;
        assert_eq!(one_more.mask.count(), drawn.mask.count() + 1);
        Ok((goal.measure(&channels, &drawn.mask)?, goal.measure(&channels, &one_more.mask)?, goal.most))
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
    fn what_is_beyond_reach_is_told_with_what_there_is() {
        let error = left("resnet", Streams::Whole, "parameters:0.001").unwrap_err();
        assert!(error.message.contains("`target = \"parameters:0.001\"` is beyond reach"), "{error}");
    }
}
