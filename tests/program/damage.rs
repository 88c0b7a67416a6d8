//! A results folder that was damaged: nothing is lost without a word, nothing is deleted, and what is trained again gives the
//! tables of a folder that was left alone, to the byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::common::{Folder, PROGRAM, wait_until};
use tombola_core::folder::journal::frames::{HEADER, Piece, Pieces};
use tombola_core::folder::journal::{History, Seal};
use tombola_words::error::Kind;
use tombola_words::record::Record;

const TABLES: [&str; 5] = ["results.csv", "epochs.csv", "summary.csv", "hamming.csv", "tickets.csv"];
const BASE: &str = "run --dataset synthetic --train-limit 256 --epochs 2 --network lenet-300-100 --workers 1 --quiet";

fn tables(folder: &Folder) -> Vec<String> {
    TABLES.iter().map(|name| folder.read(&format!("r/{name}"))).collect()
}

/// Every file of the results folder, with its contents; but for the lock, which names whoever had it last.
fn contents(folder: &Folder) -> BTreeMap<String, Vec<u8>> {
    let is_file = |path: &String| path.starts_with("r/") && path != "r/lock" && folder.path(path).is_file();
    let files = folder.listing().into_iter().filter(is_file);
    files.map(|path| (path.clone(), std::fs::read(folder.path(&path)).unwrap())).collect()
}

/// What the results folder held once.
fn restore(folder: &Folder, contents: &BTreeMap<String, Vec<u8>>) {
    std::fs::remove_dir_all(folder.path("r")).unwrap();
    contents.iter().for_each(|(path, bytes)| {
        folder.write(path, bytes);
    });
}

/// The files of one name in the folders of the stages, in the order of the folders.
fn of_stages(folder: &Folder, name: &str) -> Vec<PathBuf> {
    let found = folder.listing().into_iter().filter(|path| path.starts_with("r/stages/") && path.ends_with(name));
    found.map(|path| folder.path(&path)).collect()
}

