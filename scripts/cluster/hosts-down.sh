#!/usr/bin/env bash
#
# scripts/cluster/hosts-down.sh FOLDER: ends the hosts that hosts-up.sh made there, with all that runs on them, a Slurm
# included, and removes what they kept in FOLDER but their logs. Does nothing where there are none.

set -euo pipefail
here=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/cluster/common.sh
source "$here/common.sh"

(($# == 1)) || usage 'hosts-down.sh FOLDER'
# Only a folder that hosts-up.sh has marked: `hosts-down.sh /` must not remove /etc.
[[ -e $1/.pretended-hosts ]] || exit 0
need_root
open_folder "$1"
for file in "$folder"/hosts/*; do
    if [[ -e $file ]]; then end_host "${file##*/}"; fi
done
rm -rf -- "${folder:?}"/{hosts,tmp,etc}
