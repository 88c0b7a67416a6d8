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

/// A `.npy` file; `kind` and `shape` as Python writes them.
pub(crate) fn npy(kind: &str, fortran: bool, shape: &str, values: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

/// A zip archive, compressed or not. The library in use writes stored ones alone.
pub(crate) fn zipped(files: &[(&str, &[u8])], compressed: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content).unwrap();
        let packed = if compressed { encoder.finish().unwrap() } else { content.to_vec() };
        let method: u16 = if compressed { 8 } else { 0 };
        let mut about = [&20_u16.to_le_bytes()[..], &[0; 2], &method.to_le_bytes(), &[0; 4]].concat();
        about.extend(crc32fast::hash(content).to_le_bytes());
        about.extend((packed.len() as u32).to_le_bytes());
        about.extend((content.len() as u32).to_le_bytes());
        about.extend((name.len() as u16).to_le_bytes());
        about.extend([0; 2]);
        let start = bytes.len() as u32;
        directory.extend([b"PK\x01\x02\x14\0", &about[..], &[0; 10], &start.to_le_bytes(), name.as_bytes()].concat());
        bytes.extend([b"PK\x03\x04", &about[..], name.as_bytes(), &packed].concat());
    }
    let (count, size, start) = (files.len() as u16, directory.len() as u32, bytes.len() as u32);
    bytes.extend(directory);
    bytes.extend([&b"PK\x05\x06\0\0\0\0"[..], &count.to_le_bytes(), &count.to_le_bytes()].concat());
    bytes.extend([&size.to_le_bytes()[..], &start.to_le_bytes(), &[0; 2]].concat());
    bytes
}

/// All examples of a reader, read twice: the same each time.
pub(crate) fn examples(
    reader: &dyn crate::example::Reader,
) -> tombola_words::error::Result<Vec<crate::example::Example>> {
    let once = || {
        let mut all = Vec::new();
        reader.read(&mut |example| {
            all.push(example);
            Ok(())
        })?;
        Ok(all)
    };
    let first = once()?;
    assert_eq!(first, once()?, "read twice, it is another");
    Ok(first)
}

/// A batch of the Python version of CIFAR, as Python 2 wrote it.
pub(crate) fn cifar_pickle(key: &str, labels: &[u8], planes: &[u8]) -> Vec<u8> {
    let short = |text: &str| [&[b'U', text.len() as u8][..], text.as_bytes()].concat();
    let count = (planes.len() / 3072) as u8;
    [
        &b"\x80\x02}q\x01("[..],
        &short("data"),
        b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04(K\x01K",
        &[count],
        b"M\x00\x0c\x86cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87Rq\x06(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T",
        &(planes.len() as u32).to_le_bytes(),
        planes,
        b"tb",
        &short(key),
        b"]q\x07(",
        &labels.iter().flat_map(|label| [b'K', *label]).collect::<Vec<u8>>(),
        b"e",
        &short("batch_label"),
        &short("training batch 1 of 5"),
        b"u.",
    ]
    .concat()
}
