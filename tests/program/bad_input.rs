//! Wrong input and a machine that lacks something: one clear message with the cure, the right exit code, and nothing
//! left behind. That no panic and no backtrace reaches the user is checked with every call.

use std::time::Duration;

use super::common::{Folder, PROGRAM, idx_set, skipped};
use tombola_core::sweep::Spec;

/// A sweep that trains in no time, to be made wrong.
const SMALL: &str = "run --dataset synthetic --synthetic-size 60 --network lenet-300-100 --epochs 1 --out out";

/// Runs it, expects this exit code and this message with its cure, and that no file was made.
#[track_caller]
fn refused(folder: &Folder, arguments: &str, code: i32, message: &str, hint: &str) {
    refused_by(folder, || folder.tombola(arguments), code, message, hint);
}

/// The same, however the program is started.
fn refused_by(folder: &Folder, start: impl FnOnce() -> super::common::Ran, code: i32, message: &str, hint: &str) {
    let before = folder.listing();
    let ran = start().expect(code);
    let flat = ran.err.replace('\n', " ");
    assert!(flat.contains(&format!("error: {message}")), "expected: {message}\n{ran}");
    assert!(hint.is_empty() || flat.contains(&format!("hint: {hint}")), "expected the hint: {hint}\n{ran}");
    assert_eq!(ran.out, "", "{ran}");
    assert_eq!(folder.listing(), before, "something was left behind\n{ran}");
}

#[test]
fn unknown_keys_name_the_line_and_the_nearest_key() {
    let folder = Folder::new();
    folder.write("mine.toml", "seed = 1\nprunning-ratio = 0.5\n");
    let message = "`mine.toml`: line 2: `prunning-ratio` is not a setting";
    refused(&folder, "run mine.toml", 2, message, "did you mean `pruning-ratio`?");
    refused(&folder, "plan mine.toml", 2, message, "did you mean `pruning-ratio`?");
}

#[test]
fn a_file_that_is_no_toml_names_the_line() {
    let folder = Folder::new();
    folder.write("mine.toml", "seed = 1\npr = = 2\n");
    refused(&folder, "run mine.toml", 2, "`mine.toml`: line 2: ", "the file must be TOML");
    folder.write("mine.toml", b"\xff\xfe\x00binary");
    refused(&folder, "run mine.toml", 2, "`mine.toml` is no text", "give a sweep file");
}

#[test]
fn a_missing_sweep_file_names_the_nearest_one() {
    let folder = Folder::new();
    folder.write("sweeps/quickstart.toml", "epochs = 1\n");
    let nearest = "did you mean `sweeps/quickstart.toml`?";
    refused(&folder, "run sweeps/quikstart.toml", 2, "cannot read `sweeps/quikstart.toml`: ", nearest);
    refused(&folder, "run quickstart.toml", 2, "cannot read `quickstart.toml`: ", nearest);
    refused(&folder, "run sweeps/other-thing.toml", 2, "cannot read `sweeps/other-thing.toml`: ", "check the path");
    refused(&folder, "run sweeps", 2, "cannot read `sweeps`: ", "give a file, not a folder");
}

#[test]
fn unknown_flags_and_verbs_name_the_nearest_one() {
    let folder = Folder::new();
    refused(&folder, "run --epoch 3", 2, "unexpected argument '--epoch' found", "");
    let ran = folder.tombola("run --epoch 3").expect(2);
    ran.says("similar argument exists: '--epochs'");
    folder.tombola("rum").expect(2).says("similar subcommand exists: 'run'");
    refused(&folder, "run --pr --save", 2, "`--pr` has no value: the flag `--save`", "write `--pr VALUE`");
    folder.tombola("run --epochs").expect(2).says("a value is required for '--epochs <VALUE>'");
    folder.tombola("run one.toml two.toml").expect(2).says("unexpected argument 'two.toml'");
    assert_eq!(folder.listing(), Vec::<String>::new());
}

