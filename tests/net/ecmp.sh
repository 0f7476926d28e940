#!/usr/bin/env bash
# Two gateways behind a router that spreads flows over them (ECMP): one is killed, comes back, the other is drained.  Established
# flows of dsr, ipip and gue go on with the endpoint they have: at least 99 % of each mode.
#
#   cl ─eth0──c0─ rt ─f1──front0─ gw  ─back0──┐        cl 10.77.4.100      rt 10.77.4.1, .1.100, .6.100
#   │                └f2──front0─ gw2 ─back0──┤br0     gw 10.77.1.1, .2.1  gw2 10.77.6.1, .2.2
#   └─eth1 10.77.2.100 ───────────────────────┘        replies come straight to eth1
#
# rt: BIRD with BGP and BFD to the BIRD of each gateway, over their data ports; kernel multipath by addresses and ports.
# Runs alone.
set -euo pipefail
export FORWARD="dsr ipip gue" LISTEN="tcp:7000"
# shellcheck source=tests/net/lib_modes.sh
. "$(dirname "$0")/lib_modes.sh"
# shellcheck source=tests/net/lib_bgp.sh
. "$(dirname "$0")/lib_bgp.sh"

export HUGE=never WORKERS=1 ENDPOINTS="1 2 3 4"
DIRECT_MODES="dsr ipip4 ipip6 gue4 gue6"
CONNECTIONS=${CONNECTIONS:-100} # of each mode and family

# ---- the network of net.sh, with a router between client and gateways

NET_MORE+=(rt gw2)
net_up
for n in rt gw2; do
	ip netns add "$NET$n"
	ns $n sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
		net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
	ns $n ip link set lo up
done
ns rt sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
	net.ipv4.fib_multipath_hash_policy=1 net.ipv6.fib_multipath_hash_policy=1
ns cl ip link del eth0 # and gw's front0
for n in gw gw2; do ns $n sysctl -qw net.ipv6.conf.default.disable_ipv6=1; done # the dataplane's own
link gw front0 rt f1
link gw2 front0 rt f2
link gw2 back0 sw gw20
for n in gw gw2; do ns $n sysctl -qw net.ipv6.conf.default.disable_ipv6=0; done
ns sw ip link set gw20 master br0
link cl eth0 rt c0
addr rt f1 1 100
addr rt f2 6 100
addr rt c0 4 1
addr cl eth0 4 100
ns cl ip route add 10.77.9.0/24 via 10.77.4.1
ns cl ip -6 route add fd77:9::/64 via fd77:4::1
for i in $ENDPOINTS; do
	ns "e$i" ip route add 10.77.4.0/24 via 10.77.2.100 table 11
	ns "e$i" ip -6 route add fd77:4::/64 via fd77:2::100 table 11
	peer_up "$i"
	decap_up "$i"
done

# ---- the gateways: the same table but for their own addresses

ctl2() { "$BUILD/mgmt/sluicectl" --socket "$NET_DIR/sluiced2.sock" "$@"; }
second() { sed -E "s,$NET_DIR/(dataplane|sluiced|state|audit|metrics|access|bird|routes),$NET_DIR/\12,g" "$1" >"$2"; }

gateway_up
second "$NET_DIR/dataplane.conf" "$NET_DIR/dataplane2.conf"
second "$NET_DIR/sluiced.conf" "$NET_DIR/sluiced2.conf"
echo "registry = { socket = \"$NET_DIR/registry2.sock\"; };" >>"$NET_DIR/sluiced2.conf"
run gw2 dataplane2 "$BUILD/dataplane/sluice-dataplane" -c "$NET_DIR/dataplane2.conf"
wait_for 60 "the second dataplane" grep -q 'ready:' "$NET_DIR/dataplane2.log"
run gw2 sluiced2 "$BUILD/mgmt/sluiced" -c "$NET_DIR/sluiced2.conf"
wait_for 30 "the second sluiced" grep -q 'ready:' "$NET_DIR/sluiced2.log"
kernel_addresses gw 1
kernel_addresses gw2 6
modes_table "$NET_DIR/t.conf"
sed -i 's/mode = "l4"; /mode = "l4"; announce = "healthy"; /' "$NET_DIR/t.conf"
sed 's,10\.77\.1\.1/24,10.77.6.1/24,; s,fd77:1::1/64,fd77:6::1/64,; s,10\.77\.2\.1/24,10.77.2.2/24,; s,fd77:2::1/64,fd77:2::2/64,' \
	"$NET_DIR/t.conf" >"$NET_DIR/t2.conf"
