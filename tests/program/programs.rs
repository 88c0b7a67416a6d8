//! The two programs as files: what each is linked with, how large it is, and what `tombola` does where the other is missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::common::{Folder, PROGRAM};

/// Bytes that a program may have. They decode images and read Parquet: `tombola` has 24 MB, `tombola-torch` 29.
const MOST_BYTES: u64 = 30_000_000;

/// The libraries that a program names.
fn needed(program: &Path) -> Vec<String> {
    let output = Command::new("readelf").args(["--dynamic", "--wide"]).arg(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter(|line| line.contains("(NEEDED)"));
    names.filter_map(|line| Some(line.split_once('[')?.1.trim_end_matches(']').to_string())).collect()
}

fn other() -> PathBuf {
    Path::new(PROGRAM).with_file_name("tombola-torch")
}

#[test]
fn tombola_is_linked_with_neither_libtorch_nor_mpi_and_the_other_is() {
    let own = needed(Path::new(PROGRAM));
    assert!(own.iter().any(|name| name.starts_with("libc.so")), "{own:?}");
    let foreign = |name: &&String| ["torch", "c10", "mpi", "stdc++", "cuda"].iter().any(|part| name.contains(part));
    assert_eq!(own.iter().find(foreign), None);
    let other = needed(&other());
    assert!(other.iter().any(|name| name.starts_with("libtorch")), "{other:?}");
    assert_eq!(other.iter().any(|name| name.contains("libmpi")), cfg!(feature = "mpi"), "{other:?}");
    // The part for GPUs is loaded where there is a driver.
    assert!(!other.iter().any(|name| name.contains("cuda")), "{other:?}");
}

#[test]
fn neither_program_is_large() {
    for program in [PathBuf::from(PROGRAM), other()] {
        let bytes = std::fs::metadata(&program).unwrap().len();
        assert!(bytes < MOST_BYTES, "{}: {bytes} bytes", program.display());
    }
}

#[test]
fn tombola_alone_plans_and_says_what_it_misses_where_it_should_train() {
    let folder = Folder::new();
    let alone = folder.path("alone/tombola");
    std::fs::create_dir(folder.path("alone")).unwrap();
    std::fs::copy(PROGRAM, &alone).unwrap();
    let call = |arguments: &str| folder.shell(&format!("{} {arguments}", alone.display()));
    call("plan --dataset synthetic --network lenet-300-100").expect(0).prints("1 trial: ");
    let ran = call("run --dataset synthetic --network lenet-300-100").expect(3);
    ran.says("alone/tombola-torch").says("hint: ");
    assert!(!folder.path("results").exists());
    let ran = call("doctor --device cpu").expect(3);
    assert!(ran.out.contains("FAIL  program"), "{ran}");
}
