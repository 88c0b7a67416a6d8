//! Compiles what keeps the programs startable on older systems.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/hypotf.c");
    cc::Build::new().file("src/hypotf.c").opt_level(2).flag("-fno-builtin-hypotf").compile("tombola_hypotf");
}
