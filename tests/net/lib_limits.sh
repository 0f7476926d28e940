# shellcheck shell=bash disable=SC2034
# lib_limits.sh — limits with real clients and endpoints, counts compared at the client, the endpoint, in statistics, metrics and
# access log.  WORKERS is set.
set -euo pipefail
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_http.sh"
py=$top/tests/net/limits.py
SITE=${SITE:-200}

limits_table() {
	cat >"$NET_DIR/t.conf" <<-END
		gateway = { name = "${NET}gateway"; };
		network = { addresses = ( { port = "front"; address = "10.77.1.1/24"; }, { port = "back"; address = "10.77.2.1/24"; } ); routes = (); };
		limits = (
		  { name = "site"; requests = $SITE; per = "1s"; },
		  { name = "client"; requests = 50; per = "500ms"; by = "source"; headers = true; },
		  { name = "key"; requests = 10; per = "1s"; by = "header"; header = "x-key"; keys = 3; },
		  { name = "few"; requests = 10; per = "10m"; by = "header"; header = "x-key"; keys = 3; },
		  { name = "web"; requests = 30; per = "2s"; headers = true; },
		  { name = "db"; requests = 5; per = "10m"; } );
		services = (
		  { name = "web"; policy = "round_robin"; http = { ejection = { after = 0; }; };
		    endpoints = ( { name = "e1"; address = "10.77.2.11"; port = 8080; } ); },
		  { name = "slow"; limits = ( "web" ); endpoints = ( { name = "e1"; address = "10.77.2.11"; port = 8080; } ); },
		  { name = "db"; limits = ( "db" ); endpoints = ( { name = "e1"; address = "10.77.2.11"; port = 8080; } ); } );
		listeners = (
		  { name = "http"; address = "10.77.9.30"; port = 80; protocol = "tcp"; mode = "http"; routes = "edge"; },
		  { name = "db"; address = "10.77.9.30"; port = 5432; protocol = "tcp"; mode = "tcp"; service = "db"; } );
		route_tables = ( { name = "edge"; hosts = (
		  { name = "site"; match = ( "site.test" ); policy = { limits = ( "site" ); }; routes = ( { name = "r"; service = "web"; } ); },
		  { name = "client"; match = ( "client.test" ); routes = ( { name = "r"; service = "web"; policy = { limits = ( "client" ); }; } ); },
		  { name = "key"; match = ( "key.test" ); routes = ( { name = "r"; service = "web"; policy = { limits = ( "key" ); }; } ); },
		  { name = "few"; match = ( "few.test" ); routes = ( { name = "r"; service = "web"; policy = { limits = ( "few" ); }; } ); },
		  { name = "slow"; match = ( "slow.test" ); routes = ( { name = "r"; service = "slow"; } ); },
		  { name = "free"; match = ( "*" ); routes = ( { name = "r"; service = "web"; } ); } ); } );
	END
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}

# flood NAME ARGS…: of limits.py, in the background; enough NAME ends it; flooded NAME waits for it; f NAME EXPRESSION over what it says, j.
flood() {
	local name=$1
	shift
	run cl "$name" python3 "$py" flood "$@"
}
enough() { kill -TERM "$(pid_of "$1")" || fail "flood $1 was through before what it is for"; }
flooded() {
	wait "$(pid_of "$1")" || fail "flood $1: $(tail -n 3 "$NET_DIR/$1.log")"
	tail -n 1 "$NET_DIR/$1.log" >"$NET_DIR/$1.json"
}
f() { json "$NET_DIR/$1.json" "$2"; }
# holds NAME NUMBER: never more, nobody refused while there was room, nothing else.
holds() {
	echo "$1: $(cat "$NET_DIR/$1.json")"
	[ "$(f "$1" "j['most'] <= $2 and j['least'] >= 0.99 and not j['other'] and j['refused'] > 0")" = True ] || fail "$1 did not hold at $2"
}
seen() { grep -c "^$1 " "$NET_DIR/requests" || true; }
# row NAME FIELD: of show limits.
row() { ctl_json "[r['$2'] for r in j['limits'] if r['name'] == '$1'][0]" show limits; }

export HUGE=never
net_up
run e1 endpoint python3 "$py" serve 8080 "$NET_DIR/requests"
wait_for 10 "the endpoint" grep -q ready "$NET_DIR/endpoint.log"
ns cl ip addr add 10.77.1.101/24 dev eth0 2>/dev/null || ns cl ip addr add 10.77.1.101/24 dev "$(ns cl ip -o -4 addr show | awk '/10.77.1.100/ { print $2; exit }')"
gateway_up
limits_table

# ---- one number for all ----

flood site 10.77.9.30 site.test / 5 12 "$SITE" 1000
flooded site
holds site "$SITE"
is "at the endpoint" "$(seen site.test)" "$(f site 'j["passed"]')"
is "when to come back" "$(f site 'j["retry"]')" "['1']"
settled_row() { [ "$(row site allowed) $(row site refused)" = "$(f site 'j["passed"]') $(f site 'j["refused"]')" ]; }
wait_for 5 "show limits to say so" settled_row
ns gw curl -sf --unix-socket "$NET_DIR/metrics.sock" http://x/metrics >"$NET_DIR/metrics"
is "in metrics" "$(sed -n 's/^sluice_limit_refused_total{limit="site"} //p' "$NET_DIR/metrics")" "$(f site 'j["refused"]')"
is "whether gateways share it" "$(row site shared)" False
all_counted() { [ "$(http_count rate_limited)" = "$(f site 'j["refused"]')" ]; }
wait_for 5 "each refused request counted as rate_limited" all_counted
# of so many some may be lost on their way, which is counted
logged() { grep -q '"why":"limits/'"$1"'"' "$NET_DIR/access.log"; }
wait_for 10 "lines of the access log that say why" logged site
grep -m 1 '"why":"limits/site"' "$NET_DIR/access.log" | grep -q '"RL"' || fail "no flag RL: $(grep -m 1 limits/site "$NET_DIR/access.log")"

