#!/usr/bin/env bash
# Hedging: one endpoint of four answers after 300 ms.  With tries beside the slow ones the 99th percentile falls to what the others take
# and the hedge's wait; no endpoint is asked twice for what may be done once only; statistics and the access log tell how many there were.
# Runs alone.
set -euo pipefail
# shellcheck source=tests/net/lib_traffic.sh
. "$(dirname "$0")/lib_traffic.sh"

HEDGED='{ name = "r"; service = "web"; policy = { hedge = { after = "50ms"; }; }; }'

# times METHOD N [AT_A_TIME]: milliseconds of N requests, one after the other unless told, sorted; each has to be answered 200.
times() {
	ns cl python3 - "$1" "$2" "${3:-1}" <<'PY'
import http.client, sys, time
from multiprocessing.pool import ThreadPool
method, n = sys.argv[1], int(sys.argv[2])
def one(i):
    c = http.client.HTTPConnection("10.77.9.30", timeout=10)
    at = time.monotonic()
    c.request(method, f"/who?{method}-{i}")
    r = c.getresponse()
    r.read()
    took = round((time.monotonic() - at) * 1000)
    c.close()
    assert r.status == 200, (i, r.status)
    return took
print(*sorted(ThreadPool(int(sys.argv[3])).map(one, range(n), 1)))
PY
}
p99() { awk '{ print $(int(NF * 0.99)) }' <<<"$1"; }
slow_of() { awk '{ n = 0; for (i = 1; i <= NF; i++) n += $i >= 290; print n }' <<<"$1"; }

all() {
	local before after won plain with asked n

	traffic_push '{ name = "r"; service = "web"; }'
	mood 3 "delay 300"
	plain=$(times GET 40 4)
	[ "$(p99 "$plain")" -ge 300 ] || fail "without hedging: $plain"
	before=$(served_all)
	traffic_push "$HEDGED"
	asked=0
	for _ in 1 2 3; do # a machine that stands still now and then delays two of 100, too; without hedging it is 25
		with=$(times GET 100) asked=$((asked + 100))
		[ "$(p99 "$with")" -ge 250 ] || break
	done
	echo "p99 without: $(p99 "$plain") ms, with: $(p99 "$with") ms; slow: $(slow_of "$plain") of 40 and $(slow_of "$with") of 100"
	[ "$(p99 "$with")" -lt 250 ] || fail "with hedging: $with"
	quiet
	n=$(http_count hedge) won=$(http_count hedge_won)
	[ "$n" -gt 10 ] && [ "$won" -gt 10 ] && [ "$won" -le "$n" ] || fail "$n hedges, $won of them won"
	is "none refused" "$(http_count hedge_limit)" 0
	is "none counted as retried" "$(http_count retry)" 0
	hedged_arrived() { [ $(($(served_all) - before)) -eq $((asked + n)) ]; }
	wait_for 5 "each try at one endpoint ($(served_all) - $before, $n hedges)" hedged_arrived
	log_whole
	is "tries in the access log" "$(grep -c '"tries":2' "$NET_DIR/access.log")" "$n"

	# nothing of what may be done once only
	before=$(served_all 'POST /who')
	times POST 40 4 >"$NET_DIR/posts"
	quiet
	is "POSTs" $(($(served_all 'POST /who') - before)) 40
	is "hedges of POSTs" "$(http_count hedge)" "$n"

	# a 5xx loses against what is under way
	for i in 1 2 4; do mood $i "delay 120"; done
	mood 3 "status 500"
	before=$(served 3)
	n=$(ns cl curl -s --max-time 10 -H 'Connection: close' -o /dev/null -w '%{http_code}\n' "$u/who?[1-40]" | grep -c 500 || true)
	log_whole
	! grep -q '"status":500.*"tries":2' "$NET_DIR/access.log" || fail "a 5xx won: $(grep '"status":500.*"tries":2' "$NET_DIR/access.log")"
	[ $(($(served 3) - before)) -gt "$n" ] || fail "$n answers 500, of $(($(served 3) - before)): none lost"
	echo "5xx: $(($(served 3) - before)) answers, of which $n were first tries and passed on"
	for i in 1 2 4; do mood $i; done
	mood 3

	# one endpoint: nobody else to ask
	traffic_push "$HEDGED" "3"
	mood 3 "delay 2000" # a worker that stood still until the answer came has nothing to hedge
	counted hedge_limit gives "one endpoint" 200 "$u/who?alone"
	is "it was asked once" "$(served 3 'GET /who?alone')" 1
	mood 3
	traffic_push "$HEDGED"
	after=$(ctl_json "[e['ejected'] for e in j['endpoints']]" show endpoints web)
	[[ $after != *True* ]] || fail "an endpoint was ejected for tries that were cut: $after"
}
each_workers all
