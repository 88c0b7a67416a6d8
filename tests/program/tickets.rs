//! Tickets after the sweep, through the real program: what two of them have in common, and as files for other programs.

use std::collections::HashMap;

use super::common::Folder;
use safetensors::{Dtype, SafeTensors};

type Row = HashMap<String, String>;

fn ran(text: &str) -> Folder {
    let folder = Folder::new();
    let shared = "name = \"sweep\"\ndataset = \"synthetic\"\nsynthetic-size = 200\nepochs = 2\nlearning-rate = 0.05\n";
    folder.write("sweep.toml", format!("{shared}{text}"));
    folder.tombola("run sweep.toml --quiet").expect(0);
    folder
}

fn overlaps(folder: &Folder) -> Vec<Row> {
    folder.table("results/sweep/overlap.csv")
}

fn number(row: &Row, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} is no number in {row:?}"))
}

/// The mask of a ticket over all its weights, layer by layer, from its file.
fn mask(folder: &Folder, stage: &str) -> Vec<Vec<bool>> {
    let bytes = std::fs::read(folder.path(&format!("results/sweep/stages/{stage}/mask.safetensors"))).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    names.iter().map(|name| file.tensor(name).unwrap().data().iter().map(|bit| *bit == 1).collect()).collect()
}

#[test]
fn tickets_are_compared_where_they_differ_in_one_thing_and_against_chance() {
    let folder = ran("network = \"lenet-300-100\"\npr = [0.5, 0.8]\nseed = [1, 2]\nreinit = [\"init\", \"lr\"]\n\
         criterion = [\"magnitude\", \"lamp\"]\ncontrol = [\"none\", \"reinit\"]");
    let rows = overlaps(&folder);
    // Each of 2 ratios, 2 seeds, 2 criteria; rewinds and twins have the same masks. Pairs along each of three axes.
    let count = |axis: &str| rows.iter().filter(|row| row["differs"] == axis).count();
    assert_eq!((count("seed"), count("ratio"), count("criterion"), rows.len()), (4, 4, 4, 12));
    for row in &rows {
        let (one, other) = (mask(&folder, &row["stage"]), mask(&folder, &row["other_stage"]));
        let (mut shared, mut chance, mut variance) = (0.0, 0.0, 0.0);
        for (a, b) in one.iter().zip(&other) {
            let ones = |bits: &[bool]| bits.iter().filter(|bit| **bit).count() as f64;
            let (n, k, m) = (a.len() as f64, ones(a), ones(b));
            shared += a.iter().zip(b).filter(|(a, b)| **a && **b).count() as f64;
            chance += k * m / n;
            variance += k * m * (n - k) * (n - m) / (n * n * (n - 1.0));
        }
        assert_eq!(number(row, "shared"), shared);
        assert!((number(row, "chance") - chance).abs() < 1e-6);
        assert!((number(row, "deviations") - (shared - chance) / variance.sqrt()).abs() < 1e-6);
        assert!(number(row, "chance_low") < chance && chance < number(row, "chance_high"));
        if row["differs"] == "ratio" {
            // A larger ratio of the same scores: all that it keeps, the smaller one keeps.
            assert_eq!(number(row, "overlap"), 1.0);
        }
    }
    // From the journal and the masks again, to the byte.
    let before = folder.read("results/sweep/overlap.csv");
    std::fs::remove_file(folder.path("results/sweep/overlap.csv")).unwrap();
    folder.tombola("tables results/sweep").expect(0);
    assert_eq!(folder.read("results/sweep/overlap.csv"), before);
}

