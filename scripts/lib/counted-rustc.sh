#!/usr/bin/env bash
#
# counted-rustc.sh RUSTC ARGS...: what scripts/fuzz gives Cargo as `RUSTC_WORKSPACE_WRAPPER`. Compiles the crates that inputs are
# given to with a counter for each place of the code, and with the checks that a release goes without: of overflow, and
# `debug_assert!`. Cargo keeps what it makes apart from the release's, and takes the libraries of others from there. Both
# options of the compiler are stable ones. (Whoever changes this file renames it: Cargo looks at its name only.)
set -euo pipefail
counted=(-C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=3 -C llvm-args=-sanitizer-coverage-inline-8bit-counters)
case " $* " in
    *' --crate-name tombola_'*' --crate-type lib '*) exec "$@" "${counted[@]}" -C overflow-checks=on -C debug-assertions=on ;;
    *) exec "$@" ;;
esac
