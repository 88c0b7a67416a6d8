# shellcheck shell=bash
# shellcheck disable=SC2016,SC2154 # backticks in messages mark literals; variables are set in setup.sh
#
# What a set-up says, and where the rest goes: functions only, sourced by setup.sh.
#
#   say TEXT...                one line
#   step WHAT COMMAND...       one line: WHAT, and how long COMMAND took. All that COMMAND prints goes to the log
#   cargo_step WHAT COMMAND... the same for cargo, which counts on a terminal how far it is
#   fail MESSAGE [HINT]        ends with exit code 3, the program's own code for "the environment is at fault"
#   fail_step MESSAGE [HINT]   the same after a step that failed: shows the lines of the log that say why, and names the log
#   forbidden                  does TOMBOLA_SETUP=no forbid every installation, fetch and build?
#   would WHAT BY_HAND         notes down what a set-up that is forbidden would do
#   refuse MESSAGE             ends with all that was noted down
#
# Everything said here goes to standard error, because standard output belongs to the program.

# The log keeps earlier set-ups, each under its date. Above this size it is put aside, in place of the one put aside before.
readonly log_limit=1000000
# Lines of the log that an error shows.
readonly excerpt_limit=40

undone=()

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

# ------------------------------------------------------------------------------------------------------------ the log

open_log() {
    [[ -z ${log_is_open:-} ]] || return 0
    log_is_open=yes
    if [[ -f $setup_log ]] && (($(stat -c %s -- "$setup_log") > log_limit)); then
        mv -f -- "$setup_log" "$setup_log.before"
    fi
    printf '==== %(%Y-%m-%d %H:%M:%S)T %s\n' -1 "${0##*/}" >>"$setup_log"
}

# log_of_step: what the last step has written.
log_of_step() {
    tail -c "+$((step_start + 1))" -- "$setup_log"
}

# Errors as cargo, compilers, pip and apt write them, each to the next empty line; where there is none, the last lines.
excerpt() {
    local lines
    lines=$(log_of_step | awk '
        /^(error|ERROR|E:|Caused by:|fatal)/ || /(^|[ :])(fatal )?error: / || /panicked at / { inside = 1 }
        /^[[:space:]]*$/ { inside = 0 }
        inside')
    [[ -n $lines ]] || lines=$(log_of_step | tail -n 15)
    printf '%s\n' "$lines" | awk -v limit="$excerpt_limit" '
        NR <= limit { print "    " $0 }
        END { if (NR > limit) print "    … and " NR - limit " lines more" }'
}

# fail_step MESSAGE [HINT]
fail_step() {
    printf 'error: %s\n' "$1" >&2
    excerpt >&2
    printf '\nhint: %sthe whole output is in `%s`\n' "${2:+$2; }" "$setup_log" >&2
    exit 3
}

# ---------------------------------------------------------------------------------------------------------- one step

# duration SECONDS
duration() {
    if (($1 < 60)); then printf '%s s' "$1"; else printf '%s min %02d s' $(($1 / 60)) $(($1 % 60)); fi
}

# step WHAT COMMAND...: gives the exit code of COMMAND.
step() {
    local what=$1
    shift
    begin_step "$what"
    "$@" >>"$setup_log" 2>&1 || step_status=$?
    end_step
}

# cargo_step WHAT COMMAND...: started in the folder of the repository. Gives the exit code of COMMAND.
cargo_step() {
    local what=$1
    shift
    begin_step "$what"
    # stdbuf keeps tr from holding lines back.
    if [[ -t 2 ]] && command -v stdbuf >/dev/null; then
        # Without a terminal of its own cargo has to be told to count, and how wide its line may be.
        in_repository env CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=always CARGO_TERM_PROGRESS_WIDTH=120 "$@" 2>&1 |
            stdbuf -oL tr '\r' '\n' | count_crates "$what" >>"$setup_log" || step_status=$?
        printf '\r\033[Ksetup: %s …' "$what" >&2
    else
        in_repository env CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=never "$@" >>"$setup_log" 2>&1 || step_status=$?
    fi
    end_step
}

begin_step() {
    open_log
    step_start=$(stat -c %s -- "$setup_log")
    step_seconds=$SECONDS
    step_status=0
    printf -- '---- %s\n' "$1" >>"$setup_log"
    # The line is ended when the step ends.
    printf 'setup: %s …' "$1" >&2
}

end_step() {
    local took
    took=$(duration $((SECONDS - step_seconds)))
    if ((step_status == 0)); then printf ' %s\n' "$took" >&2; else printf ' failed after %s\n' "$took" >&2; fi
    return "$step_status"
}

# count_crates WHAT: what cargo says passes through; its lines of progress become one line on the terminal that is
# rewritten in place.
count_crates() {
    local line
    while IFS= read -r line; do
        if [[ $line =~ ^\ *Building\ .*\ ([0-9]+)/([0-9]+) ]]; then
            printf '\r\033[Ksetup: %s … %s of %s crates' "$1" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" >&2
        elif [[ -n ${line//[[:space:]]/} ]]; then
            printf '%s\n' "$line"
        else
            # Empty lines end an error; cargo also clears its line of progress with blanks.
            [[ -n $line ]] || printf '\n'
        fi
    done
}

# ------------------------------------------------------------------------------------------------------- TOMBOLA_SETUP

forbidden() {
    case ${TOMBOLA_SETUP:-} in
        '' | yes) return 1 ;;
        no) return 0 ;;
        *) fail "TOMBOLA_SETUP is \`$TOMBOLA_SETUP\`, expected \`yes\` or \`no\`" 'unset it to have what is missing installed, fetched and built' ;;
    esac
}

# would WHAT BY_HAND
would() {
    undone+=("$1"$'\n'"      by hand: $2")
}

# refuse MESSAGE
refuse() {
    printf 'error: %s, and TOMBOLA_SETUP=no forbids the set-up, which would\n' "$1" >&2
    printf '  - %s\n' "${undone[@]}" >&2
    printf '\nhint: do this by hand in this order, or run the same command again without TOMBOLA_SETUP=no\n' >&2
    exit 3
}
