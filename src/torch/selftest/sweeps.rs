//! Whole sweeps by the program itself: the same tables twice, and once more killed on the way; real images.

use std::path::Path;
use std::time::{Duration, Instant};

use tombola::selftest::told::CheckResult;
use tombola_core::sweep::Settings;
use tombola_train::workshop;
use tombola_words::error::{Error, Result, ignored};

use super::CheckBench;
use super::programs::{ProgramRun, read, table};

/// Tickets drawn at once, in two levels and by channels, rewound to the start and to an epoch; an early bird; two seeds.
const SWEEP: &str = "dataset = \"synthetic\"\nsynthetic-shape = [1, 8, 8]\nsynthetic-size = 300\nbatch-size = 32\nepochs = 6\n\
    learning-rate = 0.05\naugment = \"crop-flip\"\n\
    [[grid]]\nnetwork = \"resnet\"\ndepth = 8\nwidth = 4\nseed = [1, 2]\npruning-ratio = 0.5\nprune-iterations = [1, 2]\nreinit = \"init\"\n\
    [[grid]]\nnetwork = \"resnetb\"\ndepth = 11\nwidth = 4\npruning-type = \"structured\"\nslimming = 1e-3\npruning-ratio = 0.3\n\
    early-bird-epsilon = 0.9\n\
    draw = [\"early-bird\", \"epoch:2\"]\nreinit = \"epoch:1\"\n";

/// Tables that hold no times.
const TABLES: [&str; 4] = ["results.csv", "summary.csv", "tickets.csv", "hamming.csv"];
/// How long the first epochs are waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Points of accuracy by which sweeps may differ that add in another order: of some hundred images a fifth.
const NOISE: f64 = 0.2;

/// The same sweep three times: whole, again, and killed once.
pub(super) fn sweep(bench: &CheckBench) -> Result<CheckResult> {
    let kept = if bench.on_gpu() { " --deterministic" } else { "" };
    let run = |name: &str, more: &str| -> Result<ProgramRun> {
        let folder = bench.scratch.join(name);
        std::fs::create_dir_all(&folder).map_err(|error| Error::file("make", &folder, &error))?;
        std::fs::write(folder.join("sweep.toml"), SWEEP).map_err(|error| Error::file("write", &folder, &error))?;
        ProgramRun::new(bench, name, &format!("run sweep.toml --quiet --workers 2 --out out{more}"))
    };
    let out = |name: &str| bench.scratch.join(name).join("out");
    for name in ["whole", "again"] {
        bench.step(format!("the sweep, {name}"));
        run(name, kept)?.ends(0)?;
    }
    bench.step("the sweep that is killed");
    let epochs = kill_on_the_way(run("killed", kept)?, &out("killed"))?;
    bench.step("the sweep that was killed, going on");
    run("killed", kept)?.ends(0)?;
    let mut wrong = Vec::new();
    for name in ["again", "killed"] {
        for file in TABLES {
            if read(&out("whole").join(file))? != read(&out(name).join(file))? {
                wrong.push(format!("{file} of `{name}` is another"));
            }
        }
    }
    let rows = table(&out("whole").join("results.csv"))?;
    let done = rows.iter().filter(|row| value(row, "best_test_accuracy").is_some()).count();
    if done == 0 || done != rows.len() {
        wrong.push(format!("{done} of {} rows have an accuracy", rows.len()));
    }
    let mut details = vec![format!("killed after {epochs} epochs")];
    if bench.on_gpu() {
        bench.step("the sweep, in any order of adding");
        run("free", "")?.ends(0)?;
        wrong.extend(differences(&out("whole").join("results.csv"), &out("free").join("results.csv"))?);
        details.push("without `--deterministic`: the same counts, accuracies within noise".into());
    }
    Ok(match wrong.is_empty() {
        true => {
            CheckResult::pass(format!("{done} trials, the same {} tables to the byte twice and killed", TABLES.len()))
                .with(details)
        }
        false => CheckResult::fail(
            "the same sweep gives other tables",
            "do not compare trials that were trained here; report what is above",
        )
        .with(wrong),
    })
}

