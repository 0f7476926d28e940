#!/usr/bin/env bash
# SYN flood, UDP flood and port scan in fullnat: established connections keep their service, new ones succeed.
# Runs alone.
set -euo pipefail
export MODE=fullnat
# shellcheck source=tests/net/lib_flood.sh
. "$(dirname "$0")/lib_flood.sh"
