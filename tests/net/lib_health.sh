# shellcheck shell=bash
# lib_health.sh — health in mode http, with probes through the data port: by the kernel's interface of the port that leads to the
# endpoints (the exception path).  WORKERS is set.
#
#      gw: kback 10.77.2.2, fd77:2::2 (the kernel's alone) ─── dataplane ── back0 ── e1 … e4: http_peer.py at port 8080
#          mgmt0 10.77.3.1 ─── leads to e1, too: probes must not take it
set -euo pipefail
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_http.sh"

INTERVAL_MS=1000
TIMEOUT_MS=400
SLACK_MS=500 # this machine may be busy with other things

export HUGE=never DRIVER=${DRIVER:-af_xdp} PORT=8080 BACK_KEYS='kernel = "kback"; kernel_pps = 100000;'
export DAEMON_KEYS="announce = { bird_socket = \"$NET_DIR/bird.ctl\"; routes = \"$NET_DIR/routes.conf\"; settle = \"0s\"; };"
export LISTENER_KEYS='announce = "healthy";' TCP_KEYS='connect_timeout = "150ms"; max_connections = 0;'
RETRY='try_timeout = "1s"; retry = { attempts = 3; on = ( "connect", "reused", "reset", "timeout" ); };'
export ROUTES="{ name = \"six\"; path = \"/six\"; service = \"web6\"; }, { name = \"r\"; $RETRY service = \"web\"; }"
NEVER='max_retries = 200; budget = { percent = 100; min = 50; }; ejection = { after = 0; };'

# health KEYS…: of all services.
health() {
	export SERVICE_KEYS="health = { type = \"http\"; path = \"/who\"; body = \"e\"; headers = ( \"x-probe: yes\" );
		interval = \"${INTERVAL_MS}ms\"; timeout = \"${TIMEOUT_MS}ms\"; rise = 2; fall = 2; $* };"
}

endpoint() { ctl_json "[e['$3'] for e in j['endpoints'] if e['name'] == '$2'][0]" show endpoints "$1"; }
is_now() { [ "$(endpoint "$1" "$2" state)" = "$3" ]; }
all_are() {
	local s i
	for s in web web6; do for i in $ENDPOINTS; do is_now $s "e$i" "$1" || return 1; done; done
}
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
# down_after ENDPOINT LIMIT_MS BREAK MEND: BREAK is done to it, and web knows it in time.  A prober that stood still meanwhile is late by
# that: so once of three times is enough, with MEND between.
down_after() {
	local start took _
	for _ in 1 2 3; do
		start=$(now_ms)
		"$3" "${1#e}"
		wait_for 10 "web/$1 down" is_now web "$1" down || fail "web/$1: $(cat "$NET_DIR/ctl.json")"
		took=$(ctl_json "int([__import__('datetime').datetime.fromisoformat(e['since'].replace('Z', '+00:00')).timestamp() * 1000 for e in j['endpoints'] if e['name'] == '$1'][0]) - $start" show endpoints web)
		echo "web/$1 was down after $took ms: $(endpoint web "$1" why)"
		[ "$took" -ge 0 ] || fail "web/$1 was down before anything was wrong with it"
		[ "$took" -gt $(($2 + SLACK_MS)) ] || return 0
		"$4" "${1#e}"
		wait_for 15 "web/$1 up again" is_now web "$1" up
	done
	fail "web/$1 was down after $took ms, allowed are $2"
}
dies() { stop "http_peer$1" KILL; }
falls_silent() { ns "e$1" ip link set eth0 down; }
speaks() {
	ns "e$1" ip link set eth0 up
	ns "e$1" ip -6 addr add "fd77:2::1$1/64" dev eth0 nodad 2>/dev/null || true
	ns "e$1" ip route replace 10.77.1.0/24 via 10.77.2.1
	ns "e$1" ip -6 route replace fd77:1::/64 via fd77:2::1
}
# served I: requests of clients.
served() { awk '/"head"/ && !/x-probe: yes/ { n++ } END { print n + 0 }' "$NET_DIR/record$1"; }
serves() { [ "$(served "$1")" -gt $(($2 + 20)) ]; }
vip_is() { [ "$(ctl_json "[v['state'] for v in j['announce']['vips'] if v['vip'].startswith('10.77.9.30')][0]" show announce)" = "$1" ]; }

net_up
for i in $ENDPOINTS; do http_peer_up "$i"; done
gateway_up
health 'through = "port";'
HTTP_KEYS=$NEVER http_push

# ---- no interface has an address yet: nobody is down for that ----

unprobed() { [[ $(endpoint web e1 why) = "not probed: "* ]]; }
wait_for 10 "a probe that could not leave" unprobed
wait_for 1 "unknown, not down" all_are unknown
ns gw ip addr add 10.77.2.2/24 dev kback
ns gw ip -6 addr add fd77:2::2/64 dev kback nodad
wait_for 10 "all endpoints up" all_are up
by_kernel() { [ "$(ctl_json "[p['from_kernel'] for p in j['ports'] if p['name'] == 'back'][0]" show ports)" -gt 20 ]; }
wait_for 5 "the probes among what came from the kernel" by_kernel

# ---- only what leaves by the port sees that the port's way is cut ----

