//! Layers under other names: matched by their shapes and their order, where there is one way only.

use std::collections::HashMap;

use super::names::{Bare, TensorUse};
use super::pieces::{NeededLayer, Needs, kind_of, layer_of, same_shape};
use super::tables::FileTensor;

/// What layers of a file are made of; what else stands beside is of no layer.
const KINDS: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

/// A layer of a file.
#[derive(Debug)]
pub(super) struct TheirLayer<'t> {
    pub(super) name: &'t str,
    /// Its tensors by kind, as positions in the table.
    tensors: Vec<(&'t str, usize)>,
}

/// The layers of a file, in its order.
pub(super) fn their_layers<'t>(bare: &'t [Bare], prefix: &str) -> Vec<TheirLayer<'t>> {
    let mut layers: Vec<TheirLayer<'t>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for bare in bare.iter().filter(|bare| bare.what != TensorUse::Mask) {
        let Some(name) = bare.name.strip_prefix(prefix) else { continue };
        if !KINDS.contains(&kind_of(name)) {
            continue;
        }
        let place = *places.entry(layer_of(name)).or_insert_with(|| {
            layers.push(TheirLayer { name: layer_of(name), tensors: Vec::new() });
            layers.len() - 1
        });
        layers[place].tensors.push((kind_of(name), bare.index));
    }
    // Statistics alone are no layer that a network of ours has.
    layers.retain(|layer| layer.tensors.iter().any(|(kind, _)| *kind == "weight"));
    layers
}

impl TheirLayer<'_> {
    /// Its tensor of a kind.
    pub(super) fn tensor(&self, kind: &str) -> Option<usize> {
        self.tensors.iter().find(|(own, _)| *own == kind).map(|(_, index)| *index)
    }

    /// Whether it can be a layer of the network: the same kinds of tensors in the same shapes. A bias may be left over where a
    /// batch norm follows.
    fn fits(&self, layer: &NeededLayer, needs: &Needs, tensors: &[FileTensor]) -> bool {
        let own = |piece: &usize| {
            let piece = &needs.pieces[*piece];
            let theirs = self.tensor(kind_of(&piece.name));
            theirs.is_some_and(|theirs| same_shape(&tensors[theirs].shape, &piece.shape))
        };
        let foldable = |kind: &str| kind == "bias" && layer.norm.is_some();
        let wanted = |kind: &str| layer.pieces.iter().any(|piece| kind_of(&needs.pieces[*piece].name) == kind);
        layer.pieces.iter().all(own) && self.tensors.iter().all(|(kind, _)| wanted(kind) || foldable(kind))
    }

    /// Whether it may be an output layer.
    fn is_linear(&self, tensors: &[FileTensor]) -> bool {
        self.tensor("weight").is_some_and(|weight| tensors[weight].shape.len() == 2)
    }
}

/// For each layer of the network the layer of the file that it is; nothing where there is no way, or more than one.
///
/// Layers of the same name are each other. The rest follows each other in the same order, shape by shape. `without_head` leaves out the
/// output layer, and theirs.
pub(super) fn matched(
    needs: &Needs,
    tensors: &[FileTensor],
    theirs: &[TheirLayer],
    ordered: bool,
    without_head: bool,
) -> Option<Vec<Option<usize>>> {
    let left_out = |place: usize| without_head && needs.head == Some(place);
    let mut places: Vec<usize> = (0..theirs.len()).collect();
    if without_head {
        let head = places.iter().rposition(|place| theirs[*place].is_linear(tensors))?;
        places.remove(head);
    }
    let by_name: HashMap<&str, usize> = places.iter().map(|place| (theirs[*place].name, *place)).collect();
    let fits = |own: usize, place: usize| theirs[place].fits(&needs.layers[own], needs, tensors);
    let own: Vec<usize> = (0..needs.layers.len()).filter(|place| !left_out(*place)).collect();
    let mut found: Vec<Option<usize>> = vec![None; needs.layers.len()];
    for place in &own {
        let named = by_name.get(needs.layers[*place].name.as_str());
        found[*place] = named.copied().filter(|theirs| fits(*place, *theirs));
    }
    if own.len() != places.len() {
        return None;
    }
    let in_order = own.iter().zip(&places).all(|(own, place)| fits(*own, *place));
    if in_order && own.iter().zip(&places).all(|(own, place)| found[*own].is_none_or(|found| found == *place)) {
        own.iter().zip(&places).for_each(|(own, place)| found[*own] = Some(*place));
        return Some(found);
    }
    let taken: Vec<usize> = found.iter().flatten().copied().collect();
    let rest_own: Vec<usize> = own.iter().copied().filter(|place| found[*place].is_none()).collect();
    let rest: Vec<usize> = places.iter().copied().filter(|place| !taken.contains(place)).collect();
    if rest.len() != rest_own.len() || !rest_own.iter().zip(&rest).all(|(own, place)| fits(*own, *place)) {
        return None;
    }
    rest_own.iter().zip(&rest).for_each(|(own, place)| found[*own] = Some(*place));
    (!ordered || keeps_order(needs, &found)).then_some(found)
}

/// Whether layers of the same shapes follow each other as in the file: names that agree by chance, as numbers do, are found out.
fn keeps_order(needs: &Needs, found: &[Option<usize>]) -> bool {
    let mut last: HashMap<Vec<&[usize]>, usize> = HashMap::new();
    for (layer, place) in needs.layers.iter().zip(found) {
        let Some(place) = place else { continue };
        let shapes: Vec<&[usize]> = layer.pieces.iter().map(|piece| needs.pieces[*piece].shape.as_slice()).collect();
        if last.insert(shapes, *place).is_some_and(|before| before > *place) {
            return false;
        }
    }
    true
}

/// What stands before all of some names: whole parts, with the dot behind.
pub(super) fn common_start<'n>(mut names: impl Iterator<Item = &'n str>) -> &'n str {
    let first = layer_of(names.next().unwrap_or_default());
    let mut common = first;
    for name in names {
        while !common.is_empty() && !begins(name, common) {
            common = layer_of(common);
        }
    }
    common
}

fn begins(name: &str, start: &str) -> bool {
    name.strip_prefix(start).is_some_and(|rest| rest.starts_with('.'))
}

/// The pairs of names, theirs and ours, in few words: where all that begins with one word is called by another, these two say it.
pub(super) fn told(pairs: &[(String, String)]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for (theirs, ours) in pairs {
        let (mut their_start, mut our_start, mut end) = (theirs.as_str(), ours.as_str(), "");
        while kind_of(their_start) == kind_of(our_start) {
            let (their_next, our_next) = (layer_of(their_start), layer_of(our_start));
            let alike = |(theirs, ours): &(String, String)| {
                !begins(theirs, their_next)
                    || begins(ours, our_next) && theirs[their_next.len()..] == ours[our_next.len()..]
            };
            if their_next.is_empty() || our_next.is_empty() || !pairs.iter().all(alike) {
                break;
            }
            (their_start, our_start, end) = (their_next, our_next, ".*");
        }
        let words = format!("`{their_start}{end}` for `{our_start}{end}`");
        if their_start != our_start && !told.contains(&words) {
            told.push(words);
        }
    }
    told
}
