# shellcheck shell=bash
# lib_registry.sh — services that register themselves move traffic.  WORKERS is set.
#
#   curl, sluicectl ── registry ──▶ roster ──▶ revision ──▶ dataplane        cl ══ gateway ══ e1 … e4
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_test.sh"

# shellcheck disable=SC2089,SC2090 # the quotes are the file's
export DAEMON_KEYS='registry = { remove_after = "20s"; };'
net_up
servers_up
gateway_up

# registry METHOD PATH [BODY]: the status
registry() {
	curl -s -m 10 -o "$NET_DIR/registry.json" -w '%{http_code}' --unix-socket "$NET_DIR/registry.sock" -X "$1" ${3:+--data-binary "$3"} \
		"http://localhost/v1/registry$2"
}
put() { [ "$(registry PUT "/web/e$1" "{\"address\": \"10.77.2.1$1\", \"port\": 80${2:-}}")" = "${3:-201}" ] || fail "PUT e$1: $(cat "$NET_DIR/registry.json")"; }
beat() { [ "$(registry POST "/web/e$1/heartbeat" "${2:-}")" = 200 ] || fail "heartbeat of e$1: $(cat "$NET_DIR/registry.json")"; }
# answering COUNT [SECONDS]: who answers so many requests, each on a connection of its own, up to the first that nobody answers
answering() { { ns cl curl -s -m "${2:-2}" --fail-early -H 'Connection: close' "http://10.77.9.10/?[1-$1]" || echo none; } | sort | uniq -c | awk '{printf "%s%s=%d", n++ ? " " : "", $2, $1}'; }
only() { [[ "$(answering 12)" = "$1=12" ]]; }
among() {
	local got e
	got=$(answering 24)
	for e in $1; do [[ " $got " = *" $e="* ]] || return 1; done
	[ "$(wc -w <<<"$got")" -eq "$(wc -w <<<"$1")" ]
}
cat >"$NET_DIR/t.conf" <<-END
	gateway = { name = "${NET}gateway"; };
	network = { addresses = ( { port = "front"; address = "10.77.1.1/24"; }, { port = "back"; address = "10.77.2.1/24"; } ); routes = (); };
	services = ( { name = "web"; forward = "nat"; max_endpoints = 8; discover = ( { source = "registry"; } ); } );
	listeners = ( { name = "web"; address = "10.77.9.10"; port = 80; protocol = "tcp"; mode = "l4"; service = "web"; } );
END
ctl push "$NET_DIR/t.conf"
[ "$(answering 1 1)" = none=1 ] || fail "somebody answers, and nobody has registered"

put 1
wait_for 5 "e1, that has registered" only e1
put 2
put 3 ', "weight": 2'
wait_for 5 "three that have registered" among "e1 e2 e3"
[ "$(ctl_json "sorted(e['endpoint'] for e in j['registry'] if e['asked'])" show registry web)" = "['e1', 'e2', 'e3']" ] || fail "show registry"

# open connections stay, and none fails, while endpoints come and go
load held --seconds 300 --threads 6 --keepalive http://10.77.9.10
# an endpoint that leaves gets no new flows
beat 3 '{"drain": true}'
wait_for 5 "e3 to get nothing new" among "e1 e2"
beat 3 '{"drain": false}'
wait_for 5 "e3 to be back" among "e1 e2 e3"
# nor one in maintenance
[ "$(registry POST /web/e2/maintenance '{"on": true, "reason": "new disk"}')" = 200 ] || fail "maintenance"
wait_for 5 "e2 to get nothing new" among "e1 e3"
[ "$(registry POST /web/e2/maintenance '{"on": false}')" = 200 ] || fail "end of maintenance"
wait_for 5 "e2 to be back" among "e1 e2 e3"
enough held
# sluicectl is another way to the same
ctl deregister web/e3
wait_for 5 "e3 to be gone" among "e1 e2"
ctl register web/e4 --address 10.77.2.14 --port 80 --weight 1 --ttl 60s --metadata version=v2
wait_for 5 "e4 to be there" among "e1 e2 e4"

# silence, now with 1 s: e4 gets nothing new within its TTL and a look, is back with a heartbeat, and is removed in the end
put 4 ', "weight": 1, "ttl_s": 1' 200
wait_for 8 "e4, which is silent, to get nothing" among "e1 e2"
wait_for 5 "its silence told" grep -q 'web/e4 is silent' "$NET_DIR/sluiced.log"
state_of_e4() { ctl_json "[e['state'] for e in j['registry'] if e['endpoint'] == 'e4'][0]" show registry web; }
heard() { beat 4 && [ "$(state_of_e4)" = up ]; } # who looks only after its TTL sees it silent again
wait_for 5 "e4, which was heard, to be up" heard
wait_for 60 "e4 to be removed" grep -q 'web/e4 is removed' "$NET_DIR/sluiced.log"
[ "$(registry POST /web/e4/heartbeat)" = 404 ] || fail "a heartbeat of what was removed"

# killed and started again, sluiced knows who registered, and the traffic goes on meanwhile
load over --seconds 300 --threads 4 http://10.77.9.10
stop sluiced KILL
wait_for 10 "traffic without sluiced" among "e1 e2"
daemon_up
[ "$(ctl_json "sorted(e['endpoint'] for e in j['registry'])" show registry)" = "['e1', 'e2']" ] || fail "registrations over a kill"
wait_for 10 "the table" among "e1 e2"
put 3
wait_for 5 "e3 after the restart" among "e1 e2 e3"
enough over

# nobody left: the last good answer stays
for i in 1 2 3; do [ "$(registry DELETE "/web/e$i")" = 204 ] || fail "DELETE e$i"; done
# (connections to those that went are cut while they go)
steady() { [[ "$(answering 20)" != *none* ]]; }
wait_for 5 "answers though the registry has emptied a service" steady

# one endpoint that moves: from the request to the first packet at the new place.  A connection to the old place, whose endpoint is
# gone, ends: it is given 0.1 s, and counts.
place() { [[ "$(registry PUT /web/one "{\"address\": \"10.77.2.1$1\", \"port\": 80}")" = 20[01] ]] || fail "PUT one: $(cat "$NET_DIR/registry.json")"; }
place 1
wait_for 5 "one, alone" only e1
took=""
for i in 2 3 4 1 2 3 4 1; do
	start=${EPOCHREALTIME/./}
	place "$i"
	tries=0 # every ten of them 0.1 s more, on a machine that takes longer for a connection
	until [ "$(ns cl curl -s -m "0.$((1 + tries / 10))" http://10.77.9.10/)" = "e$i" ]; do
		tries=$((tries + 1))
		[ $(((${EPOCHREALTIME/./} - start) / 1000)) -lt 10000 ] || fail "traffic did not follow to e$i"
	done
	took="$took $(((${EPOCHREALTIME/./} - start) / 1000))"
done
echo "from the request to the first packet moved, ms:$took"
no_bad_drops