/// The folder of the only dense training.
fn dense(folder: &Folder) -> PathBuf {
    let rows = folder.table("r/results.csv");
    folder.path(&format!("r/stages/{}", rows.iter().find(|row| row["level"] == "0").unwrap()["stage"]))
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_byte_of_the_journal_is_refused_whoever_reads_it_and_repaired_without_a_loss() {
    let folder = Folder::new();
    folder.tombola(&format!("{BASE} --reinit init --pr 0.5,0.8 --save --out r")).expect(0);
    let (sound, expected) = (contents(&folder), tables(&folder));
    let journal = &sound["r/journal"];
    // All places at once, by the reader that all verbs share.
    for place in 0..journal.len() {
        let mut bytes = journal.clone();
        bytes[place] ^= 0xff;
        let error = History::of(&folder.path("r/journal"), &bytes).unwrap_err();
        assert_eq!(error.kind, Kind::Environment, "{place}: {error}");
        let records = Pieces::of(&bytes).filter(|piece| matches!(piece, Piece::Sound(..))).count();
        let all = Pieces::of(journal).count();
        assert_eq!(records, all - usize::from(place >= HEADER.len()), "{place}");
    }
    let again = format!("{BASE} --reinit init --pr 0.5,0.8 --save --out r");
    for place in [3, 20, journal.len() / 2, journal.len() - 1] {
        restore(&folder, &sound);
        change(&folder.path("r/journal"), |bytes| bytes[place] ^= 0x10);
        let damaged = contents(&folder);
        folder.tombola(&format!("{BASE} --reinit init --pr 0.5 --seed 9 --out r")).expect(3).says("tombola repair r");
        folder.tombola("run --dataset no-such-data --out r").expect(2);
        for verb in ["status r", "tables r", "report r", "repair r --check"] {
            folder.tombola(verb).expect(3);
        }
        assert!(contents(&folder) == damaged, "something was touched, byte {place}");
        folder.tombola("repair r").expect(0).prints("moved r/journal to r/journal.damaged-1").prints("are no record");
        assert!(contents(&folder)["r/journal.damaged-1"] == damaged["r/journal"]);
        folder.tombola("repair r --check").expect(0).prints("nothing to mend");
        folder.tombola(&again).expect(0);
        assert_eq!(tables(&folder), expected, "byte {place}");
        let left = contents(&folder);
        assert!(sound.keys().all(|path| left.contains_key(path)), "byte {place}");
    }
}

/// Where the records of a journal stand that are of one kind.
fn records(folder: &Folder, is_meant: impl Fn(&Record) -> bool) -> Vec<usize> {
    let bytes = std::fs::read(folder.path("r/journal")).unwrap();
    let starts = Pieces::of(&bytes).filter_map(|piece| match piece {
        Piece::Sound(record, range) if is_meant(&record) => Some(range.start),
        _ => None,
    });
    starts.collect()
}

#[test]
fn what_a_lost_record_told_of_is_trained_again_or_said() {
    let folder = Folder::new();
    let again = format!("{BASE} --epochs 3 --reinit init --pr 0.5,0.8 --save --out r").replace(" --epochs 2", "");
    folder.tombola(&again).expect(0);
    let (sound, expected) = (contents(&folder), tables(&folder));
    let lose = |start: usize| {
        restore(&folder, &sound);
        change(&folder.path("r/journal"), |bytes| bytes[start + 9] ^= 1);
        folder.tombola("repair r").expect(0);
        folder.tombola(&again).expect(0)
    };
    for start in records(&folder, |record| !matches!(record, Record::Data { .. })) {
        lose(start);
        assert_eq!(tables(&folder), expected, "without the record at {start}");
    }
    for start in records(&folder, |record| matches!(record, Record::Data { .. })) {
        lose(start);
        let more = format!("{again} --seed 1,2").replace(" --quiet", "");
        folder.tombola(&more).expect(0).says("does not tell what data its trainings of");
    }
}

#[test]
fn a_journal_cut_anywhere_loses_no_file_and_gives_the_same_tables() {
    let folder = Folder::new();
    let again = format!("{BASE} --reinit init --pr 0.5,0.8 --save --out r");
    folder.tombola(&again).expect(0);
    let (sound, expected) = (contents(&folder), tables(&folder));
    let journal = &sound["r/journal"];
    let ends: Vec<usize> = Pieces::of(journal).map(|piece| piece.range().end).collect();
    // Ends of records and places within them, all over the journal; the tests of the reader try every length.
    let cuts = ends.iter().step_by(3).flat_map(|end| [*end, end.saturating_sub(5)]).chain([0, 9]);
    for length in cuts {
        restore(&folder, &sound);
        change(&folder.path("r/journal"), |bytes| bytes.truncate(length));
        let cut = contents(&folder);
        let ran = folder.tombola(&again);
        let left = contents(&folder);
        let told = History::of(Path::new("journal"), &journal[..length]).unwrap();
        if told.stages.is_empty() {
            assert!(ran.err.contains("tells of none of them") && ran.code == Some(2), "cut to {length}: {ran}");
            assert!(left == cut, "something was touched, cut to {length}");
            continue;
        }
        let ran = ran.expect(0);
        assert_eq!(tables(&folder), expected, "cut to {length}: {ran}");
        assert!(sound.keys().all(|path| left.contains_key(path)), "cut to {length}");
        let torn = &journal[told.end as usize..length];
        assert_eq!(left.get("r/journal.torn").map_or(&[][..], |kept| kept), torn, "cut to {length}");
    }
}

/// What is left of a cut journal looks as that of a run that was killed; only its length tells.
#[test]
fn a_journal_cut_anywhere_is_refused_by_all_that_only_read() {
    let folder = Folder::new();
    let again = format!("{BASE} --reinit init --pr 0.5,0.8 --out r").replace(" --quiet", "");
    folder.tombola(&again).expect(0);
    let (sound, expected) = (contents(&folder), tables(&folder));
    let (path, journal) = (folder.path("r/journal"), &sound["r/journal"]);
    let seal = Seal::of(&path).unwrap();
    for length in 0..journal.len() {
        let told = History::of(&path, &journal[..length]).unwrap();
        assert_eq!(seal.check(&path, &told).unwrap_err().kind, Kind::Environment, "cut to {length}");
    }
    for length in [journal.len() / 3, journal.len() - 1] {
        restore(&folder, &sound);
        change(&path, |bytes| bytes.truncate(length));
        let cut = contents(&folder);
        for verb in ["status r", "tables r", "report r", "explain r 1", "retry r", "repair r --check"] {
            let ran = folder.tombola(verb).expect(3);
            assert!((ran.out + &ran.err).contains(if verb.starts_with("repair") { "are missing" } else { "was cut" }));
        }
        assert!(contents(&folder) == cut, "something was touched");
    }
    folder.tombola("repair r").expect(0).prints("bytes of the journal are missing");
    folder.tombola("status r").expect(0);
    // Nor are zeros in place of records a torn end.
    restore(&folder, &sound);
    let half = Pieces::of(journal).map(|piece| piece.range().end).find(|end| *end > journal.len() / 2).unwrap();
    change(&path, |bytes| bytes[half..].fill(0));
    folder.tombola("status r").expect(3).says("was cut");
    folder.tombola("repair r --check").expect(3).prints("are missing");
    restore(&folder, &sound);
    change(&path, |bytes| bytes.truncate(journal.len() / 2));
    folder.tombola(&again).expect(0).says("warning: the journal was cut: its last ");
    assert!(tables(&folder) == expected && folder.read("r/log").contains("the journal was cut: its last "));
    folder.tombola(&again).expect(0).does_not_say("was cut");
}

#[test]
fn shards_that_lost_a_file_are_never_left_out_of_the_tables() {
    let folder = Folder::new();
    let run = |shard: &str| format!("{BASE} --pr 0.5 --seed 1,2 {shard} --out r");
    for shard in ["--shard 1/2", "--shard 2/2"] {
        folder.tombola(&run(shard)).expect(0);
    }
    folder.tombola("tables r").expect(0);
    let (sound, expected) = (contents(&folder), folder.read("r/results.csv"));
    let refused = |code: i32, said: &str| {
        let damaged = contents(&folder);
        folder.tombola("tables r").expect(code).says(said);
        assert!(contents(&folder) == damaged, "something was touched");
        restore(&folder, &sound);
    };
    std::fs::remove_file(folder.path("r/shard-1-of-2/sweep.toml")).unwrap();
    folder.tombola("status r").expect(2).says("`--out r --shard 1/2`");
    refused(2, "there is no `r/shard-1-of-2/sweep.toml`");
    std::fs::remove_file(folder.path("r/shard-2-of-2/journal")).unwrap();
    std::fs::remove_file(folder.path("r/shard-2-of-2/sweep.toml")).unwrap();
    refused(2, "`r/shard-2-of-2`: the journal of this results folder is missing");
    change(&folder.path("r/shard-2-of-2/sweep.toml"), |bytes| *bytes.last_mut().unwrap() = b'#');
    refused(3, "`--out r --shard 2/2`");
    // What they are of together is made again from them.
    change(&folder.path("r/sweep.toml"), |bytes| *bytes.last_mut().unwrap() = b'#');
    folder.tombola("repair r --check").expect(3).prints("r/sweep.toml");
    refused(3, "`tombola tables r` writes it anew");
    // A shard of which only the length of its journal is left had something to tell.
    for name in ["journal", "sweep.toml"] {
        std::fs::remove_file(folder.path(&format!("r/shard-1-of-2/{name}"))).unwrap();
    }
    if folder.path("r/shard-1-of-2/stages").exists() {
        std::fs::remove_dir_all(folder.path("r/shard-1-of-2/stages")).unwrap();
    }
    folder
        .tombola("repair r --check")
        .expect(3)
        .prints("r/shard-1-of-2: there is no journal")
        .prints("r/shard-2-of-2: ");
    refused(2, "there is no `r/shard-1-of-2/sweep.toml`");
    change(&folder.path("r/sweep.toml"), |bytes| *bytes.last_mut().unwrap() = b'#');
    let repaired = folder.tombola("repair r").expect(0);
    repaired.prints("moved r/sweep.toml to r/sweep.toml.damaged-1").prints("`tombola tables r` writes it anew");
    folder.tombola("tables r").expect(0);
    assert_eq!(folder.read("r/results.csv"), expected);
    // A run of the whole sweep lies beside them, and has lost its journal.
    std::fs::remove_file(folder.path("r/sweep.toml")).unwrap();
    folder.tombola(&format!("{} --save", run(""))).expect(0);
    std::fs::remove_file(folder.path("r/journal")).unwrap();
    folder.tombola("tables r").expect(2).says("`tombola repair` the folder");
    folder.tombola("repair r").expect(0).prints("moved r/stages to r/stages.unclaimed-1");
}

#[test]
fn a_sweep_file_in_the_results_that_was_changed_is_refused_whoever_reads_it_and_written_anew_by_a_run() {
    let folder = Folder::new();
    let again = format!("{BASE} --reinit init --pr 0.5,0.8 --out r");
    folder.tombola(&again).expect(0);
    let (sound, expected) = (contents(&folder), tables(&folder));
    let text = &sound["r/sweep.toml"];
    let place = String::from_utf8_lossy(text).find("pruning-ratio = [0.5").expect("the axis that was asked for")
        + "pruning-ratio = [0.".len();
    let other = |byte: u8| text.iter().enumerate().map(|(at, old)| if at == place { byte } else { *old }).collect();
    for changed in [Vec::new(), text[..text.len() / 2].to_vec(), text[..70].to_vec(), vec![0; text.len()], other(b'6')]
    {
        restore(&folder, &sound);
        folder.write("r/sweep.toml", &changed);
        let damaged = contents(&folder);
        let said = "is not what this program wrote there";
        for verb in ["status r", "tables r", "report r", "explain r 1", "retry r", "repair r --check", again.as_str()] {
            let ran = folder.tombola(verb).expect(3);
            assert!((ran.out + &ran.err).contains(said), "{verb}");
        }
        assert!(contents(&folder) == damaged, "something was touched");
    }
    folder.tombola("repair r").expect(0).prints("moved r/sweep.toml to r/sweep.toml.damaged-1");
    folder.tombola("tables r").expect(2).says("run the sweep again with `--out r`");
    folder.tombola(&again.replace(" --quiet", "")).expect(0).says("nothing to train");
    assert!(tables(&folder) == expected && folder.read("r/sweep.toml").into_bytes() == *text);
    assert!(folder.path("r/sweep.toml.damaged-1").exists());
}

#[test]
fn trainings_without_a_journal_are_never_trained_over() {
    let folder = Folder::new();
    let again = format!("{BASE} --reinit init --pr 0.5 --save --out r");
    folder.tombola(&again).expect(0);
    let expected = tables(&folder);
    let sound = contents(&folder);
    let refused_by_readers = |folder: &Folder, why: &str| {
        let before = contents(folder);
        for verb in ["tables r", "status r", "report r"] {
            folder.tombola(verb).expect(2).says(why);
        }
        assert!(contents(folder) == before, "something was touched: {why}");
    };
    std::fs::remove_file(folder.path("r/journal")).unwrap();
    refused_by_readers(&folder, "`r`: the journal of this results folder is missing");
    for length in [0, HEADER.len()] {
        folder.write("r/journal", &sound["r/journal"][..length]);
        refused_by_readers(&folder, "tells of none of them");
    }
    for also in ["r/sweep.toml", "r/results.csv"] {
        restore(&folder, &sound);
        std::fs::remove_file(folder.path("r/journal")).unwrap();
        std::fs::remove_file(folder.path(also)).unwrap();
        moved_aside_and_trained_again(&folder, &again, &expected);
    }
}

/// What lies there without a journal.
fn moved_aside_and_trained_again(folder: &Folder, again: &str, expected: &[String]) {
    let before = contents(folder);
    folder.tombola(again).expect(2).says("tombola repair");
    assert!(contents(folder) == before, "something was touched");
    folder.tombola("repair r").expect(0).prints("stages.unclaimed-1");
    folder.tombola("repair r --check").expect(0).prints("nothing to mend");
    folder.tombola(again).expect(0);
    assert_eq!(tables(folder), expected);
    assert!(folder.path("r/stages.unclaimed-1").is_dir());
}

#[test]
fn a_snapshot_that_was_changed_cut_or_removed_is_trained_again_and_said_once() {
    let folder = Folder::new();
    let (first, second) = ("--reinit lr --pr 0.5 --save --out r", "--reinit lr --pr 0.5,0.75 --save --out r");
    folder.tombola(&format!("{BASE} {second}")).expect(0);
    let expected = tables(&folder);
    std::fs::remove_dir_all(folder.path("r")).unwrap();
    folder.tombola(&format!("{BASE} {first}")).expect(0);
    let sound = contents(&folder);
    let last = dense(&folder).join("last.safetensors");
    let loud = BASE.replace(" --quiet", "");
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 3] = [
        ("changed", |path| change(path, |bytes| bytes.iter_mut().rev().take(3000).for_each(|byte| *byte ^= 0x40))),
        ("cut", |path| change(path, |bytes| bytes.truncate(1000))),
        ("removed", |path| std::fs::remove_file(path).unwrap()),
    ];
    for (name, damage) in damages {
        restore(&folder, &sound);
        damage(&last);
        let ran = folder.tombola(&format!("{loud} {second}")).expect(0);
        assert_eq!(ran.err.matches("counts as absent").count(), 1, "{name}: {ran}");
        assert_eq!(tables(&folder), expected, "{name}");
        folder.tombola(&format!("{loud} {second}")).expect(0).says("nothing to train").does_not_say("absent");
    }
    // Nor a mask that tables read, though no training begins from it.
    folder.tombola(&format!("{BASE} {second}")).expect(0);
    let masks = of_stages(&folder, "mask.safetensors");
    change(&masks[0], |bytes| *bytes.last_mut().unwrap() ^= 1);
    folder.tombola(&format!("{loud} {second}")).expect(0).says(" as absent");
    assert_eq!(tables(&folder), expected);
    folder.tombola(&format!("{loud} {second}")).expect(0).says("nothing to train");
    // The other verbs do not take it for what it was.
    restore(&folder, &sound);
    change(&last, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let stage = dense(&folder).file_name().unwrap().to_string_lossy().to_string();
    folder.tombola(&format!("export r {stage} --snapshot last --out t.safetensors")).expect(3).says("has changed");
    folder.tombola("repair r").expect(0).prints("has changed since it was written").prints("r/damaged/stages");
    assert!(!last.exists() && folder.path(&format!("r/damaged/stages/{stage}/last.safetensors")).exists());
    folder.tombola("repair r --check").expect(3).prints("last.safetensors` is missing");
}

#[test]
fn a_missing_mask_is_never_taken_for_a_dense_network() {
    let folder = Folder::new();
    let next = format!("{BASE} --reinit lr --pr 0.75 --priter 2 --save --out r");
    let begin = |folder: &Folder| folder.tombola(&format!("{BASE} --reinit lr --pr 0.5 --save --out r")).expect(0);
    begin(&folder);
    folder.tombola(&next).expect(0);
    let expected = tables(&folder);
    std::fs::remove_dir_all(folder.path("r")).unwrap();
    begin(&folder);
    of_stages(&folder, "mask.safetensors").iter().for_each(|path| std::fs::remove_file(path).unwrap());
    folder.tombola(&next).expect(0);
    assert_eq!(tables(&folder), expected);
}

#[test]
fn a_finished_ticket_without_its_mask_is_trained_again_and_said_once() {
    let folder = Folder::new();
    let again = format!("{BASE} --reinit lr --pr 0.5 --seed 1,2 --save --out r");
    folder.tombola(&again).expect(0);
    let (expected, overlap) = (tables(&folder), folder.read("r/overlap.csv"));
    std::fs::remove_file(&of_stages(&folder, "mask.safetensors")[0]).unwrap();
    folder.tombola("tables r").expect(3).says("mask.safetensors");
    let ran = folder.tombola(&again.replace(" --quiet", "")).expect(0);
    ran.says("mask.safetensors").says(" as absent").does_not_say("nothing to train");
    assert_eq!((tables(&folder), folder.read("r/overlap.csv")), (expected, overlap));
    folder.tombola(&again.replace(" --quiet", "")).expect(0).says("nothing to train");
}

/// A run that is killed once the journal tells of a state to go on from that is `epoch` or later.
fn killed_at(folder: &Folder, arguments: &str, epoch: usize) {
    let mut child = folder.command(PROGRAM).args(arguments.split_whitespace()).spawn().unwrap();
    wait_until("the state to go on from", || {
        let Ok(bytes) = std::fs::read(folder.path("r/journal")) else { return false };
        Pieces::of(&bytes)
            .any(|piece| matches!(piece, Piece::Sound(Record::Progress { epoch: at, .. }, _) if at >= epoch))
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_missing_optimiser_is_never_ignored() {
    let folder = Folder::new();
    let whole = "--reinit init --pr 0.5 --optimizer adam --lr 0.001 --epochs 40 --snapshot-seconds 0 --out r";
    let whole = format!("{} {whole}", BASE.replace(" --epochs 2", ""));
    folder.tombola(&whole).expect(0);
    let expected = tables(&folder);
    std::fs::remove_dir_all(folder.path("r")).unwrap();
    killed_at(&folder, &whole, 3);
    let optimizers = of_stages(&folder, ".optimizer.safetensors");
    assert!(!optimizers.is_empty());
    optimizers.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    folder.tombola(&whole).expect(0);
    assert_eq!(tables(&folder), expected);
}

#[test]
fn masks_that_a_power_failure_took_are_drawn_again() {
    let folder = Folder::new();
    let whole = "--reinit init --prunety structured --pr 0.5 --draw early-bird --early-bird-window 3 --early-bird-epsilon 0.02 \
                 --epochs 30 --snapshot-seconds 0 --out r";
    let base = "run --dataset synthetic --train-limit 256 --network resnetb --depth 11 --width 4 --workers 1 --quiet";
    let whole = format!("{base} {whole}");
    folder.tombola(&whole).expect(0);
    let expected = tables(&folder);
    std::fs::remove_dir_all(folder.path("r")).unwrap();
    killed_at(&folder, &whole, 4);
    let masks = of_stages(&folder, ".npy");
    assert!(!masks.is_empty());
    // The file's length is as it was, its rows never reached the disk.
    let zeroed = || masks.iter().for_each(|path| change(path, |bytes| bytes[128..].fill(0)));
    zeroed();
    folder.tombola(&whole).expect(0);
    assert_eq!(tables(&folder), expected);
    // So are those of which a record was lost, and the early bird is the same.
    std::fs::remove_dir_all(folder.path("r")).unwrap();
    killed_at(&folder, &whole, 4);
    let second = records(&folder, |record| matches!(record, Record::Mask { epoch: 2, .. }));
    change(&folder.path("r/journal"), |bytes| bytes[second[0] + 9] ^= 1);
    folder.tombola("repair r").expect(0);
    folder.tombola(&whole).expect(0);
    assert_eq!(tables(&folder), expected);
    let masks = of_stages(&folder, ".npy");
    let zeroed = || masks.iter().for_each(|path| change(path, |bytes| bytes[128..].fill(0)));
    // Of a training that has ended nothing is drawn from them any more: `repair` says so.
    folder.tombola("repair r --check").expect(0).prints("nothing to mend");
    zeroed();
    folder.tombola("repair r --check").expect(3).prints(".npy` has changed since it was written");
    folder.tombola("repair r").expect(0);
    folder.tombola("repair r --check").expect(0).prints("nothing to mend");
    folder.tombola(&whole).expect(0);
    assert_eq!(tables(&folder), expected);
}