ns gw ip route add 10.77.2.11/32 via 10.77.3.11 # the host would probe e1 by here
down_after e1 $((INTERVAL_MS + 2 * TIMEOUT_MS)) falls_silent speaks
health ''
HTTP_KEYS=$NEVER http_push
wait_for 10 "e1 up by the host's way" is_now web e1 up
speaks 1
ns gw ip route del 10.77.2.11/32
health 'through = "port"; unhealthy_interval = "500ms";'
HTTP_KEYS=$NEVER http_push
wait_for 10 "all endpoints up again" all_are up

# ---- endpoints that die under load ----

u=$(url 10.77.9.30)
load dying --seconds 300 --threads 4 --keepalive --spread "$u/who"
load dying2 --seconds 300 --threads 2 "$u/who"
for i in 1 2 3 4; do
	n=$(served "$i")
	wait_for 10 "e$i serves" serves "$i" "$n"
done
down_after e2 $((2 * INTERVAL_MS)) dies http_peer_up
down_after e3 $((INTERVAL_MS + 2 * TIMEOUT_MS)) falls_silent speaks
n=$(served 1)
wait_for 10 "e1 serves on" serves 1 "$n"
http_peer_up 2
speaks 3
wait_for 15 "all endpoints up again" all_are up
n=$(served 2)
wait_for 10 "e2 serves again" serves 2 "$n"

# ---- maintenance under the same load ----

ctl maintenance web/e1 on --reason "a new disk" >"$NET_DIR/out"
grep -q 'web/e1 maintenance, admits 0 of 255' "$NET_DIR/out" || fail "maintenance: $(cat "$NET_DIR/out")"
quiet_at=0
still() { # no request comes while another endpoint has 100
	local n
	quiet_at=$(served 1) n=$(served 4)
	wait_for 10 "e4 serves on" serves 4 $((n + 80)) && [ "$(served 1)" = "$quiet_at" ]
}
wait_for 20 "no request at e1" still
[ "$(endpoint web e1 why) $(endpoint web e1 who)" = "a new disk $(id -un)" ] || fail "why: $(cat "$NET_DIR/ctl.json")"
grep -q '"reason":"a new disk"' "$NET_DIR/audit.log" || grep -q '"reason": "a new disk"' "$NET_DIR/audit.log" || fail "the audit log has no reason"
stop sluiced KILL
daemon_up
wait_for 10 "the daemon's table" is_now web e1 maintenance
[ "$(endpoint web e1 why)" = "a new disk" ] || fail "the reason did not outlive the daemon"
[ "$(served 1)" = "$quiet_at" ] || fail "e1 was asked in its maintenance"
ctl maintenance web/e1 off >"$NET_DIR/out"
wait_for 10 "e1 up" is_now web e1 up
n=$(served 1)
wait_for 10 "e1 serves again" serves 1 "$n"
wait_for 10 "e4 probed by the new daemon" is_now web e4 up
ctl drain web e4 --reason "an update" >"$NET_DIR/out"
[ "$(endpoint web e4 state) $(endpoint web e4 why)" = "draining an update" ] || fail "drain: $(cat "$NET_DIR/ctl.json")"
ctl show endpoints web >"$NET_DIR/out"
grep -q 'draining.*an update' "$NET_DIR/out" || fail "show endpoints does not say why: $(cat "$NET_DIR/out")"
ctl undrain web e4 >"$NET_DIR/out"
wait_for 10 "e4 up again" is_now web e4 up || fail "undrain: $(cat "$NET_DIR/ctl.json")" # where probes had no answer meanwhile
kill -TERM "$(pid_of dying)" "$(pid_of dying2)"
all_good dying
all_good dying2

# ---- ejections: seen, told, and counted for the VIP, though probes find nothing ----

export SERVICE_KEYS='health = { type = "tcp"; through = "port"; interval = "300ms"; timeout = "200ms"; };'
HTTP_KEYS='panic_threshold = 0; ejection = { after = 3; time = "3s"; max_time = "3s"; sweep = "200ms"; max_percent = 100; };' \
	ROUTES='{ name = "r"; retry = { attempts = 0; }; service = "web"; }' http_push
wait_for 10 "the VIP wanted" vip_is waiting
mood() { echo "status 500" >"$NET_DIR/record$1.mood.new" && mv "$NET_DIR/record$1.mood.new" "$NET_DIR/record$1.mood"; }
for i in $ENDPOINTS; do mood "$i"; done
load failing --seconds 300 --threads 2 --pause 0.005 "$u/who"
wait_for 10 "the VIP withdrawn" vip_is withdrawn
# each is out for 3 s, again and again while clients ask
three_out() { [ "$(ctl_json "sum(e['passive'] == 'ejected' and e['why'] == '3 requests in a row failed' and e['health'] == 'up' for e in j['endpoints']) >= 3" show endpoints web)" = True ]; }
wait_for 10 "three ejected whom probes find up" three_out || fail "ejections: $(cat "$NET_DIR/ctl.json")"
wait_for 5 "a word of an ejection" grep -q 'health: web/e[1-4] is ejected by the dataplane: 3 requests in a row failed' "$NET_DIR/sluiced.log"
for i in $ENDPOINTS; do rm -f "$NET_DIR/record$i.mood"; done
wait_for 15 "the VIP wanted again" vip_is waiting
kill -TERM "$(pid_of failing)"
wait "$(pid_of failing)" || true
no_bad_drops
