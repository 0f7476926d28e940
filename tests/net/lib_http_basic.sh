# shellcheck shell=bash
# lib_http_basic.sh — mode http with kernel clients and servers, all that a request can meet.  WORKERS is set.
set -euo pipefail
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_http.sh"

export HTTP_KEYS='ejection = { after = 0; };' TCP_KEYS='connect_timeout = "3s"; max_connections = 0;'
http_up
py=$top/tests/net

# ---- requests taken and refused ----

python3 "$py/http_cases.py" cases >"$NET_DIR/cases.json"
for h in $HOSTS_OF; do
	hp ask "$h" 80 "$NET_DIR/cases.json"
done
python3 "$py/http_cases.py" judge "$NET_DIR"/record[1-4] >"$NET_DIR/judged" || fail "$(tail -n 3 "$NET_DIR/judged")"
echo "requests: $(tail -n 1 "$NET_DIR/judged")"
quiet

# ---- routes and actions ----

u=$(url 10.77.9.30)
is canary "$(get -H 'x-env: canary-3' "$u/who")" e4
is redirect "$(code "$u/old/page?q=1") $(get -o /dev/null -w '%{redirect_url}' "$u/old/page?q=1")" "301 $u/new/page?q=1"
is direct "$(get "$u/hello")" "hello from the gateway"
get "$u/api/v2/echo/deep?x=1" >"$NET_DIR/echo"
grep -q 'GET /echo/deep?x=1 HTTP/1.1' "$NET_DIR/echo" || fail "template rewrite: $(cat "$NET_DIR/echo")"
grep -q 'internal.test' "$NET_DIR/echo" || fail "host rewrite: $(cat "$NET_DIR/echo")"
grep -q 'x-api-version: any' "$NET_DIR/echo" || fail "a header set: $(cat "$NET_DIR/echo")"
grep -q 'x-forwarded-for: 10.77.1.100' "$NET_DIR/echo" || fail "x-forwarded-for: $(cat "$NET_DIR/echo")"
get -D "$NET_DIR/heads" -o /dev/null "$u/who"
grep -qi '^x-served-by: sluice' "$NET_DIR/heads" || fail "a header of answers: $(cat "$NET_DIR/heads")"
http_push "1 2 3"
splits() { # and each of the three has its share of the 80 %
	local n all e
	load split --seconds 300 --threads 4 --keepalive --spread --requests 600 "$u/split/who"
	all_good split
	n=$(answers_of split e4) all=$(say split 'j["requests"]')
	[ $((n * 100)) -gt $((all * 12)) ] && [ $((n * 100)) -lt $((all * 28)) ] || fail "split 80 to 20: $n of $all"
	for e in e1 e2 e3; do [ $(($(answers_of split $e) * 100)) -gt $((all * 14)) ] || return 1; done
}
# whoever stands still for a second is rightly asked less
splits || splits || splits || fail "least request: $(say split 'j["by"]')"
http_push

# ---- bodies ----

for h in $HOSTS_OF; do
	hp up "$h" 80 /echo 3000000
	hp up "$h" 80 /echo 3000000 chunked
	hp down "$h" 80 /bytes/3000000 3000000
	hp down "$h" 80 /chunked/3000000 3000000
	hp down "$h" 80 /close/3000000 3000000
done
hp up 10.77.9.30 80 /echo 100000000
hp down 10.77.9.30 80 /bytes/100000000 100000000
quiet

# ---- slow clients, silent endpoints ----

TABLE_KEYS='header_timeout = "1500ms"; stream_idle_timeout = "2s";' http_push
counted head_timeout hp slow 10.77.9.30 80 head
is "a slow head" "$(hpj 'j["how"]')" 408
counted body_timeout hp slow 10.77.9.30 80 body
is "a slow body" "$(hpj 'j["how"]')" 408
ROUTES='{ name = "r"; timeout = "600ms"; service = "web"; }' http_push
counted timeout gives "no answer in time" 504 "$u/slow/8000" # later than a busy machine looks
ROUTES='{ name = "r"; try_timeout = "400ms"; retry = { attempts = 1; on = ( "timeout" ); }; service = "web"; }' http_push
counted try_timeout gives "no answer in two tries" 504 "$u/slow/8000"
TABLE_KEYS='stream_idle_timeout = "700ms";' http_push
! get -o /dev/null "$u/stall/1000" || fail "an answer that stood still came whole"

