//! Dense networks that are loaded from files: which file it was, what becomes of it later, and one file a seed.

use super::common::{Folder, idx_set};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

const SWEEP: &str = "dataset = \"synthetic\"\nsynthetic-size = 100\nepochs = 1\nworkers = 1\npr = 0.5\n\n\
     [networks.mlp]\nlayers = [\"flatten\", { linear = 8 }, \"relu\", { linear = \"classes\" }]\n";

/// A folder with `name`.pth-like checkpoints for the sweep: the dense networks of a run with these seeds.
fn with_checkpoints(names: &[&str]) -> Folder {
    let folder = Folder::new();
    folder.write("first.toml", format!("network = \"mlp\"\npriter = 0\nsave = true\n{SWEEP}"));
    for (number, name) in names.iter().enumerate() {
        folder.tombola(&format!("run first.toml --quiet --seed {} --out {name}-first", number + 1)).expect(0);
        let dense = &folder.table(&format!("{name}-first/results.csv"))[0]["stage"];
        let place = folder.path(&format!("{name}-first/stages/{dense}/last.safetensors"));
        std::fs::copy(place, folder.path(&format!("{name}.safetensors"))).unwrap();
        std::fs::remove_dir_all(folder.path(&format!("{name}-first"))).unwrap();
    }
    folder
}

fn checksum(folder: &Folder, name: &str) -> String {
    blake3::hash(&std::fs::read(folder.path(name)).unwrap()).to_hex()[..16].to_string()
}

/// The tables of a results folder, by name.
fn tables(folder: &Folder, results: &str) -> Vec<(String, String)> {
    let names = folder.listing().into_iter().filter(|name| name.starts_with(results) && name.ends_with(".csv"));
    names.map(|name| (name.clone(), folder.read(&name))).collect()
}

#[test]
fn what_was_loaded_is_needed_by_no_view_and_a_run_refuses_another_file() {
    let folder = with_checkpoints(&["a", "b"]);
    folder.write("sweep.toml", format!("network = \"mlp\"\nload = \"a.safetensors\"\n{SWEEP}"));
    folder.tombola("run sweep.toml --out r --quiet").expect(0);
    let (before, own) = (tables(&folder, "r/"), checksum(&folder, "a.safetensors"));
    assert!(before.len() > 5 && !before.iter().any(|(_, text)| text.contains("waiting")));
    let views = |from: &str, results: &str| {
        std::fs::create_dir_all(folder.path(from)).unwrap();
        for verb in ["tables", "status --check", "report", "explain"] {
            let (verb, rest) = verb.split_once(' ').unwrap_or((verb, ""));
            let what = if verb == "explain" { "1" } else { "" };
            folder.shell(&format!("cd {from} && tombola {verb} {results} {what} {rest}")).expect(0);
        }
        folder.shell(&format!("cd {from} && tombola export {results} 1 --out {from}/t.safetensors")).expect(0);
        folder.shell(&format!("cd {from} && tombola plan {results}/sweep.toml --out {results}")).expect(0);
        assert_eq!(tables(&folder, "r/"), before);
    };
    let elsewhere = folder.path("elsewhere").display().to_string();
    let results = folder.path("r").display().to_string();
    // Another folder, another file, no file.
    views(&elsewhere, &results);
    std::fs::copy(folder.path("b.safetensors"), folder.path("a.safetensors")).unwrap();
    views(&elsewhere, &results);
    let journal = std::fs::read(folder.path("r/journal")).unwrap();
    let found = checksum(&folder, "a.safetensors");
    for again in ["run sweep.toml --out r", "run --out r r/sweep.toml", "run sweep.toml --out r --seed 2 --epochs 2"] {
        folder.tombola(again).expect(2).says(&own).says(&found).says("--out");
    }
    std::fs::remove_file(folder.path("a.safetensors")).unwrap();
    views(&elsewhere, &results);
    folder.tombola("run sweep.toml --out r").expect(2).says(&own).says("a.safetensors");
    folder.tombola("retry r").expect(2).says("none of 2 trainings failed");
    assert_eq!(std::fs::read(folder.path("r/journal")).unwrap(), journal);
    assert_eq!(tables(&folder, "r/"), before);
}

