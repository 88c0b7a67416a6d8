//! What each operation does to the elements of its inputs.
//!
//! Where elements cannot be followed, they must stay: pruning less is right, pruning what others need is not.

use super::super::graph::{Graph, NodeId};
use super::super::op::{Filling, Op, Pairing};
use super::{Element, ElementFactor, ElementFlow, Origin};

/// The elements of a value.
pub(super) type NodeValue = Vec<ElementFactor>;

impl ElementFlow {
    /// The elements of what node `id` gives, and whether what is dead there is 0.
    pub(super) fn through(&mut self, graph: &Graph, id: NodeId) -> (NodeValue, bool) {
        let node = &graph.nodes[id];
        let inputs: Vec<NodeValue> = node.inputs.iter().map(|input| self.values[*input].clone()).collect();
        let clean: Vec<bool> = node.inputs.iter().map(|input| self.clean[*input]).collect();
        let all_clean = clean.iter().all(|clean| *clean);
        let axes = node.inputs.first().map(|input| graph.nodes[*input].shape.axes()).unwrap_or_default();
        let (from, given) = (axes.as_slice(), node.shape.axes());
        let to = given.as_slice();
        let value = inputs.first().cloned().unwrap_or_default();
        match node.op {
            Op::Input => {
                let image = self.fresh(node.shape.channels(), |_| Origin::Image);
                (vec![ElementFactor::line(1, image)], true)
            }
            Op::Conv { out, groups, .. } | Op::ConvTransposed { out, groups, .. } => {
                (self.convolved(id, &value, from, out, groups), true)
            }
            Op::Linear { out, .. } => {
                let last = from.len() - 1;
                self.reads[id] = self.along(&value, last, from[last]);
                let made = self.fresh(out, |_| Origin::Filter(id));
                self.makes[id].clone_from(&made);
                // What is dead along another axis gets the bias.
                let others: NodeValue = value.into_iter().filter(|factor| !factor.axes.contains(&last)).collect();
                let clean = others.is_empty();
                (others.into_iter().chain([ElementFactor::line(last, made)]).collect(), clean)
            }
            Op::BatchNorm { affine, .. } => {
                let read = self.along(&value, 1, node.shape.channels());
                let made: Vec<Element> =
                    read.iter().flat_map(|element| self.fresh(1, |_| Origin::Norm(id, *element))).collect();
                self.ties.extend(made.iter().copied().zip(read));
                self.makes[id].clone_from(&made);
                (self.replaced(value, 1, made), affine)
            }
            Op::GroupNorm { groups, affine, .. } => {
                let read = self.along(&value, 1, node.shape.channels());
                for group in read.chunks(read.len() / groups) {
                    self.ties.extend(group.iter().map(|element| (group[0], *element)));
                }
                self.makes[id].clone_from(&read);
                (self.replaced(value, 1, read), affine)
            }
            Op::Prelu { slopes } => {
                if slopes > 1 {
                    self.makes[id] = self.along(&value, 1, slopes);
                }
                (value, all_clean)
            }
            Op::LayerNorm { axes, .. } | Op::RmsNorm { axes, .. } => {
                self.fix_axes(&value, |axis| axis + axes >= from.len());
                (value, false)
            }
            Op::Softmax { axis } => {
                self.fix_axes(&value, |own| own == axis);
                (value, false)
            }
            Op::Relu | Op::Dropout { .. } => (value, all_clean),
            Op::Activation { function } => (value, all_clean && function.keeps_zero()),
            Op::Add => (self.paired(inputs, &[from, from]), all_clean),
            Op::Pair { function } => {
                let shapes: Vec<Vec<usize>> =
                    node.inputs.iter().map(|input| Vec::from(graph.nodes[*input].shape.axes())).collect();
                let clean = match function {
                    Pairing::Multiply => clean.contains(&true),
                    Pairing::Divide => false,
                    Pairing::Add | Pairing::Subtract | Pairing::Maximum => all_clean && shapes[0] == shapes[1],
                };
                let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
                (self.paired(inputs, &shapes), clean)
            }
            Op::MatrixProduct | Op::Attention { .. } => (self.multiplied(graph, id, inputs, all_clean), false),
            Op::MaxPool { .. } | Op::AvgPool { .. } | Op::AdaptivePool { .. } | Op::Interpolate { .. } => {
                (self.only_channels(value), all_clean)
            }
            Op::Pad { filling, .. } => {
                let clean = all_clean && !matches!(filling, Filling::Constant(number) if number.0 != 0.0);
                (self.only_channels(value), clean)
            }
            Op::GlobalAveragePool => (self.only_channels(value), all_clean),
            Op::Flatten | Op::Reshape { .. } => (self.moved(value, |factor| factor.reshaped(from, to)), all_clean),
            Op::Permute { order } => (self.moved(value, |factor| Some(factor.permuted(order.as_slice()))), all_clean),
            Op::PadShortcut { before, after, .. } => {
                let read = self.along(&value, 1, from[1]);
                let zeros = self.fresh(before + after, |_| Origin::Zeros);
                let all = [&zeros[..before], &read, &zeros[before..]].concat();
                (vec![ElementFactor::line(1, all)], all_clean)
            }
            Op::Select { list, .. } => (self.moved(value, |f| Some(f.taken(1, &graph.selections[list]))), all_clean),
            Op::Take { axis, list } => (self.moved(value, |f| Some(f.taken(axis, &graph.selections[list]))), all_clean),
            Op::Slice { axis, start, end, step } => {
                let places: Vec<usize> = (start..end).step_by(step.max(1)).collect();
                if step != 1 {
                    self.fix_axes(&value, |own| own == axis);
                }
                (self.moved(value, |factor| Some(factor.taken(axis, &places))), all_clean)
            }
            Op::Roll { axis, by } => {
                self.fix_axes(&value, |own| own == axis);
                let size = from[axis];
                let places: Vec<usize> = (0..size).map(|place| (place + size - by % size) % size).collect();
                (self.moved(value, |factor| Some(factor.taken(axis, &places))), all_clean)
            }
            Op::Concat { axis } => (self.joined(graph, id, inputs, axis), all_clean),
            Op::Expand { .. } => {
                let new = to.len() - from.len();
                let grown = |axis: usize| from[axis] != to[axis + new];
                (self.moved(value, |factor| factor.renamed(|axis| (!grown(axis)).then_some(axis + new))), all_clean)
            }
            Op::Reduce { axes: gone, keep, .. } => {
                let gone = gone.as_slice();
                let name = |axis: usize| {
                    let left = axis - gone.iter().filter(|other| !keep && **other < axis).count();
                    (!gone.contains(&axis)).then_some(left)
                };
                (self.moved(value, |factor| factor.renamed(name)), all_clean)
            }
            Op::Learned { .. } => {
                let long = (0..to.len()).filter(|axis| to[*axis] > 1);
                let value: NodeValue =
                    long.map(|axis| ElementFactor::line(axis, self.fresh(to[axis], |_| Origin::Learned))).collect();
                (value, true)
            }
            Op::Constant { .. } => (Vec::new(), false),
        }
    }

