//! Which weights and channels each criterion keeps, compared with an independent computation in PyTorch.
//!
//! `crates/train/tests/reference/criteria.json` was recorded by `criteria.py` beside it, in float64. Weights and channels whose score lies
//! too close to the threshold for float32 are marked there; all others must be kept or pruned alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::inputs::{filled, hashes, label, network, recorded};
use super::place::{Place, Start, TRAIN, device, stage};
use serde::Deserialize;
use tombola_core::mask::Bits;
use tombola_core::plan::LayerChoice;
use tombola_core::plan::Pruning;
use tombola_core::prune::Pruner;
use tombola_core::prune::prunable;
use tombola_core::sweep::Settings;
use tombola_data::{DataSet, Images, Normalisation};
use tombola_train::batches::Resident;
use tombola_words::value::Value;
use tombola_words::value::{Criterion, Moment, PruningType, Rewind, Scope, Streams};

#[derive(Deserialize)]
struct Record {
    network: String,
    criterion: String,
    scope: String,
    rate: f64,
    channels: bool,
    streams: String,
    alive: usize,
    /// For each layer its bits in hexadecimal digits, the first in the lowest bit of the first byte.
    masks: BTreeMap<String, String>,
    /// The same: bits that are too close to call.
    unsure: BTreeMap<String, String>,
}

const SIZE: usize = 8;

/// The network with recorded weights, on recorded images.
fn place(name: &str) -> Place {
    tch::set_num_threads(1);
    let depth = if name == "resnetb" { 11 } else { 8 };
    let (graph, layout) = network(name, depth, 4, "B", [3, SIZE, SIZE]);
    let count = TRAIN + 60;
    let pixels: Vec<u8> = hashes("score images").take(count * 3 * SIZE * SIZE).map(|hash| (hash & 255) as u8).collect();
    let labels: Vec<u8> = (0..count).map(|image| label(image) as u8).collect();
    let part = || Images::new(pixels.clone(), labels.clone(), (3, SIZE, SIZE), 10).unwrap();
    let data = Resident::new(DataSet::new("reference", part(), part()).unwrap(), device());
    let normalisation = Normalisation { mean: vec![0.5; 3], standard_deviation: vec![0.25; 3] };
    let pruner = Pruner::new(&graph, &layout);
    Place { graph, layout, data, normalisation, pruner }
}

fn bits(text: &str, len: usize) -> Bits {
    let bytes: Vec<u8> =
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect();
    Bits::from_bytes(&bytes, len).unwrap()
}

/// The mask by layer: of weights in PyTorch's order, or of channels.
fn by_layer(place: &Place, record: &Record, mask: &Bits) -> BTreeMap<String, Vec<bool>> {
    if !record.channels {
        let layers = prunable(&place.layout, &LayerChoice::all());
        let bits = |range: std::ops::Range<usize>| range.map(|position| mask.get(position)).collect::<Vec<_>>();
        return layers.map(|(_, layer)| (layer.name.clone(), layer.to_pytorch(&bits(layer.range())))).collect();
    }
    let channels = place.pruner.channels(Streams::parse(&record.streams).unwrap());
    let mut layers: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for (unit, alive) in channels.units.iter().zip(channels.alive(mask).iter()) {
        // Only what the criterion can judge takes part: gates have no filter.
        layers.entry(channels.layers[unit.layer].clone()).or_default().push(alive);
    }
    layers
}

#[test]
fn every_criterion_keeps_what_pytorch_keeps() {
    let places = BTreeMap::from(["resnet", "resnetb"].map(|name| (name, place(name))));
    let records: Vec<Record> = recorded("criteria.json");
    assert_eq!(records.len(), 34);
    for record in records {
        let place = &places[record.network.as_str()];
        let pruning_type = if record.channels { PruningType::Structured } else { PruningType::Unstructured };
        let settings = Settings {
            network: record.network.clone(),
            epochs: 1,
            pruning_type,
            criterion: Some(Criterion::parse(&record.criterion).unwrap()),
            scope: Some(Scope::parse(&record.scope).unwrap()),
            streams: Streams::parse(&record.streams).unwrap(),
            score_images: 64,
            ..super::place::settings()
        };
        let pruning = Pruning { rewind: Rewind::LearningRate, ..Pruning::of(&settings, record.rate) };
        let mut start = Start::default();
        start.sources.drawn = Some(Arc::new(filled(&place.layout, "")));
        // Through a whole training, which is where gradients come from.
        let trained = place.run(&stage(&settings, Some(pruning)), start).unwrap();
        let mask = trained.snapshot(Moment::Last).mask.clone().unwrap();
        let found = by_layer(place, &record, &mask);
        let about = format!(
            "{}, {} of {} ({}), {} {}",
            record.criterion,
            record.rate,
            record.network,
            record.scope,
            pruning_type.show(),
            record.streams
        );
        assert_eq!(found.keys().collect::<Vec<_>>(), record.masks.keys().collect::<Vec<_>>(), "{about}");
        assert_eq!(found.values().flatten().filter(|alive| **alive).count(), record.alive, "{about}");
        for (layer, alive) in found {
            let expected = bits(&record.masks[&layer], alive.len());
            let unsure = record.unsure.get(&layer).map(|text| bits(text, alive.len()));
            for (place, alive) in alive.into_iter().enumerate() {
                let is_sure = unsure.as_ref().is_none_or(|unsure| !unsure.get(place));
                assert!(!is_sure || alive == expected.get(place), "{about}: {layer} at {place}");
            }
        }
        // The sure ones are nearly all, or the test would say nothing.
        let unsure: u32 =
            record.unsure.values().flat_map(|text| text.chars()).map(|c| c.to_digit(16).unwrap().count_ones()).sum();
        assert!(unsure <= 40, "{about}: {unsure} are too close to call");
    }
}
