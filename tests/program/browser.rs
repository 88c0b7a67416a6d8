//! The report in a real browser: charts, sorting, filtering, numbers, widths, no console errors, no requests.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::process::Command;

use super::common::{Folder, skipped};
use serde::Deserialize;

/// What `tests/outside/clicks.js` saw.
#[derive(Debug, Deserialize)]
struct Seen {
    errors: Vec<String>,
    /// Of the page.
    width: f64,
    /// What reaches beyond it.
    wide: Vec<String>,
    charts: Vec<Chart>,
    resources: Vec<String>,
    tables: Vec<Table>,
}

#[derive(Debug, Deserialize)]
struct Chart {
    name: String,
    width: f64,
    height: f64,
    buttons: usize,
    /// What its points say, and what stood below it after an arrow key, at the place of a point, and when the pointer had left.
    spots: Vec<String>,
    first: String,
    pointed: String,
    left: String,
}

#[derive(Debug, Deserialize)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    /// By column, after one click and after two.
    sorted: BTreeMap<String, (Vec<String>, Vec<String>)>,
    filtered: Vec<Vec<String>>,
    count: String,
}

/// A browser of this machine; without one the test is noted down as skipped.
fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let found =
        std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name))).find(|file| file.exists());
    if found.is_none() {
        skipped("report in a browser", "no Chromium was found");
    }
    found
}

/// Opens a page, and gives the document in the end and what was said on the console.
fn open(folder: &Folder, browser: &PathBuf, page: &str, arguments: &[&str]) -> (String, String) {
    let profile = format!("--user-data-dir={}", folder.path("profile").display());
    let mut command = Command::new(browser);
    // No address is known to it: whatever the page asked for would fail, and be told.
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]);
    command.args([
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ]);
    command.args(["--enable-logging=stderr", "--virtual-time-budget=20000", &profile]);
    let output = command.args(arguments).arg(format!("file://{}", folder.path(page).display())).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said: Vec<String> =
        text(&output.stderr).lines().filter(|line| line.contains("CONSOLE")).map(str::to_string).collect();
    (text(&output.stdout), said.join("\n"))
}

fn sweep(folder: &Folder, name: &str, text: &str) {
    let shared = format!("name = \"{name}\"\ndataset = \"synthetic\"\nsynthetic-size = 200\nlearning-rate = 0.05\n");
    folder.write(&format!("{name}.toml"), format!("{shared}{text}"));
    folder.tombola(&format!("run {name}.toml --quiet --save")).expect(0);
}

/// Cells in the order that the page sorts them into: numbers, then texts, then nothing.
fn ordered(mut cells: Vec<String>, down: bool) -> Vec<String> {
    let number = |cell: &str| cell.parse::<f64>().ok().filter(|number| !number.is_nan());
    cells.sort_by(|one, other| {
        let key = |cell: &str| (cell.is_empty(), number(cell).is_none());
        let turned = |order: std::cmp::Ordering| if down { order.reverse() } else { order };
        key(one).cmp(&key(other)).then_with(|| match (number(one), number(other)) {
            (Some(a), Some(b)) => turned(a.total_cmp(&b)),
            _ => turned(one.cmp(other)),
        })
    });
    cells
}

/// The page's rows, cell by cell, against those of the CSV file.
fn same_numbers(table: &Table, rows: &[HashMap<String, String>]) {
    assert_eq!(table.rows.len(), rows.len());
    for (shown, row) in table.rows.iter().zip(rows) {
        for (column, cell) in table.columns.iter().zip(shown) {
            assert_eq!(*cell, row[column], "{column}");
        }
    }
}

