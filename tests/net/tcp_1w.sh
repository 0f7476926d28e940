#!/usr/bin/env bash
# Mode tcp with kernel clients and servers, all that a connection can meet: 1 worker(s), af_xdp.
set -euo pipefail
export WORKERS=1 DRIVER=af_xdp
# shellcheck source=tests/net/lib_tcp_basic.sh
. "$(dirname "$0")/lib_tcp_basic.sh"
