# shellcheck shell=bash
# lib_tls_basic.sh — TLS with other people's clients and endpoints, all that a connection can meet.  WORKERS is set.
set -euo pipefail
# shellcheck source=tests/net/lib_tls.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_tls.sh"

tls_up
tls_server_up_again() { stop "tls$1" && tls_server_up "$1"; }

# ---- versions, suites, groups, kinds of keys, with openssl ----

# whole WHAT: what s_client got ends with the 100,000 bytes of pattern that were asked for.
tail_of_answer() { python3 -c 'import sys; sys.path.insert(0, sys.argv[2]); import http_peer as h
d = open(sys.argv[1], "rb").read()
sys.exit(h.PATTERN[:100000] not in d)' "$NET_DIR/sc.out" "$top/tests/net"; }
export PYTHONDONTWRITEBYTECODE=1
asks shop.example /bytes/100000 >"$NET_DIR/ask"
n=0
for HOST in $VIPS_TLS; do
	HOST=$(bracket "$HOST")
	for group in X25519 P-256; do
		temp=X25519 groups=X25519:P-256 # in 1.2 the group of an ECDSA certificate is among them
		[ $group = X25519 ] || temp=prime256v1 groups=P-256
		for suite in TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256; do
			s_client 443 -tls1_3 -ciphersuites $suite -groups $group -verify_return_error -verify_hostname shop.example -ign_eof <"$NET_DIR/ask" || fail "$suite $group: $(sc_says)"
			said "$suite $group" "New, TLSv1.3, Cipher is $suite"
			said "$suite $group" "Server Temp Key: (ECDH, )?$temp"
			tail_of_answer || fail "$suite $group: not the bytes that were asked for"
			n=$((n + 1))
		done
		for kind in ECDSA RSA; do
			for suite in AES128-GCM-SHA256 AES256-GCM-SHA384 CHACHA20-POLY1305; do
				s_client 443 -tls1_2 -cipher ECDHE-$kind-$suite -groups $groups -verify_return_error -verify_hostname shop.example -ign_eof <"$NET_DIR/ask" || fail "1.2 $kind $suite $group: $(sc_says)"
				said "1.2 $kind $suite $group" "New, TLSv1.2, Cipher is ECDHE-$kind-$suite"
				said "1.2 $kind $suite $group" "Server Temp Key: (ECDH, )?$temp"
				tail_of_answer || fail "1.2 $kind $suite $group: not the bytes that were asked for"
				n=$((n + 1))
			done
		done
	done
	s_client 443 -tls1_3 -sigalgs rsa_pss_rsae_sha256:rsa_pkcs1_sha256 -verify_return_error -ign_eof <"$NET_DIR/ask" || fail "RSA alone: $(sc_says)"
	said "RSA alone" "Peer signature type: RSA-PSS"
	s_client 443 -tls1_3 -sigalgs ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256 -verify_return_error -ign_eof <"$NET_DIR/ask" || fail "ECDSA and RSA"
	said "ECDSA and RSA" "Peer signature type: ECDSA"
done
HOST=$VIP
echo "$n versions, suites, groups and kinds of keys"
refused() { ! s_client 443 "$@" </dev/null || fail "accepted: $*"; }
tcounted fail_version refused -tls1_2 -cipher AES128-GCM-SHA256
tcounted fail_version refused -tls1_2 -cipher ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0
tcounted fail_version refused -tls1_1 -cipher ALL:@SECLEVEL=0
tcounted fail_version refused -tls1_3 -groups P-384
no_fallback

# ---- server names ----

# shows NAME CERTIFICATE: which certificate a server name gets.
shows() {
	local words=(-servername "$1")
	[ -n "$1" ] || words=(-noservername)
	s_client 443 "${words[@]}" </dev/null || true
	is "certificate of '$1'" "$(openssl x509 -noout -subject -in "$NET_DIR/sc.out" | sed 's/.*CN *= *//')" "$2"
}
shows shop.example shop
shows SHOP.Example shop
shows www.shop.example shop
shows exact.wild.example exact
shows any.wild.example wild
shows a.b.wild.example shop
shows wild.example shop
shows unknown.example shop
shows "" shop
s_client 443 -servername any.wild.example -verify_return_error -verify_hostname any.wild.example </dev/null || fail "the chain: $(sc_says)"

# ---- application protocols ----

alpn() { s_client 443 "$@" </dev/null; }
alpn -alpn h2,http/1.1 || fail "h2 and http/1.1: $(sc_says)"
said "h2 and http/1.1" '^ALPN protocol: http/1.1'
alpn || fail "no ALPN"
said "no ALPN" '^No ALPN negotiated'
not_h2() { ! alpn -alpn h2 || fail "h2 alone was accepted"; }
tcounted fail_alpn not_h2

# ---- resumption ----

# resumes WHAT VERSION SESSION ARGS…: New or Reused.
resumes() {
	local want=$1 version=$2 session=$3
	shift 3
	s_client 443 "-$version" -sess_in "$session" -ign_eof "$@" <"$NET_DIR/ask" || fail "$want $*: $(sc_says)"
	said "$version with a session ($*)" "^$want, TLSv1"
}
for version in tls1_2 tls1_3; do
	s_client 443 -$version -sess_out "$NET_DIR/$version.sess" -ign_eof <"$NET_DIR/ask" || fail "$version: $(sc_says)"
	for _ in 1 2 3; do tcounted server_resumed resumes Reused $version "$NET_DIR/$version.sess"; done
	resumes New $version "$NET_DIR/$version.sess" -servername any.wild.example
	! s_client 8443 -$version -sess_in "$NET_DIR/$version.sess" -ign_eof <"$NET_DIR/ask" || ! grep -q '^HTTP/1.1 200' "$NET_DIR/sc.out" ||
		fail "$version: a session without a certificate was resumed where one is required"
done

# ---- curl, GnuTLS, h2load ----

for version in 1.2 1.3; do
	tgives "curl $version" 200 443 /who --tlsv$version --tls-max $version
done
# gnutls PRIORITY INPUT ARGS…: one connection of gnutls-cli.
gnutls() {
	local priority=$1 input=$2
	shift 2
	printf '%b' "$input" | ns cl timeout 10 gnutls-cli --x509cafile="$PKI/root.pem" --sni-hostname=shop.example --verify-hostname=shop.example \
		--priority="$priority" "$@" -p 443 "$VIP" >"$NET_DIR/gnutls.out" 2>&1 || fail "gnutls-cli $priority $*: $(tail -n 20 "$NET_DIR/gnutls.out")"
}
last='GET /who HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n'
first='GET /who HTTP/1.1\r\nHost: shop.example\r\n\r\n'
for group in X25519:+GROUP-SECP256R1 SECP256R1; do
	for cipher in AES-128-GCM AES-256-GCM CHACHA20-POLY1305; do
		for version in 1.2 1.3; do
			gnutls "NORMAL:-VERS-ALL:+VERS-TLS$version:-CIPHER-ALL:+$cipher:-GROUP-ALL:+GROUP-$group" "$last"
			grep -q "TLS$version.*$cipher" "$NET_DIR/gnutls.out" && grep -q '^HTTP/1.1 200' "$NET_DIR/gnutls.out" ||
				fail "gnutls-cli $version $cipher $group: $(tail -n 20 "$NET_DIR/gnutls.out")"
		done
	done
done
for version in 1.2 1.3; do
	tcounted server_resumed gnutls "NORMAL:-VERS-ALL:+VERS-TLS$version" "$last" --resume --waitresumption
	grep -q 'This is a resumed session' "$NET_DIR/gnutls.out" || fail "gnutls-cli $version did not resume: $(tail -n 20 "$NET_DIR/gnutls.out")"
done
# It takes commands among what it sends, one at a time.
rekeys() {
	local n
	mkfifo "$NET_DIR/talk"
	ns cl timeout 20 stdbuf -o0 gnutls-cli --x509cafile="$PKI/root.pem" --sni-hostname=shop.example --verify-hostname=shop.example \
		--priority=NORMAL:-VERS-ALL:+VERS-TLS1.3 --inline-commands -p 443 "$VIP" <"$NET_DIR/talk" >"$NET_DIR/gnutls.out" 2>&1 &
	n=$!
	exec 9>"$NET_DIR/talk"
	times() { [ "$(grep -ac "$1" "$NET_DIR/gnutls.out")" -eq "$2" ]; }
	printf '%b' "$first" >&9
	wait_for 5 "an answer to gnutls-cli" times '^HTTP/1.1 200' 1
	printf '^rekey1^\n' >&9
	wait_for 5 "a key update" times 'Rekey was completed' 1
	printf '%b' "$first" >&9
	wait_for 5 "an answer under new keys" times '^HTTP/1.1 200' 2
	printf '^rekey^\n' >&9
	wait_for 5 "a key update both ways" times 'Rekey was completed' 2
	printf '%b' "$last" >&9
	wait_for 5 "an answer under new keys both ways" times '^HTTP/1.1 200' 3
	exec 9>&-
	wait "$n" || fail "gnutls-cli: $(tail -n 5 "$NET_DIR/gnutls.out")"
}
tcounted key_update_in rekeys
ns cl timeout 60 h2load --h1 -n 4000 -c 40 -t 1 --connect-to "$VIP:443" https://shop.example/who >"$NET_DIR/h2load.out" 2>&1 || fail "h2load: $(tail -n 5 "$NET_DIR/h2load.out")"
grep -q '4000 succeeded, 0 failed, 0 errored' "$NET_DIR/h2load.out" && grep -q '2xx, 0 3xx' "$NET_DIR/h2load.out" || fail "h2load: $(cat "$NET_DIR/h2load.out")"

# ---- records ----

tcounted key_update_out tp updates "$VIP" 443 60
tp pieces "$VIP" 443
tp half "$VIP" 9445 /bytes/3000000 3000000
tcounted cut tp cut "$VIP" 443
tp sizes "$VIP" 443 /bytes/3000000 3000000
is "records that grow" "$(tpj 'j["first"] < 1500 and j["most"] > 12000')" True

# ---- bodies ----

want=$(sum_of <"$NET_DIR/large")
for h in $VIPS_TLS; do
	for way in "443 plain" "443 secure" "443 mutual" "443 old" "9443 -" "9444 -"; do
		port=${way% *}
		is "a large answer by $h $way" "$(HOST=$h tget "$port" /large -H "x-to: ${way#* }" | sum_of)" "$want"
	done
done
is "a large answer by TLS 1.2" "$(tget 443 /large -H 'x-to: secure' --tls-max 1.2 | sum_of)" "$want"
for suite in TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256; do
	is "a large answer by $suite" "$(tget 443 /large -H 'x-to: secure' --tls13-ciphers $suite | sum_of)" "$want"
done
for way in secure mutual; do
	tgives "a large request, $way" 201 443 "/put/$way" -H "x-to: $way" -T "$NET_DIR/large"
	is "what came of it, $way" "$(cat "$NET_DIR"/put-[1-4]/$way | sum_of)" "$want"
	rm "$NET_DIR"/put-[1-4]/$way
done
is "a large request by TLS 1.2" "$(tget 443 /echo -T "$NET_DIR/large" --tls-max 1.2 | python3 -c 'import json,sys; print(json.load(sys.stdin)["sha"])')" "$want"
is "a large request in chunks" "$(tget 443 /echo -H 'Transfer-Encoding: chunked' -T "$NET_DIR/large" | python3 -c 'import json,sys; print(json.load(sys.stdin)["sha"])')" "$want"
no_fallback

# ---- endpoints with TLS ----

is "what an endpoint is told" "$(tget 443 /tls -H 'x-to: secure' | cut -d' ' -f1,3,4)" "TLSv1.3 web.internal NONE"
is "an endpoint that knows us" "$(tget 443 /tls -H 'x-to: mutual' | cut -d' ' -f1,3-)" "TLSv1.3 web.internal SUCCESS CN=gw"
is "an endpoint with TLS 1.2" "$(tget 443 /tls -H 'x-to: old' | cut -d' ' -f1)" TLSv1.2
tcounted fail_name tgives "an endpoint with a wrong name" 503 443 /tls -H 'x-to: wrong'
tcounted fail_expired tgives "an endpoint with an expired certificate" 503 443 /tls -H 'x-to: expired'
tcounted fail_issuer tgives "an endpoint of an unknown issuer" 503 443 /tls -H 'x-to: stranger'
tcounted fail_usage tgives "an endpoint with a client's certificate" 503 443 /tls -H 'x-to: usage'
is "an endpoint that nobody verifies" "$(tget 443 / -H 'x-to: careless' | cut -c1)" e
bare() { tcode 443 /tls -H 'x-to: bare' >"$NET_DIR/bare" || true; }
bare # nginx answers 400 in HTTP, after the handshake
is "an endpoint that wants a certificate" "$(cat "$NET_DIR/bare")" 400
stop tls1
stop tls2
for i in $TLS_ENDPOINTS; do REQUESTS_KEPT=1 tls_server_up "$i"; done
resumed() { for n in 1 2 3 4 5 6 7 8; do tgives "a new connection to endpoints" 200 443 / -H 'x-to: secure'; done; }
tcounted client_resumed resumed
SERVICE_TLS='names = ( "spiffe://td.test/ns/prod/sa/other" );' tls_push
tcounted fail_name tgives "another identity than was asked for" 503 443 /tls -H 'x-to: secure'
SERVICE_TLS='names = ( "spiffe://td.test/ns/prod/*" );' tls_push
tgives "an identity of a kind" 200 443 / -H 'x-to: secure'
tls_push

# ---- pass-through ----

# The endpoint's own certificate comes through, and its server name decides who is asked.
pass() { s_client 7443 -servername "$1" -verify_return_error -verify_hostname web.internal -ign_eof <<<"$(asks "$1" /tls)"$'\n\n' || fail "pass-through of $1: $(sc_says)"; }
tcounted pass_name pass one.pass.example
said "by wildcard" '^TLSv1.2 '
tcounted pass_default pass elsewhere.example
said "by default" '^TLSv1.3 .* elsewhere.example NONE'
mutual() {
	ns cl curl -gs --max-time 10 --cacert "$PKI/root.pem" -k --cert "$PKI/a.pem" --key "$PKI/a.key" --connect-to "pass.example:7443:$VIP:7443" https://pass.example:7443/tls >"$NET_DIR/pass.out"
}
tcounted pass_name mutual
is "mTLS between the two ends" "$(cut -d' ' -f3- "$NET_DIR/pass.out")" "pass.example SUCCESS CN=a"

# ---- what is told, and nothing is left ----

ctl show tls >"$NET_DIR/show.out" || fail "show tls: $(cat "$NET_DIR/show.out")"
ns gw curl -sf --max-time 10 --unix-socket "$NET_DIR/metrics.sock" http://sluiced/metrics >"$NET_DIR/metrics" || fail "metrics"
grep -q '^sluice_certificate_not_after_seconds{name="shop"' "$NET_DIR/metrics" || fail "metrics: $(grep -c . "$NET_DIR/metrics") lines, none of certificates"
if command -v promtool >/dev/null; then promtool check metrics <"$NET_DIR/metrics" >"$NET_DIR/promtool.out" 2>&1 || fail "promtool: $(cat "$NET_DIR/promtool.out")"; fi
ctl cert list >"$NET_DIR/list.out" || fail "cert list: $(cat "$NET_DIR/list.out")"
for n in shop shop-rsa wild exact gw mesh; do grep -q "$n" "$NET_DIR/list.out" || fail "cert list has no $n: $(cat "$NET_DIR/list.out")"; done
! ctl cert remove shop >"$NET_DIR/cert.out" 2>&1 || fail "a certificate in use was removed"
no_fallback
quiet
no_bad_drops
