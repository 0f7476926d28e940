# shellcheck shell=bash
# lib_shape.sh — bandwidth of services with kernel clients and servers: what passes in seconds, both ways, in modes tcp and http, bodies
# and tunnels; who has none is not slowed.  WORKERS is set.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_test.sh"

VIP=10.77.9.50
DOWN=4194304 # bytes a second of to_clients, and of to_endpoints:
UP=2097152

# service NAME [BANDWIDTH [TCP]]: its one endpoint is shape_peer.py.
shape_service() {
	echo "{ name = \"$1\"; tcp = { max_connections = 0; ${3:-} }; http = { max_pending = 0; max_requests = 0; ejection = { after = 0; }; };"
	[ -z "${2:-}" ] || echo "  bandwidth = { $2 };"
	echo "  endpoints = ( { name = \"e1\"; address = \"10.77.2.11\"; port = 8090; } ); }"
}

# shape_table FILE [BANDWIDTH]: ports 81 to 83 mode tcp, 91 to 93 mode http: to `shaped` (tcp and http have each its own), `crawl`, `free`.
shape_table() {
	local s idle comma=""
	local limits=${2-"to_clients = \"4m\"; to_endpoints = \"2m\"; burst = \"512k\";"}
	{
		cat <<-END
			gateway = { name = "${NET}gateway"; };
			network = { addresses = (
			    { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
			    { port = "back"; address = "10.77.2.1/24"; }, { port = "back"; address = "fd77:2::1/64"; } ); };
			services = (
		END
		shape_service shaped "$limits"
		echo ,
		shape_service crawl 'to_clients = "64k"; to_endpoints = "64k"; burst = "8k";' 'idle_timeout = "1s";'
		echo ,
		shape_service free
		echo "); route_tables = ("
		for s in shaped crawl free; do
			# a second where connections wait for longer alone: a worker that was kept from its processor for a second, as was seen
			# with 30 processes at two of them, finds ends silent that were not
			idle=""
			[ $s != crawl ] || idle='stream_idle_timeout = "1s";'
			echo "$comma{ name = \"$s\"; $idle hosts = ( { name = \"all\"; match = ( \"*\" ); routes = ( { name = \"all\"; service = \"$s\"; timeout = \"0s\"; } ); } ); }"
			comma=,
		done
		echo "); listeners = ("
		comma=""
		for s in 1:shaped 2:crawl 3:free; do
			echo "$comma{ name = \"tcp-${s#*:}\"; address = \"$VIP\"; port = 8${s%:*}; protocol = \"tcp\"; mode = \"tcp\"; service = \"${s#*:}\"; },"
			echo "{ name = \"http-${s#*:}\"; address = \"$VIP\"; port = 9${s%:*}; protocol = \"tcp\"; mode = \"http\"; routes = \"${s#*:}\"; }"
			comma=,
		done
		echo ");"
	} >"$1"
}
shape_push() {
	shape_table "$NET_DIR/t.conf" "$@"
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"
}

# sp NAME VERB ARGS…: a client; what it says in $NET_DIR/NAME.json.  holds NAME WHAT EXPRESSION over it, j.
sp() {
	local name=$1
	shift
	ns cl timeout 100 python3 "$top/tests/net/shape_peer.py" "$@" >"$NET_DIR/$name.json" || fail "shape_peer.py $*: $(cat "$NET_DIR/$name.json")"
}
holds() {
	echo "$2: $(cat "$NET_DIR/$1.json")"
	[ "$(json "$NET_DIR/$1.json" "$3")" = True ] || fail "$2: $(cat "$NET_DIR/$1.json"), and not $3"
}
# A burst and what was on its way when the time ended are beside the rate.
# The connections of a worker have turns, workers have parts by how many wait there: all have alike, but for who had the burst, and
# for who does not wait as his worker, or an end, stands still.
alike="j['max'] < (1 + $WORKERS) * j['min']"
# near NAME WHAT RATE [BURST]: more is always wrong; false: less.  More than there may be is what has come from the first byte on: bytes
# that waited while their receiver stood still come between two looks, too.
near() {
	holds "$1" "$2 of $3 bytes a second" "j.get('most', j['rate']) < $3 * 1.03 + ${4:-0}"
	[ "$(json "$NET_DIR/$1.json" "$3 * 0.95 < j['rate']")" = True ] || {
		SLOW="$2: less than $3 bytes a second: $(cat "$NET_DIR/$1.json")"
		return 1
	}
}
# shared NAME WHAT: all had their share; false: not alike.
shared() {
	[ "$(json "$NET_DIR/$1.json" "$alike")" = True ] || {
		SLOW="$2: not alike: $(cat "$NET_DIR/$1.json")"
		return 1
	}
}
# reaches FUNCTION ARGS…: a limit is no promise of a machine's time, and a machine that stands still moves less, or not alike: that six times is wrong.
reaches() {
	local _
	for _ in 1 2 3 4 5 6; do
		if "$@"; then return; fi
		echo "again, $SLOW"
	done
	fail "$SLOW"
}

export HUGE=never
net_up
run e1 shape_peer python3 "$top/tests/net/shape_peer.py" serve 8090
wait_for 10 "shape_peer.py in e1" grep -q ready "$NET_DIR/shape_peer.log"
gateway_up
shape_push
is() { [ "$2" = "$3" ] || fail "$1: '$2', not '$3'"; }
is "show services" "$(ctl_json "[s['bandwidth'] for s in j['services'] if s['name'] == 'shaped'][0]" show services)" \
	"{'to_endpoints': 2097152, 'burst_to_endpoints': 524288, 'to_clients': 4194304, 'burst_to_clients': 524288}"

# ---- nothing is lost or changed by waiting ----

for port in 81 91; do
	sp whole whole $VIP $port /bytes/3000000 3000000
	holds whole "a body that waits, port $port" "j['right'] and j['seconds'] > 0.5"
	sp whole whole $VIP $port /put$port 3000000
	holds whole "a request's body that waits, port $port" "j['right'] and j['seconds'] > 0.5"
done
sp whole whole $VIP 91 /chunked/3000000 3000000
holds whole "chunks that wait" "j['right'] and j['seconds'] > 0.5"

# ---- the numbers, one connection and many; who has no limit goes on ----

downs() {
	sp down down $VIP "$1" 3 "$2"
	holds down "no download ends, port $1" "not j['ended']"
	shared down "$2 downloads, port $1" || return 1
	near down "$2 downloads, port $1" $DOWN $((524288 / 3))
}
ups() {
	sp up up $VIP "$1" 2 "$2" 93
	holds up "uploads are right, port $1" "not j['wrong'] and not j['failed']"
	shared up "$2 uploads, port $1" || return 1
	near up "$2 uploads, port $1" $UP $((524288 / 2))
}
for port in 81 91; do
	for cnt in 1 7; do
		reaches downs $port $cnt
		reaches ups $port $cnt
	done
done
tunnels() {
	sp down down $VIP 91 4 3 upgrade
	near down "tunnels" $DOWN $((524288 / 4))
}
reaches tunnels
# Both modes and both ways at a time: the service has one bandwidth, each way.
together() {
	local clients pid
	sp up up $VIP 81 4 2 93 &
	clients=$!
	sp tcp down $VIP 81 4 2 &
	clients="$clients $!"
	sp http down $VIP 91 4 2 &
	clients="$clients $!"
	sp free down $VIP 83 4 1
	for pid in $clients; do wait "$pid" || fail "a client beside others"; done
	python3 - "$NET_DIR" >"$NET_DIR/both.json" <<-'END'
		import json, sys
		a, b = (json.load(open(f"{sys.argv[1]}/{n}.json")) for n in ("tcp", "http"))
		begin, end = min(a["begin"], b["begin"]), max(a["begin"] + a["seconds"], b["begin"] + b["seconds"])
		print(json.dumps({"rate": (a["bytes"] + b["bytes"]) / (end - begin)}))
	END
	near both "modes tcp and http together" $DOWN $((524288 / 4)) && near up "uploads beside downloads" $UP $((524288 / 4)) &&
		fast free "a service without a limit, beside one with"
}
# fast NAME WHAT: far more than there is of the bandwidth; false: not.
fast() {
	[ "$(json "$NET_DIR/$1.json" "j['rate'] > 5 * $DOWN")" = True ] || {
		SLOW="$2: hardly more than $DOWN bytes a second: $(cat "$NET_DIR/$1.json")"
		return 1
	}
}
reaches together

# ---- who waits long is not taken for idle, nor forgotten ----

# Connections of before that their clients closed in order have a bite each until they are reset.
no_streams() { [ "$(ctl_json "j['matched']" show streams --count --side client)" -eq 0 ]; }
# crawls PORT MODE MORE [EXPRESSION]: MORE bytes beside the rate and the burst, in 6 s.
crawls() {
	wait_for 20 "no stream of before" no_streams || fail "$WAITED"
	sp crawl down $VIP "$1" 6 120
	holds crawl "120 downloads of 64 KiB a second, mode $2" "j['rate'] < 1.03 * 65536 + (8192 + $3) / 6"
	# an end that stands still for a second before its first byte is idle: who does each time is ended for waiting
	[ "$(json "$NET_DIR/crawl.json" "not j['ended'] and 0.9 * 65536 < j['rate'] and ${4:-True}")" = True ] || {
		SLOW="120 downloads, mode $2: less than 64 KiB a second, or some ended: $(cat "$NET_DIR/crawl.json")"
		return 1
	}
}
reaches crawls 82 tcp 0 "j['min'] > 0"
reaches crawls 92 http $((120 * 100))

# ---- a push: connections that there are go by the new number ----

both_there() { [ "$(ctl_json "j['matched']" show streams --count --side endpoint)" -ge 2 ]; }
# lowered: of 6 s nearly all by the new number, unless the push came late.
lowered() {
	shape_push
	wait_for 20 "no stream of before" no_streams || fail "$WAITED"
	run cl push_down python3 "$top/tests/net/shape_peer.py" down $VIP 81 6 2
	wait_for 10 "two streams to the endpoint" both_there || fail "$WAITED"
	shape_push 'to_clients = "1m"; burst = "256k";'
	wait "$(pid_of push_down)" || fail "a push ended a connection: $(cat "$NET_DIR/push_down.log")"
	tail -n 1 "$NET_DIR/push_down.log" >"$NET_DIR/push.json"
	holds push "a lower bandwidth pushed while it goes on" "not j['ended']"
	[ "$(json "$NET_DIR/push.json" "j['rate'] < 0.7 * $DOWN")" = True ] || {
		SLOW="a lower bandwidth pushed while it goes on: $(cat "$NET_DIR/push.json")"
		return 1
	}
}
reaches lowered
after_push() {
	sp down down $VIP 91 3 2
	near down "after the push" 1048576 $((262144 / 3))
}
reaches after_push
shape_push ""
unshaped() {
	sp down down $VIP 91 2 2
	fast down "no bandwidth any more"
}
reaches unshaped
