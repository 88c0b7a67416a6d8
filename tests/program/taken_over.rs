//! Weights and masks of files that trainings begin with: initial weights, masks found elsewhere, output layers, compact exports.

use super::common::Folder;
use safetensors::SafeTensors;

/// Steps so small that weights stay what they are.
const SWEEP: &str = "dataset = \"synthetic\"\nsynthetic-size = 60\nepochs = 1\nworkers = 1\nsave = true\nlearning-rate = 1e-12\n\
     weight-decay = 0\nnetwork = \"resnet\"\ndepth = 8\nwidth = 4\nshortcut = \"b\"\n";

fn floats(folder: &Folder, file: &str, tensor: &str) -> Vec<f32> {
    let bytes = std::fs::read(folder.path(file)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor(tensor).unwrap().data().to_vec();
    data.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

/// A folder with a sweep file, and `start.safetensors`: the dense network of another seed.
fn with_start() -> Folder {
    let folder = Folder::new();
    folder.write("sweep.toml", SWEEP);
    folder.tombola("run sweep.toml --seed 7 --priter 0 --out other --quiet").expect(0);
    folder.tombola("export other 1 --snapshot last --out start.safetensors").expect(0);
    folder
}

fn stages(folder: &Folder, results: &str) -> Vec<String> {
    folder.table(&format!("{results}/results.csv")).iter().map(|row| row["stage"].clone()).collect()
}

/// Whether weights are those of a file, but for where they are pruned, which is half of them.
fn half_of(found: &[f32], start: &[f32]) -> bool {
    let zeros = found.iter().filter(|value| **value == 0.0).count();
    let same = found.iter().zip(start).all(|(found, start)| *found == 0.0 || (found - start).abs() < 1e-6);
    same && zeros > found.len() / 4 && zeros < found.len()
}

#[test]
fn training_begins_with_the_weights_of_a_file_and_goes_back_to_them() {
    let folder = with_start();
    folder.tombola("run sweep.toml --load-init start.safetensors --reinit init --pr 0.5 --out r --quiet").expect(0);
    let start = floats(&folder, "start.safetensors", "layer2.0.conv2.weight");
    for (stage, pruned) in stages(&folder, "r").iter().zip([false, true]) {
        folder.tombola(&format!("export r {stage} --snapshot last --form masked --out {stage}.safetensors")).expect(0);
        let found = floats(&folder, &format!("{stage}.safetensors"), "layer2.0.conv2.weight");
        assert!(if pruned { half_of(&found, &start) } else { half_of(&found, &start) || found == start }, "{pruned}");
    }
    // Contents decide, not names; and without the file it is another training.
    std::fs::copy(folder.path("start.safetensors"), folder.path("same.safetensors")).unwrap();
    folder.tombola("run sweep.toml --load-init same.safetensors --reinit init --pr 0.5 --out again --quiet").expect(0);
    assert_eq!(stages(&folder, "r"), stages(&folder, "again"));
    folder.tombola("run sweep.toml --reinit init --pr 0.5 --out without --quiet").expect(0);
    assert!(stages(&folder, "without").iter().all(|stage| !stages(&folder, "r").contains(stage)));
    // A changed file is refused, and views need none.
    std::fs::remove_file(folder.path("start.safetensors")).unwrap();
    folder.tombola("tables r").expect(0);
    folder.tombola("run sweep.toml --load-init start.safetensors --reinit init --pr 0.5 --out r --quiet").expect(2);
    folder.tombola("run sweep.toml --load-init same.safetensors --load same.safetensors").expect(2).says("leave one");
}

#[test]
fn a_ticket_has_the_mask_of_a_file_whatever_form_it_has() {
    let folder = with_start();
    folder.tombola("run sweep.toml --seed 7 --pr 0.5 --out first --quiet").expect(0);
    folder.tombola("export first 1 --form masked --out ticket.safetensors").expect(0);
    folder.tombola("export first 1 --out masks.npz").expect(0);
    let ticket = &folder.table("first/results.csv")[1]["stage"];
    std::fs::copy(folder.path(&format!("first/stages/{ticket}/mask.safetensors")), folder.path("mask.safetensors"))
        .unwrap();
    let zeros = |file: &str| -> Vec<bool> {
        floats(&folder, file, "layer2.0.conv2.weight").iter().map(|value| *value == 0.0).collect()
    };
    let mut names = Vec::new();
    for mask in ["masks.npz", "mask.safetensors"] {
        let run =
            format!("run sweep.toml --load-init start.safetensors --load-mask {mask} --reinit init --out {mask}-r");
        folder.tombola(&run).expect(0).says("of the file: ").says("weights are alive");
        folder
            .tombola(&format!("export {mask}-r 1 --snapshot last --form masked --out {mask}.out.safetensors"))
            .expect(0);
        let file = format!("{mask}.out.safetensors");
        assert_eq!(zeros(&file), zeros("ticket.safetensors"), "{mask}");
        let start = floats(&folder, "start.safetensors", "layer2.0.conv2.weight");
        assert!(half_of(&floats(&folder, &file, "layer2.0.conv2.weight"), &start));
        let row = &folder.table(&format!("{mask}-r/results.csv"))[1];
        assert_eq!(row["density"], folder.table("first/results.csv")[1]["density"]);
        names.push(row["stage"].clone());
    }
    // Two files with the same mask are two files; what would have drawn a mask makes no difference.
    assert_ne!(names[0], names[1]);
    let run = "run sweep.toml --load-init start.safetensors --load-mask masks.npz --reinit init --pr 0.3 --criterion random --out other-r";
    folder.tombola(run).expect(0);
    assert_eq!(folder.table("other-r/results.csv")[1]["stage"], names[0]);
    folder.tombola("run sweep.toml --load-mask masks.npz --priter 2").expect(2).says("prune-iterations = 1");
    folder.tombola("run sweep.toml --load-mask masks.npz --prunety s").expect(2).says("unstructured");
    folder.tombola("run sweep.toml --load-mask sweep.toml --out none").expect(2).says("sweep.toml");
    let weights = "run sweep.toml --load-mask start.safetensors --out none";
    folder.tombola(weights).expect(2).says("values other than 0 and 1");
}

#[test]
fn another_number_of_classes_keeps_the_output_layer_of_the_seed() {
    let folder = with_start();
    let run = "run sweep.toml --priter 0 --synthetic-classes 5 --load-init start.safetensors --quiet";
    folder.tombola(&format!("{run} --out a")).expect(2).says("load-head = \"new\"");
    folder.tombola(&format!("{run} --load-head new --out a")).expect(0);
    folder.tombola("run sweep.toml --priter 0 --synthetic-classes 5 --quiet --out plain").expect(0);
    for results in ["a", "plain"] {
        folder.tombola(&format!("export {results} 1 --snapshot last --out {results}.safetensors")).expect(0);
    }
    let near = |one: &str, other: &str, tensor: &str| {
        let (one, other) = (floats(&folder, one, tensor), floats(&folder, other, tensor));
        one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| (one - other).abs() < 1e-6)
    };
    assert!(near("a.safetensors", "start.safetensors", "conv1.weight"));
    assert!(near("a.safetensors", "plain.safetensors", "fc.weight"));
    assert!(!near("a.safetensors", "plain.safetensors", "conv1.weight"));
}

#[test]
fn a_compact_export_is_loaded_again_as_the_dense_network_with_its_mask() {
    let folder = Folder::new();
    folder.write("sweep.toml", SWEEP.replace("resnet\"", "resnetb\"").replace("depth = 8", "depth = 11"));
    for (number, streams) in ["whole", "group"].iter().enumerate() {
        let run = format!("run sweep.toml --prunety s --streams {streams} --pr 0.5 --out r{number} --quiet");
        folder.tombola(&run).expect(0);
        for form in ["compact", "masked"] {
            folder
                .tombola(&format!("export r{number} 1 --snapshot last --form {form} --out {form}.safetensors"))
                .expect(0);
        }
        let load = format!(
            "run sweep.toml --load compact.safetensors --prunety s --streams {streams} --pr 0.3 --out l{number}"
        );
        folder.tombola(&load).expect(0).says("a compact network: ");
        folder
            .tombola(&format!(
                "export l{number} {} --snapshot last --form masked --out again.safetensors",
                stages(&folder, &format!("l{number}"))[0]
            ))
            .expect(0);
        let bytes = std::fs::read(folder.path("masked.safetensors")).unwrap();
        let masked = SafeTensors::deserialize(&bytes).unwrap();
        for name in masked.names().into_iter().filter(|name| name.ends_with("weight")) {
            assert_eq!(
                floats(&folder, "again.safetensors", name),
                floats(&folder, "masked.safetensors", name),
                "{name}"
            );
        }
        // It computes the same, and is pruned further from there.
        let (ticket, loaded) =
            (folder.table(&format!("r{number}/results.csv")), folder.table(&format!("l{number}/results.csv")));
        assert_eq!(loaded[0]["start_test_accuracy"], ticket[1]["last_test_accuracy"]);
        let number = |row: &std::collections::HashMap<String, String>, key: &str| row[key].parse::<f64>().unwrap();
        assert!(number(&loaded[1], "channels_alive") < number(&ticket[1], "channels_alive"));
    }
}
