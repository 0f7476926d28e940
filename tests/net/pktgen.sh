#!/usr/bin/env bash
# sluice-pktgen measures a device whose faults are known: its delay, loss, duplicates and order, and the rate it passes.
#
#   g0 ── d0 forwarder.py d1 ── g1      the generator sends on g0 and receives on g1
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$top/build}
NET=${NET:-t$$x}
dir=$(mktemp -d)
gen=${NET}gen dev=${NET}dev
forwarder="" why=""

# shellcheck disable=SC2317 # called by the trap
finish() {
	local rc=$?
	trap : INT TERM
	[ -z "$forwarder" ] || kill -TERM "$forwarder" 2>/dev/null || true
	for f in "$dir"/*.log; do
		[ "$rc" -eq 0 ] || [ ! -s "$f" ] || { echo "--- $(basename "$f")" && tail -n 40 "$f"; }
	done
	ip netns del "$gen" 2>/dev/null || true
	ip netns del "$dev" 2>/dev/null || true
	rm -rf "$dir"
	[ -z "$why" ] || echo "$why" # again, after the logs: for whoever has only the end
	exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT TERM
fail() {
	why="FAILED: $*"
	echo "$why"
	exit 1
}

ip netns add "$gen"
ip netns add "$dev"
for i in 0 1; do
	ip link add g$i netns "$gen" type veth peer name d$i netns "$dev"
done
for side in g d; do
	ns=$gen
	[ $side = g ] || ns=$dev
	ip netns exec "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 # no packets of the kernel's own
	for i in 0 1; do
		ip netns exec "$ns" ethtool -K $side$i tx off tso off gso off gro off >/dev/null 2>&1
		ip -n "$ns" link set $side$i up
	done
done

# Both keep time: before all others, where that is allowed.
first=
! chrt -f 1 true 2>/dev/null || first="chrt -f 1"

# device ARGS…: the forwarder; its counts are in $dir/device.json once device_end has been called.
device() {
	rm -f "$dir/ready"
	# shellcheck disable=SC2086
	$first ip netns exec "$dev" python3 "$top/tests/net/forwarder.py" d0 d1 "$dir/ready" "$@" >"$dir/device.json" 2>"$dir/device.log" &
	forwarder=$!
	for _ in $(seq 200); do
		[ ! -e "$dir/ready" ] || return 0
		sleep 0.05
	done
	fail "the forwarder does not start"
}
device_end() {
	kill -TERM "$forwarder"
	wait "$forwarder" || fail "the forwarder failed"
	forwarder=
}
# pktgen PROFILE ARGS…, with VERB
pktgen() {
	local profile=$1
	shift
	rm -f "$dir/gen.json"
	# shellcheck disable=SC2086
	timeout 120 $first ip netns exec "$gen" "$BUILD/dataplane/pktgen/sluice-pktgen" ${VERB:-} --no-huge -m 256 --no-pci --log-level=error \
		--file-prefix "$NET" -l 0 --vdev net_af_packet0,iface=g0 --vdev net_af_packet1,iface=g1 -- \
		-f "$profile" --json "$dir/gen.json" "$@" >"$dir/gen.log" 2>&1 || fail "sluice-pktgen: exit $?"
}
# holds EXPRESSION: over g (the generator's JSON) and d (the device's); judge TEXT EXPRESSION fails when it does not.
holds() {
	python3 -c 'import json,sys
g, d = (json.load(open(f)) for f in sys.argv[1:3])
sys.exit(not eval(sys.argv[3]))' "$dir/gen.json" "$dir/device.json" "$1"
}
judge() {
	holds "$2" || fail "$1: not $2; device: $(cat "$dir/device.json"); generator: $(tail -n 3 "$dir/gen.json")"
}

sed 's/^set 0 burst .*/set 0 burst 1/' "$top/scripts/pktgen/udp.pkt" >"$dir/udp.pkt"

device --delay 0.03
pktgen "$dir/udp.pkt" --measure --pps 1000 --count 2000
device_end
judge "nothing is lost" 'g["sent"] == g["received"] == 2000 and g["lost"] == 0 and g["duplicate"] == g["reordered"] == 0'
judge "the delay is seen" '30 <= g["latency_us"]["p50"] / 1000 <= d["delay_ms"] * 1.0626 + 20'
judge "percentiles rise" 'sorted(g["latency_us"].values()) == list(g["latency_us"].values())'
grep -qE '^ +1 s  sent +[0-9]+ pps .* p50 ' "$dir/gen.log" || fail "no line for the first second: $(cat "$dir/gen.log")"

device --delay 0.03 --drop 10 --double 7
pktgen "$dir/udp.pkt" --measure --pps 1000 --count 2000
device_end
judge "the loss is what was dropped" 'g["lost"] == d["dropped"] == 200'
judge "duplicates are what was doubled" 'g["duplicate"] == d["doubled"] > 200'

device --delay 0.05 --swap 20
pktgen "$dir/udp.pkt" --measure --pps 1000 --count 2000
device_end
judge "what changed places is reordered" 'g["lost"] == 0 and g["reordered"] == d["swapped"] > 50'

# IPv4 fragments do not reach a net_af_packet port: its fan-out has the kernel put them together.
for profile in fragments6 exthdr6; do
	device
	pktgen "$top/scripts/pktgen/$profile.pkt" --measure --pps 2000 --count 900
	device_end
	judge "$profile comes back" 'g["sent"] == g["received"] == d["received"] == 900 and g["lost"] == 0'
done

# A search finds what the policer passes.  On a machine too busy to keep even that pace it must say so.
for try in 1 2; do
	device --pps 4000 --depth 300
	VERB=search pktgen "$top/scripts/pktgen/udp.pkt" --sizes 64,256 --trial 1 --settle 2 --min-pps 500 --max-pps 10000 --resolution 4 --catch-up 100
	device_end
	judge "sizes" '[s["size"] for s in g["sizes"]] == [64, 256]'
	grep -q "limited by" "$dir/gen.log" || fail "no table"
	# 300 tokens over 1 s: so many packets a second more
	found='all(s["limit"] == "device" and 4000 * 0.95 <= s["pps"] <= 4300 * 1.01 for s in g["sizes"])'
	if holds "$found" || ! grep -q '"generator_limited": true' "$dir/gen.json"; then
		judge "the limit is found" "$found"
		judge "trials close in on it" 'all(4 <= len(s["trials"]) <= 30 for s in g["sizes"])'
		echo "all holds"
		exit 0
	fi
	echo "try $try: the generator was held up"
done
judge "a generator that was held up says so" 'any(t["generator_limited"] for s in g["sizes"] for t in s["trials"])'
echo "the machine is too busy for the search: the generator could not keep 10,000 packets a second"
exit 77