# ---- a number for each client ----

flood one 10.77.9.30,10.77.1.100 client.test / 4 6 50 500
flood two 10.77.9.30,10.77.1.101 client.test / 4 6 50 500
flooded one
flooded two
holds one 50
holds two 50
is "what is left" "$(f one "j['lines']['x-ratelimit-limit'] + ' ' + j['lines']['x-ratelimit-reset']")" "50 1"
is "at the endpoint" "$(seen client.test)" "$(($(f one 'j["passed"]') + $(f two 'j["passed"]')))"

# ---- a number for each value of a header; those over `keys` share one ----

flood a 10.77.9.30 key.test / 3 3 10 1000 x-key:a
flood b 10.77.9.30 key.test / 3 3 10 1000 x-key:b
flood c 10.77.9.30 key.test / 3 3 10 1000 x-key:c
for k in a b c; do flooded $k; done
for k in a b c; do holds $k 10; done
# a worker looks at one of some 400 sets of keys in a turn, and tells the number of a limit in one turn of 128
keys() { [ "$(row key keys)" = "$1" ]; }
wait_for 60 "keys go when nobody asks by them" keys 0

# A number that lasts longer than all this: a key's place is free when its number is, be it for a millisecond, and then somebody else's.
for k in a b c; do flood $k 10.77.9.30 few.test / 1 2 10 100 x-key:$k; done
for k in a b c; do flooded $k; done
for k in a b c; do is "passed of $k" "$(f $k 'j["passed"]')" 10; done
full() { [ "$(row few keys) $(row few overflow)" = "3 0" ]; }
wait_for 5 "three keys, each with a number of its own" full
flood d 10.77.9.30 few.test / 1 4 10 100 x-key:d
flooded d
is "passed of a fourth key" "$(f d 'j["passed"]')" 10
shares() { [ "$(row few keys)" = 3 ] && [ "$(row few overflow)" = "$(f d 'j["passed"] + j["refused"]')" ]; }
wait_for 5 "a fourth key, by the number of those without one of their own" shares
for k in a d e; do gives "$k, which has none left" 429 -H 'Host: few.test' -H "x-key: $k" http://10.77.9.30/; done

# ---- a service's ----

flood slow 10.77.9.30 slow.test / 5 4 30 2000
flooded slow
holds slow 30
is "at the endpoint" "$(seen slow.test)" "$(f slow 'j["passed"]')"
wait_for 10 "lines of the access log that say why" logged web

# ---- connections of mode tcp ----

n=0
for _ in 1 2 3 4 5 6 7; do
	! ns cl curl -s --max-time 20 -o /dev/null http://10.77.9.30:5432/db || n=$((n + 1))
done
is "connections" "$n" 5
told_of() { [ "$(row db refused) $(ctl_json "[r['count'] for r in j['tcp'] if r['name'] == 'relay_rate'][0]" show tcp)" = "2 2" ]; }
wait_for 5 "two refused connections, and counted" told_of
told() { [ "$(grep '"protocol":"TCP"' "$NET_DIR/access.log" | grep -c '"flags":"RL","reason":null,"why":"db"')" = 2 ]; }
wait_for 5 "a line of the access log for each refused connection" told

# ---- explain; pushes ----

# used_up: somebody is refused from now on.
used_up() {
	local before
	before=$(row site refused)
	refuses() { [ "$(row site refused)" -gt "$before" ]; }
	wait_for 10 "the number to be used up" refuses
}
flood pushed 10.77.9.30 site.test / 300 12 "$SITE" 1000
used_up
begun=${EPOCHREALTIME/./}
while [ $((${EPOCHREALTIME/./} - begun)) -lt 2000000 ]; do
	limits_table # nothing changed: nothing is given back
	used_up
done
enough pushed
flooded pushed
holds pushed "$SITE"
SITE=40 limits_table
sleep_out() { [ "$(ns cl curl -s -o /dev/null -w '%{http_code}' -H 'Host: site.test' http://10.77.9.30/)" = 200 ]; }
wait_for 10 "the first of a smaller number" sleep_out
flood less 10.77.9.30 site.test / 4 4 40 1000
flooded less
holds less 40

# ---- a number that gateways share, where there is nobody to share with ----

sed -e 's/{ name = "site"; requests = [0-9]*;/& shared = true;/' "$NET_DIR/t.conf" >"$NET_DIR/shared.conf"
! ctl push "$NET_DIR/shared.conf" >"$NET_DIR/push.out" 2>&1 || fail "a shared limit was taken by a gateway on its own"
grep -q 'shared.conf:4: limits\[0\].shared: .*store.limits' "$NET_DIR/push.out" || fail "a shared limit was refused with other words: $(cat "$NET_DIR/push.out")"
flood still 10.77.9.30 site.test / 2 4 40 1000
flooded still
[ "$(f still "j['most'] <= 40 and j['passed'] > 0")" = True ] || fail "what was refused changed something"
quiet
echo "limits hold with ${WORKERS} workers"