#[test]
fn channel_tickets_are_compared_by_channels() {
    let folder = ran("network = \"resnetb\"\ndepth = 11\nwidth = 4\nprunety = \"s\"\npr = 0.5\nseed = [1, 2]\n\
         bn-init = \"uniform\"\ndraw = [\"epoch:1\", \"last\"]");
    let rows = overlaps(&folder);
    assert_eq!(rows.len(), 2 + 2, "seeds at two draws, draws of two seeds");
    for row in &rows {
        assert_eq!((row["pruning-type"].as_str(), number(row, "bits")), ("structured", 172.0));
        assert_eq!((number(row, "alive"), number(row, "other_alive")), (86.0, 86.0));
    }
    let draws: Vec<&Row> = rows.iter().filter(|row| row["differs"] == "draw").collect();
    assert_eq!((draws[0]["value"].as_str(), draws[0]["other_value"].as_str()), ("epoch:1", "last"));
    // One epoch moves few scales past others; two seeds start from other ones.
    let least = draws.iter().map(|row| number(row, "overlap")).fold(1.0, f64::min);
    let most = rows.iter().filter(|row| row["differs"] == "seed").map(|row| number(row, "overlap")).fold(0.0, f64::max);
    assert!(least > most, "{least}, {most}");
}

#[test]
fn a_channel_ticket_is_exported_small_or_masked() {
    let folder = ran("network = \"resnetb\"\ndepth = 11\nwidth = 4\nprunety = \"s\"\npr = 0.5\nbn-init = \"uniform\"");
    let results = folder.table("results/sweep/results.csv");
    let ticket = results.iter().find(|row| row["level"] == "1").unwrap();
    folder.tombola("export results/sweep 1 --out small.safetensors").expect(0).prints(&format!(
        "compact, snapshot last: {} parameters, {} multiply-adds",
        ticket["parameters_alive"], ticket["macs"]
    ));
    folder.tombola("export results/sweep 1 --form masked --out masked.safetensors").expect(0).prints("masked");
    let (small, masked) =
        (["small", "masked"]).map(|name| std::fs::read(folder.path(&format!("{name}.safetensors"))).unwrap()).into();
    let read = |bytes: &[u8]| -> HashMap<String, (Vec<usize>, Vec<f32>)> {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let floats = file.tensors().into_iter().filter(|(_, view)| view.dtype() == Dtype::F32);
        let values = |data: &[u8]| data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        floats.map(|(name, view)| (name, (view.shape().to_vec(), values(view.data())))).collect()
    };
    let (small, masked): (Vec<u8>, Vec<u8>) = (small, masked);
    let (small, masked) = (read(&small), read(&masked));
    assert_eq!(small.len(), masked.len(), "the same names");
    let norms = |weights: &HashMap<String, (Vec<usize>, Vec<f32>)>| -> usize {
        let norms = weights.iter().filter(|(name, _)| name.contains("bn") && name.ends_with(".weight"));
        norms.map(|(_, (shape, _))| shape[0]).sum()
    };
    assert_eq!((norms(&small), norms(&masked)), (86, 172));
    // What is left of each parameter is what the masked one has beside zeros, in the same order.
    for (name, (_, values)) in small.iter().filter(|(name, _)| name.ends_with(".weight")) {
        let alive = |values: &[f32]| values.iter().copied().filter(|value| *value != 0.0).collect::<Vec<_>>();
        assert_eq!(alive(values), alive(&masked[name].1), "{name}");
    }
}

#[test]
fn what_cannot_be_exported_is_told_with_what_there_is() {
    let folder = ran("network = \"lenet-300-100\"\npr = 0.5");
    folder
        .tombola("export results/sweep 1 --snapshot best --out a.safetensors")
        .expect(2)
        .says("no snapshot `best`")
        .says("found `last`");
    folder.tombola("export results/sweep 7 --out a.onnx").expect(2).says("7");
    folder.tombola("export results/none 1 --out a.py").expect(2).says("results/none");
    folder.tombola("export results/sweep 1 --out no/such/folder/a.pt").expect(2).says("no/such/folder");
    folder
        .tombola("export results/sweep 1 --out a")
        .expect(2)
        .says("does not say what to write")
        .says("`.npz` (numpy)");
    assert!(!folder.path("a").exists() && !folder.path("a.safetensors").exists());
}
