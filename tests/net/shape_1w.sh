#!/usr/bin/env bash
# Bandwidth of services, modes tcp and http: 1 worker(s), af_xdp.
# Runs alone.
set -euo pipefail
export WORKERS=1 DRIVER=af_xdp
# shellcheck source=tests/net/lib_shape.sh
. "$(dirname "$0")/lib_shape.sh"