#[test]
fn a_report_can_be_read_sorted_and_filtered_on_wide_and_narrow_screens() {
    let Some(browser) = browser() else { return };
    let folder = Folder::new();
    sweep(
        &folder,
        "tickets",
        "network = \"lenet-5\"\nsynthetic-shape = [1, 28, 28]\nepochs = 3\npr = [0.5, 0.8]\nreinit = [\"init\", \"random\"]\n\
         seed = [1, 2]",
    );
    sweep(
        &folder,
        "birds",
        "network = \"resnetb\"\ndepth = 11\nwidth = 4\nepochs = 7\nprunety = \"s\"\npr = [0.3, 0.5]\ndraw = \"early-bird\"\n\
         early-bird-epsilon = 1.0\nbn-init = \"uniform\"",
    );
    folder.tombola("report results/tickets results/birds --out report.html --figures figures").expect(0);
    let script = include_str!("../outside/clicks.js");
    let page = folder.read("report.html").replace("</body>", &format!("<script>{script}</script></body>"));
    folder.write("used.html", page);
    let pictures = std::env::var_os("TOMBOLA_TEST_PICTURES").map(PathBuf::from);
    let mut pages = Vec::new();
    // Windows are at least 500 wide: a phone is a narrower page in one.
    for (name, width, size) in [("desktop", 1280, "1280,900"), ("phone", 390, "500,844")] {
        let window = format!("--window-size={size}");
        let narrow = format!("<style>html {{ width: {width}px; }}</style></head>");
        for file in ["used.html", "report.html"] {
            folder.write(&format!("{name}-{file}"), folder.read(file).replace("</head>", &narrow));
        }
        let (document, said) = open(&folder, &browser, &format!("{name}-used.html"), &[&window, "--dump-dom"]);
        assert_eq!(said, "", "{name}");
        let json = document.split("id=\"seen\">").nth(1).and_then(|rest| rest.split("</script>").next());
        let seen: Seen = serde_json::from_str(json.unwrap_or_else(|| panic!("{name}: {document}"))).unwrap();
        assert_eq!((&seen.errors, &seen.resources), (&Vec::new(), &Vec::new()), "{name}");
        assert_eq!(seen.wide, Vec::<String>::new(), "{name}: wider than the screen");
        let names: Vec<&str> = seen.charts.iter().map(|chart| chart.name.as_str()).collect();
        for expected in [
            "compared",
            "accuracy-density",
            "training-curves",
            "mask-distance",
            "early-bird-structured-bn-scale-0.5",
            "layer-density",
            "seed-overlap",
            "channel-speed",
            "workers",
        ] {
            assert!(names.contains(&expected), "{expected} is not among {names:?}");
        }
        for chart in &seen.charts {
            assert!(chart.width > 200.0 && chart.width <= seen.width && chart.height > 100.0, "{chart:?}");
            assert_eq!(chart.buttons, 3);
            assert_eq!((Some(&chart.first), chart.left.as_str()), (chart.spots.first(), ""), "{}", chart.name);
            // Where several points lie at one place, the first of them answers.
            assert!(chart.spots.contains(&chart.pointed), "{chart:?}");
        }
        for (table, sweep) in seen.tables.iter().zip(["tickets", "birds"]) {
            let rows = folder.table(&format!("results/{sweep}/results.csv"));
            same_numbers(table, &rows);
            for (column, (up, down)) in &table.sorted {
                let cells: Vec<String> = rows.iter().map(|row| row[column].clone()).collect();
                // Texts are compared as people of the reader's language do.
                if cells.iter().all(|cell| cell.is_empty() || cell.parse::<f64>().is_ok()) {
                    assert_eq!((up, down), (&ordered(cells.clone(), false), &ordered(cells, true)), "{column}");
                } else if cells.iter().filter(|cell| !cell.is_empty()).collect::<BTreeSet<_>>().len() > 1 {
                    assert_ne!(up, down, "{column}");
                }
            }
            let words = |row: &&HashMap<String, String>| {
                let cells: Vec<&str> = table.columns.iter().map(|column| row[column].as_str()).collect();
                let text = cells.join("\t").to_lowercase();
                text.contains("init") && text.contains("0.5")
            };
            let expected = rows.iter().filter(words).count();
            assert_eq!((table.filtered.len(), &table.count), (expected, &format!("{expected} of {} rows", rows.len())));
        }
        let file =
            pictures.as_ref().map_or_else(|| folder.path(&format!("{name}.png")), |p| p.join(format!("{name}.png")));
        let window = format!("--window-size={},6000", size.split(',').next().unwrap());
        let page = format!("{name}-report.html");
        let shots = [&file, &folder.path("again.png")].map(|file| {
            open(&folder, &browser, &page, &[&window, &format!("--screenshot={}", file.display())]);
            std::fs::read(file).unwrap()
        });
        assert!(shots[0] == shots[1], "{name}: the page looks different each time");
        // A blank page of this size takes some 20 kB.
        assert!(shots[0].len() > 60_000, "{name}");
        assert!(!pages.contains(&shots[0]), "a phone shows the page of a desktop");
        pages.push(shots[0].clone());
    }
}
