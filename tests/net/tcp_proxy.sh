#!/usr/bin/env bash
# PROXY protocol, both versions, in and out, with nginx and HAProxy at the other end: who the endpoint is told, whom the gateway
# believes, headers in any number of pieces, headers that are none.
#
#      cl: curl, haproxy (send-proxy, send-proxy-v2) ── gw ── e1: nginx 8081 (proxy_protocol), haproxy 8082 (accept-proxy)
#
#      VIP .20 to e1 without a header; .22 v1 out; .23 v2 out; .24 in, from the client's network, v1 out; .25 in, v2 out;
#      .26 in, from elsewhere only; .27 in, no header out
set -euo pipefail
# shellcheck source=tests/net/lib_tcp.sh
. "$(dirname "$0")/lib_tcp.sh"

export HUGE=never WORKERS=2
net_up
e=$NET_DIR/e1
mkdir -p "$e"
cat >"$e/nginx.conf" <<-END
	daemon off; user root; master_process off; pid $e/nginx.pid; error_log $e/error.log;
	events { worker_connections 1024; }
	http {
	  access_log off;
	  client_body_temp_path $e; proxy_temp_path $e; fastcgi_temp_path $e; uwsgi_temp_path $e; scgi_temp_path $e;
	  server {
	    listen 0.0.0.0:8081 proxy_protocol; listen [::]:8081 ipv6only=on proxy_protocol;
	    location / { default_type text/plain; return 200 "\$proxy_protocol_addr \$proxy_protocol_port\n"; }
	    location = /server { return 200 "\$proxy_protocol_server_addr \$proxy_protocol_server_port\n"; }
	  }
	  server {
	    listen 0.0.0.0:8083; listen [::]:8083 ipv6only=on;
	    location / { default_type text/plain; return 200 "\$remote_addr \$remote_port\n"; }
	  }
	}
END
run e1 nginx1 nginx -c "$e/nginx.conf" -e "$e/error.log"
cat >"$e/haproxy.cfg" <<-END
	defaults
	  mode http
	  timeout client 20s
	  timeout server 20s
	  timeout connect 5s
	frontend told
	  bind 0.0.0.0:8082 accept-proxy
	  bind :::8082 v6only accept-proxy
	  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port]\n"
END
run e1 haproxy1 haproxy -db -f "$e/haproxy.cfg"
cat >"$NET_DIR/sender.cfg" <<-END
	defaults
	  mode tcp
	  timeout client 20s
	  timeout server 20s
	  timeout connect 5s
	listen v1
	  bind 127.0.0.1:9001
	  bind ::1:9001
	  server gw 10.77.9.24:8081 send-proxy
	listen v2
	  bind 127.0.0.1:9002
	  bind ::1:9002
	  server gw [fd77:9::25]:8082 send-proxy-v2
END
run cl sender haproxy -db -f "$NET_DIR/sender.cfg"
wait_for 10 "nginx in e1" ns e1 curl -sf --haproxy-protocol http://127.0.0.1:8081/
wait_for 10 "HAProxy in e1" ns e1 curl -sf --haproxy-protocol http://127.0.0.1:8082/
gateway_up

