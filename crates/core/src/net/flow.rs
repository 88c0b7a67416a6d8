//! Where the channels, features and heads of a network flow: which places of which axis are the same thing further on.
//!
//! An **element** is one channel or feature from where it is made (a filter, a learned number, the image) to where the next
//! layer reads it; operations that only move values pass elements on, sums and products make new ones of those of their sides.
//! Every value has its elements along its axes as [`ElementFactor`]s. What is pruned together ([`super::channels`]) and what a path of
//! alive weights reaches ([`super::connectivity`]) both follow from here. It knows no particular network, no masks and no torch.

mod factor;
mod pairs;
mod rules;

use super::graph::{Graph, NodeId};

pub(crate) use factor::ElementFactor;

/// Position of an element in [`ElementFlow::origins`].
pub(crate) type Element = usize;

/// Where an element comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A row of a weight of this node: what it reads stands in [`ElementFlow::reads`].
    Filter(NodeId),
    /// A channel of the image.
    Image,
    /// Zeros that pad a shortcut.
    Zeros,
    /// Numbers that are learned, the same for all images.
    Learned,
    /// A channel of a batch norm: what it reads, and its place in the norm's scale.
    Norm(NodeId, Element),
    /// Made of these, by a sum or a product.
    Mixed(Vec<Element>),
    /// Nobody knows.
    Unknown,
}

/// The elements of a network.
#[derive(Debug, Default)]
pub(crate) struct ElementFlow {
    /// The elements of what each node gives.
    pub(crate) values: Vec<Vec<ElementFactor>>,
    /// For each node with a weight matrix the element of each of its inputs.
    pub(crate) reads: Vec<Vec<Element>>,
    /// For each node with parameters the element of each of its outputs.
    pub(crate) makes: Vec<Vec<Element>>,
    /// Of each element.
    pub(crate) origins: Vec<Origin>,
    /// Elements that live or die together.
    pub(crate) ties: Vec<(Element, Element)>,
    /// Elements that must stay.
    pub(crate) fixed: Vec<Element>,
    /// Elements whose way on is not known.
    pub(crate) lost: Vec<Element>,
    /// Whether what is dead in the value of a node is 0 there.
    clean: Vec<bool>,
}

impl ElementFlow {
    /// Follows them through a network.
    pub(crate) fn of(graph: &Graph) -> Self {
        let mut flow = Self::default();
        for (id, _) in graph.nodes.iter().enumerate() {
            flow.reads.push(Vec::new());
            flow.makes.push(Vec::new());
            let (value, clean) = flow.through(graph, id);
            flow.values.push(value);
            flow.clean.push(clean);
        }
        let last = flow.values.last().cloned().unwrap_or_default();
        last.iter().for_each(|factor| flow.fixed.extend(&*factor.elements));
        flow
    }

    /// New elements.
    fn fresh(&mut self, count: usize, origin: impl Fn(usize) -> Origin) -> Vec<Element> {
        let start = self.origins.len();
        self.origins.extend((0..count).map(origin));
        (start..start + count).collect()
    }

    /// Nobody knows where they go: they must stay.
    fn fix(&mut self, factor: &ElementFactor) {
        self.fixed.extend(&*factor.elements);
        self.lost.extend(&*factor.elements);
    }

    /// The elements along one axis of a value of `size` places there. What is not known by one axis alone must stay.
    fn along(&mut self, value: &[ElementFactor], axis: usize, size: usize) -> Vec<Element> {
        if let Some(factor) = value.iter().find(|factor| factor.axes == [axis]) {
            return factor.elements.to_vec();
        }
        // Lost from sight.
        value.iter().filter(|factor| factor.axes.contains(&axis)).for_each(|factor| self.fix(factor));
        let elements = self.fresh(size, |_| Origin::Unknown);
        self.fixed.extend(&elements);
        elements
    }

    /// Binds elements along all axes but `axis` into one, the first: what is left lies along that axis alone.
    fn bound(&mut self, factor: &ElementFactor, axis: usize) -> ElementFactor {
        let Some(place) = factor.axes.iter().position(|own| *own == axis) else { return factor.clone() };
        let mut first: Vec<Option<Element>> = vec![None; factor.sizes[place]];
        for (index, element) in factor.elements.iter().enumerate() {
            let at = factor.index(index, place);
            match first[at] {
                None => first[at] = Some(*element),
                Some(known) => self.ties.push((known, *element)),
            }
        }
        let sources: Vec<Vec<Element>> = (0..factor.sizes[place])
            .map(|at| {
                let own = factor.elements.iter().enumerate().filter(|(index, _)| factor.index(*index, place) == at);
                own.map(|(_, element)| *element).collect()
            })
            .collect();
        let elements = self.fresh(factor.sizes[place], |at| Origin::Mixed(sources[at].clone()));
        for (own, sources) in elements.iter().zip(&sources) {
            self.ties.extend(sources.iter().map(|source| (*own, *source)));
        }
        ElementFactor { axes: vec![axis], sizes: vec![factor.sizes[place]], elements: elements.into() }
    }
}
