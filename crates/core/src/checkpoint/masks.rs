//! The mask of a network out of a file: masks of our own, of NumPy, of PyTorch's pruning, of open_lth.

use std::path::Path;

use super::names::{NamePairs, TensorUse, bare, prefix};
use super::pieces::{NeededPiece, Needs, PieceKind, same_shape};
use super::tables::{FileTensor, TensorFile, TensorTable};
use super::values::is_one;
use super::wording::{counted, listed};
use crate::mask::Bits;
use crate::net::{Graph, Layout};
use tombola_words::error::{Error, Result};

/// The mask that was taken from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenMask {
    /// Over all weights; what is no connection is alive.
    pub mask: Bits,
    /// What the user should know of it.
    pub notes: Vec<String>,
}

/// Takes the mask of a network from the file in `bytes`, which `path` holds.
///
/// # Errors
/// When it is damaged, of a form that is not read, has no mask, or one of another network.
pub fn mask_in(
    path: &Path,
    bytes: &[u8],
    graph: &Graph,
    layout: &Layout,
    names: Option<&NamePairs>,
) -> Result<TakenMask> {
    let needs = Needs::of(graph, layout);
    let mut file = TensorFile::of_masks(path, bytes)?;
    let tables = std::mem::take(&mut file.tables);
    // Weights of a state dict are no masks: where tensors are masks by their names, only these are.
    let found = [true, false].into_iter().find_map(|named| {
        let each = tables.iter().rev().map(|table| (table, found(table, &needs, names, named)));
        // Of equal ones the first, which is the outermost.
        each.filter(|(_, found)| !found.is_empty()).max_by_key(|(_, found)| found.len())
    });
    let Some((table, found)) = found else {
        let all = tables.iter().flat_map(|table| &table.tensors).map(|tensor| &*tensor.name);
        return Err(Error::input(format!("`{}` has no mask of this network; it has {}", path.display(), listed(all)))
            .hint("a mask has the name and shape of the weight that it is over, such as `conv1.weight`; for other names say `load-names`"));
    };
    let mut mask = Bits::ones(layout.len);
    let (mut alive, mut all) = (0, 0);
    let mut without = Vec::new();
    for (place, piece) in needs.pieces.iter().enumerate() {
        let PieceKind::Weight(index) = piece.kind else { continue };
        let parameter = &layout.parameters[index];
        if !parameter.role.is_connection() {
            continue;
        }
        match found.iter().find(|(own, _)| *own == place) {
            Some((_, tensor)) => {
                let values = mask_values(&mut file, &table.tensors[*tensor])?;
                let bits = parameter.from_pytorch(&values);
                parameter.range().zip(bits).for_each(|(position, bit)| mask.set(position, bit != 0.0));
            }
            None => without.push(piece.name.as_str()),
        }
        alive += mask.count_in(parameter.range());
        all += parameter.len;
    }
    let mut notes = vec![format!("{} of the file: {alive} of {all} weights are alive", counted(found.len(), "mask"))];
    if !without.is_empty() {
        notes.push(format!("it has none for {}, which stay whole", listed(without.into_iter())));
    }
    Ok(TakenMask { mask, notes })
}

/// The masks of a table: pieces, and positions of tensors. `named` takes those only that are called masks.
fn found(table: &TensorTable, needs: &Needs, names: Option<&NamePairs>, named: bool) -> Vec<(usize, usize)> {
    let bare: Vec<_> = bare(&table.tensors, names)
        .into_iter()
        .filter(|bare| (bare.what == TensorUse::Mask) == named && bare.what != TensorUse::Unmasked)
        .collect();
    let is_connection = |piece: &NeededPiece| match piece.kind {
        PieceKind::Weight(index) => needs.layout.parameters[index].role.is_connection(),
        PieceKind::Statistic(_) => false,
    };
    let place = |name: &str| needs.pieces.iter().position(|piece| piece.name == name && is_connection(piece));
    let places: std::collections::HashMap<&str, usize> =
        needs.pieces.iter().filter_map(|piece| Some((piece.name.as_str(), place(&piece.name)?))).collect();
    let same = |piece: usize, tensor: usize| same_shape(&table.tensors[tensor].shape, &needs.pieces[piece].shape);
    let start =
        prefix(&bare, |name, tensor| places.get(name).map(|piece| same(*piece, tensor)), &[]).unwrap_or_default();
    bare.iter()
        .filter_map(|bare| {
            let piece = *places.get(bare.name.strip_prefix(start.as_str())?)?;
            same(piece, bare.index).then_some((piece, bare.index))
        })
        .collect()
}

/// The values of a mask: 0 where nothing is alive.
pub(super) fn mask_values(file: &mut TensorFile, tensor: &FileTensor) -> Result<Vec<f32>> {
    let bytes = file.bytes_of(tensor)?;
    let values = is_one(tensor.kind, &bytes).filter(|values| values.iter().all(|value| *value == 0.0 || *value == 1.0));
    values.ok_or_else(|| {
        Error::input(format!("`{}`: the mask `{}` has values other than 0 and 1", file.path.display(), tensor.name))
            .hint("a mask is 1 where a weight is alive and 0 where it is not")
    })
}
