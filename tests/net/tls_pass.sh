#!/usr/bin/env bash
# Mode tls-passthrough: nobody's key is at the gateway, and the server name of the ClientHello says which service a connection is for.
# What the client sees is the endpoint's certificate, what the endpoint sees is the client's; hellos in any number of pieces; no name
# and unknown ones; hellos that are none, too long, too slow, beside a client that must not notice.
#
#      cl: curl, openssl s_client, gnutls-cli, tls_pass.py ── gw ── e1: one.example (nginx 443; 8443 behind a PROXY header)
#                                                                 e2: *.two.example, client certificates required
#                                                                 e3: whoever else asks
#
#      VIP .50 with a service of its own, .51 without, .52 as .50 behind a PROXY header; IPv6 to endpoints of IPv4 and the other way
set -euo pipefail
# shellcheck source=tests/net/lib_tcp.sh
. "$(dirname "$0")/lib_tcp.sh"

pki=$NET_DIR/pki
export HUGE=never WORKERS=2
net_up

# ---- certificates and endpoints ----

mkdir -p "$pki"
new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout "$pki/$1.key" -out "$pki/$1.pem" "${@:2}" 2>>"$pki/log"; }
new ca -subj "/CN=ca of $NET" -addext basicConstraints=critical,CA:TRUE
cert() { new "$1" -CA "$pki/ca.pem" -CAkey "$pki/ca.key" -subj "/CN=$1" -addext basicConstraints=critical,CA:FALSE -addext "subjectAltName=$2"; }
cert one DNS:one.example
cert two DNS:*.two.example
cert rest DNS:rest.example,DNS:nobody.example
cert client URI:spiffe://td.test/ns/prod/sa/client

# tls_server_up I CERTIFICATE [DIRECTIVES]
tls_server_up() {
	local i=$1 d=$NET_DIR/t$1 keys
	mkdir -p "$d"
	keys="ssl_certificate $pki/$2.pem; ssl_certificate_key $pki/$2.key; ${3:-} default_type text/plain;"
	cat >"$d/nginx.conf" <<-END
		daemon off; user root; master_process off; pid $d/nginx.pid; error_log $d/error.log;
		events { worker_connections 4096; }
		http {
		  access_log off;
		  client_body_temp_path $d; proxy_temp_path $d; fastcgi_temp_path $d; uwsgi_temp_path $d; scgi_temp_path $d;
		  ssl_protocols TLSv1.2 TLSv1.3;
		  server {
		    listen 0.0.0.0:443 ssl; listen [::]:443 ssl ipv6only=on; $keys
		    location = /blob { root $NET_DIR; }
		    location / { return 200 "e$i \$ssl_server_name \$ssl_client_s_dn\n"; }
		  }
		  server {
		    listen 0.0.0.0:8443 ssl proxy_protocol; listen [::]:8443 ssl proxy_protocol ipv6only=on; $keys
		    location / { return 200 "e$i \$proxy_protocol_addr\n"; }
		  }
		}
	END
	run "e$i" "tls$i" nginx -c "$d/nginx.conf" -e "$d/error.log"
	wait_for 10 "nginx with TLS in e$i" ns "e$i" curl -sk -o "$d/probe" https://127.0.0.1/
}
tls_server_up 1 one
tls_server_up 2 two "ssl_verify_client on; ssl_client_certificate $pki/ca.pem;"
tls_server_up 3 rest
gateway_up

# ---- the table ----

