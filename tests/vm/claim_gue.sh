#!/usr/bin/env bash
# Mode gue over IPv4 and over IPv6, both families inside, TCP and UDP: the guest's kernel takes the outer header off.
# shellcheck source=tests/vm/lib_mode.sh
. "$(dirname "$0")/lib_mode.sh"
mode_claim gue 15 e3,e4
mode_claim gue 16 e3,e4
