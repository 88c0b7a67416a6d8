//! Gets the public files of a data set: `tombola data fetch`.
//!
//! A file is downloaded under another name beside its place, verified, and renamed. Whatever interrupts this, a file
//! with its final name is whole; the next call replaces what is missing or wrong and leaves the rest alone.

use std::fs::{self, File, TryLockError};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::checksum::{Verdict, md5_of, read_some, verify};
use super::places;
use super::places::{Found, folders, look_in, place_to_fill};
use tombola_words::catalogue::{Known, PublicArchive, PublicFile, Source};
use tombola_words::error::ignored;
use tombola_words::error::{Error, Result};
use tombola_words::regular;

/// A body longer than this is not written down; the largest public file is a third of it.
const MOST_DOWNLOAD: u64 = 512 << 20;

/// How long the other side may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes sure that all files of `known` are on this machine, and says on `out` what was done, one line a file.
///
/// Files go to `data_dir`, or else to the first of the usual places that belongs to the user; nothing is downloaded if
/// one of the usual places already has all files. `base_url` replaces the publisher's.
///
/// # Errors
/// No network, an address that has no such file, a checksum that differs, no space, a second fetch at the same time.
pub fn fetch(known: &Known, data_dir: Option<&Path>, base_url: Option<&str>, out: &mut dyn Write) -> Result<()> {
    fetch_to(known, &places::places(data_dir), data_dir, base_url, out)
}

pub(super) fn fetch_to(
    known: &Known,
    places: &[PathBuf],
    data_dir: Option<&Path>,
    base_url: Option<&str>,
    out: &mut dyn Write,
) -> Result<()> {
    if known.source == Source::Made {
        return Err(Error::input(format!("`{}` is made by the program: there is nothing to fetch", known.name)));
    }
    for found in places.iter().filter_map(|place| look_in(known, place)) {
        if found.complete().is_some() && wrong_files(&found)?.is_empty() {
            return say(out, &format!("{}: complete in {}", known.name, found.folder.display()));
        }
    }
    if let Some(instead) = known.not_fetched() {
        return Err(Error::input(format!("`{}` cannot be fetched", known.name)).hint(instead));
    }
    let place = place_to_fill(places, data_dir)?;
    // Damaged files of the Python version are not replaced: the other version is fetched.
    let look_in = |known: &Known, place: &Path| look_in(known, place).filter(|found| found.expected == known.files());
    let folder = match look_in(known, &place) {
        Some(found) => found.folder,
        None => folders(known, &place).into_iter().next().unwrap_or_else(|| place.clone()),
    };
    fs::create_dir_all(&folder).map_err(|error| Error::file("create", &folder, &error))?;
    let _lock = lock(&folder)?;
    // Looked at under the lock: another fetch may just have ended.
    let nothing = || {
        let expected = known.files();
        Found { folder: folder.clone(), files: vec![None; expected.len()], expected }
    };
    let found = look_in(known, &place).unwrap_or_else(nothing);
    let wanted = wrong_files(&found)?;
    let base = base_url.unwrap_or(known.base_url).trim_end_matches('/');
    match known.source {
        Source::Made => {}
        Source::Idx { .. } => {
            for file in wanted {
                let name = format!("{}.gz", file.name);
                let bytes = download(&format!("{base}/{name}"), &folder.join(&name), |part| verify(part, &file))?;
                say(out, &format!("{}: {name} fetched ({bytes} bytes)", known.name))?;
            }
        }
        Source::Cifar { archive, .. } => {
            // An archive that somebody put there by hand, or a run that was killed left, need not be downloaded again.
            let path = folder.parent().unwrap_or(&folder).join(archive.name);
            let present = path.is_file() && md5_of(&path)? == archive.md5;
            if !present {
                let url = format!("{base}/{}", archive.name);
                let bytes = download(&url, &path, |part| {
                    let found = md5_of(part)?;
                    Ok(match found == archive.md5 {
                        true => Verdict::Right,
                        false => Verdict::Wrong(format!("MD5 is {found}, expected {}", archive.md5)),
                    })
                })?;
                say(out, &format!("{}: {} fetched ({bytes} bytes)", known.name, archive.name))?;
            }
            unpack(&path, &archive, &wanted, &folder)?;
            for file in &wanted {
                say(out, &format!("{}: {} unpacked", known.name, file.name))?;
            }
            if !present {
                fs::remove_file(&path).map_err(|error| Error::file("remove", &path, &error))?;
            }
        }
    }
    say(out, &format!("{}: complete in {}", known.name, folder.display()))
}

