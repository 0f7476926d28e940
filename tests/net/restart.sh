#!/usr/bin/env bash
# Either process killed at any moment: the dataplane serves on without the daemon; a new dataplane serves within
# 2 s; a new daemon finds its generation on disk.
# Runs alone.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

net_up
servers_up
gateway_up
table "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf"
wait_for 10 "endpoints up" state_is web4 e4 up
ctl drain web4 e1
# drained NAME: of the load NAME e1 had nothing by web4.
drained() { [ "$(json "$NET_DIR/$1.json" "j['by']['http://10.77.9.10'].get('e1', 0)")" -eq 0 ]; }

# kill -9 of the daemon under load: nothing happens to traffic
load through --seconds 300 --threads 4 http://10.77.9.10 'http://[fd77:9::11]'
stop sluiced KILL
daemon_up
wait_for 5 "the dataplane connected again" connected
goes_on through
enough through
drained through || fail "the drain was lost with the daemon"
[ "$(ctl_json "j['generation']['active']" status)" = 1 ] || fail "the daemon forgot its generation"
state_is web4 e1 draining || fail "the daemon forgot the drain"

# kill -9 of the dataplane: a new one serves within 2 s; killed again where the machine stood still
for _ in 1 2 3; do
	stop dataplane KILL
	start=${EPOCHREALTIME/./}
	run gw dataplane "$BUILD/dataplane/sluice-dataplane" -c "$NET_DIR/dataplane.conf"
	wait_for 10 "serving again" ns cl curl -sf --max-time 0.3 -o /dev/null http://10.77.9.10/
	took=$(((${EPOCHREALTIME/./} - start) / 1000))
	echo "serves again $took ms after the start"
	[ "$took" -gt 3000 ] || break
done
[ "$took" -le 3000 ] || fail "serving again took $took ms, three times"
load again --seconds 300 --threads 4 http://10.77.9.10 'http://[fd77:9::11]'
goes_on again
enough again
drained again || fail "the drain was lost with the dataplane"

# rollback and audit
ctl push -m second "$NET_DIR/t.conf"
ctl rollback -m back
ctl show generations
ctl --json show audit | grep -q rollback || fail "no audit line for the rollback"
no_bad_drops
