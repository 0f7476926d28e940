#!/usr/bin/env bash
# Tokens (JWT) of another implementation: 2 worker(s), af_packet.
set -euo pipefail
export WORKERS=2 DRIVER=af_packet
# shellcheck source=tests/net/lib_jwt.sh
. "$(dirname "$0")/lib_jwt.sh"
