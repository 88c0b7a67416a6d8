//! Filters of images as an axis: each dense training has its own images of the same data, and what is written says which.

use super::common::Folder;
use super::common::sweep::{expect_same, folder, tables};
use tombola_data::split::{Normalisation, split};
use tombola_words::value::ImageFilter;

const SWEEP: &str = r#"
name = "sweep"
dataset = "synthetic"
synthetic-size = 200
network = "mlp"
hidden = [12]
epochs = 2
learning-rate = 0.05
pr = 0.5
"#;

fn filtered_sweep() -> Folder {
    folder(&format!("{SWEEP}filter = [\"none\", \"low-pass\", \"high-pass\"]\nfilter-sigma = 1.5\n"))
}

#[test]
fn each_filter_of_an_axis_has_its_own_dense_training_on_its_own_images() {
    let folder = filtered_sweep();
    folder.tombola("run sweep.toml --workers 2 --quiet").expect(0);
    let log = folder.read("results/sweep/log");
    for (filter, words) in [
        (ImageFilter::None, ""),
        (ImageFilter::LowPass, "filtered low-pass with sigma 1.5, "),
        (ImageFilter::HighPass, "filtered high-pass with sigma 1.5, "),
    ] {
        let data = tombola_data::synthetic((1, 8, 8), 10, 200, 100).unwrap().filtered(filter, 1.5).unwrap();
        let trained = split(data.train.len(), None, None).unwrap().train;
        let Normalisation { mean, standard_deviation } = Normalisation::of(&data.train, trained).unwrap();
        let line =
            format!("synthetic: {words}normalised by mean {mean:?} and standard deviation {standard_deviation:?}");
        assert!(log.contains(&line), "{line} is not in\n{log}");
    }
    let rows = folder.table("results/sweep/results.csv");
    let dense: Vec<_> = rows.iter().filter(|row| row["level"] == "0").collect();
    let cells: Vec<_> = dense.iter().map(|row| (row["filter"].as_str(), row["filter-sigma"].as_str())).collect();
    assert_eq!(cells, [("", ""), ("low-pass", "1.5"), ("high-pass", "1.5")]);
    let losses: Vec<_> = dense.iter().map(|row| &row["last_test_loss"]).collect();
    assert!(losses[0] != losses[1] && losses[1] != losses[2] && losses[0] != losses[2], "{losses:?}");
    folder.tombola("run sweep.toml").expect(0).says("nothing to train");

    let alone = filtered_sweep();
    alone.tombola("run sweep.toml --workers 1 --quiet").expect(0);
    expect_same(&alone, &tables(&folder), "one worker and two");

    // A sweep that knows nothing of filters has the same training, and no column of them.
    let plain = super::common::sweep::folder(SWEEP);
    plain.tombola("run sweep.toml --quiet").expect(0);
    let row = &plain.table("results/sweep/results.csv")[0];
    assert_eq!((&row["stage"], &row["last_test_loss"]), (&dense[0]["stage"], losses[0]));
    assert!(!row.contains_key("filter") && !row.contains_key("filter-sigma"));

    let low = &rows.iter().find(|row| row["filter"] == "low-pass" && row["level"] == "1").unwrap()["stage"];
    for (end, said) in [
        ("safetensors", "\"filter\":\"low-pass\""),
        ("py", "filter low-pass, filter-sigma 1.5"),
        ("onnx", "low-pass"),
        ("pt", "\"filter\": \"low-pass\", \"filter-sigma\": 1.5"),
        ("npz", "\"filter\": \"low-pass\", \"filter-sigma\": 1.5"),
    ] {
        folder.tombola(&format!("export results/sweep {low} --out low.{end}")).expect(0);
        let bytes = std::fs::read(folder.path(&format!("low.{end}"))).unwrap();
        assert!(bytes.windows(said.len()).any(|window| window == said.as_bytes()), "{end}");
    }
    folder.tombola(&format!("export results/sweep {} --out plain.py", dense[0]["stage"])).expect(0);
    assert!(!folder.read("plain.py").contains("filter"));
}

#[test]
fn what_has_no_grey_is_refused_by_the_plan() {
    let folder = Folder::new();
    folder
        .tombola("plan --dataset synthetic --synthetic-shape 2,8,8 --network mlp --filter lowpass --sigma 2")
        .expect(2)
        .says("`filter`: `low-pass` is defined for images of bytes with one channel or three; these are images of 2 channels")
        .says("hint: ");
}
