#!/usr/bin/env bash
# The manager (played by fdstore.py; this is not systemd) hears that the dataplane lives while all workers turn: one that stands
# still for a moment costs nothing, one that does not turn any more ends the process, and the next one takes the flows. The
# daemon is heard while its loop turns; while it is started anew the dataplane goes on.
export WORKERS=2 FLOWS=65536 HELD=${HELD:-500} FORWARD=nat
# shellcheck source=tests/net/lib_survive.sh
. "$(dirname "$0")/lib_survive.sh"

said=$NET_DIR/manager.said daemon_said=$NET_DIR/daemon.said
# s; the manager's patience is what a look of the dataplane, ours and the answer to it have to fit into: a look is a quarter of it
period=8
# A manager writes the log of all its services in turn.
dataplane_up() {
	run gw dataplane env WATCHDOG=$period python3 "$top/tests/net/fdstore.py" "$said" "$BUILD/dataplane/sluice-dataplane" -c "$NET_DIR/dataplane.conf"
	wait_for 60 "sluice-dataplane" grep -q 'ready:' "$NET_DIR/dataplane.log"
}
daemon_up() {
	run gw sluiced env WATCHDOG=$period python3 "$top/tests/net/fdstore.py" "$daemon_said" "$BUILD/mgmt/sluiced" -c "$NET_DIR/sluiced.conf"
	wait_for 30 "sluiced" grep -q 'ready:' "$NET_DIR/sluiced.log"
}
main_pid() { awk '/^started/ { pid = $2 } END { print pid }' "$1"; }
times() { grep -c "$1" "$2" || true; }
# at_least N PATTERN FILE
at_least() { [ "$(times "$2" "$3")" -ge "$1" ]; }
hold_worker() {
	run gw stand python3 "$top/tests/net/stand_still.py" "$(main_pid "$said")" rte-worker-2
	wait_for 5 "a worker that stands still" grep -q held "$NET_DIR/stand.log"
}

survive_up
hold_up
held "before"
first=$(main_pid "$said")
mapfile -t urls < <(vips 80 | sed "s|^|http://|")
load busy --seconds 300 --threads 4 --keepalive --timeout 15 "${urls[@]}"

# ---- while all is well both are heard, more often than asked for, and left alone ----

wait_for 40 "being heard of" at_least 6 '^said WATCHDOG=1' "$said"
wait_for 40 "being heard of" at_least 6 '^said WATCHDOG=1' "$daemon_said"
enough busy
is_quiet() { [ "$(times '^silent' "$said") $(times '^silent' "$daemon_said")" = "0 0" ]; }
is_quiet || fail "somebody was ended: $(grep silent "$said" "$daemon_said")"

# ---- a worker stands still for a moment ----

hold_worker
wait_for $period "the log to say it" grep -q 'watchdog: worker 1 stands still' "$NET_DIR/dataplane.log"
stop stand
wait_for $period "the log to say that it turns" grep -q 'watchdog: all workers turn again' "$NET_DIR/dataplane.log"
is_quiet || fail "ended for a moment's standing still"
[ "$(main_pid "$said")" = "$first" ] || fail "it is another process"
held "a moment's standing still"

# ---- and for good ----

hold_worker
wait_for $((2 * period + 2)) "the manager's patience to end" grep -q "^silent $first" "$said"
wait_for 10 "the next start" at_least 2 '^started' "$said"
grep -q '^ended -6' "$said" || fail "it did not end by SIGABRT: $(grep ended "$said")"
wait_for 10 "serving again" answers
held "a worker that stood still"
flows_say "f['outcome']" taken
stop stand

# ---- the daemon ----

kill -STOP "$(main_pid "$daemon_said")"
wait_for 5 "an answer without the daemon" answers
[ "$(times '^ended' "$daemon_said")" = 0 ] || fail "the answer came late: the daemon was ended before"
wait_for $((2 * period + 2)) "the manager's patience to end" grep -q '^silent' "$daemon_said"
wait_for 10 "the next start" at_least 2 '^started' "$daemon_said"
wait_for 10 "the daemon's answer" ctl status
wait_for 5 "an answer beside the daemon" answers
held "a daemon that stood still"
no_bad_drops
