#!/usr/bin/env bash
# Faults on purpose: delays and errors reach the share of requests they are for, no endpoint sees an aborted request, no more wait than
# may, whichever worker they are on; who asks by header gets what he asks for, and endpoints do not see it.
set -euo pipefail
# shellcheck source=tests/net/lib_traffic.sh
. "$(dirname "$0")/lib_traffic.sh"

route() { echo "{ name = \"r\"; service = \"web\"; ${2:-} policy = { fault = { $1 }; }; }"; }
# ms URL [CURL ARGS…]: how long a request took; its status is in $NET_DIR/status.
ms() { ns cl curl -gs --max-time 10 -o "$NET_DIR/body" -w '%{http_code} %{time_total}' "$@" | awk -v f="$NET_DIR/status" '{ print $1 >f; print int($2 * 1000) }'; }
status() { cat "$NET_DIR/status"; }
# within LOW HIGH ARGS…: a request takes LOW ms at least each time, and once in five times is answered 200 under HIGH: a busy machine adds
# to it.  ASKED: how many there were.  The gateway counts whole ms by a clock of its own: it may be 10 ms early, by the client's.
within() {
	local low=$1 high=$2 took
	shift 2
	for ASKED in 1 2 3 4 5; do
		took=$(ms "$@")
		[ "$took" -ge $((low - 10)) ] || fail "a delay of $low ms took $took ms"
		if [ "$took" -lt "$high" ] && [ "$(status)" = 200 ]; then return 0; fi
	done
	fail "a delay of $low ms was answered $(status) after $took ms, and not 200 under $high in five times"
}
# delayed_up: an upload arrives whole behind the delay, once in five times: an endpoint that stands still is out of time.  ASKED: how many
# there were.
delayed_up() {
	for ASKED in 1 2 3 4 5; do
		! ns cl timeout 60 python3 "$top/tests/net/http_peer.py" up 10.77.9.30 80 /echo 300000 >"$NET_DIR/hp.out" 2>&1 || return 0
	done
	fail "an upload behind a delay: $(tail -n 5 "$NET_DIR/hp.out")"
}
# burst N: N requests at once, each on a connection of its own; "STATUS MS" of each.
burst() {
	ns cl python3 - "$1" <<'PY'
import http.client, sys, threading, time
out, barrier = [], threading.Barrier(int(sys.argv[1]))
def one():
    c = http.client.HTTPConnection("10.77.9.30", timeout=20)
    c.connect()
    barrier.wait()
    at = time.monotonic()
    c.request("GET", "/who")
    r = c.getresponse()
    r.read()
    out.append(f"{r.status} {round((time.monotonic() - at) * 1000)}")
threads = [threading.Thread(target=one) for _ in range(int(sys.argv[1]))]
[t.start() for t in threads]
[t.join() for t in threads]
print("\n".join(out))
PY
}

