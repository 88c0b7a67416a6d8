//! Channels and early birds through the real program: where a dense training stops, what the tables say of it, what a ticket
//! starts from, and the masks on disk.

use std::collections::HashMap;

use super::common::Folder;

type Row = HashMap<String, String>;

/// Channels of a small pre-activation network. Any two masks count as the same: drawn as early as the rule allows.
fn sweep(more: &str) -> String {
    format!(
        r#"
name = "sweep"
dataset = "synthetic"
synthetic-size = 200
network = "resnetb"
depth = 11
width = 4
epochs = 8
learning-rate = 0.05
pruning-type = "structured"
pruning-ratio = [0.3, 0.5]
draw = "early-bird"
early-bird-epsilon = 1.0
{more}
"#
    )
}

fn ran(text: &str, exit: i32) -> (Folder, super::common::Ran) {
    let folder = Folder::new();
    folder.write("sweep.toml", text);
    let ran = folder.tombola("run sweep.toml --workers 2").expect(exit);
    (folder, ran)
}

fn table(folder: &Folder, name: &str) -> Vec<Row> {
    folder.table(&format!("results/sweep/{name}.csv"))
}

fn number(row: &Row, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} is no number in {row:?}"))
}

/// Epochs that were trained of the dense network.
fn dense_epochs(folder: &Folder) -> usize {
    table(folder, "epochs").iter().filter(|row| row["level"] == "0").count()
}

#[test]
fn pitfall_18_a_dense_training_stops_at_the_first_epoch_that_the_rule_allows() {
    for (rule, epoch) in [("paper", 6), ("code", 5)] {
        let (folder, _) = ran(&sweep(&format!("early-bird-rule = \"{rule}\"")), 0);
        assert_eq!(dense_epochs(&folder), epoch, "{rule}: epochs beyond the draw are in no table");
        let tickets = table(&folder, "tickets");
        assert_eq!(tickets.len(), 2);
        for ticket in &tickets {
            assert_eq!(ticket["epoch"], epoch.to_string(), "{ticket:?}");
            assert_eq!(
                (number(ticket, "epochs_trained"), number(ticket, "epochs_saved")),
                (epoch as f64, 8.0 - epoch as f64)
            );
        }
        for row in tickets.iter().chain(&table(&folder, "hamming")) {
            let how = ["prune-layers", "output-rate", "streams", "round-channels"].map(|column| row[column].as_str());
            assert_eq!(how, ["", "", "whole", "1"], "{row:?}");
        }
        let dense = &table(&folder, "results")[0];
        assert_eq!(dense["last_epoch"], epoch.to_string());
        // A second run finds nothing to do, although the dense network was not trained to its end.
        folder.tombola("run sweep.toml").expect(0).says("nothing to train");
    }
}

#[test]
fn what_needs_the_rest_of_the_dense_training_keeps_it_going_and_changes_no_draw() {
    let (folder, _) = ran(&sweep("").replace("\"early-bird\"", "[\"early-bird\", \"last\"]"), 0);
    assert_eq!(dense_epochs(&folder), 8);
    for ticket in table(&folder, "tickets") {
        assert_eq!((ticket["epoch"].as_str(), number(&ticket, "epochs_saved")), ("6", 0.0));
    }
    // Asked for later, the rest is trained, and nothing else.
    let (stopped, _) = ran(&sweep(""), 0);
    assert_eq!(dense_epochs(&stopped), 6);
    stopped.write("sweep.toml", sweep("").replace("\"early-bird\"", "[\"early-bird\", \"last\"]"));
    stopped.tombola("run sweep.toml").expect(0);
    for name in ["results", "epochs", "hamming", "tickets"] {
        assert_eq!(table(&stopped, name), table(&folder, name), "{name}.csv");
    }
}

#[test]
fn masks_that_never_settle_leave_their_trials_out_and_say_why() {
    let text = sweep("").replace("early-bird-epsilon = 1.0", "early-bird-epsilon = 1e-9");
    let (folder, ran) = ran(&text, 1);
    ran.says("no early bird was drawn").says("early-bird-epsilon");
    assert_eq!(dense_epochs(&folder), 8);
    let results = table(&folder, "results");
    let tickets: Vec<&Row> = results.iter().filter(|row| row["level"] == "1").collect();
    assert!(tickets.iter().all(|row| row["state"] == "skipped" && row["error"].contains("did not settle")));
    assert!(table(&folder, "tickets").iter().all(|row| row["state"] == "not drawn" && row["epoch"].is_empty()));
    // The dense network is not trained again in the hope of other masks.
    folder.tombola("run sweep.toml").expect(1).says("nothing to train");
}

#[test]
fn pitfall_19_inherited_weights_start_where_the_masked_network_stands() {
    let (folder, _) = ran(&sweep("reinit = [\"lr\", \"init\", \"random\"]"), 0);
    let results = table(&folder, "results");
    let of = |reinit: &str| -> Vec<&Row> {
        results.iter().filter(|row| row["level"] == "1" && row["reinit"] == reinit).collect()
    };
    for row in of("lr") {
        assert_eq!(row["start_test_accuracy"], row["pruned_test_accuracy"]);
        assert!(number(row, "macs") < number(row, "macs_dense"));
    }
    assert_eq!((of("init").len(), of("random").len()), (2, 2));
    for (ratio, kept) in [("0.3", 0.7), ("0.5", 0.5)] {
        let found = of("init").into_iter().find(|row| row["pruning-ratio"] == ratio).unwrap();
        let alive = number(found, "channels_alive");
        assert_eq!(alive, number(found, "channels") - (number(found, "channels") * (1.0 - kept)).round());
    }
}