# ---- endpoints that fail ----

http_push
stop http_peer2
before=$(http_count retry)
for n in $(seq 40); do is "with e2 refusing" "$(code "$u/who")" 200; done
[ "$(http_count retry)" -gt "$before" ] || fail "nothing was tried again"
http_peer_up 2
http_push ""
counted no_endpoint gives "no endpoint" 503 "$u/who"
http_push
ROUTES='{ name = "r"; retry = { attempts = 3; on = ( "codes" ); codes = ( 503 ); }; service = "web"; }' http_push
before=$(http_count retry)
is "503 from all" "$(code "$u/status/503")" 503
[ "$(http_count retry)" -eq $((before + 3)) ] || fail "$(($(http_count retry) - before)) retries in place of 3"
ROUTES='{ name = "r"; prefix = "/only"; service = "web"; }' http_push
counted no_route gives "no route" 404 "$u/who"
HOSTS='{ name = "h"; match = ( "shop.test", "*.shop.test" ); routes = ( { name = "r"; service = "web"; } ); \}' http_push
counted no_host gives "no host" 404 "$u/who"
is "a host of the table" "$(code -H 'Host: a.shop.test' "$u/who")" 200

# ---- breakers, ejection ----

HTTP_KEYS='max_requests = 1; ejection = { after = 0; };' http_push
run cl slow python3 "$py/http_peer.py" hold 10.77.9.30 80 /slow/20000 1 # resets when it is stopped
holds() { [ "$(http_row gauge exchanges)" -ge 1 ]; }
wait_for 15 "a request under way" holds
counted overflow gives "one request at a time" 503 "$u/who"
stop slow
http_push
HTTP_KEYS='ejection = { after = 3; time = "2s"; sweep = "200ms"; max_percent = 50; };' ROUTES='{ name = "r"; service = "canary"; }' http_push
fails_thrice() { for n in 1 2 3; do gives "5xx passed on" 500 "$u/status/500"; done; }
counted eject_report fails_thrice

# ---- upgrade ----

HTTP_KEYS='ejection = { after = 0; };' http_push
tunnel() {
	ns cl python3 - <<'END'
import socket
s = socket.create_connection(("10.77.9.30", 80), timeout=10)
s.sendall(b"GET /upgrade HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly")
data = b""
while b"early" not in data:
    data += s.recv(4096)
s.sendall(b"x" * 300000)
s.shutdown(socket.SHUT_WR)
n = 0
while True:
    part = s.recv(65536)
    if not part:
        break
    n += len(part)
print(data.split(b" ")[1].decode(), n)
END
}
tunnels() { is upgrade "$(tunnel)" "101 300000"; }
counted upgraded tunnels

# ---- pushes and drains under load ----

load pushed --seconds 300 --threads 8 --keepalive --spread "$u/who" "$(url fd77:9::30)/who"
for i in 1 2 3 4 5 6 7 8; do
	TABLE_KEYS="max_requests = 10000$i;" http_push "$((i % 4 + 1)) $(((i + 1) % 4 + 1))"
	ctl drain web "e$((i % 4 + 1))" >/dev/null
	http_push
	ctl undrain web "e$((i % 4 + 1))" >/dev/null || true
done
goes_on pushed
enough pushed

# ---- what is told ----

ctl explain --http 'GET /hello' -H 'host: shop.test' >"$NET_DIR/explain" || fail "explain: $(cat "$NET_DIR/explain")"
grep -q hello "$NET_DIR/explain" || fail "explain: $(cat "$NET_DIR/explain")"
quiet
all_logged
grep -q '"path":"/api/v2/echo/deep?x=1"' "$NET_DIR/access.log" || fail "the access log lacks a request"
python3 -c 'import json,sys; [json.loads(l) for l in open(sys.argv[1])]' "$NET_DIR/access.log" || fail "a line of the access log is not JSON"
no_bad_drops