#[test]
fn values_out_of_bounds_name_the_flag_as_typed_and_what_was_expected() {
    let folder = Folder::new();
    for (flags, message) in [
        ("--pr 1.0", "`--pr`: found `1.0`, expected a ratio of at least 0 and below 1"),
        ("--pr -0.1", "`--pr`: found `-0.1`, expected a ratio of at least 0 and below 1"),
        ("--pruning-ratio 0.5,1", "`--pruning-ratio`: found `1`, expected a ratio of at least 0 and below 1"),
        ("--epochs 0", "`--epochs`: found `0`, expected a whole number from 1 to 1000000"),
        ("--epochs 1.5", "`--epochs`: found `1.5`, expected a whole number"),
        ("--bs 0", "`--bs`: found `0`, expected a whole number from 1 to 1000000"),
        ("--batch-size 99999999999999999999", "`--batch-size`: found `99999999999999999999`, expected a whole number"),
        ("--width 5000", "`--width`: found `5000`, expected a whole number from 1 to 4096"),
        ("--seed -1", "`--seed`: found `-1`, expected a whole number"),
        ("--w-decay -1e-4", "`--w-decay`: found `-1e-4`, expected a number from 0 to 1e6"),
        ("--lr nan", "`--lr`: found `nan`, expected a number"),
        ("--priter 1001", "`--priter`: found `1001`, expected a whole number up to 1000"),
        ("--lr-update-epochs 80 x", "`--lr-update-epochs`: found `80 x`, expected a list of items"),
        ("--workers 1,2", "`--workers`: found `1,2`, expected a whole number or `auto`"),
        ("--reinit epoch:1", "`reinit` names epoch 1, but a training has 1 epochs"),
        ("--synthetic-shape 0,8,8", "`synthetic-shape`: found [0, 8, 8], expected channels, height and width"),
    ] {
        refused(&folder, &format!("{SMALL} {flags}"), 2, message, "");
    }
    refused(
        &folder,
        &format!("{SMALL} --o sdg"),
        2,
        "`--o`: found `sdg`, expected one of `sgd`",
        "did you mean `sgd`?",
    );
    refused(&folder, &format!("{SMALL} --network lenet-301"), 2, "`lenet-301` is not a network", "");
    folder.write("mine.toml", "epochs = 1\npruning-ratio = [0.5, 1.0]\n");
    refused(&folder, "run mine.toml", 2, "`mine.toml`: line 2: `pruning-ratio`: found `1.0`, expected a ratio", "");
    // A wrong flag is not the file's fault.
    refused(&folder, "run mine.toml --pr 2", 2, "`--pr`: found `2`", "");
}

#[test]
fn sizes_that_do_not_fit_the_data_or_the_machine_are_refused_before_anything_starts() {
    let folder = Folder::new();
    let limit = "data set `synthetic`: 0 training images are asked for; expected 1 to 60";
    for (flags, message, hint) in [
        ("--train-limit 0", limit, "give another `--train-limit`"),
        (
            "--train-limit 61",
            "data set `synthetic`: 61 training images are asked for; expected 1 to 60",
            "give another",
        ),
        ("--validation-size 60", "data set `synthetic`: 60 validation images of 60", "take fewer validation images"),
        ("--validation-size 0", "`validation-size` is 0, but epochs are chosen on", "hold some images out"),
        (
            "--synthetic-size 100000000 --synthetic-shape 3,1000,1000",
            "100000000 + 50000000 synthetic images of 3x1000x1000 need more than",
            "ask for fewer or smaller images",
        ),
        (
            "--network resnet --depth 9998",
            "network `resnet` for images of 1x8x8: `depth = 9998`",
            "the nearest depth is",
        ),
        ("--network resnet --depth 4994 --width 4096", "network `resnet` for images of 1x8x8: ", ""),
        (
            "--network resnetb --depth 21",
            "network `resnetb` for images of 1x8x8: `depth = 21` is impossible",
            "the nearest",
        ),
    ] {
        let ran = folder.tombola(&format!("{SMALL} {flags}")).expect(2);
        let flat = ran.err.replace('\n', " ");
        assert!(
            flat.contains(&format!("error: {message}")) && flat.contains(&format!("hint: {hint}")),
            "{message}\n{ran}"
        );
        assert_eq!(folder.listing(), Vec::<String>::new(), "{flags}");
    }
}

