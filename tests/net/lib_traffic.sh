# shellcheck shell=bash
# lib_traffic.sh — traffic policy over real clients and endpoints, with 1 and with 2 workers: each_workers FUNCTION runs FUNCTION with the
# gateway up, twice; $u is the gateway's URL.
set -euo pipefail
export DRIVER=${DRIVER:-af_packet}
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_http.sh"

# mood I [WHAT]: what endpoint I does to each request (http_peer.py).
mood() {
	if [ $# = 1 ]; then
		rm -f "$NET_DIR/record$1.mood"
	else
		echo "$2" >"$NET_DIR/record$1.mood.new"
		mv "$NET_DIR/record$1.mood.new" "$NET_DIR/record$1.mood"
	fi
}
# served I [PATTERN]: requests that endpoint I had.
served() { grep -c -- "${2:-\"head\"}" "$NET_DIR/record$1" || true; }
served_all() { cat "$NET_DIR"/record[1-4] | grep -c -- "${1:-\"head\"}" || true; }
# traffic_push ROUTES [ENDPOINTS]: a table of these routes.
traffic_push() {
	ROUTES=$1
	export ROUTES
	http_push "${2-$ENDPOINTS}"
}
# logged PATTERN: lines of the access log, once all requests are in it; skew is set by each_workers.
logged() { cat "$NET_DIR/access.log" | grep -c -- "$1" || true; }
log_is_level() { [ "$(wc -l <"$NET_DIR/access.log")" -ge $(($(http_row event requests) - $(http_row event log_lost))) ]; }
log_whole() { wait_for 5 "a line of the access log for each request" log_is_level; }

each_workers() {
	export PORT=8080 POLICY=${POLICY:-round_robin} HTTP_KEYS='ejection = { after = 0; };'
	export u
	u=$(url 10.77.9.30)
	net_up
	for i in $ENDPOINTS; do http_peer_up "$i"; done
	for WORKERS in 1 2; do
		export WORKERS
		gateway_up
		echo "=== $WORKERS worker(s)"
		"$1"
		quiet
		no_bad_drops
		stop sluiced
		stop dataplane
		rm -rf "$NET_DIR/state" "$NET_DIR/access.log"
		for i in $ENDPOINTS; do : >"$NET_DIR/record$i"; done
	done
}
