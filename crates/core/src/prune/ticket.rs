//! Draws a mask of one network, over single weights or over channels, from a snapshot.
//!
//! The same function draws the mask that a ticket is pruned by and those that are only compared after each epoch, so an
//! early bird has exactly the mask that was watched. It may not know of torch; gradients come through [`Scorer`].

use std::sync::{Arc, OnceLock};

use super::criterion::Key;
use super::goal::Goal;
use super::scorer::NoGradients;
use super::{Scorer, Want, channels, prunable, unstructured};
use crate::mask::Bits;
use crate::net::channels::Channels;
use crate::net::{Graph, Layout, Snapshot};
use crate::plan::Pruning;
use tombola_words::error::Result;
use tombola_words::record::ChannelCount;
use tombola_words::value::{Criterion, Streams};

/// What draws the masks of one network.
#[derive(Debug)]
pub struct Pruner {
    graph: Arc<Graph>,
    layout: Arc<Layout>,
    /// Found when they are first asked for: whole streams, and streams as groups.
    channels: [OnceLock<Channels>; 2],
}

/// A mask that was drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    /// Over the whole weight vector.
    pub mask: Bits,
    /// Over channels, where those were pruned, and how many they are.
    pub channels: Option<(Bits, ChannelCount)>,
    /// The share of the channels that went, where a target decided it.
    pub share: Option<f64>,
}

impl Pruner {
    /// For a network whose weights are laid out by `layout`.
    pub fn new(graph: &Arc<Graph>, layout: &Arc<Layout>) -> Self {
        Self { graph: Arc::clone(graph), layout: Arc::clone(layout), channels: Default::default() }
    }

    /// The channels of the network that may be pruned.
    pub fn channels(&self, streams: Streams) -> &Channels {
        let place = match streams {
            Streams::Whole => 0,
            Streams::Group => 1,
        };
        self.channels[place].get_or_init(|| Channels::of(&self.graph, &self.layout, streams))
    }

    /// Draws the next mask from a snapshot and from the mask that it has already.
    ///
    /// # Errors
    /// When a weight is not a number, nothing may be pruned, or gradients or times are needed and `scorer` has none.
    pub fn draw(&self, drawn: &Snapshot, pruning: &Pruning, key: Key, scorer: &mut dyn Scorer) -> Result<Ticket> {
        let all = || Bits::ones(self.layout.len);
        let before = drawn.mask.as_deref().cloned().unwrap_or_else(all);
        if !pruning.channels {
            let values = &drawn.parameters;
            let mask = unstructured::draw(&self.graph, &self.layout, values, &before, pruning, key, scorer)?;
            return Ok(Ticket { mask, channels: None, share: None });
        }
        let channels = self.channels(pruning.streams);
        let gradients = match pruning.criterion {
            Criterion::Taylor => Some(scorer.gradients(Want::Gradient, &before)?),
            _ => None,
        };
        let alive = channels.alive(&before);
        let goal = pruning.target.map(|target| Goal::of(target, &self.graph, &self.layout));
        let (values, gradients) = (&drawn.parameters, gradients.as_deref());
        let once = |goal: Option<(&Goal, &mut dyn Scorer)>| {
            channels::draw(&self.layout, channels, (values, gradients), &alive, pruning, key, goal)
        };
        let draw = match &goal {
            Some(goal) if pruning.is_timed() => {
                goal.closest(channels, scorer, |scorer| once(Some((goal, scorer))), |draw| &draw.mask)?
            }
            Some(goal) => once(Some((goal, scorer)))?,
            None => once(None)?,
        };
        let mask = channels.weight_mask(&draw.mask);
        let count = ChannelCount { prunable: channels.len(), alive: draw.mask.count(), forced: draw.forced };
        Ok(Ticket { mask, channels: Some((draw.mask, count)), share: draw.share })
    }

    /// Draws a mask over weights on from `before`, the rate counted of `whole` (as [`unstructured::draw_of`]).
    ///
    /// # Errors
    /// When a weight is not a number, or nothing may be pruned.
    pub fn prune_on(&self, values: &[f32], masks: (&Bits, &Bits), pruning: &Pruning, key: Key) -> Result<Bits> {
        unstructured::draw_of(&self.graph, &self.layout, values, masks, pruning, key, &mut NoGradients)
    }

    /// A mask that is given, on top of that which a snapshot has already. Twins with a random mask have as many weights in each layer
    /// elsewhere.
    pub fn given(&self, drawn: &Snapshot, mask: &Bits, pruning: &Pruning, key: Key) -> Ticket {
        let mut mask = mask.clone();
        if let Some(before) = &drawn.mask {
            let dead: Vec<usize> =
                before.iter().enumerate().filter(|(_, alive)| !alive).map(|(place, _)| place).collect();
            dead.into_iter().for_each(|place| mask.set(place, false));
        }
        unstructured::as_twin(&mut mask, &self.layout, pruning, key);
        Ticket { mask, channels: None, share: None }
    }

    /// What is compared between epochs: one bit for each channel, or for each weight that may be pruned.
    pub fn compared(&self, ticket: Ticket, pruning: &Pruning) -> Bits {
        match ticket.channels {
            Some((channels, _)) => channels,
            None => ticket.mask.select(prunable(&self.layout, &pruning.layers).map(|(_, parameter)| parameter.range())),
        }
    }
}
