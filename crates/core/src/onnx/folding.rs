//! Operators whose inputs are known when the file is read: arithmetic of sizes and places.

use super::tensors::count_of;
use super::values::{KnownSize, MOST_KNOWN, OnnxValue};

/// The result of an operator of two known values, matched from the last axis on; none if it is not known.
pub(super) fn of_two(operator: &str, a: &OnnxValue, b: &OnnxValue) -> Option<OnnxValue> {
    match (a, b) {
        (OnnxValue::Wholes(first, a), OnnxValue::Wholes(second, b)) => {
            let (sizes, pairs) = matched(first, a, second, b)?;
            let values: Option<Vec<KnownSize>> = pairs.into_iter().map(|(a, b)| of_wholes(operator, a, b)).collect();
            Some(OnnxValue::Wholes(sizes, values?))
        }
        _ => {
            let ((first, a), (second, b)) = (floats(a)?, floats(b)?);
            let (sizes, pairs) = matched(&first, &a, &second, &b)?;
            let of: fn(f32, f32) -> f32 = match operator {
                "Add" => |a, b| a + b,
                "Sub" => |a, b| a - b,
                "Mul" => |a, b| a * b,
                "Div" => |a, b| a / b,
                "Pow" => f32::powf,
                _ => return None,
            };
            Some(OnnxValue::Floats(sizes, pairs.into_iter().map(|(a, b)| of(a, b)).collect()))
        }
    }
}

fn floats(value: &OnnxValue) -> Option<(Vec<usize>, Vec<f32>)> {
    match value {
        OnnxValue::Floats(sizes, values) => Some((sizes.clone(), values.clone())),
        OnnxValue::Wholes(sizes, values) if values.iter().all(|whole| !whole.each) => {
            Some((sizes.clone(), values.iter().map(|whole| whole.value as f32).collect()))
        }
        _ => None,
    }
}

type Matched<T> = (Vec<usize>, Vec<(T, T)>);

/// Values that meet each other where axes are matched from the last on and axes of 1 are repeated.
fn matched<T: Copy>(first: &[usize], a: &[T], second: &[usize], b: &[T]) -> Option<Matched<T>> {
    let count = first.len().max(second.len());
    let at = |sizes: &[usize], axis: usize| (axis + sizes.len()).checked_sub(count).map_or(1, |axis| sizes[axis]);
    let mut sizes = Vec::new();
    for axis in 0..count {
        sizes.push(match (at(first, axis), at(second, axis)) {
            (a, b) if a == b || b == 1 => a,
            (1, b) => b,
            _ => return None,
        });
    }
    let all = count_of(&sizes);
    if all > MOST_KNOWN {
        return None;
    }
    let place = |own: &[usize], index: usize| {
        let (mut rest, mut place, mut step) = (index, 0, 1);
        for axis in (0..count).rev() {
            let here = rest % sizes[axis];
            rest /= sizes[axis];
            let size = at(own, axis);
            place += if size == 1 { 0 } else { here * step };
            step *= size;
        }
        place
    };
    let pairs = (0..all).map(|index| Some((*a.get(place(first, index))?, *b.get(place(second, index))?)));
    Some((sizes.clone(), pairs.collect::<Option<_>>()?))
}

fn of_wholes(operator: &str, a: KnownSize, b: KnownSize) -> Option<KnownSize> {
    let (x, y) = (a.value, b.value);
    let truth = |is: bool| Some(KnownSize::from(i64::from(is)));
    match operator {
        "Add" if a.each == b.each => Some(KnownSize { value: x.checked_add(y)?, each: a.each }),
        "Add" if x == 0 => Some(b),
        "Add" | "Sub" if y == 0 => Some(a),
        "Sub" if a.each == b.each => Some(KnownSize { value: x.checked_sub(y)?, each: a.each }),
        "Mul" if !(a.each && b.each) => Some(KnownSize { value: x.checked_mul(y)?, each: a.each || b.each }),
        "Div" if y == 0 => None,
        "Div" if a.each && b.each => (x % y == 0).then(|| KnownSize::from(x / y)),
        "Div" if a.each => (x.checked_rem(y)? == 0).then(|| KnownSize { value: x / y, each: true }),
        "Div" if !b.each => Some(KnownSize::from(x.checked_div(y)?)),
        "Mod" if !a.each && !b.each => x.checked_rem_euclid(y).map(KnownSize::from),
        "Equal" => truth(a == b),
        "Greater" if a.each == b.each => truth(x > y),
        "Less" if a.each == b.each => truth(x < y),
        "And" => truth(x != 0 && y != 0),
        "Or" => truth(x != 0 || y != 0),
        _ => None,
    }
}

