#!/usr/bin/env bash
# What is told of requests is what happened: lines of the access log, counters of routes and hosts, metrics, and what explain
# foretells.  2 workers, af_packet.
set -euo pipefail
export WORKERS=2 DRIVER=af_packet
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "$0")/lib_http.sh"

export HTTP_KEYS='ejection = { after = 0; };'
http_up
log=$NET_DIR/access.log
u=$(url 10.77.9.30)

# line ID EXPRESSION: of the access log's line l of the request with that x-request-id.
line() {
	there() { grep -q "\"request_id\":\"$1\".*}$" "$log"; }
	wait_for 15 "the access log to have request $1" there "$1"
	grep "\"request_id\":\"$1\"" "$log" >"$NET_DIR/line"
	python3 -c 'import json,sys; l=json.loads(open(sys.argv[1]).read()); print(eval(sys.argv[2]))' "$NET_DIR/line" "$2"
}
route() { ctl_json "[r['$2'] for r in j['routes'] if r['route'] == '$1'][0]" show routes; }
scrape() { curl -sf --max-time 10 --unix-socket "$NET_DIR/metrics.sock" http://sluiced/metrics; }

# ---- lines ----

who=$(get -H 'x-request-id: forwarded-1' -A 'agent "1"' -e 'http://r/' -d 'hello' "$u/who?x=%20y")
is "endpoint of the line" "$(line forwarded-1 'l["endpoint"]')" "$who"
is "names of the line" "$(line forwarded-1 '[l[k] for k in ("listener", "table", "vhost", "route", "service")]')" \
	"['v10-77-9-30', 'edge', 'shop', 'rest', 'web']"
is "request of the line" "$(line forwarded-1 '[l[k] for k in ("method", "host", "path", "protocol", "user_agent", "referer")]')" \
	"['POST', '10.77.9.30', '/who?x=%20y', 'HTTP/1.1', 'agent \"1\"', 'http://r/']"
is "answer of the line" "$(line forwarded-1 '[l[k] for k in ("status", "upstream_status", "flags", "tries", "bytes_in", "client")]')" \
	"[200, 200, '-', 1, 5, '10.77.1.100']"
is "times of the line" "$(line forwarded-1 '0 < l["try_us"] <= l["first_us"] <= l["last_us"] < 5000000')" True
is "time of the line" "$(line forwarded-1 'abs(__import__("datetime").datetime.fromisoformat(l["time"].replace("Z", "+00:00")).timestamp() - __import__("time").time()) < 20')" True
is "bytes of the line" "$(get -H 'x-request-id: bytes-1' -o /dev/null "$u/bytes/300000")$(line bytes-1 'l["bytes_out"]')" 300000
is "redirect" "$(code -H 'x-request-id: redirect-1' "$u/old/x")$(line redirect-1 '[l["status"], l["route"], l["service"], l["tries"]]')" \
	"301[301, 'old', None, 0]"
code -H 'x-request-id: gone-1' "$u/status/503" >/dev/null
is "503 of the endpoint" "$(line gone-1 '[l["status"], l["upstream_status"], l["route"]]')" "[503, 503, 'rest']"
ns cl timeout 20 bash -c 'exec 3<>/dev/tcp/10.77.9.30/80
	printf "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" >&3
	cat <&3' >"$NET_DIR/refused" || fail "a refused request's connection stays open"
grep -q '^HTTP/1.1 400' "$NET_DIR/refused" || fail "a refused request: $(cat "$NET_DIR/refused")"
refused() { grep -q '"status":400,"flags":"DPE","reason":"bad_length"' "$log"; }
wait_for 15 "a refused request in the access log" refused
code -H 'x-request-id: no-form-1' "$u/a%00" >/dev/null
is "a path without a form" "$(line no-form-1 '[l["status"], l["flags"], l["why"]]')" "[400, 'DPE', None]"
is "lines without a generation" "$(grep -cv '"generation":1,' "$log")" 0

# ---- counters ----

quiet 10
before=$(route hello requests)
for n in $(seq 50); do get "$u/hello" >/dev/null; done
quiet
is "requests of a route" "$(route hello requests)" $((before + 50))
is "answers of a route" "$(route hello 2xx)" "$(route hello requests)"
is "answers of its own" "$(route hello local)" "$(route hello requests)"
is "requests of the host" "$(ctl_json "j['hosts'][0]['requests']" show hosts)" \
	"$(ctl_json "sum(r['requests'] for r in j['routes'])" show routes)"
scrape >"$NET_DIR/metrics"
grep -q "^sluice_http_requests_total{table=\"edge\",host=\"shop\",route=\"hello\"} $(route hello requests)\$" "$NET_DIR/metrics" ||
	fail "metrics: $(grep sluice_http_requests_total "$NET_DIR/metrics")"
grep -q "^sluice_http_duration_seconds_count{table=\"edge\",host=\"shop\",route=\"hello\"} $(route hello requests)\$" "$NET_DIR/metrics" ||
	fail "metrics: $(grep sluice_http_duration_seconds_count "$NET_DIR/metrics")"
lines_counted() { # of all that is told: no request is under way, and the log has a line of each
	scrape >"$NET_DIR/metrics" && [ "$(sed -n 's/^sluice_access_log_lines_total //p' "$NET_DIR/metrics")" -eq "$(wc -l <"$log")" ]
}
wait_for 15 "as many lines counted as there are ($(wc -l <"$log"))" lines_counted
is "lines lost" "$(awk '/^sluice_access_log_(lost|dropped|malformed)_total/ { n += $NF } END { print n + 0 }' "$NET_DIR/metrics")" 0
if command -v promtool >/dev/null; then
	promtool check metrics <"$NET_DIR/metrics" >"$NET_DIR/promtool.out" 2>&1 || fail "promtool: $(cat "$NET_DIR/promtool.out")"
fi

# ---- the file ----

mv "$log" "$log.1"
kill -HUP "$(cat "$NET_DIR/state/lock")"
anew() { [ -e "$log" ]; }
wait_for 15 "the access log to be opened anew" anew
get -H 'x-request-id: anew-1' -o /dev/null "$u/who"
line anew-1 'l["status"]' >/dev/null

# ---- load: every request has its line ----

quiet
before=$(http_row event requests)
load many --seconds 4 --threads 8 --keepalive --spread "$u/who/many"
all_good many
quiet
made=$(say many 'j["requests"]')
is "requests counted" $(($(http_row event requests) - before)) "$made"
complete() { [ "$(grep -c '"path":"/who/many".*}$' "$log")" -eq "$made" ]; }
wait_for 15 "a line for each of $made requests" complete || fail "$(grep -c '"path":"/who/many"' "$log") lines of $made requests"
python3 -c 'import json,sys; [json.loads(l) for l in open(sys.argv[1])]' "$log" || fail "a line of the access log is not JSON"

# ---- explain ----

foretold() { ctl_json "[j['route'], j['status'], j['service'] and j['service']['name']]" explain --http "$@"; }
is "a route by header" "$(foretold 'GET /who' -H 'x-env: canary-3')" "['canary', None, 'canary']"
is "and so it is" "$(get -H 'x-env: canary-3' "$u/who")" e4
is "its endpoint" "$(ctl_json "j['endpoint']['name']" explain --http 'GET /who' -H 'x-env: canary-3')" e4
is "what held" "$(ctl_json "j['conditions']" explain --http 'GET /who' -H 'x-env: canary-3')" "['header x-env begins with \"canary-\"']"
is "a redirect" "$(foretold 'GET /old/page?q=1' --host shop.test)" "['old', 301, None]"
is "where to" "$(ctl_json "j['text']" explain --http 'GET /old/page?q=1' --host shop.test)" "http://shop.test/new/page?q=1"
is "a rewrite" "$(ctl_json "j['text']" explain --http 'GET /api/v2/echo/deep?x=1')" "/echo/deep"
is "a refusal" "$(foretold 'GET /' -H 'content-length: 1' -H 'content-length: 2')" "[None, 400, None]"
before=$(http_row event requests)
for n in $(seq 20); do foretold 'GET /who' --from "198.51.100.7:$((1000 + n))" >/dev/null; done
is "questions count nothing" "$(http_row event requests)" "$before"
# The hash of RSS is linear: neighbouring ports differ in few bits, and one key in 60 gives all of them one worker.  So every bit differs.
owners() { for n in $(seq 40); do ctl_json "j['worker']" explain --http 'GET /' --from "198.51.$((n * 37 % 256)).$((n * 101 % 251)):$((n * 1601))"; done; }
is "the worker is the owner's" "$(owners | sort -u | xargs)" "0 1"
quiet 10
no_bad_drops
