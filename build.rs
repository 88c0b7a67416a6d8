//! Lets the program find libtorch and MPI without LD_LIBRARY_PATH: the folders it was linked with become its run path.
//! Compiles the kernels in C++ against the headers of the same libtorch.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(folder) = env::var("DEP_TCH_LIBTORCH_LIB") {
        // `tombola` itself calls nothing of libtorch, but C++ type information in what is linked with it would keep the
        // library needed: hidden symbols do not.
        println!("cargo:rustc-link-arg-bin=tombola=-Wl,--exclude-libs,ALL");
        println!("cargo:rustc-link-arg=-Wl,-rpath={folder}");
        if env::var_os("CARGO_FEATURE_TORCH").is_some() {
            let headers = Path::new(&folder).with_file_name("include");
            compile_kernels(&headers);
            compile_graph(&headers);
        }
    }
    if env::var_os("CARGO_FEATURE_MPI").is_some() {
        for folder in mpi_folders() {
            println!("cargo:rustc-link-arg=-Wl,-rpath={folder}");
        }
    }
}

/// With the flags that the bindings to libtorch are compiled with.
fn compile_kernels(headers: &Path) {
    const KERNELS: [&str; 2] = ["src/net/kernels/norm_relu.cpp", "src/net/kernels/tf32.cpp"];
    KERNELS.iter().for_each(|kernel| println!("cargo:rerun-if-changed={kernel}"));
    println!("cargo:rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".to_string());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .define("_GLIBCXX_USE_CXX11_ABI", abi.as_str())
        .flag("-isystem")
        .flag(headers)
        .flag("-isystem")
        .flag(headers.join("torch/csrc/api/include"))
        .files(KERNELS)
        .compile("tombola_kernels");
}

/// The library of `src/train/graph` for machines with a GPU, which the program carries in itself; empty where the headers of
/// CUDA are missing, or do not go with this libtorch.
fn compile_graph(headers: &Path) {
    const GRAPH: &str = "src/train/graph/graph.cpp";
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
    if !compiled {
        let _ = std::fs::write(&library, []);
    }
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