fn say(out: &mut dyn Write, line: &str) -> Result<()> {
    writeln!(out, "{line}").map_err(|error| Error::environment(format!("cannot write to the output: {error}")))
}

/// The files that are missing or not the publisher's.
fn wrong_files(found: &Found) -> Result<Vec<PublicFile>> {
    let mut wrong = Vec::new();
    for (file, path) in found.expected.iter().zip(&found.files) {
        let right = match path {
            Some(path) => verify(path, file)? == Verdict::Right,
            None => false,
        };
        if !right {
            wrong.push(*file);
        }
    }
    Ok(wrong)
}

/// Keeps two fetches from writing to the same files; released when the result is dropped or the process ends.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".fetch.lock");
    let file = File::create(&path).map_err(|error| Error::file("create", &path, &error))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(Error::environment(format!("another `tombola data fetch` is writing to `{}`", folder.display()))
                .hint("wait until it has ended, then run the same command again"))
        }
        // Some network file systems have no locks; a single fetch is safe without.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// A file that is being written: removed unless it is put in its place.
struct PartialFile {
    path: PathBuf,
    file: File,
}

impl PartialFile {
    fn create(target: &Path) -> Result<Self> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let path = target.with_file_name(name);
        let file = File::create(&path).map_err(|error| Error::file("create", &path, &error))?;
        Ok(Self { path, file })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::file("write", &self.path, &error))
    }

    /// Gives it its final name. It must be on the disk before, or a power cut could leave an empty file with that name.
    fn put(&self, target: &Path) -> Result<()> {
        self.file.sync_all().map_err(|error| Error::file("write", &self.path, &error))?;
        fs::rename(&self.path, target).map_err(|error| Error::file("rename", &self.path, &error))
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        ignored(
            fs::remove_file(&self.path),
            "after `put` there is nothing left to remove; otherwise only a `.part` stays",
        );
    }
}

/// Downloads `url`, has it verified and puts it at `target`; the number of bytes.
fn download(url: &str, target: &Path, verify: impl Fn(&Path) -> Result<Verdict>) -> Result<u64> {
    let mut response = agent(url).get(url).call().map_err(|error| refused(url, target, &error))?;
    let promised = response.body().content_length();
    let mut part = PartialFile::create(target)?;
    let bar = progress(target, promised);
    let mut body = response.body_mut().with_config().limit(MOST_DOWNLOAD).reader();
    let broken = |bytes: u64, why: &str| {
        let of = promised.map(|bytes| format!(" of {bytes}")).unwrap_or_default();
        Error::environment(format!("the download of `{url}` broke off after {bytes}{of} bytes{why}"))
            .hint("run the same command again; files that are already complete are kept")
    };
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        match read_some(&mut body, &mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                part.write(&buffer[..count])?;
                bytes += count as u64;
                bar.set_position(bytes);
            }
            Err(error) => return Err(broken(bytes, &format!(": {error}"))),
        }
    }
    bar.finish_and_clear();
    if promised.is_some_and(|promised| promised != bytes) {
        return Err(broken(bytes, ""));
    }
    match verify(&part.path)? {
        Verdict::Right => part.put(target)?,
        Verdict::Missing => return Err(vanished(&part)),
        Verdict::Wrong(why) => {
            return Err(Error::input(format!("`{url}` is not the expected file: {why}"))
                .hint("nothing was kept; try again, or give the address of a good copy with `--base-url`"));
        }
    }
    Ok(bytes)
}