#[test]
fn a_network_too_deep_for_the_images_names_the_layer() {
    let folder = Folder::new();
    let message = "network `vgg-16` for images of 1x8x8: layer `features.33`: a window of 2 does not fit";
    refused(&folder, &format!("{SMALL} --network vgg-16"), 2, message, "choose a network with fewer poolings");
}

#[test]
fn a_network_of_ones_own_that_cannot_be_names_the_layer() {
    let folder = Folder::new();
    let sweep = |layers: &str| {
        format!("dataset = \"synthetic\"\nnetwork = \"mine\"\nepochs = 1\n[networks.mine]\nlayers = [{layers}]\n")
    };
    folder.write("mine.toml", sweep("\"flatten\", \"rleu\", { linear = 10 }"));
    refused(&folder, "run mine.toml", 2, "`mine.toml`: layer 2 of network `mine`: ", "did you mean `relu`?");
    folder.write("mine.toml", sweep("{ conv = 8, kernal = 3 }, \"flatten\""));
    refused(&folder, "run mine.toml", 2, "`mine.toml`: layer 1 of network `mine`: ", "");
    folder.write("mine.toml", sweep("{ max-pool = 9 }, \"flatten\", { linear = 10 }"));
    refused(&folder, "run mine.toml", 2, "network `mine` for images of 1x8x8: layer `layers.0`: a window of 9", "");
}

#[test]
fn missing_data_lists_the_places_and_the_cure() {
    let folder = Folder::new();
    let sweep = "run --dataset cifar-100 --network lenet-5 --epochs 1";
    let ran = folder.tombola(sweep).expect(2);
    let place = folder.path("data/cifar-100").display().to_string();
    ran.says(&format!("data set `cifar-100` not found in `{place}`, `"))
        .says("hint: run `tombola data fetch cifar-100`, or name the directory that holds it with `--data-dir`");
    folder.tombola(&format!("{sweep} --data-dir elsewhere")).expect(2).says("not found in `elsewhere/cifar-100`");
    assert_eq!(folder.listing(), Vec::<String>::new());
}

#[test]
fn damaged_and_mislabelled_idx_files_are_refused() {
    let folder = Folder::new();
    let sweep = "run --dataset mnist --own-data --network lenet-300-100 --epochs 1 --out out";
    let restore = || {
        for (name, bytes) in idx_set() {
            folder.write(&format!("data/mnist/{name}"), bytes);
        }
    };
    let [images, labels, ..] = idx_set();
    let broken = |bytes: &[u8], place: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[place] = value;
        bytes
    };
    let cases: [(&str, &str, Vec<u8>, &str); 6] = [
        ("truncated", images.0, images.1[..images.1.len() - 1].to_vec(), "40 images of 28x28"),
        ("a header alone", images.0, images.1[..6].to_vec(), ""),
        ("wrong magic", images.0, broken(&images.1, 2, 9), ""),
        ("huge sizes", images.0, broken(&images.1, 4, 0xff), ""),
        ("mislabelled", labels.0, broken(&labels.1, 8, 77), "label 77 of image 0 is out of range; expected 0 to 9"),
        ("labels of other images", labels.0, [&labels.1[..7], &[20], &labels.1[8..28]].concat(), "holds 20 labels"),
    ];
    for (case, name, bytes, message) in cases {
        restore();
        folder.write(&format!("data/mnist/{name}"), bytes);
        let before = folder.listing();
        let ran = folder.tombola(sweep).expect(2).says("error: ").says(name).says("hint: ").says(message);
        assert_eq!(folder.listing(), before, "{case}\n{ran}");
    }
    restore();
    folder.tombola(sweep).expect(0);
}

