//! What each operation does to the elements of its inputs.
//!
//! Where elements cannot be followed, they must stay: pruning less is right, pruning what others need is not.

use super::super::graph::{Graph, NodeId};
use super::super::op::{Filling, Op, Pairing};
use super::{Element, Factor, Flow, Origin};
use tombola_words::Shape;

/// The elements of a value.
type Value = Vec<Factor>;

impl Flow {
    /// The elements of what node `id` gives, and whether what is dead there is 0.
    pub(super) fn through(&mut self, graph: &Graph, id: NodeId) -> (Value, bool) {
        let node = &graph.nodes[id];
        let inputs: Vec<Value> = node.inputs.iter().map(|input| self.values[*input].clone()).collect();
        let clean: Vec<bool> = node.inputs.iter().map(|input| self.clean[*input]).collect();
        let all_clean = clean.iter().all(|clean| *clean);
        let axes = node.inputs.first().map(|input| graph.nodes[*input].shape.axes()).unwrap_or_default();
        let (from, given) = (axes.as_slice(), node.shape.axes());
        let to = given.as_slice();
        let value = inputs.first().cloned().unwrap_or_default();
        match node.op {
            Op::Input => {
                let image = self.fresh(node.shape.channels(), |_| Origin::Image);
                (vec![Factor::line(1, image)], true)
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
                let others: Value = value.into_iter().filter(|factor| !factor.axes.contains(&last)).collect();
                let clean = others.is_empty();
                (others.into_iter().chain([Factor::line(last, made)]).collect(), clean)
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
                (vec![Factor::line(1, all)], all_clean)
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
                let value: Value =
                    long.map(|axis| Factor::line(axis, self.fresh(to[axis], |_| Origin::Learned))).collect();
                (value, true)
            }
            Op::Constant { .. } => (Vec::new(), false),
        }
    }

    fn fix_axes(&mut self, value: &[Factor], is_one: impl Fn(usize) -> bool) {
        let fixed = value.iter().filter(|factor| factor.axes.iter().any(|axis| is_one(*axis)));
        fixed.for_each(|factor| self.fixed.extend(&factor.elements));
    }

    /// What is left of a value whose elements move; what can no longer be followed must stay.
    fn moved(&mut self, mut value: Value, to: impl Fn(&Factor) -> Option<Factor>) -> Value {
        let mut moved: Value = Vec::new();
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
    fn only_channels(&mut self, value: Value) -> Value {
        self.moved(value, |factor| Some(factor.clone()).filter(|factor| factor.axes == [1]))
    }

    /// The value with other elements along one axis.
    fn replaced(&self, value: Value, axis: usize, elements: Vec<Element>) -> Value {
        let others = value.into_iter().filter(|factor| !factor.axes.contains(&axis));
        others.chain([Factor::line(axis, elements)]).collect()
    }

    fn convolved(&mut self, id: NodeId, value: &[Factor], from: &[usize], out: usize, groups: usize) -> Value {
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
        vec![Factor::line(1, made)]
    }

    /// Sums and products of values whose axes are matched from the last on.
    fn paired(&mut self, inputs: Vec<Value>, shapes: &[&[usize]]) -> Value {
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
    fn matched(&mut self, sides: Vec<Value>, size: impl Fn(usize, usize) -> usize) -> Value {
        let [first, second]: [Value; 2] = match sides.try_into() {
            Ok(sides) => sides,
            Err(_) => return Vec::new(),
        };
        let (first, second) = self.aligned(first, second);
        let mut given: Value = Vec::new();
        let mut left: Vec<Factor> = Vec::new();
        let mut others = second;
        for factor in first {
            match others.iter().position(|other| other.axes == factor.axes && other.sizes == factor.sizes) {
                Some(place) => {
                    let other = others.remove(place);
                    let sources: Vec<[Element; 2]> =
                        factor.elements.iter().zip(&other.elements).map(|(a, b)| [*a, *b]).collect();
                    given.push(Factor { elements: self.mixed(&sources), ..factor });
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
    fn aligned(&mut self, first: Value, second: Value) -> (Value, Value) {
        let lines = |own: &Value| -> Vec<usize> {
            own.iter().filter(|factor| factor.axes.len() == 1).map(|factor| factor.axes[0]).collect()
        };
        let (of_first, of_second) = (lines(&first), lines(&second));
        let mut narrowed = |value: Value, axes: &[usize]| -> Value {
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
    fn multiplied(&mut self, graph: &Graph, id: NodeId, inputs: Vec<Value>, clean: bool) -> Value {
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
    fn product(&mut self, first: Value, second: Value, count: usize, clean: bool) -> Value {
        let (rows, columns) = (count - 2, count - 1);
        let mut sides = [(first, columns), (second, rows)];
        let mut inner: [Option<Factor>; 2] = [None, None];
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
                self.lost.extend(a.elements.into_iter().chain(b.elements));
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

    fn joined(&mut self, graph: &Graph, id: NodeId, inputs: Vec<Value>, axis: usize) -> Value {
        let sizes: Vec<usize> =
            graph.nodes[id].inputs.iter().map(|input| graph.nodes[*input].shape.axes().as_slice()[axis]).collect();
        let mut line = Vec::new();
        let mut others: Vec<Value> = Vec::new();
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
            given.push(Factor::line(axis, line));
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Builder;
    use tombola_words::Axes;

    /// Whether two elements share their fate.
    fn together(flow: &Flow, a: Element, b: Element) -> bool {
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
        let flow = Flow::of(&build.finish(3).unwrap());
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
