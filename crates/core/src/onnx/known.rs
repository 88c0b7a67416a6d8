//! Values that are known when the file is read: constants, shapes, and lists of numbers.

use super::operators::OnnxInputs;
use super::proto::{DOUBLE, FLOAT, FLOAT16, NodeProto};
use super::reader::{OnnxReader, OnnxTaken};
use super::tensors::{count_of, floats_of, integers_of};
use super::values::{KnownSize, MOST_KNOWN, OnnxValue};

impl<'a> OnnxReader<'a> {
    pub(super) fn constant_of(&mut self, node: &'a NodeProto) -> OnnxTaken<OnnxValue> {
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
            (Some(values), _) => Ok(OnnxValue::list(values.iter().map(|value| KnownSize::from(*value)).collect())),
            (None, Some(value)) => Ok(OnnxValue::Wholes(Vec::new(), vec![KnownSize::from(value)])),
            (None, None) => Err("holds nothing that is read".to_string()),
        }
    }

    pub(super) fn cast(&mut self, node: &NodeProto, x: &OnnxValue) -> OnnxTaken<OnnxValue> {
        let to = node.integer("to").unwrap_or(0);
        let is_float = [FLOAT, DOUBLE, FLOAT16].map(i64::from).contains(&to);
        match x {
            OnnxValue::Wholes(sizes, values) if is_float && values.iter().all(|whole| !whole.each) => {
                Ok(OnnxValue::Floats(sizes.clone(), values.iter().map(|whole| whole.value as f32).collect()))
            }
            OnnxValue::Floats(sizes, values) if !is_float => Ok(OnnxValue::Wholes(
                sizes.clone(),
                values.iter().map(|value| KnownSize::from(*value as i64)).collect(),
            )),
            OnnxValue::Wholes(..) if is_float => Err("makes the number of images a value".to_string()),
            OnnxValue::Wholes(..) | OnnxValue::Floats(..) => Ok(x.clone()),
            _ if is_float => Ok(x.clone()),
            _ => Err("makes values whole numbers".to_string()),
        }
    }

    /// Numbers with points that are known, if they are.
    pub(super) fn floats_of(&self, value: &OnnxValue) -> OnnxTaken<Option<Vec<f32>>> {
        match value {
            OnnxValue::Floats(_, values) => Ok(Some(values.clone())),
            OnnxValue::Weight { tensor, turned: false } => floats_of(self.tensor(*tensor)).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn shape_value(&mut self, node: &NodeProto, x: &OnnxValue) -> OnnxTaken<OnnxValue> {
        let known = |sizes: &[usize]| sizes.iter().map(|size| KnownSize::from(*size as i64)).collect::<Vec<_>>();
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

    pub(super) fn filled(&mut self, node: &NodeProto, inputs: &OnnxInputs) -> OnnxTaken<OnnxValue> {
        let sizes = self.sizes_in(inputs.at(0)?)?;
        let count = count_of(&sizes);
        if count > MOST_KNOWN {
            return Err(format!("makes {count} numbers, at most {MOST_KNOWN} are read"));
        }
        match node.tensor("value") {
            Some(tensor) if !super::tensors::is_of_floats(tensor) => {
                let value = integers_of(tensor)?.first().copied().unwrap_or(0);
                Ok(OnnxValue::Wholes(sizes, vec![KnownSize::from(value); count]))
            }
            Some(tensor) => {
                Ok(OnnxValue::Floats(sizes, vec![floats_of(tensor)?.first().copied().unwrap_or(0.0); count]))
            }
            None => Ok(OnnxValue::Floats(sizes, vec![0.0; count])),
        }
    }

    /// Sizes that are known, none of which is that of the images.
    fn sizes_in(&self, value: &OnnxValue) -> OnnxTaken<Vec<usize>> {
        let OnnxValue::Wholes(_, values) = value else {
            return Err("its sizes are not known before it runs".to_string());
        };
        let size = |whole: &KnownSize| usize::try_from(whole.value).ok().filter(|_| !whole.each);
        values
            .iter()
            .map(size)
            .collect::<Option<_>>()
            .ok_or_else(|| "its sizes depend on the number of images".to_string())
    }
}

/// Numbers from one on to another.
pub(super) fn range(inputs: &OnnxInputs) -> OnnxTaken<OnnxValue> {
    let number = |place: usize| match inputs.at(place)? {
        OnnxValue::Wholes(_, values) => match **values {
            [KnownSize { value, each: false }] => Ok(value),
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
    Ok(OnnxValue::list((start..end).step_by(step).map(KnownSize::from).collect()))
}
