# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154 # backticks in messages mark literals; variables are set or used in the files beside
#
# What the scripts that build need before they can start: functions only, to be sourced.
#
#   locate            where the repository, the build and its stamp lie
#   up_to_date        is the program built and current? No python, no pip, no apt, no cargo: this is asked at every start
#   prepare_tools     Rust, a C++ compiler, libtorch and MPI; leaves `cargo`, `libtorch`, `mpi` and `features` set
#   prepare_data      Fashion-MNIST, by the package manager
#   build_program     the release build
#   prepare_program   all of these, and the stamp that `up_to_date` reads
#
# steps.sh beside it says what is done, packages.sh has apt and pip, libtorch.sh and mpi.sh the libraries. What the machine
# lacks and may not be installed from here ends in exit code 3.

readonly data_package=dataset-fashion-mnist
readonly data_package_folder=/usr/share/datasets/fashion-mnist

# shellcheck source=scripts/lib/steps.sh
source "${BASH_SOURCE[0]%/*}/steps.sh"
# shellcheck source=scripts/lib/packages.sh
source "${BASH_SOURCE[0]%/*}/packages.sh"
# shellcheck source=scripts/lib/libtorch.sh
source "${BASH_SOURCE[0]%/*}/libtorch.sh"
# shellcheck source=scripts/lib/mpi.sh
source "${BASH_SOURCE[0]%/*}/mpi.sh"

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
    setup_log=$target/setup.log
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
    newer_than_sources "$stamp"
}

# newer_than_sources FILE: the example sweeps are in the program too.
newer_than_sources() {
    local source sources=()
    for source in src crates sweeps build.rs Cargo.toml Cargo.lock .cargo rust-toolchain rust-toolchain.toml; do
        [[ -e $root/$source ]] && sources+=("$root/$source")
    done
    # The times of folders count too: they tell of files that were deleted or renamed.
    [[ -z $(find "${sources[@]}" -newer "$1" -print -quit) ]]
}

# lock FILE DESCRIPTOR: waits until no other process holds FILE. The lock ends with the descriptor.
lock() {
    local status=0
    command -v flock >/dev/null || return 0
    flock --nonblock --conflict-exit-code 75 "$2" || status=$?
    if ((status == 75)); then
        say "waiting for another set-up that holds \`$1\`"
        flock "$2"
    elif ((status != 0)); then
        say "\`$1\` cannot be locked on this file system: start no second set-up at the same time"
    fi
}

# ------------------------------------------------------------------------------------------------------------ compilers

need_compiler() {
    # CXX may hold a command with arguments.
    local compiler=${CXX:-c++}
    compiler=${compiler%% *}
    if ! command -v "$compiler" >/dev/null || ! command -v cc >/dev/null; then
        install_or_list 'a C++ compiler (`c++` and `cc`)' g++
        ! forbidden || return 0
        command -v "$compiler" >/dev/null || fail "there is no C++ compiler \`$compiler\`" 'set CXX to the compiler that you have, or unset it'
    fi
}

# ---------------------------------------------------------------------------------------------------------------- Rust

readonly how_to_get_rust='get it from https://rustup.rs, or, where rustup is there already: rustup default stable && rustup update'

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
    found="Rust $needed or newer is needed${found:-; there is no \`cargo\` on PATH or in ~/.cargo/bin}"
    if forbidden; then
        cargo=cargo
        would "stop, because $found" "$how_to_get_rust"
    else
        fail "$found" "$how_to_get_rust"
    fi
}

# ---------------------------------------------------------------------------------------------------------------- data

# The places where the program looks for Fashion-MNIST, in its order.
fashion_mnist_folders() {
    [[ -z ${TOMBOLA_DATA:-} ]] || printf '%s\n' "$TOMBOLA_DATA/fashion-mnist" "$TOMBOLA_DATA"
    local home=${XDG_DATA_HOME:-${HOME:+$HOME/.local/share}}
    [[ -z $home ]] || printf '%s\n' "$home/tombola/fashion-mnist"
    printf '%s\n' "$data_package_folder"
}

# The first of them that has all of it.
fashion_mnist_folder() {
    local folder file
    while IFS= read -r folder; do
        for file in {train,t10k}-{images-idx3,labels-idx1}-ubyte; do
            [[ -r $folder/$file || -r $folder/$file.gz ]] || continue 2
        done
        printf '%s' "$folder"
        return
    done < <(fashion_mnist_folders)
    return 1
}

