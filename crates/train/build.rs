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
        compile_cuda(&headers);
    }
}

/// With the flags that the bindings to libtorch are compiled with.
fn compile_kernels(headers: &Path) {
    const KERNELS: [&str; 3] =
        ["src/network/kernels/norm_relu.cpp", "src/network/kernels/tf32.cpp", "src/network/kernels/deterministic.cpp"];
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

/// The library of `src/cuda` for machines with a GPU, which the program carries in itself; empty where the headers of
/// CUDA are missing, or do not go with this libtorch.
fn compile_cuda(headers: &Path) {
    const CUDA: &str = "src/cuda/cuda.cpp";
    println!("cargo:rerun-if-changed={CUDA}");
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    let library = Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("libtombola_cuda.so");
    // Beside the torch of a Python package, or a toolkit.
    let beside = headers.ancestors().nth(2).map(|root| root.join("nvidia/cu13/include"));
    let toolkit = env::var("CUDA_HOME").unwrap_or_else(|_| "/usr/local/cuda".into());
    let places = beside.into_iter().chain([Path::new(&toolkit).join("include")]);
    let Some(cuda) = places.into_iter().find(|place| place.join("crt/host_defines.h").is_file()) else {
        return write(&library, "CUDA's headers were not found");
    };
    let compiler =
        cc::Build::new().cpp(true).std("c++17").opt_level(2).pic(true).cargo_metadata(false).try_get_compiler();
    let output = compiler.map_err(|error| error.to_string()).and_then(|compiler| {
        let mut command = compiler.to_command();
        for folder in [headers, &headers.join("torch/csrc/api/include"), &cuda] {
            command.arg("-isystem").arg(folder);
        }
        // What it needs of libtorch is in the process when it is loaded.
        command.args(["-shared", "-Wl,-z,undefs", "-w", CUDA, "-o"]).arg(&library);
        command.output().map_err(|error| error.to_string())
    });
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr);
            let first = words.lines().find(|line| line.contains("error")).unwrap_or("the compiler does not say why");
            write(&library, &format!("it does not compile against {}: {first}", cuda.display()));
        }
        Err(error) => write(&library, &error),
    }
}

/// An empty library, and why: a program without CUDA graphs should surprise nobody.
fn write(library: &Path, why: &str) {
    println!("cargo::warning=without CUDA graphs, and with memory of GPUs unseen: {why} (set CUDA_HOME)");
    if let Err(error) = std::fs::write(library, []) {
        println!("cargo::error=cannot write {}: {error}", library.display());
    }
}
