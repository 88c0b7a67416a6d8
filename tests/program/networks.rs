//! Networks from files: trained, continued and exported, and named by what they are.

use super::common::Folder;

/// Convolutions, a gate, attention over the pixels, and dropout.
const NETWORK: &str = r#"
tombola-network = 1
input = [3, 8, 8]
classes = 10
nodes = [
  { name = "stem", op = "conv", from = [0], out = 8, window = { kernel = [3, 3], stride = [2, 2], padding = [1, 1] }, bias = false },
  { name = "norm", op = "batch-norm", from = [1], eps = 1e-5, momentum = 0.1, affine = true },
  { name = "act", op = "activation", from = [2], function = "silu" },
  { name = "depthwise", op = "conv", from = [3], out = 8, window = { kernel = [3, 3], padding = [1, 1] }, groups = 8, bias = false },
  { name = "squeeze", op = "reduce", from = [4], reduction = "mean", axes = [2, 3], keep = true },
  { name = "excite", op = "conv", from = [5], out = 8, window = { kernel = [1, 1] }, bias = true },
  { name = "share", op = "activation", from = [6], function = "sigmoid" },
  { name = "gated", op = "pair", from = [4, 7], function = "multiply" },
  { name = "pixels", op = "reshape", from = [8], to = [1, 8, 16] },
  { name = "tokens", op = "permute", from = [9], order = [0, 2, 1] },
  { name = "positions", op = "learned", from = [], shape = [1, 16, 8], begins = { normal = 0.02 } },
  { name = "placed", op = "pair", from = [10, 11], function = "add" },
  { name = "before", op = "layer-norm", from = [12], axes = 1, eps = 1e-5, weight = true, bias = true },
  { name = "qkv", op = "linear", from = [13], out = 24, bias = true },
  { name = "cut", op = "reshape", from = [14], to = [1, 16, 3, 2, 4] },
  { name = "q1", op = "slice", from = [15], axis = 2, start = 0, end = 1 },
  { name = "k1", op = "slice", from = [15], axis = 2, start = 1, end = 2 },
  { name = "v1", op = "slice", from = [15], axis = 2, start = 2, end = 3 },
  { name = "q2", op = "reshape", from = [16], to = [1, 16, 2, 4] },
  { name = "k2", op = "reshape", from = [17], to = [1, 16, 2, 4] },
  { name = "v2", op = "reshape", from = [18], to = [1, 16, 2, 4] },
  { name = "q", op = "permute", from = [19], order = [0, 2, 1, 3] },
  { name = "k", op = "permute", from = [20], order = [0, 2, 1, 3] },
  { name = "v", op = "permute", from = [21], order = [0, 2, 1, 3] },
  { name = "attention", op = "attention", from = [22, 23, 24], scale = 0.5 },
  { name = "back", op = "permute", from = [25], order = [0, 2, 1, 3] },
  { name = "joined", op = "reshape", from = [26], to = [1, 16, 8] },
  { name = "out", op = "linear", from = [27], out = 8, bias = true },
  { name = "sum", op = "add", from = [12, 28] },
  { name = "dropped", op = "dropout", from = [29], rate = 0.2, of = "values" },
  { name = "mean", op = "reduce", from = [30], reduction = "mean", axes = [1], keep = false },
  { name = "head", op = "linear", from = [31], out = 10, bias = true },
]
"#;

const SWEEP: &str =
    "dataset = \"synthetic\"\nsynthetic-size = 200\nsynthetic-shape = [3, 8, 8]\nepochs = 2\nworkers = 1\n";

fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("nets")).unwrap();
    folder.write("nets/mixed.toml", NETWORK);
    folder.write("sweep.toml", format!("network = \"nets/mixed.toml\"\npr = [0.5, 0.75]\npriter = 2\n{SWEEP}"));
    folder
}

fn stages(folder: &Folder, results: &str) -> Vec<String> {
    folder.table(&format!("{results}/results.csv")).iter().map(|row| row["stage"].clone()).collect()
}

