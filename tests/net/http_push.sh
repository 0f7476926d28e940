#!/usr/bin/env bash
# No request fails of 100,000, on kept connections and on new ones, while 20 tables change routes, services, policies, weights
# and endpoints, and endpoints drain; nor a POST, which is never tried again, where endpoints drain before they go.  2 workers, af_packet.
set -euo pipefail
export WORKERS=2 DRIVER=${DRIVER:-af_packet} PORT=80
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "$0")/lib_http.sh"

ENOUGH=${ENOUGH:-100000} PUSHES=20
POLICIES=(least_request round_robin random maglev ring_hash)
export HTTP_KEYS='ejection = { after = 0; };' ROUTES WEIGHTS POLICY

# routes_of I: a route that names table I; routes that come and go; one whose service is new in each table.
routes_of() {
	echo "{ name = \"g$1\"; path = \"/generation\"; respond = { code = 200; body = \"$1\"; }; },"
	[ $(($1 % 2)) = 0 ] || echo "{ name = \"odd$1\"; headers = ( { name = \"x-env\"; regex = \"canary-[0-9]+$1\"; } ); service = \"canary\"; },"
	[ $(($1 % 3)) = 0 ] || echo '{ name = "split"; prefix = "/split"; split = ( { service = "web"; weight = 70; }, { service = "canary"; weight = 30; } ); },'
	echo '{ name = "post"; methods = ( "POST" ); retry = { attempts = 0; }; service = "steady"; },'
	echo "{ name = \"new$1\"; prefix = \"/new\"; service = \"new$1\"; },"
	[ $(($1 % 2)) = 1 ] || echo '{ name = "api"; template = "/api/{v}/{rest=**}"; rewrite = { template = "/{rest}"; }; service = "web6"; },'
	echo "{ name = \"rest$1\"; retry = { attempts = 2; on = ( \"connect\", \"reused\", \"reset\" ); }; service = \"web\"; }"
}

# push_of I ENDPOINTS [STEADY]: table I is active, and what it says is what is done.  STEADY: endpoints of the service of POSTs.
push_of() {
	ROUTES=$(routes_of "$1") WEIGHTS="$(($1 % 3 + 1)) 2 $(($1 % 5 + 1)) 1" POLICY=${POLICIES[$1 % 5]}
	http_table "$NET_DIR/t.conf" "$2"
	{
		tcp_service "new$1" 10.77.2. "$2"
		echo ,
		tcp_service steady 10.77.2. "${3:-$2}"
		echo ,
	} >"$NET_DIR/new.conf"
	sed -i "/^services = (/r $NET_DIR/new.conf" "$NET_DIR/t.conf"
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push $1: $(cat "$NET_DIR/push.out")"
	says() { [ "$(get "http://10.77.9.30/generation")" = "$1" ]; }
	wait_for 15 "requests by table $1" says "$1"
}

# client NAME CONNECTIONS HOST [HEADER]: it takes what it can until it is stopped.
client() {
	BODY=${BODY:-0} run cl "$1" wrk -t1 -c"$2" -d600s --timeout 10s -s "$top/tests/net/wrk_json.lua" ${4:+-H "$4"} \
		"$(url "$3")" -- / /split/a /new/b /api/v1/c '/d?e=f'
}
clients="kept kept6 new new6 post"
good_end() {
	local c what total=0
	for c in $clients; do
		stop "$c" INT
		tail -n 1 "$NET_DIR/$c.log" >"$NET_DIR/$c.json"
		what=$(say "$c" '{k: v for k, v in j.items() if k in ("status", "connect", "read", "write", "timeout") and v}')
		[ "$what" = "{}" ] || fail "$c: $what of $(say "$c" 'j["requests"]') requests"
		total=$((total + $(say "$c" 'j["requests"]')))
		echo "$c: $(say "$c" 'j["requests"]') requests, 0 failed, p50 $(say "$c" 'j["p50_us"]') us, p99 $(say "$c" 'j["p99_us"]') us"
	done
	[ "$total" -ge "$ENOUGH" ] || fail "$total requests only"
}

net_up
servers_up
gateway_up
push_of 0 "1 2 3 4"
start=$(http_row event requests)
client kept 24 10.77.9.30
client kept6 8 fd77:9::30
client new 8 10.77.9.30 'Connection: close'
client new6 8 fd77:9::30 'Connection: close'
BODY=3000 client post 8 10.77.9.30
made() { [ $(($(http_row event requests) - start)) -ge "$1" ]; }

# without E: the endpoints but E
without() { echo "${ENDPOINTS/$1/}"; }
both() { for s in web steady; do ctl "$1" $s "e$2" >/dev/null; done; }
drained=
for i in $(seq $PUSHES); do
	wait_for 60 "$((i * ENOUGH / (PUSHES + 1))) requests" made $((i * ENOUGH / (PUSHES + 1)))
	e=$((i % 4 + 1))
	case $((i % 4)) in
	1 | 3)
		push_of "$i" "$ENDPOINTS"
		[ -z "$drained" ] || both undrain "$drained"
		drained=$e
		both drain "$e"
		ctl weight web "e$((e % 4 + 1))" $((i * 5)) >/dev/null
		;;
	2) # an endpoint goes that was not drained
		push_of "$i" "$(without "$e")" "$ENDPOINTS"
		both undrain "$drained"
		drained=
		;;
	0) push_of "$i" "$(without "$drained")" ;; # and one that was
	esac
done
wait_for 60 "$ENOUGH requests" made $((ENOUGH * 21 / 20))
for name in dataplane sluiced; do kill -0 "$(pid_of $name)" || fail "$name died"; done
good_end
quiet
no_bad_drops
