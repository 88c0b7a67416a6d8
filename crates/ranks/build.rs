//! Tells where the library of the MPI lies that the bindings were made for.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let folders = mpi_folders();
    // For the tests of this crate, and through `links` for the build script of the program.
    for folder in &folders {
        println!("cargo:rustc-link-arg=-Wl,-rpath={folder}");
    }
    println!("cargo:run_path={}", folders.join(":"));
}

/// The library folders of the MPI that the bindings link to, which their build script finds in this order and keeps to
/// itself. None where the MPI does not name any: they are the system's, or the module that it comes from sets
/// LD_LIBRARY_PATH.
fn mpi_folders() -> Vec<String> {
    for variable in ["MPI_PKG_CONFIG", "CRAY_MPICH_DIR", "MPICC"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let pkg_config = |package: &str| {
        output(&env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into()), &["--libs-only-L", package])
    };
    let flags = match (env::var("MPI_PKG_CONFIG"), env::var("CRAY_MPICH_DIR")) {
        (Ok(package), _) => pkg_config(&package),
        (_, Ok(folder)) => pkg_config(&format!("{folder}/lib/pkgconfig/mpich.pc")),
        _ => None,
    };
    let compiler = env::var("MPICC").unwrap_or_else(|_| "mpicc".into());
    let flags = flags.or_else(|| output(&compiler, &["-show"])).unwrap_or_default();
    let folders = flags.split_whitespace().filter_map(|flag| flag.strip_prefix("-L"));
    folders.map(|folder| folder.trim_matches(['"', '\'']).to_owned()).filter(|folder| !folder.is_empty()).collect()
}

/// What a command prints, if it is there and succeeds.
fn output(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok().filter(|_| output.status.success())
}
