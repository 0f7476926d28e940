#!/usr/bin/env bash
# A push while a worker does not turn (held by stand_still.py, as by a CPU that something else uses): it waits for the worker, however
# late that is, and is active then; nobody pushes again.  So does what a dataplane gets that has just been started.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

export WORKERS=2 FLOWS=65536 HUGE=never
log=$NET_DIR/dataplane.log
hold_worker() {
	run gw stand python3 "$top/tests/net/stand_still.py" "$(pid_of dataplane)" rte-worker-2
	wait_for 10 "a worker that stands still" grep -q held "$NET_DIR/stand.log"
}
offer_waits() { wait_for 40 "the dataplane's word that the offer waits" grep -q 'generation 1 has waited for 5 s: a worker has not taken' "$log"; }
answers() { ns cl curl -sf --max-time 1 -o /dev/null http://10.77.9.10/; }
active() { ctl_json "j['generation']['active']" status; }

net_up
servers_up
gateway_up

# ---- the first push ----

table "$NET_DIR/t.conf"
hold_worker
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" 2>&1 &
pushing=$!
NET_PIDS+=("$pushing")
offer_waits
kill -0 "$pushing" || fail "the push was answered: $(cat "$NET_DIR/push.out")"
timeout 20 "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/sluiced.sock" show ports >"$NET_DIR/ports.out" || fail "main waits for the worker"
stop stand
wait "$pushing" || fail "push: $? $(cat "$NET_DIR/push.out")"
[ "$(active)" -eq 1 ] || fail "generation $(active) is active"
wait_for 10 "an answer" answers

# ---- the same when both are started anew ----

stop sluiced
stop dataplane
dataplane_up
hold_worker
daemon_up
offer_waits
answers && fail "served without a flow table"
stop stand
wait_for 10 "serving again" answers

# ---- a dataplane that takes the flows of the one before, and a daemon that goes while its offer waits: the next one offers it again ----

stop dataplane
kill -STOP "$(pid_of sluiced)"
dataplane_up
hold_worker
kill -CONT "$(pid_of sluiced)"
offer_waits
stop sluiced KILL
wait_for 10 "the offer to be dropped" grep -q 'generation 1 dropped' "$log"
daemon_up
stop stand
wait_for 10 "serving again" answers
[ "$(active)" -eq 1 ] || fail "generation $(active) is active"
no_bad_drops
