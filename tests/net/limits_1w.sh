#!/usr/bin/env bash
# Limits of routes and services with kernel clients and servers: 1 worker(s), af_xdp.
set -euo pipefail
export WORKERS=1 DRIVER=af_xdp
# shellcheck source=tests/net/lib_limits.sh
. "$(dirname "$0")/lib_limits.sh"
