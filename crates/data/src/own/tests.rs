use std::path::Path;

use image::{DynamicImage, ImageFormat, Luma};

use super::*;
use crate::images::layout;
use tombola_words::value::ImageFilter;

const PLENTY: u64 = 1 << 40;

/// Grey squares of two classes below a folder of their own, each image different.
fn squares(folder: &Path, each: u8) {
    for (class, base) in [("dark", 0), ("light", 100)] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..each {
            let image = image::ImageBuffer::from_fn(4, 3, |x, _| Luma([base + number + x as u8]));
            let place = folder.join(class).join(format!("{number:03}.png"));
            DynamicImage::ImageLuma8(image).save_with_format(place, ImageFormat::Png).unwrap();
        }
    }
}

fn opened_set(cache: &Cache, path: &Path, memory: u64) -> Result<DataSet> {
    let options = DataOptions::default();
    let found = take_into(cache, path, &options)?;
    open_from(cache, "squares", path, &options, &found.form, memory)
}

#[test]
fn what_is_opened_is_what_was_decoded_mapped_or_read() {
    let folder = tempfile::tempdir().unwrap();
    squares(&folder.path().join("set"), 20);
    let cache = Cache::at(&folder.path().join("cache"), PLENTY);
    let mapped = opened_set(&cache, &folder.path().join("set"), PLENTY).unwrap();
    let read = opened_set(&cache, &folder.path().join("set"), 0).unwrap();
    assert!(!mapped.reads_ahead() && read.reads_ahead());
    // A fifth of each class is held out, and the fingerprint is that of the same images in memory.
    assert_eq!((mapped.train.images_per_class(), mapped.test.images_per_class()), (vec![16, 16], vec![4, 4]));
    let copy = |part: &Images| {
        Images::of(part.values.to_vec().into(), part.element, part.labels.clone(), part.shape, part.classes).unwrap()
    };
    let whole = DataSet::new("copy", copy(&mapped.train), copy(&mapped.test)).unwrap();
    assert_eq!(whole.fingerprint, mapped.fingerprint);
    assert_eq!(layout(mapped.train.shape), [3, 4, 1]);
    for index in 0..mapped.train.len() {
        let mut values = vec![0; read.train.example_bytes()];
        read.train.read(index, &mut values).unwrap();
        assert_eq!(Some(values.as_slice()), mapped.train.example(index));
        // The label says which base the pixels have.
        assert_eq!(mapped.train.labels[index] == 1, values[0] >= 100);
    }
    assert!(read.train.read(40, &mut [0; 12]).is_err());
}

#[test]
fn images_that_are_read_ahead_are_filtered_as_those_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    squares(&folder.path().join("set"), 20);
    let cache = Cache::at(&folder.path().join("cache"), PLENTY);
    let opened = |memory| opened_set(&cache, &folder.path().join("set"), memory).unwrap();
    let filtered = |memory| opened(memory).filtered(ImageFilter::HighPass, 1.0).unwrap();
    let (plain, held, read) = (opened(PLENTY), filtered(PLENTY), filtered(0));
    assert!(read.reads_ahead() && !held.reads_ahead());
    for (plain, held, read) in [(&plain.train, &held.train, &read.train), (&plain.test, &held.test, &read.test)] {
        let mut piece_by_piece = Vec::new();
        read.each_piece(0..read.len(), &mut |values| piece_by_piece.extend_from_slice(values)).unwrap();
        assert_eq!(piece_by_piece, held.values.to_vec());
        assert!(held.values != plain.values);
        let mut values = vec![0; read.example_bytes()];
        read.read(3, &mut values).unwrap();
        assert_eq!(Some(values.as_slice()), held.example(3));
    }
    // What lies in the cache is what it was.
    assert_eq!(opened(PLENTY).train, plain.train);
}

