#!/usr/bin/env bash
# Fragments both ways, in every order, with duplicates and overlaps: 3 worker(s), af_xdp.
set -euo pipefail
export WORKERS=3 DRIVER=af_xdp
# shellcheck source=tests/net/lib_fragments.sh
. "$(dirname "$0")/lib_fragments.sh"