#[test]
fn a_network_from_a_file_is_named_by_its_content() {
    let folder = folder();
    folder.tombola("run sweep.toml --out r --quiet").expect(0);
    let first = stages(&folder, "r");
    assert_eq!(folder.table("r/results.csv")[0]["network"], "mixed.toml");
    // The folder has the network in it: views and a second run need the file no more.
    std::fs::rename(folder.path("nets/mixed.toml"), folder.path("other.toml")).unwrap();
    folder.tombola("status r --check").expect(0);
    folder.tombola("run r/sweep.toml --out r --quiet").expect(0);
    assert_eq!(stages(&folder, "r"), first);
    folder.tombola("run sweep.toml --out r").expect(2).says("nets/mixed.toml").says("tombola.from_torch");
    // Another name is the same network, another layer is not.
    let renamed = SWEEP.to_string() + "pr = [0.5, 0.75]\npriter = 2\nnetwork = \"other.toml\"\n";
    folder.write("renamed.toml", renamed.clone());
    folder.tombola("run renamed.toml --out renamed --quiet").expect(0);
    assert_eq!(stages(&folder, "renamed"), first);
    folder.write("other.toml", NETWORK.replace("\"silu\"", "\"gelu\""));
    folder.tombola("run renamed.toml --out changed --quiet").expect(0);
    assert!(stages(&folder, "changed").iter().all(|stage| !first.contains(stage)));
}

#[test]
fn a_network_with_dropout_repeats_its_bits_when_it_goes_on() {
    let folder = folder();
    folder.tombola("run sweep.toml --out whole --quiet").expect(0);
    let table = |results: &str| folder.read(&format!("{results}/results.csv"));
    let mut stopped = 0;
    for seconds in 1..4 {
        // Trainings wait after their epochs, so that the signal meets one between two of them.
        let results = format!("stopped-{seconds}");
        let run = format!("tombola run sweep.toml --out {results} --quiet");
        let ran = folder.shell(&format!(
            "TOMBOLA_SLOW=1:6 timeout -s INT --foreground {seconds} {run}; [ $? = 124 ] && echo stopped"
        ));
        stopped += usize::from(ran.out.contains("stopped"));
        folder.tombola(&format!("run sweep.toml --out {results} --quiet")).expect(0);
        assert_eq!(table("whole"), table(&results), "{seconds}");
    }
    assert!(stopped > 0, "no run was stopped before its end");
}

#[test]
fn heads_and_gated_channels_are_pruned_and_exported() {
    let folder = folder();
    let more = "prunety = \"structured\"\ncriterion = \"l2\"\npr = 0.5\nscope = \"layer\"\nsave = true\n";
    folder.write("units.toml", format!("network = \"nets/mixed.toml\"\n{more}{SWEEP}"));
    folder.tombola("run units.toml --out units --quiet").expect(0);
    let rows = folder.table("units/results.csv");
    let row = rows.iter().find(|row| row["level"] == "1").unwrap_or_else(|| panic!("{rows:?}"));
    // Two heads; what joins the tokens stays, because a layer norm reads it.
    assert_eq!((row["channels"].as_str(), row["channels_alive"].as_str()), ("2", "1"), "{row:?}");
    let number = |column: &str| row[column].parse::<usize>().unwrap();
    assert!(number("parameters_alive") < number("parameters"), "{row:?}");
    for name in ["t.safetensors", "t.py", "t.onnx", "t.pt"] {
        folder.tombola(&format!("export units 1 --out {name}")).expect(0);
    }
    // What was exported is a network, and its weights are those of a network.
    let again = format!("network = \"t.onnx\"\nload-init = \"t.onnx\"\n{SWEEP}");
    folder.write("again.toml", again);
    folder.tombola("run again.toml --out again --quiet --priter 0").expect(0);
    let text = folder.read("t.py");
    assert!(text.contains("scaled_dot_product_attention") && text.contains("positions"), "{text}");
}

#[test]
fn a_file_that_is_no_network_is_refused_with_what_to_do() {
    let folder = folder();
    let wrong = |text: &str, expected: &str| {
        folder.write("nets/mixed.toml", text);
        folder.tombola("plan sweep.toml").expect(2).says("mixed.toml").says(expected);
    };
    wrong(&NETWORK.replace("op = \"linear\", from = [31]", "op = \"lineal\", from = [31]"), "did you mean `linear`?");
    wrong(&NETWORK.replace("input = [3, 8, 8]", "input = [3, 9, 8]"), "node 9");
    wrong("name = \"other\"", "layers");
    wrong("no toml", "nets/mixed.toml");
    folder.write("nets/mixed.toml", NETWORK);
    folder.tombola("plan sweep.toml --dataset mnist").expect(2).says("1x28x28").says("from_torch");
}