/// A function of each known number.
pub(super) fn of_one(operator: &str, value: &OnnxValue) -> Option<OnnxValue> {
    if let (OnnxValue::Wholes(sizes, values), "Neg") = (value, operator) {
        let values: Option<Vec<KnownSize>> = values
            .iter()
            .map(|whole| Some(KnownSize { value: whole.value.checked_neg()?, each: whole.each }))
            .collect();
        return Some(OnnxValue::Wholes(sizes.clone(), values?));
    }
    if let (OnnxValue::Wholes(sizes, values), "Not") = (value, operator) {
        let values = values.iter().map(|whole| KnownSize::from(i64::from(whole.value == 0))).collect();
        return Some(OnnxValue::Wholes(sizes.clone(), values));
    }
    let (sizes, values) = floats(value)?;
    let of: fn(f32) -> f32 = match operator {
        "Sqrt" => f32::sqrt,
        "Neg" => |x| -x,
        "Reciprocal" => |x| 1.0 / x,
        "Exp" => f32::exp,
        "Log" => f32::ln,
        "Floor" => f32::floor,
        "Ceil" => f32::ceil,
        _ => return None,
    };
    Some(OnnxValue::Floats(sizes, values.into_iter().map(of).collect()))
}

/// Where a condition holds the first, elsewhere the second.
pub(super) fn chosen(condition: &OnnxValue, yes: &OnnxValue, no: &OnnxValue) -> Option<OnnxValue> {
    let (OnnxValue::Wholes(own, holds), OnnxValue::Wholes(first, a), OnnxValue::Wholes(second, b)) =
        (condition, yes, no)
    else {
        return None;
    };
    let (sizes, pairs) = matched(first, a, second, b)?;
    let index: Vec<KnownSize> = (0..pairs.len() as i64).map(KnownSize::from).collect();
    let (sizes, places) = matched(own, holds, &sizes, &index)?;
    let values = places.into_iter().map(|(holds, place)| {
        let (yes, no) = pairs[place.value as usize];
        if holds.value != 0 { yes } else { no }
    });
    Some(OnnxValue::Wholes(sizes, values.collect()))
}

/// Some of the known values along the first axis.
pub(super) fn taken(value: &OnnxValue, sizes: &[usize], places: &[usize]) -> Option<OnnxValue> {
    fn of<T: Copy>(own: &[usize], values: &[T], sizes: &[usize], places: &[usize]) -> Option<(Vec<usize>, Vec<T>)> {
        let (all, rest) = own.split_first()?;
        let step = count_of(rest);
        if places.iter().any(|place| place >= all) || places.len().saturating_mul(step) > MOST_KNOWN {
            return None;
        }
        let taken = places.iter().flat_map(|place| values.iter().skip(place * step).take(step).copied()).collect();
        Some(([sizes, rest].concat(), taken))
    }
    match value {
        OnnxValue::Wholes(own, values) => {
            of(own, values, sizes, places).map(|(sizes, values)| OnnxValue::Wholes(sizes, values))
        }
        OnnxValue::Floats(own, values) => {
            of(own, values, sizes, places).map(|(sizes, values)| OnnxValue::Floats(sizes, values))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_counted_for_each_image() {
        let list = |values: &[(i64, bool)]| {
            OnnxValue::list(values.iter().map(|(value, each)| KnownSize { value: *value, each: *each }).collect())
        };
        let of = |operator, a: &[(i64, bool)], b: &[(i64, bool)]| match of_two(operator, &list(a), &list(b)) {
            Some(OnnxValue::Wholes(_, values)) => {
                Some(values.iter().map(|whole| (whole.value, whole.each)).collect::<Vec<_>>())
            }
            _ => None,
        };
        assert_eq!(of("Mul", &[(4, true)], &[(3, false), (2, false)]), Some(vec![(12, true), (8, true)]));
        assert_eq!(of("Div", &[(4, true)], &[(2, false)]), Some(vec![(2, true)]));
        assert_eq!(of("Div", &[(4, true)], &[(2, true)]), Some(vec![(2, false)]));
        assert_eq!(of("Mul", &[(4, true)], &[(2, true)]), None);
        assert_eq!(of("Div", &[(4, false)], &[(0, false)]), None);
        assert_eq!(of("Add", &[(i64::MAX, false)], &[(1, false)]), None);
        assert_eq!(of("Mul", &[(1, false), (2, false)], &[(1, false), (2, false), (3, false)]), None);
    }
}
