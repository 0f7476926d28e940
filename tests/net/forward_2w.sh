#!/usr/bin/env bash
# Every mode, family and protocol with kernel clients and servers: 2 worker(s), af_packet.
set -euo pipefail
export WORKERS=2 DRIVER=af_packet
# shellcheck source=tests/net/lib_forward.sh
. "$(dirname "$0")/lib_forward.sh"
