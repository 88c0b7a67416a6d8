# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154 # backticks in messages mark literals; variables are set or used in the scripts that source this
#
# What scripts/test, scripts/test-gpu and scripts/gpu-kit share: which tests train, what tests need of the machine, and what it means that
# one was skipped. Functions only; sourced after setup.sh.
#
#   prepare_packages          by apt: hosts, a Slurm, a browser, TeX, both MPIs
#   prepare_python            a Python with PyTorch and others' readers of our files; leaves TOMBOLA_TEST_PYTHON
#   prepare_wheel             the wheel of the Python package
#   prepare_kit               the kit for machines with a GPU, which carries the wheel
#   strict                    is a test that was skipped a failure here?
#   list_skipped LOG FILE     all that did not run, one a line; leaves `missed`, how many that could have run in CI

# The tests that train, as arguments of `cargo test`. They run a second time as on a processor with AVX2 only, and they
# run on a GPU. THIS IS THE ONE PLACE that names them.
readonly training_tests=(--test train)
# What makes libtorch and oneDNN take the paths of a processor with AVX2 and no AVX-512.
readonly only_avx2=(ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2)

# A reason of a skipped or ignored test that begins so is none that an installation could cure.
readonly needs_gpu='needs a GPU'

# Hosts and a Slurm on them, a browser and TeX for what the report and the tables give, shellcheck for the scripts of jobs.
readonly test_packages=(openssh-server iproute2 util-linux slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge
    chromium texlive-latex-recommended shellcheck oxygen-icon-theme)
# The wheel carries a program for each kind of MPI. Open MPI first, so that `mpicc` and `mpirun` are never MPICH's meanwhile.
readonly both_mpis=(libopenmpi-dev openmpi-bin libmpich-dev mpich)

has_avx512() {
    grep -q -m 1 '^flags.*\<avx512f\>' /proc/cpuinfo
}

# strict: only where nobody looks at the list of skipped tests.
strict() {
    [[ -n ${CI:-} && $CI != false ]]
}

wants_install() {
    local wanted=no
    ! strict || wanted=yes
    [[ ${TOMBOLA_TEST_INSTALL:-$wanted} == yes ]] && ! forbidden
}

# without_daemons COMMAND...: no package that it installs starts a daemon. A policy that is there already stays, and
# decides: container images have one that starts none.
without_daemons() {
    local policy=/usr/sbin/policy-rc.d
    if [[ -e $policy ]]; then
        "$@"
        return
    fi
    (
        trap 'as_root rm -f -- "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee -- "$policy" >/dev/null && as_root chmod 755 -- "$policy"
        "$@"
    )
}

# Never fails: tests that miss something skip and say so.
prepare_packages() {
    local package missing=()
    wants_install || return 0
    for package in "${both_mpis[@]}" "${test_packages[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]} > 0)) || return 0
    may_use_apt 'tests pretend to be a cluster, open reports in a browser and start the program under two kinds of MPI' "${missing[@]}" || return 0
    without_daemons apt_install "${missing[@]}" ||
        say "apt could not install all of ${missing[*]} (\`$setup_log\` says why): tests that need them are skipped"
    keep_open_mpi
}

# The program is built with Open MPI, whatever came last. Debian's alternatives prefer it too, unless somebody has chosen.
keep_open_mpi() {
    local name
    for name in mpi:mpicc.openmpi mpirun:mpirun.openmpi; do
        if [[ -x /usr/bin/${name#*:} && $(readlink -f -- "/usr/bin/${name#*:}") != $(readlink -f -- "$(update-alternatives --query "${name%:*}" | sed -n 's/^Value: //p')") ]]; then
            as_root update-alternatives --set "${name%:*}" "/usr/bin/${name#*:}" &>/dev/null ||
                say "\`${name%:*}\` of Debian's alternatives is not Open MPI's, and could not be set to it"
        fi
    done
}

# In a folder of its own below the build folder. Before prepare_tools: the program is then built with that torch, which
# is the same that would be fetched for it. Never fails: tests that miss it skip and say so.
prepare_python() {
    local python folder list=$root/tests/outside/requirements.txt
    [[ -z ${TOMBOLA_TEST_PYTHON:-} ]] && wants_install || return 0
    if ! find_pip; then
        may_use_apt 'tests read with PyTorch and others what the program writes' python3 python3-pip && apt_install python3 python3-pip && find_pip || return 0
    fi
    folder=$target/python-2-$({ cat -- "$list" && printf '%s' "$torch_version"; } | cksum | cut -d ' ' -f 1)
    if [[ ! -d $folder ]]; then
        rm -rf -- "$target"/python-*
        if ! step "PyTorch $torch_version, pandas, ONNX Runtime and others for tests, 2.7 GB (5.2 GB on disk)" \
            pip_install "$folder.part" -r "$list" "torch==$torch_version" "$cuda_headers"; then
            say "pip could not install them (\`$setup_log\` says why): tests that need them are skipped"
            excerpt >&2
            rm -rf -- "$folder.part"
            return 0
        fi
        # shellcheck disable=SC2016 # for that shell
        printf '#!/bin/sh\nPYTHONPATH=%q"${PYTHONPATH:+:$PYTHONPATH}" exec %q "$@"\n' "$folder/copy" "$python" >"$folder.part/python"
        chmod +x -- "$folder.part/python"
        mv -T -- "$folder.part" "$folder"
    fi
    export TOMBOLA_TEST_PYTHON=$folder/python
}

# The wheel, which tests install. Never fails: they are skipped without one.
prepare_wheel() {
    wants_install || return 0
    step 'the wheel: the programs for each kind of MPI' "$root/scripts/wheel" ||
        { say "the wheel could not be made (\`$setup_log\` says why): its tests are skipped" && excerpt >&2; }
}

# The kit, which a test runs. After the tests are built, because some are in it. Never fails, as the wheel.
prepare_kit() {
    wants_install || return 0
    step 'the kit for machines with a GPU' "$root/scripts/gpu-kit" ||
        { say "the kit could not be made (\`$setup_log\` says why): its test is skipped" && excerpt >&2; }
}

# list_skipped LOG FILE: LOG is what `cargo test` printed, FILE what tests have appended to. One line a test,
# `Skipped: NAME: REASON`.
list_skipped() {
    local lines
    lines=$(
        sed -n -E 's/^test (.*) \.\.\. ignored(, )?(.*)/\1: \3/p' "$1" | sed 's/: $/: marked as ignored/' | sort -u
        sort -u -- "$2"
        have_fashion_mnist || printf 'all on Fashion-MNIST: it is not here. To have it: scripts/tombola data fetch fashion-mnist\n'
        [[ $mpi != none* ]] || printf 'all on MPI: the program is built without it\n'
    )
    missed=0
    [[ -n $lines ]] || return 0
    printf '%s\n' "$lines" | sed 's/^/Skipped: /'
    missed=$(grep -c -v -E -- "^(::|[^:])*: $needs_gpu" <<<"$lines") || true
}