have_fashion_mnist() {
    fashion_mnist_folder >/dev/null
}

# Never fails: other data sets work without it, and some releases and mirrors lack the package.
prepare_data() {
    ! have_fashion_mnist || return 0
    if forbidden; then
        would 'get Fashion-MNIST, 30 MB' "apt-get install $data_package, or, once the program is built: $binary data fetch fashion-mnist"
    elif may_use_apt 'the sweeps of the quick start train on Fashion-MNIST' "$data_package"; then
        apt_install "$data_package" || say "apt could not install \`$data_package\` (\`$setup_log\` says why)"
    fi
}

# The second way to the data needs the program, so it comes after the build. Never fails either.
fetch_data() {
    ! have_fashion_mnist && ! forbidden || return 0
    step 'Fashion-MNIST, 30 MB' in_repository "$binary" data fetch fashion-mnist || true
    have_fashion_mnist || say "Fashion-MNIST could not be had (\`$setup_log\` says why); other data sets work. To try again: scripts/tombola data fetch fashion-mnist"
}

# --------------------------------------------------------------------------------------------------------------- build

# Everything that compiling and testing need; leaves `cargo`, `libtorch`, `mpi` and `features`, and the variables that
# the build reads.
prepare_tools() {
    [[ $(uname -s) == Linux ]] || fail "these scripts know Linux only, and this is $(uname -s)" \
        "by hand: Rust, a C++ compiler and libtorch $torch_version, then LIBTORCH=FOLDER cargo build --release"
    need_rust
    need_compiler
    need_libtorch
    export PATH CARGO_TARGET_DIR=$target LIBTORCH=$libtorch
    # These would make the build look elsewhere than in LIBTORCH, or put the program elsewhere than in `target`.
    unset LIBTORCH_USE_PYTORCH LIBTORCH_LIB LIBTORCH_INCLUDE LIBTORCH_STATIC CARGO_BUILD_TARGET
    # Last, because it may remove what was built for another MPI, which must look where the build will.
    need_mpi
    [[ -n ${only_listing:-} ]] || ((${#undone[@]} == 0)) || refuse 'this machine lacks something'
}

# in_repository COMMAND...: cargo and rustup read the settings of the folder that they are started in.
# Descriptor 9 is the lock, which must not outlive this script in a compiler cache that cargo may leave running.
in_repository() {
    (cd -- "$root" && exec "$@" </dev/null 9>&-)
}

build_program() {
    local what='building the program'
    compgen -G "$target/release/deps/libtorch_sys-*.rlib" >/dev/null || what+=', for the first time (minutes)'
    cargo_step "$what" "$cargo" build --release --locked ${features[@]+"${features[@]}"} ||
        fail_step 'the build failed' "$([[ $mpi == none* ]] || printf 'where that is about MPI, TOMBOLA_MPI=no builds without it')"
    [[ -x $binary ]] || fail "the build made no \`$binary\`" 'a cargo configuration may send it elsewhere (build.target)'
}

prepare_program() {
    local started=$stamp.started tried=$target/release/tombola.data-tried library
    if forbidden; then
        refuse_to_prepare
        return
    fi
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

# What `prepare_program` would do, as an error; nothing where somebody built a program by hand that will do.
refuse_to_prepare() {
    local only_listing=yes
    if [[ -x $binary && -x $binary-torch ]] && newer_than_sources "$binary" && mpi_library "$binary-torch" >/dev/null; then return; fi
    prepare_tools
    prepare_data
    would 'build the program' "cd $root && LIBTORCH=${libtorch:-FOLDER} CARGO_TARGET_DIR=$target cargo build --release --locked${features[*]:+ ${features[*]}}"
    refuse 'the program is not built, or is older than its sources'
}

# One set-up of a build folder at a time; ends with the shell or with `exec 9>&-`.
prepare_lock() {
    writable "$target" 'set CARGO_TARGET_DIR to a folder that you can write to'
    writable "$target/release" 'set CARGO_TARGET_DIR to a folder that you can write to'
    exec 9>>"$target/setup.lock"
    lock "$target/setup.lock" 9
}
