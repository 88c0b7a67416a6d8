//! The weights, statistics and mask of a network out of a file, and what was done to them on the way.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use safetensors::Dtype;

use super::compact;
use super::fit::{Fit, fit};
use super::masks::mask_values;
use super::names::{NamePairs, is_average};
use super::pieces::{Needs, PieceKind};
use super::refusal::refusal;
use super::tables::{FileTensor, TensorFile};
use super::values::{floats, name_of};
use super::wording::{counted, listed};
use crate::mask::Bits;
use crate::net::{Graph, Layout, Snapshot};
use tombola_words::error::{Error, Result};

/// How a file is to be understood.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// What names of the file are called in the network.
    pub names: Option<NamePairs>,
    /// The weights before training, where the output layer keeps them.
    pub new_head: Option<Snapshot>,
}

/// What was taken from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// The network, with its mask if the file has one.
    pub snapshot: Snapshot,
    /// What the user should know of it.
    pub notes: Vec<String>,
}

/// Takes the weights of a network from the file in `bytes`, which `path` holds.
///
/// # Errors
/// When it is damaged, of a form that is not read, or of another network.
pub fn weights(path: &Path, bytes: &[u8], graph: &Graph, layout: &Layout, choices: &Choices) -> Result<Taken> {
    let needs = Needs::of(graph, layout);
    let mut file = TensorFile::open(path, bytes)?;
    let tables = std::mem::take(&mut file.tables);
    if let (true, Some(table)) = (compact::is_one(&file), tables.first()) {
        let (snapshot, note) = compact::expanded(&mut file, &table.tensors, &needs)?;
        return Ok(Taken { snapshot, notes: vec![note] });
    }
    let (names, without_head) = (choices.names.as_ref(), choices.new_head.is_some());
    let fits: Vec<Fit> = tables.iter().map(|table| fit(&file, table, &needs, names, without_head)).collect();
    let rank = |fit: &Fit| (fit.is_whole(&needs, without_head), fit.found(), !is_average(&fit.table.place));
    // Of equal ones the first, which is the outermost.
    let best = fits.iter().rev().max_by_key(|fit| rank(fit));
    let Some(best) = best else { return Err(Error::input(format!("`{}` holds no tensors", path.display()))) };
    if !best.is_whole(&needs, without_head) {
        return Err(refusal(&file, best, &needs, without_head));
    }
    let mut notes = Vec::new();
    let others: Vec<&Fit> =
        fits.iter().filter(|fit| !std::ptr::eq(*fit, best) && fit.is_whole(&needs, without_head)).collect();
    let also = |words: Vec<String>| {
        if words.is_empty() { String::new() } else { format!("; {} would fit as well", words.join(", ")) }
    };
    if !best.table.place.is_empty() || !others.is_empty() {
        let others = others.iter().map(|fit| format!("`{}`", fit.table.place)).collect();
        notes.push(format!("the weights are those of `{}`{}", best.table.place, also(others)));
    }
    if best.other_prefix.is_some() {
        let other = best.other_prefix.iter().map(|other| format!("`{other}*`")).collect();
        notes.push(format!("the weights are those of `{}*`{}", best.prefix, also(other)));
    }
    if let Some(names) = names {
        let unused = names.unused(&best.table.tensors);
        if !unused.is_empty() {
            notes.push(format!("`load-names` has names that the file has not: {}", listed(unused.into_iter())));
        }
    }
    let snapshot = taken(&mut file, best, &needs, choices, &mut notes)?;
    if !best.extra.is_empty() {
        let names = best.extra.iter().map(|index| &*best.table.tensors[*index].name);
        notes.push(format!(
            "{} that the network has not are left out: {}",
            counted(best.extra.len(), "tensor"),
            listed(names)
        ));
    }
    Ok(Taken { snapshot, notes })
}

