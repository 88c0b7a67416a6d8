//! Why a file is not of a network, and what can be done.

use super::fit::Fit;
use super::pieces::{Needs, layer_of};
use super::tables::TensorFile;
use super::wording::{counted, listed};
use tombola_words::error::Error;

/// The cure for another network.
const SAME: &str = "load it with the same `--network`, `--depth`, `--width` and data set that it was trained with";

/// The error for a file whose best table lacks something.
pub(super) fn refusal(file: &TensorFile, fit: &Fit, needs: &Needs, without_head: bool) -> Error {
    let path = file.path.display();
    let of_another = |found: String| Error::input(format!("`{path}` is of another network: {found}"));
    let tensors = &fit.table.tensors;
    let missing: Vec<usize> = fit.missing(needs, without_head).collect();
    if let (true, Some(head)) = (fit.but_for_head, needs.head) {
        let layer = &needs.layers[head];
        let found = fit.misshapen.iter().find(|(piece, _)| needs.is_of_head(*piece));
        let found = match found {
            Some((piece, tensor)) => format!(
                "`{}` is {:?}, expected {:?}",
                tensors[*tensor].name, tensors[*tensor].shape, needs.pieces[*piece].shape
            ),
            None => format!("its output layer is not `{}`", layer.name),
        };
        return of_another(format!("all but the output layer fits; {found}")).hint(
            "for another number of classes say `load-head = \"new\"`: the output layer then keeps its initial weights",
        );
    }
    if let Some((piece, tensor)) = fit.misshapen.first() {
        let error = of_another(format!(
            "`{}` is {:?}, expected {:?}",
            tensors[*tensor].name, tensors[*tensor].shape, needs.pieces[*piece].shape
        ));
        return match file.facts.contains_key("stage") && file.facts.contains_key("network") {
            true => error.hint(
                "a compact export that does not say which channels it has: export it anew, or with `--form masked`",
            ),
            false => error.hint(SAME),
        };
    }
    let names = missing.iter().map(|piece| needs.pieces[*piece].name.as_str());
    let lacks = match fit.found() {
        0 => format!("it has none of the {} of the network", counted(needs.pieces.len(), "tensor")),
        _ => format!("{} of {} are missing", missing.len(), counted(needs.pieces.len(), "tensor")),
    };
    let has = fit.extra.iter().map(|index| &*tensors[*index].name);
    let has = if fit.extra.is_empty() { String::new() } else { format!("; it has {}", listed(has)) };
    let error = of_another(format!("{lacks}: {}{has}", listed(names)));
    let first = missing.first().map(|piece| layer_of(&needs.pieces[*piece].name)).unwrap_or_default();
    let theirs = fit.extra.first().map(|index| layer_of(&tensors[*index].name)).unwrap_or_default();
    match theirs.is_empty() || first.is_empty() {
        true => error.hint(SAME),
        false => error.hint(format!(
            "if only names differ, say which is which: `load-names = \"names.toml\"` with lines such as `{theirs:?} = {first:?}`; else {SAME}"
        )),
    }
}
