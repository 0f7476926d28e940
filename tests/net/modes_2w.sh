#!/usr/bin/env bash
# Every way of forwarding, both families, TCP and UDP, with kernel clients and endpoints: 2 worker(s), af_packet.
set -euo pipefail
export WORKERS=2 DRIVER=af_packet
# shellcheck source=tests/net/lib_each_mode.sh
. "$(dirname "$0")/lib_each_mode.sh"
