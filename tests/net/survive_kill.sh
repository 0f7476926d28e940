#!/usr/bin/env bash
# The dataplane killed under load, iperf3 in every way of forwarding among it, with 10,000 idle connections over it: the next one goes on with every flow, in place
# or, with another number of workers, copied.  A clean stop leaves them as well.
export WORKERS=2 FLOWS=65536 IPERF=1
# shellcheck source=tests/net/lib_survive.sh
. "$(dirname "$0")/lib_survive.sh"

survive_up
hold_up
held "before"
mapfile -t urls < <(vips 80 | sed "s|^|http://|")
iperf_up 20
load busy --seconds 300 --threads 14 --keepalive --timeout 15 "${urls[@]}"

for _ in 1 2 3; do # once more where the machine stood still
	again KILL
	flows_say "f['outcome']" taken
	flows_say "f['kept'] >= $HELD and f['lost'] == 0" True
	[ "$SERVED" -gt 3000 ] || break
done
[ "$SERVED" -le 3000 ] || fail "serving again took $SERVED ms, three times"
held "2 workers killed, 2 again"

workers 3
again KILL
flows_say "f['outcome']" copied
flows_say "f['kept'] >= $HELD and f['lost'] == 0" True
held "2 workers killed, 3 after"

workers 1
again KILL
flows_say "f['outcome']" copied
held "3 workers killed, 1 after"

again TERM
flows_say "f['outcome']" taken
held "1 worker stopped and started"

iperf_good
enough busy
ctl --json show audit | grep -q '"copied"' || fail "the audit log does not say what became of the flows"
no_bad_drops
