#!/usr/bin/env bash
# Connections of mode tcp when a process goes: none of them notices the daemon; with the dataplane they end, by RST where it
# is stopped or becomes another, else when they next speak; new ones are served at once.  And tcp = { streams = 0; }.
# Runs alone.
set -euo pipefail
# shellcheck source=tests/net/lib_tcp.sh
. "$(dirname "$0")/lib_tcp.sh"

export WORKERS=2 HUGE=never LISTEN="80 7004" BOOT_KEYS='privileges = "keep";'
tcp_up
served() { ns cl curl -sf --max-time 0.3 -o /dev/null http://10.77.9.20/; }

# speaks NAME: a connection that speaks again when $NET_DIR/NAME.go is there; its last line says what came of it.
speaks() {
	ns cl python3 -c '
import os, socket, sys, time
s = socket.create_connection(("10.77.9.20", 80), 5)
get = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
s.sendall(get)
s.recv(4096)
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
s.settimeout(10)
try:
    s.sendall(get)
    print("answer" if s.recv(4096) else "eof", flush=True)
except ConnectionResetError:
    print("reset", flush=True)
' "$NET_DIR/$1.go" >"$NET_DIR/$1.log" 2>&1 &
	echo $! >"$NET_DIR/$1.pid"
	NET_PIDS+=($!)
	wait_for 10 "an answer for $1" grep -q ready "$NET_DIR/$1.log"
}
# spoke NAME WHAT: it says so now.
spoke() {
	touch "$NET_DIR/$1.go"
	wait "$(pid_of "$1")" || fail "$1: $(cat "$NET_DIR/$1.log")"
	[ "$(tail -n 1 "$NET_DIR/$1.log")" = "$2" ] || fail "$1: $(tail -n 1 "$NET_DIR/$1.log") instead of $2"
}

# ---- the daemon ----

speaks daemon
had=$(streams)
[ "$had" -ge 2 ] || fail "show streams has $had"
stop sluiced KILL
wait_for 10 "an answer without the daemon" served
daemon_up
wait_for 10 "the dataplane connected again" connected
gone_by() { [ "$(streams)" -eq "$had" ]; }
wait_for 10 "the same streams as before" gone_by
spoke daemon answer

# ---- the dataplane: killed, become another, stopped ----

speaks killed
stop dataplane KILL
dataplane_up
wait_for 10 "serving again" served
spoke killed reset
gone 10 "streams after a kill"

tp_ends upgraded 10.77.9.20 7004 30
ctl upgrade || fail "the upgrade failed: $?"
tp_ended upgraded
[ "$(say upgraded 'j["how"]')" = reset ] || fail "upgraded: $(cat "$NET_DIR/upgraded.json")"
wait_for 10 "serving again" served

tp_ends stopped 10.77.9.20 7004 30
stop dataplane
tp_ended stopped
[ "$(say stopped 'j["how"]')" = reset ] || fail "stopped: $(cat "$NET_DIR/stopped.json")"

# ---- without TCP ----

echo 'tcp = { streams = 0; };' >>"$NET_DIR/dataplane.conf"
dataplane_up
wait_for 10 "the dataplane connected again" connected
! served || fail "mode tcp was served without streams"
ctl show streams >"$NET_DIR/none.out" 2>&1 && fail "show streams: $(cat "$NET_DIR/none.out")"
grep -q 'no stream region' "$NET_DIR/none.out" || fail "show streams: $(cat "$NET_DIR/none.out")"
# asked again: before the table is there nobody is missing
no_listener() { ! served && [ "$(drops_of no_listener)" -gt 0 ]; }
wait_for 10 "no_listener to count" no_listener
no_bad_drops
