//! The report and the table for a paper, from the results of a real sweep.

use super::common::Folder;

const SWEEP: &str = r#"
name = "sweep"
dataset = "synthetic"
synthetic-size = 200
network = "resnetb"
depth = 11
width = 4
epochs = 7
learning-rate = 0.05
seed = [1, 2]

[[grid]]
reinit = ["init", "lr"]
pruning-ratio = [0.5, 0.9]

[[grid]]
pruning-type = "structured"
pruning-ratio = 0.3
draw = "early-bird"
early-bird-epsilon = 1.0
"#;

/// A folder with the finished sweep.
pub(crate) fn finished() -> Folder {
    let folder = Folder::new();
    folder.write("sweep.toml", SWEEP);
    folder.tombola("run sweep.toml --workers 2 --quiet").expect(0);
    folder
}

#[test]
fn the_page_has_the_numbers_of_the_tables_and_needs_nothing_else() {
    let folder = finished();
    let before = folder.listing();
    folder.tombola("report results/sweep --out page.html --figures figures").expect(0);
    let page = folder.read("page.html");
    for row in folder.table("results/sweep/results.csv") {
        assert!(
            page.contains(&format!("\"{}\"", row["stage"])) && page.contains(&row["best_test_accuracy"]),
            "{row:?}"
        );
    }
    for row in folder.table("results/sweep/summary.csv") {
        assert!(page.contains(&row["best_test_accuracy_mean"]), "{row:?}");
    }
    assert!(page.contains("10 trials took") && page.contains("early birds were drawn, at epoch"), "{page}");
    assert!(page.contains("id=\"accuracy-density\"") && page.contains("id=\"early-bird-structured-bn-scale-0.3\""));
    let without_names = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http:", "https:", "src=", "@import"] {
        assert!(!without_names.contains(outside), "{outside}");
    }
    for name in ["accuracy-density", "training-curves", "mask-distance", "early-bird-structured-bn-scale-0.3"] {
        assert!(folder.read(&format!("figures/{name}.svg")).starts_with("<svg "), "{name}");
        assert!(folder.read(&format!("figures/{name}.csv")).lines().count() > 1, "{name}");
    }
    // Nothing else was touched.
    let after = folder.listing();
    let new: Vec<&String> = after.iter().filter(|name| !before.contains(name)).collect();
    assert!(new.iter().all(|name| name.starts_with("figures") || *name == "page.html"), "{new:?}");
}

#[test]
fn a_sweep_that_has_hardly_begun_says_what_is_missing() {
    let folder = Folder::new();
    folder.write(
        "sweep.toml",
        "name = \"sweep\"\ndataset = \"synthetic\"\nnetwork = \"lenet-5\"\n\
        synthetic-shape = [1, 28, 28]\nsynthetic-size = 100\nepochs = 1\nprune-iterations = 0\n",
    );
    folder.tombola("run sweep.toml --quiet").expect(0);
    folder.tombola("report results/sweep").expect(0);
    let page = folder.read("results/sweep/report.html");
    for why in ["no ticket beside a dense network", "no training has more than one epoch", "no masks are watched"] {
        assert!(page.contains(why), "{why}");
    }
    folder.tombola("report results/nothing").expect(2).says("results/nothing/sweep.toml");
}

#[test]
fn a_table_for_a_paper_has_the_means_of_the_summary() {
    let folder = finished();
    let ran = folder.tombola("table results/sweep --by density,rewind").expect(0);
    let mean = |ratio: &str, reinit: &str| {
        let rows = folder.table("results/sweep/summary.csv");
        let row = rows.iter().find(|row| {
            row["level"] == "1"
                && row["pruning-ratio"] == ratio
                && row["reinit"] == reinit
                && row["pruning-type"] == "unstructured"
        });
        let number = |column: &str| 100.0 * row.unwrap()[column].parse::<f64>().unwrap();
        format!("{:.2} ± {:.2}", number("best_test_accuracy_mean"), number("best_test_accuracy_std"))
    };
    let line = |density: &str| ran.out.lines().find(|line| line.starts_with(&format!("| {density} % |"))).unwrap();
    assert!(line("10").contains(&mean("0.9", "init")) && line("10").contains(&mean("0.9", "lr")), "{}", ran.out);
    let latex = folder.tombola("table results/sweep --format latex").expect(0).out;
    assert!(latex.contains("\\begin{tabular}") && latex.contains("\\bottomrule"), "{latex}");
    folder.tombola("table results/sweep --by nonsense,reinit").expect(2).says("`nonsense`");
}

#[test]
fn watching_a_sweep_that_has_ended_prints_once() {
    let folder = finished();
    let ran = folder.tombola("watch results/sweep").expect(0);
    assert!(ran.out.contains("results/sweep"), "{}", ran.out);
}

#[test]
fn the_table_for_a_paper_compiles() {
    let folder = finished();
    let table = folder.tombola("table results/sweep --by density,reinit --format latex").expect(0).out;
    if std::process::Command::new("pdflatex").arg("--version").output().is_err() {
        return super::common::skipped("the table for a paper", "there is no `pdflatex`");
    }
    let document = format!(
        "\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{table}\n\\end{{document}}\n"
    );
    folder.write("paper.tex", document);
    folder.shell("pdflatex -interaction=nonstopmode -halt-on-error paper.tex").expect(0);
    assert!(folder.path("paper.pdf").exists());
}

#[test]
fn each_network_has_a_chart_and_a_finding_of_its_own_and_no_method_is_hidden() {
    let folder = Folder::new();
    folder.write(
        "sweep.toml",
        "name = \"sweep\"\ndataset = \"synthetic\"\nsynthetic-size = 60\nepochs = 2\nseed = [1, 2]\npr = [0.5, 0.75]\n\
         network = [\"lenet-300-100\", \"resnetb\"]\ndepth = 11\nwidth = 4\nreinit = [\"init\", \"lr\", \"random\", \"none\"]\n\
         criterion = [\"magnitude\", \"random\", \"lamp\", \"snip\"]\n",
    );
    folder.tombola("run sweep.toml --workers 2 --quiet").expect(0);
    folder.tombola("report results/sweep --figures figures").expect(0);
    let page = folder.read("results/sweep/report.html");
    for network in ["lenet-300-100", "resnetb"] {
        assert!(page.contains(&format!("<p>{network}: ")), "{network} has no finding");
        // Sixteen methods are more than one chart shows: each is in the legend of one of two.
        let parts = ["1", "2"].map(|part| format!("figures/accuracy-density-{part}-{network}"));
        let (legends, numbers) = (parts.each_ref().map(|part| folder.read(&format!("{part}.svg"))).concat(), &parts);
        let methods: std::collections::BTreeSet<String> = numbers
            .iter()
            .flat_map(|part| folder.table(&format!("{part}.csv")))
            .map(|row| row["method"].clone())
            .filter(|method| method != "dense")
            .collect();
        assert_eq!(methods.len(), 16, "{methods:?}");
        for method in &methods {
            assert!(legends.contains(method.as_str()) && !method.contains("network"), "{method}");
            assert!(page.contains(&format!("\"{method}: density ")), "{method} does not answer the pointer");
        }
    }
}
