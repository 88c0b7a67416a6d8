//! Whether a file is the one that its publisher made.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use md5::{Digest, Md5};

use tombola_words::catalogue::{self, PublicFile};
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// What a look at a file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The publisher's content.
    Right,
    /// No such file.
    Missing,
    /// Another content: what was found and what was expected.
    Wrong(String),
}

/// Looks at a file, compressed or not.
pub(crate) fn verify(path: &Path, expected: &PublicFile) -> Result<Verdict> {
    if !path.is_file() {
        return Ok(Verdict::Missing);
    }
    let found = md5_of(path)?;
    if found == expected.md5 || Some(found.as_str()) == expected.compressed_md5 {
        return Ok(Verdict::Right);
    }
    if expected.md5.is_empty() {
        return without_sum(path, expected, &found);
    }
    if expected.compressed_md5.is_none() || catalogue::owner(&found).is_some() {
        return Ok(wrong("MD5", &found, expected.md5));
    }
    let mut reader = BufReader::new(open(path)?);
    if !reader.fill_buf().map_err(|error| Error::file("read", path, &error))?.starts_with(&[0x1f, 0x8b]) {
        return Ok(wrong("MD5", &found, expected.md5));
    }
    // One byte more than expected is enough to know that it is another file, however far it would unpack.
    match md5_of_reader(MultiGzDecoder::new(reader).take(expected.bytes + 1)) {
        Ok(content) if content == expected.md5 => Ok(Verdict::Right),
        Ok(content) => Ok(wrong("MD5 of the unpacked content", &content, expected.md5)),
        Err(error) => Ok(Verdict::Wrong(format!(
            "cannot be unpacked ({error}); MD5 is {found}, expected {}",
            expected.compressed_md5.unwrap_or(expected.md5)
        ))),
    }
}

/// A file whose unpacked content has no checksum of its publisher's: one of another set is told, and one of another size.
fn without_sum(path: &Path, expected: &PublicFile, found: &str) -> Result<Verdict> {
    if catalogue::owner(found).is_some() {
        return Ok(wrong("MD5", found, expected.compressed_md5.unwrap_or("none that is stated")));
    }
    let mut reader = BufReader::new(open(path)?);
    let packed = reader.fill_buf().map_err(|error| Error::file("read", path, &error))?.starts_with(&[0x1f, 0x8b]);
    if let (true, Some(md5)) = (packed, expected.compressed_md5) {
        return Ok(wrong("MD5", found, md5));
    }
    let most = expected.bytes + 1;
    let length = match packed {
        true => io::copy(&mut MultiGzDecoder::new(reader).take(most), &mut io::sink()),
        false => io::copy(&mut reader.take(most), &mut io::sink()),
    };
    Ok(match length {
        Ok(length) if length == expected.bytes => Verdict::Right,
        Ok(_) => Verdict::Wrong(format!("another size; expected {} bytes, unpacked", expected.bytes)),
        Err(error) => Verdict::Wrong(format!("cannot be unpacked ({error})")),
    })
}

/// Another content, and whose it is if that is known.
fn wrong(what: &str, found: &str, expected: &str) -> Verdict {
    let whose = catalogue::owner(found).map(|(set, file)| format!("this is `{file}` of {set}: ")).unwrap_or_default();
    Verdict::Wrong(format!("{whose}{what} is {found}, expected {expected}"))
}

/// MD5 of a file, in hexadecimal.
pub(crate) fn md5_of(path: &Path) -> Result<String> {
    md5_of_reader(open(path)?).map_err(|error| Error::file("read", path, &error))
}

/// MD5 of what a file holds when it is unpacked, of at most so many bytes; of one that is not compressed, of itself.
pub(crate) fn md5_of_content(path: &Path, most: u64) -> Result<String> {
    let mut reader = BufReader::new(open(path)?);
    let failed = |error: io::Error| Error::file("read", path, &error);
    match reader.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]) {
        // What cannot be unpacked is nobody's: whoever reads it says so.
        true => Ok(md5_of_reader(MultiGzDecoder::new(reader).take(most)).unwrap_or_default()),
        false => md5_of_reader(reader).map_err(failed),
    }
}

