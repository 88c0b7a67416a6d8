# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154 # backticks in messages mark literals; variables are set or used in setup.sh
#
# Whether the program is built with MPI, and with which: functions only, sourced by setup.sh, whose others they call.
#
#   need_mpi      decides, and installs what is missing where that is allowed; leaves `mpi`, `features` and `members` set
#   mpi_current   may a program that was built with a certain MPI, or with none, stay as it is?
#
# Nobody is stopped for the lack of an MPI, unless by TOMBOLA_MPI=yes: the program without it does all that one machine
# can do.

# The newest that the package index has; any since 9 would do.
readonly libclang_version=18.1.1
# libclang-dev, not libclang1: with clang's own headers a `cargo build` by hand works too.
readonly mpi_packages=(libopenmpi-dev openmpi-bin)
readonly libclang_packages=(libclang-dev)
# What has to be built again for another MPI: the bindings, and each package whose build script names MPI's folders.
readonly built_for_mpi=(-p mpi-sys -p tombola-ranks -p tombola)
readonly how_to_get_mpi="Debian, Ubuntu: apt-get install ${mpi_packages[*]} ${libclang_packages[*]}; Fedora, Rocky: dnf install openmpi-devel clang-devel, then module load mpi; Arch: pacman -S openmpi clang; on a cluster: load the module of its MPI"

# mpi_switch: prints `yes`, `no`, or nothing: without the variable, what the machine has decides.
mpi_switch() {
    case ${TOMBOLA_MPI:-} in
        '' | yes | no) printf '%s' "${TOMBOLA_MPI:-}" ;;
        *) fail "TOMBOLA_MPI is \`$TOMBOLA_MPI\`, expected \`yes\` or \`no\`" 'unset it to build with MPI where there is one' ;;
    esac
}

# Leaves `mpi`, a line that changes when another MPI would be taken, empty where there is none. The order is that of the
# crate's build script, without its last resort: who has pkg-config files but no `mpicc` can name them in MPI_PKG_CONFIG.
find_mpi() {
    local file
    mpi=''
    if [[ -n ${MPI_PKG_CONFIG:-} ]]; then
        mpi="pkg-config $MPI_PKG_CONFIG ${PKG_CONFIG_PATH:-}"
    elif [[ -r ${CRAY_MPICH_DIR:-}/lib/pkgconfig/mpich.pc ]]; then
        mpi="pkg-config $CRAY_MPICH_DIR/lib/pkgconfig/mpich.pc"
    elif file=$(command -v "${MPICC:-mpicc}"); then
        # A link, such as those of Debian's alternatives, may come to lead elsewhere. No inode: on another node with the
        # same packages it is another.
        mpi="$file $(stat -L -c '%s %Y' -- "$file")"
    fi
    # The last space would not survive the stamp.
    mpi=${mpi% }
}

# mpi_folders LETTER: the folders that the MPI at hand names by -I or -L, one a line. Fails where it cannot say its flags.
mpi_folders() {
    local flags
    if [[ $mpi == 'pkg-config '* ]]; then
        flags=$("${PKG_CONFIG:-pkg-config}" --cflags --libs "${MPI_PKG_CONFIG:-${CRAY_MPICH_DIR:-}/lib/pkgconfig/mpich.pc}" 2>/dev/null) || return 1
    else
        flags=$("${MPICC:-mpicc}" -show 2>/dev/null) || return 1
    fi
    # xargs undoes the quotes around folders with spaces.
    xargs printf '%s\n' <<<"$flags" | sed -n "s/^-$1//p"
}

have_mpi_header() {
    local folders folder
    folders=$(mpi_folders I) || return 1
    folders+=$'\n/usr/include\n/usr/local/include\n'${CPATH:-}
    while IFS= read -r folder; do
        if [[ -n $folder && -r $folder/mpi.h ]]; then return 0; fi
    done <<<"${folders//:/$'\n'}"
    return 1
}

# The private copy of libclang, for those who may not install one.
private_libclang() {
    [[ -n ${XDG_CACHE_HOME:-}${HOME:-} ]] || return 1
    printf '%s' "$(absolute "${XDG_CACHE_HOME:-${HOME:-}/.cache}")/tombola/libclang-$libclang_version"
}

