# shellcheck shell=bash disable=SC2034
# lib_tls.sh — TLS with other people's peers on both sides: certificates of a CA made here, endpoints e1 and e2 with nginx that speaks
# TLS and mTLS and http_peer.py without, the gateway with tls_table.
#
#   $NET_DIR/pki   NAME.pem (with its chain), NAME.key, of a root and an intermediate (root.pem: whom to trust, also a root with an
#                  RSA key that issued shop-rsa); `other` is another root
#
#   10.77.9.40, fd77:9::40   443 mode http · 8443 the same, client certificates required · 8444 optional · 9443 and 9445 mode tcp to nginx
#                            and http_peer.py · 9444 mode tcp, TLS to endpoints as well · 7443 tls-passthrough
set -euo pipefail
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_http.sh"

# shellcheck source=scripts/lib/pki.sh
. "$top/scripts/lib/pki.sh"

VIP=10.77.9.40
VIPS_TLS="10.77.9.40 fd77:9::40"
TLS_ENDPOINTS="1 2"
WEB_ID=spiffe://td.test/ns/prod/sa/web

# pki_up: all that the tests share.
pki_up() {
	ca_up
	cert shop inter "$SERVER" "$(san DNS:shop.example,DNS:www.shop.example)"
	RSA=1 cert shop-rsa rsa "$SERVER" "$(san DNS:shop.example,DNS:www.shop.example)"
	cert wild inter "$SERVER" "$(san DNS:*.wild.example)"
	cert exact inter "$SERVER" "$(san DNS:exact.wild.example)"
	cert web inter "$SERVER" "$(san "DNS:web.internal,URI:$WEB_ID")"
	cert web-wrong inter "$SERVER" "$(san "DNS:other.internal,URI:spiffe://td.test/ns/dev/sa/other")"
	FROM="-3 days" TO="-2 days" cert web-expired inter "$SERVER" "$(san "DNS:web.internal,URI:$WEB_ID")"
	cert web-stranger other "$SERVER" "$(san "DNS:web.internal,URI:$WEB_ID")"
	cert web-usage inter "$CLIENT" "$(san "DNS:web.internal,URI:$WEB_ID")"
	cert gw inter "$CLIENT" "$(san URI:spiffe://td.test/ns/edge/sa/gw)"
	cert a inter "$CLIENT" "$(san URI:spiffe://td.test/ns/prod/sa/a)"
}

# ---- endpoints ----