#[test]
fn names_of_files_change_neither_content_nor_order() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    squares(&first, 9);
    squares(&second, 9);
    for class in ["dark", "light"] {
        for number in 0..9 {
            let place = second.join(class);
            std::fs::rename(place.join(format!("{number:03}.png")), place.join(format!("{}.png", 9 - number))).unwrap();
        }
    }
    let cache = Cache::at(&folder.path().join("cache"), PLENTY);
    let [first, second] = [first, second].map(|path| opened_set(&cache, &path, PLENTY).unwrap());
    assert_eq!(first.fingerprint, second.fingerprint);
    assert_eq!(cache.sets().unwrap().len(), 1);
}

#[test]
fn what_was_not_used_for_longest_makes_room_and_what_never_fits_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (1..4u8).map(|each| folder.path().join(each.to_string())).collect();
    for (each, path) in (10..).zip(&paths) {
        squares(path, each);
    }
    // A set takes some 8,500 bytes, most of them heads of parts, and while it is written half as much again.
    let cache = Cache::at(&folder.path().join("cache"), 26_000);
    let forms: Vec<_> =
        paths.iter().map(|path| take_into(&cache, path, &DataOptions::default()).unwrap().form).collect();
    let is_kept = |form: &DataForm| cache.folder_of(&form.content).is_some();
    assert_eq!(forms.iter().map(is_kept).collect::<Vec<_>>(), [false, true, true]);
    let small = Cache::at(&folder.path().join("small"), 100);
    let error = take_into(&small, &paths[0], &DataOptions::default()).unwrap_err();
    assert!(error.message.contains("at most") && error.hint.unwrap().contains("TOMBOLA_DATA_CACHE_GB"));
    assert!(cache.clear().unwrap() > 8000);
    assert!(cache.sets().unwrap().is_empty());
}

#[test]
fn every_damaged_byte_of_a_part_is_noticed_and_decoded_again() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    squares(&set, 6);
    let cache = Cache::at(&folder.path().join("cache"), PLENTY);
    let good = opened_set(&cache, &set, PLENTY).unwrap();
    let part = || cache.folder_of(&good.fingerprint).unwrap().join("training");
    let bytes = std::fs::read(part()).unwrap();
    for place in (0..bytes.len()).step_by(37) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        std::fs::write(part(), &damaged).unwrap();
        let again = opened_set(&cache, &set, PLENTY).unwrap();
        assert_eq!(again.train, good.train, "byte {place}");
    }
    std::fs::write(part(), &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(opened_set(&cache, &set, PLENTY).unwrap().train, good.train);
    // Read piece by piece, the example that is damaged says so.
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(part(), &damaged).unwrap();
    let read = opened_set(&cache, &set, 0).unwrap();
    let (last, mut values) = (read.train.len() - 1, vec![0; 12]);
    assert!(read.train.read(0, &mut values).is_ok());
    assert!(read.train.read(last, &mut values).unwrap_err().message.contains("is damaged"));
}

#[test]
fn other_data_than_were_planned_with_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    squares(&set, 6);
    let (cache, options) = (Cache::at(&folder.path().join("cache"), PLENTY), DataOptions::default());
    let form = take_into(&cache, &set, &options).unwrap().form;
    cache.clear().unwrap();
    squares(&set, 7);
    let error = open_from(&cache, "set", &set, &options, &form, PLENTY).unwrap_err();
    assert!(error.message.contains("holds 11 training") && error.message.contains("expected 10 training"), "{error}");
}

/// A PNG whose first bytes are right, and whose pixels are cut off.
fn cut_off(place: &Path) {
    let whole = std::fs::read(place).unwrap();
    std::fs::write(place, &whole[..whole.len() - 20]).unwrap();
}

#[test]
fn what_is_left_out_while_decoding_is_counted_and_may_not_empty_a_class() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    squares(&set, 5);
    let cache = Cache::at(&folder.path().join("cache"), PLENTY);
    let skipping = DataOptions { skip_damaged: true, ..DataOptions::default() };
    cut_off(&set.join("dark/001.png"));
    let error = take_into(&cache, &set, &DataOptions::default()).unwrap_err();
    assert!(error.message.contains("dark/001.png` is damaged"), "{error}");
    let found = take_into(&cache, &set, &skipping).unwrap();
    assert_eq!((found.form.train + found.form.test, found.notes[0].as_str()), (9, "1 damaged examples are left out"));
    (0..5).for_each(|number| cut_off(&set.join(format!("light/{number:03}.png"))));
    let error = take_into(&cache, &set, &skipping).unwrap_err();
    assert!(error.message.contains("class `light` has no training example that is left"), "{error}");
    (0..5).filter(|number| *number != 1).for_each(|number| cut_off(&set.join(format!("dark/{number:03}.png"))));
    let error = take_into(&cache, &set, &skipping).unwrap_err();
    assert!(error.message.contains("no training example that can be decoded"), "{error}");
}

