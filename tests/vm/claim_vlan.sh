#!/usr/bin/env bash
# Two ports of one e1000e, told apart by VLAN: nat and tcp to peers behind 802.1Q interfaces of the guest's kernel.
#
#   cl ── front ── gateway ── back, VLAN 100: port v100 10.77.6.1 ── br0 ── kern0.100: v1 10.77.6.11
#                                   VLAN 200: port v200 10.77.7.1 ──────── kern0.200: v2 10.77.7.12
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin

# boot_vlan, table_vlan: of gateway vlan (lib_vm.sh)
boot_vlan() {
	boot_file "{ name = \"front\"; device = \"$NIC_FRONT\"; driver = \"pci\"; },
		{ name = \"v100\"; device = \"$NIC_BACK\"; driver = \"pci\"; vlan = 100; },
		{ name = \"v200\"; device = \"$NIC_BACK\"; driver = \"pci\"; vlan = 200; }"
}
table_vlan() {
	local v comma="" a b
	cat <<-END
		gateway = { name = "${NET}gateway"; };
		network = { addresses = (
		    { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
		    { port = "v100"; address = "10.77.6.1/24"; }, { port = "v100"; address = "fd77:6::1/64"; },
		    { port = "v200"; address = "10.77.7.1/24"; }, { port = "v200"; address = "fd77:7::1/64"; } ); routes = ( ); };
		services = (
	END
	for v in nat4:nat:4 nat6:nat:6 tcp4:proxy:4; do
		IFS=: read -r v a b <<<"$v"
		if [ "$b" = 6 ]; then set -- fd77:6::11 fd77:7::12; else set -- 10.77.6.11 10.77.7.12; fi
		echo "$comma{ name = \"$v\"; forward = \"$a\"; endpoints = ( { name = \"v1\"; address = \"$1\"; port = 7000; }, { name = \"v2\"; address = \"$2\"; port = 7000; } ); }"
		comma=,
	done
	cat <<-'END'
		);
		listeners = (
		  { name = "t4"; address = "10.77.9.10"; port = 7000; protocol = "tcp"; mode = "l4"; service = "nat4"; },
		  { name = "u4"; address = "10.77.9.10"; port = 7000; protocol = "udp"; mode = "l4"; service = "nat4"; },
		  { name = "t6"; address = "fd77:9::10"; port = 7000; protocol = "tcp"; mode = "l4"; service = "nat6"; },
		  { name = "u6"; address = "fd77:9::10"; port = 7000; protocol = "udp"; mode = "l4"; service = "nat6"; },
		  { name = "relay"; address = "10.77.9.20"; port = 7000; protocol = "tcp"; mode = "tcp"; service = "tcp4"; } );
	END
}

if [ ! -e "$NET_DIR/vlan" ]; then
	{
		echo "set -e; modprobe 8021q"
		for v in 1:6:100:11 2:7:200:12; do
			IFS=: read -r i n id host <<<"$v"
			cat <<-END
				ip netns add v$i; ip link add link kern0 name k$id type vlan id $id; ip link set k$id netns v$i
				ip netns exec v$i sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
				ip -n v$i -batch - <<'OVER'
				link set lo up
				link set k$id up
				addr add 10.77.$n.$host/24 dev k$id
				addr add fd77:$n::$host/64 dev k$id nodad
				route add 10.77.1.0/24 via 10.77.$n.1
				route add fd77:1::/64 via fd77:$n::1
				OVER
			END
		done
	} >"$NET_DIR/vlan.sh"
	guest bash "$NET_DIR/vlan.sh"
	: >"$NET_DIR/vlan"
fi
for i in 1 2; do guest_run "peer_v$i" ip netns exec "v$i" python3 "$top/tests/net/peer.py" serve "v$i" 7000; done
gateway vlan
for i in 1 2; do wait_for 30 "peer.py in v$i of the guest" grep -q ready "$NET_DIR/peer_v$i.log"; done
{
	for f in 10.77.9.10 fd77:9::10; do
		echo "vlan-tcp-${f//[.:]/-} tcp $f 7000 --count 10 --up 3000 --down 3000 --timeout 20"
		echo "vlan-udp-${f//[.:]/-} udp $f 7000 --count 10 --up 1400 --down 1400 --timeout 20"
	done
	echo "vlan-relay tcp 10.77.9.20 7000 --count 6 --up 20000 --down 20000 --timeout 20"
} | peers
for t in tcp udp; do
	asked vlan-$t-10-77-9-10 10 v1,v2 10.77.1.100
	asked vlan-$t-fd77-9--10 10 v1,v2 fd77:1::100
done
asked vlan-relay 6 v1,v2 10.77.6.1 10.77.7.1
spread v1,v2 vlan-tcp-10-77-9-10 vlan-udp-10-77-9-10 vlan-tcp-fd77-9--10 vlan-udp-fd77-9--10 vlan-relay
for p in v100 v200; do
	[ "$(ctl_json "[p['rx_packets'] > 10 and p['tx_packets'] > 10 for p in j['ports'] if p['name'] == '$p'][0]" show ports)" = True ] ||
		fail "port $p: hardly any packets"
done
no_bad_drops
for i in 1 2; do guest_stop "peer_v$i"; done
