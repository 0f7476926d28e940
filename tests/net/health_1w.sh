#!/usr/bin/env bash
# Probes through the data port, endpoints that die under load, maintenance, ejections: 1 worker(s), af_xdp.
# Runs alone.
set -euo pipefail
export WORKERS=1 DRIVER=af_xdp
# shellcheck source=tests/net/lib_health.sh
. "$(dirname "$0")/lib_health.sh"