fn open(path: &Path) -> Result<File> {
    regular::open(path).map_err(|error| Error::file("read", path, &error))
}

fn md5_of_reader(mut reader: impl Read) -> io::Result<String> {
    let mut hasher = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match read_some(&mut reader, &mut buffer)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// One `read`, repeated if a signal interrupted it; 0 at the end.
pub(crate) fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::gzip;

    // MD5 of "abc" is one of the test values of RFC 1321.
    const ABC: PublicFile = PublicFile {
        name: "abc",
        md5: "900150983cd24fb0d6963f7d28e17f72",
        bytes: 3,
        compressed_md5: Some("00000000000000000000000000000000"),
    };

    fn verdict(content: &[u8], expected: &PublicFile) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, content).unwrap();
        verify(&path, expected).unwrap()
    }

    #[test]
    fn content_counts_however_it_is_compressed() {
        assert_eq!(verdict(b"abc", &ABC), Verdict::Right);
        assert_eq!(verdict(&gzip(b"abc"), &ABC), Verdict::Right);
        assert_eq!(verdict(b"abc", &PublicFile { compressed_md5: None, ..ABC }), Verdict::Right);
    }

    #[test]
    fn the_publishers_own_compression_is_known() {
        let known = PublicFile { md5: "0", compressed_md5: Some(ABC.md5), ..ABC };
        assert_eq!(verdict(b"abc", &known), Verdict::Right);
    }

    #[test]
    fn wrong_content_is_named_with_both_checksums() {
        for (content, expected) in
            [(b"abd".to_vec(), ABC), (gzip(b"abd"), ABC), (b"abd".to_vec(), PublicFile { compressed_md5: None, ..ABC })]
        {
            let Verdict::Wrong(text) = verdict(&content, &expected) else { panic!("accepted") };
            assert!(text.contains("4911e516e5aa21d327512e0c8b197616") && text.contains(ABC.md5), "{text}");
        }
        let packed = gzip(b"abc");
        let Verdict::Wrong(text) = verdict(&packed[..packed.len() - 3], &ABC) else { panic!("accepted") };
        assert!(text.contains("cannot be unpacked"), "{text}");
    }

    #[test]
    fn a_file_that_unpacks_to_more_is_wrong_and_not_unpacked_to_its_end() {
        let Verdict::Wrong(text) = verdict(&gzip(&vec![0; 10_000_000]), &ABC) else { panic!("accepted") };
        assert!(
            text.contains("MD5 of the unpacked content is f1d3ff8443297732862df21dc4e57262"),
            "of four zeros: {text}"
        );
    }

    #[test]
    fn without_a_checksum_of_the_publisher_the_size_is_what_can_be_compared() {
        let known = PublicFile { md5: "", compressed_md5: None, ..ABC };
        assert_eq!(verdict(b"xyz", &known), Verdict::Right);
        assert_eq!(verdict(&gzip(b"xyz"), &known), Verdict::Right);
        assert!(matches!(verdict(b"xy", &known), Verdict::Wrong(text) if text.contains("expected 3 bytes")));
        let packed = PublicFile { md5: "", ..ABC };
        assert!(matches!(verdict(&gzip(b"xyz"), &packed), Verdict::Wrong(text) if text.contains("MD5 is")));
    }

    #[test]
    fn no_file_is_missing() {
        assert_eq!(verify(Path::new("nowhere/at-all"), &ABC).unwrap(), Verdict::Missing);
    }
    #[test]
    fn a_file_of_another_set_is_said_to_be_one() {
        let Verdict::Wrong(text) = wrong("MD5", "bdb82020997e1d708af4cf47b453dcf7", ABC.md5) else {
            panic!("accepted")
        };
        assert!(text.starts_with("this is `train-images-idx3-ubyte` of kmnist: MD5 is bdb8"), "{text}");
        let Verdict::Wrong(text) = wrong("MD5", ABC.md5, "0") else { panic!("accepted") };
        assert!(text.starts_with("MD5 is 9001"), "{text}");
    }
}
