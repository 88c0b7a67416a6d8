//! What sums, products and concatenations do to the elements of their sides.

use super::super::graph::{Graph, NodeId};
use super::super::op::Op;
use super::rules::NodeValue;
use super::{Element, ElementFactor, ElementFlow, Origin};
use tombola_words::Shape;

impl ElementFlow {
    /// Sums and products of values whose axes are matched from the last on.
    pub(super) fn paired(&mut self, inputs: Vec<NodeValue>, shapes: &[&[usize]]) -> NodeValue {
        let count = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
        let mut sides = Vec::new();
        for (value, shape) in inputs.into_iter().zip(shapes) {
            let before = count - shape.len();
            sides.push(self.moved(value, |factor| factor.renamed(|axis| Some(axis + before))));
        }
        let size = |side: usize, axis: usize| {
            (axis + shapes[side].len()).checked_sub(count).map_or(1, |axis| shapes[side][axis])
        };
        self.matched(sides, size)
    }

    /// The elements of something that is made of both sides, place by place. `size` gives that of an axis of a side.
    fn matched(&mut self, sides: Vec<NodeValue>, size: impl Fn(usize, usize) -> usize) -> NodeValue {
        let [first, second]: [NodeValue; 2] = match sides.try_into() {
            Ok(sides) => sides,
            Err(_) => return Vec::new(),
        };
        let (first, second) = self.aligned(first, second);
        let mut given: NodeValue = Vec::new();
        let mut left: Vec<ElementFactor> = Vec::new();
        let mut others = second;
        for factor in first {
            match others.iter().position(|other| other.axes == factor.axes && other.sizes == factor.sizes) {
                Some(place) => {
                    let other = others.remove(place);
                    let sources: Vec<[Element; 2]> =
                        factor.elements.iter().zip(&*other.elements).map(|(a, b)| [*a, *b]).collect();
                    given.push(ElementFactor { elements: self.mixed(&sources).into(), ..factor });
                }
                None => left.push(factor),
            }
        }
        // Known on one side only. The other side has one place there, which all share, or many that nobody can take apart.
        for (side, factor) in left.into_iter().map(|factor| (0, factor)).chain(others.into_iter().map(|f| (1, f))) {
            let is_shared = factor.axes.iter().all(|axis| size(1 - side, *axis) == 1);
            let is_repeated = factor.axes.iter().zip(&factor.sizes).any(|(axis, own)| size(1 - side, *axis) > *own);
            if !is_shared || is_repeated {
                self.fix(&factor);
            }
            let is_free = given.iter().all(|known| known.axes.iter().all(|axis| !factor.axes.contains(axis)));
            // Learned places, such as positions, tell nothing about what they are added to.
            let tells = factor.elements.iter().any(|element| self.origins[*element] != Origin::Learned) || is_shared;
            match is_free && !is_repeated && tells {
                true => given.push(factor),
                false => self.fix(&factor),
            }
        }
        given
    }

    /// New elements of these, with which they live and die.
    fn mixed(&mut self, sources: &[[Element; 2]]) -> Vec<Element> {
        let made = self.fresh(sources.len(), |index| Origin::Mixed(sources[index].to_vec()));
        for (own, sources) in made.iter().zip(sources) {
            self.ties.extend(sources.iter().map(|source| (*own, *source)));
        }
        made
    }

    /// Brings both sides to the same axes, where one of them shares some with the other: heads of queries with heads of values.
    fn aligned(&mut self, first: NodeValue, second: NodeValue) -> (NodeValue, NodeValue) {
        let lines = |own: &NodeValue| -> Vec<usize> {
            own.iter().filter(|factor| factor.axes.len() == 1).map(|factor| factor.axes[0]).collect()
        };
        let (of_first, of_second) = (lines(&first), lines(&second));
        let mut narrowed = |value: NodeValue, axes: &[usize]| -> NodeValue {
            let mut narrow = Vec::new();
            for factor in value {
                match axes.iter().find(|axis| factor.axes.len() > 1 && factor.axes.contains(axis)) {
                    Some(axis) => narrow.push(self.bound(&factor, *axis)),
                    None => narrow.push(factor),
                }
            }
            narrow
        };
        (narrowed(first, &of_second), narrowed(second, &of_first))
    }

