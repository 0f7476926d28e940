#!/usr/bin/env bash
# Bandwidth of services, modes tcp and http: 2 worker(s), af_packet.
# Runs alone.
set -euo pipefail
export WORKERS=2 DRIVER=af_packet
# shellcheck source=tests/net/lib_shape.sh
. "$(dirname "$0")/lib_shape.sh"
