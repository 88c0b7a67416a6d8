//! Compiles the kernels in C++ against the headers of the libtorch that the bindings found, and tells where that lies.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(folder) = env::var("DEP_TCH_LIBTORCH_LIB") {
        // For the tests of this crate, and through `links` for the build script of the program.
        println!("cargo:rustc-link-arg=-Wl,-rpath={folder}");
        println!("cargo:run_path={folder}");
        let headers = Path::new(&folder).with_file_name("include");
        compile_kernels(&headers);
        compile_graph(&headers);
    }
}

/// With the flags that the bindings to libtorch are compiled with.
fn compile_kernels(headers: &Path) {
    const KERNELS: [&str; 2] = ["src/network/kernels/norm_relu.cpp", "src/network/kernels/tf32.cpp"];
    KERNELS.iter().for_each(|kernel| println!("cargo:rerun-if-changed={kernel}"));
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_string());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .debug(false)
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .flag("-isystem")
        .flag(headers)
        .flag("-isystem")
        .flag(headers.join("torch/csrc/api/include"))
        .files(KERNELS)
        .compile("tombola_kernels");
}

/// The library of `src/training/graph` for machines with a GPU, which the program carries in itself; empty where the headers of
/// CUDA are missing, or do not go with this libtorch.
fn compile_graph(headers: &Path) {
    const GRAPH: &str = "src/training/graph/graph.cpp";
    println!("cargo:rerun-if-changed={GRAPH}");
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    let library = Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("libtombola_graph.so");
    // Beside the torch of a Python package, or a toolkit.
    let beside = headers.ancestors().nth(2).map(|root| root.join("nvidia/cu13/include"));
    let toolkit = env::var("CUDA_HOME").unwrap_or_else(|_| "/usr/local/cuda".into());
    let places = beside.into_iter().chain([Path::new(&toolkit).join("include")]);
    let cuda = places.into_iter().find(|place| place.join("crt/host_defines.h").is_file());
    let compiled = cuda.is_some_and(|cuda| {
        let compiler =
            cc::Build::new().cpp(true).std("c++17").opt_level(2).pic(true).cargo_metadata(false).try_get_compiler();
        compiler.is_ok_and(|compiler| {
            let mut command = compiler.to_command();
            for folder in [headers, &headers.join("torch/csrc/api/include"), &cuda] {
                command.arg("-isystem").arg(folder);
            }
            // What it needs of libtorch is in the process when it is loaded.
            command.args(["-shared", "-Wl,-z,undefs", "-w", GRAPH, "-o"]).arg(&library);
            command.output().is_ok_and(|output| output.status.success())
        })
    });
    if !compiled && let Err(error) = std::fs::write(&library, []) {
        println!("cargo::error=cannot write {}: {error}", library.display());
    }
}