#[test]
fn a_dense_training_of_other_data_is_not_taken_over_and_nothing_is_touched() {
    let folder = Folder::new();
    for (place, other) in [("one", 0), ("two", 7)] {
        for (name, mut bytes) in idx_set() {
            if name.starts_with("train-images") {
                bytes[16..16 + 784].iter_mut().for_each(|pixel| *pixel = pixel.wrapping_add(other));
            }
            folder.write(&format!("{place}/mnist/{name}"), bytes);
        }
    }
    let base = "run --dataset mnist --own-data --network lenet-300-100 --batch-size 10 --epochs 1 --priter 0 --workers 1 --save";
    folder.tombola(&format!("{base} --data-dir one --out all/a")).expect(0);
    let auto = format!("{base} --data-dir two --load auto --out all/b");
    // What lies beside and is no results folder is none of its business; one that cannot be read is.
    folder.write("all/notes.txt", "not a folder");
    folder.write("all/spoilt/journal", "not a journal");
    // Neither in a folder that knows its data, nor in one that does not.
    folder.tombola(&format!("{base} --data-dir two --seed 5 --out all/b")).expect(0);
    folder
        .tombola(&auto)
        .expect(0)
        .says("not known to be of the files of `mnist`")
        .does_not_say("took the dense")
        .does_not_say("notes.txt")
        .says("all/spoilt is passed over: ");
    folder
        .tombola(&auto.replace("all/b", "all/c"))
        .expect(0)
        .says("not known to be of the files of `mnist`")
        .says("over from all/b");
    folder
        .tombola(&auto.replace("--data-dir two", "--data-dir one").replace("all/b", "all/d"))
        .expect(0)
        .says("over from all/a");
    let weights = |results: &str| {
        let dense = &folder.table(&format!("{results}/results.csv"))[0]["stage"];
        std::fs::read(folder.path(&format!("{results}/stages/{dense}/last.safetensors"))).unwrap()
    };
    assert!(weights("all/d") == weights("all/a") && weights("all/c") == weights("all/b"));
    assert!(weights("all/b") != weights("all/a"));
}

#[test]
fn a_folder_that_did_not_note_what_it_loaded_is_not_shown_as_untrained() {
    let folder = with_checkpoints(&["a", "b"]);
    folder.tombola("run first.toml --priter 1 --load a.safetensors --out r --quiet").expect(0);
    let noted = folder.read("r/sweep.toml");
    // As programs of before wrote it, without a checksum.
    let is_new = |line: &&str| line.starts_with("# loaded") || line.starts_with("# blake3");
    let plain: Vec<&str> = noted.lines().filter(|line| !is_new(line)).collect();
    folder.write("r/sweep.toml", plain.join("\n") + "\n");
    folder.tombola("tables r").expect(0);
    let before = tables(&folder, "r/");
    std::fs::copy(folder.path("b.safetensors"), folder.path("a.safetensors")).unwrap();
    folder
        .tombola("tables r")
        .expect(2)
        .says("is not the file that the results")
        .says(&checksum(&folder, "a.safetensors"));
    assert_eq!(tables(&folder, "r/"), before);
}

