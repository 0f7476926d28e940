#!/usr/bin/env bash
# Fragments both ways, in every order, with duplicates and overlaps: 2 worker(s), af_xdp.
set -euo pipefail
export WORKERS=2 DRIVER=af_xdp
# shellcheck source=tests/net/lib_fragments.sh
. "$(dirname "$0")/lib_fragments.sh"