    pub(super) fn fix_axes(&mut self, value: &[ElementFactor], is_one: impl Fn(usize) -> bool) {
        let fixed = value.iter().filter(|factor| factor.axes.iter().any(|axis| is_one(*axis)));
        fixed.for_each(|factor| self.fixed.extend(&*factor.elements));
    }

    /// What is left of a value whose elements move; what can no longer be followed must stay.
    pub(super) fn moved(
        &mut self,
        mut value: NodeValue,
        to: impl Fn(&ElementFactor) -> Option<ElementFactor>,
    ) -> NodeValue {
        let mut moved: NodeValue = Vec::new();
        // One place, such as that of a class token, does not take the axis of many that it is joined to.
        value.sort_by_key(|factor| factor.elements.len() == 1);
        for factor in value {
            match to(&factor) {
                Some(new) if moved.iter().all(|known| known.axes.iter().all(|axis| !new.axes.contains(axis))) => {
                    moved.push(new);
                }
                _ => self.fix(&factor),
            }
        }
        moved
    }

    /// The elements of the channels alone: operations over rows and columns mix those.
    fn only_channels(&mut self, value: NodeValue) -> NodeValue {
        self.moved(value, |factor| Some(factor.clone()).filter(|factor| factor.axes == [1]))
    }

    /// The value with other elements along one axis.
    fn replaced(&self, value: NodeValue, axis: usize, elements: Vec<Element>) -> NodeValue {
        let others = value.into_iter().filter(|factor| !factor.axes.contains(&axis));
        others.chain([ElementFactor::line(axis, elements)]).collect()
    }

