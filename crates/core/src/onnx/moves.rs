//! What moves, cuts and joins values.

use super::attributes::axis_of;
use super::folding;
use super::operators::OnnxInputs;
use super::proto::{DOUBLE, FLOAT, FLOAT16, NodeProto};
use super::reader::{OnnxReader, Taken};
use super::tensors::{count_of, floats_of, integers_of};
use super::values::{MOST_KNOWN, OnnxValue, Whole};
use crate::net::NodeId;
use crate::net::op::{Op, Reduction};
use tombola_words::Axes;

fn axes(sizes: &[usize]) -> Taken<Axes> {
    Axes::of(sizes).ok_or_else(|| format!("has {} axes, at most {} are read", sizes.len(), tombola_words::MOST_AXES))
}

impl<'a> OnnxReader<'a> {
    pub(super) fn constant_of(&mut self, node: &'a NodeProto) -> Taken<OnnxValue> {
        if let Some(tensor) = node.tensor("value") {
            let name = node.outputs.first().map_or("", String::as_str);
            return self.tensor_value(tensor, name);
        }
        let floats = node.floats("value_floats").map(<[f32]>::to_vec);
        if let Some(values) = floats {
            return Ok(OnnxValue::Floats(vec![values.len()], values));
        }
        if let Some(value) = node.float("value_float") {
            return Ok(OnnxValue::Floats(Vec::new(), vec![value as f32]));
        }
        match (node.integers("value_ints"), node.integer("value_int")) {
            (Some(values), _) => Ok(OnnxValue::list(values.iter().map(|value| Whole::from(*value)).collect())),
            (None, Some(value)) => Ok(OnnxValue::Wholes(Vec::new(), vec![Whole::from(value)])),
            (None, None) => Err("holds nothing that is read".to_string()),
        }
    }

    pub(super) fn cast(&mut self, node: &NodeProto, x: &OnnxValue) -> Taken<OnnxValue> {
        let to = node.integer("to").unwrap_or(0);
        let is_float = [FLOAT, DOUBLE, FLOAT16].map(i64::from).contains(&to);
        match x {
            OnnxValue::Wholes(sizes, values) if is_float && values.iter().all(|whole| !whole.each) => {
                Ok(OnnxValue::Floats(sizes.clone(), values.iter().map(|whole| whole.value as f32).collect()))
            }
            OnnxValue::Floats(sizes, values) if !is_float => {
                Ok(OnnxValue::Wholes(sizes.clone(), values.iter().map(|value| Whole::from(*value as i64)).collect()))
            }
            OnnxValue::Wholes(..) if is_float => Err("makes the number of images a value".to_string()),
            OnnxValue::Wholes(..) | OnnxValue::Floats(..) => Ok(x.clone()),
            _ if is_float => Ok(x.clone()),
            _ => Err("makes values whole numbers".to_string()),
        }
    }

