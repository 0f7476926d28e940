#!/usr/bin/env bash
# TLS with openssl, GnuTLS, curl and h2load, and with nginx behind, all that a connection can meet: 2 worker(s), af_xdp.
set -euo pipefail
export WORKERS=2 DRIVER=af_xdp
# shellcheck source=tests/net/lib_tls_basic.sh
. "$(dirname "$0")/lib_tls_basic.sh"