#[test]
fn data_that_are_not_what_they_are_called_need_a_word() {
    let folder = Folder::new();
    for (name, bytes) in idx_set() {
        folder.write(&format!("data/mnist/{name}"), bytes);
    }
    let sweep = "run --dataset mnist --network lenet-300-100 --priter 0 --epochs 1 --lr 0.01 --out out";
    let before = folder.listing();
    let ran = folder.tombola(sweep).expect(2).says("data set `mnist`: not the publisher's files: `").says("MD5 is ");
    let ran = ran.says(", and 3 more").says("hint: `tombola data check mnist` lists them").says("add `--own-data`");
    assert_eq!(folder.listing(), before, "{ran}");
    let ran = folder.tombola(&format!("{sweep} --own-data")).expect(0);
    assert_eq!(ran.err.matches("warning: data set `mnist`: `").count(), 4, "{ran}");
    assert!(folder.read("out/log").contains("warning: data set `mnist`: `"));
    // The folder knows them from now on.
    folder.tombola(&format!("{sweep} --seed 1,2")).expect(0).does_not_say("warning");
}

/// Where Debian's package puts Fashion-MNIST.
const FASHION_MNIST: &str = "/usr/share/datasets/fashion-mnist";

#[test]
fn files_of_another_set_are_said_to_be_what_they_are() {
    let folder = Folder::new();
    for (name, _) in idx_set() {
        let name = format!("{name}.gz");
        let Ok(bytes) = std::fs::read(format!("{FASHION_MNIST}/{name}")) else {
            return skipped("files_of_another_set_are_said_to_be_what_they_are", "Fashion-MNIST is not installed");
        };
        folder.write(&format!("data/mnist/{name}"), bytes);
    }
    let this = "this is `train-images-idx3-ubyte` of fashion-mnist: MD5";
    folder.tombola("run --dataset mnist --network lenet-300-100 --epochs 1 --out out").expect(2).says(this);
    assert!(folder.tombola("data check mnist").expect(2).out.contains(this));
}

#[test]
fn another_data_set_is_not_taken_for_a_mistyped_one() {
    let folder = Folder::new();
    let ran = folder.tombola("run --dataset svhn --epochs 1").expect(2).does_not_say("did you mean");
    ran.says("`svhn` is not a known data set; expected one of fashion-mnist, mnist, ").says("choose one of these");
}

#[test]
fn data_sorted_by_class_are_warned_of() {
    let folder = Folder::new();
    let file = |magic: u32, sizes: &[u32], body: Vec<u8>| {
        let head = std::iter::once(&magic).chain(sizes).flat_map(|number| number.to_be_bytes());
        head.chain(body).collect::<Vec<u8>>()
    };
    let write = |part: &str, count: u32| {
        let labels = (0..count).map(|image| (image * 10 / count) as u8).collect();
        folder.write(&format!("data/mnist/{part}-labels-idx1-ubyte"), file(0x801, &[count], labels));
        let pixels = (0..count * 784).map(|byte| (byte % 251) as u8).collect();
        folder.write(&format!("data/mnist/{part}-images-idx3-ubyte"), file(0x803, &[count, 28, 28], pixels));
    };
    write("train", 400);
    write("t10k", 20);
    let sweep = "run --dataset mnist --own-data --network lenet-300-100 --priter 0 --epochs 1 --lr 0.01 --out out";
    let said = "warning: data set `mnist`: 9 of 10 classes are in none of the 40 validation images";
    folder.tombola(sweep).expect(0).says(said);
    assert!(folder.read("out/log").contains(said));
}

