//! Results folders that earlier programs made: they are read and go on, and nothing in them is trained again.

use std::path::{Path, PathBuf};

use super::common::{Folder, started};

/// The tables of a folder that say nothing of time and place.
const TABLES: [&str; 7] =
    ["results.csv", "epochs.csv", "summary.csv", "hamming.csv", "tickets.csv", "barrier.csv", "overlap.csv"];

/// The kept folders, each with its sweep file beside it.
fn kept() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/folders");
    let entries = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

/// A copy of a kept folder, `kept`, and of its sweep file, `sweep.toml`.
fn copy(kept: &Path) -> Folder {
    let folder = Folder::new();
    copy_into(kept, &folder.path("kept"));
    std::fs::copy(kept.with_extension("toml"), folder.path("sweep.toml")).unwrap();
    folder
}

fn copy_into(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let place = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_into(&entry.path(), &place),
            false => std::fs::copy(entry.path(), place).map(|_| ()).unwrap(),
        }
    }
}

fn tables(folder: &Folder) -> Vec<Vec<csv::StringRecord>> {
    let read = |name: &&str| {
        let text = folder.read(&format!("kept/{name}"));
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        reader.records().map(Result::unwrap).collect()
    };
    TABLES.iter().map(read).collect()
}

fn is_channel_ticket(titles: &csv::StringRecord, row: &csv::StringRecord) -> bool {
    let column = titles.iter().position(|title| title == "density_channels");
    column.is_some_and(|column| !row[column].is_empty() && &row[column] != "density_channels")
}

/// The tables are the same cell by cell, in the columns that they had.
#[track_caller]
fn same(now: &[Vec<csv::StringRecord>], before: &[Vec<csv::StringRecord>], place: &str) {
    for ((name, now), before) in TABLES.iter().zip(now).zip(before) {
        assert_eq!(now.len(), before.len(), "{name}, {place}");
        for (column, title) in before[0].iter().enumerate() {
            let own = now[0].iter().position(|known| known == title).unwrap_or_else(|| panic!("{name} has no {title}"));
            for (row, known) in now.iter().zip(before) {
                // Earlier programs counted biases, scales and shifts of dead channels as alive.
                if title == "density_total" && is_channel_ticket(&before[0], known) {
                    continue;
                }
                assert_eq!(&row[own], &known[column], "{name}, {title}, {place}");
            }
        }
    }
}

/// Every file below `kept/stages` with its contents.
fn snapshots(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let listed = folder.listing().into_iter().filter(|path| path.starts_with("kept/stages/"));
    listed
        .filter(|path| folder.path(path).is_file())
        .map(|path| (path.clone(), std::fs::read(folder.path(&path)).unwrap()))
        .collect()
}

#[test]
fn a_folder_of_an_earlier_program_continues_without_training_anything_again() {
    for kept in kept() {
        let folder = copy(&kept);
        let (before, states, trainings) = (tables(&folder), snapshots(&folder), started(&folder, "kept"));
        TABLES.iter().for_each(|name| std::fs::remove_file(folder.path(&format!("kept/{name}"))).unwrap());
        folder.tombola("run sweep.toml --out kept").expect(0).says("nothing to train: all ");
        same(&tables(&folder), &before, &kept.display().to_string());
        assert_eq!(snapshots(&folder), states, "{}", kept.display());
        folder.tombola("tables kept").expect(0);
        same(&tables(&folder), &before, &kept.display().to_string());
        // One more rewind trains its own tickets, of two levels for each seed, from the states that lie there.
        folder.write("sweep.toml", folder.read("sweep.toml").replace("\"epoch:1\"]", "\"epoch:1\", \"epoch:2\"]"));
        folder.tombola("run sweep.toml --out kept --quiet").expect(0);
        assert_eq!(started(&folder, "kept"), trainings + 4, "{}", kept.display());
        // One more seed trains what the others have.
        folder.tombola("run sweep.toml --out kept --seed 1,2,3 --quiet").expect(0);
        assert_eq!(started(&folder, "kept"), (trainings + 4) / 2 * 3, "{}", kept.display());
        let now = snapshots(&folder);
        assert!(states.iter().all(|state| now.contains(state)), "{}", kept.display());
        assert!(now.len() > states.len());
    }
}

#[test]
fn a_ticket_of_an_earlier_program_is_read() {
    for kept in kept() {
        let folder = copy(&kept);
        let rows = folder.table("kept/results.csv");
        let ticket = rows.iter().find(|row| row["level"] == "2").unwrap();
        folder.tombola(&format!("export kept {} --out ticket.safetensors", ticket["stage"])).expect(0);
        let bytes = std::fs::read(folder.path("ticket.safetensors")).unwrap();
        assert!(safetensors::SafeTensors::deserialize(&bytes).unwrap().len() > 10);
        // It did not note what images are normalised by, which follows from the data.
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert!(header.metadata().as_ref().unwrap()["mean"].starts_with('['));
        folder.tombola("status kept").expect(0);
        folder.tombola("report kept").expect(0);
    }
}
