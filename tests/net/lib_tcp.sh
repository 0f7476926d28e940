# shellcheck shell=bash disable=SC2034
# lib_tcp.sh — mode tcp with kernels on both sides: the network, nginx, peer.py and tcp_peer.py in every endpoint, the gateway
# with tcp_table (scripts/lib/net.sh).
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_test.sh"

HOSTS="10.77.9.20 fd77:9::20 10.77.9.21 fd77:9::21" # v4 → v4, v6 → v6, v4 → v6, v6 → v4
KINDS="eof:7002 first:7003 echo:7004 reset:7005 mute:7006"
PORTS="80 7000 7002 7003 7004 7005 7006 7009" # nobody listens at 7009

url() { if [[ $1 = *:* ]]; then echo "http://[$1]"; else echo "http://$1"; fi; }

# tcp_up: everything; TABLE_READY: a command that completes $NET_DIR/t.conf before it is pushed.
tcp_up() {
	local i
	export HUGE=${HUGE:-never} LISTEN=${LISTEN:-$PORTS}
	net_up
	for i in $ENDPOINTS; do
		server_up "$i"
		peer_up "$i"
		tcp_peer_up "$i"
	done
	gateway_up
	tcp_push
}

tcp_peer_up() {
	# shellcheck disable=SC2086
	run "e$1" "tcp_peer$1" python3 "$top/tests/net/tcp_peer.py" serve "e$1" $KINDS
	wait_for 10 "tcp_peer.py in e$1" grep -q ready "$NET_DIR/tcp_peer$1.log"
}

# shellcheck disable=SC2120 # most tests take all endpoints
# tcp_push [ENDPOINTS]: a table as tcp_table makes it of the environment.
tcp_push() {
	tcp_table "$NET_DIR/t.conf" "$@"
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}

# tp VERB ARGS…: a client of tcp_peer.py that must be content; its line is $NET_DIR/tp.json.  tpj EXPRESSION: over it, j.
tp() {
	ns cl timeout 60 python3 "$top/tests/net/tcp_peer.py" "$@" >"$NET_DIR/tp.out" || fail "tcp_peer.py $*"
	tail -n 1 "$NET_DIR/tp.out" >"$NET_DIR/tp.json"
}
tpj() { json "$NET_DIR/tp.json" "$1"; }

# tp_ends NAME HOST PORT [S]: `ends` in the background; what came of it is $NET_DIR/NAME.json when tp_ended NAME returns.
tp_ends() {
	local name=$1
	shift
	run cl "$name" python3 "$top/tests/net/tcp_peer.py" ends "$@"
	wait_for 10 "an answer for $name" grep -q ready "$NET_DIR/$name.log"
}
tp_ended() {
	wait "$(pid_of "$1")" || fail "$1: $(cat "$NET_DIR/$1.log")"
	tail -n 1 "$NET_DIR/$1.log" >"$NET_DIR/$1.json"
}

# peer NAME ARGS…: a client of peer.py; its line is $NET_DIR/NAME.json.  good NAME: it asked and nothing failed.
peer() {
	local name=$1
	shift
	ns cl python3 "$top/tests/net/peer.py" "$@" >"$NET_DIR/$name.json" 2>"$NET_DIR/$name.err" || true
	[ -s "$NET_DIR/$name.json" ] || fail "$name: $(cat "$NET_DIR/$name.err")"
}
say() { json "$NET_DIR/$1.json" "$2"; }
good() { [ "$(say "$1" 'j["asked"] > 0 and not j["failed"]')" = True ] || fail "$1: $(cat "$NET_DIR/$1.json")"; }

# tcp_count NAME: a counter of tcp.def.
tcp_count() {
	ns gw curl -s --unix-socket "$NET_DIR/metrics.sock" http://x/metrics |
		awk -v e="$1" 'index($0, "event=\"" e "\"") && /^sluice_tcp_events_total/ { n += $NF; seen = 1 } END { if (!seen) exit 1; print n + 0 }'
}
# counted NAME COMMAND…: the command raises the counter.
counted() {
	local name=$1 before
	shift
	before=$(tcp_count "$name")
	"$@"
	grew() { [ "$(tcp_count "$name")" -gt "$before" ]; }
	wait_for 10 "$name counts ($*)" grew
}

# shellcheck disable=SC2120
# streams [FILTER…]: how many show streams has.
streams() { ctl_json "j['matched']" show streams --count "$@"; }
no_streams() { [ "$(streams)" -eq 0 ]; }
# gone SECONDS WHAT: until no stream is left.
gone() {
	wait_for "$1" "$2: no stream left" no_streams || {
		ctl show streams
		fail "streams are left"
	}
}
