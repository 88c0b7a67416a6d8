//! Elements along one axis of a value, or over several axes that they share; and what moving values does to them.

use std::sync::Arc;

use super::Element;

/// Elements of a value, or what is known of each, over some of its axes. Along the other axes nothing is told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ElementFactor<T = Element> {
    /// The axes, in order.
    pub(crate) axes: Vec<usize>,
    /// Their sizes.
    pub(crate) sizes: Vec<usize>,
    /// An element for each place of these axes, the last of which goes round fastest. Nodes that only pass a value on share them.
    pub(crate) elements: Arc<[T]>,
}

impl<T> ElementFactor<T> {
    /// Where the element at `index` lies along the axis at `place`.
    pub(crate) fn index(&self, index: usize, place: usize) -> usize {
        let inner: usize = self.sizes[place + 1..].iter().product();
        index / inner.max(1) % self.sizes[place].max(1)
    }
}

impl ElementFactor {
    /// Along one axis.
    pub(crate) fn line(axis: usize, elements: Vec<Element>) -> Self {
        Self { axes: vec![axis], sizes: vec![elements.len()], elements: elements.into() }
    }

    /// The axes in another order: axis `order[i]` becomes axis `i`.
    pub(crate) fn permuted(&self, order: &[usize]) -> Self {
        let moved: Vec<usize> =
            self.axes.iter().map(|axis| order.iter().position(|from| from == axis).unwrap_or(*axis)).collect();
        let mut places: Vec<usize> = (0..moved.len()).collect();
        places.sort_by_key(|place| moved[*place]);
        let axes = places.iter().map(|place| moved[*place]).collect();
        let sizes: Vec<usize> = places.iter().map(|place| self.sizes[*place]).collect();
        let mut elements = Vec::with_capacity(self.elements.len());
        for index in 0..self.elements.len() {
            let (mut rest, mut at) = (index, vec![0; places.len()]);
            for (place, size) in places.iter().zip(&sizes).rev() {
                at[*place] = rest % size;
                rest /= size;
            }
            let from = at.iter().zip(&self.sizes).fold(0, |from, (at, size)| from * size + at);
            elements.push(self.elements[from]);
        }
        Self { axes, sizes, elements: elements.into() }
    }

    /// Some of the places along an axis, in this order.
    pub(crate) fn taken(&self, axis: usize, places: &[usize]) -> Self {
        let Some(own) = self.axes.iter().position(|known| *known == axis) else { return self.clone() };
        let inner: usize = self.sizes[own + 1..].iter().product();
        let mut elements = Vec::new();
        for outer in self.elements.chunks((inner * self.sizes[own]).max(1)) {
            places.iter().for_each(|place| elements.extend_from_slice(&outer[place * inner..(place + 1) * inner]));
        }
        let mut sizes = self.sizes.clone();
        sizes[own] = places.len();
        Self { axes: self.axes.clone(), sizes, elements: elements.into() }
    }

    /// With the axes renamed; nothing if one of them is gone.
    pub(crate) fn renamed(&self, name: impl Fn(usize) -> Option<usize>) -> Option<Self> {
        let axes = self.axes.iter().map(|axis| name(*axis)).collect::<Option<_>>()?;
        Some(Self { axes, ..self.clone() })
    }

    /// Over these axes of these sizes, its own among them: repeated along the others.
    fn spread(&self, axes: &[usize], sizes: &[usize]) -> Vec<Element> {
        let count = sizes.iter().product();
        let mut elements = Vec::with_capacity(count);
        for index in 0..count {
            let (mut rest, mut at) = (index, vec![0; axes.len()]);
            for place in (0..axes.len()).rev() {
                at[place] = rest % sizes[place];
                rest /= sizes[place];
            }
            let own =
                self.axes.iter().map(|axis| axes.iter().position(|known| known == axis).map_or(0, |place| at[place]));
            let from = own.zip(&self.sizes).fold(0, |from, (at, size)| from * size + at);
            elements.push(self.elements[from]);
        }
        elements
    }

