#!/usr/bin/env bash
# Every way of forwarding, both families, TCP and UDP, with kernel clients and endpoints: 1 worker(s), af_xdp.
set -euo pipefail
export WORKERS=1 DRIVER=af_xdp
# shellcheck source=tests/net/lib_each_mode.sh
. "$(dirname "$0")/lib_each_mode.sh"
