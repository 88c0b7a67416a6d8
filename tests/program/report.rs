//! The report, the table for a paper, and the server, from the results of a real sweep.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;

use super::common::{Folder, PROGRAM};

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

fn finished() -> Folder {
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

/// A server that ends with the test.
struct Served {
    process: Child,
    address: String,
}

impl Served {
    fn of(folder: &Folder) -> Self {
        let mut process = folder.command(PROGRAM).args(["serve", "results/sweep", "--port", "0"]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_string();
        Self { process, address }
    }

    /// What comes back for some bytes.
    fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        stream.write_all(request).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).to_string()
    }

    fn get(&self, path: &str) -> String {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_server_shows_the_page_and_the_tables_on_this_machine_and_nothing_else() {
    let folder = finished();
    folder.write("secret.txt", "a secret").write("results/sweep/secret.txt", "a secret");
    let served = Served::of(&folder);
    assert!(served.address.starts_with("127.0.0.1:"), "{}", served.address);
    assert!(served.get("/").contains("10 trials took"));
    assert!(served.get("/results.csv").contains("trial,level,stage"));
    for path in [
        "/secret.txt",
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/results.csv/../secret.txt",
        "//secret.txt",
        "/sweep.toml",
        "/journal",
        "/%2e%2e/secret.txt",
        "/results.csv%00.txt",
    ] {
        let answer = served.get(path);
        assert!(answer.starts_with("HTTP/1.1 404") && !answer.contains("a secret"), "{path}: {answer}");
    }
    for request in [
        &b"\x00\xff\xfe"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ] {
        served.raw(request);
    }
    assert!(
        served.raw(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").contains("405")
    );
    // It is still there, and follows what is written.
    let version = served.get("/version");
    let mut journal = std::fs::OpenOptions::new().append(true).open(folder.path("results/sweep/journal")).unwrap();
    journal.write_all(&[7, 0, 0, 0, 1]).unwrap();
    assert_ne!(served.get("/version"), version);
    assert!(served.get("/").contains("10 trials took"), "a torn journal is no reason to stop");
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
