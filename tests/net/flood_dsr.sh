#!/usr/bin/env bash
# SYN flood, UDP flood and port scan in dsr: established connections keep their service, new ones succeed.
# Runs alone.
set -euo pipefail
export MODE=dsr
# shellcheck source=tests/net/lib_flood.sh
. "$(dirname "$0")/lib_flood.sh"
