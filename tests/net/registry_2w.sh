#!/usr/bin/env bash
# Services that register themselves move traffic: 2 worker(s).
set -euo pipefail
export WORKERS=2
# shellcheck source=tests/net/lib_registry.sh
. "$(dirname "$0")/lib_registry.sh"
