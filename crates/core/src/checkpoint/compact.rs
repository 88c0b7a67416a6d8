//! A compact export of our own as the dense network: what is gone is 0 and masked.
//!
//! Its facts say which channels each layer has, `channels.LAYER` = `{"outputs": […], "inputs": […]}`, where not all.

use std::collections::HashMap;
use std::sync::Arc;

use super::pieces::{Needs, PieceKind, layer_of};
use super::tables::{FileTensor, TensorFile};
use super::values::floats;
use crate::mask::Bits;
use crate::net::Snapshot;
use tombola_words::error::{Error, Result};

/// What such facts begin with.
const FACT: &str = "channels.";

/// Which channels of a layer a file has.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct KeptChannels {
    /// Those that the layer makes.
    pub outputs: Vec<usize>,
    /// Those that it reads, where it has weights for each: after flattening all features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<usize>>,
}

/// The facts that say which channels layers have.
pub fn channel_facts(layers: &[(String, KeptChannels)]) -> Vec<(String, String)> {
    let fact = |(layer, kept): &(String, KeptChannels)| {
        serde_json::to_string(kept).ok().map(|kept| (format!("{FACT}{layer}"), kept))
    };
    layers.iter().filter_map(fact).collect()
}

/// Whether a file says which channels it has.
pub(super) fn is_one(file: &TensorFile) -> bool {
    file.facts.keys().any(|key| key.starts_with(FACT))
}

/// The dense network of a file that says which channels it has, and a note.
///
/// # Errors
/// When it is of another network.
pub(super) fn expanded(file: &mut TensorFile, tensors: &[FileTensor], needs: &Needs) -> Result<(Snapshot, String)> {
    let layout = needs.layout;
    let path = file.path.display().to_string();
    let wrong = |what: String| {
        Error::input(format!("`{path}` is of another network: {what}"))
            .hint("load it with the same `--network`, `--depth`, `--width` and data set that it was trained with")
    };
    let mut kept: HashMap<String, KeptChannels> = HashMap::new();
    for (key, value) in &file.facts {
        if let Some(layer) = key.strip_prefix(FACT) {
            let channels = serde_json::from_str(value).map_err(|error| wrong(format!("its fact `{key}`: {error}")))?;
            kept.insert(layer.to_string(), channels);
        }
    }
    let by_name: HashMap<&str, &FileTensor> = tensors.iter().map(|tensor| (&*tensor.name, tensor)).collect();
    let (mut parameters, mut buffers) = (vec![0f32; layout.len], vec![0f32; layout.buffer_len]);
    layout.buffers.iter().for_each(|buffer| buffers[buffer.range()].fill(buffer.start));
    let mut mask = Bits::ones(layout.len);
    for piece in &needs.pieces {
        let tensor = by_name.get(piece.name.as_str()).ok_or_else(|| wrong(format!("`{}` is missing", piece.name)))?;
        let channels = kept.get(layer_of(&piece.name));
        let rows = channels.map_or_else(|| (0..piece.shape[0]).collect(), |kept| kept.outputs.clone());
        let wide = piece.shape.len() > 1;
        let columns = channels.and_then(|kept| kept.inputs.clone()).filter(|_| wide);
        let columns = columns.unwrap_or_else(|| (0..piece.shape.get(1).copied().unwrap_or(1)).collect());
        let small: Vec<usize> = match wide {
            true => [&[rows.len(), columns.len()], &piece.shape[2..]].concat(),
            false => vec![rows.len()],
        };
        let inputs = piece.shape.get(1).copied().unwrap_or(1);
        let fits = rows.iter().all(|row| *row < piece.shape[0]) && columns.iter().all(|column| *column < inputs);
        if *tensor.shape != *small || !fits {
            return Err(wrong(format!(
                "`{}` is {:?}, which does not fit the channels that the file says",
                piece.name, tensor.shape
            )));
        }
        let values = floats(tensor.kind, &file.bytes_of(tensor)?);
        let values = values.ok_or_else(|| wrong(format!("`{}` holds no numbers with a fraction", piece.name)))?;
        let window: usize = piece.shape.iter().skip(2).product();
        let (mut dense, mut alive) =
            (vec![0f32; piece.shape.iter().product()], vec![false; piece.shape.iter().product()]);
        let places = rows.iter().flat_map(|row| columns.iter().map(move |column| (row * inputs + column) * window));
        for (start, window_values) in places.zip(values.chunks_exact(window.max(1))) {
            dense[start..start + window].copy_from_slice(window_values);
            alive[start..start + window].fill(true);
        }
        match piece.kind {
            PieceKind::Weight(index) => {
                let parameter = &layout.parameters[index];
                parameters[parameter.range()].copy_from_slice(&parameter.from_pytorch(&dense));
                if parameter.role.is_connection() {
                    let alive = parameter.from_pytorch(&alive);
                    parameter.range().zip(alive).for_each(|(position, alive)| mask.set(position, alive));
                }
            }
            PieceKind::Statistic(index) => {
                let range = layout.buffers[index].range();
                let chosen = range.zip(dense.iter().zip(&alive)).filter(|(_, (_, alive))| **alive);
                chosen.for_each(|(position, (value, _))| buffers[position] = *value);
            }
        }
    }
    let count = |name: &str| by_name.get(name).copied().filter(|tensor| tensor.kind == safetensors::Dtype::I64);
    let batches = layout.norms.first().and_then(|norm| count(&format!("{norm}.num_batches_tracked")));
    let batches = batches.map(|tensor| file.bytes_of(tensor)).transpose()?;
    let batches = batches.and_then(|bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?))).unwrap_or(0);
    let epoch = file.facts.get("epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
    let connections = layout.parameters.iter().filter(|parameter| parameter.role.is_connection());
    let (alive, all) = connections
        .fold((0, 0), |(alive, all), parameter| (alive + mask.count_in(parameter.range()), all + parameter.len));
    let note = format!("a compact network: {alive} of {all} weights of the dense one are alive, the others are 0");
    let mask = Some(Arc::new(mask));
    let snapshot =
        Snapshot { epoch, step: 0, batches: batches.max(0) as u64, parameters, buffers, optimizer: None, mask };
    Ok((snapshot, note))
}
