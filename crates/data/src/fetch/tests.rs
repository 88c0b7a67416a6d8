//! Fetching from a server on this machine.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use md5::{Digest, Md5};

use super::*;
use crate::check::check_known;
use crate::places::load_known;
use crate::samples::{cifar_record, gzip, idx_images, idx_labels, tar_gz};
use tombola_words::Shape;
use tombola_words::catalogue::{Format, IdxForm};
use tombola_words::error::Kind;
use tombola_words::error::ignored;

/// What the server does when it is asked for a path.
#[derive(Clone)]
enum Answer {
    Whole(Vec<u8>),
    /// Promises all, sends half, hangs up.
    Half(Vec<u8>),
    Status(u16),
}

/// Serves until the test process ends, and notes what it was asked for.
struct Server {
    url: String,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(files: &[(&str, Answer)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/files", listener.local_addr().unwrap());
        let answers = files.iter().map(|(name, answer)| (format!("/files/{name}"), answer.clone())).collect();
        let server = Self { url, answers: Arc::new(Mutex::new(answers)), asked: Arc::default() };
        let (answers, asked) = (Arc::clone(&server.answers), Arc::clone(&server.asked));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let path = path_of(&connection);
                let answer = answers.lock().unwrap().get(&path).cloned().unwrap_or(Answer::Status(404));
                asked.lock().unwrap().push(path.trim_start_matches("/files/").to_owned());
                let (status, body, sent) = match answer {
                    Answer::Whole(body) => (200, body.clone(), body.len()),
                    Answer::Half(body) => (200, body.clone(), body.len() / 2),
                    Answer::Status(status) => (status, Vec::new(), 0),
                };
                let head =
                    format!("HTTP/1.1 {status} Any\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                ignored(
                    (&connection).write_all(&[head.as_bytes(), &body[..sent]].concat()),
                    "it may have heard enough",
                );
            }
        });
        server
    }

    fn set(&self, name: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(format!("/files/{name}"), answer);
    }

    /// What it was asked for since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn path_of(connection: &TcpStream) -> String {
    let mut lines = BufReader::new(connection).lines().map_while(|line| line.ok());
    let request = lines.next().unwrap_or_default();
    lines.find(String::is_empty);
    request.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn text(owned: impl Into<String>) -> &'static str {
    Box::leak(owned.into().into_boxed_str())
}

