#!/usr/bin/env bash
# IPVS in the guest beside the gateway: the same requests by both, in nat, dsr and tunnels, get the same answers.
#
#   cl eth1 10.77.2.100 ── br0 ── kern ── lvs 10.77.2.50: VIPs 10.77.8.10 nat, .11 dsr, .13 ipip, as 10.77.9.N of the gateway
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin
gateway standard

# what an endpoint needs to be one of IPVS's, too; clients of nat come as 10.77.5.100, whom the way back to leads through lvs
also_here() { printf '%s\n' "addr add 10.77.8.11/32 dev lo" "addr add 10.77.8.13/32 dev lo" "addr add fd77:8::11/128 dev lo nodad" "route add 10.77.5.0/24 via 10.77.2.50"; }
# rules PROTOCOL: for ipvsadm --restore
rules() {
	local row vip how e
	for row in "10.77.8.10:7000 m 1 2 3" "10.77.8.11:7000 g 1 2 3" "10.77.8.13:7000 i 3 4"; do
		read -r vip how row <<<"$row"
		echo "-A -$1 $vip -s mh -b mh-port"
		for e in $row; do echo "-a -$1 $vip -r 10.77.2.1$e:7000 -$how"; done
	done
	echo "-A -$1 [fd77:8::11]:7000 -s mh -b mh-port"
	for e in 1 2 3; do echo "-a -$1 [fd77:8::11]:7000 -r [fd77:2::1$e]:7000 -g"; done
}
if [ ! -e "$NET_DIR/lvs" ]; then
	{
		rules t
		rules u
	} >"$NET_DIR/lvs.rules"
	{
		cat <<-END
			set -e
			modprobe -a ip_vs ip_vs_mh
			ip netns add lvs; ip link add link kern0 name mlvs type macvlan mode bridge; ip link set mlvs netns lvs name eth0
			ip netns exec lvs sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
				net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0 net.ipv6.conf.all.forwarding=1
			ip -n lvs -batch - <<'OVER'
			link set lo up
			link set eth0 up
			addr add 10.77.2.50/24 dev eth0
			addr add fd77:2::50/64 dev eth0 nodad
			route add 10.77.5.0/24 via 10.77.2.100
			addr add 10.77.8.10/32 dev lo
			addr add 10.77.8.11/32 dev lo
			addr add 10.77.8.13/32 dev lo
			addr add fd77:8::11/128 dev lo nodad
			OVER
			ip netns exec lvs ipvsadm -R <$NET_DIR/lvs.rules
		END
		for i in $GUEST_ENDPOINTS; do
			echo "ip -n e$i -batch - <<'OVER'"
			also_here
			echo OVER
		done
	} >"$NET_DIR/lvs.sh"
	guest bash "$NET_DIR/lvs.sh"
	for i in $HOST_ENDPOINTS; do also_here | ns "e$i" ip -batch -; done
	ns cl ip addr add 10.77.5.100/32 dev lo
	ns cl ip route add 10.77.8.0/24 via 10.77.2.50
	ns cl ip -6 route add fd77:8::/64 via fd77:2::50
	: >"$NET_DIR/lvs"
fi

{
	for t in tcp udp; do
		echo "ipvs-nat-$t $t 10.77.8.10 7000 --count 16 --up 500 --down 1200 --timeout 20 --source 10.77.5.100"
		echo "ours-nat-$t $t 10.77.9.10 7000 --count 16 --up 500 --down 1200 --timeout 20"
		for v in 10.77.N.11:dsr 10.77.N.13:ipip fd77:N::11:dsr6; do
			echo "ipvs-${v##*:}-$t $t $(sed 's/N/8/; s/:[a-z0-9]*$//' <<<"$v") 7000 --count 16 --up 500 --down 1200 --timeout 20"
			echo "ours-${v##*:}-$t $t $(sed 's/N/9/; s/:[a-z0-9]*$//' <<<"$v") 7000 --count 16 --up 500 --down 1200 --timeout 20"
		done
	done
} | peers
for m in nat dsr ipip dsr6; do
	n=e1,e2,e3
	[ $m != ipip ] || n=e3,e4
	for t in tcp udp; do
		case $m in
		nat) asked "ipvs-$m-$t" 16 $n 10.77.5.100 ;;
		dsr6) asked "ipvs-$m-$t" 16 $n fd77:2::100 ;;
		*) asked "ipvs-$m-$t" 16 $n 10.77.2.100 ;;
		esac
		if [ $m = dsr6 ]; then asked "ours-$m-$t" 16 $n fd77:1::100; else asked "ours-$m-$t" 16 $n 10.77.1.100; fi
	done
done
for who in ipvs ours; do
	spread e1,e2,e3 $who-{nat,dsr,dsr6}-{tcp,udp}
	spread e3,e4 $who-ipip-{tcp,udp}
done
guest "ip netns exec lvs ipvsadm -ln --stats" >"$NET_DIR/ipvs.out"
[ "$(awk '$1 == "->" && $3 > 0 { n++ } END { print n + 0 }' "$NET_DIR/ipvs.out")" -ge 12 ] || fail "IPVS did not serve: $(cat "$NET_DIR/ipvs.out")"
