//! Which tensors of a file are the network's: by their names, whatever stands before them, or by shape and order.

use std::collections::{BTreeSet, HashMap};

use super::by_order::{TheirLayer, common_start, matched, their_layers, told};
use super::names::{Bare, NamePairs, TensorUse, bare, prefix};
use super::pieces::{NeededLayer, Needs, kind_of, same_shape};
use super::tables::{TensorFile, TensorTable};

/// Groups of a table that are tried by themselves where it holds more than the network.
const MOST_GROUPS: usize = 16;

/// What a table has of a network.
#[derive(Debug)]
pub(super) struct Fit<'t> {
    pub(super) table: &'t TensorTable,
    /// For each piece its tensor, as a position in the table.
    pub(super) pieces: Vec<Option<usize>>,
    /// For each piece the mask over it.
    pub(super) masks: Vec<Option<usize>>,
    /// For layers before a batch norm the bias that the network has not, with the name of the batch norm.
    pub(super) biases: Vec<(usize, String)>,
    /// Tensors of a name that the network has and in another shape: the piece, and the tensor.
    pub(super) misshapen: Vec<(usize, usize)>,
    /// The tensor that counts the batches of the first batch norm, behind that one's place among the layers.
    pub(super) batches: Option<(usize, usize)>,
    /// What stood before all names.
    pub(super) prefix: String,
    /// Another prefix with which as much would fit.
    pub(super) other_prefix: Option<String>,
    /// Names of layers, theirs and ours, where these differ.
    pub(super) renamed: Vec<String>,
    /// Tensors that the network has no use for.
    pub(super) extra: Vec<usize>,
    /// Whether all but the output layer would fit by shape and order.
    pub(super) but_for_head: bool,
}

impl Fit<'_> {
    /// How many pieces it has.
    pub(super) fn found(&self) -> usize {
        self.pieces.iter().flatten().count()
    }

    /// The pieces that are not there; `without_head` needs none of the output layer.
    pub(super) fn missing<'f>(&'f self, needs: &'f Needs, without_head: bool) -> impl Iterator<Item = usize> + 'f {
        let needed = move |piece: &usize| !(without_head && needs.is_of_head(*piece));
        (0..self.pieces.len()).filter(|piece| self.pieces[*piece].is_none()).filter(needed)
    }

    /// Whether nothing is missing.
    pub(super) fn is_whole(&self, needs: &Needs, without_head: bool) -> bool {
        self.missing(needs, without_head).next().is_none()
    }
}

/// What a table of a file has of the network.
pub(super) fn fit<'t>(
    file: &TensorFile,
    table: &'t TensorTable,
    needs: &Needs,
    names: Option<&NamePairs>,
    without_head: bool,
) -> Fit<'t> {
    let bare = bare(&table.tensors, names);
    let mut fit = by_name(table, needs, &bare);
    let Some((theirs, found, start)) = (!fit.is_whole(needs, without_head))
        .then(|| by_order(file, table, needs, &bare, &fit.prefix, without_head))
        .flatten()
    else {
        fit.but_for_head = !without_head && !fit.is_whole(needs, false) && {
            fit.is_whole(needs, true) || by_order(file, table, needs, &bare, &fit.prefix, true).is_some()
        };
        return finished(fit, needs, &bare);
    };
    let names = || found.iter().flatten().map(|found| theirs[*found].name);
    let common = common_start(names());
    let common = if common.is_empty() { 0 } else { common.len() + 1 };
    let start = format!("{start}{}", names().next().map_or("", |name| &name[..common]));
    fit.prefix.clone_from(&start);
    fit.other_prefix = None;
    fit.misshapen.clear();
    let mut pairs = Vec::new();
    for (layer, found) in needs.layers.iter().zip(&found) {
        let found = found.map(|found| &theirs[found]);
        for piece in &layer.pieces {
            fit.pieces[*piece] = found.and_then(|found| found.tensor(kind_of(&needs.pieces[*piece].name)));
        }
        pairs.extend(found.map(|found| (found.name[common..].to_string(), layer.name.clone())));
    }
    fit.renamed = told(&pairs);
    let called: HashMap<String, &str> =
        pairs.iter().map(|(theirs, ours)| (format!("{start}{theirs}"), ours.as_str())).collect();
    let renamed: Vec<Bare> = bare
        .iter()
        .map(|bare| {
            let (layer, kind) = bare.name.rsplit_once('.').unwrap_or(("", &bare.name));
            // Masks may stand under the name of the network alone.
            let ours = called.get(layer).or_else(|| called.get(&format!("{start}{layer}")));
            let name = ours.map_or_else(|| bare.name.clone(), |ours| format!("{start}{ours}.{kind}"));
            Bare { name, ..bare.clone() }
        })
        .collect();
    finished(fit, needs, &renamed)
}