/// Kills a run as soon as its journal has some epochs; says how many.
fn kill_on_the_way(mut run: ProgramRun, out: &Path) -> Result<usize> {
    let mut child =
        run.command().spawn().map_err(|error| Error::environment(format!("cannot start `tombola run`: {error}")))?;
    let (begun, log) = (Instant::now(), out.join("log"));
    let epochs = loop {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let epochs = text.matches("epoch ").count();
        let over =
            child.try_wait().map_err(|error| Error::environment(format!("cannot wait for `tombola run`: {error}")))?;
        if let Some(status) = over {
            return Err(Error::training(format!("the run that was to be killed ended first, with {status}")));
        }
        if epochs >= 5 {
            break epochs;
        }
        if begun.elapsed() > PATIENCE {
            ignored(child.kill(), "it may be over");
            return Err(Error::training(format!("no epoch ended within {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    child
        .kill()
        .and_then(|()| child.wait())
        .map_err(|error| Error::environment(format!("cannot kill a run: {error}")))?;
    Ok(epochs)
}

/// What differs between the results of two sweeps by more than the order of adding explains.
fn differences(one: &Path, other: &Path) -> Result<Vec<String>> {
    let (one, other) = (table(one)?, table(other)?);
    if one.len() != other.len() {
        return Ok(vec![format!("{} rows, and {}", one.len(), other.len())]);
    }
    let far = one.iter().zip(&other).filter_map(|(one, other)| {
        let (a, b) = (value(one, "best_test_accuracy")?, value(other, "best_test_accuracy")?);
        ((a - b).abs() > NOISE || value(one, "alive") != value(other, "alive"))
            .then(|| format!("an accuracy of {a:.3}, and of {b:.3}"))
    });
    Ok(far.collect())
}

fn value(row: &std::collections::BTreeMap<String, String>, name: &str) -> Option<f64> {
    row.get(name)?.parse().ok()
}

/// Images, epochs and accuracy: a network of this size learns some 80 % from so few.
const IMAGES: usize = 5000;
const LEARNED: f64 = 0.72;

/// Fashion-MNIST, where it is here.
pub(super) fn fashion_mnist(bench: &CheckBench) -> Result<CheckResult> {
    let folder = bench.wish.data_dir.as_deref();
    if let Err(error) = tombola_data::places::find("fashion-mnist", folder) {
        let cure = "`tombola data fetch fashion-mnist` gets it";
        return Ok(CheckResult::skip(format!("{}; {cure}", error.message)));
    }
    // Files that are there and damaged are no reason to look away.
    let settings = Settings { dataset: "fashion-mnist".into(), ..Settings::default() };
    workshop::fingerprint(&settings, folder)?;
    bench.step("training on Fashion-MNIST");
    let words = format!(
        "run --quiet --network lenet-300-100 --dataset fashion-mnist --train-limit {IMAGES} --epochs 4 --batch-size 64 \
         --learning-rate 0.05 --schedule none --pruning-ratio 0.8 --reinit init --out out"
    );
    ProgramRun::new(bench, "fashion", &words)?.ends(0)?;
    let rows = table(&bench.scratch.join("fashion").join("out/results.csv"))?;
    let found: Vec<f64> = rows.iter().filter_map(|row| value(row, "best_test_accuracy")).collect();
    let lowest = found.iter().copied().fold(f64::INFINITY, f64::min);
    let words = found.iter().map(|accuracy| format!("{:.1} %", 100.0 * accuracy)).collect::<Vec<_>>().join(", ");
    let said = format!("accuracies after four epochs of {IMAGES} images: {words}");
    Ok(match lowest >= LEARNED && lowest.is_finite() {
        true => CheckResult::pass(said),
        false => CheckResult::fail(
            format!("{said}; expected {:.0} % and more", 100.0 * LEARNED),
            "see which check above failed; are the files its publisher's (`tombola data check fashion-mnist`)?",
        ),
    })
}
