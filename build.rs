//! Lets the programs find libtorch and MPI without LD_LIBRARY_PATH: the folders that they were linked with become their run
//! path. `scripts/wheel` takes it out again.

use std::env;

/// Where the build scripts of `tombola-train` and `tombola-ranks` tell the folders.
const TOLD: [&str; 2] = ["DEP_TOMBOLA_TRAIN_RUN_PATH", "DEP_TOMBOLA_RANKS_RUN_PATH"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in TOLD {
        println!("cargo:rerun-if-env-changed={name}");
        let told = env::var(name).unwrap_or_default();
        for folder in told.split(':').filter(|folder| !folder.is_empty()) {
            println!("cargo:rustc-link-arg=-Wl,-rpath={folder}");
        }
    }
}