/// The values of all that was found.
fn taken(
    file: &mut TensorFile,
    fit: &Fit,
    needs: &Needs,
    choices: &Choices,
    notes: &mut Vec<String>,
) -> Result<Snapshot> {
    let layout = needs.layout;
    let (mut parameters, mut buffers) = (vec![0f32; layout.len], vec![0f32; layout.buffer_len]);
    let mut mask: Option<Bits> = None;
    let (mut converted, mut masked, mut lost) = (BTreeSet::new(), 0, Vec::new());
    for (place, piece) in needs.pieces.iter().enumerate() {
        let new = choices.new_head.as_ref().filter(|_| needs.is_of_head(place));
        let Some(tensor) = fit.pieces[place].map(|index| &fit.table.tensors[index]).filter(|_| new.is_none()) else {
            if let (PieceKind::Weight(index), Some(new)) = (piece.kind, new) {
                let range = layout.parameters[index].range();
                parameters[range.clone()].copy_from_slice(&new.parameters[range]);
            }
            continue;
        };
        let mut values = read(file, tensor)?;
        if tensor.kind != Dtype::F32 {
            converted.insert(name_of(tensor.kind));
        }
        let over = fit.masks[place].map(|index| &fit.table.tensors[index]);
        let over = over.map(|mask| mask_values(file, mask)).transpose()?;
        if let Some(over) = &over {
            // What is not alive is exactly 0, whatever stood there.
            values
                .iter_mut()
                .zip(over)
                .for_each(|(value, alive)| *value = if *alive == 0.0 { 0.0 } else { *value * *alive });
        }
        match piece.kind {
            PieceKind::Weight(index) => {
                let parameter = &layout.parameters[index];
                parameters[parameter.range()].copy_from_slice(&parameter.from_pytorch(&values));
                match over {
                    Some(over) if parameter.role.is_connection() => {
                        let bits = mask.get_or_insert_with(|| Bits::ones(layout.len));
                        let alive = parameter.from_pytorch(&over);
                        parameter.range().zip(alive).for_each(|(position, alive)| bits.set(position, alive != 0.0));
                        masked += 1;
                    }
                    Some(_) => lost.push(piece.name.as_str()),
                    None => {}
                }
            }
            PieceKind::Statistic(index) => buffers[layout.buffers[index].range()].copy_from_slice(&values),
        }
    }
    fold_biases(file, fit, layout, &mut buffers)?;
    if !fit.renamed.is_empty() {
        notes.push(format!("by shape and order: {}", fit.renamed.join(", ")));
    }
    if !converted.is_empty() {
        notes.push(format!("{} became float32", converted.into_iter().collect::<Vec<_>>().join(" and ")));
    }
    if !fit.biases.is_empty() {
        notes.push(format!(
            "{} of layers before batch norms, which the network has not, moved the means of these: it computes the same",
            counted(fit.biases.len(), "bias")
        ));
    }
    if let Some(mask) = &mask {
        let (alive, all) = layout
            .parameters
            .iter()
            .filter(|parameter| parameter.role.is_connection())
            .fold((0, 0), |(alive, all), parameter| (alive + mask.count_in(parameter.range()), all + parameter.len));
        notes.push(format!("{} of the file: {alive} of {all} weights are alive", counted(masked, "mask")));
    }
    if !lost.is_empty() {
        notes.push(format!(
            "masks over what is no connection make zeros, and are not kept: {}",
            listed(lost.into_iter())
        ));
    }
    if let (Some(head), Some(_)) = (needs.head, &choices.new_head) {
        notes.push(format!("the output layer `{}` keeps its initial weights", needs.layers[head].name));
    }
    let batches = fit.batches.map(|(_, index)| &fit.table.tensors[index]);
    let batches = batches.map(|tensor| batch_count(file, tensor)).transpose()?.unwrap_or(0);
    let epoch = file.facts.get("epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    Ok(Snapshot { epoch, step: 0, batches, parameters, buffers, optimizer: None, mask: mask.map(Arc::new) })
}

/// A batch norm subtracts the mean of what it reads: a bias before it is a smaller mean.
fn fold_biases(file: &mut TensorFile, fit: &Fit, layout: &Layout, buffers: &mut [f32]) -> Result<()> {
    for (index, norm) in &fit.biases {
        let tensor = &fit.table.tensors[*index];
        let bias = read(file, tensor)?;
        let name = format!("{norm}.running_mean");
        let mean = layout.buffers.iter().find(|buffer| buffer.name == name && buffer.len == bias.len());
        let Some(mean) = mean else {
            return Err(Error::input(format!(
                "`{}`: `{}` has {} values, and no batch norm behind it has as many",
                file.path.display(),
                tensor.name,
                bias.len()
            ))
            .hint("load it with the same `--network` that it was trained with"));
        };
        buffers[mean.range()].iter_mut().zip(bias).for_each(|(mean, bias)| *mean -= bias);
    }
    Ok(())
}

/// The values of a tensor of weights or statistics.
fn read(file: &mut TensorFile, tensor: &FileTensor) -> Result<Vec<f32>> {
    let bytes = file.bytes_of(tensor)?;
    floats(tensor.kind, &bytes).ok_or_else(|| {
        Error::input(format!(
            "`{}`: `{}` holds {} values, expected float32, float16, bfloat16 or float64",
            file.path.display(),
            tensor.name,
            name_of(tensor.kind)
        ))
        .hint("weights of a quantised network mean nothing without their scales: save the state dict before it is quantised")
    })
}

fn batch_count(file: &mut TensorFile, tensor: &FileTensor) -> Result<u64> {
    let bytes = file.bytes_of(tensor)?;
    let whole = bytes.as_slice().try_into().map(i64::from_le_bytes);
    Ok(match (tensor.kind, whole) {
        (Dtype::I64, Ok(count)) => count.max(0) as u64,
        _ => 0,
    })
}