trusted='proxy_protocol = true; trusted = ( "10.77.1.0/24", "fd77:1::/64" );'
elsewhere='proxy_protocol = true; trusted = ( "192.0.2.0/24", "2001:db8::/32" );'
{
	cat <<-END
		gateway = { name = "${NET}gateway"; };
		network = { addresses = (
		    { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
		    { port = "back"; address = "10.77.2.1/24"; }, { port = "back"; address = "fd77:2::1/64"; } ); routes = (); };
		services = (
	END
	TCP_KEYS='' tcp_service none 10.77.2. 1
	echo ,
	TCP_KEYS='proxy_protocol = "v1";' tcp_service v1 10.77.2. 1
	echo ,
	TCP_KEYS='proxy_protocol = "v2";' tcp_service v2 fd77:2:: 1
	echo "); listeners = ("
	export LISTEN="8081 8082 8083"
	for a in 10.77.9. fd77:9::; do
		tcp_listeners ${a}20 none
		tcp_listeners ${a}22 v1
		tcp_listeners ${a}23 v2
		LISTENER_KEYS=$trusted tcp_listeners ${a}24 v1
		LISTENER_KEYS=$trusted tcp_listeners ${a}25 v2
		LISTENER_KEYS=$elsewhere tcp_listeners ${a}26 v1
		LISTENER_KEYS=$trusted tcp_listeners ${a}27 none
	done | sed '1s/^ *,//'
	echo ");"
} >"$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf" || fail "push"

# told WANT PORT PATH CURL-ARGS…: what the endpoint was told, "ADDRESS" or "ADDRESS PORT".
told() {
	local want=$1 got
	shift
	got=$(ns cl curl -gs --max-time 10 "$@") || true
	[[ $got = "$want "* || $got = "$want" ]] || fail "curl $*: '$got', not '$want'"
}
from=30000
for port in 8081 8082; do
	for n in 22 23; do
		told 10.77.1.100 "http://10.77.9.$n:$port/"
		told fd77:1::100 "http://[fd77:9::$n]:$port/"
		from=$((from + 1))
		told "10.77.1.100 $from" --local-port $from "http://10.77.9.$n:$port/"
	done
	# curl's header says what its own connection is; the gateway hands it on, in the other version, too.
	for n in 24 25; do
		from=$((from + 1))
		told "10.77.1.100 $from" --local-port $from --haproxy-protocol "http://10.77.9.$n:$port/"
		told fd77:1::100 --haproxy-protocol "http://[fd77:9::$n]:$port/"
	done
done
told "10.77.9.22 8081" http://10.77.9.22:8081/server
told "fd77:9::23 8081" "http://[fd77:9::23]:8081/server"
told 10.77.2.1 http://10.77.9.20:8083/
told 10.77.2.1 --haproxy-protocol http://10.77.9.27:8083/

# HAProxy in front: its clients are 127.0.0.2 and ::1.
told "127.0.0.2 40001" --interface 127.0.0.2 --local-port 40001 http://127.0.0.1:9001/
told "127.0.0.2 40002" --interface 127.0.0.2 --local-port 40002 http://127.0.0.1:9002/
told ::1 "http://[::1]:9001/"
told ::1 "http://[::1]:9002/"

headers() { ns cl timeout 120 python3 "$top/tests/net/tcp_proxy.py" "$@" || fail "headers: $*"; }
headers good 10.77.9.24 8081
headers good fd77:9::25 8081
before=$(tcp_count proxy_bad)
headers bad 10.77.9.24 8081
headers bad fd77:9::25 8081
bad_count() { bad=$(($(tcp_count proxy_bad) - before)) && [ "$bad" -ge 76 ]; }
wait_for 5 "bad headers counted" bad_count || fail "proxy_bad counted $bad of 80"
counted proxy_timeout headers silent 10.77.9.24 8081

before=$(tcp_count proxy_untrusted)
! ns cl curl -s --max-time 10 --haproxy-protocol http://10.77.9.26:8081/ || fail "an untrusted sender was answered"
! ns cl curl -gs --max-time 10 --haproxy-protocol "http://[fd77:9::26]:8081/" || fail "an untrusted sender was answered"
untrusted() { [ "$(tcp_count proxy_untrusted)" -ge $((before + 2)) ]; }
wait_for 5 "untrusted senders counted" untrusted || fail "proxy_untrusted did not count"
[ "$(tcp_count proxy_untrusted)" -eq $((before + 2)) ] || fail "proxy_untrusted counts more than two"
gone 10 "all streams over"
no_bad_drops
echo "PROXY protocol: $bad bad headers refused"
