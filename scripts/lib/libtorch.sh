# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154 # backticks in messages mark literals; variables are set or used in setup.sh
#
# The libtorch that the program is built with: functions only, sourced by setup.sh.
#
#   need_libtorch    leaves `libtorch`, its folder: that of LIBTORCH, of the last build, of a Python, or a private copy

# The libtorch that the `tch` of Cargo.toml was written for: change both together.
readonly torch_version=2.11.0
# A libtorch built for CUDA names two libraries of NVIDIA's even where it computes on the CPU only; the last package is
# headers, for the part of the program that captures CUDA graphs.
readonly cuda_headers='nvidia-cuda-crt==13.0.*'
readonly cpu_parts=("torch==$torch_version" 'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cupti==13.0.*' "$cuda_headers")

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
            say "libtorch is that of the torch $torch_version of \`$python\`"
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
    if [[ ! -d $copy ]] && forbidden; then
        would "fetch $(libtorch_in_words "$kind") into \`$copy\`" \
            "python3 -m pip install --target FOLDER$(libtorch_arguments "$kind"), then LIBTORCH=FOLDER/torch; or LIBTORCH=FOLDER of a libtorch $torch_version that you have"
        return
    fi
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

# libtorch_in_words KIND
libtorch_in_words() {
    if [[ $1 == cpu ]]; then
        printf 'libtorch %s for the CPU, 0.6 GB (1.3 GB on disk)' "$torch_version"
    else
        printf 'libtorch %s with its CUDA parts, 2.5 GB (4.7 GB on disk)' "$torch_version"
    fi
}

# libtorch_parts KIND: what pip is asked for, one a line.
libtorch_parts() {
    if [[ $1 == cpu ]]; then printf '%s\n' "${cpu_parts[@]}"; else printf '%s\n' "torch==$torch_version" "$cuda_headers"; fi
}

# libtorch_arguments KIND: for a line that a person types.
libtorch_arguments() {
    local parts
    mapfile -t parts < <(libtorch_parts "$1")
    [[ $1 != cpu ]] || printf ' --no-deps'
    printf " '%s'" "${parts[@]}"
}

# fetch_libtorch COPY KIND: the folder COPY appears only when it is complete.
fetch_libtorch() {
    local copy=$1 kind=$2 python part problem options=() parts
    part=$copy.part.$$
    need_pip
    # The wheel carries a Python module that nobody imports here: a Python too old for it can fetch it all the same.
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || options=(--python-version 3.12 --only-binary=:all:)
    [[ $kind != cpu ]] || options+=(--no-deps)
    mapfile -t parts < <(libtorch_parts "$kind")
    if ! step "$(libtorch_in_words "$kind")" pip_install "$part" ${options[@]+"${options[@]}"} "${parts[@]}"; then
        rm -rf -- "$part"
        fail_step "\`$python -m pip\` could not fetch torch $torch_version into \`${copy%/*}\`" \
            'is there a network, and space on the disk? Then run the same command again, or set LIBTORCH to a libtorch that you have'
    fi
    problem=$(libtorch_problem "$part/copy/torch")
    if [[ -n $problem ]]; then
        rm -rf -- "$part"
        fail "the libtorch that pip fetched cannot be used: $problem" "set LIBTORCH to a libtorch $torch_version that you have"
    fi
    mv -T -- "$part/copy" "$copy"
    rm -rf -- "$part"
}