    /// Products of matrices: of two values, or of queries, keys and values.
    pub(super) fn multiplied(&mut self, graph: &Graph, id: NodeId, inputs: Vec<NodeValue>, clean: bool) -> NodeValue {
        let node = &graph.nodes[id];
        let shapes: Vec<Shape> = node.inputs.iter().map(|input| graph.nodes[*input].shape).collect();
        let sizes: Vec<Vec<usize>> = shapes.iter().map(|shape| Vec::from(shape.axes())).collect();
        let count = node.shape.axes().as_slice().len();
        let mut sides = Vec::new();
        for (value, own) in inputs.into_iter().zip(&sizes) {
            let before = count.saturating_sub(own.len());
            sides.push(self.moved(value, |factor| factor.renamed(|axis| Some(axis + before))));
        }
        let mut sides = sides.into_iter();
        let (first, second) = (sides.next().unwrap_or_default(), sides.next().unwrap_or_default());
        match node.op {
            Op::Attention { .. } => {
                let values = sides.next().unwrap_or_default();
                let mask = sides.next();
                let order: Vec<usize> = (0..count - 2).chain([count - 1, count - 2]).collect();
                let keys = second.iter().map(|factor| factor.permuted(&order)).collect();
                let mut scores = self.product(first, keys, count, clean);
                if let (Some(mask), Some(own)) = (mask, sizes.get(3)) {
                    // Added to the scores of all heads, or each head has its own.
                    let given = node.shape.axes();
                    let keys = sizes[1].iter().rev().nth(1).copied().unwrap_or(1);
                    let of_scores = |axis: usize| if axis + 1 == count { keys } else { given.as_slice()[axis] };
                    let of_mask = |axis: usize| (axis + own.len()).checked_sub(count).map_or(1, |axis| own[axis]);
                    let size = |side: usize, axis: usize| if side == 0 { of_scores(axis) } else { of_mask(axis) };
                    scores = self.matched(vec![scores, mask], size);
                }
                // Their softmax shares places out: what is dead there is not 0.
                self.fix_axes(&scores, |axis| axis + 2 >= count);
                self.product(scores, values, count, false)
            }
            _ => self.product(first, second, count, clean),
        }
    }

    /// Of two values whose axes are counted as those of the product.
    fn product(&mut self, first: NodeValue, second: NodeValue, count: usize, clean: bool) -> NodeValue {
        let (rows, columns) = (count - 2, count - 1);
        let mut sides = [(first, columns), (second, rows)];
        let mut inner: [Option<ElementFactor>; 2] = [None, None];
        for (side, (value, contracted)) in sides.iter_mut().enumerate() {
            let mut left = Vec::new();
            for factor in std::mem::take(value) {
                match (factor.axes.contains(contracted), factor.axes.len()) {
                    (false, _) => left.push(factor),
                    (true, 1) => inner[side] = Some(factor),
                    // A head goes as a whole.
                    (true, _) => {
                        let head = factor.axes.iter().copied().find(|axis| axis != contracted).unwrap_or(rows);
                        let bound = self.bound(&factor, head);
                        left.push(bound);
                    }
                }
            }
            *value = left;
        }
        match inner {
            [Some(a), Some(b)] if clean && a.sizes == b.sizes => {
                self.ties.extend(a.elements.iter().copied().zip(b.elements.iter().copied()));
                self.lost.extend(a.elements.iter().chain(&*b.elements));
            }
            lost => lost.iter().flatten().for_each(|factor| self.fix(factor)),
        }
        let [(first, _), (second, _)] = sides;
        // The rows are those of the first side, the columns those of the second: each has one place on the other.
        let size = |side: usize, axis: usize| match (side, axis) {
            (0, axis) if axis == columns => 1,
            (1, axis) if axis == rows => 1,
            _ => 0,
        };
        self.matched(vec![first, second], size)
    }

    pub(super) fn joined(&mut self, graph: &Graph, id: NodeId, inputs: Vec<NodeValue>, axis: usize) -> NodeValue {
        let sizes: Vec<usize> =
            graph.nodes[id].inputs.iter().map(|input| graph.nodes[*input].shape.axes().as_slice()[axis]).collect();
        let mut line = Vec::new();
        let mut others: Vec<NodeValue> = Vec::new();
        let is_told = inputs.iter().any(|value| value.iter().any(|factor| factor.axes.contains(&axis)));
        for (value, size) in inputs.into_iter().zip(&sizes) {
            if is_told {
                line.extend(self.along(&value, axis, *size));
            }
            others.push(value.into_iter().filter(|factor| !factor.axes.contains(&axis)).collect());
        }
        let mut rest = others.into_iter();
        let mut given = rest.next().unwrap_or_default();
        for next in rest {
            given = self.matched(vec![given, next], |_, _| 0);
        }
        if is_told {
            given.push(ElementFactor::line(axis, line));
        }
        given
    }
}
