# shellcheck shell=bash
# lib_tcp_basic.sh — mode tcp with kernel clients and servers, all that a connection can meet.  WORKERS is set.
set -euo pipefail
# shellcheck source=tests/net/lib_tcp.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_tcp.sh"

export TCP_KEYS='connect_timeout = "400ms"; retries = 3;'
tcp_up
sum=$(sha256sum <"$NET_DIR/blob")

# ---- bytes, every pair of families ----

for h in $HOSTS; do
	u=$(url "$h")
	[[ $(ns cl curl -gs --max-time 10 "$u/") = e[1-4] ]] || fail "$h: no answer"
	case $(ns cl curl -gs --max-time 10 "$u/peer") in
	10.77.2.1 | fd77:2::1) ;;
	*) fail "$h: the endpoint does not see the gateway" ;;
	esac
	[ "$(ns cl curl -gs --max-time 20 "$u/blob" | sha256sum)" = "$sum" ] || fail "$h: the download differs"
	[ "$(ns cl curl -gs --max-time 10 -o /dev/null -w '%{num_connects}' "$u/" "$u/health" "$u/peer" | tail -c 1)" = 0 ] ||
		fail "$h: curl could not keep its connection"
	peer both tcp "$h" 7000 --count 6 --up 1000000 --down 1000000 --timeout 20
	good both
	peer kept tcp "$h" 7000 --count 50 --keep --up 3000 --down 3000
	good kept
	tp half "$h" 7002
	tp half "$h" 7002 0
	tp first "$h" 7003
	tp reset "$h" 7004
	tp is-reset "$h" 7005
done
for i in $ENDPOINTS; do
	! grep -E 'first (ValueError|.*Error)' "$NET_DIR/tcp_peer$i.log" || fail "e$i did not get what came after its own end"
done
reset_arrived() { grep -q 'echo ConnectionResetError' "$NET_DIR"/tcp_peer[1-4].log; }
wait_for 10 "a client's reset at the endpoint" reset_arrived
# A server that reads nothing stops the client, and the gateway keeps no more than a few windows.
tp stuck 10.77.9.20 7006
[ "$(tpj 'j["bytes"] < 40e6')" = True ] || fail "back-pressure: $(tpj 'j["bytes"]') bytes went towards a server that reads nothing"
waits() { [ "$(streams --side endpoint --queue 1)" -eq 1 ]; }
wait_for 10 "one stream whose queue waits" waits
for i in $ENDPOINTS; do
	stop "tcp_peer$i"
	tcp_peer_up "$i"
done
gone 10 "streams of before over"

# shellcheck disable=SC2046
load all --seconds 2 --threads 6 $(for h in $HOSTS; do url "$h"; done)
all_good all
for e in e1 e2 e3 e4; do [ "$(answers_of all $e)" -gt 0 ] || fail "$e answered nothing"; done
# shellcheck disable=SC2046
load keep --seconds 1 --threads 8 --keepalive $(for h in $HOSTS; do url "$h"; done)
all_good keep

# ---- streams, as show streams has them ----

gone 10 "streams of before over"
tp_ends seen 10.77.9.20 7004 120
[ "$(streams --listener v10-77-9-20-7004)" -ge 1 ] || fail "show streams does not show a connection"
ctl show streams --pairs
[ "$(streams --address 10.77.1.100 --side client --state established)" -eq 1 ] || fail "show streams does not find it by its client"
[ "$(streams --address 10.77.2.0/24 --side endpoint --state established)" -eq 1 ] || fail "show streams does not find the other half"
[ "$(streams --address 192.0.2.0/24)" -eq 0 ] || fail "show streams finds what is not there"

stop seen
# ---- endpoints that fail ----

# met COUNTER WHAT: twelve connections at a time, all answered, until one was given to the endpoint that fails: then the counter
# has risen.  Their ports decide whom they are given to: of twelve, none is in one case of thirty.
met() {
	local before
	before=$(tcp_count "$1")
	for _ in 1 2 3 4 5 6 7 8; do
		tp limit 10.77.9.20 7004 12
		[ "$(tpj 'j == {"answered": 12}')" = True ] || fail "$2: $(cat "$NET_DIR/tp.json")"
		[ "$(tcp_count "$1")" -eq "$before" ] || return 0
	done
	fail "$2: $1 did not count"
}

# soon WHAT [MS]: a connection is reset within 4.5 s, but not before MS; a machine may stand still for most of that, once of three times.
soon() {
	for _ in 1 2 3; do
		tp opens 10.77.9.20 "${3:-7004}"
		[ "$(tpj "j['how'] == 'reset' and j['ms'] > ${2:--1}")" = True ] || fail "$1: $(cat "$NET_DIR/tp.json")"
		[ "$(tpj 'j["ms"] >= 4500')" = True ] || return 0
	done
	fail "$1: $(cat "$NET_DIR/tp.json")"
}

# Nobody listens in e2: its kernel refuses, and another one answers.
stop tcp_peer2
met relay_retry "with e2 refusing"
tcp_peer_up 2
# e3 does not answer SYNs: after the connect time-out another one does.
ns e3 ip route add blackhole 10.77.2.1/32
met end_connect_timeout "with e3 silent"
tcp_push 3
counted end_connect_timeout soon "only a silent endpoint" 350
ns e3 ip route del blackhole 10.77.2.1/32
tcp_push
# Nobody listens anywhere, or there is no endpoint: a reset, and no waiting for anything.
counted relay_connect_failed soon "nobody listens" -1 7009
tcp_push ""
counted relay_no_endpoint soon "no endpoint at all"
tcp_push

