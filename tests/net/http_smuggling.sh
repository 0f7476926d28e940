#!/usr/bin/env bash
# Requests hidden in requests, thousands of kinds: what the gateway lets through is read in one way only, by its own endpoint, by
# nginx and by HAProxy, and it is what the gateway itself says that it sent.  SEED, COUNT: of the random ones.  2 workers, af_packet.
set -euo pipefail
export WORKERS=2 DRIVER=${DRIVER:-af_packet} PORT=8080
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "$0")/lib_http.sh"

SEED=${SEED:-7} COUNT=${COUNT:-4000}
py=$top/tests/net seen=$NET_DIR/seen
export HTTP_KEYS='ejection = { after = 0; };' TABLE_KEYS='stream_idle_timeout = "2s";'
export ROUTES='{ name = "all"; retry = { attempts = 0; }; service = "web"; }'
net_up
run e1 endpoint python3 "$py/http_smuggle.py" serve 8080 "$seen"
wait_for 10 "the endpoint" grep -q ready "$NET_DIR/endpoint.log"

# nginx (8090) and HAProxy (8092), each before an nginx (8091) that says what it was asked for; whole requests only
cat >"$NET_DIR/readers.conf" <<-END
	daemon off; user root; master_process off; pid $NET_DIR/readers.pid; error_log $NET_DIR/readers.err;
	events { worker_connections 4096; }
	http {
	  access_log off; keepalive_requests 1000000; ignore_invalid_headers off; large_client_header_buffers 8 64k; underscores_in_headers on;
	  client_body_temp_path $NET_DIR; proxy_temp_path $NET_DIR; fastcgi_temp_path $NET_DIR; uwsgi_temp_path $NET_DIR; scgi_temp_path $NET_DIR;
	  server { listen 8090; location / { proxy_pass http://127.0.0.1:8091; proxy_http_version 1.1; proxy_set_header Connection ""; } }
	  server { listen 8091; location / { add_header x-saw "\$request_method \$request_uri" always; return 200; } }
	}
END
cat >"$NET_DIR/haproxy.conf" <<-END
	defaults
	  mode http
	  timeout client 30s
	  timeout server 30s
	  timeout connect 5s
	  option http-buffer-request
	  timeout http-request 10s
	frontend f
	  bind :8092
	  default_backend b
	backend b
	  server s 127.0.0.1:8091
END
run e2 readers nginx -c "$NET_DIR/readers.conf" -e "$NET_DIR/readers.err"
run e2 haproxy haproxy -db -f "$NET_DIR/haproxy.conf"
for port in 8090 8092; do
	wait_for 10 "the reader at $port" ns e2 curl -sf -o "$NET_DIR/body" "http://127.0.0.1:$port/"
done
gateway_up
http_push 1

# the classes that have names, of them what must be refused (this endpoint does not answer as http_peer.py does); then random ones
python3 "$py/http_cases.py" cases >"$NET_DIR/all.json"
json "$NET_DIR/all.json" '__import__("json").dumps([c for c in j if c["closed"] and c["want"] in ([400], [405], [431], [505])])' >"$NET_DIR/cases.json"
hp ask 10.77.9.30 80 "$NET_DIR/cases.json"
tail -n 1 "$NET_DIR/hp.out"
ns cl timeout 100 python3 "$py/http_smuggle.py" send 10.77.9.30 80 "$SEED" "$COUNT" >"$NET_DIR/how" || fail "seed $SEED: $(tail -n 3 "$NET_DIR/how")"
echo "seed $SEED: $(cut -c1-200 "$NET_DIR/how")"
[ "$(json "$NET_DIR/how" 'j.get("400", 0) > 100 and sum(n for k, n in j.items() if k.startswith("200")) > 100')" = True ] ||
	fail "all taken, or all refused: $(cat "$NET_DIR/how")"
quiet 10
kill -0 "$(pid_of dataplane)" || fail "the dataplane died"
all_logged
stop endpoint

python3 "$py/http_cases.py" judge "$seen/record" >"$NET_DIR/judged" || fail "seed $SEED: $(tail -n 3 "$NET_DIR/judged")"
tail -n 1 "$NET_DIR/judged"
python3 "$py/http_smuggle.py" logged "$seen" "$NET_DIR/access.log" >"$NET_DIR/logged" || fail "seed $SEED: $(tail -n 11 "$NET_DIR/logged")"
tail -n 1 "$NET_DIR/logged"
for reader in nginx:8090 haproxy:8092; do
	ns e2 timeout 100 python3 "$py/http_smuggle.py" replay "${reader#*:}" "$seen" >"$NET_DIR/replayed" ||
		fail "seed $SEED, read by ${reader%:*}: $(tail -n 20 "$NET_DIR/replayed" | cut -c1-1500)"
	echo "${reader%:*}: $(tail -n 1 "$NET_DIR/replayed")"
done
