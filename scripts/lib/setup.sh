# shellcheck shell=bash
# shellcheck disable=SC2016 # backticks in messages mark literals
#
# What scripts/tombola, scripts/test and scripts/check need before they can start: functions only, to be sourced.
#
#   locate            where the repository, the build and its stamp lie
#   up_to_date        is the program built and current? No python, no pip, no apt, no cargo: this is asked at every start
#   prepare_tools     Rust, a C++ compiler, libtorch and MPI; leaves `cargo`, `libtorch`, `mpi` and `features` set
#   prepare_data      Fashion-MNIST, by the package manager
#   prepare_program   all of these, the release build, and the stamp that `up_to_date` reads
#
# Everything said here goes to standard error, because standard output belongs to the program. What the machine lacks
# and may not be installed from here ends in exit code 3, the program's own code for "the environment is at fault".

# The libtorch that the `tch` of Cargo.toml was written for: change both together.
readonly torch_version=2.11.0
# A libtorch built for CUDA names two libraries of NVIDIA's even where it computes on the CPU only; the third package is
# headers, for the part of the program that captures CUDA graphs.
readonly cpu_parts=("torch==$torch_version" 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cupti==13.0.*' 'nvidia-cuda-crt==13.0.*')
# Everything at once, for those who must ask somebody else to install it.
readonly all_packages='Debian, Ubuntu: apt-get install g++ python3 python3-pip; Fedora, Rocky: dnf install gcc-c++ python3-pip; Arch: pacman -S gcc python-pip; on a cluster: module load gcc python'
readonly data_package=dataset-fashion-mnist
readonly data_package_folder=/usr/share/datasets/fashion-mnist

# shellcheck source=scripts/lib/mpi.sh
source "${BASH_SOURCE[0]%/*}/mpi.sh"

say() {
    printf 'setup: %s\n' "$*" >&2
}

# fail MESSAGE [HINT]
fail() {
    printf 'error: %s\n' "$1" >&2
    if [[ -n ${2:-} ]]; then
        printf '\nhint: %s\n' "$2" >&2
    fi
    exit 3
}

# writable FOLDER HINT: makes it where it is missing.
writable() {
    { mkdir -p -- "$1" && [[ -w $1 ]]; } 2>/dev/null || fail "cannot write to \`$1\`" "$2"
}

# absolute PATH: the same path seen from the root folder, without touching the disk.
absolute() {
    local path=$1
    [[ $path == /* ]] || path=$PWD/$path
    while [[ $path == ?*/ ]]; do path=${path%/}; done
    printf '%s' "$path"
}

# locate ROOT
locate() {
    root=$1
    target=$(absolute "${CARGO_TARGET_DIR:-$root/target}")
    binary=$target/release/tombola
    stamp=$target/release/tombola.stamp
    # A program started with a closed standard input would otherwise get the first file opened here as its input.
    { : <&0; } 2>/dev/null || exec </dev/null
}

nvidia_driver() {
    [[ -e /proc/driver/nvidia/version ]] || command -v nvidia-smi >/dev/null
}

# identity FILE: changes whenever a build replaces the file, be it a build by hand with other features.
identity() {
    stat -c '%y %s %i' -- "$1"
}

# The stamp holds, one a line, the libtorch and the identity of the program built with it, the MPI (scripts/lib/mpi.sh)
# and its library; its time is that of the *start* of the build, so that a source file saved during the build counts as
# newer.
up_to_date() {
    [[ -f $stamp && -x $binary && -x $binary-torch ]] || return 1
    local built_with built mpi_built_with mpi_library
    { read -r built_with && read -r built && read -r mpi_built_with && read -r mpi_library; } <"$stamp" || return 1
    [[ -r $built_with/lib/libtorch_cpu.so ]] || return 1
    if [[ -n ${LIBTORCH:-} ]]; then
        [[ $(absolute "$LIBTORCH") == "$built_with" ]] || return 1
    elif nvidia_driver; then
        [[ -r $built_with/lib/libtorch_cuda.so ]] || return 1
    fi
    [[ $(identity "$binary") == "$built" ]] || return 1
    mpi_current "$mpi_built_with" "$mpi_library" || return 1
    local source sources=()
    for source in src build.rs Cargo.toml Cargo.lock .cargo rust-toolchain rust-toolchain.toml; do
        [[ -e $root/$source ]] && sources+=("$root/$source")
    done
    # The times of folders count too: they tell of files that were deleted or renamed.
    [[ -z $(find "${sources[@]}" -newer "$stamp" -print -quit) ]]
}

# lock FILE DESCRIPTOR: waits until no other process holds FILE. The lock ends with the descriptor.
lock() {
    local status=0
    command -v flock >/dev/null || return 0
    flock --nonblock --conflict-exit-code 75 "$2" || status=$?
    if ((status == 75)); then
        say "Waiting for another set-up that holds \`$1\`"
        flock "$2"
    elif ((status != 0)); then
        say "\`$1\` cannot be locked on this file system: start no second set-up at the same time"
    fi
}

# ---------------------------------------------------------------------------------------------------- system packages

on_debian() {
    command -v apt-get >/dev/null && command -v dpkg >/dev/null
}

may_use_apt() {
    on_debian && { ((EUID == 0)) || sudo -n true; } </dev/null &>/dev/null
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}

# apt_install PACKAGE...
apt_install() {
    say "Installing by apt: $*"
    if [[ -z ${apt_lists_are_fresh:-} ]]; then
        # A failure is not the end: one source of many may be unreachable, or the old lists may do.
        apt_get update || say '`apt-get update` failed; going on with the package lists at hand'
        apt_lists_are_fresh=yes
    fi
    apt_get install --no-install-recommends "$@"
}

# install_or_list WHAT PACKAGE...: by apt where that is allowed, else says what is needed and stops.
install_or_list() {
    local what=$1
    shift
    if may_use_apt; then
        apt_install "$@" || fail "apt could not install $* ($what)" "see apt's messages above; install $what and run the same command again"
        hash -r
    elif on_debian; then
        fail "$what is missing, and installing needs root or sudo without a password" "$all_packages"
    else
        fail "$what is missing" "$all_packages"
    fi
}

need_compiler() {
    # CXX may hold a command with arguments.
    local compiler=${CXX:-c++}
    compiler=${compiler%% *}
    if ! command -v "$compiler" >/dev/null || ! command -v cc >/dev/null; then
        install_or_list 'a C++ compiler (`c++` and `cc`)' g++
        command -v "$compiler" >/dev/null || fail "there is no C++ compiler \`$compiler\`" 'set CXX to the compiler that you have, or unset it'
    fi
}

# ---------------------------------------------------------------------------------------------------------------- Rust

# version_at_least FOUND NEEDED
version_at_least() {
    printf '%s\n%s\n' "$2" "$1" | sort -V -C
}

# Leaves `cargo`, the whole path, and puts its folder first on PATH: cargo calls its neighbours rustc and rustdoc.
need_rust() {
    local needed candidate version verdict found='' asked=''
    needed=$(sed -n 's/^rust-version *= *"\(.*\)".*/\1/p' "$root/Cargo.toml")
    for candidate in "$(command -v cargo || true)" "${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin/cargo"; do
        [[ -n $candidate && -x $candidate && $candidate != "$asked" ]] || continue
        asked=$candidate
        candidate=$(absolute "$candidate")
        # From the repository, because rustup may choose another version there.
        version=$(cd -- "$root" && "$candidate" --version 2>/dev/null </dev/null | sed -n 's/^cargo \([0-9.]*\).*/\1/p') || version=''
        if [[ -n $version ]] && version_at_least "$version" "$needed"; then
            cargo=$candidate
            PATH=${cargo%/*}:$PATH
            return
        fi
        verdict=${version:+is $version}
        found+="; \`$candidate\` ${verdict:-does not run}"
    done
    fail "Rust $needed or newer is needed${found:-; there is no \`cargo\` on PATH or in ~/.cargo/bin}" \
        'get it from https://rustup.rs, or, where rustup is there already: rustup default stable && rustup update'
}

# ------------------------------------------------------------------------------------------------------------ libtorch

# libtorch_problem FOLDER: prints what keeps FOLDER from being used, or nothing.
libtorch_problem() {
    local folder=$1 version='' lacking
    if [[ ! -d $folder ]]; then
        printf 'there is no such folder'
        return
    elif [[ ! -r $folder/lib/libtorch_cpu.so ]]; then
        printf 'it has no lib/libtorch_cpu.so'
        return
    elif [[ ! -r $folder/include/torch/csrc/api/include/torch/torch.h ]]; then
        printf 'its C++ headers (include/torch) are missing'
        return
    fi
    if [[ -r $folder/build-version ]]; then
        read -r version <"$folder/build-version" || true
    elif [[ -r $folder/version.py ]]; then
        version=$(sed -n "s/^__version__ = '\(.*\)'.*/\1/p" "$folder/version.py")
    fi
    # After `+` stands how it was compiled: 2.11.0+cpu, 2.11.0+cu130.
    if [[ ${version%%+*} != "$torch_version" ]]; then
        printf 'its version is %s, not %s' "${version:-unknown (no build-version or version.py)}" "$torch_version"
        return
    fi
    lacking=$(ldd "$folder/lib/libtorch_cpu.so" 2>/dev/null | sed -n 's/^[[:space:]]*\(.*\) => not found.*/\1/p' | sort -u | paste -s -d ' ') || true
    if [[ -n $lacking ]]; then
        printf 'its libraries need others that are not found: %s' "$lacking"
    fi
}

# The Pythons worth asking, best first.
pythons() {
    local candidate seen=:
    for candidate in "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python3}" "$(command -v python3 || true)" /usr/bin/python3; do
        if [[ -n $candidate && -x $candidate && $seen != *:$candidate:* ]]; then
            seen+=$candidate:
            printf '%s\n' "$candidate"
        fi
    done
}

# libtorch_of_python PYTHON: the folder of its torch, which is not imported (that takes seconds and may fail on its own).
libtorch_of_python() {
    "$1" - 2>/dev/null <<'PYTHON'
import importlib.metadata
print(importlib.metadata.distribution("torch").locate_file("torch"))
PYTHON
}

# Leaves `libtorch`. A second call finds the same one, so that nothing is compiled twice for it.
need_libtorch() {
    local problem folder python built_with
    if [[ -n ${LIBTORCH:-} ]]; then
        libtorch=$(absolute "$LIBTORCH")
        problem=$(libtorch_problem "$libtorch")
        [[ -z $problem ]] || fail "LIBTORCH is \`$LIBTORCH\`, but $problem" \
            "set LIBTORCH to the folder of libtorch $torch_version (the one with lib/ and include/ in it), or unset it to have one found or fetched"
        return
    fi
    if [[ -r $stamp ]] && read -r built_with <"$stamp" && usable "$built_with"; then
        libtorch=$built_with
        return
    fi
    while IFS= read -r python; do
        if folder=$(libtorch_of_python "$python") && usable "$folder"; then
            libtorch=$(absolute "$folder")
            say "Using the torch $torch_version of \`$python\`"
            return
        fi
    done < <(pythons)
    need_private_libtorch
}

# usable FOLDER: complete, of the right version, and able to use the GPU where there is one.
usable() {
    [[ -z $(libtorch_problem "$1") ]] && { [[ -r $1/lib/libtorch_cuda.so ]] || ! nvidia_driver; }
}

# Leaves `libtorch`, a copy of our own in the cache folder of the user. The copy for CUDA serves machines without a GPU
# as well: a home folder shared by login and GPU nodes then holds one build, not two that replace each other.
need_private_libtorch() {
    [[ -n ${XDG_CACHE_HOME:-}${HOME:-} ]] || fail 'neither HOME nor XDG_CACHE_HOME is set, so there is no place to keep libtorch' \
        'set HOME, or set XDG_CACHE_HOME to a folder with some 2 GB (6 GB with CUDA) of space, or LIBTORCH to a libtorch that you have'
    local cache kind copy problem
    cache=$(absolute "${XDG_CACHE_HOME:-${HOME:-}/.cache}")/tombola
    kind=cpu
    if nvidia_driver || [[ -d $cache/libtorch-$torch_version-cuda ]]; then kind=cuda; fi
    copy=$cache/libtorch-$torch_version-$kind
    libtorch=$copy/torch
    if [[ ! -d $copy ]]; then
        writable "$cache" 'set XDG_CACHE_HOME to a folder that you can write to'
        # pip inherits the lock: should this script be killed and pip live on, the next one waits for its end.
        exec 8>>"$cache/lock"
        lock "$cache/lock" 8
        # Another process may have made it meanwhile; what a killed one left is nobody's.
        rm -rf -- "$copy".part.*
        [[ -d $copy ]] || fetch_libtorch "$copy" "$kind"
        exec 8>&-
    fi
    problem=$(libtorch_problem "$libtorch")
    [[ -z $problem ]] || fail "the private copy \`$copy\` is damaged: $problem" 'delete that folder and run the same command again'
}

# fetch_libtorch COPY KIND: the folder COPY appears only when it is complete.
fetch_libtorch() {
    local copy=$1 kind=$2 python part problem options=() what=()
    part=$copy.part.$$
    need_pip
    # The wheel carries a Python module that nobody imports here: a Python too old for it can fetch it all the same.
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || options=(--python-version 3.12 --only-binary=:all:)
    if [[ $kind == cpu ]]; then
        options+=(--no-deps)
        what=("${cpu_parts[@]}")
        say "Fetching libtorch $torch_version for the CPU (some 0.6 GB, 1.3 GB on disk) into \`$copy\`"
    else
        what=("torch==$torch_version" 'nvidia-cuda-crt==13.0.*')
        say "Fetching libtorch $torch_version with its CUDA parts (some 2.5 GB, 4.7 GB on disk) into \`$copy\`"
    fi
    if ! pip_install "$part" ${options[@]+"${options[@]}"} "${what[@]}"; then
        rm -rf -- "$part"
        fail "\`$python -m pip\` could not fetch torch $torch_version" \
            'see its messages above (network? space on the disk?) and run the same command again, or set LIBTORCH to a libtorch that you have'
    fi
    problem=$(libtorch_problem "$part/copy/torch")
    if [[ -n $problem ]]; then
        rm -rf -- "$part"
        fail "the libtorch that pip fetched cannot be used: $problem" "set LIBTORCH to a libtorch $torch_version that you have"
    fi
    mv -T -- "$part/copy" "$copy"
    rm -rf -- "$part"
}

# pip_install PART ARGS...: into the folder PART/copy.
pip_install() {
    local part=$1
    shift
    # pip unpacks in TMPDIR first, which may be a small file system in memory; beside the copy a rename is enough.
    mkdir -p -- "$part/temporary"
    # The first two PIP_ settings undo a user's own, which would contradict --target; the third is about system folders.
    TMPDIR=$part/temporary PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore "$python" -m pip install --no-input --disable-pip-version-check \
        --target "$part/copy" "$@" </dev/null >&2
}

# Leaves `python`, one that has pip.
find_pip() {
    while IFS= read -r python; do
        if "$python" -m pip --version </dev/null &>/dev/null; then return; fi
    done < <(pythons)
    return 1
}

need_pip() {
    find_pip && return
    install_or_list 'Python 3 with pip, which fetches libtorch,' python3 python3-pip
    find_pip && return
    fail 'no Python 3 with pip was found, even after installing it' "set LIBTORCH to a libtorch $torch_version that you have"
}

# ---------------------------------------------------------------------------------------------------------------- data

# The places where the program looks for Fashion-MNIST, in its order.
fashion_mnist_folders() {
    [[ -z ${TOMBOLA_DATA:-} ]] || printf '%s\n' "$TOMBOLA_DATA/fashion-mnist" "$TOMBOLA_DATA"
    local home=${XDG_DATA_HOME:-${HOME:+$HOME/.local/share}}
    [[ -z $home ]] || printf '%s\n' "$home/tombola/fashion-mnist"
    printf '%s\n' "$data_package_folder"
}

have_fashion_mnist() {
    local folder file
    while IFS= read -r folder; do
        for file in {train,t10k}-{images-idx3,labels-idx1}-ubyte; do
            [[ -r $folder/$file || -r $folder/$file.gz ]] || continue 2
        done
        return 0
    done < <(fashion_mnist_folders)
    return 1
}

# Never fails: other data sets work without it, and some releases and mirrors lack the package.
prepare_data() {
    have_fashion_mnist || ! may_use_apt || apt_install "$data_package" || say "apt could not install \`$data_package\`"
}

# The second way to the data needs the program, so it comes after the build. Never fails either.
fetch_data() {
    have_fashion_mnist && return
    say 'Fetching Fashion-MNIST (30 MB)'
    "$binary" data fetch fashion-mnist </dev/null >&2 || true
    have_fashion_mnist || say 'Fashion-MNIST could not be had; other data sets work. To try again: scripts/tombola data fetch fashion-mnist'
}

# --------------------------------------------------------------------------------------------------------------- build

# Everything that compiling and testing need; leaves `cargo`, `libtorch`, `mpi` and `features`, and the variables that
# the build reads.
prepare_tools() {
    [[ $(uname -s) == Linux ]] || fail "these scripts know Linux only, and this is $(uname -s)" \
        "by hand: Rust, a C++ compiler and libtorch $torch_version, then LIBTORCH=FOLDER cargo build --release"
    writable "$target/release" 'set CARGO_TARGET_DIR to a folder that you can write to'
    need_rust
    need_compiler
    need_libtorch
    export PATH CARGO_TARGET_DIR=$target LIBTORCH=$libtorch
    # These would make the build look elsewhere than in LIBTORCH, or put the program elsewhere than in `target`.
    unset LIBTORCH_USE_PYTORCH LIBTORCH_LIB LIBTORCH_INCLUDE LIBTORCH_STATIC CARGO_BUILD_TARGET
    # Last, because it may remove what was built for another MPI, which must look where the build will.
    need_mpi
}

# in_repository COMMAND...: cargo and rustup read the settings of the folder that they are started in.
# Descriptor 9 is the lock, which must not outlive this script in a compiler cache that cargo may leave running.
in_repository() {
    (cd -- "$root" && exec "$@" </dev/null 9>&-)
}

build_program() {
    if compgen -G "$target/release/deps/libtorch_sys-*.rlib" >/dev/null; then
        say 'Building the program'
    else
        say 'Building the program; the first build takes about 4 minutes on two cores'
    fi
    in_repository "$cargo" build --release --locked ${features[@]+"${features[@]}"} >&2 || fail 'the build failed' \
        "see cargo's messages above; where they are about MPI: TOMBOLA_MPI=no builds without it"
    [[ -x $binary ]] || fail "the build made no \`$binary\`" 'a cargo configuration may send it elsewhere (build.target)'
}

prepare_program() {
    local started=$stamp.started tried=$target/release/tombola.data-tried library
    prepare_lock
    # Another process may have done it all meanwhile.
    if up_to_date; then return; fi
    prepare_tools
    touch -- "$started"
    [[ -e $tried ]] || prepare_data
    build_program
    # Once: a machine without a network would otherwise wait for it after every change of the source.
    [[ -e $tried ]] || { fetch_data && touch -- "$tried"; }
    library=$(mpi_library "$binary-torch") || fail "the program is built with the MPI of \`${mpi%% *}\`, and the loader does not find its library" \
        'load its module, or set LD_LIBRARY_PATH to the folder of its libmpi, and run the same command again; TOMBOLA_MPI=no builds without it'
    printf '%s\n' "$libtorch" "$(identity "$binary")" "$mpi" "$library" >"$stamp.new"
    touch -r "$started" -- "$stamp.new"
    mv -f -- "$stamp.new" "$stamp"
}

# One set-up of a build folder at a time; ends with the shell or with `exec 9>&-`.
prepare_lock() {
    writable "$target" 'set CARGO_TARGET_DIR to a folder that you can write to'
    exec 9>>"$target/setup.lock"
    lock "$target/setup.lock" 9
}
