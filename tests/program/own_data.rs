//! Data of the user's own: real sets in the layouts that people keep them in, what is wrong with sets, and sets that do not fit into
//! memory; and the recipes of papers.

use std::collections::HashMap;

use super::common::python::Python;
use super::common::ranks::signal;
use super::common::{Folder, Ran, skipped, wait_until};

/// What writes the sets.
const MODULES: [&str; 6] = ["numpy", "PIL", "pyarrow", "pandas", "sklearn", "scipy"];

fn written(test: &str, what: &str) -> Option<Folder> {
    let python = Python::with(test, &MODULES)?;
    let folder = Folder::new();
    python.run("data_layouts.py", [folder.path("").as_os_str(), what.as_ref()]);
    Some(folder)
}

fn row(folder: &Folder, results: &str) -> HashMap<String, String> {
    folder.table(&format!("{results}/results.csv")).swap_remove(0)
}

fn accuracy(folder: &Folder, results: &str) -> f64 {
    row(folder, results)["best_test_accuracy"].parse().unwrap()
}

/// A PNG of one colour, by hand: small sets need no other program.
fn png(side: u32, value: u8) -> Vec<u8> {
    let mut raw = Vec::new();
    for _ in 0..side {
        raw.push(0);
        raw.extend(std::iter::repeat_n(value, side as usize));
    }
    let chunk = |name: &[u8], content: &[u8]| {
        let body = [name, content].concat();
        let sum = crc32(&body);
        [&(content.len() as u32).to_be_bytes()[..], &body, &sum.to_be_bytes()].concat()
    };
    let head = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &head), chunk(b"IDAT", &stored(&raw)), chunk(b"IEND", &[])].concat()
}

/// A zlib stream of stored blocks.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let (mut one, mut two) = (1_u32, 0_u32);
    for byte in bytes {
        one = (one + u32::from(*byte)) % 65_521;
        two = (two + one) % 65_521;
    }
    let blocks = bytes.chunks(usize::from(u16::MAX)).flat_map(|block| {
        let length = block.len() as u16;
        [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes(), block].concat()
    });
    let last = [1, 0, 0, 0xff, 0xff];
    let sum = (two << 16 | one).to_be_bytes();
    [0x78, 1].into_iter().chain(blocks).chain(last).chain(sum).collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

/// Two classes of grey squares that anybody can tell apart.
fn squares(folder: &Folder) {
    for number in 0..40_u8 {
        folder.write(&format!("squares/dark/{number}.png"), png(6, number));
        folder.write(&format!("squares/light/{number}.png"), png(6, 255 - number));
    }
}

const SMALL: &str = "--network mlp --hidden 8 --epochs 2 --bs 8 --lr 0.1 --priter 0 --workers 1";

#[test]
fn fashion_mnist_in_four_layouts_is_one_training() {
    let Some(folder) = written("fashion_mnist_in_four_layouts_is_one_training", "fashion") else { return };
    let flags =
        "--network lenet-300-100 --epochs 3 --bs 64 --lr 0.05 --priter 1 --pr 0.8 --reinit init --workers 1 --quiet";
    let mut first: Option<(HashMap<String, String>, String)> = None;
    for layout in ["./folders", "fashion.npz", "./parquet", "./FashionMNIST"] {
        let out = format!("out-{}", layout.trim_start_matches("./").replace('.', "-"));
        folder.tombola(&format!("run --dataset {layout} {flags} --out {out}")).expect(0);
        let mut found = row(&folder, &out);
        found.remove("dataset");
        found.retain(|column, _| !column.contains("seconds"));
        assert!(accuracy(&folder, &out) > 0.75, "{layout}: {found:?}");
        let epochs: Vec<HashMap<String, String>> = folder.table(&format!("{out}/epochs.csv"));
        let losses: String = epochs.iter().map(|epoch| epoch["train_loss"].clone() + " ").collect();
        match &first {
            None => first = Some((found, losses)),
            Some((known, known_losses)) => assert!(*known == found && *known_losses == losses, "{layout}"),
        }
    }
}

#[test]
fn digits_are_learnt_as_images_and_as_rows() {
    let Some(folder) = written("digits_are_learnt_as_images_and_as_rows", "digits") else { return };
    let flags = "--network mlp --hidden 64 --epochs 20 --bs 32 --lr 0.05 --priter 0 --workers 1 --quiet";
    for set in ["digits.npz", "digits.csv", "floats.npz"] {
        folder.tombola(&format!("run --dataset {set} {flags} --out out-{set}")).expect(0);
        assert!(accuracy(&folder, &format!("out-{set}")) > 0.93, "{set}: {}", accuracy(&folder, &format!("out-{set}")));
    }
    folder.tombola("data look digits.csv").expect(0).prints("10 classes").prints("examples of 64");
    folder.tombola("data look floats.npz").expect(0).prints("there is no test part");
}

