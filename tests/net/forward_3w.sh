#!/usr/bin/env bash
# Every mode, family and protocol with kernel clients and servers: 3 worker(s), af_xdp.
set -euo pipefail
export WORKERS=3 DRIVER=af_xdp
# shellcheck source=tests/net/lib_forward.sh
. "$(dirname "$0")/lib_forward.sh"
