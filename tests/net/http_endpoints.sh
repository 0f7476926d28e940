#!/usr/bin/env bash
# Endpoints that die, fail and are slow, and who gets which request: retries, ejection, panic, least request, ring hash, sticky splits,
# mirrors; the access log goes on through rotation; explain says beforehand what happens.  2 workers, af_packet.
set -euo pipefail
export WORKERS=2 DRIVER=${DRIVER:-af_packet}
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "$0")/lib_http.sh"

# mood I [WHAT]: what endpoint I does to each request (http_peer.py).
mood() {
	if [ $# = 1 ]; then
		rm -f "$NET_DIR/record$1.mood"
	else
		echo "$2" >"$NET_DIR/record$1.mood.new"
		mv "$NET_DIR/record$1.mood.new" "$NET_DIR/record$1.mood"
	fi
}
ejected() { [ "$(ctl_json "[e['ejected'] for e in j['endpoints'] if e['name'] == '$1'][0]" show endpoints web)" = "${2:-True}" ]; }
RETRY='retry = { attempts = 3; on = ( "connect", "reused", "reset", "5xx" ); };'
NEVER='ejection = { after = 0; };'

export PORT=8080 HTTP_KEYS=$NEVER ROUTES="{ name = \"r\"; $RETRY service = \"web\"; }"
net_up
for i in $ENDPOINTS; do http_peer_up "$i"; done
gateway_up
stop sluiced
sed -i 's|access.log";|& rotate_mb = 1; keep = 8;|' "$NET_DIR/sluiced.conf"
daemon_up
http_push
u=$(url 10.77.9.30)

# ---- an endpoint that dies under load ----

# more at a time than the breaker of 3 retries and the budget let through, which would be answered 503
HTTP_KEYS="$NEVER max_retries = 100; budget = { percent = 100; min = 50; };" http_push
load dying --seconds 120 --threads 6 --keepalive --spread "$u/slow/5" "$u/who"
load dying6 --seconds 120 --threads 2 --spread "$(url fd77:9::30)/slow/5"
before=$(http_count retry_ok)
for i in 2 3 2; do
	served=$(wc -l <"$NET_DIR/record$i")
	serves() { [ "$(wc -l <"$NET_DIR/record$i")" -gt $((served + 20)) ]; }
	wait_for 10 "e$i serves" serves
	stop "http_peer$i" KILL # in the middle of what it does
	tried=$(http_count retry)
	again() { [ "$(http_count retry)" -gt $((tried + 3)) ]; }
	wait_for 10 "requests to dead e$i tried again" again
	http_peer_up "$i"
done
kill -TERM "$(pid_of dying)" "$(pid_of dying6)"
all_good dying
all_good dying6
[ "$(http_count retry_ok)" -gt "$before" ] || fail "no retry was answered"
# An answer that has begun is not begun again, nor passed off as whole.
cut_off() { ! get -o /dev/null "$u/die-in" || fail "an answer that broke off came whole"; }
counted answer_cut cut_off
is "and the next one" "$(code "$u/who")" 200

# ---- ejection and return ----

EJECT='ejection = { after = 3; time = "3s"; max_time = "3s"; sweep = "300ms"; max_percent = %s; };'
# shellcheck disable=SC2059
HTTP_KEYS="max_retries = 100; budget = { percent = 100; min = 50; }; $(printf "$EJECT" 50)" http_push
load ejecting --seconds 120 --threads 4 --keepalive --spread "$u/who"
reports=$(http_count eject_report)
ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
good_until=$(ms)
mood 2 "status 500"
wait_for 10 "e2 ejected" ejected e2
[ "$(http_count eject_report)" -gt "$reports" ] || fail "eject_report did not count"
mood 2
served=$(wc -l <"$NET_DIR/record2")
for n in $(seq 12); do
	# it was ejected after it began to fail, and is out for 3 s
	[ "$(get "$u/who")" != e2 ] || [ $(($(ms) - good_until)) -ge 3000 ] || fail "an ejected endpoint was asked"
done
wait_for 10 "e2 back" ejected e2 False
serves() { [ "$(wc -l <"$NET_DIR/record2")" -gt $((served + 20)) ]; }
wait_for 10 "e2 serves again" serves
kill -TERM "$(pid_of ejecting)"
all_good ejecting

# ---- panic ----

# shellcheck disable=SC2059
HTTP_KEYS="panic_threshold = 50; $(printf "$EJECT" 100 | sed 's/"3s"/"60s"/g')" ROUTES="{ name = \"r\"; retry = { attempts = 0; }; service = \"web\"; }" http_push
panic=$(http_count panic)
for i in 1 2 3; do mood $i "status 500"; done
fails() { [ "$(code "$u/who")" = 500 ]; }
for i in 1 2 3; do
	out() { fails || true; ejected e$i; }
	wait_for 20 "e$i ejected" out
done
wait_for 10 "in a panic the ejected are asked" fails
[ "$(http_count panic)" -gt "$panic" ] || fail "panic did not count"
# shellcheck disable=SC2059
HTTP_KEYS="panic_threshold = 0; $(printf "$EJECT" 100 | sed 's/"3s"/"60s"/g')" ROUTES="{ name = \"r\"; retry = { attempts = 0; }; service = \"web\"; }" http_push
for n in $(seq 20); do is "without panic" "$(get "$u/who")" e4; done
for i in 1 2 3; do mood $i; done

# ---- least request ----

POLICY=least_request http_push
mood 3 "delay 1000" # much more than a busy machine takes for the others
load least --seconds 120 --requests 600 --threads 8 --keepalive --spread "$u/who"
all_good least
mood 3
slow=$(answers_of least e3) all=$(say least 'j["requests"]')
echo "least request: the slow endpoint had $slow of $all"
[ $((slow * 6)) -lt $((all - slow)) ] || fail "the slow endpoint had $slow of $all: $(say least 'j["by"]')"
[ "$slow" -gt 0 ] || fail "the slow endpoint had none at all"

# ---- ring hash, explain ----

export POLICY=ring_hash HTTP_KEYS="$NEVER hash = { header = \"x-user\"; };"
export ROUTES='{ name = "hello"; path = "/hello"; respond = { code = 200; body = "hi\n"; }; }, { name = "r"; service = "web"; }'
http_push
whose() { for n in $(seq 12); do get -H "x-user: user-$n" "$1/who"; done | xargs; }
mine=$(whose "$u")
[ "$(tr ' ' '\n' <<<"$mine" | sort -u | wc -l)" -ge 3 ] || fail "12 users on $mine"
is "other workers, other family" "$(whose "$(url fd77:9::30)")" "$mine"
for n in 1 2 3; do
	TABLE_KEYS="max_requests = 100$n;" WEIGHTS='1 1 1 1' http_push
	is "users through push $n" "$(whose "$u")" "$mine"
done
foretold() { ctl_json "j['endpoint'] and j['endpoint']['name']" explain --http 'GET /who' -H "x-user: user-$1" --from "10.77.1.100:$((2000 + $1))"; }
is "what explain says of them" "$(for n in $(seq 12); do foretold "$n"; done | xargs)" "$mine"
is "what it says of another route" "$(ctl_json "[j['route'], j['status'], j['endpoint']]" explain --http 'GET /hello')" "['hello', 200, None]"
is "and so it is" "$(get "$u/hello")" hi
http_push "1 2 3"
left=$(whose "$u")
for n in $(seq 12); do
	was=$(cut -d' ' -f"$n" <<<"$mine") now=$(cut -d' ' -f"$n" <<<"$left")
	if [ "$was" = e4 ]; then [ "$now" != e4 ] || fail "user $n is on e4, which is gone"; else is "user $n without e4" "$now" "$was"; fi
done

# ---- sticky splits, mirrors ----

export POLICY=least_request HTTP_KEYS=$NEVER
ROUTES='{ name = "s"; split = ( { service = "web"; weight = 50; }, { service = "canary"; weight = 50; } ); sticky = { cookie = "sid"; }; }' http_push "1 2 3"
side() { if [ "$(get -H "Cookie: a=b; sid=$1" "$u/who")" = e4 ]; then echo canary; else echo web; fi; }
sides() { for n in $(seq 12); do side "s$n"; done | xargs; }
first=$(sides)
[[ $first = *web* && $first = *canary* ]] || fail "12 cookies: $first"
is "sticky" "$(sides)" "$first"
ROUTES='{ name = "m"; service = "canary"; mirror = ( { service = "shadow"; percent = "30"; } ); }' http_push
mirrored=$(http_count mirrored)
shadows() { grep -c 'Host: 10.77.9.30-shadow\\r' "$NET_DIR/record1" || true; }
start=$(shadows)
ns cl curl -s --max-time 60 "$u/who?[1-300]" -o "$NET_DIR/body" || fail "requests that are mirrored"
quiet
n=$(($(http_count mirrored) - mirrored))
arrived() { [ $(($(shadows) - start)) -eq "$n" ]; }
wait_for 15 "$n mirrors arrived ($(shadows) - $start)" arrived
echo "mirrored: $n of 300 at 30 %"
[ "$n" -gt 50 ] && [ "$n" -lt 130 ] || fail "$n of 300 requests mirrored at 30 %"

# ---- the access log through rotation and reopening ----

ROUTES='{ name = "here"; respond = { code = 200; body = "here\n"; }; }' http_push
log=$NET_DIR/access.log
lines() { cat "$log"* | wc -l; }
caught_up() { [ "$(lines)" -ge "$(http_row event requests)" ]; }
level() { [ "$(lines)" -eq $(($(http_row event requests) + skew)) ]; }
wait_for 15 "a line of each request before" caught_up
skew=$(($(lines) - $(http_row event requests)))
# long lines, not many at a time: a daemon that hardly gets to run must find room for them in the workers' rings
load many --seconds 300 --threads 8 --keepalive --spread "$u/$(printf 'x%.0s' {1..900})"
has() { [ -e "$log.$1" ]; }
wait_for 60 "a file put aside" has 1
taken() { mv "$log" "$log.$1"; } # rotation may just have renamed it
wait_for 5 "the access log to be taken away" taken mine
kill -HUP "$(pid_of sluiced)"
anew() { [ -e "$log" ]; }
wait_for 15 "the access log opened anew" anew
wait_for 60 "a file put aside again" has 2
enough many
quiet
wait_for 5 "the access log to be taken away without requests" taken mine2 # nor is it rotation that opens it anew
kill -HUP "$(pid_of sluiced)"
wait_for 15 "the access log opened anew without requests" anew
wait_for 15 "a line of each request ($(lines), $(http_row event requests) + $skew)" level
for f in "$log".[1-8]; do
	[ "$(stat -c %s "$f")" -le $((1 << 20)) ] || fail "$f is larger than 1 MiB"
done
cat "$log" "$log".* | python3 -c 'import json,sys; [json.loads(l) for l in sys.stdin]' || fail "a line of the access log is not JSON"
is "lines lost" "$(ns gw curl -sf --unix-socket "$NET_DIR/metrics.sock" http://x/metrics | awk '/^sluice_access_log_(lost|dropped|malformed)_total/ { n += $NF } END { print n + 0 }')" 0
echo "access log: $(lines) lines, $(find "$NET_DIR" -name 'access.log.[0-9]' | wc -l) files put aside"
no_bad_drops
