#!/usr/bin/env bash
# Client certificates: who is let in and where to, what is told of them, and who is not let in and why.  2 workers, af_packet.
set -euo pipefail
export WORKERS=2 DRIVER=af_packet
# shellcheck source=tests/net/lib_tls.sh
. "$(dirname "$0")/lib_tls.sh"

A=spiffe://td.test/ns/prod/sa/a
export LARGE=100000
export CLIENT_TLS='client_names = ( "spiffe://td.test/ns/prod/*", "spiffe://td.test/ns/dev/sa/b", "cl.example" ); forwarded_client_cert = "set";'
export ROUTES='
{ name = "exact"; identity = { exact = "spiffe://td.test/ns/dev/sa/b"; }; respond = { code = 200; body = "b\n"; }; },
{ name = "others"; prefix = "/others"; identity = { prefix = "spiffe://td.test/ns/prod/"; invert = true; }; respond = { code = 200; body = "others\n"; }; },
{ name = "prod"; prefix = "/prod"; identity = { prefix = "spiffe://td.test/ns/prod/"; }; respond = { code = 200; body = "prod\n"; }; },
{ name = "known"; prefix = "/known"; identity = { present = true; }; respond = { code = 200; body = "known\n"; }; },
{ name = "unknown"; prefix = "/known"; respond = { code = 200; body = "unknown\n"; }; },
'
tls_up

# der BYTES…: a SAN extension of one URI as it is, "\0" in it and all.
uri_der() { python3 -c 'import sys; u = sys.argv[1].encode().decode("unicode_escape").encode("latin1"); b = bytes([0x86, len(u)]) + u; print("subjectAltName = DER:" + (bytes([0x30, len(b)]) + b).hex(":"))' "$1"; }
cert b inter "$CLIENT" "$(san URI:spiffe://td.test/ns/dev/sa/b)"
RSA=1 cert dns inter "$CLIENT" "$(san DNS:cl.example)"
FROM="-3 days" TO="-1 hour" cert expired inter "$CLIENT" "$(san URI:$A)"
FROM="+1 hour" cert future inter "$CLIENT" "$(san URI:$A)"
cert usage inter "$SERVER" "$(san URI:$A)"
cert name inter "$CLIENT" "$(san URI:spiffe://td.test/ns/dev/sa/c)"
cert short inter "$CLIENT" "$(san URI:spiffe://td.test/ns/prod)"
cert nothing inter "$CLIENT"
cert nul inter "$CLIENT" "$(uri_der 'spiffe://td.test/ns/dev/sa/b\0.evil.test')"
cert dnsnul inter "$CLIENT" "$(python3 -c 'u = b"cl.example\0.evil.test"; b = bytes([0x82, len(u)]) + u; print("subjectAltName = DER:" + (bytes([0x30, len(b)]) + b).hex(":"))')"
cert two inter "$CLIENT" "$(san "URI:$A,URI:spiffe://td.test/ns/prod/sa/z")"
cert stranger other "$CLIENT" "$(san URI:$A)"

# ---- let in ----

# shellcheck disable=SC2046,SC2086 # words of curl
for version in 1.2 1.3; do
	v="--tls-max $version --tlsv$version"
	is "a, $version" "$(tget 8443 /prod $(as a) $v)" prod
	is "b, $version" "$(tget 8443 /prod $(as b) $v)" b
	is "b elsewhere, $version" "$(tget 8443 /others $(as b) $v)" b
	is "a name of a host, $version" "$(tget 8443 /others $(as dns) $v)" others
	is "a is known, $version" "$(tget 8443 /known $(as a) $v)" known
	is "a where certificates are optional, $version" "$(tget 8444 /known $(as a) $v)" known
	is "nobody where they are optional, $version" "$(tget 8444 /known $v)" unknown
	is "nobody where nobody is asked, $version" "$(tget 443 /known $v)" unknown
	is "a certificate where nobody asks, $version" "$(tget 443 /known $(as a) $v)" unknown
done
is "an identity in a header of the client's" "$(tget 443 /known -H ":identity: $A" -H "identity: $A" || true)" unknown

# One of it resumes, and is who it was.
s_resumed() {
	s_client 8443 "-$1" -cert "$PKI/a.pem" -cert_chain "$PKI/inter.crt" -key "$PKI/a.key" -sess_out "$NET_DIR/a.sess" -ign_eof <<<"$(asks shop.example /prod)"$'\n\n' || fail "a by s_client: $(sc_says)"
	s_client 8443 "-$1" -cert "$PKI/a.pem" -cert_chain "$PKI/inter.crt" -key "$PKI/a.key" -sess_in "$NET_DIR/a.sess" -ign_eof <<<"$(asks shop.example /prod)"$'\n\n' || fail "a again: $(sc_says)"
	said "a again, $1" '^Reused'
	said "a again, $1" '^prod'
}
tcounted server_resumed s_resumed tls1_3
tcounted server_resumed s_resumed tls1_2

# ---- what is told ----

