#!/usr/bin/env bash
# Path MTU end to end with real kernels: 5 MB both ways through tunnels over links of 1500, past a narrow link before the
# client, and past one before the endpoint.  Whoever sent too much hears of it, by ICMP through the gateway.
#
#   far ──── cl ──── gw ──── sw ──── e1 … e4 ──── deep (behind e4)
#       1400                                1300
#   far 10.77.4.100, deep 10.77.5.14; fd77:4::100, fd77:5::14.  Both narrow links are routes with an MTU in the router.
# shellcheck source=tests/net/lib_modes.sh
. "$(dirname "$0")/lib_modes.sh"

modes_up

# learned FROM TO MTU [OPTIONS…]: FROM's route cache says MTU for TO.
learned() {
	local from=$1 to=$2 mtu=$3
	shift 3
	ns "$from" ip route get "$to" "$@" >"$NET_DIR/route"
	grep -q "mtu $mtu" "$NET_DIR/route" || fail "$from knows this way to $to, not an MTU of $mtu: $(cat "$NET_DIR/route")"
}

step() { echo "$*"; }
step "tunnels over links of 1500: the client's kernel learns what fits"
for m in ipip4 ipip6 gue4 gue6; do
	for f in 4 6; do
		# A datagram that may not be cut: the client hears of the MTU, and its next send fails at once.
		peer "udp-$m-$f" error "$(host "$m" $f)" 7000 toobig --up $((f == 4 ? 1472 : 1452))
		good "udp-$m-$f"
		[ "$(say "udp-$m-$f" "j['mtu']")" -eq "${INNER[$m]}" ] || fail "udp $m $f: MTU $(say "udp-$m-$f" "j['mtu']"), not ${INNER[$m]}"
		ns cl ip route flush cache
		ns cl ip -6 route flush cache
		peer "tcp-$m-$f" tcp "$(host "$m" $f)" 7000 --up 5000000 --down 5000000 --timeout 10
		good "tcp-$m-$f"
		learned cl "$(host "$m" $f)" "${INNER[$m]}"
		# what just fits goes through
		peer "fits-$m-$f" udp "$(host "$m" $f)" 7000 --up $((INNER[$m] - (f == 4 ? 28 : 48))) --down 100
		good "fits-$m-$f"
	done
done
[ "$(drops_of too_big)" -gt 0 ] || fail "too_big was not counted"

step "a narrow link before the client: endpoints hear of it, through the gateway"
ip netns add "${NET}far"
NET_MORE+=(far deep)
ns far sysctl -qw net.ipv6.conf.default.accept_dad=0
ns cl sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
link cl eth4 far eth0
addr cl eth4 4 1
addr far eth0 4 100
ns far ip route add default via 10.77.4.1
ns far ip -6 route add default via fd77:4::1
ns cl ip route change 10.77.4.0/24 dev eth4 mtu 1400
ns cl ip -6 route del fd77:4::/64 dev eth4
ns cl ip -6 route add fd77:4::/64 dev eth4 mtu 1400
for i in $ENDPOINTS; do
	ns "e$i" ip route add 10.77.4.0/24 via 10.77.2.1
	ns "e$i" ip -6 route add fd77:4::/64 via fd77:2::1
	ns "e$i" ip route add 10.77.4.0/24 via 10.77.2.100 table 11
	ns "e$i" ip -6 route add fd77:4::/64 via fd77:2::100 table 11
done
ip netns add "${NET}deep"
ns deep sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv4.conf.all.rp_filter=0
ns e4 sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
link e4 eth5 deep eth0
addr e4 eth5 5 1
addr deep eth0 5 14
ns e4 ip route change 10.77.5.0/24 dev eth5 mtu 1300
ns e4 ip -6 route del fd77:5::/64 dev eth5
ns e4 ip -6 route add fd77:5::/64 dev eth5 mtu 1300
ns deep ip link set lo up
ns deep ip route add default via 10.77.5.1
ns deep ip -6 route add default via fd77:5::1
run deep peer_deep python3 "$top/tests/net/peer.py" serve deep 7000
wait_for 10 "peer.py in deep" grep -q ready "$NET_DIR/peer_deep.log"
EXTRA_ROUTES='{ prefix = "10.77.4.0/24"; via = "10.77.1.100"; }, { prefix = "fd77:4::/64"; via = "fd77:1::100"; },
	{ prefix = "10.77.5.0/24"; via = "10.77.2.14"; }, { prefix = "fd77:5::/64"; via = "fd77:2::14"; }'
modes_table "$NET_DIR/far.conf" maglev 1
ctl push "$NET_DIR/far.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
for f in 4 6; do
	for m in $MODES; do
		ns far python3 "$top/tests/net/peer.py" tcp "$(host "$m" $f)" 7000 --up 3000000 --down 3000000 --timeout 10 >"$NET_DIR/far-$m-$f.json" ||
			fail "far, $m $f: $(cat "$NET_DIR/far-$m-$f.json")"
		good "far-$m-$f"
		far=10.77.4.100
		[ $f = 4 ] || far=fd77:4::100
		case $m in
		nat) learned e1 $far 1400 ;;
		fullnat) learned e1 "$(say "far-$m-$f" "j['peers'][0]")" 1400 ;;
		*) learned e1 $far 1400 from "$(host "$m" $f)" ;;
		esac
	done
done

step "a narrow link before the endpoint: the client hears of it, through the gateway, from the VIP's side"
FORWARD="nat fullnat" modes_table "$NET_DIR/deep.conf" maglev 4
sed -i 's/"10\.77\.2\.14"; port = 0/"10.77.5.14"; port = 0/; s/"fd77:2::14"; port = 0/"fd77:5::14"; port = 0/' "$NET_DIR/deep.conf"
ctl push "$NET_DIR/deep.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
for m in nat fullnat; do
	for f in 4 6; do
		peer "deep-udp-$m-$f" error "$(host "$m" $f)" 7000 toobig --up 1400
		good "deep-udp-$m-$f"
		[ "$(say "deep-udp-$m-$f" "j['mtu']")" -eq 1300 ] || fail "deep $m $f: $(cat "$NET_DIR/deep-udp-$m-$f.json")"
		ns cl ip route flush cache
		ns cl ip -6 route flush cache
		peer "deep-$m-$f" tcp "$(host "$m" $f)" 7000 --up 3000000 --down 3000000 --timeout 10
		good "deep-$m-$f"
		[ "$(say "deep-$m-$f" "list(j['by'])")" = "['deep']" ] || fail "deep $m $f: $(cat "$NET_DIR/deep-$m-$f.json")"
		learned cl "$(host "$m" $f)" 1300
	done
done
no_bad_drops
ctl show drops | awk '$2 > 0'
