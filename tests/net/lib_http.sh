# shellcheck shell=bash disable=SC2034
# lib_http.sh — mode http with kernels on both sides: the network, nginx and http_peer.py (port 8080) in every endpoint, the gateway
# with http_table (scripts/lib/net.sh).
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_test.sh"

HOSTS_OF="10.77.9.30 fd77:9::30"
url() { if [[ $1 = *:* ]]; then echo "http://[$1]"; else echo "http://$1"; fi; }

# http_up: everything; the table as the environment says.
http_up() {
	local i
	export HUGE=${HUGE:-never} PORT=${PORT:-8080}
	net_up
	for i in $ENDPOINTS; do
		server_up "$i"
		http_peer_up "$i"
	done
	gateway_up
	http_push
}

http_peer_up() {
	run "e$1" "http_peer$1" python3 "$top/tests/net/http_peer.py" serve "e$1" 8080 "$NET_DIR/record$1"
	wait_for 10 "http_peer.py in e$1" grep -q ready "$NET_DIR/http_peer$1.log"
}

# shellcheck disable=SC2120 # most tests take all endpoints
# http_push [ENDPOINTS]: a table as http_table makes it of the environment.
http_push() {
	http_table "$NET_DIR/t.conf" "$@"
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}

# hp VERB ARGS…: a client of http_peer.py that must be content; its last line is $NET_DIR/hp.json.  hpj EXPRESSION: over it, j.
hp() {
	ns cl timeout 120 python3 "$top/tests/net/http_peer.py" "$@" >"$NET_DIR/hp.out" 2>&1 || fail "http_peer.py $*: $(tail -n 5 "$NET_DIR/hp.out")"
	tail -n 1 "$NET_DIR/hp.out" >"$NET_DIR/hp.json"
}
hpj() { json "$NET_DIR/hp.json" "$1"; }

# http_count NAME: a counter of http.def.  counted NAME COMMAND…: the command raises it.
http_count() { http_row event "$1"; }
# http_row KIND NAME: of show http: what a counter of http.def (event) or a gauge says.
http_row() { ctl_json "[r['count'] for r in j['http'] if (r['kind'], r['name']) == ('$1', '$2')][0]" show http; }
counted() {
	local name=$1 before
	shift
	before=$(http_count "$name")
	"$@"
	rose() { [ "$(http_count "$name")" -gt "$before" ]; }
	wait_for 5 "$name counted by: $*" rose
}

# get URL [CURL ARGS…]: the body; code URL [ARGS…]: the status.
get() { ns cl curl -gs --max-time 10 "$@"; }
code() { ns cl curl -gs --max-time 10 -o "$NET_DIR/body" -w '%{http_code}' "$@"; }
# is WHAT GOT WANT.  gives WHAT STATUS URL [CURL ARGS…].
is() { [ "$2" = "$3" ] || fail "$1: '$2' in place of '$3'"; }
gives() {
	local what=$1 want=$2
	shift 2
	is "$what" "$(code "$@")" "$want"
}
# quiet: no exchange is under way, and nothing is held for one.
quiet() {
	settled() { [ "$(http_row gauge exchanges) $(http_row gauge head_bytes)" = "0 0" ]; }
	wait_for "${1:-10}" "no request under way" settled
}
# all_logged: the access log has the line of each request; a head that was none has one, too, without a table.
all_logged() {
	has_all() { [ "$(cat "$NET_DIR"/access.log* | grep -c '"table":"edge".*}$')" -ge $(($(http_row event requests) - $(http_row event log_lost))) ]; }
	wait_for 15 "a line of the access log for each request" has_all
}
# Of a client that was `loaded`: say NAME EXPRESSION over its line, j; answers_of NAME ENDPOINT.
say() { json "$NET_DIR/$1.json" "$2"; }
answers_of() { say "$1" "sum(w.get('$2', 0) for w in j['by'].values())"; }
