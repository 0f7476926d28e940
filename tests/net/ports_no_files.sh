#!/usr/bin/env bash
# A dataplane that has no descriptor left cannot ask for its interfaces: that is no reason to take them for removed.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

export HUGE=never PROBE_INTERVAL=3s # an endpoint that stands still for a second is not to be down, which ends its connections
net_up
servers_up
gateway_up
table "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf"
load all --seconds 300 --threads 2 --pause 0.01 http://10.77.9.10
limit=$(prlimit --pid "$(pid_of dataplane)" --nofile --output SOFT --noheadings)
prlimit --pid "$(pid_of dataplane)" --nofile=3: # those it has it keeps
read -r -t 3 <> <(:) || true # it looks once a second
prlimit --pid "$(pid_of dataplane)" --nofile="${limit// /}":
if grep -qE 'removed|closed' "$NET_DIR/dataplane.log"; then fail "ports were given up"; fi
goes_on all
enough all
ns gw ip link del front0
wait_for 5 "a removal that is one" grep -q 'port front .*interface removed' "$NET_DIR/dataplane.log"
