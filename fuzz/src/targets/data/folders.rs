//! Folders of images: each part of the input is a file, a folder or a link in a tree.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::form::{Grammar, LIST};
use crate::{FuzzTarget, few_copies, scratch};
use tombola_words::error::ignored;

/// The target.
pub static TARGET: FuzzTarget = FuzzTarget {
    name: "data-folders",
    run,
    seeds,
    form: LIST,
    grammar: Grammar::Bytes,
    words,
    longest: 2048,
    memory: few_copies,
};

/// Entries of a tree.
const MOST: usize = 24;

fn run(bytes: &[u8]) {
    let Some(parts) = (LIST.split)(bytes) else { return };
    let top = scratch::folder().join("tree");
    ignored(std::fs::remove_dir_all(&top), "there is none before the first input");
    // Links lead two folders up at most, and nothing else lies there.
    let root = top.join("1/2/3");
    ignored(std::fs::create_dir_all(&root), "then there is nothing to read");
    for part in parts.iter().take(MOST) {
        let Some((kind, rest)) = part.split_first() else { continue };
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let Some(path) = place(&root, &rest[..end]) else { continue };
        let content = rest.get(end + 1..).unwrap_or_default();
        let made = match kind % 4 {
            0 | 1 => std::fs::write(path, content),
            2 => std::fs::create_dir(path),
            _ => std::os::unix::fs::symlink(target(content), path),
        };
        ignored(made, "names may be too long, or there already");
    }
    super::check(&root, 0);
}

/// A place in the tree, whose folders are made; never behind a link.
fn place(root: &Path, name: &[u8]) -> Option<PathBuf> {
    let mut path = root.to_path_buf();
    let pieces: Vec<&[u8]> =
        name.split(|byte| *byte == b'/').filter(|piece| !matches!(*piece, b"" | b"." | b"..")).take(6).collect();
    let (last, folders) = pieces.split_last()?;
    for folder in folders {
        path.push(OsStr::from_bytes(folder));
        ignored(std::fs::create_dir(&path), "it may be there");
        if !path.symlink_metadata().is_ok_and(|about| about.is_dir()) {
            return None;
        }
    }
    path.push(OsStr::from_bytes(last));
    Some(path)
}

/// Where a link leads: to its folder, those above, or something beside it.
fn target(content: &[u8]) -> PathBuf {
    match content.first() {
        Some(b'0') => PathBuf::from("."),
        Some(b'1') => PathBuf::from(".."),
        Some(b'2') => PathBuf::from("../.."),
        _ => PathBuf::from(OsStr::from_bytes(content.split(|byte| *byte == b'/').next_back().unwrap_or_default())),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let list = |entries: &[&str]| {
        let entries = entries.iter().map(|entry| {
            let (kind, rest) = entry.split_at(1);
            [&[kind.as_bytes()[0] - b'0'][..], rest.as_bytes()].concat()
        });
        (LIST.join)(&entries.collect::<Vec<_>>())
    };
    vec![
        list(&["0train/a/1.png\nx", "0train/b/2.JPG\ny", "0val/a/3.png\nz", "0test/4.png\nw", "0train/a/Thumbs.db\n"]),
        list(&["0a/1.png\nx", "0b/1.png\ny", "3a/up\n1", "3b/own\n0", "3b/c\na", "3a/2.png\nnowhere", "2d"]),
        list(&[
            "0s/train/n1/images/1.JPEG\nx",
            "0s/train/n2/images/1.JPEG\nx",
            "0s/val/images/v.JPEG\nx",
            "0s/val/val_annotations.txt\nv.JPEG\tn1\t0\n",
            "0s/wnids.txt\nn2\nn1\n",
        ]),
    ]
}

fn words() -> Vec<String> {
    let words = [
        "train/",
        "val/",
        "test/",
        "images/",
        ".png\n",
        ".jpg\n",
        "val_annotations.txt\n",
        "wnids.txt\n",
        "a/",
        "b/",
        "\t",
        "../",
    ];
    words.map(str::to_string).to_vec()
}
