#!/usr/bin/env bash
# The exception path when somebody removes its interface: it is told, the thread sleeps on, and neither the other port's interface
# nor VIPs notice.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

export HUGE=never FRONT_KEYS='kernel = "kfront";' BACK_KEYS='kernel = "kback";'
export PROBE_INTERVAL=3s # an endpoint that stands still for a second is not to be down, which ends its connections
net_up
servers_up
gateway_up
table "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf"
ns gw ip addr add 10.77.1.2/24 dev kfront
ns gw ip addr add 10.77.2.2/24 dev kback
ping_by() { ns gw ping -q -c "$2" -i 0.05 -W 5 "$1" >"$NET_DIR/ping.out" 2>&1; }
wait_for 10 "the kernel's ping by kfront" ping_by 10.77.1.100 1
wait_for 10 "the kernel's ping by kback" ping_by 10.77.2.11 1

# Processor time of the thread, in ticks of 10 ms.
ticks() {
	local t
	for t in "/proc/$(pid_of dataplane)/task/"*; do
		[ "$(cat "$t/comm")" != kernel ] || awk '{ print $14 + $15 }' "$t/stat"
	done
}
load all --seconds 300 --threads 2 --pause 0.01 http://10.77.9.10
ns gw ip link del kfront
wait_for 5 "the removal told" grep -q 'port front: kfront (TAP) was removed' "$NET_DIR/dataplane.log"
before=$(ticks)
ping_by 10.77.2.11 40 || fail "kback after kfront was removed: $(cat "$NET_DIR/ping.out")"
spent=$(($(ticks) - before))
echo "the thread spent $spent ticks in 2 s"
[ "$spent" -lt 20 ] || fail "the thread spins: $spent ticks in 2 s"
goes_on all
enough all
no_bad_drops