# Where the generator of bindings looks (the crate clang-sys), then the private copy, which it has to be told of.
find_libclang() {
    local file folder folders=() copy
    if [[ -n ${LIBCLANG_PATH:-} ]]; then
        [[ -f $LIBCLANG_PATH ]] && return
        folders=("$LIBCLANG_PATH")
    else
        if folder=$("${LLVM_CONFIG_PATH:-llvm-config}" --prefix 2>/dev/null); then folders+=("$folder/lib" "$folder/lib64"); fi
        while IFS= read -r -d : folder; do
            if [[ -n $folder ]]; then folders+=("$folder"); fi
        done <<<"${LD_LIBRARY_PATH:-}:${LIBRARY_PATH:-}:"
        for file in /usr/local/llvm*/lib*/libclang{,-[0-9]*}.so* /usr/{local/lib,lib}*/{,*/,*/*/}libclang{,-[0-9]*}.so*; do
            if [[ -r $file ]]; then return; fi
        done
    fi
    for folder in ${folders[@]+"${folders[@]}"}; do
        for file in "$folder"/libclang{,-[0-9]*}.so*; do
            if [[ -r $file ]]; then return; fi
        done
    done
    [[ -z ${LIBCLANG_PATH:-} ]] && copy=$(private_libclang) && [[ -r $copy/clang/native/libclang.so ]] || return 1
    export LIBCLANG_PATH=$copy/clang/native
}

# What keeps the program from being built with `mpi`, or nothing.
mpi_lacks() {
    if [[ -z $mpi ]]; then
        printf 'there is no MPI (no `%s` on PATH)' "${MPICC:-mpicc}"
    elif ! have_mpi_header; then
        printf 'the MPI at hand (`%s`) cannot be compiled for: it does not say its flags, or its mpi.h is missing' "${mpi%% *}"
    elif ! find_libclang; then
        printf 'libclang is missing, which the build needs to read the header of MPI'
    fi
}

# mpi_current BUILT LIBRARY: BUILT is the `mpi` of the stamp, LIBRARY the file of the MPI that the program was linked with.
mpi_current() {
    local built=$1 library=$2 mpi switch lacking
    switch=$(mpi_switch) || exit
    if [[ $built == none* ]]; then
        [[ $switch != no ]] || return 0
        [[ $switch != yes ]] || return 1
        find_mpi
        [[ -n $mpi ]] || return 0
        # Is it still the one that could not be used, and for the same lack?
        lacking=$(mpi_lacks)
        [[ -n $lacking && $built == "none, for $mpi: $lacking" ]]
        return
    fi
    [[ $switch != no ]] || return 1
    # mpirun and srun start many of these at once, on nodes that may know MPI's libraries but not its compiler, or another
    # one: whoever called them has decided, and a build by one would take the program from the others.
    [[ -z ${OMPI_COMM_WORLD_RANK:-}${PMIX_RANK:-}${PMI_RANK:-} ]] || return 0
    [[ -z $library || -r $library ]] || return 1
    # A module that is not loaded is no reason to build without it: the program finds its library all the same.
    find_mpi
    [[ -z $mpi || $mpi == "$built" ]]
}

# Leaves `mpi`, the line for the stamp, which begins with `none` where the program is built without MPI, and `features`,
# what cargo has to be told for that.
need_mpi() {
    local switch lacking without tried=$target/release/tombola.mpi-tried folder
    switch=$(mpi_switch) || exit
    # The crate takes an empty one for a name.
    [[ -n ${MPICC:-} ]] || unset MPICC
    [[ -n ${MPI_PKG_CONFIG:-} ]] || unset MPI_PKG_CONFIG
    features=(--no-default-features --features torch)
    members=(--workspace --exclude tombola-ranks)
    if [[ $switch == no ]]; then
        mpi=none
        return
    fi
    find_mpi
    lacking=$(mpi_lacks)
    without=none${mpi:+, for $mpi: $lacking}
    if [[ -n $lacking ]] && forbidden; then
        if [[ -n $switch ]]; then
            would "install what MPI needs, because TOMBOLA_MPI=yes asks for it and $lacking" "$how_to_get_mpi"
        elif [[ -n ${only_listing:-} ]]; then
            would "install what MPI needs, or build without MPI where that cannot be, because $lacking" "$how_to_get_mpi; or TOMBOLA_MPI=no"
        else
            say "without MPI, because $lacking"
        fi
    # Once for each lack: a machine without a network would otherwise wait for it after every change of the source.
    elif [[ -n $lacking ]] && { [[ $switch == yes || ! -r $tried ]] || [[ $(<"$tried") != "$without" ]]; }; then
        get_mpi
        lacking=$(mpi_lacks)
        without=none${mpi:+, for $mpi: $lacking}
        if [[ -n $lacking ]]; then
            [[ $switch != yes ]] || fail "MPI is asked for (TOMBOLA_MPI=yes), but $lacking" "$how_to_get_mpi"
            say "without MPI, for one machine only, because $lacking. For several nodes load an MPI module," \
                "or install an MPI, and run the same command again ($how_to_get_mpi)"
            printf '%s\n' "$without" >"$tried"
        fi
    fi
    if [[ -n $lacking ]]; then
        mpi=$without
        return
    fi
    features=()
    members=(--workspace)
    [[ -z ${only_listing:-} ]] || return 0
    # Again, because that was in a shell of its own: it may leave LIBCLANG_PATH.
    find_libclang || true
    # A libclang without the rest of clang has no stddef.h; the C compiler's does. Last in the order, so that clang's own
    # is taken where there is one. Quoted, because the variable is split like a shell's line.
    folder=$(cc -print-file-name=include 2>/dev/null) || folder=''
    if [[ -r $folder/stddef.h ]]; then
        printf -v folder '%q' "$folder"
        # Once: a script that calls another hands it on, and another value is another build.
        [[ " ${BINDGEN_EXTRA_CLANG_ARGS:-} " == *" -idirafter $folder "* ]] ||
            export BINDGEN_EXTRA_CLANG_ARGS="${BINDGEN_EXTRA_CLANG_ARGS:+$BINDGEN_EXTRA_CLANG_ARGS }-idirafter $folder"
    fi
    forget_another_mpi
}

# Installs what is lacking as far as that is allowed, and looks again. Never fails.
get_mpi() {
    local packages=()
    # Who names an MPI does not get another one.
    if [[ -z ${MPICC:-}${MPI_PKG_CONFIG:-} ]] && { [[ -z $mpi ]] || { [[ $mpi == /usr/bin/* ]] && ! have_mpi_header; }; }; then
        packages+=("${mpi_packages[@]}")
    fi
    if [[ -n $mpi || ${#packages[@]} -gt 0 ]] && ! find_libclang; then packages+=("${libclang_packages[@]}"); fi
    if ((${#packages[@]} > 0)) && may_use_apt 'the program is built with MPI, to run on several nodes' "${packages[@]}"; then
        apt_install "${packages[@]}" || say "apt could not install ${packages[*]} (\`$setup_log\` says why)"
        find_mpi
    fi
    if [[ -n $mpi ]] && have_mpi_header && ! find_libclang; then
        fetch_libclang || say "libclang could not be fetched (\`$setup_log\` says why)"
    fi
}

# By pip, which is there for libtorch anyway, into a private copy. Nothing of it is needed once the program is built.
fetch_libclang() {
    local copy cache
    [[ -z ${LIBCLANG_PATH:-} ]] || return 1
    copy=$(private_libclang) && find_pip && cache=${copy%/*} && mkdir -p -- "$cache" || return 1
    exec 8>>"$cache/lock"
    lock "$cache/lock" 8
    rm -rf -- "$copy".part.*
    if [[ ! -d $copy ]]; then
        if step "libclang $libclang_version, which reads the header of MPI, 24 MB (64 MB on disk)" pip_install "$copy.part.$$" --no-deps --only-binary=:all: "libclang==$libclang_version"; then
            mv -T -- "$copy.part.$$/copy" "$copy"
        fi
        rm -rf -- "$copy.part.$$"
    fi
    exec 8>&-
    find_libclang
}

# The crate's bindings are those of one MPI, and cargo does not notice that another one was loaded since. This package
# goes too: its run path (build.rs) names the folder of the other one.
forget_another_mpi() {
    local record=$target/release/tombola.mpi before=''
    [[ ! -r $record ]] || before=$(<"$record")
    [[ $before != "$mpi" ]] || return 0
    if grep -q '^name = "mpi-sys"$' "$root/Cargo.lock"; then
        [[ -z $before ]] || say 'another MPI than before: the program is built again for it'
        open_log
        step_start=$(stat -c %s -- "$setup_log")
        in_repository "$cargo" clean --quiet --release --locked "${built_for_mpi[@]}" >>"$setup_log" 2>&1 ||
            fail_step "what was built for another MPI could not be removed from \`$target\`" 'delete that folder'
    fi
    printf '%s\n' "$mpi" >"$record"
}

# mpi_library PROGRAM: the file of the MPI that it was linked with, or nothing. Fails where the loader does not find it.
mpi_library() {
    local libraries
    libraries=$(ldd "$1" 2>/dev/null | grep -E '^[[:space:]]*lib(mpi|mpich)[._-]') || return 0
    [[ $libraries != *'not found'* ]] || return 1
    sed -n '1s/.* => \(.*\) (0x.*/\1/p' <<<"$libraries"
}
