#!/usr/bin/env bash
# Ports of one device told apart by their VLAN: nat and http through a trunk, with each driver, 1 and 2 workers, at the full MTU; what
# carries no tag, or one that no port has, is counted and goes nowhere; nothing leaves without its tag, or with two.
set -euo pipefail
export TRUNK=1 HUGE=never PORT=8080
export PROBE_INTERVAL=3s # an endpoint that stands still for a second is not to be down, which ends its connections
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "$0")/lib_http.sh"

net_up
for i in $ENDPOINTS; do
	server_up "$i"
	http_peer_up "$i"
done
want=$(sha256sum <"$NET_DIR/blob")

port_row() { ctl_json "[p['$2'] for p in j['ports'] if p['name'] == '$1'][0]" show ports; }

# stray: frames that no port has, from the other side of the trunk: six drops of reason vlan, and one of reason ethertype.  Of
# AF_PACKET four: there the kernel takes tags out, those of 802.1ad as if they were 802.1Q's, and drops what is cut in a tag.
stray() {
	ns tr python3 - "$(ns gw cat /sys/class/net/trunk0/address)" <<-'END'
		import socket, sys
		mac = bytes.fromhex(sys.argv[1].replace(":", ""))
		s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
		s.bind(("t0", 0))
		packet = bytes.fromhex("4500001c000100004011") + bytes(20)
		head = mac + bytes.fromhex("020000000099")
		for tag in ("", "81000064", "81000fff", "8100a000", "88a80065"):  # none; another VID; 4095; priority only; 802.1ad
		    s.send(head + bytes.fromhex(tag + "0800") + packet.ljust(46, b"\0"))
		s.send(head + bytes.fromhex("810000650800")[:4])  # cut in the tag
		s.send(head + bytes.fromhex("8100006581000065") + bytes.fromhex("0800") + packet.ljust(46, b"\0"))  # two tags
	END
}
strays_counted() { [ "$(drops_of vlan) $(drops_of ethertype)" = "$expected" ]; }

through() {
	export WORKERS=$1 DRIVER=$2
	gateway_up
	grep -q "VLAN 102 of trunk0" "$NET_DIR/dataplane.log" || fail "back is not said to be a VLAN of trunk0"
	table "$NET_DIR/nat.conf"
	ctl push "$NET_DIR/nat.conf" >/dev/null
	wait_for 10 "endpoints up" state_is web4 e4 up
	# shellcheck disable=SC2086
	load nat --seconds 120 --requests 300 --threads 4 $WEB $DNS
	all_good nat
	for vip in 10.77.9.10 '[fd77:9::10]' 10.77.9.11; do
		[ "$(ns cl curl -gs --max-time 20 "http://$vip/blob" | sha256sum)" = "$want" ] || fail "$vip: the download differs"
	done
	ns cl ping -q -c 3 -i 0.02 -W 10 -M 'do' -s 1472 10.77.9.10 >/dev/null || fail "ping of 1500 bytes"
	for port in front back; do
		[ "$(port_row $port rx_packets)" -gt 1000 ] || fail "$port received $(port_row $port rx_packets)"
		[ "$(port_row $port tx_packets)" -gt 1000 ] || fail "$port sent $(port_row $port tx_packets)"
	done

	local expected
	expected="$(($(drops_of vlan) + $([ "$DRIVER" = af_packet ] && echo 4 || echo 6))) $(($(drops_of ethertype) + 1))"
	stray
	wait_for 5 "strays counted" strays_counted || fail "strays: vlan and ethertype are not $expected"

	http_push
	for h in $HOSTS_OF; do
		is "who at $h" "$(code "$(url "$h")/who")" 200
		hp up "$h" 80 /echo 1000000
		hp down "$h" 80 /bytes/3000000 3000000
		hp down "$h" 80 /chunked/3000000 3000000
	done
	load http --seconds 120 --requests 300 --threads 4 --keepalive --spread "$(url 10.77.9.30)/who" "$(url fd77:9::30)/who"
	all_good http
	quiet
	no_bad_drops
	stop sluiced
	stop dataplane
	rm -rf "$NET_DIR/state"
}
through 1 af_xdp
through 2 af_xdp
through 2 af_packet

stop trunk
tail -n 1 "$NET_DIR/trunk.log" >"$NET_DIR/trunk.json"
cat "$NET_DIR/trunk.json"
[ "$(json "$NET_DIR/trunk.json" 'j["unknown"] + j["nested"]')" -eq 0 ] || fail "frames left with a wrong tag, or with two"
[ "$(json "$NET_DIR/trunk.json" 'j["untagged"]')" -eq 0 ] || fail "frames left without a tag"
