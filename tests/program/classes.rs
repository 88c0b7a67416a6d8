//! What is told of data with many classes: top-5 accuracies, and test images by class. Nothing of it changes a training.

use super::common::Folder;

const COMMON: &str =
    "run --network mlp --hidden 16 --dataset synthetic --synthetic-size 1200 --epochs 2 --pr 0.5 --seed 1,2 --quiet";

fn sum(rows: &[std::collections::HashMap<String, String>], stage: &str, column: &str) -> u64 {
    let own = rows.iter().filter(|row| row["stage"] == stage);
    own.map(|row| row[column].parse::<u64>().unwrap()).sum()
}

#[test]
fn top_5_is_told_of_a_hundred_classes_and_of_no_fewer() {
    let folder = Folder::new();
    folder.tombola(&format!("{COMMON} --synthetic-classes 99 --out few")).expect(0);
    let few = folder.read("few/results.csv") + &folder.read("few/epochs.csv");
    assert!(!few.contains("top5"));
    folder.tombola(&format!("{COMMON} --synthetic-classes 100 --select test --out many")).expect(0);
    for row in folder.table("many/results.csv") {
        for (five, one) in
            [("best_test_top5", "best_test_accuracy"), ("last_validation_top5", "last_validation_accuracy")]
        {
            let (five, one): (f64, f64) = (row[five].parse().unwrap(), row[one].parse().unwrap());
            assert!(five >= one && five <= 1.0 && five > 0.0, "{row:?}");
        }
    }
    let epochs = folder.table("many/epochs.csv");
    assert_eq!(epochs.len(), 2 * 2 * 2);
    let results = folder.table("many/results.csv");
    let last = epochs.iter().find(|row| row["stage"] == results[0]["stage"] && row["epoch"] == "2").unwrap();
    assert_eq!(last["test_top5"], results[0]["last_test_top5"]);
    // Tables that are made again from the journal are the same.
    let before = folder.read("many/results.csv") + &folder.read("many/epochs.csv");
    folder.tombola("tables many --format parquet").expect(0);
    assert_eq!(folder.read("many/results.csv") + &folder.read("many/epochs.csv"), before);
}

#[test]
fn test_images_are_counted_by_class_where_that_is_asked_for_and_nowhere_else() {
    let folder = Folder::new();
    folder.tombola(&format!("{COMMON} --synthetic-classes 7 --out plain")).expect(0);
    folder.tombola(&format!("{COMMON} --synthetic-classes 7 --class-accuracy --out counted")).expect(0);
    for name in ["results.csv", "epochs.csv", "summary.csv"] {
        assert_eq!(folder.read(&format!("plain/{name}")), folder.read(&format!("counted/{name}")), "{name}");
    }
    assert!(!folder.path("plain/classes.csv").exists());
    let (classes, results) = (folder.table("counted/classes.csv"), folder.table("counted/results.csv"));
    assert_eq!(classes.len(), 4 * 7);
    for row in &results {
        let images: f64 = row["test_images"].parse().unwrap();
        for (column, accuracy) in [("best_correct", "best_test_accuracy"), ("last_correct", "last_test_accuracy")] {
            let share: f64 = row[accuracy].parse().unwrap();
            assert_eq!(sum(&classes, &row["stage"], column), (share * images).round() as u64, "{column}");
        }
        assert_eq!(sum(&classes, &row["stage"], "class_images"), images as u64);
    }
    folder.tombola("tables counted --format parquet").expect(0);
    assert!(folder.path("counted/classes.parquet").exists());
    let late =
        folder.tombola(&format!("{COMMON} --synthetic-classes 7 --class-accuracy --out plain").replace(" --quiet", ""));
    late.expect(0).says("4 trainings were done before `class-accuracy` was asked for");
    folder.tombola("tables plain --format parquet").expect(0);
    // What is trained is not trained again for it.
    let again = folder
        .tombola(&format!("{} --synthetic-classes 7 --class-accuracy --out plain", COMMON.replace(" --quiet", "")));
    again.expect(0).says("nothing to train");
}
