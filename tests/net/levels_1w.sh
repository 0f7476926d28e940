#!/usr/bin/env bash
# Who takes flows, connections and requests by priority, subset and locality, while endpoints drain: 1 worker(s), af_packet.
set -euo pipefail
export WORKERS=1 DRIVER=af_packet
# shellcheck source=tests/net/lib_levels.sh
. "$(dirname "$0")/lib_levels.sh"