#[test]
fn icons_come_with_sizes_palettes_and_transparency() {
    let test = "icons_come_with_sizes_palettes_and_transparency";
    if !std::path::Path::new("/usr/share/icons/oxygen/base/32x32").is_dir() {
        return skipped(test, "the package oxygen-icon-theme is not installed");
    }
    let Some(folder) = written(test, "icons") else { return };
    folder
        .tombola("data look icons")
        .expect(0)
        .prints("6 classes")
        .prints("transparent")
        .prints("classes are unequal")
        .prints("size = [");
    folder.tombola(&format!("run --dataset ./icons {SMALL}")).expect(2).says("sizes: most are").says("size = [");
    folder.write(
        "icons.toml",
        "dataset = \"oxygen\"\nnetwork = \"conv-2\"\nepochs = 4\nlearning-rate = 0.02\nprune-iterations = 0\nworkers = 2\n\
         class-weights = \"balanced\"\naugment = [\"flip\", \"crop:2\"]\n\
         [datasets.oxygen]\npath = \"icons\"\nsize = 16\nalpha = \"white\"\n",
    );
    folder.tombola("run icons.toml --out out --quiet").expect(0);
    // Six classes of unequal size: one in six by chance.
    assert!(accuracy(&folder, "out") > 0.4, "{}", accuracy(&folder, "out"));
}

#[test]
fn a_set_that_does_not_fit_gives_the_bytes_of_one_that_does() {
    let Some(folder) = written("a_set_that_does_not_fit_gives_the_bytes_of_one_that_does", "fashion") else { return };
    let flags = "--network lenet-300-100 --epochs 2 --bs 64 --lr 0.05 --augment flip --pr 0.5 --workers 1 --quiet";
    // 6.3 MB of pixels: mapped whole, or read ahead with room for one.
    for (out, memory) in [("whole", "auto"), ("ahead", "1")] {
        folder.tombola(&format!("run --dataset fashion.npz {flags} --data-memory {memory} --out {out}")).expect(0);
    }
    let is_read_ahead = |out: &str| folder.read(&format!("{out}/log")).contains("read ahead");
    assert!(!is_read_ahead("whole") && is_read_ahead("ahead"));
    for table in ["results.csv", "tickets.csv", "summary.csv"] {
        let read = |out: &str| folder.read(&format!("{out}/{table}"));
        assert_eq!(read("whole"), read("ahead"), "{table}");
    }
}

#[test]
fn what_is_wrong_with_a_set_is_told_before_anything_trains() {
    let folder = Folder::new();
    squares(&folder);
    let run = |more: &str| folder.tombola(&format!("run --dataset ./squares {SMALL} {more} --out out"));
    run("--quiet").expect(0);
    assert!(accuracy(&folder, "out") > 0.9);
    // A validation part larger than the data.
    run("--validation-size 5000").expect(2).says("5000 validation images").says("at most");
    folder
        .tombola("plan --dataset ./squares --validation-size 5000")
        .expect(2)
        .says("5000 validation images")
        .says("at most");
    // A class that what is left to train on has nothing of.
    run("--train-limit 2 --validation-size 1").expect(2).says("has none of the 1 training images");
    folder.write("squares/dark/1.png", &png(6, 3)[..40]);
    run("").expect(2).says("dark/1.png").says("is damaged").says("skip-damaged = true");
    folder.write(
        "skipping.toml",
        "dataset = \"squares\"\nnetwork = \"mlp\"\nhidden = [8]\nepochs = 1\nprune-iterations = 0\nbatch-size = 8\n\
         [datasets.squares]\npath = \"squares\"\nskip-damaged = true\n",
    );
    folder.tombola("run skipping.toml --out skipped").expect(0).says("1 damaged examples are left out");
    folder.write("squares/dark/1.png", png(7, 3));
    run("").expect(2).says("2 sizes").says("size = [6, 6]");
    std::fs::remove_file(folder.path("squares/dark/1.png")).unwrap();
    std::fs::create_dir(folder.path("squares/none")).unwrap();
    run("").expect(2).says("none").says("no training example");
    std::fs::remove_dir(folder.path("squares/none")).unwrap();
    // Other data under the same name: not mixed with what is there.
    run("").expect(2).says("are not those that the results in this folder are of").says("--out");
    folder.tombola("run --dataset ./nothing").expect(2).says("nothing");
    folder.tombola("run --dataset squares").expect(2).says("is not a known data set").says("./squares");
}

