#!/bin/sh
# Runs the command of a preset on the host, and leaves its output and exit code for the sentinel: docs/probes.md.
# The sentinel decides what they mean; nothing here does.
limit=${BELLWETHER_PROBE_LIMIT:-300}
folder=${BELLWETHER_PROBE_FOLDER:-/run/bellwether}
name=${2:-$1}

case $1 in
    dnf) set -- dnf needs-restarting -r ;;
    dnf5) set -- dnf5 needs-restarting -r ;;
    zypper) set -- zypper needs-rebooting ;;
    needrestart) set -- needrestart -b -k -l ;;
    rpm-ostree) set -- rpm-ostree status --pending-exit-77 ;;
    *)
        echo "$1 is no preset: write dnf, dnf5, zypper, needrestart or rpm-ostree" >&2
        exit 2
        ;;
esac

# The words by which dnf says yes are those of this language.
export LC_ALL=C
umask 022
mkdir -p "$folder" || exit 1
# The last words are enough, so that a command that prints without end fills neither the memory nor /run. needrestart
# prints the state of the kernel before the services: there is room for some 200 of them.
{
    timeout -k 10 "$limit" "$@" 2>&1 </dev/null
    printf '\nexit=%s\n' "$?"
} | tail -c 12288 >"$folder/.$name.new"
# Never half a result.
mv -f "$folder/.$name.new" "$folder/$name"