#[test]
fn two_names_of_one_setting_are_refused_with_both() {
    let folder = Folder::new();
    let both = "`--lr` and `--learning-rate` are one setting, `learning-rate`, given twice";
    refused(&folder, &format!("{SMALL} --lr 0.1 --learning-rate 0.2"), 2, both, "leave one of them out");
    folder.write("sweep.toml", "lr = 0.1\nlearning-rate = 0.2");
    let both = "`sweep.toml`: line 2: `lr` and `learning-rate` are one setting";
    refused(&folder, "run sweep.toml", 2, both, "leave one of them out");
}

#[test]
fn other_data_than_the_results_are_of_are_refused() {
    let folder = Folder::new();
    for (name, bytes) in idx_set() {
        folder.write(&format!("data/mnist/{name}"), bytes);
    }
    let sweep = "run --dataset mnist --own-data --network lenet-300-100 --epochs 1 --lr 0.01 --out out";
    folder.tombola(sweep).expect(0);
    let (results, asked) = (folder.read("out/results.csv"), folder.read("out/sweep.toml"));
    let [_, (name, mut bytes), ..] = idx_set();
    bytes[8] = 5;
    folder.write(&format!("data/mnist/{name}"), bytes);
    let ran = folder.tombola(&format!("{sweep} --seed 2")).expect(2);
    ran.says("the files of `mnist` are not those that the results in this folder are of")
        .says("hint: restore the data");
    assert_eq!((folder.read("out/results.csv"), folder.read("out/sweep.toml")), (results, asked));
}

#[test]
fn a_checkpoint_that_cannot_be_loaded_is_refused_before_anything_starts() {
    let folder = Folder::new();
    let missing = format!("`load`: cannot read `{}`: ", folder.path("none.safetensors").display());
    refused(&folder, &format!("{SMALL} --load none.safetensors"), 2, &missing, "give the path of a state dict");
    folder.write("model.pth", "PK\x03\x04 a zip of pickles");
    let message = "model.pth` is no zip archive, or a damaged one";
    folder.tombola(&format!("{SMALL} --load model.pth")).expect(2).says(message).says("hint: give a state dict");

    folder.tombola(&format!("{SMALL} --priter 0 --save --out dense")).expect(0);
    let stage = folder.table("dense/results.csv")[0]["stage"].clone();
    let file = format!("dense/stages/{stage}/last.safetensors");
    let before = folder.listing();
    let ran = folder.tombola(&format!("{SMALL} --network lenet-5 --synthetic-shape 1,28,28 --load {file}")).expect(2);
    ran.says("is of another network: ").says("hint: load it with the same `--network`");
    assert_eq!(folder.listing(), before);
    // In the right network it is taken as it is.
    folder.tombola(&format!("{SMALL} --load {file}")).expect(0).says("2 trainings with 1 epoch,");
    refused(
        &folder,
        &format!("{SMALL} --load {file} --reinit init"),
        2,
        "trial 1: `reinit`: the weights before",
        "use",
    );
}