    /// What is left of it when a value of the axes `from` gets the axes `to`, in the same order; nothing if it cannot be told
    /// apart along any axis then.
    pub(crate) fn reshaped(&self, from: &[usize], to: &[usize]) -> Option<Self> {
        let (mut axes, mut sizes) = (Vec::new(), Vec::new());
        let (mut kept_from, mut kept_to, mut kept_sizes) = (Vec::new(), Vec::new(), Vec::new());
        for (old, new) in groups(from, to) {
            if old.clone().any(|axis| self.axes.contains(&axis)) {
                kept_from.extend(old);
                kept_to.extend(new);
            }
        }
        kept_sizes.extend(kept_from.iter().map(|axis| from[*axis]));
        axes.extend(kept_to.iter().copied());
        sizes.extend(kept_to.iter().map(|axis| to[*axis]));
        let elements = self.spread(&kept_from, &kept_sizes).into();
        Self { axes, sizes, elements }.without_idle_axes()
    }

    /// Without the axes along which nothing changes.
    fn without_idle_axes(mut self) -> Option<Self> {
        let mut place = 0;
        // One element stays along the last axis, whatever its size.
        while place < self.axes.len() && self.axes.len() > 1 {
            let inner: usize = self.sizes[place + 1..].iter().product();
            let size = self.sizes[place];
            let is_idle = self
                .elements
                .chunks((inner * size).max(1))
                .all(|outer| outer.chunks(inner.max(1)).all(|part| part == &outer[..inner.min(outer.len())]));
            if is_idle {
                self = self.taken(self.axes[place], &[0]);
                self.axes.remove(place);
                self.sizes.remove(place);
            } else {
                place += 1;
            }
        }
        (!self.axes.is_empty()).then_some(self)
    }
}

/// Ranges of axes on both sides that hold the same values, as small as they can be.
fn groups(from: &[usize], to: &[usize]) -> Vec<(std::ops::Range<usize>, std::ops::Range<usize>)> {
    let (mut groups, mut old, mut new) = (Vec::new(), 0, 0);
    while old < from.len() || new < to.len() {
        let (start_old, start_new) = (old, new);
        let (mut left, mut right) = (1usize, 1usize);
        loop {
            if left <= right && old < from.len() && (left < right || old == start_old) {
                left = left.saturating_mul(from[old]);
                old += 1;
            } else if new < to.len() && (right < left || new == start_new) {
                right = right.saturating_mul(to[new]);
                new += 1;
            } else {
                break;
            }
        }
        if (old, new) == (start_old, start_new) {
            break;
        }
        groups.push((start_old..old, start_new..new));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_become_heads_and_come_back() {
        let line = ElementFactor::line(2, (0..12).collect());
        let heads = line.reshaped(&[1, 5, 12], &[1, 5, 3, 4]).unwrap();
        assert_eq!((&*heads.axes, &*heads.sizes), (&[2, 3][..], &[3, 4][..]));
        let turned = heads.permuted(&[0, 2, 1, 3]);
        assert_eq!((&*turned.axes, &*turned.sizes), (&[1, 3][..], &[3, 4][..]));
        assert_eq!(*turned.elements, *(0..12).collect::<Vec<_>>());
        let swapped = heads.permuted(&[0, 1, 3, 2]);
        assert_eq!(&swapped.elements[..4], &[0, 4, 8, 1]);
        let back = turned.permuted(&[0, 2, 1, 3]).reshaped(&[1, 5, 3, 4], &[1, 5, 12]).unwrap();
        assert_eq!(back, line);
    }

    #[test]
    fn flattening_repeats_a_channel_for_each_of_its_pixels() {
        let line = ElementFactor::line(1, vec![7, 8]);
        let flat = line.reshaped(&[1, 2, 2, 2], &[1, 8]).unwrap();
        assert_eq!(flat, ElementFactor::line(1, vec![7, 7, 7, 7, 8, 8, 8, 8]));
        let tokens = line.reshaped(&[1, 2, 2, 2], &[1, 2, 4]).unwrap();
        assert_eq!(tokens, line);
        assert_eq!(
            ElementFactor::line(1, vec![3]).reshaped(&[1, 1, 4], &[1, 4]),
            Some(ElementFactor::line(1, vec![3; 4]))
        );
        assert_eq!(*line.taken(1, &[1, 1, 0]).elements, [8, 8, 7]);
    }

    #[test]
    fn windows_of_tokens_leave_features_alone() {
        let line = ElementFactor::line(2, vec![1, 2, 3]);
        let cut = line.reshaped(&[1, 16, 3], &[1, 2, 2, 2, 2, 3]).unwrap();
        assert_eq!(cut.axes, [5]);
        let moved = cut.permuted(&[0, 1, 3, 2, 4, 5]).reshaped(&[1, 2, 2, 2, 2, 3], &[4, 4, 3]).unwrap();
        assert_eq!(moved, line);
    }
}
