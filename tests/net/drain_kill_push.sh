#!/usr/bin/env bash
# Endpoints drained, killed, disabled, weighted, removed and re-added under load; 100 pushes under load.
# Runs alone.
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

export WORKERS=2
net_up
servers_up
gateway_up
table "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf"
wait_for 10 "endpoints up" state_is web4 e4 up

# drain: open connections go on, nothing new
load held --seconds 300 --threads 12 --keepalive http://10.77.9.10 'http://[fd77:9::11]'
ctl drain web4 e1
ctl drain dsr6 e1
load drained --seconds 60 --requests 500 --threads 4 http://10.77.9.10 'http://[fd77:9::11]'
all_good drained
[ "$(answers_of drained e1)" -eq 0 ] || fail "a drained endpoint got new flows"
enough held
ctl undrain web4 e1
ctl undrain dsr6 e1

# weight 0 %: as good as drained; back to 100
ctl weight web4 e2 0
load weighted --seconds 60 --requests 500 --threads 4 http://10.77.9.10
all_good weighted
[ "$(answers_of weighted e2)" -eq 0 ] || fail "weight 0 still got new flows"
ctl weight web4 e2 100

# kill: out within two intervals and a half, once in three times on a machine that may stand still meanwhile; requests hidden by the
# client's retry; back when it is back
load killed --seconds 300 --threads 4 --retry 3 http://10.77.9.10
for again in 1 2 3; do
	stop nginx3 KILL
	start=${EPOCHREALTIME/./}
	wait_for 20 "e3 down" state_is web4 e3 down
	since=$(ctl_json "[e['health_since'] for e in j['endpoints'] if e['name'] == 'e3'][0]" show endpoints web4) # not when we saw it
	took=$(($(date -d "$since" +%s%3N) - start / 1000))
	echo "e3 was out after $took ms"
	if [ "$took" -le 1800 ] || [ "$again" = 3 ]; then break; fi
	server_up 3
	wait_for 20 "e3 up" state_is web4 e3 up
done
[ "$took" -le 1800 ] || fail "probe took $took ms to put e3 out"
enough killed
load without --seconds 60 --requests 500 --threads 4 http://10.77.9.10
all_good without
[ "$(answers_of without e3)" -eq 0 ] || fail "a dead endpoint got requests"
server_up 3
wait_for 20 "e3 up" state_is web4 e3 up

# 100 pushes under load; open connections stay, nothing fails
load kept --seconds 300 --threads 12 --keepalive http://10.77.9.10 http://10.77.9.11 'http://[fd77:9::10]'
# shellcheck disable=SC2086
load fresh --seconds 300 --threads 2 --pause 0.002 $WEB $DNS
for i in $(seq 100); do
	sed "s/max_endpoints = 40/max_endpoints = $((40 + i % 7))/" "$NET_DIR/t.conf" >"$NET_DIR/u.conf"
	ctl push "$NET_DIR/u.conf" >/dev/null || fail "push $i"
done
enough kept fresh
[ "$(ctl_json "j['generation']['active']" status)" -ge 101 ] || fail "generations did not rise"

# disable: established flows end
load ended --seconds 300 --threads 12 --timeout 1 --keepalive http://10.77.9.10
for e in e1 e2 e3; do ctl disable web4 $e; done
some_ended() { grep -q '"failed": [1-9]' "$NET_DIR/ended.so_far"; }
wait_for 20 "disable to end connections" some_ended
kill -TERM "$(pid_of ended)"
loaded ended
for e in e1 e2 e3; do ctl enable web4 $e; done

# a table with mistakes is refused, with all of them, and nothing changes
before=$(ctl_json "j['generation']['active']" status)
sed 's/port = 80;/prot = 80;/' "$NET_DIR/t.conf" >"$NET_DIR/bad.conf"
ctl push "$NET_DIR/bad.conf" 2>"$NET_DIR/bad.err" && fail "a bad table was taken"
[ "$(grep -c 'unknown key' "$NET_DIR/bad.err")" -ge 16 ] || fail "not every mistake was named: $(cat "$NET_DIR/bad.err")"
sed 's/port = "back"/port = "bakc"/' "$NET_DIR/t.conf" >"$NET_DIR/bad.conf"
ctl push "$NET_DIR/bad.conf" 2>"$NET_DIR/bad.err" && fail "a table for an unknown port was taken"
grep -q bakc "$NET_DIR/bad.err" || fail "the refusal does not name the port: $(cat "$NET_DIR/bad.err")"
[ "$(ctl_json "j['generation']['active']" status)" = "$before" ] || fail "a refused table changed the generation"
load still --seconds 60 --requests 500 --threads 4 http://10.77.9.10
all_good still
no_bad_drops