#[test]
fn a_folder_in_use_by_another_run_is_left_alone() {
    let folder = Folder::new();
    let sweep = format!("{SMALL} --epochs 1000000");
    let mut first = folder.command(PROGRAM).args(sweep.split(' ')).spawn().unwrap();
    // `sweep.toml` is written under the lock.
    while !folder.path("out/sweep.toml").exists() {
        assert!(first.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    let asked = folder.read("out/sweep.toml");
    let ran = folder.tombola(&format!("{SMALL} --seed 2")).expect(3);
    first.kill().unwrap();
    first.wait().unwrap();
    ran.says(&format!("error: `out` is in use by another run (process {} on ", first.id()))
        .says("hint: wait for it, or choose another folder with `--out`");
    assert_eq!(folder.read("out/sweep.toml"), asked);
    // The lock died with its holder.
    folder.tombola(&format!("{SMALL} --seed 2")).expect(0);
}

#[test]
fn a_results_folder_that_cannot_be_made_names_the_path() {
    let folder = Folder::new();
    folder.write("file", "text");
    let message = "cannot create `file/results`: ";
    refused(&folder, &format!("{SMALL} --out file/results"), 2, message, "a part of the path is a file");
    refused(&folder, &format!("{SMALL} --out /dev/null/x"), 2, "cannot create `/dev/null/x`: ", "");
    refused(&folder, &format!("{SMALL} --out file"), 2, "cannot create `file`: ", "a file of that name is in the way");
}

#[test]
fn a_results_folder_without_write_permission_names_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    std::fs::create_dir(folder.path("closed")).unwrap();
    std::fs::set_permissions(folder.path("closed"), std::fs::Permissions::from_mode(0o555)).unwrap();
    let arguments = format!("{SMALL} --out closed/results");
    let (message, hint) = ("cannot create `closed/results`: ", "give yourself the permission");
    if std::fs::write(folder.path("closed/probe"), "").is_err() {
        return refused(&folder, &arguments, 3, message, hint);
    }
    // Root may write everywhere, but for this capability.
    let limited = "setpriv --bounding-set -dac_override";
    if folder.shell(&format!("{limited} true && ! {limited} touch closed/other")).code != Some(0) {
        return skipped("a_results_folder_without_write_permission_names_it", "this user may write everywhere");
    }
    refused_by(&folder, || folder.shell(&format!("{limited} tombola {arguments}")), 3, message, hint);
}

#[test]
fn a_journal_of_something_else_is_refused_and_left_alone() {
    let folder = Folder::new();
    folder.write("out/journal", "not a journal of this program");
    refused(&folder, SMALL, 2, "`out/journal` is no journal that this version reads", "choose another results folder");
    folder.tombola("repair out").expect(2).says("move it away and `tombola repair` the folder");
    assert_eq!(folder.read("out/journal"), "not a journal of this program");
}

#[test]
fn a_full_disk_ends_the_run_with_the_cure_and_what_was_written_stays() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("disk")).unwrap();
    // A disk of a few pages in a name space of its own, which is gone with the shell; then the same disk with more space.
    let disk = "mount -t tmpfs -o size=300k tmpfs disk";
    let script = |rest: &str| {
        let own = if folder.command("unshare").args(["--mount", "true"]).status().is_ok_and(|s| s.success()) {
            ""
        } else {
            "--map-root-user "
        };
        format!("unshare {own}--mount bash -c '{disk} && {{ {rest}; }}'")
    };
    if folder.shell(&script("true")).code != Some(0) {
        return skipped(
            "a_full_disk_ends_the_run_with_the_cure_and_what_was_written_stays",
            "no small disk can be mounted",
        );
    }
    let sweep = format!("tombola {} --out disk/out --save --epochs 2 --quiet", SMALL);
    let ran = folder.shell(&script(&format!(
        "{sweep}; echo exit code $?; find disk -name \"*.tmp\"; mount -o remount,size=8m disk; {sweep}; echo exit code $?"
    )));
    let ran =
        ran.expect(0).says("No space left on device").says("hint: free some space and run the same command again");
    // The second run went on in the same folder.
    let codes: Vec<&str> =
        ran.out.lines().filter(|line| line.starts_with("exit code") || line.contains(".tmp")).collect();
    assert_eq!(codes, ["exit code 3", "exit code 0"], "{ran}");
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let folder = Folder::new();
    let ran = folder.tombola(&format!("{SMALL} --device cuda:99")).expect(3);
    assert!(
        ran.err.contains("error: no GPU can be used") || ran.err.contains("error: `cuda:99` is not there"),
        "{ran}"
    );
    ran.says("hint: ").says("--device cpu");
    refused(&folder, &format!("{SMALL} --device tpu"), 2, "`device`: found `tpu`, expected `cpu`, `cuda`", "");
    assert_eq!(folder.listing(), Vec::<String>::new());
}