    fn convolved(
        &mut self,
        id: NodeId,
        value: &[ElementFactor],
        from: &[usize],
        out: usize,
        groups: usize,
    ) -> NodeValue {
        let read = self.along(value, 1, from[1]);
        value.iter().filter(|factor| factor.axes != [1]).for_each(|factor| self.fix(factor));
        let made = self.fresh(out, |_| Origin::Filter(id));
        if groups > 1 {
            // A group goes as a whole: what reads it, and what it makes.
            for (inputs, outputs) in read.chunks(read.len() / groups).zip(made.chunks(out / groups)) {
                self.ties.extend(inputs.iter().chain(outputs).map(|element| (inputs[0], *element)));
            }
        }
        self.reads[id] = read;
        self.makes[id].clone_from(&made);
        vec![ElementFactor::line(1, made)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Builder;
    use tombola_words::{Axes, Shape};

    /// Whether two elements share their fate.
    fn together(flow: &ElementFlow, a: Element, b: Element) -> bool {
        let mut known = vec![a];
        loop {
            let next: Vec<Element> = flow
                .ties
                .iter()
                .flat_map(|(a, b)| [(*a, *b), (*b, *a)])
                .filter(|(a, b)| known.contains(a) && !known.contains(b))
                .map(|(_, b)| b)
                .collect();
            if next.is_empty() {
                return known.contains(&b);
            }
            known.extend(next);
        }
    }

    #[test]
    fn queries_keys_and_values_of_a_head_share_their_fate() {
        let axes = |sizes: &[usize]| Axes::of(sizes).unwrap();
        let mut build = Builder::new(Shape::Block(axes(&[1, 5, 6])));
        let all = build.add("qkv", Op::Linear { out: 12, bias: true }, &[0]).unwrap();
        let cut = build.add("cut", Op::Reshape { to: axes(&[1, 5, 3, 2, 2]) }, &[all]).unwrap();
        let part = |build: &mut Builder, place: usize| {
            let one = build.add("part", Op::Slice { axis: 2, start: place, end: place + 1, step: 1 }, &[cut]).unwrap();
            let flat = build.add("flat", Op::Reshape { to: axes(&[1, 5, 2, 2]) }, &[one]).unwrap();
            build.add("turned", Op::Permute { order: axes(&[0, 2, 1, 3]) }, &[flat]).unwrap()
        };
        let parts = [0, 1, 2].map(|place| part(&mut build, place));
        let attention = Op::Attention { scale: super::super::super::op::Real(0.7), causal: false };
        let seen = build.add("attention", attention, &parts).unwrap();
        let back = build.add("back", Op::Permute { order: axes(&[0, 2, 1, 3]) }, &[seen]).unwrap();
        let flat = build.add("flat", Op::Reshape { to: axes(&[1, 5, 4]) }, &[back]).unwrap();
        let out = build.add("out", Op::Linear { out: 6, bias: true }, &[flat]).unwrap();
        let mean = Op::Reduce { reduction: super::super::super::op::Reduction::Mean, axes: axes(&[1]), keep: false };
        let pooled = build.add("mean", mean, &[out]).unwrap();
        build.linear("fc", pooled, 3).unwrap();
        let flow = ElementFlow::of(&build.finish(3).unwrap());
        let made = &flow.makes[all];
        // Two heads of two features: 0, 1 and 2, 3 of queries, keys, values.
        for of in [1, 4, 5, 8, 9] {
            assert!(together(&flow, made[0], made[of]), "{of}");
        }
        assert!(!together(&flow, made[0], made[2]) && together(&flow, made[2], made[10]));
        assert!(made.iter().all(|element| !flow.fixed.iter().any(|fixed| together(&flow, *element, *fixed))));
        assert_eq!(flow.reads[out].len(), 4);
        assert!(together(&flow, flow.reads[out][0], made[0]) && !together(&flow, flow.reads[out][0], made[2]));
    }
}