#[test]
fn a_path_in_a_sweep_file_is_relative_to_it_and_one_in_a_flag_to_the_shell() {
    let folder = with_checkpoints(&["a"]);
    std::fs::create_dir(folder.path("sweeps")).unwrap();
    std::fs::rename(folder.path("a.safetensors"), folder.path("sweeps/a.safetensors")).unwrap();
    folder.write("sweeps/sweep.toml", format!("network = \"mlp\"\nload = \"a.safetensors\"\n{SWEEP}"));
    folder.tombola("run sweeps/sweep.toml --out one --quiet").expect(0);
    folder.tombola("run sweeps/sweep.toml --load sweeps/a.safetensors --out two --quiet").expect(0);
    // The user's folder is the test's.
    folder.write(
        "sweeps/home.toml",
        format!("network = \"mlp\"\nload = \"~/sweeps/a.safetensors\"\nout = \"~/three\"\n{SWEEP}"),
    );
    folder.shell("cd sweeps && tombola run home.toml --quiet").expect(0);
    let stages = |name: &str| -> Vec<String> {
        folder.table(&format!("{name}/results.csv")).iter().map(|row| row["stage"].clone()).collect()
    };
    assert_eq!(stages("one"), stages("two"));
    assert_eq!(stages("one"), stages("three"));
    assert_eq!(folder.table("one/results.csv")[0]["load"], "a.safetensors");
    // A complete sweep file trains the same from anywhere.
    folder.shell("mkdir x && cd x && tombola run ../one/sweep.toml --out ../four --quiet").expect(0);
    assert_eq!(stages("one"), stages("four"));
    // What was right before is told how it is right now.
    folder.write("sweeps/shell.toml", format!("network = \"mlp\"\nload = \"sweeps/a.safetensors\"\n{SWEEP}"));
    folder.tombola("run sweeps/shell.toml").expect(2).says("relative to that file");
}

#[test]
fn a_checkpoint_with_values_that_are_no_numbers_is_refused_before_anything_is_trained() {
    let folder = with_checkpoints(&["a"]);
    let bytes = std::fs::read(folder.path("a.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        .collect();
    tensors.sort();
    let odd = tensors.iter_mut().find(|(_, kind, _, data)| *kind == Dtype::F32 && data.len() > 100).unwrap();
    odd.3[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    odd.3[8..12].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
    let (name, len) = (odd.0.clone(), odd.3.len() / 4);
    let views =
        tensors.iter().map(|(name, kind, shape, data)| (name, TensorView::new(*kind, shape.clone(), data).unwrap()));
    folder.write("nan.safetensors", safetensors::serialize(views, None).unwrap());
    let before = folder.listing();
    folder
        .tombola("run first.toml --load nan.safetensors --out r")
        .expect(2)
        .says(&format!("`{name}` has 2 of {len} values that are NaN or infinite"))
        .says("hint: ");
    assert_eq!(folder.listing(), before);
}

#[test]
fn one_checkpoint_a_seed_is_one_row_with_a_mean() {
    let folder = with_checkpoints(&["a", "b", "c"]);
    let loads = "load = [\"a.safetensors\", \"b.safetensors\", \"c.safetensors\"]\nseed = [1, 2, 3]\n";
    folder.write("zipped.toml", format!("network = \"mlp\"\n{loads}zip = [\"load\", \"seed\"]\n{SWEEP}"));
    folder.tombola("run zipped.toml --out zipped --quiet").expect(0).prints("±");
    let rows = folder.table("zipped/summary.csv");
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!((row["n"].as_str(), row["load"].as_str()), ("3", "one a seed"));
        assert!(!row["last_test_accuracy_std"].is_empty());
    }
    // Tickets of different seeds are compared, and each trial still says what it is of.
    assert_eq!(folder.table("zipped/overlap.csv").len(), 3);
    let loads: Vec<String> = folder.table("zipped/results.csv").iter().map(|row| row["load"].clone()).collect();
    assert!(loads.contains(&"a.safetensors".to_string()) && loads.contains(&"c.safetensors".to_string()));
    // Every seed with every checkpoint is another question: a mean for each checkpoint.
    folder.write("crossed.toml", folder.read("zipped.toml").replace("zip = [\"load\", \"seed\"]", ""));
    folder.tombola("run crossed.toml --out crossed --quiet").expect(0);
    let rows = folder.table("crossed/summary.csv");
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| row["n"] == "3" && row["load"].ends_with(".safetensors")));
}
