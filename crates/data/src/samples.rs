//! Small files in the true formats, for tests.

use std::io::Write;

/// An IDX file of images, as many as `pixels` holds.
pub(crate) fn idx_images(rows: u32, columns: u32, pixels: &[u8]) -> Vec<u8> {
    let count = pixels.len() as u32 / (rows * columns);
    let mut bytes: Vec<u8> =
        [0x803, count, rows, columns].iter().flat_map(|number: &u32| number.to_be_bytes()).collect();
    bytes.extend_from_slice(pixels);
    bytes
}

/// An IDX file of labels.
pub(crate) fn idx_labels(labels: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = [0x801, labels.len() as u32].iter().flat_map(|number| number.to_be_bytes()).collect();
    bytes.extend_from_slice(labels);
    bytes
}

/// One CIFAR record: channel c of pixel p has the value `start` + p + 100 c, modulo 256.
pub(crate) fn cifar_record(labels: &[u8], start: usize) -> Vec<u8> {
    let planes = (0..3).flat_map(|channel| (0..1024).map(move |pixel| (start + pixel + 100 * channel) as u8));
    labels.iter().copied().chain(planes).collect()
}

/// These bytes compressed.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A compressed archive of these files.
pub(crate) fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Written by hand, because the library refuses the names that an attacker would choose.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    gzip(&archive.into_inner().unwrap())
}
