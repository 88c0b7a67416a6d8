use safetensors::SafeTensors;

use super::super::tensor_file::floats;
use super::*;
use crate::net::{Builder, Graph, Op, OptimizerState};
use crate::plan::dense_id;
use crate::sweep::Settings;
use tombola_words::Shape;

fn network(width: usize) -> Graph {
    let mut build = Builder::new(Shape::Image(2, 4, 4));
    let conv = build.conv("conv", 0, width, 3, 1).unwrap();
    let norm = build.batch_norm("bn", conv).unwrap();
    let pool = build.add("pool", Op::GlobalAveragePool, &[norm]).unwrap();
    build.linear("fc", pool, 5).unwrap();
    build.finish(5).unwrap()
}

fn snapshot(layout: &Layout) -> Snapshot {
    let mut mask = Bits::ones(layout.len);
    (0..20).for_each(|position| mask.set(position * 2, false));
    let vector = |offset: f32| (0..layout.len).map(|i| i as f32 * 0.1 + offset).collect();
    Snapshot {
        epoch: 7,
        step: 0,
        batches: 70,
        parameters: vector(0.5),
        buffers: (0..layout.buffer_len).map(|i| i as f32).collect(),
        optimizer: Some(OptimizerState {
            steps: 70,
            vectors: vec![("mean".into(), vector(1.0)), ("square".into(), vector(2.0))],
        }),
        mask: Some(Arc::new(mask)),
    }
}

fn id() -> StageId {
    dense_id(&Settings::default(), None, None)
}

fn pruned(sums: SnapshotSums) -> Expected {
    Expected { sums: Some(sums), mask: true, optimizer: true }
}

#[test]
fn a_snapshot_is_read_back_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (store, layout) = (Store::new(folder.path()), Layout::of(&network(3)));
    let saved = snapshot(&layout);
    let sums = store.save(id(), "epoch:7", &saved, &layout).unwrap();
    assert_eq!(store.load(id(), "epoch:7", &layout, pruned(sums)).unwrap(), saved);
}

#[test]
fn a_snapshot_of_averaged_weights_is_read_back_with_those_that_are_trained() {
    let folder = tempfile::tempdir().unwrap();
    let (store, layout) = (Store::new(folder.path()), Layout::of(&network(3)));
    for first in ["mean", "momentum"] {
        let mut saved = snapshot(&layout);
        let vector = |offset: f32, len: usize| (0..len).map(|i| i as f32 * 0.2 + offset).collect();
        saved.optimizer = Some(OptimizerState {
            steps: 70,
            vectors: vec![
                (first.into(), vector(1.0, layout.len)),
                (OptimizerState::TRAINED.into(), vector(3.0, layout.len)),
                (OptimizerState::STATISTICS.into(), vector(4.0, layout.buffer_len)),
            ],
        });
        let sums = store.save(id(), "epoch:7", &saved, &layout).unwrap();
        assert_eq!(store.load(id(), "epoch:7", &layout, pruned(sums)).unwrap(), saved);
    }
}

#[test]
fn equal_snapshots_are_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let (store, layout) = (Store::new(folder.path()), Layout::of(&network(3)));
    let write = || {
        store.save(id(), "last", &snapshot(&layout), &layout).unwrap();
        let files = ["last", "last.optimizer"].map(|name| std::fs::read(store.path(id(), name)).unwrap());
        assert_eq!(SafeTensors::read_metadata(&files[0]).unwrap().0 % 8, 0);
        files
    };
    let first = write();
    // The four facts in a header have 24 orders.
    (0..10).for_each(|_| assert!(write() == first));
}

#[test]
fn files_hold_pytorchs_names_shapes_and_order() {
    let folder = tempfile::tempdir().unwrap();
    let (store, layout) = (Store::new(folder.path()), Layout::of(&network(3)));
    store.save(id(), "last", &snapshot(&layout), &layout).unwrap();
    let bytes = std::fs::read(store.path(id(), "last")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "bn.bias",
            "bn.num_batches_tracked",
            "bn.running_mean",
            "bn.running_var",
            "bn.weight",
            "conv.weight",
            "fc.bias",
            "fc.weight"
        ]
    );
    let conv = file.tensor("conv.weight").unwrap();
    assert_eq!(conv.shape(), [3, 2, 3, 3]);
    // [0, 1, 0, 0] in PyTorch's order is the second value stored: [0, 0, 0, 1].
    assert_eq!(floats(&conv)[9], 0.6);
}

