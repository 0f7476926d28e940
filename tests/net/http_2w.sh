#!/usr/bin/env bash
# Mode http with kernel clients and servers, all that a request can meet: 2 worker(s), af_xdp.
set -euo pipefail
export WORKERS=2 DRIVER=af_xdp
# shellcheck source=tests/net/lib_http_basic.sh
. "$(dirname "$0")/lib_http_basic.sh"