#[test]
fn a_budget_of_the_remaining_epochs_begins_at_the_draw_and_one_of_flops_is_longer() {
    let (folder, _) = ran(&sweep("budget = [\"epochs\", \"remaining\", \"flops\"]"), 0);
    let results = table(&folder, "results");
    let epochs = table(&folder, "epochs");
    let trained = |row: &Row| -> Vec<u64> {
        let own = epochs.iter().filter(|epoch| epoch["stage"] == row["stage"]);
        own.map(|epoch| epoch["epoch"].parse().unwrap()).collect()
    };
    for row in results.iter().filter(|row| row["level"] == "1") {
        let found = trained(row);
        match row["budget"].as_str() {
            "remaining" => assert_eq!(found, [7, 8]),
            "flops" => {
                let expected = (8.0 * number(row, "macs_dense") / number(row, "macs")).round();
                assert_eq!(found.len() as f64, expected);
                assert_eq!(row["last_epoch"], expected.to_string());
            }
            _ => assert_eq!(found, (1..=8).collect::<Vec<_>>()),
        }
    }
}

/// The masks of one kind, one row of bits for each epoch: a NumPy file of bytes behind a header of 128.
pub(super) fn masks(folder: &Folder, stage: &str, track: &str, bits: usize) -> Vec<Vec<bool>> {
    let bytes = std::fs::read(folder.path(&format!("results/sweep/stages/{stage}/masks-{track}.npy"))).unwrap();
    assert_eq!(&bytes[..6], b"\x93NUMPY");
    let rows = bytes[128..].chunks_exact(bits.div_ceil(8));
    rows.map(|row| (0..bits).map(|bit| row[bit / 8] >> (bit % 8) & 1 == 1).collect()).collect()
}

#[test]
fn the_distances_are_those_of_the_masks_on_disk() {
    let (folder, _) = ran(&sweep("early-bird-rule = \"code\"\ntrack-masks = [0.3, 0.5, 0.7]"), 0);
    let hamming = table(&folder, "hamming");
    let kinds: std::collections::HashSet<&str> = hamming.iter().map(|row| row["track"].as_str()).collect();
    assert_eq!(kinds.len(), 3, "three ratios");
    assert_eq!(hamming.len(), 3 * (5 * 4 / 2));
    for row in &hamming {
        let masks = masks(&folder, &row["stage"], &row["track"], number(row, "bits") as usize);
        let mask = |column: &str| &masks[number(row, column) as usize - 1];
        let (one, other) = (mask("epoch"), mask("other_epoch"));
        let differing = one.iter().zip(other).filter(|(one, other)| one != other).count();
        assert_eq!(differing as f64, number(row, "differing"));
        assert!((number(row, "distance") - differing as f64 / one.len() as f64).abs() < 1e-12);
        let alive = one.iter().filter(|bit| **bit).count() as f64;
        let pruned = 1.0 - alive / one.len() as f64;
        assert!((number(row, "chance") - 2.0 * pruned * (1.0 - pruned)).abs() < 1e-9);
    }
}

#[test]
fn pitfall_28_the_ends_of_a_barrier_are_the_trainings_themselves_and_copies_have_none() {
    // Without batch norm nothing is taken anew, so both ends are exact.
    let lenet = r#"
name = "sweep"
dataset = "synthetic"
synthetic-size = 400
network = "lenet-300-100"
epochs = 4
learning-rate = 0.05
pruning-ratio = 0.5
reinit = "epoch:1"
control = ["none", "fork"]
barrier-points = 5
"#;
    let (folder, _) = ran(lenet, 0);
    let barrier = table(&folder, "barrier");
    assert_eq!(barrier.len(), 5);
    let results = table(&folder, "results");
    let last = |control: &str| {
        let row = results.iter().find(|row| row["level"] == "1" && row["control"] == control).unwrap();
        row["last_test_accuracy"].clone()
    };
    assert_eq!(barrier[0]["test_accuracy"], last("none"));
    assert_eq!(barrier[4]["test_accuracy"], last("fork"));
    let losses = |control: &str| -> Vec<String> {
        let stage = &results.iter().find(|row| row["level"] == "1" && row["control"] == control).unwrap()["stage"];
        let epochs = table(&folder, "epochs");
        epochs.iter().filter(|row| row["stage"] == *stage).map(|row| row["train_loss"].clone()).collect()
    };
    assert_ne!(losses("none"), losses("fork"), "another data order");

    // Nothing is left to train after a draw at the end: ticket and fork are the same network, with batch norms.
    let copies = sweep("reinit = \"lr\"\nbudget = \"remaining\"\ncontrol = \"fork\"\nbarrier-points = 3")
        .replace("\"early-bird\"", "\"epoch:8\"");
    let (folder, _) = ran(&copies, 0);
    let barrier = table(&folder, "barrier");
    assert_eq!(barrier.len(), 6);
    for rows in barrier.chunks(3) {
        assert!(rows.iter().all(|row| row["test_loss"] == rows[0]["test_loss"] && number(row, "error_barrier") == 0.0));
    }
}

#[test]
fn pitfall_14_controls_add_the_twins_of_each_ticket() {
    let (folder, _) = ran(&sweep("controls = true\nreinit = \"init\"\nkeep = \"tickets\""), 0);
    let results = table(&folder, "results");
    let twins: Vec<&str> =
        results.iter().filter(|row| row["level"] == "1").map(|row| row["control"].as_str()).collect();
    assert_eq!(twins, ["none", "reinit", "random-mask", "none", "reinit", "random-mask"]);
    let alive: Vec<&str> =
        results.iter().filter(|row| row["level"] == "1").map(|row| row["channels_alive"].as_str()).collect();
    assert!(alive[..3].iter().all(|count| *count == alive[0]) && alive[3..].iter().all(|count| *count == alive[3]));
}