#[test]
fn a_training_that_diverges_becomes_a_row_and_the_rest_goes_on() {
    let folder = Folder::new();
    // Eight steps an epoch: the first ones make the weights huge, the next ones feel it.
    let lr = "--lr 1e6,0.01 --batch-size 8 --epochs 2";
    let ran = folder.tombola(&format!("{SMALL} {lr} --priter 2")).expect(1);
    ran.says("failed: lenet-300-100 seed 1 · dense · diverged: ")
        .says("3 of 6 trainings done, 1 failed, 2 left out, in ")
        .says("1 training failed, 2 left out because of that; the reasons are in out/results.csv")
        .prints("failed");
    let rows = folder.table("out/results.csv");
    let states: Vec<&str> = rows.iter().map(|row| row["state"].as_str()).collect();
    assert_eq!(states, ["failed", "skipped", "skipped", "done", "done", "done"]);
    assert!(rows[0]["error"].starts_with("diverged: the training loss is "), "{}", rows[0]["error"]);
    assert!(rows[0]["error"].contains("lower the learning rate"));
    assert!(rows[2]["error"].starts_with("skipped: level 0 failed: diverged: "), "{}", rows[2]["error"]);
    assert!(rows[3..].iter().all(|row| row["error"].is_empty() && !row["best_test_accuracy"].is_empty()));
    // Only what failed is tried again.
    folder.tombola(&format!("{SMALL} {lr} --priter 2")).expect(1).says("3 of 6 trainings are done, 3 to go");
}

#[test]
fn a_folder_that_is_no_results_folder_has_no_tables() {
    let folder = Folder::new();
    refused(&folder, "tables nowhere", 2, "there is no `nowhere/sweep.toml`", "give a results folder");
}

#[test]
fn pipes_and_devices_are_refused_where_a_file_is_read_and_nothing_waits_for_them() {
    let folder = Folder::new();
    let pipe = |name: &str| {
        let path = folder.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(folder.command("mkfifo").arg(&path).status().unwrap().success());
    };
    let waits_not = |line: &str, what: &str| {
        let ran = folder.shell(&format!("timeout 60 tombola {line}")).expect(2);
        ran.says(what).says("expected a regular file");
    };
    pipe("sweep.toml");
    waits_not("plan sweep.toml", "cannot read `sweep.toml`: it is a pipe");
    waits_not("plan /dev/zero", "cannot read `/dev/zero`: it is a device");
    pipe("weights.pth");
    waits_not(&format!("{SMALL} --load weights.pth"), "weights.pth`: it is a pipe");
    for (name, bytes) in idx_set() {
        folder.write(&format!("data/mnist/{name}"), bytes);
    }
    std::fs::remove_file(folder.path("data/mnist/train-images-idx3-ubyte")).unwrap();
    pipe("data/mnist/train-images-idx3-ubyte");
    let ran = folder.shell("timeout 60 tombola run --dataset mnist --network lenet-300-100 --epochs 1 --out out");
    assert!(matches!(ran.code, Some(2 | 3)) && ran.err.contains("train-images-idx3-ubyte"), "{ran}");
    pipe("results/journal");
    let complete = Spec::read(Some("dataset = \"synthetic\"\nnetwork = \"lenet-300-100\"\n"), &[]).unwrap().to_toml();
    folder.write("results/sweep.toml", complete);
    waits_not("status results", "results/journal`: it is a pipe");
    waits_not(&SMALL.replace("--out out", "--out results"), "results/journal`: it is a pipe");
    for name in ["log", "lock"] {
        pipe(&format!("{name}s/{name}"));
        let run = SMALL.replace("--out out", &format!("--out {name}s"));
        let ran = folder.shell(&format!("timeout 60 tombola {run}")).expect(2);
        ran.says(&format!("cannot write `{name}s/{name}`: it is a pipe"));
    }
    pipe("alive/lock.alive");
    folder.shell("timeout 60 tombola status alive").expect(2);
}