line() {
	there() { grep -q "\"request_id\":\"$1\"" "$NET_DIR/access.log"; }
	wait_for 5 "the access log to have request $1" there "$1"
	grep "\"request_id\":\"$1\"" "$NET_DIR/access.log" >"$NET_DIR/line"
	python3 -c 'import json,sys; l=json.loads(open(sys.argv[1]).read()); print(eval(sys.argv[2]))' "$NET_DIR/line" "$2"
}
# shellcheck disable=SC2046
{
	tget 8443 /headers $(as a) -H 'x-to: secure' -H 'x-request-id: with-a' -H 'x-forwarded-client-cert: URI=spiffe://td.test/ns/prod/sa/forged' >"$NET_DIR/xfcc"
	grep -q "^xfcc=.*URI=$A" "$NET_DIR/xfcc" || fail "x-forwarded-client-cert: $(cat "$NET_DIR/xfcc")"
	! grep -q forged "$NET_DIR/xfcc" || fail "a forged x-forwarded-client-cert came through: $(cat "$NET_DIR/xfcc")"
	hash=$(openssl x509 -in "$PKI/a.pem" -outform DER | sum_of)
	grep -qi "Hash=$hash" "$NET_DIR/xfcc" || fail "not the hash of the certificate, $hash: $(cat "$NET_DIR/xfcc")"
	is "a in the access log" "$(line with-a '[l[k] for k in ("identity", "tls_version", "tls_cipher", "sni", "upstream_tls")]')" \
		"['$A', 'TLSv1.3', 'TLS_AES_128_GCM_SHA256', 'shop.example', True]"
	tget 443 /headers $(as a) -H 'x-to: secure' -H 'x-request-id: without' -H 'x-forwarded-client-cert: URI=spiffe://td.test/ns/prod/sa/forged' >"$NET_DIR/xfcc"
	is "without a certificate" "$(cat "$NET_DIR/xfcc")" "xfcc="
	is "nobody in the access log" "$(line without 'l["identity"]')" None
	tget 8444 /headers -H 'x-to: secure' -H 'x-forwarded-client-cert: URI=spiffe://td.test/ns/prod/sa/forged' >"$NET_DIR/xfcc"
	is "optional, without a certificate" "$(cat "$NET_DIR/xfcc")" "xfcc="
}

# ---- not let in ----

# never WHAT PORT ARGS…: no answer, by either version.
never() {
	local what=$1 port=$2 version
	shift 2
	for version in 1.2 1.3; do
		is "$what, $version" "$(tcode "$port" /known --tls-max $version --tlsv$version "$@" 2>/dev/null || true)" 000
	done
}
# shellcheck disable=SC2046
for port in 8443 8444; do
	[ $port = 8444 ] || tcounted fail_no_certificate never "no certificate" $port
	tcounted fail_expired never "an expired one" $port $(as expired)
	tcounted fail_expired never "one not yet valid" $port $(as future)
	tcounted fail_usage never "one for servers" $port $(as usage)
	tcounted fail_name never "another name" $port $(as name)
	tcounted fail_name never "the prefix of a name" $port $(as short)
	tcounted fail_name never "no name" $port $(as nothing)
	tcounted fail_issuer never "an unknown issuer" $port $(as stranger)
	never "NUL in a URI" $port $(as nul)
	never "NUL in a host name" $port $(as dnsnul)
	never "two identities" $port $(as two)
done
is "sessions that were let in all had a certificate or needed none" "$(tget 8443 /prod --cert "$PKI/a.pem" --key "$PKI/a.key")" prod

# ---- what changes is for who comes then ----

# A session of before is not resumed where another policy holds.
s_client 8443 -tls1_3 -cert "$PKI/a.pem" -cert_chain "$PKI/inter.crt" -key "$PKI/a.key" -sess_out "$NET_DIR/a.sess" -ign_eof <<<"$(asks shop.example /prod)"$'\n\n' || fail "a: $(sc_says)"
CLIENT_TLS='client_names = ( "spiffe://td.test/ns/dev/*" ); forwarded_client_cert = "append";' tls_push
s_client 8443 -tls1_3 -cert "$PKI/a.pem" -cert_chain "$PKI/inter.crt" -key "$PKI/a.key" -sess_in "$NET_DIR/a.sess" -ign_eof <<<"$(asks shop.example /prod)"$'\n\n' || true
! grep -qE '^Reused|^prod' "$NET_DIR/sc.out" || fail "a session of another policy was resumed: $(sc_says)"
# shellcheck disable=SC2046
{
	tcounted fail_name never "a now" 8443 $(as a)
	is "b now" "$(tget 8443 / $(as b))" b
}
ctl cert add strangers --ca "$PKI/other.pem" >"$NET_DIR/cert.out" 2>&1 || fail "cert add: $(cat "$NET_DIR/cert.out")"
CLIENT_TLS='' tls_table "$NET_DIR/t.conf"
sed -i 's/client = "required"; trust = ( "mesh" );/client = "required"; trust = ( "mesh", "strangers" );/' "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"
# shellcheck disable=SC2046
{
	is "a stranger who is trusted now" "$(tget 8443 /prod $(as stranger))" prod
	is "any name" "$(tget 8443 /known $(as name))" known
}
no_fallback
quiet
no_bad_drops
