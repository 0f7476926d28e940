#!/usr/bin/env bash
# Endpoints that fail in every way, are slow, full or far away, and who gets their requests: 1 worker(s), af_packet.
# Runs alone.
set -euo pipefail
export WORKERS=1 DRIVER=af_packet
# shellcheck source=tests/net/lib_outlier.sh
. "$(dirname "$0")/lib_outlier.sh"