/// What is there under its own name, behind the prefix with which most is.
fn by_name<'t>(table: &'t TensorTable, needs: &Needs, bare: &[Bare]) -> Fit<'t> {
    let places: HashMap<&str, usize> =
        needs.pieces.iter().enumerate().map(|(place, piece)| (piece.name.as_str(), place)).collect();
    let same = |piece: usize, tensor: usize| same_shape(&table.tensors[tensor].shape, &needs.pieces[piece].shape);
    let fits = |name: &str, tensor: usize| places.get(name).map(|piece| same(*piece, tensor));
    let values: Vec<Bare> = bare.iter().filter(|bare| bare.what != TensorUse::Mask).cloned().collect();
    let start = prefix(&values, fits, &[]).unwrap_or_default();
    let under = |start: &str| -> (Vec<Option<usize>>, Vec<(usize, usize)>) {
        let (mut pieces, mut misshapen) = (vec![None; needs.pieces.len()], Vec::new());
        for bare in &values {
            let Some(piece) = bare.name.strip_prefix(start).and_then(|name| places.get(name)) else { continue };
            match same(*piece, bare.index) {
                true => pieces[*piece] = Some(bare.index),
                false => misshapen.push((*piece, bare.index)),
            }
        }
        (pieces, misshapen)
    };
    let (pieces, misshapen) = under(&start);
    let count = |pieces: &[Option<usize>]| pieces.iter().flatten().count();
    let other = prefix(&values, fits, std::slice::from_ref(&start));
    let other_prefix = other.filter(|other| count(&under(other).0) == count(&pieces));
    Fit {
        table,
        masks: vec![None; pieces.len()],
        pieces,
        misshapen,
        prefix: start,
        other_prefix,
        biases: Vec::new(),
        batches: None,
        renamed: Vec::new(),
        extra: Vec::new(),
        but_for_head: false,
    }
}

/// The layers of the file, which of them each of the network's is, and what stands before their names.
type InOrder<'b> = (Vec<TheirLayer<'b>>, Vec<Option<usize>>, String);

/// What is there by shape and order, in the whole table or in one group of it.
fn by_order<'b>(
    file: &TensorFile,
    table: &TensorTable,
    needs: &Needs,
    bare: &'b [Bare],
    first: &str,
    without_head: bool,
) -> Option<InOrder<'b>> {
    let values = bare.iter().filter(|bare| bare.what != TensorUse::Mask);
    let groups: BTreeSet<&str> =
        values.filter_map(|bare| bare.name.split_once('.').map(|(group, _)| &bare.name[..=group.len()])).collect();
    let starts = [first, ""].into_iter().chain(groups.into_iter().take(MOST_GROUPS));
    for start in starts {
        let theirs = their_layers(bare, start);
        if let Some(found) = matched(needs, &table.tensors, &theirs, file.ordered, without_head) {
            return Some((theirs, found, start.to_string()));
        }
    }
    None
}

/// Adds what stands beside weights: masks, biases before batch norms, counts of batches, and what is left over.
fn finished<'t>(mut fit: Fit<'t>, needs: &Needs, bare: &[Bare]) -> Fit<'t> {
    let places: HashMap<&str, usize> =
        needs.pieces.iter().enumerate().map(|(place, piece)| (piece.name.as_str(), place)).collect();
    let layers: HashMap<&str, (usize, &NeededLayer)> =
        needs.layers.iter().enumerate().map(|(place, layer)| (layer.name.as_str(), (place, layer))).collect();
    let tensors = &fit.table.tensors;
    let mut used: BTreeSet<usize> = fit.pieces.iter().flatten().copied().collect();
    used.extend(fit.misshapen.iter().map(|(_, tensor)| *tensor));
    for bare in bare {
        let name = bare.name.strip_prefix(fit.prefix.as_str());
        match bare.what {
            TensorUse::Mask => {
                let piece = name.and_then(|name| places.get(name)).or_else(|| places.get(bare.name.as_str()));
                let piece = piece.filter(|piece| same_shape(&tensors[bare.index].shape, &needs.pieces[**piece].shape));
                if let Some(piece) = piece {
                    fit.masks[*piece] = Some(bare.index);
                    used.insert(bare.index);
                }
            }
            _ if used.contains(&bare.index) => {}
            _ => {
                let Some((layer, kind)) = name.and_then(|name| name.rsplit_once('.')) else { continue };
                let Some((place, layer)) = layers.get(layer) else { continue };
                if kind == "num_batches_tracked" {
                    let count = (*place, bare.index);
                    fit.batches = Some(fit.batches.map_or(count, |first| first.min(count)));
                    used.insert(bare.index);
                }
                if let ("bias", Some(norm)) = (kind, &layer.norm) {
                    fit.biases.push((bare.index, norm.clone()));
                    used.insert(bare.index);
                }
            }
        }
    }
    fit.extra = (0..tensors.len()).filter(|index| !used.contains(index)).collect();
    fit
}
