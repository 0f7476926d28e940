#!/usr/bin/env bash
# VIPs that BIRD announces over the data port, as a real BIRD in another namespace sees them: policy, health, drain of the gateway,
# stop, upgrade's likes, and what dies: BIRD, sluiced, the dataplane.
#
#   cl: BIRD, kernel routes by BGP ── eth0 ═══ front0, kfront0: BIRD ── gw      (lib_bgp.sh)
#
# The client also has a worse route for all VIPs, so that what is under way when one is withdrawn finds the gateway still.
# Runs alone.
set -euo pipefail
# shellcheck source=tests/net/lib_bgp.sh
. "$(dirname "$0")/lib_bgp.sh"

export HUGE=never WORKERS=1
BOOT_KEYS='privileges = "keep";' # for the upgrade; ecmp.sh has the default
net_up
servers_up
ns cl ip route replace 10.77.9.0/24 via 10.77.1.1 metric 1000
ns cl ip -6 route del fd77:9::/64
ns cl ip -6 route add fd77:9::/64 via fd77:1::1 metric 4096
gateway_up
kernel_addresses gw 1

# announced NAME POLICY: the standard table with this policy for listener NAME.
announced() {
	table "$NET_DIR/t.conf"
	while [ $# -gt 0 ]; do
		sed -i "/name = \"$1\"; address/s/ }/ announce = \"$2\"; }/" "$NET_DIR/t.conf"
		shift 2
	done
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}

# ---- the file is there before BIRD is

grep -q 'protocol static sluice_vip6' "$NET_DIR/routes.conf" || fail "no routes file before BIRD's start"
announced web4 healthy web6 healthy dsr4 never dns4 always dns6 always
wait_for 10 "endpoints up" state_is web4 e4 up
wait_for 5 "waiting for BIRD" vip_is 10.77.9.10 waiting
ctl show announce | grep -q 'BIRD is not running' || fail "BIRD's absence is not told: $(ctl show announce)"
bird_conf 1 >"$NET_DIR/bird.conf"
bird_up gw bird
peer_conf 1 >"$NET_DIR/peer.conf"
bird_up cl peer
wait_for 15 "sessions over the data port" established peer gw1_4 gw1_6
for vip in 10.77.9.10 fd77:9::10 10.77.9.53 fd77:9::53; do
	wait_for 20 "$vip at the peer" routed cl "$vip"
	wait_for 5 "$vip told to be announced" vip_is "$vip" announced # sluiced hears of it from BIRD when the peer does
done
routed cl 10.77.9.11 && fail "a VIP with announce = never is at the peer"
ns cl curl -sf --max-time 10 http://10.77.9.10/ >/dev/null || fail "no answer over the announced route"
ns cl curl -sf --max-time 10 'http://[fd77:9::10]/' >/dev/null || fail "no answer over the announced route, IPv6"

# ---- policy healthy: withdrawn with the last endpoint, back with the first

for i in $ENDPOINTS; do ctl drain web4 "e$i" >/dev/null; done
wait_for 10 "web4 withdrawn" not_routed cl 10.77.9.10
start=$EPOCHREALTIME
wait_for 20 "web6 stays" routed cl fd77:9::10
ctl show announce | grep '^10.77.9.10 ' | grep -q 'no endpoint takes new flows' || fail "the reason is not told: $(ctl show announce)"
ctl undrain web4 e2 >/dev/null
wait_for 20 "web4 back" routed cl 10.77.9.10
took=$(since_ms "$start")
[ "$took" -ge 1900 ] || fail "web4 was back after $took ms: before it settled"
for i in 1 3 4; do ctl undrain web4 "e$i" >/dev/null; done
for i in $ENDPOINTS; do stop "nginx$i" KILL; done
wait_for 8 "web4 withdrawn: probes fail" not_routed cl 10.77.9.10
wait_for 8 "web6 withdrawn: probes fail" not_routed cl fd77:9::10
wait_for 20 "announce = always stays" routed cl 10.77.9.53
for i in $ENDPOINTS; do server_up "$i"; done
wait_for 20 "web4 back: probes are good" routed cl 10.77.9.10
wait_for 20 "web6 back: probes are good" routed cl fd77:9::10

# ---- policy by push: away with the key, there with it

announced web6 healthy dsr4 always dns4 always dns6 always
wait_for 10 "web4 away" not_routed cl 10.77.9.10
wait_for 20 "dsr4 there" routed cl 10.77.9.11
shown() { [ "$(ctl_json "any(v['vip'] == '10.77.9.10' for v in j['announce']['vips'])" show announce)" = "$1" ]; }
wait_for 10 "a VIP that is in no table any more to be shown no more" shown False # BIRD withdraws it, and then says so
announced web4 healthy web6 healthy dns4 always dns6 always
wait_for 20 "web4 there" routed cl 10.77.9.10

# ---- sluiced restarted, and killed: nothing flaps

# restarted: twice while the peer's routes are watched; 1 when a session moved by itself meanwhile.
restarted() {
	local before
	wait_for 15 "sessions" established peer gw1_4 gw1_6
	before=$(sessions_since peer)
	run cl monitor ip monitor route
	stop sluiced
	daemon_up
	wait_for 10 "announced again" vip_is 10.77.9.10 announced
	stop sluiced KILL
	daemon_up
	wait_for 10 "announced again" vip_is 10.77.9.10 announced
	wait_for 10 "probed again" state_is web4 e1 up
	stop monitor
	[ "$(sessions_since peer)" = "$before" ]
}
restarted || restarted || restarted || fail "sessions do not stay up"
grep -E '10\.77\.9\.(10|53)|fd77:9::(10|53)' "$NET_DIR/monitor.log" && fail "routes moved while sluiced was restarted"

# ---- gateway drain: returns when all is withdrawn, outlives restarts

start=$EPOCHREALTIME
ctl -m test gateway drain | grep -q 'drained: no VIP is announced' || fail "gateway drain"
took=$(since_ms "$start")
[ "$took" -ge 1900 ] || fail "gateway drain returned after $took ms: before it settled"
for vip in 10.77.9.10 fd77:9::10 10.77.9.53 fd77:9::53; do not_routed cl "$vip" || fail "$vip is routed, and the gateway drained"; done
ns cl curl -sf --max-time 10 http://10.77.9.10/ >/dev/null || fail "a drained gateway does not forward"
stop sluiced
daemon_up
wait_for 10 "connected" ctl_json "1 / j['dataplane']['connected']" status
serves_drained() { ctl show announce | grep 'serves; drained'; }
wait_for 5 "the drain to outlive sluiced" serves_drained || fail "the drain did not outlive sluiced: $(ctl show announce)"
not_routed cl 10.77.9.10 || fail "a drained gateway announces after a restart"
ctl status | grep -q 'the gateway is drained' || fail "status does not tell of the drain"
ctl gateway drain | grep -q 'it was so already' || fail "a second drain"
ctl gateway undrain | grep -q 'not drained' || fail "gateway undrain"
wait_for 20 "web4 back" routed cl 10.77.9.10
wait_for 5 "told" vip_is 10.77.9.10 announced
grep -q '"verb":"gateway".*"op":"drain".*"comment":"test"\|"comment":"test".*"op":"drain"' <(tr -d ' ' <"$NET_DIR/audit.log") || fail "no audit of the drain"
ns gw curl -s --unix-socket "$NET_DIR/metrics.sock" http://x/metrics >"$NET_DIR/metrics.txt"
grep -q 'sluice_vip_announced{vip="10.77.9.10"} 1' "$NET_DIR/metrics.txt" || fail "metrics: $(grep announced "$NET_DIR/metrics.txt")"

# ---- BIRD: refuses, is restarted, hangs

echo 'nonsense;' >>"$NET_DIR/bird.conf"
for i in $ENDPOINTS; do ctl drain web4 "e$i" >/dev/null; done
wait_for 5 "the refusal told" ctl_json "1 / ('8002' in j['announce']['error'])" show announce
ctl gateway drain >"$NET_DIR/drain.out" || fail "drain with a broken bird.conf: $(cat "$NET_DIR/drain.out")"
not_routed cl fd77:9::10 || fail "a broken bird.conf kept the VIPs announced over a drain"
sed -i '/^nonsense/d' "$NET_DIR/bird.conf"
ctl gateway undrain >/dev/null
for i in $ENDPOINTS; do ctl undrain web4 "e$i" >/dev/null; done
wait_for 20 "web4 back" routed cl 10.77.9.10
wait_for 15 "BFD sessions" bfd_up peer 2 # without one the peer would wait out BGP's hold time
stop bird KILL
wait_for 10 "BIRD's end told" ctl_json "1 / ('not running' in (j['announce']['error'] or ''))" show announce
wait_for 12 "withdrawn by BFD" not_routed cl 10.77.9.10
bird_up gw bird
wait_for 20 "web4 back" routed cl 10.77.9.10
wait_for 5 "told" vip_is 10.77.9.10 announced
kill -STOP "$(pid_of bird)"
ctl drain web4 e1 >/dev/null # nothing to tell BIRD
ctl gateway drain >"$NET_DIR/drain.out" 2>&1 && fail "gateway drain succeeded without BIRD"
grep -q 'may still be announced' "$NET_DIR/drain.out" || fail "a BIRD that hangs is not told: $(cat "$NET_DIR/drain.out")"
kill -CONT "$(pid_of bird)"
wait_for 10 "withdrawn at last" vip_is 10.77.9.10 withdrawn
ctl gateway undrain >/dev/null
ctl undrain web4 e1 >/dev/null
wait_for 20 "web4 back" routed cl 10.77.9.10

# ---- a worker that does not turn: withdrawn here, though nothing can say so over its port

wait_for 15 "BFD sessions" bfd_up peer 2
kill -STOP "$(pid_of dataplane)"
wait_for 5 "withdrawn" sh -c "! grep -q route '$NET_DIR/routes.conf'"
ctl show announce | grep -q '^gateway .*worker 0 of the dataplane does not turn' || fail "the worker is not told: $(ctl show announce)"
wait_for 12 "withdrawn by BFD" not_routed cl 10.77.9.10
kill -CONT "$(pid_of dataplane)"
wait_for 20 "web4 back" routed cl 10.77.9.10

# ---- the dataplane killed: seen through BFD

wait_for 15 "sessions" established peer gw1_4 gw1_6
wait_for 15 "BFD sessions" bfd_up peer 2
start=$EPOCHREALTIME
stop dataplane KILL
wait_for 12 "withdrawn by BFD" not_routed cl 10.77.9.10
echo "kill -9 of the dataplane: the peer's route was gone after $(since_ms "$start") ms"
wait_for 5 "sluiced withdraws" sh -c "! grep -q route '$NET_DIR/routes.conf'"
dataplane_up
wait_for 15 "sessions" established peer gw1_4 gw1_6
wait_for 20 "web4 back" routed cl 10.77.9.10

# ---- an upgrade: withdrawn first, and back with the new program

ctl upgrade >"$NET_DIR/upgrade.out" 2>&1 || fail "upgrade: $(cat "$NET_DIR/upgrade.out")"
grep -q 'farewell: sluiced has taken back what it announced' "$NET_DIR/dataplane.log" || fail "the upgrade did not wait for the withdrawal"
grep -q 'it is about to upgrade' "$NET_DIR/sluiced.log" || fail "sluiced was not told of the upgrade"
wait_for 20 "web4 back" routed cl 10.77.9.10
wait_for 10 "told" vip_is 10.77.9.10 announced

# ---- SIGTERM: withdrawn first, and no request that began before fails

ns cl python3 "$top/tests/net/bgp_client.py" http://10.77.9.10/ 10.77.9.10 >"$NET_DIR/client.json" 2>"$NET_DIR/client.err" &
client=$!
NET_PIDS+=("$client")
wait_for 30 "client" grep -q ready "$NET_DIR/client.err"
start=$EPOCHREALTIME
stop dataplane
took=$(since_ms "$start")
wait "$client" || fail "client: $(cat "$NET_DIR/client.err")"
cat "$NET_DIR/client.json"
[ "$(grep -c 'sluiced has taken back what it announced' "$NET_DIR/dataplane.log")" = 2 ] || fail "the dataplane did not wait"
[ "$took" -ge 1900 ] || fail "the dataplane was gone after $took ms: before settle was over"
[ "$(json "$NET_DIR/client.json" 'j["moved"] is not None and j["before"] > 20 and j["under_way"] > 0 and j["after"] > 20')" = True ] || fail "the client did not see it"
[ "$(json "$NET_DIR/client.json" 'j["failed_before"]')" = 0 ] || fail "requests failed that began before the router moved"
[ "$(json "$NET_DIR/client.json" 'j["served_after_ms"] > 500')" = True ] || fail "the gateway did not go on after the withdrawal"

# without sluiced it stops at once
dataplane_up
wait_for 10 "connected" ctl_json "1 / j['dataplane']['connected']" status
stop sluiced
stop dataplane
grep -q farewell "$NET_DIR/dataplane.log" && fail "without sluiced the dataplane waited for it"
echo "bgp_announce: good"