fn vanished(part: &PartialFile) -> Error {
    Error::environment(format!("`{}` vanished while it was written", part.path.display()))
        .hint("something else removes files there; run the same command again")
}

fn agent(url: &str) -> ureq::Agent {
    let mut config = ureq::Agent::config_builder()
        .user_agent(concat!("tombola/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE));
    // A proxy of the environment cannot reach this machine's own servers.
    if ["http://127.", "http://localhost", "http://[::1]"].iter().any(|own| url.starts_with(own)) {
        config = config.proxy(None);
    }
    config.build().into()
}

/// What a request that gave no body says to the user.
fn refused(url: &str, target: &Path, error: &ureq::Error) -> Error {
    let by_hand = format!("copy the file to `{}` by hand", target.display());
    match error {
        ureq::Error::StatusCode(code @ 400..500) => {
            Error::input(format!("`{url}` answered {code}: there is no such file to have")).hint(format!(
                "check `--base-url`; if the publisher has moved the file, give another address with it, or {by_hand}"
            ))
        }
        ureq::Error::StatusCode(code) => {
            Error::environment(format!("`{url}` answered {code}: the server has a problem"))
                .hint("try again later, or give another address with `--base-url`")
        }
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => Error::input(format!("`{url}` is not an address: {error}"))
            .hint("`--base-url` expects an address like `https://example.org/folder/`"),
        _ => Error::environment(format!("cannot reach `{url}`: {error}"))
            .hint(format!("check the network; on a machine without one, {by_hand}")),
    }
}

fn progress(target: &Path, length: Option<u64>) -> ProgressBar {
    let drawn = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(length, drawn);
    if let Ok(style) =
        ProgressStyle::with_template("{msg}  {bar:30}  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left")
    {
        bar.set_style(style);
    }
    bar.set_message(target.file_name().unwrap_or_default().to_string_lossy().into_owned());
    bar
}

/// Takes the files `wanted` out of a verified archive. Entries are recognised by their whole path and written under our
/// own names, so no path that an archive could hold leads out of `folder`; all other entries are passed over.
fn unpack(path: &Path, archive: &PublicArchive, wanted: &[PublicFile], folder: &Path) -> Result<()> {
    let damaged = |error: io::Error| {
        Error::input(format!("`{}` cannot be unpacked: {error}", path.display()))
            .hint("remove it and run the same command again")
    };
    let file = regular::open(path).map_err(|error| Error::file("read", path, &error))?;
    let mut entries = tar::Archive::new(MultiGzDecoder::new(io::BufReader::new(file)));
    let mut left: Vec<&PublicFile> = wanted.iter().collect();
    for entry in entries.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.into_owned();
        let name = name.strip_prefix(".").unwrap_or(&name);
        let Some(index) = left.iter().position(|file| name == Path::new(archive.folder).join(file.name)) else {
            continue;
        };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let file = left.swap_remove(index);
        let target = folder.join(file.name);
        let mut part = PartialFile::create(&target)?;
        // Never more than the known size, whatever the header of the entry says.
        let mut source = entry.by_ref().take(file.bytes);
        let mut buffer = vec![0; 1 << 16];
        loop {
            match read_some(&mut source, &mut buffer).map_err(damaged)? {
                0 => break,
                count => part.write(&buffer[..count])?,
            }
        }
        match verify(&part.path, file)? {
            Verdict::Right => part.put(&target)?,
            Verdict::Missing => return Err(vanished(&part)),
            Verdict::Wrong(why) => {
                return Err(Error::input(format!(
                    "`{}` in `{}` is not the expected file: {why}",
                    file.name,
                    path.display()
                ))
                .hint("remove the archive and run the same command again"));
            }
        }
    }
    match left.first() {
        None => Ok(()),
        Some(file) => Err(Error::input(format!("`{}` holds no `{}/{}`", path.display(), archive.folder, file.name))
            .hint("this is another archive: remove it and run the same command again")),
    }
}

#[cfg(test)]
mod tests;
