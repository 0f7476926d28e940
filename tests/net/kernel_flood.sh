#!/usr/bin/env bash
# A flood towards the kernel's address: clients of VIPs keep their service, the kernel gets no more than its rate, and BGP, which
# has a part of its own, goes on all the while; so does ARP.  A kernel that takes nothing at all costs the others nothing either.
#
# The generator takes CPU and link from everybody, so good clients are compared with themselves beside the same flood
# towards an address that nobody has, which the gateway drops: in turn, medians of three.
# Runs alone.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

PPS=4000
SECONDS_EACH=${SECONDS_EACH:-2}
export HUGE=never WORKERS=${WORKERS:-2} FRONT_KEYS="kernel = \"kfront\"; kernel_pps = $PPS;"
export PROBE_INTERVAL=3s # an endpoint that stands still for a second is not to be down, which ends its connections
vip=10.77.1.2 # of lib_pktgen.sh: whom the flood is for
net_up
servers_up
for i in $ENDPOINTS; do peer_up "$i"; done
run gw bgp python3 "$top/tests/net/peer.py" serve gw 179
gateway_up
ns gw ip addr add 10.77.1.2/24 dev kfront
ns gw ip -6 addr add fd77:1::2/64 dev kfront nodad
table "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
wait_for 10 "endpoints up" state_is web4 e4 up

mac=$(ns gw cat /sys/class/net/front0/address)
# shellcheck source=tests/net/lib_pktgen.sh
. "$(dirname "$0")/lib_pktgen.sh"
vip=10.77.1.3 profile nobody udp syn 198.19.255.255 9000 9000 17407
profile udp udp syn 198.19.255.255 9000 9000 17407
profile syn tcp syn 198.19.255.255 22 22 17407
FLOOD_PPS=50000

port_of() { ctl_json "[p['$1'] for p in j['ports'] if p['name'] == 'front'][0]" show ports; }
reached() { ns gw cat /sys/class/net/kfront/statistics/rx_packets; }
say() { json "$NET_DIR/$1.json" "$2"; }

# beside KIND: good clients of VIPs beside such a flood; had is their requests, none of which failed.
beside() {
	flood "$1" "$seconds"
	load good --seconds "$seconds" --threads 2 --timeout 10 http://10.77.9.10 http://[fd77:9::10] http://10.77.9.11
	loaded good >"$NET_DIR/beside.out"
	[ "$(say good 'j["failed"]')" = 0 ] || fail "good clients beside the flood of $1: $(cat "$NET_DIR/good.json")"
	flooded "$1"
	had=$(say good 'j["requests"]')
}

# held NAME: one connection to the kernel's BGP port asks ten times a second; held_was NAME: every question was answered.
held() {
	run cl "$1" python3 "$top/tests/net/peer.py" hold 10.77.1.2 179 --connections 1 --every 0.1 --timeout 10
	wait_for 20 "a connection to BGP" grep -q ready "$NET_DIR/$1.log"
}
held_was() {
	stop "$1"
	tail -n 1 "$NET_DIR/$1.log" >"$NET_DIR/$1.json"
	[ "$(say "$1" "j['asked'] >= 3 * $SECONDS_EACH and not j['failed']")" = True ] || fail "BGP beside the flood: $(cat "$NET_DIR/$1.json")"
}

# rounds KIND [TIMES]: floods of either kind in turn, three times; rates and bases are good clients' requests a second.  Of a client that
# hardly gets to run a few requests say nothing: then floods last longer.
median() { tr ' ' '\n' <<<"$1" | sort -n | sed -n 2p; }
seconds=$SECONDS_EACH
rounds() {
	local i had few=1
	while [ "$few" = 1 ] && [ "$seconds" -le 16 ]; do
		rates="" bases="" few=0
		for ((i = 0; i < ${2:-3} && few == 0; i++)); do
			beside nobody
			[ "$had" -ge 60 ] || few=1
			bases="$bases${bases:+ }$((had / seconds))"
			beside "$1"
			rates="$rates${rates:+ }$((had / seconds))"
		done
		[ "$few" = 0 ] || seconds=$((seconds * 2))
	done
	[ "$few" = 0 ] || fail "good clients have $bases requests a second beside a flood that is dropped"
}
# beaten KIND: the median of good clients' rates is half of that beside a flood that is dropped, at least: once of three times.
beaten() {
	local _
	for _ in 1 2 3; do
		rounds "$1"
		echo "$1 flood: $rates requests a second of good clients, 0 failed; beside one that is dropped: $bases"
		[ $(($(median "$rates") * 2)) -lt "$(median "$bases")" ] || return 0
	done
	fail "$1 flood: good clients have less than half of what they have beside a flood that is dropped"
}

for kind in udp syn; do
	held "bgp_$kind"
	before=$(reached) limited=$(port_of kernel_limited) to=$(port_of to_kernel) began=$EPOCHSECONDS
	if [ $kind = udp ]; then beaten udp; else rounds $kind 1; fi
	# new ones too: BGP after a flap
	flood $kind "$SECONDS_EACH"
	ns cl timeout 60 python3 "$top/tests/net/peer.py" tcp 10.77.1.2 179 --count 3 --up 1000 --down 1000 --timeout 15 >"$NET_DIR/new.json" ||
		fail "new connections to BGP: $(cat "$NET_DIR/new.json")"
	flooded $kind
	held_was "bgp_$kind"
	limited=$(($(port_of kernel_limited) - limited)) to=$(($(port_of to_kernel) - to)) got=$(($(reached) - before))
	echo "BGP: $(say "bgp_$kind" "j['asked']") questions, 0 failed; to the kernel $to, limited $limited"
	[ "$limited" -gt $((FLOOD_PPS * SECONDS_EACH / 2)) ] || fail "only $limited packets were limited"
	took=$((EPOCHSECONDS - began + 2))
	[ "$to" -le $((PPS * took)) ] || fail "$to packets in $took s: more than $PPS a second"
	[ "$got" -le $((PPS * took)) ] || fail "the kernel's interface had $got packets in $took s"
	[ "$(drops_of kernel_limit)" -ge "$limited" ] || fail "kernel_limit counts less than the port"
done

# ARP of the kernel beside a flood: it has to ask for an address it does not know
learns() {
	flood udp 2
	ns gw ip neigh flush dev kfront
	ns gw ping -q -c 3 -i 0.2 -W 5 10.77.1.100 >"$NET_DIR/ping.out" || true # answers to ping are among the flood, those of ARP are not
	flooded udp
	ns gw ip neigh show dev kfront >"$NET_DIR/neigh"
	grep -q '^10.77.1.100 lladdr' "$NET_DIR/neigh"
}
# it asks three times in 3 s, in which a gateway may stand still
learns || learns || learns || fail "the kernel has not got its answer to ARP, three times: $(cat "$NET_DIR/neigh")"

# nobody takes anything: the interface is down
ns gw ip link set kfront down
rounds udp 1
echo "with the interface down: $rates requests a second of good clients, 0 failed"
told() { grep -q 'port front: kfront (TAP) did not take [0-9]* packets: is it up?' "$NET_DIR/dataplane.log"; }
wait_for 15 "a word about that" told
ns gw ip link set kfront up
wait_for 20 "the kernel again" ns cl ping -q -c 1 -W 1 10.77.1.2

ctl show drops | awk '$2 != "0"'
ctl show ports
no_bad_drops
