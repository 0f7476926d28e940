#!/usr/bin/env bash
# Mode ipip over IPv4 and over IPv6, both families inside, TCP and UDP: the guest's kernel takes the outer header off.
# shellcheck source=tests/vm/lib_mode.sh
. "$(dirname "$0")/lib_mode.sh"
mode_claim ipip 13 e3,e4
mode_claim ipip 14 e3,e4