# names SUFFIX: server names that lead to services of that suffix.
names() { echo "server_names = ( { name = \"one.example\"; service = \"one$1\"; }, { name = \"*.two.example\"; service = \"two$1\"; } );"; }
listener() { echo "{ name = \"$1\"; address = \"$2\"; port = 443; protocol = \"tcp\"; mode = \"tls-passthrough\"; $3 }"; }
# pass_table FILE [NAMES]: NAMES: of VIP .50 and ::50, instead of the usual.
pass_table() {
	local trust='proxy_protocol = true; trusted = ( "10.77.1.0/24", "fd77:1::/64" );'
	cat <<-END >"$1"
		gateway = { name = "${NET}gateway"; };
		network = { addresses = (
		    { port = "front"; address = "10.77.1.1/24"; }, { port = "front"; address = "fd77:1::1/64"; },
		    { port = "back"; address = "10.77.2.1/24"; }, { port = "back"; address = "fd77:2::1/64"; } ); routes = (); };
		services = (
		  $(PORT=443 tcp_service one 10.77.2. 1), $(PORT=443 tcp_service two 10.77.2. 2), $(PORT=443 tcp_service rest 10.77.2. 3),
		  $(PORT=443 tcp_service one6 fd77:2:: 1), $(PORT=443 tcp_service two6 fd77:2:: 2), $(PORT=443 tcp_service rest6 fd77:2:: 3),
		  $(PORT=8443 TCP_KEYS='proxy_protocol = "v2";' tcp_service told 10.77.2. 1) );
		listeners = (
		  $(listener pass 10.77.9.50 "service = \"rest6\"; ${2-$(names 6)}"),
		  $(listener pass6 fd77:9::50 "service = \"rest\"; ${2-$(names "")}"),
		  $(listener strict 10.77.9.51 "$(names "")"),
		  $(listener strict6 fd77:9::51 "$(names 6)"),
		  $(listener told 10.77.9.52 "$trust server_names = ( { name = \"one.example\"; service = \"told\"; } );") );
	END
	ctl push "$1" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}
pass_table "$NET_DIR/t.conf"

pass_count() { ctl_json "[r['count'] for r in j['tls'] if r['name'] == 'pass_$1'][0]" show tls; }
# passed NAME COUNT BEFORE: no fewer, in time, and no more.
passed() {
	no_fewer() { [ $(($(pass_count "$1") - $3)) -ge "$2" ]; }
	wait_for 5 "pass_$1 to count" no_fewer "$@" || true
	[ $(($(pass_count "$1") - $3)) -eq "$2" ] || fail "pass_$1 counts $(($(pass_count "$1") - $3)), not $2"
}

# get WANT NAME VIP CURL-ARGS…: what the endpoint answers to who asks for https://NAME, of whose certificate nothing is wrong.
get() {
	local want=$1 name=$2 vip=$3 got
	shift 3
	[[ $vip != *:* ]] || vip="[$vip]"
	got=$(ns cl curl -gs --max-time 20 --cacert "$pki/ca.pem" --resolve "$name:443:$vip" "$@" "https://$name/") || got="curl: $?, $got"
	[[ $got = "$want"* ]] || fail "$name at $vip ($*): '$got', not '$want'"
}

# ---- good ones ----

