#!/usr/bin/env bash
# 400 probed endpoints, 80 of them black holes (they answer nothing at all), probed every second: every black hole is
# down within two intervals and a timeout, nobody else is; so are 40 that turn into black holes later; when they come
# back, slow start raises their share step by step.
#
# All endpoints are one machine, e1: 10.78.0.0/24 and 10.78.2.0/24 are local to it, of 10.78.1.0/24 it knows nothing.
# Runs alone.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

LIMIT_MS=$((2 * 1000 + 300))
SLACK_MS=700 # this machine may be busy with other things

export HUGE=never # others may be taking them all
net_up
server_up 1
gateway_up
ns gw ip route add 10.78.0.0/16 via 10.77.3.11
ns e1 ip route add local 10.78.0.0/24 dev lo
ns e1 ip route add local 10.78.2.0/24 dev lo
ns e1 ip route add blackhole 10.78.1.0/24

endpoint() { echo "{ name = \"$1-$2\"; address = \"10.78.$3.$2\"; port = 80; }"; }
list() {
	local kind net first last i sep=""
	while read -r kind net first last; do
		for ((i = first; i <= last; i++)); do
			echo "$sep$(endpoint "$kind" "$i" "$net")"
			sep=,
		done
	done <<-END
		good 0 1 240
		turn 2 1 40
		also 2 41 80
		hole 1 1 80
	END
}
big_table() {
	cat <<-END
		gateway = { name = "${NET}gateway"; };
		network = {
		  addresses = ( { port = "front"; address = "10.77.1.1/24"; }, { port = "back"; address = "10.77.2.1/24"; } );
		  routes = ( { prefix = "10.78.0.0/16"; via = "10.77.2.11"; } );
		};
		services = ( { name = "big"; forward = "nat"; max_endpoints = 400; slow_start = "10s";
		  health = { type = "http"; path = "/health"; interval = "1s"; timeout = "300ms"; rise = 2; fall = 2; port = 80; };
		  endpoints = (
		$(list)
		  ); } );
		listeners = ( { name = "big"; address = "10.77.9.10"; port = 80; protocol = "tcp"; mode = "l4"; service = "big"; } );
	END
}
big_table >"$NET_DIR/big.conf"

endpoints() { ctl --json show endpoints big >"$NET_DIR/endpoints.json"; }
# count STATE PREFIX…
count() {
	local state=$1
	shift
	endpoints
	json "$NET_DIR/endpoints.json" "sum(e['state'] == '$state' and e['name'].startswith(tuple('$*'.split())) for e in j['endpoints'])"
}
counted() { [ "$(count "$2" "${@:3}")" -eq "$1" ]; }
# latest PREFIX SINCE_MS: how long after SINCE the last of them changed its health, in ms.
latest() {
	json "$NET_DIR/endpoints.json" "int(max(__import__('datetime').datetime.fromisoformat(e['health_since'].replace('Z', '+00:00')).timestamp() for e in j['endpoints'] if e['name'].startswith('$1')) * 1000 - $2)"
}
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# throws WHAT COMMAND…: the command goes well once of three times.  A machine that stands still for a second makes any of this late, or
# good endpoints silent: then all 400 have to be what they were before.
throws() {
	local what=$1 try
	shift
	for try in 1 2 3; do
		! "$@" || return 0
		echo "try $try: $wrong"
	done
	fail "$what, three times: $wrong"
}
# late WHAT PREFIX: the last of them was down too late, after start.
late() {
	took=$(latest "$2" "$start")
	echo "the last of $1 was down after $took ms"
	[ "$took" -gt $((LIMIT_MS + SLACK_MS)) ] || return 1
	wrong="$1: one was down only after $took ms, allowed are $LIMIT_MS"
}

sed 's/.*"hole-[0-9]*".*//' "$NET_DIR/big.conf" >"$NET_DIR/no_holes.conf"
holes_found() {
	if [ "$try" -gt 1 ]; then
		ctl push "$NET_DIR/no_holes.conf" >/dev/null || fail "push without black holes"
		wait_for 30 "the other 320 up" counted 320 up good turn also || fail "$WAITED"
	fi
	start=$(now_ms)
	ctl push "$NET_DIR/big.conf" >/dev/null || fail "push"
	wait_for 30 "80 black holes down" counted 80 down hole || fail "$WAITED"
	! late "80 black holes" hole || return 1
	wait_for 30 "the other 320 up" counted 320 up good turn also || fail "$WAITED"
	wrong="$(count down good turn also) good endpoints are down"
	counted 0 down good turn also
}
throws "80 black holes" holes_found

# All traffic goes to those that are up.
load traffic --seconds 3600 --threads 2 --pause 0.01 http://10.77.9.10

# 40 fall silent, all at once; the other half of their network has routes of its own.
for ((i = 41; i <= 80; i++)); do echo "route add local 10.78.2.$i/32 dev lo"; done | ns e1 ip -batch -
ns e1 ip route add blackhole 10.78.2.0/24 # behind the local one
silence_found() {
	ns e1 ip route replace local 10.78.2.0/24 dev lo
	wait_for 30 "320 up" counted 320 up good turn also || fail "$WAITED"
	start=$(now_ms)
	ns e1 ip route del local 10.78.2.0/24 dev lo
	[ -z "$traffic" ] || kill -TERM "$traffic"
	traffic=""
	wait_for 30 "40 more down" counted 40 down turn || fail "$WAITED"
	! late "40 that fell silent" turn || return 1
	wrong="$((280 - $(count up good also))) good endpoints went down along"
	counted 280 up good also
}
traffic=$(pid_of traffic)
throws "40 that fell silent" silence_found
loaded traffic >/dev/null
load traffic --seconds 120 --requests 200 --threads 2 --pause 0.01 http://10.77.9.10
all_good traffic >/dev/null

# They come back: up, and slowly.  Looked at from the first moment: on a busy machine a look at 400 endpoints takes long.
ramped() {
	ctl_json "[' '.join(map(str, (e['fraction'], e['ramping']))) for e in j['endpoints'] if e['name'] == 'turn-7' and e['state'] == 'up'][0]" show endpoints big >>"$NET_DIR/ramp"
	tail -n 1 "$NET_DIR/ramp" | grep -q '255 False'
}
ramp_seen() {
	if [ "$try" -gt 1 ]; then
		ns e1 ip route del local 10.78.2.0/24 dev lo
		wait_for 30 "40 down again" counted 40 down turn || fail "$WAITED"
	fi
	: >"$NET_DIR/ramp"
	ns e1 ip route add local 10.78.2.0/24 dev lo
	wait_for 60 "the end of the ramp" ramped || fail "$WAITED"
	wait_for 30 "40 up again" counted 40 up turn || fail "$WAITED"
	wrong="the ramp: $(tr '\n' ',' <"$NET_DIR/ramp")"
	python3 - "$NET_DIR/ramp" <<-'END'
		import sys
		steps = [line.split() for line in open(sys.argv[1], encoding="utf-8")]
		shares = [int(s) for s, _ in steps]
		print("shares of 255:", shares[0], "…", shares[-1], "in", len(set(shares)), "steps")
		assert shares == sorted(shares), "it fell"
		assert shares[0] < 200 and len(set(shares)) >= 5, "no ramp"
		assert all((r == "True") == (s < 255) for s, r in zip(shares, (r for _, r in steps)) if s < 250), "ramping is not what it says"
	END
}
throws "slow start" ramp_seen
counted 80 down hole || fail "a black hole came up"
no_bad_drops
