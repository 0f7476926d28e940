#!/usr/bin/env bash
# Plaintext and TLS on one port (Istio's PERMISSIVE), and TLS with client certificates alone (STRICT), modes http and tcp.
# 2 workers, af_packet.
set -euo pipefail
export WORKERS=2 DRIVER=af_packet LARGE=100000 HANDSHAKE_TIMEOUT=2s
# shellcheck source=tests/net/lib_tls.sh
. "$(dirname "$0")/lib_tls.sh"

A=spiffe://td.test/ns/prod/sa/a
export ROUTES='
{ name = "known"; prefix = "/known"; identity = { present = true; }; respond = { code = 200; body = "known\n"; }; },
{ name = "unknown"; prefix = "/known"; respond = { code = 200; body = "unknown\n"; }; },
{ name = "up"; prefix = "/up"; redirect = { code = 302; path = "/x"; }; },
'
# 443 none, 8443 required, 8444 optional, 9443 mode tcp: the four take plaintext, too, as PLAIN says.
PLAIN='plaintext = "accept";'
eval "original_$(declare -f tls_listener)"
tls_listener() { original_tls_listener "$1" "$2" "$3" "${4:-} $PLAIN"; }
tls_up

pget() { ns cl curl -gs --max-time 10 "http://$(bracket "${HOST:-$VIP}"):$1$2" "${@:3}"; }
# ends_within MS PORT [BYTES]: a client that says no more than BYTES is let go by then.
ends() {
	ns cl python3 - "$VIP" "$1" "${2:-}" <<-'END'
		import socket, sys, time
		begin = time.monotonic()  # before anything that the gateway counts from
		s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
		s.sendall(bytes.fromhex(sys.argv[3]))
		s.settimeout(8)
		try:
		    got = s.recv(100)
		except ConnectionResetError:
		    got = b""
		took = time.monotonic() - begin
		sys.exit(0 if got == b"" and 1.5 < took < 6 else f"{got!r} after {took:.1f} s")
	END
}

for HOST in $VIPS_TLS; do
	is "plaintext where nobody is asked" "$(pget 443 /known)" unknown
	is "TLS beside it" "$(tget 443 /known)" unknown
	is "plaintext beside required certificates has no identity" "$(pget 8443 /known)" unknown
	# shellcheck disable=SC2046
	is "TLS with a certificate" "$(tget 8443 /known $(as a))" known
	! tget 8443 /known || fail "TLS without a certificate was let in where one is required"
	is "plaintext where they are optional" "$(pget 8444 /known)" unknown
	is "an identity that a plaintext client says" "$(pget 8444 /known -H ":identity: $A" -H "x-forwarded-client-cert: URI=$A" || true)" unknown
	is "mode tcp, plaintext" "$(pget 9443 /health)" ok
	is "mode tcp, TLS" "$(tget 9443 /health)" ok
	is "a redirect of plaintext" "$(pget 443 /up -o /dev/null -w '%{redirect_url}')" "http://$(bracket "$HOST"):443/x"
done
unset HOST

# ---- told ----

pget 8443 /known -H 'x-request-id: in-plain' >/dev/null
# shellcheck disable=SC2046
tget 8443 /known $(as a) -H 'x-request-id: by-tls' >/dev/null
logged() { grep -q "\"request_id\":\"$1\"" "$NET_DIR/access.log"; }
line() {
	wait_for 5 "the access log to have request $1" logged "$1"
	grep "\"request_id\":\"$1\"" "$NET_DIR/access.log" >"$NET_DIR/line"
	json "$NET_DIR/line" "$2"
}
is "plaintext in the access log" "$(line in-plain '[j["tls_version"], j["identity"]]')" "[None, None]"
is "TLS in the access log" "$(line by-tls '[j["tls_version"], j["identity"]]')" "['TLSv1.3', '$A']"
is "show listeners" "$(ctl_json "[l['tls']['plaintext'] for l in j['listeners'] if l['name'] == 'v10-77-9-40-8443'][0]" show listeners)" accept

# ---- who says nothing, or one byte that may be either; pieces ----

ends 443 || fail "a silent client, mode http"
ends 9443 || fail "a silent client, mode tcp"
ends 443 16 || fail "one byte that may begin a handshake"
pieces() {
	ns cl python3 - "$VIP" "$1" <<-'END'
		import socket, sys, time
		s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
		s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		for c in b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":
		    s.sendall(bytes([c]))
		    time.sleep(0.003)
		got = b""
		while part := s.recv(1000):
		    got += part
		sys.exit(0 if got.startswith(b"HTTP/1.1 ") else f"{got!r}")
	END
}
for port in 443 9443; do pieces $port || fail "a request byte by byte, port $port"; done

# ---- strict: a connection of before has no further request, nor has a new one ----

ns cl python3 - "$VIP" 8443 "$NET_DIR/kept" >"$NET_DIR/kept.log" 2>&1 <<'END' &
import os, socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
ask = b"GET /known HTTP/1.1\r\nHost: a\r\n\r\n"
s.sendall(ask)
assert b"unknown" in s.recv(4000)
open(sys.argv[3] + ".asked", "w").close()
while not os.path.exists(sys.argv[3] + ".strict"):
    time.sleep(0.05)
try:
    s.sendall(ask)
    got = s.recv(4000)
except ConnectionError:
    got = b""
sys.exit(0 if got == b"" else f"answered: {got!r}")
END
kept=$!
wait_for 10 "the kept connection's answer" test -e "$NET_DIR/kept.asked"
PLAIN='plaintext = "refuse";'
tls_push
touch "$NET_DIR/kept.strict"
wait "$kept" || fail "a plaintext connection of before goes on: $(cat "$NET_DIR/kept.log")"
for port in 443 8443 9443; do
	! pget $port /health >/dev/null || fail "plaintext is let in where it is refused, port $port"
done
# shellcheck disable=SC2046
is "TLS with a certificate, strict" "$(tget 8443 /known $(as a))" known