#[test]
fn a_checkpoint_of_another_network_is_refused_by_name_and_shape() {
    let folder = tempfile::tempdir().unwrap();
    let (store, layout) = (Store::new(folder.path()), Layout::of(&network(3)));
    store.save(id(), "last", &snapshot(&layout), &layout).unwrap();
    let error = store.load(id(), "last", &Layout::of(&network(4)), Expected::default()).unwrap_err();
    assert!(error.message.contains("another network") && error.message.contains("conv.weight"), "{error}");
    assert!(error.message.contains("[3, 2, 3, 3]") && error.message.contains("[4, 2, 3, 3]"), "{error}");
}

#[test]
fn a_damaged_or_foreign_file_is_refused_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    for bytes in [&b"PK\x03\x04 a zip of pickles"[..], b"", &[255; 64]] {
        std::fs::write(&path, bytes).unwrap();
        let error = load_weights(&path, &Layout::of(&network(3))).unwrap_err();
        assert!(error.message.contains("model.pth") && error.hint.unwrap().contains("run the sweep again"));
        // The same as a file that the user names.
        let graph = network(3);
        let choices = crate::checkpoint::Choices::default();
        let error = crate::checkpoint::weights(&path, bytes, &graph, &Layout::of(&graph), &choices).unwrap_err();
        assert!(error.message.contains("model.pth") && error.hint.unwrap().contains("save_file"), "{bytes:?}");
    }
    let missing = load_weights(&folder.path().join("none"), &Layout::of(&network(3))).unwrap_err();
    assert_eq!(missing.kind, tombola_words::error::Kind::Input);
}

#[test]
fn the_last_snapshot_takes_the_folder_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, layout) = (Store::new(folder.path()), Layout::of(&network(3)));
    for name in ["best", "last"] {
        store.save(id(), name, &snapshot(&layout), &layout).unwrap();
    }
    store.remove(id(), "best").unwrap();
    assert!(store.load(id(), "last", &layout, Expected::default()).is_ok());
    store.remove(id(), "last").unwrap();
    assert!(!store.folder(id()).exists());
    store.remove(id(), "last").unwrap();
}

#[test]
fn a_parameter_whose_name_ends_like_the_first_one_is_no_vector_of_the_optimiser() {
    let mut build = Builder::new(Shape::Image(1, 4, 4));
    let first = build.conv("conv", 0, 2, 3, 1).unwrap();
    let second = build.conv("block.conv", first, 2, 3, 1).unwrap();
    let pool = build.add("pool", Op::GlobalAveragePool, &[second]).unwrap();
    build.linear("fc", pool, 5).unwrap();
    let layout = Layout::of(&build.finish(5).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let saved = snapshot(&layout);
    store.save(id(), "last", &saved, &layout).unwrap();
    assert_eq!(store.load(id(), "last", &layout, Expected::default()).unwrap().optimizer, saved.optimizer);
}

#[test]
fn what_a_killed_process_left_behind_is_tidied_away_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (store, layout) = (Store::new(folder.path()), Layout::of(&network(3)));
    for name in ["epoch:1", "progress-3", "progress-2"] {
        store.save(id(), name, &snapshot(&layout), &layout).unwrap();
    }
    let own = store.folder(id());
    for name in [".last.safetensors.12-3.tmp", "notes.txt", "mine.safetensors"] {
        std::fs::write(own.join(name), "half").unwrap();
    }
    store.tidy(|_, name| name == "progress-2").unwrap();
    assert!(
        store.load(id(), "epoch:1", &layout, Expected::default()).is_ok()
            && store.load(id(), "progress-3", &layout, Expected::default()).is_ok()
    );
    assert!(!store.path(id(), "progress-2").exists());
    assert_eq!(entries(&own).unwrap().len(), 7, "two snapshots of two files, their mask, and the user's files");
}