#[test]
fn a_class_of_one_example_is_trained_on_and_its_absence_from_the_test_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    squares(&set, 20);
    (1..20).for_each(|number| std::fs::remove_file(set.join(format!("light/{number:03}.png"))).unwrap());
    let cache = Cache::at(&folder.path().join("cache"), PLENTY);
    let found = take_into(&cache, &set, &DataOptions::default()).unwrap();
    assert!(found.notes.iter().any(|note| note == "1 class has no test example, `light` first"), "{:?}", found.notes);
    let most = DataOptions { test_share: Some(0.6), ..DataOptions::default() };
    let error = take_into(&cache, &set, &most).unwrap_err();
    assert!(error.hint.unwrap().contains("test-share"), "{}", error.message);
}

#[test]
fn what_is_left_of_a_set_that_was_taken_away_half_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    squares(&set, 6);
    let cache = Cache::at(&folder.path().join("cache"), PLENTY);
    let first = opened_set(&cache, &set, PLENTY).unwrap();
    let place = cache.folder_of(&first.fingerprint).unwrap();
    std::fs::remove_file(place.join("form.json")).unwrap();
    assert_eq!(opened_set(&cache, &set, PLENTY).unwrap().train, first.train);
    // An example that is read ahead and damaged: the next opening decodes again.
    let mut bytes = std::fs::read(place.join("training")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(place.join("training"), bytes).unwrap();
    let read = opened_set(&cache, &set, 0).unwrap();
    assert!(read.train.read(read.train.len() - 1, &mut [0; 12]).is_err());
    let again = opened_set(&cache, &set, 0).unwrap();
    assert!(again.train.read(again.train.len() - 1, &mut [0; 12]).is_ok());
}

#[test]
fn links_that_lead_in_circles_are_walked_once() {
    let folder = tempfile::tempdir().unwrap();
    squares(folder.path(), 2);
    for number in 0..12 {
        std::os::unix::fs::symlink("..", folder.path().join(format!("dark/up{number}"))).unwrap();
    }
    let begun = std::time::Instant::now();
    Listing::of(folder.path()).unwrap();
    assert!(begun.elapsed().as_secs() < 5, "twelve links to sixteen levels would take longer than anybody waits");
}

#[test]
fn processes_that_open_a_set_at_once_decode_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    squares(&set, 30);
    let cache = Cache::at(&folder.path().join("cache"), PLENTY);
    let form = take_into(&cache, &set, &DataOptions::default()).unwrap().form;
    cache.clear().unwrap();
    let files: Vec<u64> = std::thread::scope(|scope| {
        let open = || {
            open_from(&cache, "set", &set, &DataOptions::default(), &form, PLENTY).unwrap();
            let part = cache.folder_of(&form.content).unwrap().join("training");
            std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(part).unwrap())
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(files.iter().all(|file| *file == files[0]), "each found the files that one wrote");
}

#[test]
fn parts_that_are_scaled_otherwise_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("set.csv");
    let settled = |test: [f64; 2]| {
        let rows = format!("a,split,y\n255,train,0\n3,train,1\n{},test,0\n{},test,1\n", test[0], test[1]);
        std::fs::write(&place, rows).unwrap();
        survey(&place, &DataOptions::default()).unwrap().settled(&DataOptions::default())
    };
    let error = settled([0.5, 0.25]).unwrap_err();
    assert!(error.message.contains("up to 255") && error.message.contains("scaled otherwise"), "{error}");
    assert!(settled([7.5, 2.0]).is_ok() && settled([7.0, 2.0]).is_ok());
}
