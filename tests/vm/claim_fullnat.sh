#!/usr/bin/env bash
# Mode fullnat, both families, TCP and UDP, through VFIO-bound NICs, to endpoints of the host and of the guest.
# shellcheck source=tests/vm/lib_mode.sh
. "$(dirname "$0")/lib_mode.sh"
mode_claim fullnat 12 e1,e2,e3
