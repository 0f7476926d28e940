#!/usr/bin/env bash
# A table that is tried beside the active one, and what is told of it: 1 worker, af_packet.
set -euo pipefail
export WORKERS=1 DRIVER=af_packet
# shellcheck source=tests/net/lib_shadow.sh
. "$(dirname "$0")/lib_shadow.sh"
