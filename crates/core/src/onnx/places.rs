//! What takes some places of an axis, cuts values along one, and joins them.

use super::attributes::axis_of;
use super::folding;
use super::moves::axes;
use super::operators::OnnxInputs;
use super::proto::NodeProto;
use super::reader::{OnnxReader, OnnxTaken};
use super::values::{KnownSize, OnnxValue};
use crate::net::NodeId;
use crate::net::op::Op;

/// What a slice asks for along one axis.
struct KnownPart {
    axis: i64,
    start: i64,
    end: i64,
    step: i64,
}

impl KnownPart {
    /// The first place, the one after the last, and the step, of an axis of so many places.
    fn within(&self, size: usize) -> OnnxTaken<(usize, usize, usize)> {
        let size = size as i64;
        let counted = |at: i64| if at < 0 { at.saturating_add(size) } else { at }.clamp(0, size) as usize;
        let step = usize::try_from(self.step).ok().filter(|step| *step > 0);
        let step = step.ok_or_else(|| format!("goes by {}, expected forward", self.step))?;
        Ok((counted(self.start), counted(self.end), step))
    }

    /// Of numbers that are known.
    fn of_known(&self, value: &OnnxValue) -> OnnxTaken<OnnxValue> {
        let (OnnxValue::Wholes(sizes, _) | OnnxValue::Floats(sizes, _)) = value else { return Ok(value.clone()) };
        if axis_of(self.axis, sizes.len())? != 0 {
            return Err("takes places of an axis of known numbers other than the first".to_string());
        }
        let size = sizes[0];
        let is_turned = self.step == -1 && self.start == -1 && self.end < -(size as i64);
        let places: Vec<usize> = if is_turned {
            (0..size).rev().collect()
        } else {
            let (start, end, step) = self.within(size)?;
            (start..end).step_by(step).collect()
        };
        folding::taken(value, &[places.len()], &places).ok_or_else(|| "its places are not known".to_string())
    }
}

impl OnnxReader<'_> {
    pub(super) fn gathered(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<OnnxValue> {
        let (x, OnnxValue::Wholes(sizes, wanted)) = (inputs.at(0)?, inputs.at(1)?) else {
            return Err("its places are not known before it runs".to_string());
        };
        let places = |size: usize| -> OnnxTaken<Vec<usize>> {
            let place = |whole: &KnownSize| match whole.each {
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

    pub(super) fn sliced(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<OnnxValue> {
        let x = inputs.at(0)?;
        let list = |attribute: &str, place: usize| self.numbers(node, inputs, attribute, place);
        let (starts, ends) = (list("starts", 1)?.unwrap_or_default(), list("ends", 2)?.unwrap_or_default());
        let along = list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), along.len(), steps.len()].iter().any(|count| *count != starts.len()) {
            return Err("its lists have different lengths".to_string());
        }
        let mut value = x.clone();
        for (place, asked) in along.iter().enumerate() {
            let part = KnownPart { axis: *asked, start: starts[place], end: ends[place], step: steps[place] };
            value = match &value {
                OnnxValue::Wholes(..) | OnnxValue::Floats(..) => part.of_known(&value)?,
                _ => {
                    let (id, order) = self.seen(&value)?;
                    let sizes = self.sizes(id);
                    let axis = order[axis_of(part.axis, sizes.len())?];
                    let (start, end, step) = part.within(sizes[axis])?;
                    let is_whole = (start, end, step) == (0, sizes[axis], 1);
                    let id = if is_whole { id } else { self.add(name, Op::Slice { axis, start, end, step }, &[id])? };
                    self.ordered(id, order, name)?
                }
            };
        }
        Ok(value)
    }

    pub(super) fn split(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<Vec<OnnxValue>> {
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
            let end = start + part;
            values.push(match x {
                OnnxValue::Wholes(..) | OnnxValue::Floats(..) => {
                    let places: Vec<usize> = (start..end).collect();
                    let known = (axis == 0).then(|| folding::taken(x, &[part], &places)).flatten();
                    known.ok_or("splits known numbers along another axis than the first")?
                }
                _ => {
                    let (id, order) = self.seen(x)?;
                    let part = self.add(name, Op::Slice { axis, start, end, step: 1 }, &[id])?;
                    self.ordered(part, order, name)?
                }
            });
            start = end;
        }
        Ok(values)
    }

    pub(super) fn joined(&mut self, node: &NodeProto, inputs: &OnnxInputs, name: &str) -> OnnxTaken<OnnxValue> {
        let wholes = inputs.all().map(|value| match value {
            OnnxValue::Wholes(_, values) => Some(values.clone()),
            _ => None,
        });
        if let Some(lists) = wholes.collect::<Option<Vec<_>>>() {
            return Ok(OnnxValue::list(lists.concat()));
        }
        let ids: Vec<NodeId> = inputs.all().map(|value| self.node_of(value)).collect::<OnnxTaken<_>>()?;
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
}