    /// Numbers with points that are known, if they are.
    pub(super) fn floats_of(&self, value: &OnnxValue) -> Taken<Option<Vec<f32>>> {
        match value {
            OnnxValue::Floats(_, values) => Ok(Some(values.clone())),
            OnnxValue::Weight { tensor, turned: false } => floats_of(self.tensor(*tensor)).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn moved(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> Taken<OnnxValue> {
        match &*node.operator {
            "Shape" => self.shape_value(node, inputs.at(0)?),
            "Size" => match self.shape_value(node, inputs.at(0)?)? {
                OnnxValue::Wholes(_, values) => {
                    let all = values.iter().try_fold((1i64, false), |(all, each), whole| {
                        Some((all.checked_mul(whole.value)?, each || whole.each))
                    });
                    let (value, each) = all.ok_or("is too large")?;
                    Ok(OnnxValue::Wholes(Vec::new(), vec![Whole { value, each }]))
                }
                other => Ok(other),
            },
            "ConstantOfShape" => self.filled(node, inputs),
            "Range" => range(inputs),
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

    fn shape_value(&mut self, node: &NodeProto, x: &OnnxValue) -> Taken<OnnxValue> {
        let known = |sizes: &[usize]| sizes.iter().map(|size| Whole::from(*size as i64)).collect::<Vec<_>>();
        let all = match x {
            OnnxValue::Wholes(sizes, _) | OnnxValue::Floats(sizes, _) => known(sizes),
            _ => {
                let id = self.node_of(x)?;
                let mut all = known(&self.sizes(id));
                if let Some(first) = all.first_mut().filter(|_| self.shape(id).is_of_images()) {
                    first.each = true;
                }
                all
            }
        };
        let place = |name: &str, default: usize| {
            let place = node.integer(name).unwrap_or(default as i64);
            let counted = if place < 0 { place.saturating_add(all.len() as i64) } else { place };
            counted.clamp(0, all.len() as i64) as usize
        };
        let (start, end) = (place("start", 0), place("end", all.len()));
        Ok(OnnxValue::list(all[start.min(end)..end].to_vec()))
    }

    fn filled(&mut self, node: &NodeProto, inputs: &OnnxInputs) -> Taken<OnnxValue> {
        let sizes = self.sizes_in(inputs.at(0)?)?;
        let count = count_of(&sizes);
        if count > MOST_KNOWN {
            return Err(format!("makes {count} numbers, at most {MOST_KNOWN} are read"));
        }
        match node.tensor("value") {
            Some(tensor) if !super::tensors::is_of_floats(tensor) => {
                let value = integers_of(tensor)?.first().copied().unwrap_or(0);
                Ok(OnnxValue::Wholes(sizes, vec![Whole::from(value); count]))
            }
            Some(tensor) => {
                Ok(OnnxValue::Floats(sizes, vec![floats_of(tensor)?.first().copied().unwrap_or(0.0); count]))
            }
            None => Ok(OnnxValue::Floats(sizes, vec![0.0; count])),
        }
    }

    /// Sizes that are known, none of which is that of the images.
    fn sizes_in(&self, value: &OnnxValue) -> Taken<Vec<usize>> {
        let OnnxValue::Wholes(_, values) = value else {
            return Err("its sizes are not known before it runs".to_string());
        };
        let size = |whole: &Whole| usize::try_from(whole.value).ok().filter(|_| !whole.each);
        values
            .iter()
            .map(size)
            .collect::<Option<_>>()
            .ok_or_else(|| "its sizes depend on the number of images".to_string())
    }

    /// A node with other axes.
    pub(super) fn reshaped(&mut self, x: NodeId, sizes: &[usize], name: &str) -> Taken<OnnxValue> {
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

    fn reshape(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> Taken<OnnxValue> {
        let wanted = match (inputs.get(1), node.integers("shape")) {
            (Some(OnnxValue::Wholes(_, values)), _) => values.clone(),
            (None, Some(values)) => values.iter().map(|value| Whole::from(*value)).collect(),
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
    fn with_axes(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> Taken<OnnxValue> {
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
            Some(asked) => asked.iter().map(|axis| axis_of(*axis, count)).collect::<Taken<_>>()?,
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
    fn squeezed(&mut self, id: NodeId, order: &[usize], asked: &[i64], name: &str) -> Taken<OnnxValue> {
        let own = self.sizes(id);
        let gone: Vec<usize> =
            asked.iter().map(|axis| axis_of(*axis, order.len()).map(|place| order[place])).collect::<Taken<_>>()?;
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

    fn transposed(&mut self, node: &NodeProto, x: &OnnxValue, name: &str) -> Taken<OnnxValue> {
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
            Some(order) => order.iter().map(|axis| axis_of(*axis, known.len())).collect::<Taken<_>>()?,
            None => (0..known.len()).rev().collect(),
        };
        self.ordered(id, order.into_iter().map(|axis| known[axis]).collect(), name)
    }

    /// A node's value with its axes in another order: a node, if that of the images is the first one.
    fn ordered(&mut self, id: NodeId, order: Vec<usize>, name: &str) -> Taken<OnnxValue> {
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
    fn seen(&mut self, x: &OnnxValue) -> Taken<(NodeId, Vec<usize>)> {
        match x {
            OnnxValue::Moved(id, order) => Ok((*id, order.clone())),
            _ => {
                let id = self.node_of(x)?;
                Ok((id, (0..self.sizes(id).len()).collect()))
            }
        }
    }

    fn gathered(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> Taken<OnnxValue> {
        let (x, OnnxValue::Wholes(sizes, wanted)) = (inputs.at(0)?, inputs.at(1)?) else {
            return Err("its places are not known before it runs".to_string());
        };
        let places = |size: usize| -> Taken<Vec<usize>> {
            let place = |whole: &Whole| match whole.each {
                false => {
                    axis_of(whole.value, size).map_err(|_| format!("there is no place {} among {size}", whole.value))
                }
                true => Err("its places depend on the number of images".to_string()),
            };
            wanted.iter().map(place).collect()
        };
        if let OnnxValue::Wholes(own, _) | OnnxValue::Floats(own, _) = x {
            let places = places(own.first().copied().unwrap_or(0))?;
            let known = (node.integer("axis").unwrap_or(0) == 0).then(|| folding::taken(x, sizes, &places)).flatten();
            return known.ok_or_else(|| "takes places of an axis of known numbers other than the first".to_string());
        }
        let (id, mut order) = self.seen(x)?;
        let own = self.sizes(id);
        let place = axis_of(node.integer("axis").unwrap_or(0), own.len())?;
        let axis = order[place];
        let taken = self.take(name, id, axis, places(own[axis])?)?;
        if sizes.len() == 1 {
            return self.ordered(taken, order, name);
        }
        let to = [&own[..axis], sizes, &own[axis + 1..]].concat();
        let value = self.reshaped(taken, &to, name)?;
        match (value, &**sizes) {
            (OnnxValue::Node(id), []) => {
                order.remove(place);
                order.iter_mut().filter(|other| **other > axis).for_each(|other| *other -= 1);
                self.ordered(id, order, name)
            }
            (value, _) if order.is_sorted() => Ok(value),
            _ => Err("takes a table of places of a value whose images do not lie along the first axis".to_string()),
        }
    }

    fn sliced(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> Taken<OnnxValue> {
        let x = inputs.at(0)?;
        let list = |attribute: &str, place: usize| self.numbers(node, inputs, attribute, place);
        let (starts, ends) = (list("starts", 1)?.unwrap_or_default(), list("ends", 2)?.unwrap_or_default());
        let along = list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), along.len(), steps.len()].iter().any(|count| *count != starts.len()) {
            return Err("its lists have different lengths".to_string());
        }
        let known = match x {
            OnnxValue::Wholes(sizes, _) | OnnxValue::Floats(sizes, _) => Some(sizes.clone()),
            _ => None,
        };
        let mut value = x.clone();
        for (place, asked) in along.iter().enumerate() {
            let sizes = match &known {
                Some(_) => match &value {
                    OnnxValue::Wholes(sizes, _) | OnnxValue::Floats(sizes, _) => sizes.clone(),
                    _ => Vec::new(),
                },
                None => {
                    let id = self.node_of(&value)?;
                    value = OnnxValue::Node(id);
                    self.sizes(id)
                }
            };
            let axis = axis_of(*asked, sizes.len())?;
            let size = sizes[axis] as i64;
            if steps[place] == -1 && known.is_some() && axis == 0 && starts[place] == -1 && ends[place] < -size {
                let places: Vec<usize> = (0..sizes[0]).rev().collect();
                value = folding::taken(&value, &[places.len()], &places).ok_or("its places are not known")?;
                continue;
            }
            let counted = |at: i64| if at < 0 { at.saturating_add(size) } else { at }.clamp(0, size) as usize;
            let (start, end) = (counted(starts[place]), counted(ends[place]));
            let step = usize::try_from(steps[place]).ok().filter(|step| *step > 0);
            let step = step.ok_or_else(|| format!("goes by {}, expected forward", steps[place]))?;
            value = match &value {
                OnnxValue::Node(_) if start == 0 && end == sizes[axis] && step == 1 => value,
                OnnxValue::Node(id) => OnnxValue::Node(self.add(name, Op::Slice { axis, start, end, step }, &[*id])?),
                _ if axis == 0 => {
                    let places: Vec<usize> = (start..end).step_by(step).collect();
                    let known = folding::taken(&value, &[places.len()], &places);
                    known.ok_or("its places are not known")?
                }
                _ => return Err("takes places of an axis of known numbers other than the first".to_string()),
            };
        }
        Ok(value)
    }

    pub(super) fn split(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> Taken<Vec<OnnxValue>> {
        let x = inputs.at(0)?;
        let (sizes, order) = match x {
            OnnxValue::Wholes(sizes, _) | OnnxValue::Floats(sizes, _) => (sizes.clone(), (0..sizes.len()).collect()),
            _ => {
                let (id, order) = self.seen(x)?;
                (self.sizes(id), order)
            }
        };
        let axis = order[axis_of(node.integer("axis").unwrap_or(0), sizes.len())?];
        let count = node.outputs.len().max(1);
        let parts = match self.numbers(node, inputs, "split", 1)? {
            Some(parts) => {
                parts.iter().map(|part| usize::try_from(*part).ok()).collect::<Option<Vec<_>>>().unwrap_or_default()
            }
            None => {
                let part = sizes[axis].div_ceil(count);
                (0..count).map(|place| part.min(sizes[axis].saturating_sub(place * part))).collect()
            }
        };
        let all = parts.iter().fold(0usize, |all, part| all.saturating_add(*part));
        if all != sizes[axis] || parts.len() != count {
            return Err(format!("cannot split {} places into {parts:?}", sizes[axis]));
        }
        let mut start = 0;
        let mut values = Vec::new();
        for part in parts {
            let places: Vec<usize> = (start..start + part).collect();
            start += part;
            values.push(match x {
                OnnxValue::Wholes(..) | OnnxValue::Floats(..) => {
                    let known = (axis == 0).then(|| folding::taken(x, &[places.len()], &places)).flatten();
                    known.ok_or("splits known numbers along another axis than the first")?
                }
                _ => {
                    let (id, order) = self.seen(x)?;
                    let part = self.take(name, id, axis, places)?;
                    self.ordered(part, order, name)?
                }
            });
        }
        Ok(values)
    }

    fn joined(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> Taken<OnnxValue> {
        let wholes = inputs.all().map(|value| match value {
            OnnxValue::Wholes(_, values) => Some(values.clone()),
            _ => None,
        });
        if let Some(lists) = wholes.collect::<Option<Vec<_>>>() {
            return Ok(OnnxValue::list(lists.concat()));
        }
        let ids: Vec<NodeId> = inputs.all().map(|value| self.node_of(value)).collect::<Taken<_>>()?;
        let [first, ..] = *ids else { return Err("joins nothing".to_string()) };
        let axis = axis_of(node.integer("axis").unwrap_or(0), self.sizes(first).len())?;
        let are_of_images = ids.iter().any(|id| self.shape(*id).is_of_images());
        let mut parts = Vec::new();
        for id in ids {
            // What a file for one image joins as it is must be there for each.
            let repeats = are_of_images && !self.shape(id).is_of_images();
            parts.push(if repeats {
                let to = axes(&self.sizes(id))?;
                self.add(name, Op::Expand { to, images: true }, &[id])?
            } else {
                id
            });
        }
        match *parts {
            [one] => Ok(OnnxValue::Node(one)),
            _ => self.add(name, Op::Concat { axis }, &parts).map(OnnxValue::Node),
        }
    }

    fn expanded(&mut self, x: &OnnxValue, to: &OnnxValue, name: &str) -> Taken<OnnxValue> {
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
    fn ones(&self, x: &OnnxValue, wanted: &[Whole]) -> Option<OnnxValue> {
        let sizes: Option<Vec<usize>> =
            wanted.iter().map(|whole| usize::try_from(whole.value).ok().filter(|_| !whole.each)).collect();
        let sizes = sizes.filter(|sizes| count_of(sizes) <= MOST_KNOWN)?;
        let count = count_of(&sizes);
        match x {
            OnnxValue::Wholes(..) => Some(OnnxValue::Wholes(sizes, vec![Whole::from(1); count])),
            _ => Some(OnnxValue::Floats(sizes, vec![1.0; count])),
        }
    }

    fn tiled(&mut self, inputs: &OnnxInputs, name: &str) -> Taken<OnnxValue> {
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

fn range(inputs: &OnnxInputs) -> Taken<OnnxValue> {
    let number = |place: usize| match inputs.at(place)? {
        OnnxValue::Wholes(_, values) => match **values {
            [Whole { value, each: false }] => Ok(value),
            _ => Err("its ends are not known before it runs".to_string()),
        },
        _ => Err("is of numbers that are not whole".to_string()),
    };
    let (start, end, step) = (number(0)?, number(1)?, number(2)?);
    let step = usize::try_from(step).ok().filter(|step| *step > 0).ok_or("goes backward")?;
    let count = end.checked_sub(start).unwrap_or(i64::MAX).max(0) as usize / step;
    if count > MOST_KNOWN {
        return Err(format!("has {count} numbers, at most {MOST_KNOWN} are read"));
    }
    Ok(OnnxValue::list((start..end).step_by(step).map(Whole::from).collect()))
}
