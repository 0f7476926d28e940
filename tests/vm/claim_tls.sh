#!/usr/bin/env bash
# TLS that ends in the gateway, through VFIO-bound NICs: curl and openssl, TLS 1.2 and 1.3, each suite, resumption.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin
gateway standard

get() { ns cl curl -gsS --max-time 20 --cacert "$PKI/root.pem" --connect-to "shop.example:443:$v:443" "$@"; }
for v in 10.77.9.30 "[fd77:9::30]"; do
	[ "$(get --tlsv1.3 https://shop.example/hello)" = "hello from the gateway" ] || fail "$v: TLS 1.3"
	[ "$(get --tls-max 1.2 https://shop.example/hello)" = "hello from the gateway" ] || fail "$v: TLS 1.2"
	get -o "$NET_DIR/got" https://shop.example/blob && cmp "$NET_DIR/got" "$NET_DIR/blob" || fail "$v: the body differs"
	! get --cacert "$PKI/other.crt" https://shop.example/hello 2>/dev/null || fail "$v: verified by a stranger's root"
done
for suite in TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256; do
	ns cl timeout 20 openssl s_client -connect 10.77.9.30:443 -servername shop.example -CAfile "$PKI/root.pem" -verify_return_error \
		-tls1_3 -ciphersuites $suite -ign_eof <<<$'GET /hello HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r' >"$NET_DIR/s_client.out" 2>&1 ||
		fail "openssl with $suite: $(tail -n 5 "$NET_DIR/s_client.out")"
	grep -q "Cipher is $suite" "$NET_DIR/s_client.out" && grep -q "hello from the gateway" "$NET_DIR/s_client.out" || fail "openssl with $suite: $(cat "$NET_DIR/s_client.out")"
	echo "openssl: $suite"
done
ask() { ns cl timeout 20 openssl s_client -connect 10.77.9.30:443 -servername shop.example -CAfile "$PKI/root.pem" "$@" -ign_eof \
	<<<$'GET /hello HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r' 2>&1; }
ask -sess_out "$NET_DIR/session" >/dev/null
ask -sess_in "$NET_DIR/session" | grep -q "^Reused, TLSv1.3" || fail "the session was not resumed"
no_bad_drops
