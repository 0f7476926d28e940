#!/usr/bin/env bash
# Rules end to end with clients' SPIFFE certificates: 1 worker(s), af_xdp.
set -euo pipefail
export WORKERS=1 DRIVER=af_xdp
# shellcheck source=tests/net/lib_authz.sh
. "$(dirname "$0")/lib_authz.sh"
