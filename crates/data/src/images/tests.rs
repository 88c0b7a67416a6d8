use super::*;

fn three() -> Images {
    Images::new((0..12).collect(), vec![0_u8, 1, 2], (1, 2, 2), 3).unwrap()
}

#[test]
fn an_image_is_found_at_its_place_and_nowhere_else() {
    let images = three();
    assert_eq!(images.len(), 3);
    assert_eq!(images.example(1), Some(&[4, 5, 6, 7][..]));
    assert_eq!(images.example(3), None);
    assert_eq!(images.example(usize::MAX), None);
}

#[test]
fn truncation_keeps_the_first_images_and_frees_the_rest() {
    let mut images = three();
    images.truncate(9);
    assert_eq!(images.len(), 3);
    images.truncate(2);
    assert_eq!((&*images.values, images.labels.as_slice()), (&[0, 1, 2, 3, 4, 5, 6, 7][..], &[0, 1][..]));
    assert_eq!(images.images_per_class(), [1, 1, 0]);
}

#[test]
fn pixels_that_do_not_fit_the_labels_are_refused() {
    let error = Images::new(vec![0; 11], vec![0_u8, 1, 2], (1, 2, 2), 3).unwrap_err();
    assert_eq!(error.message, "11 bytes of pixels do not fit 3 images of 1x2x2");
    let error = Images::new(vec![0; 12], vec![0_u8, 3, 2], (1, 2, 2), 3).unwrap_err();
    assert_eq!(error.message, "label 3 of image 1 is out of range; expected 0 to 2");
}

#[test]
fn the_fingerprint_sees_every_pixel_label_and_size() {
    let whole = DataSet::new("a", three(), three()).unwrap().fingerprint;
    assert_eq!(whole, DataSet::new("b", three(), three()).unwrap().fingerprint, "the name is not content");
    let pixels = (0..11).chain([12]).collect();
    let pixel = Images::new(pixels, vec![0_u8, 1, 2], (1, 2, 2), 3).unwrap();
    let mut label = three();
    label.labels[0] = 2;
    let mut fewer = three();
    fewer.truncate(2);
    for other in [pixel, label, fewer] {
        assert_ne!(whole, DataSet::new("a", three(), other).unwrap().fingerprint);
    }
    let tall = || Images::new((0..12).collect(), vec![0_u8, 1, 2], (1, 4, 1), 3).unwrap();
    assert_ne!(whole, DataSet::new("a", tall(), tall()).unwrap().fingerprint);
}

#[test]
fn parts_that_differ_or_are_empty_are_refused() {
    let tall = Images::new((0..12).collect(), vec![0_u8, 1, 2], (1, 4, 1), 3).unwrap();
    assert!(DataSet::new("a", three(), tall).unwrap_err().message.contains("1x2x2"));
    let mut none = three();
    none.truncate(0);
    assert_eq!(DataSet::new("a", three(), none).unwrap_err().message, "`a` has no test images");
}
