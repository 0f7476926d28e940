#!/usr/bin/env bash
# The kernel's share of a VFIO-bound port, by a TAP: neighbours, ping, TCP and UDP both ways, while VIPs go on.
# shellcheck source=tests/vm/lib_kernel.sh
. "$(dirname "$0")/lib_kernel.sh"
kernel_claim standard TAP