fn md5(bytes: &[u8]) -> &'static str {
    text(Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A small set in MNIST's form, with the names and contents of its files.
fn small_idx() -> (Known, [(&'static str, Vec<u8>); 4]) {
    let contents = [
        ("train-images", idx_images(2, 2, &[1; 12])),
        ("train-labels", idx_labels(&[0, 1, 2])),
        ("test-images", idx_images(2, 2, &[2; 8])),
        ("test-labels", idx_labels(&[2, 0])),
    ];
    let files = [0, 1, 2, 3].map(|index| {
        let (name, bytes) = &contents[index];
        PublicFile { name, md5: md5(bytes), bytes: bytes.len() as u64, compressed_md5: Some(md5(&gzip(bytes))) }
    });
    let known = Known {
        name: "small",
        aliases: &[],
        about: "",
        shape: Shape::Image(1, 2, 2),
        classes: 3,
        train_images: 4,
        base_url: "http://127.0.0.1:1/",
        debian_package: None,
        source: Source::Idx { files, form: IdxForm::PLAIN, torchvision: "Small" },
    };
    (known, contents)
}

fn serve_idx(contents: &[(&'static str, Vec<u8>)]) -> Server {
    let server = Server::start(&[]);
    for (name, bytes) in contents {
        server.set(&format!("{name}.gz"), Answer::Whole(gzip(bytes)));
    }
    server
}

/// Fetches into `folder`; the lines that were said.
fn fetch_into(folder: &Path, known: &Known, url: &str) -> Result<String> {
    let mut out = Vec::new();
    fetch_to(known, &[folder.to_owned()], Some(folder), Some(url), &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn check_in(folder: &Path, known: &Known) -> (Result<()>, String) {
    let mut out = Vec::new();
    let result = check_known(&[known], &[folder.to_owned()], Some(folder), &mut out);
    (result, String::from_utf8(out).unwrap())
}

/// Everything in a folder that could be taken for data.
fn visible(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

#[test]
fn a_set_is_fetched_once_verified_and_loaded() {
    let (known, contents) = small_idx();
    let (server, folder) = (serve_idx(&contents), tempfile::tempdir().unwrap());
    let said = fetch_into(folder.path(), &known, &server.url).unwrap();
    assert_eq!(said.lines().count(), 5, "{said}");
    assert_eq!(server.asked(), ["train-images.gz", "train-labels.gz", "test-images.gz", "test-labels.gz"]);
    let data = load_known(&known, &[folder.path().to_owned()], None).unwrap();
    assert_eq!((data.train.labels.as_slice(), data.test.labels.as_slice()), (&[0, 1, 2][..], &[2, 0][..]));

    assert!(fetch_into(folder.path(), &known, &server.url).unwrap().starts_with("small: complete in"));
    assert!(server.asked().is_empty(), "a complete set is not asked for again");
    let (result, lines) = check_in(folder.path(), &known);
    result.unwrap();
    assert_eq!(lines.matches("  right\n").count(), 4, "{lines}");
    assert!(lines.ends_with("small  reads as 3 training and 2 test images of 1x2x2 in 3 classes\n"), "{lines}");
}

#[test]
fn only_what_is_missing_or_wrong_is_fetched() {
    let (known, contents) = small_idx();
    let (server, folder) = (serve_idx(&contents), tempfile::tempdir().unwrap());
    fetch_into(folder.path(), &known, &server.url).unwrap();
    server.asked();
    let own = folder.path().join("small");
    fs::remove_file(own.join("test-labels.gz")).unwrap();
    fs::write(own.join("train-labels.gz"), gzip(&idx_labels(&[0, 1, 1]))).unwrap();

    let (result, lines) = check_in(folder.path(), &known);
    let error = result.unwrap_err();
    assert_eq!(error.kind, Kind::Input);
    assert!(error.hint.unwrap().contains("tombola data fetch small"));
    assert!(
        lines.contains("test-labels  MISSING")
            && lines.contains("train-labels.gz  WRONG  MD5 of the unpacked content is"),
        "{lines}"
    );

    fetch_into(folder.path(), &known, &server.url).unwrap();
    assert_eq!(server.asked(), ["train-labels.gz", "test-labels.gz"]);
    check_in(folder.path(), &known).0.unwrap();
}

#[test]
fn a_mirror_that_compresses_anew_and_files_unpacked_by_hand_are_accepted() {
    let (known, contents) = small_idx();
    let (server, folder) = (serve_idx(&contents), tempfile::tempdir().unwrap());
    let (name, bytes) = &contents[0];
    let mut stored = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    stored.write_all(bytes).unwrap();
    server.set(&format!("{name}.gz"), Answer::Whole(stored.finish().unwrap()));
    let own = folder.path().join("small");
    fs::create_dir(&own).unwrap();
    fs::write(own.join(contents[1].0), &contents[1].1).unwrap();
    fetch_into(folder.path(), &known, &server.url).unwrap();
    assert!(!server.asked().contains(&"train-labels.gz".to_owned()));
    check_in(folder.path(), &known).0.unwrap();
}

#[test]
fn a_wrong_checksum_names_both_sums_and_keeps_nothing() {
    let (known, contents) = small_idx();
    let (server, folder) = (serve_idx(&contents), tempfile::tempdir().unwrap());
    let bad = gzip(&idx_labels(&[9]));
    server.set("train-labels.gz", Answer::Whole(bad.clone()));
    let error = fetch_into(folder.path(), &known, &server.url).unwrap_err();
    assert_eq!(error.kind, Kind::Input);
    assert!(error.message.contains(md5(&idx_labels(&[9]))) && error.message.contains(md5(&contents[1].1)), "{error}");
    assert_eq!(visible(&folder.path().join("small")), ["train-images.gz"]);

    server.set("train-labels.gz", Answer::Whole(b"<html>not here</html>".to_vec()));
    let error = fetch_into(folder.path(), &known, &server.url).unwrap_err();
    assert!(error.message.contains("is not the expected file"), "{error}");
    assert_eq!(visible(&folder.path().join("small")), ["train-images.gz"]);
}

#[test]
fn a_download_that_breaks_off_leaves_nothing_and_is_repeated() {
    let (known, contents) = small_idx();
    let (server, folder) = (serve_idx(&contents), tempfile::tempdir().unwrap());
    let packed = gzip(&contents[0].1);
    server.set("train-images.gz", Answer::Half(packed.clone()));
    let error = fetch_into(folder.path(), &known, &server.url).unwrap_err();
    assert_eq!(error.kind, Kind::Environment);
    assert!(
        error.message.contains(&format!("broke off after {} of {} bytes", packed.len() / 2, packed.len())),
        "{error}"
    );
    assert!(visible(&folder.path().join("small")).is_empty());
    server.set("train-images.gz", Answer::Whole(packed));
    fetch_into(folder.path(), &known, &server.url).unwrap();
}

#[test]
fn what_a_killed_download_left_is_no_data_and_no_hindrance() {
    let (known, contents) = small_idx();
    let (server, folder) = (serve_idx(&contents), tempfile::tempdir().unwrap());
    let own = folder.path().join("small");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("train-images.gz.part"), vec![7; 9999]).unwrap();
    let error = load_known(&known, &[folder.path().to_owned()], None).unwrap_err();
    assert!(error.message.contains("not found"), "{error}");
    fetch_into(folder.path(), &known, &server.url).unwrap();
    assert!(!visible(&own).iter().any(|name| name.ends_with(".part")));
}

#[test]
fn refusals_say_what_was_asked_and_what_to_do() {
    let (known, contents) = small_idx();
    let (server, folder) = (serve_idx(&contents), tempfile::tempdir().unwrap());
    for (status, kind, part) in [(404, Kind::Input, "answered 404"), (500, Kind::Environment, "answered 500")] {
        server.set("train-images.gz", Answer::Status(status));
        let error = fetch_into(folder.path(), &known, &server.url).unwrap_err();
        assert_eq!(error.kind, kind);
        assert!(error.message.contains(part) && error.message.contains(&server.url), "{error}");
        assert!(error.hint.unwrap().contains("--base-url"));
    }
    // Nobody listens at a port that was just given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = fetch_into(folder.path(), &known, &format!("http://127.0.0.1:{port}")).unwrap_err();
    assert_eq!(error.kind, Kind::Environment);
    assert!(error.message.starts_with("cannot reach") && error.hint.unwrap().contains("check the network"));
    let error = fetch_into(folder.path(), &known, "no address").unwrap_err();
    assert_eq!(error.kind, Kind::Input, "{error}");
    assert!(visible(&folder.path().join("small")).is_empty());
}

#[test]
fn two_fetches_do_not_write_to_one_folder_at_once() {
    let (known, contents) = small_idx();
    let (server, folder) = (serve_idx(&contents), tempfile::tempdir().unwrap());
    let own = folder.path().join("small");
    fs::create_dir(&own).unwrap();
    let held = lock(&own).unwrap();
    let error = fetch_into(folder.path(), &known, &server.url).unwrap_err();
    assert!(error.message.starts_with("another `tombola data fetch`"), "{error}");
    drop(held);
    fetch_into(folder.path(), &known, &server.url).unwrap();
}

#[test]
fn a_set_that_lies_complete_elsewhere_is_not_fetched() {
    let (known, contents) = small_idx();
    let (server, folder) = (serve_idx(&contents), tempfile::tempdir().unwrap());
    let (own, system) = (folder.path().join("own"), folder.path().join("system"));
    fetch_into(&system, &known, &server.url).unwrap();
    server.asked();
    let mut out = Vec::new();
    fetch_to(&known, &[own.clone(), system], None, Some(&server.url), &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().contains("system"));
    assert!(server.asked().is_empty() && !own.exists());
}

/// A small set in CIFAR's form, and its archive.
fn small_cifar(extra: &[(&str, &[u8])]) -> (Known, Vec<u8>) {
    let (train, test) = (cifar_record(&[1], 0), cifar_record(&[2], 1));
    let mut entries = extra.to_vec();
    entries.extend([("inner/train.bin", train.as_slice()), ("./inner/test.bin", test.as_slice())]);
    let packed = tar_gz(&entries);
    let file =
        |name, bytes: &[u8]| PublicFile { name, md5: md5(bytes), bytes: bytes.len() as u64, compressed_md5: None };
    let archive = PublicArchive {
        name: "small.tar.gz",
        md5: md5(&packed),
        folder: "inner",
        python_folder: "python",
        python_md5: &[],
    };
    let known = Known {
        name: "small",
        aliases: &[],
        about: "",
        shape: Shape::Image(3, 32, 32),
        classes: 10,
        train_images: 4,
        base_url: "http://127.0.0.1:1/",
        debian_package: None,
        source: Source::Cifar {
            archive,
            train: Vec::leak(vec![file("train.bin", &train)]),
            test: Vec::leak(vec![file("test.bin", &test)]),
            format: Format::CIFAR_10,
        },
    };
    (known, packed)
}

#[test]
fn an_archive_is_unpacked_and_removed_and_only_its_wrong_files_replaced() {
    let (known, packed) = small_cifar(&[("inner/readme.html", b"hello"), ("./other/train.bin", b"x")]);
    let (server, folder) = (Server::start(&[("small.tar.gz", Answer::Whole(packed))]), tempfile::tempdir().unwrap());
    fetch_into(folder.path(), &known, &server.url).unwrap();
    assert_eq!(visible(&folder.path().join("small")), ["inner"]);
    let inner = folder.path().join("small/inner");
    assert_eq!(visible(&inner), ["test.bin", "train.bin"]);
    check_in(folder.path(), &known).0.unwrap();
    fs::write(inner.join("test.bin"), b"short").unwrap();
    let (result, lines) = check_in(folder.path(), &known);
    assert!(result.is_err() && lines.contains("cannot be read"), "{lines}");
    let said = fetch_into(folder.path(), &known, &server.url).unwrap();
    assert!(said.contains("test.bin unpacked") && !said.contains("train.bin unpacked"), "{said}");
    check_in(folder.path(), &known).0.unwrap();
}

#[test]
fn an_archive_that_is_already_there_is_used_and_kept() {
    let (known, packed) = small_cifar(&[]);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("small")).unwrap();
    fs::write(folder.path().join("small/small.tar.gz"), packed).unwrap();
    fetch_into(folder.path(), &known, "http://127.0.0.1:1").unwrap();
    assert_eq!(visible(&folder.path().join("small")), ["inner", "small.tar.gz"]);
    check_in(folder.path(), &known).0.unwrap();
}

#[test]
fn no_path_in_an_archive_leads_out_of_its_folder() {
    let evil: [(&str, &[u8]); 4] =
        [("../evil", b"x"), ("inner/../../evil", b"x"), ("/tmp/tombola-evil", b"x"), ("inner/../train.bin", b"x")];
    let (known, packed) = small_cifar(&evil);
    let (server, folder) = (Server::start(&[("small.tar.gz", Answer::Whole(packed))]), tempfile::tempdir().unwrap());
    let data = folder.path().join("data");
    fetch_into(&data, &known, &server.url).unwrap();
    assert_eq!(visible(folder.path()), ["data"]);
    assert_eq!(visible(&data), ["small"]);
    assert_eq!(visible(&data.join("small")), ["inner"]);
    assert!(!Path::new("/tmp/tombola-evil").exists());
    check_in(&data, &known).0.unwrap();
}

#[test]
fn an_archive_with_other_files_or_another_checksum_is_refused() {
    let (known, _) = small_cifar(&[]);
    let Source::Cifar { archive, train, test, format } = known.source else { panic!("not CIFAR") };
    let folder = tempfile::tempdir().unwrap();
    let without = tar_gz(&[("inner/train.bin", &cifar_record(&[1], 0))]);
    let changed = tar_gz(&[("inner/train.bin", &cifar_record(&[1], 0)), ("inner/test.bin", &cifar_record(&[3], 1))]);
    for (packed, part) in [(without, "holds no `inner/test.bin`"), (changed, "`test.bin` in")] {
        let server = Server::start(&[("small.tar.gz", Answer::Whole(packed.clone()))]);
        let error = fetch_into(folder.path(), &known, &server.url).unwrap_err();
        assert!(error.message.contains(md5(&packed)) && error.message.contains(archive.md5), "{error}");
        assert!(visible(&folder.path().join("small/inner")).is_empty());
        let trusted = Known {
            source: Source::Cifar { archive: PublicArchive { md5: md5(&packed), ..archive }, train, test, format },
            ..known
        };
        let place = tempfile::tempdir().unwrap();
        let error = fetch_into(place.path(), &trusted, &server.url).unwrap_err();
        assert!(error.message.contains(part), "{error}");
        assert_eq!(visible(&place.path().join("small/inner")), ["train.bin"]);
    }
}

#[test]
fn the_real_fashion_mnist_is_accepted_however_it_was_compressed() {
    let source = Path::new("/usr/share/datasets/fashion-mnist");
    if !source.is_dir() {
        let reason = format!("no {} (`apt install dataset-fashion-mnist`)", source.display());
        return crate::skipped("the_real_fashion_mnist_is_accepted_however_it_was_compressed", &reason);
    }
    let known = tombola_words::catalogue::find("fashion-mnist").unwrap();
    let (server, folder) = (Server::start(&[]), tempfile::tempdir().unwrap());
    for file in known.files() {
        let name = format!("{}.gz", file.name);
        server.set(&name, Answer::Whole(fs::read(source.join(&name)).unwrap()));
    }
    fetch_into(folder.path(), known, &server.url).unwrap();
    let (result, lines) = check_in(folder.path(), known);
    result.unwrap();
    assert!(lines.contains("reads as 60000 training and 10000 test images of 1x28x28 in 10 classes"), "{lines}");
}
