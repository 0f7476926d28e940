#!/usr/bin/env bash
# Tokens (JWT) of another implementation: 1 worker(s), af_packet.
set -euo pipefail
export WORKERS=1 DRIVER=af_packet
# shellcheck source=tests/net/lib_jwt.sh
. "$(dirname "$0")/lib_jwt.sh"