# ---- limits ----

LISTENER_KEYS='max_connections = 5;' tcp_push
gone 10 "streams of before over"
for h in 10.77.9.20 fd77:9::20; do
	for _ in 1 2; do
		tp limit $h 7004 8
		[ "$(tpj 'j.get("answered") == 5 and sum(j.values()) == 8')" = True ] || fail "a listener's limit of 5: $(cat "$NET_DIR/tp.json")"
		gone 10 "streams over"
	done
done
refused() { echo $(($(tcp_count syn_refused) + $(tcp_count relay_limit))); }
before=$(refused)
TCP_KEYS='max_connections = 4;' tcp_push
tp limit 10.77.9.20 7004 6
[ "$(tpj 'j.get("answered") == 4 and sum(j.values()) == 6')" = True ] || fail "a service's limit of 4: $(cat "$NET_DIR/tp.json")"
counts() { [ "$(refused)" -ge $((before + 2)) ]; } # more, where a client did not hear it and asked again
wait_for 10 "two refusals counted" counts

TCP_KEYS='idle_timeout = "700ms";' tcp_push
counted relay_idle tp ends 10.77.9.20 7004 10
[ "$(tpj 'j["how"] != "no end" and j["ms"] > 650')" = True ] || fail "idle time-out of 700 ms: $(cat "$NET_DIR/tp.json")"

# ---- the operator ----

tcp_push
gone 10 "streams of before over"
for n in 1 2 3 4 5 6; do tp_ends "open$n" 10.77.9.20 7004 120; done
all=$(streams --listener v10-77-9-20-7004)
endpoint=$(ctl_json "[s['endpoint'] for s in j['streams'] if s['endpoint']][0]" show streams --listener v10-77-9-20-7004)
had=$(streams --listener v10-77-9-20-7004 --endpoint tcp4 "$endpoint")
ctl drain tcp4 "$endpoint" >/dev/null
load drained --seconds 1 --threads 4 http://10.77.9.20
all_good drained
[ "$(answers_of drained "$endpoint")" -eq 0 ] || fail "$endpoint is drained and got new connections"
[ "$(streams --listener v10-77-9-20-7004 --endpoint tcp4 "$endpoint")" -eq "$had" ] || fail "drain ended connections"
ctl undrain tcp4 "$endpoint" >/dev/null
ctl disable tcp4 "$endpoint" >/dev/null
ended() { [ "$(streams --listener v10-77-9-20-7004 --endpoint tcp4 "$endpoint")" -eq 0 ]; }
wait_for 10 "connections of the disabled $endpoint ended" ended
ctl enable tcp4 "$endpoint" >/dev/null
[ "$(streams --listener v10-77-9-20-7004)" -eq $((all - had)) ] || fail "those on other endpoints ended too"
tcp_push "1 2"
others() { [ "$(ctl_json "{s['endpoint'] for s in j['streams'] if s['endpoint']} <= {'e1', 'e2'}" show streams)" = True ]; }
wait_for 10 "connections of removed endpoints ended" others
[ "$(tcp_count end_admin)" -gt 0 ] || fail "end_admin did not count"
for n in 1 2 3 4 5 6; do stop "open$n"; done
tp_ends listener 10.77.9.20 7004 30
LISTEN="80 7000" tcp_push
tp_ended listener
[ "$(say listener 'j["how"] == "reset"')" = True ] || fail "the listener went, the connection: $(cat "$NET_DIR/listener.json")"

# ---- shares ----

export SERVICE_KEYS='policy = "round_robin";' WEIGHTS="1 2 3 4" LISTEN="80 7000 7004"
tcp_push
peer shares tcp 10.77.9.20 7000 --count 200
good shares
# Each worker walks for itself: each may be in the middle of a round of ten.
[ "$(say shares "all(abs(j['by'].get('e%d' % i, 0) - 20 * i) <= 3 * $WORKERS for i in (1, 2, 3, 4))")" = True ] ||
	fail "weights 1 2 3 4: $(say shares 'j["by"]')"
echo "shares: $(say shares 'j["by"]') of 200 connections by weights 1 2 3 4"
export SERVICE_KEYS='policy = "least_conn";' WEIGHTS="1 1 1 1"
tcp_push
gone 10 "streams of before over"
run cl held python3 "$top/tests/net/peer.py" hold 10.77.9.20 7000 --connections 80
wait_for 10 "80 connections" grep -q ready "$NET_DIR/held.log"
stop held
tail -n 1 "$NET_DIR/held.log" >"$NET_DIR/held.json"
good held
[ "$(say held "max(j['spread'].values()) - min(j['spread'].values()) <= 2 * $WORKERS")" = True ] ||
	fail "least_conn: $(say held 'j["spread"]')"
echo "shares: $(say held 'j["spread"]') of 80 held connections by least_conn"

gone 10 "all streams over"
no_bad_drops
ctl show drops | awk '$2 > 0'