#[test]
fn more_threads_than_the_processor_can_give_time_to_are_refused() {
    let folder = Folder::new();
    let cores = std::thread::available_parallelism().unwrap().get();
    let threads = 8 * cores + 1;
    if threads > 1024 {
        return skipped("more threads than the processor has", "1024, the most, are not too many for this machine");
    }
    let message =
        format!("`threads` is {threads}, but this process may use {cores} cores; expected up to {}", 8 * cores);
    refused(
        &folder,
        &format!("{SMALL} --threads {threads}"),
        2,
        &message,
        &format!("give `--threads {cores}` or fewer"),
    );
}

#[test]
fn what_could_only_fail_in_training_is_refused_when_it_is_planned() {
    let folder = Folder::new();
    let bird = "--network resnetb --depth 11 --width 4 --prunety s --draw early-bird --epochs 5";
    for (flags, message, hint) in [
        ("--prunety s", "network `lenet-300-100`: no channel that may be pruned has such a score", "take a network"),
        ("--prune-layers conv", "network `lenet-300-100`: no layer of this network may be pruned", "choose other"),
        ("--slimming 0.1", "network `lenet-300-100`: `slimming`: it has no batch norm", "leave `slimming` at 0"),
        (bird, "`draw`: no early bird can be drawn in 5 epochs: rule `paper` looks at 5 distances", "train 6 epochs"),
        ("--precision tf32 --device cpu", "`precision = \"tf32\"` is of NVIDIA GPUs", "use fp32"),
    ] {
        refused(&folder, &format!("{SMALL} {flags}"), 2, message, hint);
        refused(&folder, &format!("{SMALL} {flags}").replacen("run", "plan", 1), 2, message, hint);
    }
    // Without a GPU that is known only when a run looks for one.
    let hidden = || {
        let line = format!("{SMALL} --precision tf32");
        let mut command = folder.command(PROGRAM);
        let output = command.args(line.split_whitespace()).env("CUDA_VISIBLE_DEVICES", "").output().unwrap();
        super::common::Ran::of(&line, output)
    };
    refused_by(&folder, hidden, 2, "`precision = \"tf32\"` is of NVIDIA GPUs", "use fp32");
    // Of several trials the one is named that could only fail.
    let axis = format!("{SMALL} --prune-layers all,conv");
    refused(&folder, &axis, 2, "trial 2: network `lenet-300-100`: no layer of this network", "choose other layers");
}

#[test]
fn a_measurement_beside_pytorch_that_cannot_be_made_is_refused_or_told_in_words() {
    let folder = Folder::new();
    let network =
        "`--network`: `lenet-300-100` cannot be measured beside PyTorch, whose side of a step has `resnet`, `resnetb`";
    refused(&folder, "bench step --python nowhere --network resnet,lenet-300-100", 2, network, "name one of these");
    let tf32 = "`precision = \"tf32\"` is of NVIDIA GPUs";
    refused(&folder, "bench step --precision tf32", 2, tf32, "use fp32");
    refused(&folder, "tune --precision tf32", 2, tf32, "use fp32");
    // A Python that fails in the middle: its last line says why.
    let failing = "#!/bin/sh\necho ready 2.11.0\nread line\necho 'Traceback (most recent call last):' >&2\n\
                   echo '  File \"step.py\", line 80, in prepare' >&2\necho 'MemoryError: no room' >&2\nexit 1\n";
    folder.write("python", failing);
    let file = folder.path("python");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let line = format!(
        "bench step --python {} --network resnet --depth 8 --batch-size 2 --precision fp32 --no-record",
        file.display()
    );
    let ran = folder.tombola(&line).expect(3).does_not_say("Traceback");
    let ran = ran.says(
        "the Python process ended at `resnet 8 fp32 contiguous eager`, with exit status: 1: MemoryError: no room",
    );
    assert!(ran.err.contains("hint: `--python` needs a Python with torch"), "{ran}");
}