[ -z "${OTHER_SEED:-}" ] || sed -i "s/name = \"${NET}gateway\";/& hash_seed = \"0123456789abcdef\";/" "$NET_DIR/t2.conf"
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
ctl2 push "$NET_DIR/t2.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
bird_conf 1 >"$NET_DIR/bird.conf"
bird_conf 6 "$NET_DIR/routes2.conf" >"$NET_DIR/bird2.conf"
peer_conf 1 6 >"$NET_DIR/peer.conf"
bird_up gw bird
bird_up gw2 bird2
bird_up rt peer

# ways VIP: how many gateways the router has for it.
ways() {
	case $1 in
	*:*) ns rt ip -6 route show "$1/128" | grep -c 'via' ;;
	*) ns rt ip route show "$1/32" | grep -c 'via' ;;
	esac
}
ways_are() {
	local m
	for m in $DIRECT_MODES; do
		[ "$(ways "$(host "$m" 4)")" = "$1" ] && [ "$(ways "$(host "$m" 6)")" = "$1" ] || return 1
	done
}
wait_for 20 "two ways to each VIP" ways_are 2
wait_for 20 "BFD sessions" bfd_up peer 4

# ---- established flows

holds() { for m in $DIRECT_MODES; do for f in 4 6; do echo "$m-$f"; done; done; }
for h in $(holds); do
	run cl "hold-$h" python3 "$top/tests/net/peer.py" hold "$(host "${h%-*}" "${h#*-}")" 7000 --connections "$CONNECTIONS" --timeout 20
done
for h in $(holds); do wait_for 30 "flows of $h" grep -q ready "$NET_DIR/hold-$h.log"; done

flows_of() { "$1" --json show endpoints >"$NET_DIR/ctl.json" && json "$NET_DIR/ctl.json" "sum(e['flows'] for e in j['endpoints'])"; }
all=$((CONNECTIONS * 10))
one=$(flows_of ctl) two=$(flows_of ctl2)
echo "$one flows by the first gateway, $two by the second"
[ "$one" -gt $((all / 5)) ] && [ "$two" -gt $((all / 5)) ] || fail "the router does not spread them: $one and $two"

# kept WHAT: asks on every connection, and counts by mode which were answered, and by the endpoint they had.
kept() {
	local h m failed asked had
	for h in $(holds); do
		had=$(grep -c '"asked"' "$NET_DIR/hold-$h.log" || true)
		echo "$had" >"$NET_DIR/had-$h"
		kill -USR1 "$(pid_of "hold-$h")"
	done
	for h in $(holds); do
		wait_for 60 "answers of $h" sh -c "[ \$(grep -c '\"asked\"' '$NET_DIR/hold-$h.log') -gt $(cat "$NET_DIR/had-$h") ]"
		tail -n 1 "$NET_DIR/hold-$h.log" >"$NET_DIR/hold-$h.json"
	done
	for m in $DIRECT_MODES; do
		failed=0
		for h in "$m-4" "$m-6"; do
			failed=$((failed + $(json "$NET_DIR/hold-$h.json" 'j["failed"]') - $(cat "$NET_DIR/failed-$h" 2>/dev/null || echo 0)))
			json "$NET_DIR/hold-$h.json" 'j["failed"]' >"$NET_DIR/failed-$h"
		done
		asked=$((2 * CONNECTIONS))
		echo "$1: $m: $((asked - failed)) of $asked flows kept their endpoint"
		[ $((failed * 100)) -le "$asked" ] || fail "$1: $m: $failed of $asked flows were lost or moved: $(json "$NET_DIR/hold-$m-4.json" 'j["errors"]')"
	done
}
kept "before"

# ---- one is killed; BFD tells the router

start=$EPOCHREALTIME
stop dataplane KILL
wait_for 12 "one way to each VIP" ways_are 1
echo "killed: the router has one way to each VIP after $(since_ms "$start") ms"
kept "killed"
two=$(flows_of ctl2)
[ "$two" -ge $((all * 99 / 100)) ] || fail "the second gateway has $two of $all flows"

# ---- it comes back, and takes its share again

dataplane_up
wait_for 30 "two ways to each VIP" ways_are 2
wait_for 20 "BFD sessions" bfd_up peer 4
kept "back"

# ---- the other is drained

ctl2 gateway drain >/dev/null || fail "gateway drain of the second"
if { ns rt ip route show root 10.77.9.0/24 && ns rt ip -6 route show root fd77:9::/64; } | grep -E 'via (10\.77\.6\.1|fd77:6::1) '; then
	fail "the second gateway is drained, and the router has ways there"
fi
wait_for 20 "one way to each VIP" ways_are 1
kept "drained"
for h in $(holds); do stop "hold-$h"; done
echo "ecmp: good"