#[test]
fn a_stop_does_not_wait_until_all_is_decoded() {
    let folder = Folder::new();
    folder.write("large/dark/0.png", png(1200, 7)).write("large/light/0.png", png(1200, 200));
    // Seconds of decoding, of two files.
    for number in 1..800 {
        for class in ["dark", "light"] {
            let place = |number: u32| folder.path(&format!("large/{class}/{number}.png"));
            std::fs::hard_link(place(0), place(number)).unwrap();
        }
    }
    folder.write(
        "sweep.toml",
        "dataset = \"large\"\nnetwork = \"mlp\"\nhidden = [4]\nepochs = 1\nprune-iterations = 0\n\
         [datasets.large]\npath = \"large\"\nsize = [4, 4]\n",
    );
    let drafts = || {
        let entries = std::fs::read_dir(folder.path(".cache/tombola/data")).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".new-")).count()
    };
    let mut command = folder.command(super::common::PROGRAM);
    command.args(["run", "sweep.toml", "--out", "out"]).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("decoding begins", || drafts() > 0);
    let asked = std::time::Instant::now();
    signal(child.id(), "TERM");
    let ended = Ran::of("run sweep.toml", child.wait_with_output().unwrap()).expect(75);
    ended.says("asked to stop before the reading of the data was over").says("run the same command again");
    assert!(asked.elapsed().as_secs_f64() < 2.0 && drafts() == 0, "{:?}", asked.elapsed());
    assert!(!folder.path("out").exists());
}

#[test]
fn folders_go_on_without_the_data_and_the_cache_can_go() {
    let folder = Folder::new();
    squares(&folder);
    folder.tombola(&format!("run --dataset ./squares {SMALL} --class-accuracy --out out --quiet")).expect(0);
    let first = folder.read("out/results.csv");
    let classes = folder.read("out/classes.csv");
    assert!(classes.contains(",0,dark,8,") && classes.contains(",1,light,8,"), "{classes}");
    std::fs::rename(folder.path("squares"), folder.path("elsewhere")).unwrap();
    folder.tombola("status out --check").expect(0);
    folder.tombola("run out/sweep.toml --out out").expect(0).says("nothing to train");
    assert_eq!(folder.read("out/classes.csv"), classes);
    folder.tombola("data clear").expect(0).prints("MB freed");
    // Elsewhere and under another name the same data are the same training.
    folder.tombola(&format!("run --dataset ./elsewhere {SMALL} --out other --quiet")).expect(0);
    let stage = |results: &str| row(&folder, results)["stage"].clone();
    assert_eq!(stage("out"), stage("other"));
    assert_eq!(first, folder.read("out/results.csv"));
    // A damaged cache is decoded again.
    let cache = folder.path(".cache/tombola/data");
    let part = std::fs::read_dir(&cache).unwrap().flatten().map(|set| set.path().join("training"));
    let part = part.into_iter().find(|part| part.is_file()).unwrap();
    let mut bytes = std::fs::read(&part).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    folder.tombola(&format!("run --dataset ./elsewhere {SMALL} --seed 2 --out again --quiet")).expect(0);
}

#[test]
fn recipes_of_papers_are_planned_and_run_small() {
    let folder = Folder::new();
    let sweeps = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sweeps");
    // What is left of each: the recipe, on images that are made, for two or three epochs.
    let small = "--dataset synthetic --synthetic-shape 3,32,32 --synthetic-size 40 --train-limit 40 --batch-size 8 --epochs 2 \
                 --lr-milestones 1 --workers 2 --quiet";
    for (name, trained, more) in [
        ("early-bird-cifar-100", "8 trainings", "--depth 11 --width 4 --draw epoch:1"),
        ("open-lth-resnet-20", "11 trainings with 1750 epochs", "--depth 8 --width 4 --reinit 6it"),
        ("scratch-b", "12 trainings", "--network vgg-11 --seed 1 --fine-tune-epochs 1"),
    ] {
        let path = sweeps.join(format!("{name}.toml"));
        folder.tombola(&format!("plan {}", path.display())).expect(0).prints(trained);
        folder.tombola(&format!("run {} {small} {more} --out {name}", path.display())).expect(0);
        let rows = folder.table(&format!("{name}/results.csv"));
        assert!(!rows.is_empty() && rows.iter().all(|row| row["state"] == "done"), "{name}");
    }
}
