#!/usr/bin/env bash
# SYN flood, UDP flood and port scan in ipip4: established connections keep their service, new ones succeed.
# Runs alone.
set -euo pipefail
export MODE=ipip4
# shellcheck source=tests/net/lib_flood.sh
. "$(dirname "$0")/lib_flood.sh"
