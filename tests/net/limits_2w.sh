#!/usr/bin/env bash
# Limits of routes and services with kernel clients and servers: 2 worker(s), af_xdp.
set -euo pipefail
export WORKERS=2 DRIVER=af_xdp
# shellcheck source=tests/net/lib_limits.sh
. "$(dirname "$0")/lib_limits.sh"
