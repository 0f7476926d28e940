#!/usr/bin/env bash
# A hostile neighbour on the client's link: every kind of bad frame raises its own drop counter by exactly what was sent
# and no other; claims to others' addresses, and floods of ARP, ND and SYN hurt no good client; memory stays bounded.
# Runs alone.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

export HUGE=never # so that all memory of the dataplane counts as resident
net_up
servers_up
gateway_up
table "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf"
wait_for 20 "endpoints up" state_is web4 e4 up

hostile() { ns cl /usr/bin/python3 "$top/tests/net/hostile.py" "$@"; } # the python that Debian's scapy belongs to
mac=$(ns gw cat /sys/class/net/front0/address)
back=$(ns gw cat /sys/class/net/back0/address)
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(pid_of dataplane)/status"; }
alive() {
	for name in dataplane sluiced; do kill -0 "$(pid_of $name)" || fail "$1: $name died"; done
}
end_good() {
	kill -TERM "$(pid_of good)"
	all_good good
	alive "$1"
}

# shellcheck disable=SC2086
load good --seconds 3600 --threads 2 --pause 0.005 $WEB $DNS
hostile "$BUILD/mgmt/sluicectl" "$NET_DIR/sluiced.sock" "$mac" || fail "counters"
end_good "bad frames"

# On the endpoints' own link a stranger claims their addresses, over and over: the endpoints still answer for themselves.
# Whoever waits for 0.9 s has lost a packet; or stood still with the whole machine, so that is once of three times enough.
claimed() {
	# shellcheck disable=SC2086
	load good --seconds 3600 --threads 2 --pause 0.005 --timeout 0.9 $WEB
	hostile claims 5 "$back"
	kill -TERM "$(pid_of good)"
	loaded good
	alive "claims"
	[ "$(json "$NET_DIR/good.json" 'not j["failed"] and j["requests"] > 10')" = True ]
}
claimed || claimed || claimed || fail "claims: $(cat "$NET_DIR/good.json")"

# 20,000 neighbours that are none.
for kind in arp nd; do
	# shellcheck disable=SC2086
	load good --seconds 3600 --threads 2 --pause 0.005 $WEB $DNS
	hostile flood $kind 1 "$mac"
	end_good "$kind flood"
	ns cl ping -q -c 2 -i 0.02 -W 5 10.77.1.1 >/dev/null || fail "no ping after the $kind flood"
done
no_bad_drops

# SYN floods, from everywhere, as fast as the client sends.  The second one takes no more memory.
syn_flood() {
	load good --seconds 3600 --threads 2 --pause 0.002 http://10.77.9.10 'http://[fd77:9::10]' http://10.77.9.11
	hostile flood syn 5 "$mac"
	kill -TERM "$(pid_of good)"
	loaded good
	[ "$(json "$NET_DIR/good.json" 'j["failed"] * 100 <= j["requests"] > 100')" = True ] ||
		fail "more than 1 % of good connections failed in the SYN flood"
	alive "SYN flood"
}
syn_flood
# as many half-open flows as there may be: where this machine sent too few, again
for _ in 1 2; do [ "$(drops_of embryonic)" -gt 0 ] || syn_flood; done
once=$(rss)
syn_flood
twice=$(rss)
echo "resident memory after one flood $once kB, after two $twice kB"
[ "$twice" -le $((once + 4096)) ] || fail "the second SYN flood took $((twice - once)) kB more"
[ "$once" -le 700000 ] || fail "the dataplane has grown to $once kB"
ctl show drops | awk '$2 != "0"'
ctl show workers