#[test]
fn any_changed_or_missing_file_of_a_snapshot_is_seen_and_never_read() {
    let folder = tempfile::tempdir().unwrap();
    let (store, layout) = (Store::new(folder.path()), Layout::of(&network(3)));
    let sums = store.save(id(), "last", &snapshot(&layout), &layout).unwrap();
    store.check(id(), "last", pruned(sums)).unwrap();
    let [weights, optimizer, _] = store.files(id(), "last");
    for path in [weights, optimizer, store.mask_file(id())] {
        let sound = std::fs::read(&path).unwrap();
        let (mut changed, cut) = (sound.clone(), &sound[..sound.len() - 4]);
        *changed.last_mut().unwrap() ^= 1;
        for bytes in [Some(changed.as_slice()), Some(cut), None] {
            match bytes {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            let checked = store.check(id(), "last", pruned(sums)).unwrap_err();
            let read = store.load(id(), "last", &layout, pruned(sums)).unwrap_err();
            let name = path.file_name().unwrap().to_string_lossy().to_string();
            assert!(checked.message.contains(&name) && read.message.contains(&name), "{checked}");
        }
        std::fs::write(&path, sound).unwrap();
    }
}

#[test]
fn without_checksums_a_missing_mask_or_optimiser_is_still_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (store, layout) = (Store::new(folder.path()), Layout::of(&network(3)));
    store.save(id(), "progress-3", &snapshot(&layout), &layout).unwrap();
    let expected = Expected { sums: None, mask: true, optimizer: true };
    store.check(id(), "progress-3", expected).unwrap();
    for path in [store.mask_file(id()), store.optimizer_path(id(), "progress-3")] {
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(store.check(id(), "progress-3", expected).is_err());
        assert!(store.load(id(), "progress-3", &layout, expected).is_err());
        std::fs::write(&path, bytes).unwrap();
    }
    std::fs::write(store.path(id(), "progress-3"), "damaged").unwrap();
    assert!(store.check(id(), "progress-3", expected).is_err());
}

#[test]
fn a_mask_of_an_attempt_under_another_parent_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (store, layout) = (Store::new(folder.path()), Layout::of(&network(3)));
    let first = snapshot(&layout);
    store.save(id(), "last", &first, &layout).unwrap();
    let second = Snapshot { mask: Some(Arc::new(Bits::ones(layout.len))), ..first };
    let sums = store.save(id(), "last", &second, &layout).unwrap();
    assert_eq!(store.load(id(), "last", &layout, pruned(sums)).unwrap(), second);
}

#[test]
fn snapshots_of_a_mask_that_changes_keep_their_own_beside_that_of_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (store, layout) = (Store::new(folder.path()), Layout::of(&network(3)));
    let end = snapshot(&layout);
    let connection = layout.parameters.iter().find(|parameter| parameter.role.is_connection()).unwrap();
    let mut bits = (**end.mask.as_ref().unwrap()).clone();
    connection.range().for_each(|position| bits.set(position, !bits.get(position)));
    let other = Snapshot { mask: Some(Arc::new(bits)), ..end.clone() };
    let best = store.save_with_own_mask(id(), "best", &other, &layout).unwrap();
    let last = store.save(id(), "last", &end, &layout).unwrap();
    assert!(best.mask.is_none() && best.own_mask.is_some() && last.own_mask.is_none());
    let load = |name, sums| store.load(id(), name, &layout, pruned(sums)).unwrap().mask;
    assert_eq!((load("best", best), load("last", last)), (other.mask.clone(), end.mask.clone()));
    assert_eq!(store.mask(id(), &layout, last.mask).unwrap(), end.mask.as_deref().cloned());
    assert_eq!(store.names(id()).unwrap().into_iter().collect::<Vec<_>>(), ["best", "last"]);
    // Its mask goes to other folders with it, is checked, and goes with it.
    let copy = Store::new(&folder.path().join("copy"));
    copy.copy_from(&store, id(), "best").unwrap();
    assert_eq!(copy.load(id(), "best", &layout, pruned(best)).unwrap().mask, other.mask);
    std::fs::write(&copy.files(id(), "best")[2], b"torn").unwrap();
    assert!(copy.check(id(), "best", pruned(best)).is_err());
    store.tidy(|_, name| name == "best").unwrap();
    assert!(store.files(id(), "best").iter().all(|file| !file.exists()) && store.mask_file(id()).exists());
}
