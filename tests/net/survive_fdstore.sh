#!/usr/bin/env bash
# Under a manager that keeps descriptors (played by fdstore.py; this is not systemd) flows outlive the dataplane and the
# daemon killed at the same moment.  Without either they start empty.
export WORKERS=2 FLOWS=65536 HELD=${HELD:-2000}
# shellcheck source=tests/net/lib_survive.sh
. "$(dirname "$0")/lib_survive.sh"

said=$NET_DIR/manager.said
dataplane_up() {
	run gw dataplane python3 "$top/tests/net/fdstore.py" "$said" "$BUILD/dataplane/sluice-dataplane" -c "$NET_DIR/dataplane.conf"
	wait_for 60 "sluice-dataplane" grep -q 'ready:' "$NET_DIR/dataplane.log"
}
started() { [ "$(grep -c '^started' "$said")" -ge "$1" ]; }
kept_all() { [ "$(ctl_json "j['flows']['kept'] >= $HELD" status)" = True ]; }
main_pid() { awk '/^started/ { pid = $2 } END { print pid }' "$said"; }

survive_up
hold_up
held "before"
grep -q '^said READY=1 0' "$said" || fail "the manager did not hear READY"
grep -q '^said FDSTORE=1 FDNAME=sluice-flows 1' "$said" || fail "the manager was given nothing"

for round in 2 3; do
	[ "$round" = 2 ] || workers 1
	kill -KILL "$(main_pid)" "$(pid_of sluiced)"
	wait "$(pid_of sluiced)" || true # its lock goes with it
	wait_for 5 "the manager's next start" started "$round"
	daemon_up
	wait_for 10 "serving again" answers
	wait_for 5 "what became of the flows" kept_all
	held "dataplane and daemon killed, round $round"
done
flows_say "f['outcome']" copied
# one descriptor at a time: each is removed before the next is stored
awk '/^started/ && NF > 3 { exit 1 }' "$said" || fail "the store grows: $(cat "$said")"
no_bad_drops