# tls_server_up I: nginx in endpoint I with TLS: 443; 8443 asks for the gateway's certificate; 4431 a wrong name, 4432 an expired
# certificate, 4433 of an issuer that nobody knows, 4434 not for servers.  PUT keeps what comes in $NET_DIR/put-I.
tls_server_up() {
	local i=$1 d=$NET_DIR/t$1
	mkdir -p "$d" "$NET_DIR/put-$i"
	{
		cat <<-END
			daemon off; user root; master_process off; pid $d/nginx.pid; error_log $d/error.log info;
			events { worker_connections 4096; }
			http {
			  access_log off; keepalive_requests ${REQUESTS_KEPT:-1000000}; client_max_body_size 1g;
			  client_body_temp_path $d; proxy_temp_path $d; fastcgi_temp_path $d; uwsgi_temp_path $d; scgi_temp_path $d;
			  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:t:1m; ssl_session_tickets on;
		END
		tls_server "$i" 443 web
		tls_server "$i" 8443 web "ssl_verify_client on; ssl_verify_depth 3; ssl_client_certificate $PKI/root.pem;"
		tls_server "$i" 4431 web-wrong
		tls_server "$i" 4432 web-expired
		tls_server "$i" 4433 web-stranger
		tls_server "$i" 4434 web-usage
		tls_server "$i" 4412 web "ssl_protocols TLSv1.2;"
		echo "}"
	} >"$d/nginx.conf"
	run "e$i" "tls$i" nginx -c "$d/nginx.conf" -e "$d/error.log"
	wait_for 10 "nginx with TLS in e$i" ns "e$i" curl -skf -o "$d/probe" https://127.0.0.1:443/health
}

# tls_server I PORT CERTIFICATE [KEYS]
tls_server() {
	cat <<-END
		server {
		  listen 0.0.0.0:$2 ssl backlog=4096; listen [::]:$2 ssl ipv6only=on backlog=4096;
		  ssl_certificate $PKI/$3.pem; ssl_certificate_key $PKI/$3.key; ${4:-}
		  location = /health { return 200 "ok\n"; }
		  location = /blob { root $NET_DIR; }
		  location = /large { root $NET_DIR; }
		  location /put/ { alias $NET_DIR/put-$1/; dav_methods PUT; }
		  location = /tls { default_type text/plain; return 200 "\$ssl_protocol \$ssl_cipher \$ssl_server_name \$ssl_client_verify \$ssl_client_s_dn\n"; }
		  location = /headers { default_type text/plain; return 200 "xfcc=\$http_x_forwarded_client_cert\n"; }
		  location / { default_type text/plain; return 200 "e$1\n"; }
		}
	END
}

# ---- the table ----

# tls_table FILE: as the drawing above.  LISTENER_TLS, CLIENT_TLS: more keys of tls of port 443, and of 8443 and 8444; SERVICE_TLS: of service
# secure; ROUTES: routes before those by header x-to, which name a service.  CERTS: those of the listeners.
tls_table() {
	local CERTS=${CERTS:-'"shop", "shop-rsa", "wild", "exact"'} vip
	{
		cat <<-END
			gateway = { name = "${NET}gateway"; };
			network = {
			  addresses = (
			    { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
			    { port = "back"; address = "10.77.2.1/24"; }, { port = "back"; address = "fd77:2::1/64"; } );
			  routes = ( );
			};
			services = (
		END
		tls_service web 8080 ""
		tls_service plain 80 "" ,
		tls_service secure 443 'trust = ( "mesh" ); server_name = "web.internal";'"${SERVICE_TLS:-}" ,
		tls_service mutual 8443 "trust = ( \"mesh\" ); server_name = \"web.internal\"; names = ( \"$WEB_ID\" ); certificate = \"gw\";" ,
		tls_service bare 8443 'trust = ( "mesh" ); server_name = "web.internal";' ,
		tls_service old 4412 'trust = ( "mesh" ); server_name = "web.internal";' ,
		tls_service wrong 4431 'trust = ( "mesh" ); server_name = "web.internal";' ,
		tls_service expired 4432 'trust = ( "mesh" ); server_name = "web.internal";' ,
		tls_service stranger 4433 'trust = ( "mesh" ); server_name = "web.internal";' ,
		tls_service usage 4434 'trust = ( "mesh" ); server_name = "web.internal";' ,
		tls_service careless 4433 'verify = false;' ,
		tls_service pass443 443 "" ,
		tls_service pass8443 8443 "" ,
		tls_service pass4412 4412 "" ,
		cat <<-END
			);
			route_tables = ( { name = "edge"; ${TABLE_KEYS:-} hosts = ( { name = "all"; match = ( "*" ); routes = ( ${ROUTES:-}
		END
		for s in plain secure mutual bare old wrong expired stranger usage careless; do
			echo "{ name = \"$s\"; headers = ( { name = \"x-to\"; exact = \"$s\"; } ); service = \"$s\"; },"
		done
		echo '{ name = "rest"; service = "web"; } ); } ); } );'
		echo "listeners = ("
		for vip in $VIPS_TLS; do
			echo "  ${comma:-}"
			tls_listener "$vip" 443 http "certificates = ( $CERTS ); ${LISTENER_TLS:-}"
			echo ,
			tls_listener "$vip" 8443 http "certificates = ( $CERTS ); client = \"required\"; trust = ( \"mesh\" ); ${CLIENT_TLS:-}"
			echo ,
			tls_listener "$vip" 8444 http "certificates = ( $CERTS ); client = \"optional\"; trust = ( \"mesh\" ); ${CLIENT_TLS:-}"
			echo ,
			tls_listener "$vip" 9443 tcp "certificates = ( $CERTS );"
			echo ,
			tls_listener "$vip" 9445 tcp "certificates = ( $CERTS );"
			echo ,
			tls_listener "$vip" 9444 tcp "certificates = ( $CERTS );"
			echo ,
			tls_listener "$vip" 7443 tls-passthrough
			local comma=,
		done
		echo ");"
	} >"$1"
}

# tls_service NAME PORT KEYS [COMMA]: KEYS of its tls, none: plaintext.
tls_service() {
	local i comma=""
	echo "${4:-}{ name = \"$1\"; forward = \"proxy\"; policy = \"round_robin\"; tcp = { max_connections = 0; ${TCP_KEYS:-} };"
	echo "  http = { ejection = { after = 0; }; ${HTTP_KEYS:-} };"
	[ -z "$3" ] || echo "  tls = { $3 };"
	echo "  endpoints = ("
	for i in $TLS_ENDPOINTS; do
		echo "    $comma{ name = \"e$i\"; address = \"10.77.2.1$i\"; port = $2; }"
		comma=,
	done
	echo "  ); }"
}

# tls_listener ADDRESS PORT MODE KEYS
tls_listener() {
	local to='routes = "edge";'
	[ "$3" != tcp ] || to='service = "plain";'
	[ "$2" != 9445 ] || to='service = "web";'
	[ "$2" != 9444 ] || to='service = "mutual";'
	[ "$3" != tls-passthrough ] || to='service = "pass443"; server_names = ( { name = "pass.example"; service = "pass8443"; }, { name = "*.pass.example"; service = "pass4412"; } );'
	echo "{ name = \"v${1//[.:]/-}-$2\"; address = \"$1\"; port = $2; protocol = \"tcp\"; mode = \"$3\"; $to"
	[ "$3" = tls-passthrough ] || echo "  tls = { $4 handshake_timeout = \"${HANDSHAKE_TIMEOUT:-10s}\"; };"
	echo "}"
}

# tls_push: a table as the environment says.
tls_push() {
	tls_table "$NET_DIR/t.conf"
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"
}

# cert_add NAME…: pairs of the PKI to the gateway.
cert_add() {
	local n
	for n in "$@"; do
		ctl cert add "$n" --cert "$PKI/$n.pem" --key "$PKI/$n.key" >"$NET_DIR/cert.out" 2>&1 || fail "cert add $n: $(cat "$NET_DIR/cert.out")"
	done
}

# tls_up: everything.  LARGE: bytes of $NET_DIR/large.
tls_up() {
	local i
	export HUGE=${HUGE:-never}
	net_up
	pki_up
	head -c "${LARGE:-50000000}" /dev/urandom >"$NET_DIR/large"
	for i in $TLS_ENDPOINTS; do
		plain_up "$i"
		http_peer_up "$i"
		tls_server_up "$i"
	done
	gateway_up
	cert_add shop shop-rsa wild exact gw
	ctl cert add mesh --ca "$PKI/root.pem" >"$NET_DIR/cert.out" 2>&1 || fail "cert add mesh: $(cat "$NET_DIR/cert.out")"
	tls_push
}

# plain_up I: nginx without TLS, as server_up of net.sh, without the name server.
plain_up() {
	local i=$1 d=$NET_DIR/e$1
	mkdir -p "$d"
	cat >"$d/nginx.conf" <<-END
		daemon off; user root; master_process off; pid $d/nginx.pid; error_log $d/error.log;
		events { worker_connections 4096; }
		http {
		  access_log off; keepalive_requests 1000000; client_max_body_size 1g;
		  client_body_temp_path $d; proxy_temp_path $d; fastcgi_temp_path $d; uwsgi_temp_path $d; scgi_temp_path $d;
		  server {
		    listen 0.0.0.0:80 backlog=4096; listen [::]:80 ipv6only=on backlog=4096;
		    location = /health { return 200 "ok\n"; }
		    location = /blob { root $NET_DIR; }
		    location = /large { root $NET_DIR; }
		    location / { default_type text/plain; return 200 "e$i\n"; }
		  }
		}
	END
	run "e$i" "nginx$i" nginx -c "$d/nginx.conf" -e "$d/error.log"
	wait_for 10 "nginx in e$i" ns "e$i" curl -sf -o "$d/probe" http://127.0.0.1/health
}

# ---- clients ----

# s_client PORT ARGS…: openssl's, trusting the root, server name shop.example unless ARGS say another; what it is to send comes on
# standard input; all it says in $NET_DIR/sc.out.
s_client() {
	local port=$1 name=shop.example
	shift
	[[ " $* " != *" -servername "* && " $* " != *" -noservername "* ]] || name=""
	ns cl timeout 10 openssl s_client -connect "${HOST:-$VIP}:$port" ${name:+-servername $name} -CAfile "$PKI/root.pem" -nocommands "$@" >"$NET_DIR/sc.out" 2>&1
}
# asks HOST PATH: a request for s_client.
asks() { printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$2" "$1"; }
# sc_says: its words, without bytes of answers.
sc_says() { grep -a -E 'error|rror:|Cipher is|Verif|Peer sig|Temp Key|ALPN|^HTTP' "$NET_DIR/sc.out" | tr -cd '[:print:]\n' | cut -c1-200 | head -n 12; }
# said WHAT PATTERN: s_client said it.
said() { grep -aqE -- "$2" "$NET_DIR/sc.out" || fail "$1: no '$2' in: $(sc_says)"; }

# tget PORT PATH [CURL ARGS…]: the body over TLS; tcode: the status; a name other than shop.example in SNI=.
tcurl() {
	local port=$1 path=$2 name=${SNI:-shop.example}
	shift 2
	ns cl curl -gs --max-time "${MAX_TIME:-20}" --cacert "$PKI/root.pem" --connect-to "$name:$port:$(bracket "${HOST:-$VIP}"):$port" "$@" "https://$name:$port$path"
}
bracket() { if [[ $1 = *:* ]]; then echo "[$1]"; else echo "$1"; fi; }
tget() { tcurl "$@"; }
tcode() { tcurl "$@" -o "$NET_DIR/body" -w '%{http_code}'; }
tgives() {
	local what=$1 want=$2
	shift 2
	is "$what" "$(tcode "$@" || true)" "$want"
}
# as NAME: curl's words for a client certificate.
as() { echo "--cert $PKI/$1.pem --key $PKI/$1.key"; }
tp() {
	ns cl timeout 120 python3 "$top/tests/net/tls_peer.py" "$@" >"$NET_DIR/tp.out" 2>&1 || fail "tls_peer.py $*: $(tail -n 5 "$NET_DIR/tp.out")"
	tail -n 1 "$NET_DIR/tp.out" >"$NET_DIR/tp.json"
}
tpj() { json "$NET_DIR/tp.json" "$1"; }

# tls_count NAME: a counter of tls.def.  tcounted NAME COMMAND…: the command raises it.
tls_count() { ctl_json "[r['count'] for r in j['tls'] if r['name'] == '$1'][0]" show tls; }
tcounted() {
	local name=$1 before
	shift
	before=$(tls_count "$name")
	"$@"
	trose() { [ "$(tls_count "$name")" -gt "$before" ]; }
	wait_for 5 "$name counted by: $*" trose
}
# no_fallback: every session's records are ours.
no_fallback() { is "sessions whose records stay with OpenSSL" "$(tls_count ossl_fallback)" 0; }
sum_of() { sha256sum | cut -d' ' -f1; }
