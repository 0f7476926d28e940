#!/usr/bin/env bash
# A way to the endpoint that is narrower behind the first link: the gateway's port takes 1500 bytes, a router between it and
# the endpoint 1400.  The router complains to the gateway about the tunnel's packets, the gateway tells the client, whose kernel
# then sends what fits: megabytes go both ways and arrive unchanged.  ipip and gue, both families outside and inside.
#
#   cl ──── gw ──── sw ──── e4 ──── deep
#                              1400
#   e4 is a router here, its route to deep has the MTU (the link has 1500, so that nobody learns it otherwise).  deep has an address for each
#   tunnel, 10.77.5.21, 23 and fd77:5::22, 24: what is learned for one says nothing about the others.
# shellcheck source=tests/net/lib_modes.sh
. "$(dirname "$0")/lib_modes.sh"

declare -A DEEP=([ipip4]=10.77.5.21 [ipip6]=fd77:5::22 [gue4]=10.77.5.23 [gue6]=fd77:5::24)

# e4 neither answers for VIPs nor has a decapsulator: it forwards.
router_up() {
	local vip
	for vip in $DIRECT_VIPS; do
		ns e4 ip addr del "10.77.9.$vip/32" dev lo
		ns e4 ip -6 addr del "fd77:9::$vip/128" dev lo
	done
	ns e4 sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ns e4 ip route add 172.16.0.0/16 via 10.77.2.1 # tunnel_source of ipip: what is told to it, the gateway must hear
	ns e4 ip -6 route add fd77:aa::/64 via fd77:2::1
	ip netns add "${NET}deep"
	NET_MORE+=(deep)
	ns deep sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0
	link e4 eth5 deep eth0
	addr e4 eth5 5 1
	ns e4 ip route change 10.77.5.0/24 dev eth5 mtu 1400
	ns e4 ip -6 route del fd77:5::/64 dev eth5
	ns e4 ip -6 route add fd77:5::/64 dev eth5 mtu 1400
}

deep_up() {
	local m vip
	ns deep ip link set lo up
	for m in "${!DEEP[@]}"; do
		case $m in
		*4) ns deep ip addr add "${DEEP[$m]}/24" dev eth0 ;;
		*6) ns deep ip -6 addr add "${DEEP[$m]}/64" dev eth0 nodad ;;
		esac
	done
	for vip in $DIRECT_VIPS; do
		ns deep ip addr add "10.77.9.$vip/32" dev lo
		ns deep ip -6 addr add "fd77:9::$vip/128" dev lo nodad
	done
	ns deep ip route add default via 10.77.5.1
	ns deep ip -6 route add default via fd77:5::1
	run deep peer_deep python3 "$top/tests/net/peer.py" serve deep 7000
	wait_for 10 "peer.py in deep" grep -q ready "$NET_DIR/peer_deep.log"
	run deep decap_deep "$BUILD/tests/net/decap"
	wait_for 10 "decap in deep" grep -q ready "$NET_DIR/decap_deep.log"
}

# learned HOST MTU: the client's kernel has it.
learned() {
	ns cl ip route get "$1" >"$NET_DIR/route"
	grep -q "mtu $2" "$NET_DIR/route" || fail "cl knows this way to $1, not an MTU of $2: $(cat "$NET_DIR/route")"
}
forget() {
	ns cl ip route flush cache
	ns cl ip -6 route flush cache
}
stat() { ctl_json "sum(w['$1'] for w in j['workers'])" show workers; }

tcp() {
	local m=$1 f=$2
	peer "tcp-$m-$f" tcp "$(host "$m" "$f")" 7000 --up 3000000 --down 3000000 --timeout 10
	good "tcp-$m-$f"
	[ "$(say "tcp-$m-$f" "list(j['by'])")" = "['deep']" ] || fail "tcp $m $f: $(cat "$NET_DIR/tcp-$m-$f.json")"
	learned "$(host "$m" "$f")" $((INNER[$m] - 100))
}

# A datagram that the gateway's port takes, and the router does not; afterwards one that just fits.
udp() {
	local m=$1 f=$2 head=$(($2 == 4 ? 28 : 48)) inner=$((INNER[$1] - 100))
	peer "udp-$m-$f" error "$(host "$m" "$f")" 7000 toobig --up $((INNER[$m] - head))
	good "udp-$m-$f"
	[ "$(say "udp-$m-$f" "j['mtu']")" -eq $inner ] || fail "udp $m $f: MTU $(say "udp-$m-$f" "j['mtu']"), not $inner"
	peer "fits-$m-$f" udp "$(host "$m" "$f")" 7000 --up $((inner - head)) --down 100
	good "fits-$m-$f"
}

TABLE_ADDRESSES='/"ipip4"/,/^  );/s/10\.77\.2\.14/10.77.5.21/; /"ipip6"/,/^  );/s/fd77:2::14/fd77:5::22/
	/"gue4"/,/^  );/s/10\.77\.2\.14/10.77.5.23/; /"gue6"/,/^  );/s/fd77:2::14/fd77:5::24/'
export HUGE=never # others run beside us
net_up
for i in gw cl sw e4; do ns "$i" sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0; done
router_up
deep_up
gateway_up
EXTRA_ROUTES='{ prefix = "10.77.5.0/24"; via = "10.77.2.14"; }, { prefix = "fd77:5::/64"; via = "fd77:2::14"; }'
FORWARD="ipip gue" modes_table "$NET_DIR/t.conf" maglev 4
sed -i "$TABLE_ADDRESSES" "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"

for m in ipip4 gue4 ipip6 gue6; do
	case $m in
	ipip4 | gue6) steps="tcp:4 udp:4 tcp:6 udp:6" ;; # the first step finds a gateway that knows nothing of the way
	*) steps="udp:6 tcp:6 udp:4 tcp:4" ;;
	esac
	taught=""
	before=$(stat icmp_error)
	for s in $steps; do
		forget
		"${s%:*}" $m "${s#*:}"
		: "${taught:=$(stat icmp_error)}"
	done
	echo "$m: $((taught - before)) errors came from the router"
	[ "$taught" -gt "$before" ] || fail "$m: the router did not complain, or was not heard"
	[ "$(stat icmp_error)" -eq "$taught" ] || fail "$m: the router had to complain again"
done
[ "$(stat icmp_too_big)" -gt 0 ] || fail "nobody was told"
[ "$(drops_of icmp_error)" -eq 0 ] || fail "errors were dropped that should have been heard"
no_bad_drops
ctl show drops | awk '$2 > 0'
