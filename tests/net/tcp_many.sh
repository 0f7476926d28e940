#!/usr/bin/env bash
# Ten thousand idle connections through the gateway, in both families, held and then each used: all answer; then all end, and nothing
# is left of them.
# Runs alone.
set -euo pipefail
# shellcheck source=tests/net/lib_tcp.sh
. "$(dirname "$0")/lib_tcp.sh"

export WORKERS=${WORKERS:-2} HUGE=never LISTEN=7100 TCP_KEYS='max_connections = 0;'
CONNECTIONS=${CONNECTIONS:-10000}
net_up
for i in $ENDPOINTS; do
	LETTER=$i run "e$i" "idle$i" python3 "$top/tests/net/idle.py" serve 7100
	listening() { ns "e$1" ss -Hltn 'sport = 7100' | grep -q '\[::\]'; }
	wait_for 10 "idle.py in e$i" listening "$i"
done
gateway_up
tcp_push
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(pid_of dataplane)/status"; }
# used: each is used once; what came of it.
used() {
	local had
	had=$(grep -c held "$NET_DIR/hold.log" || true)
	kill -USR1 "$(pid_of hold)"
	wait_for 30 "echoes" sh -c "[ \$(grep -c held '$NET_DIR/hold.log') -gt $had ]"
	tail -n 1 "$NET_DIR/hold.log" >"$NET_DIR/hold.json"
	[ "$(say hold 'j["lost"] == 0 and j["echoed"]')" = "$CONNECTIONS" ] || fail "idle connections: $(cat "$NET_DIR/hold.json")"
}

before=$(rss)
start=$EPOCHREALTIME
run cl hold python3 "$top/tests/net/idle.py" hold "$NET_DIR/ready" "$CONNECTIONS" 10.77.9.20:7100 '[fd77:9::20]:7100' 10.77.9.21:7100
wait_for 60 "$CONNECTIONS connections" test -e "$NET_DIR/ready"
opened=$(python3 -c "print(round(($EPOCHREALTIME - $start) * 1000))")
[ "$(streams)" -eq $((2 * CONNECTIONS)) ] || fail "show streams has $(streams), not $((2 * CONNECTIONS))"
held=$(rss)
used
sleep "${IDLE:-3}"
used
echo "held connections: $CONNECTIONS idle ones opened in $opened ms, all answered twice, the second time within $(say hold 'j["ms"]') ms;" \
	"resident memory $before kB before, $held kB with them"
stop hold KILL
gone 20 "all streams over"
# No look at what must be 0: ten thousand at once may be more than a ring holds; retransmissions are there for that.
ctl show drops | awk '$2 > 0'
