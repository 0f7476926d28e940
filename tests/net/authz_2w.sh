#!/usr/bin/env bash
# Rules end to end with clients' SPIFFE certificates: 2 worker(s), af_packet.
set -euo pipefail
export WORKERS=2 DRIVER=af_packet
# shellcheck source=tests/net/lib_authz.sh
. "$(dirname "$0")/lib_authz.sh"