# gives_up: a client that asks, and resets its connection when the gateway has the request.
gives_up() {
	ns cl python3 - "$NET_DIR/asked" <<'PY' &
import os, socket, struct, sys, time
s = socket.create_connection(("10.77.9.30", 80), timeout=10)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.sendall(b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
s.close()
PY
	local pid=$!
	waits() { [ "$(http_row gauge exchanges)" = 1 ]; }
	wait_for 5 "a request that waits" waits
	touch "$NET_DIR/asked"
	wait "$pid" || fail "the client that gives up"
	rm -f "$NET_DIR/asked"
}

all() {
	local took n limited before ok got

	# delays: of all, and the route's time-out, which is shorter, begins behind them
	traffic_push "$(route 'delay = { time = "800ms"; };' 'timeout = "700ms";')"
	within 800 1500 "$u/who"
	n=$((ASKED + 1))
	took=$(ms "$u/slow/8000")
	is "no answer in time behind the delay" "$(status)" 504
	[ "$took" -ge 1490 ] || fail "800 ms and a time-out of 700 ms took $took ms"
	delayed_up
	n=$((n + ASKED))
	is delayed "$(http_count fault_delay)" "$n"
	log_whole
	is "DI in the access log" "$(logged '"flags":"[A-Z,]*DI')" "$n"
	is "and what it was" "$(logged '"why":"fault/delay"')" "$n"

	# errors: a share, exactly the others reach an endpoint
	traffic_push "$(route 'abort = { percent = "20"; status = 418; };')"
	before=$(served_all) n=$(http_count fault_abort)
	got=$(ns cl curl -s --max-time 60 "$u/who?[1-500]" -o /dev/null -w '%{http_code}\n' | sort | uniq -c | xargs)
	n=$(($(http_count fault_abort) - n))
	is "500 requests" "$got" "$((500 - n)) 200 $n 418"
	[ "$n" -ge 60 ] && [ "$n" -le 150 ] || fail "$n of 500 aborted at 20 %"
	is "requests that reached an endpoint" $(($(served_all) - before)) $((500 - n))
	log_whole
	is "FI in the access log" "$(logged '"status":418,"flags":"FI"')" "$n"
	echo "aborted: $n of 500 at 20 %"

	# no more than five wait at a time, of all workers
	traffic_push "$(route 'delay = { time = "5s"; }; max_active = 5;')"
	before=$(http_count fault_delay) limited=$(http_count fault_limit)
	burst 24 >"$NET_DIR/burst"
	ok=$(grep -c '^200 ' "$NET_DIR/burst")
	is "all answered" "$ok" 24
	is "of 24, delayed" $(($(http_count fault_delay) - before)) 5
	is "of 24, not delayed" $(($(http_count fault_limit) - limited)) 19
	is "so they took" "$(awk '$2 >= 4990 { slow++ } $2 < 4990 { fast++ } END { print slow, fast }' "$NET_DIR/burst")" "5 19"
	# and a place is free again
	took=$(ms "$u/who")
	[ "$took" -ge 4990 ] || fail "a request after the burst took $took ms"

	# a client that goes gives its place back
	traffic_push "$(route 'delay = { time = "30s"; }; max_active = 1;')"
	before=$(http_count fault_delay) limited=$(http_count fault_limit)
	gives_up
	gone() { [ "$(http_row gauge exchanges)" = 0 ]; }
	wait_for 5 "the client's exchange over" gone
	gives_up
	wait_for 5 "the other one over" gone
	is "both were delayed" $(($(http_count fault_delay) - before)) 2
	is "none was let through" $(($(http_count fault_limit) - limited)) 0

	# by header
	traffic_push "$(route 'by_header = true; delay = { time = "500ms"; }; abort = { percent = "100"; };')"
	before=$(http_count fault_delay)
	is "who does not ask" "$(code "$u/who")" 200
	is "who asks for 404" "$(code -H 'x-sluice-fault-abort: 404' "$u/who")" 404
	is "of none" "$(code -H 'x-sluice-fault-abort: 404' -H 'x-sluice-fault-percent: 0' "$u/who")" 200
	within 200 500 -H 'x-sluice-fault-delay: 200' -H 'x-a: b' "$u/echo"
	n=$ASKED
	grep -q 'x-a: b' "$NET_DIR/body" && ! grep -qi x-sluice-fault "$NET_DIR/body" || fail "what the endpoint saw: $(cat "$NET_DIR/body")"
	within 500 2000 -H 'x-sluice-fault-delay: 60000' "$u/who"
	is "each was delayed" $(($(http_count fault_delay) - before)) $((n + ASKED))

	# what is said beforehand
	traffic_push "$(route 'abort = { status = 503; };')"
	is explain "$(ctl_json "[j['status'], j['route'], [f['flag'] for f in j['flags']]]" explain --http 'GET /who')" "[503, 'r', ['FI']]"
	is "and so it is" "$(code "$u/who")" 503
	ctl explain --http 'GET /who' | grep -q 'faults are injected: 100 % are answered 503' || fail "explain: $(ctl explain --http 'GET /who')"
	is "show routes" "$(ctl_json "[[r['policy'], r['traffic']['fault']] for r in j['routes']]" show routes)" "[[['fault'], '100 % are answered 503']]"
	ctl show routes >"$NET_DIR/routes"
	grep -q 'POLICY' "$NET_DIR/routes" && grep -q ' fault *$' "$NET_DIR/routes" || fail "show routes: $(cat "$NET_DIR/routes")"
	ROUTES=$(route 'abort = { status = 418; };') http_table "$NET_DIR/t.conf"
	ctl diff "$NET_DIR/t.conf" >"$NET_DIR/diff" || true # 1: they differ
	grep -q 'policy.fault abort 100 % 503 → abort 100 % 418' "$NET_DIR/diff" || fail "diff: $(cat "$NET_DIR/diff")"
	traffic_push '{ name = "r"; service = "web"; }'
	is "without" "$(code "$u/who")" 200
}
each_workers all
