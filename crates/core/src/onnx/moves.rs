//! What moves, cuts and joins values.

use super::attributes::axis_of;
use super::folding;
use super::known;
use super::operators::OnnxInputs;
use super::proto::NodeProto;
use super::reader::{OnnxReader, OnnxTaken};
use super::tensors::count_of;
use super::values::{KnownSize, MOST_KNOWN, OnnxValue};
use crate::net::NodeId;
use crate::net::op::{Op, Reduction};
use tombola_words::Axes;

/// A short list of sizes.
pub(super) fn axes(sizes: &[usize]) -> OnnxTaken<Axes> {
    Axes::of(sizes).ok_or_else(|| format!("has {} axes, at most {} are read", sizes.len(), tombola_words::MOST_AXES))
}

impl OnnxReader<'_> {
    pub(super) fn moved(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<OnnxValue> {
        match &*node.operator {
            "Shape" => self.shape_value(node, inputs.at(0)?),
            "Size" => match self.shape_value(node, inputs.at(0)?)? {
                OnnxValue::Wholes(_, values) => {
                    let all = values.iter().try_fold((1i64, false), |(all, each), whole| {
                        Some((all.checked_mul(whole.value)?, each || whole.each))
                    });
                    let (value, each) = all.ok_or("is too large")?;
                    Ok(OnnxValue::Wholes(Vec::new(), vec![KnownSize { value, each }]))
                }
                other => Ok(other),
            },
            "ConstantOfShape" => self.filled(node, inputs),
            "Range" => known::range(inputs),
            "Where" => self.chosen(inputs),
            "Gather" => self.gathered(node, inputs, name),
            "Slice" => self.sliced(node, inputs, name),
            "Concat" => self.joined(node, inputs, name),
            "Transpose" => self.transposed(node, inputs.at(0)?, name),
            "Expand" => self.expanded(inputs.at(0)?, inputs.at(1)?, name),
            "Tile" => self.tiled(inputs, name),
            "Flatten" => {
                let x = self.node_of(inputs.at(0)?)?;
                let sizes = self.sizes(x);
                match node.integer("axis").unwrap_or(1) {
                    1 => self.reshaped(x, &[sizes[..1].to_vec(), vec![count_of(&sizes[1..])]].concat(), name),
                    other => Err(format!("keeps {other} axes, expected 1")),
                }
            }
            "Reshape" => self.reshape(node, inputs, name),
            _ => self.with_axes(node, inputs, name),
        }
    }

    /// A node with other axes.
    pub(super) fn reshaped(&mut self, x: NodeId, sizes: &[usize], name: &str) -> OnnxTaken<OnnxValue> {
        let own = self.sizes(x);
        if own == sizes {
            return Ok(OnnxValue::Node(x));
        }
        if count_of(&own) != count_of(sizes) {
            return Err(format!("cannot give {own:?} the sizes {sizes:?}"));
        }
        let is_vector = sizes.len() == 2 && sizes[0] == 1 && own.first() == Some(&1) && self.shape(x).is_of_images();
        if is_vector && own.len() == 4 {
            let mean = match self.step(x) {
                Some((Op::Reduce { reduction: Reduction::Mean, axes, keep: true }, [from]))
                    if axes.as_slice() == [2, 3] =>
                {
                    Some(*from)
                }
                _ => None,
            };
            return match mean.filter(|from| self.sizes(*from).len() == 4) {
                Some(from) => self.add(name, Op::GlobalAveragePool, &[from]).map(OnnxValue::Node),
                None => self.add(name, Op::Flatten, &[x]).map(OnnxValue::Node),
            };
        }
        let to = axes(sizes)?;
        self.add(name, Op::Reshape { to }, &[x]).map(OnnxValue::Node)
    }

    fn reshape(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<OnnxValue> {
        let wanted = match (inputs.get(1), node.integers("shape")) {
            (Some(OnnxValue::Wholes(_, values)), _) => values.clone(),
            (None, Some(values)) => values.iter().map(|value| KnownSize::from(*value)).collect(),
            _ => return Err("its sizes are not known before it runs".to_string()),
        };
        let x = inputs.at(0)?;
        let (own, is_of_images) = match x {
            OnnxValue::Wholes(sizes, _) | OnnxValue::Floats(sizes, _) => (sizes.clone(), false),
            _ => {
                let id = self.node_of(x)?;
                (self.sizes(id), self.shape(id).is_of_images())
            }
        };
        if wanted.len() > tombola_words::MOST_AXES {
            return Err(format!("asks for {} axes", wanted.len()));
        }
        let mut sizes = Vec::new();
        let mut open = None;
        for (axis, whole) in wanted.iter().enumerate() {
            match (whole.value, whole.each) {
                (_, true) if axis > 0 || !is_of_images => {
                    return Err("puts the number of images elsewhere than first".to_string());
                }
                (-1, false) => {
                    open = Some(axis);
                    sizes.push(1);
                }
                (0, false) if node.integer("allowzero").unwrap_or(0) == 0 => {
                    sizes.push(own.get(axis).copied().ok_or("copies an axis that is not there")?);
                }
                (size, _) => sizes.push(usize::try_from(size).map_err(|_| format!("has a size of {size}"))?),
            }
        }
        if let Some(axis) = open {
            let others = count_of(&sizes);
            if others == 0 || !count_of(&own).is_multiple_of(others) {
                return Err(format!("cannot give {own:?} the sizes {wanted:?}"));
            }
            sizes[axis] = count_of(&own) / others;
        }
        match x {
            OnnxValue::Wholes(_, values) if count_of(&sizes) == values.len() => {
                Ok(OnnxValue::Wholes(sizes, values.clone()))
            }
            OnnxValue::Floats(_, values) if count_of(&sizes) == values.len() => {
                Ok(OnnxValue::Floats(sizes, values.clone()))
            }
            _ => {
                let id = self.node_of(x)?;
                self.reshaped(id, &sizes, name)
            }
        }
    }

    /// Axes of 1 that come or go.
    fn with_axes(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<OnnxValue> {
        let x = inputs.at(0)?;
        if let (OnnxValue::Moved(id, order), "Squeeze") = (x, &*node.operator) {
            let asked = self.numbers(node, inputs, "axes", 1)?.ok_or("does not say its axes")?;
            return self.squeezed(*id, order, &asked, name);
        }
        let own = match x {
            OnnxValue::Wholes(sizes, _) | OnnxValue::Floats(sizes, _) => sizes.clone(),
            _ => {
                let id = self.node_of(x)?;
                self.sizes(id)
            }
        };
        let asked = self.numbers(node, inputs, "axes", 1)?;
        let is_new = node.operator == "Unsqueeze";
        let count = own.len() + if is_new { asked.as_ref().map_or(0, Vec::len) } else { 0 };
        let places: Vec<usize> = match asked {
            Some(asked) => asked.iter().map(|axis| axis_of(*axis, count)).collect::<OnnxTaken<_>>()?,
            None => (1..count).filter(|axis| own[*axis] == 1).collect(),
        };
        let is_of_images = matches!(x, OnnxValue::Node(id) if self.shape(*id).is_of_images());
        if is_of_images && places.contains(&0) {
            return Err("changes the axis of the images".to_string());
        }
        let mut rest = own.iter().copied();
        let sizes: Vec<usize> = if is_new {
            (0..count).map(|axis| if places.contains(&axis) { 1 } else { rest.next().unwrap_or(1) }).collect()
        } else {
            (0..count).filter(|axis| !places.contains(axis)).map(|axis| own[axis]).collect()
        };
        match x {
            OnnxValue::Wholes(_, values) if count_of(&sizes) == values.len() => {
                Ok(OnnxValue::Wholes(sizes, values.clone()))
            }
            OnnxValue::Floats(_, values) if count_of(&sizes) == values.len() => {
                Ok(OnnxValue::Floats(sizes, values.clone()))
            }
            OnnxValue::Wholes(..) | OnnxValue::Floats(..) => {
                Err(format!("takes an axis away that is not 1 of {own:?}"))
            }
            _ => {
                let id = self.node_of(x)?;
                self.reshaped(id, &sizes, name)
            }
        }
    }

    /// Without axes of 1, of a value whose axes are seen in another order.
    fn squeezed(&mut self, id: NodeId, order: &[usize], asked: &[i64], name: &str) -> OnnxTaken<OnnxValue> {
        let own = self.sizes(id);
        let mut gone: Vec<usize> =
            asked.iter().map(|axis| axis_of(*axis, order.len()).map(|place| order[place])).collect::<OnnxTaken<_>>()?;
        gone.sort_unstable();
        gone.dedup();
        if gone.contains(&0) {
            return Err("takes the axis of the images away".to_string());
        }
        let left = |axis: &usize| !gone.contains(axis);
        let to: Vec<usize> = (0..own.len()).filter(left).map(|axis| own[axis]).collect();
        let before = |axis: usize| gone.iter().filter(|other| **other < axis).count();
        let order = order.iter().copied().filter(left).map(|axis| axis - before(axis)).collect();
        match self.reshaped(id, &to, name)? {
            OnnxValue::Node(id) => self.ordered(id, order, name),
            value => Ok(value),
        }
    }

    fn transposed(&mut self, node: &NodeProto, x: &OnnxValue, name: &str) -> OnnxTaken<OnnxValue> {
        if let OnnxValue::Weight { tensor, turned } = x
            && self.tensor(*tensor).dimensions.len() == 2
            && node.integers("perm").is_none_or(|order| order == [1, 0])
        {
            return Ok(OnnxValue::Weight { tensor: *tensor, turned: !turned });
        }
        let (id, known) = match x {
            OnnxValue::Wholes(sizes, values) if sizes.len() == 2 => {
                return Ok(OnnxValue::Wholes(vec![sizes[1], sizes[0]], turned(sizes, values)));
            }
            OnnxValue::Moved(id, order) => (*id, order.clone()),
            _ => {
                let id = self.node_of(x)?;
                (id, (0..self.sizes(id).len()).collect())
            }
        };
        let order: Vec<usize> = match node.integers("perm") {
            Some(order) => order.iter().map(|axis| axis_of(*axis, known.len())).collect::<OnnxTaken<_>>()?,
            None => (0..known.len()).rev().collect(),
        };
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted.into_iter().ne(0..known.len()) {
            return Err(format!("cannot put {} axes into the order {order:?}", known.len()));
        }
        self.ordered(id, order.into_iter().map(|axis| known[axis]).collect(), name)
    }

    /// A node's value with its axes in another order: a node, if that of the images is the first one.
    pub(super) fn ordered(&mut self, id: NodeId, order: Vec<usize>, name: &str) -> OnnxTaken<OnnxValue> {
        if order.iter().enumerate().all(|(place, axis)| place == *axis) {
            return Ok(OnnxValue::Node(id));
        }
        if self.shape(id).is_of_images() && order.first() != Some(&0) {
            return Ok(OnnxValue::Moved(id, order));
        }
        let order = axes(&order)?;
        self.add(name, Op::Permute { order }, &[id]).map(OnnxValue::Node)
    }

    /// The node behind a value, and the order in which its axes are seen.
    pub(super) fn seen(&mut self, x: &OnnxValue) -> OnnxTaken<(NodeId, Vec<usize>)> {
        match x {
            OnnxValue::Moved(id, order) => Ok((*id, order.clone())),
            _ => {
                let id = self.node_of(x)?;
                Ok((id, (0..self.sizes(id).len()).collect()))
            }
        }
    }

    fn expanded(&mut self, x: &OnnxValue, to: &OnnxValue, name: &str) -> OnnxTaken<OnnxValue> {
        let OnnxValue::Wholes(_, wanted) = to else { return Err("its sizes are not known before it runs".to_string()) };
        if let (OnnxValue::Wholes(..) | OnnxValue::Floats(..), Some(ones)) = (x, self.ones(x, wanted)) {
            let known = folding::of_two("Mul", x, &ones);
            return known.ok_or_else(|| "repeats known numbers too often".to_string());
        }
        let id = self.node_of(x)?;
        let own = self.sizes(id);
        let count = own.len().max(wanted.len());
        let at = |axis: usize, length: usize| (axis + length).checked_sub(count);
        let mut sizes = Vec::new();
        let mut images = self.shape(id).is_of_images();
        for axis in 0..count {
            let (old, new) =
                (at(axis, own.len()).map(|axis| own[axis]), at(axis, wanted.len()).map(|axis| wanted[axis]));
            if new.is_some_and(|whole| whole.each) {
                if axis > 0 {
                    return Err("puts the number of images elsewhere than first".to_string());
                }
                images = true;
            }
            let new = new.map_or(Ok(1), |whole| usize::try_from(whole.value));
            let new = new.map_err(|_| "has a negative size".to_string())?;
            sizes.push(if new == 1 { old.unwrap_or(1) } else { new });
        }
        if sizes == own && images == self.shape(id).is_of_images() {
            return Ok(OnnxValue::Node(id));
        }
        let to = axes(&sizes)?;
        self.add(name, Op::Expand { to, images }, &[id]).map(OnnxValue::Node)
    }

    /// As many ones as are asked for, in the kind of `x`.
    fn ones(&self, x: &OnnxValue, wanted: &[KnownSize]) -> Option<OnnxValue> {
        let sizes: Option<Vec<usize>> =
            wanted.iter().map(|whole| usize::try_from(whole.value).ok().filter(|_| !whole.each)).collect();
        let sizes = sizes.filter(|sizes| count_of(sizes) <= MOST_KNOWN)?;
        let count = count_of(&sizes);
        match x {
            OnnxValue::Wholes(..) => Some(OnnxValue::Wholes(sizes, vec![KnownSize::from(1); count])),
            _ => Some(OnnxValue::Floats(sizes, vec![1.0; count])),
        }
    }

    fn tiled(&mut self, inputs: &OnnxInputs, name: &str) -> OnnxTaken<OnnxValue> {
        let (x, OnnxValue::Wholes(_, times)) = (inputs.at(0)?, inputs.at(1)?) else {
            return Err("how often is not known before it runs".to_string());
        };
        let id = self.node_of(x)?;
        let own = self.sizes(id);
        let repeats = |place: usize| times.get(place).is_some_and(|whole| whole.value != 1 || whole.each);
        if own.len() != times.len() || (0..own.len()).any(|place| repeats(place) && own[place] != 1) {
            return Err("repeats axes that are not 1".to_string());
        }
        self.expanded(&OnnxValue::Node(id), &OnnxValue::list(times.clone()), name)
    }
}

/// The values of a matrix, rows as columns.
fn turned<T: Copy>(sizes: &[usize], values: &[T]) -> Vec<T> {
    let &[rows, columns] = sizes else { return values.to_vec() };
    (0..columns)
        .flat_map(|column| (0..rows).filter_map(move |row| values.get(row * columns + column).copied()))
        .collect()
}