own=$(pass_count default)
named=$(pass_count name)
me=(--cert "$pki/client.pem" --key "$pki/client.key")
for vip in 10.77.9.50 fd77:9::50; do
	for v in 1.2 1.3; do
		get "e1 one.example" one.example $vip --tlsv$v --tls-max $v
		get "e2 a.two.example CN=client" a.two.example $vip --tlsv$v --tls-max $v "${me[@]}"
		get "e2 b.a.two.example" b.a.two.example $vip -k --tlsv$v --tls-max $v "${me[@]}"
		get "e3 rest.example" rest.example $vip --tlsv$v --tls-max $v
	done
	get "e1 one.example" ONE.Example $vip
	[[ $(ns cl curl -gs --max-time 20 -o /dev/null -w '%{http_code}' --cacert "$pki/ca.pem" --resolve "a.two.example:443:${vip/fd77:9::50/[fd77:9::50]}" \
		https://a.two.example/) = 400 ]] || fail "without a certificate the endpoint did not refuse"
done
passed name 16 "$named"
passed default 4 "$own"
echo "curl: by name, mTLS end to end, both versions"

for vip in 10.77.9.50 10.77.9.51; do
	ns cl openssl s_client -connect $vip:443 -servername one.example -verify_hostname one.example -verify_return_error -CAfile "$pki/ca.pem" \
		</dev/null >"$NET_DIR/s_client.out" 2>&1 || fail "s_client: $(cat "$NET_DIR/s_client.out")"
	grep -q 'subject=CN = one' "$NET_DIR/s_client.out" || fail "s_client saw another certificate"
	ns cl openssl x509 -in "$NET_DIR/s_client.out" -outform DER | cmp - <(openssl x509 -in "$pki/one.pem" -outform DER) || fail "not the endpoint's certificate"
	printf 'GET / HTTP/1.0\r\n\r\n' | ns cl gnutls-cli --x509cafile "$pki/ca.pem" --sni-hostname one.example --verify-hostname one.example \
		-p 443 $vip >"$NET_DIR/gnutls.out" 2>&1 || fail "gnutls-cli: $(cat "$NET_DIR/gnutls.out")"
	grep -q '^e1 one.example' "$NET_DIR/gnutls.out" || fail "gnutls-cli: $(cat "$NET_DIR/gnutls.out")"
done
ns cl openssl s_client -connect 10.77.9.50:443 -noservername -CAfile "$pki/ca.pem" </dev/null >"$NET_DIR/s_client.out" 2>&1 || fail "s_client: $(cat "$NET_DIR/s_client.out")"
grep -q 'subject=CN = rest' "$NET_DIR/s_client.out" || fail "who names nobody is not served by the listener's service"
ns cl curl -gsf --max-time 60 --cacert "$pki/ca.pem" --resolve one.example:443:10.77.9.50 https://one.example/blob | cmp - "$NET_DIR/blob" || fail "the blob is another one"
get "e1 10.77.1.100" one.example 10.77.9.52 --haproxy-protocol

t() { ns cl timeout 90 python3 "$top/tests/net/tls_pass.py" "$@" >"$NET_DIR/pass.out" 2>&1 || fail "tls_pass.py $*: $(cat "$NET_DIR/pass.out")"; }
t pieces 10.77.9.50 443 one.example "$pki/ca.pem" "e1 one.example"
t pieces fd77:9::51 443 one.example "$pki/ca.pem" "e1 one.example"
echo "hellos in pieces: understood"

ctl explain tcp 10.77.1.100:40000 10.77.9.50:443 >"$NET_DIR/explain.out"
grep -q 'the server name that the client asks for says the service, and who asks for none of its names goes to service rest6' "$NET_DIR/explain.out" ||
	fail "explain: $(cat "$NET_DIR/explain.out")"
ctl explain tcp 10.77.1.100:40000 10.77.9.51:443 >"$NET_DIR/explain.out"
grep -q 'none of its names is refused' "$NET_DIR/explain.out" || fail "explain of a listener without a service: $(cat "$NET_DIR/explain.out")"

# ---- bad ones, beside one that must not notice ----

run cl steady python3 "$top/tests/net/tls_pass.py" steady 10.77.9.51 443 one.example "$pki/ca.pem" "e1 one.example" "$NET_DIR/stop"
wait_for 10 "a first answer" grep -q ready "$NET_DIR/steady.log"

before=$(pass_count nobody)
t unknown 10.77.9.51 443 nobody.example
t unknown fd77:9::51 443 ""
t unknown 10.77.9.51 443 192.0.2.1
t unknown 10.77.9.51 443 two.example
passed nobody 4 "$before"

before=$(pass_count bad)
t garbage 10.77.9.50 443
tried=$(json "$NET_DIR/pass.out" "j['tried']")
passed bad "$tried" "$before"
t garbage fd77:9::51 443
passed bad $((2 * tried)) "$before"
t size 10.77.9.50 443 one.example
passed bad $((2 * tried + 2)) "$before"
t slow 10.77.9.50 443 one.example
passed bad $((2 * tried + 5)) "$before"
echo "hellos that are none: refused"

# ---- another table: what is under way stays where it is ----

run cl hold python3 "$top/tests/net/tls_pass.py" hold 10.77.9.50 443 one.example "$pki/ca.pem" "e1 one.example" "$NET_DIR/go"
wait_for 10 "a first answer" grep -q ready "$NET_DIR/hold.log"
pass_table "$NET_DIR/t2.conf" 'server_names = ( { name = "two.example"; service = "two"; } );'
get "e3 one.example" one.example 10.77.9.50 -k
touch "$NET_DIR/go"
wait "$(pid_of hold)" || fail "hold: $(cat "$NET_DIR/hold.log")"

touch "$NET_DIR/stop"
wait "$(pid_of steady)" || fail "the one beside: $(cat "$NET_DIR/steady.log")"
tail -n 1 "$NET_DIR/steady.log" >"$NET_DIR/steady.json"
# A hello that comes slowly has 10 s: who had to wait for one would wait as long.  A machine that stands still keeps single requests waiting.
[ "$(json "$NET_DIR/steady.json" "j['slowest_ms'] < 9500 and j['median_ms'] < 1000")" = True ] || fail "the one beside waited: $(cat "$NET_DIR/steady.json")"
gone 10 "all streams over"
no_bad_drops
echo "tls-passthrough: $tried kinds of bad hellos refused, $(json "$NET_DIR/steady.json" "j['done']") requests beside them unharmed"
