#!/usr/bin/env bash
# Certificates, bundles and ticket keys replaced while traffic runs: no request fails, and who comes then sees the new ones.  And
# either process killed: what was added is there again.  2 workers, af_xdp.
set -euo pipefail
export WORKERS=2 DRIVER=af_xdp LARGE=1000000 BOOT_KEYS='privileges = "keep";'
# shellcheck source=tests/net/lib_tls.sh
. "$(dirname "$0")/lib_tls.sh"

tls_up

serial_of() { openssl x509 -noout -serial -in "$1" | sed 's/serial=//'; }
# shown: the serial number that a new connection is shown.
shown() {
	s_client 443 </dev/null || true
	openssl x509 -noout -serial -in "$NET_DIR/sc.out" 2>/dev/null | sed 's/serial=//'
}
shown_is() { [ "$(shown)" = "$1" ]; }
# anew NAME EXTENSION…: another certificate with another key of that name, told to the gateway.
anew() {
	local name=$1
	cert "$@"
	ctl cert replace "$name" --cert "$PKI/$name.pem" --key "$PKI/$name.key" >"$NET_DIR/cert.out" 2>&1 || fail "cert replace $name: $(cat "$NET_DIR/cert.out")"
}
https=(--ca "$PKI/root.pem" --name shop.example)

# ---- under load ----

seconds=300 patience=15 # wrk's own is 2 s, which a machine may stand still for
load kept --seconds $seconds --timeout $patience --threads 8 --keepalive --spread "${https[@]}" "https://$VIP/who" "https://[fd77:9::40]/who"
load fresh --seconds $seconds --timeout $patience --threads 3 "${https[@]}" "https://$VIP/who" "https://[fd77:9::40]/who"
load mtls --seconds $seconds --timeout $patience --threads 3 --cert "$PKI/a" "${https[@]}" "https://$VIP:8443/who"
load there --seconds $seconds --timeout $patience --threads 3 -H 'x-to: mutual' "${https[@]}" "https://$VIP/" # connections to endpoints with TLS are kept
run cl wrk wrk -t 1 -c 16 -d ${seconds}s --timeout ${patience}s -H 'Host: shop.example' "https://$VIP/who"
run cl wrknew wrk -t 1 -c 4 -d ${seconds}s --timeout ${patience}s -H 'Host: shop.example' -H 'Connection: close' "https://$VIP/who"
before=$(serial_of "$PKI/shop.pem")
is "the first certificate" "$(shown)" "$before"
all_kept() { [ "$(json "$NET_DIR/kept.so_far" 'sum(j["certificates"].values())')" -eq 8 ]; }
wait_for 30 "all eight kept connections" all_kept
seen=()
for _ in 1 2 3 4; do
	anew shop inter "$SERVER" "$(san DNS:shop.example,DNS:www.shop.example)"
	now=$(serial_of "$PKI/shop.pem")
	wait_for 5 "the new certificate shown" shown_is "$now"
	goes_on fresh
	seen+=("$now")
	anew gw inter "$CLIENT" "$(san URI:spiffe://td.test/ns/edge/sa/gw)"
	ctl tickets rotate >"$NET_DIR/tickets.out" 2>&1 || fail "tickets rotate: $(cat "$NET_DIR/tickets.out")"
	ctl cert replace mesh --ca "$PKI/root.pem" >"$NET_DIR/cert.out" 2>&1 || fail "cert replace mesh: $(cat "$NET_DIR/cert.out")"
	HANDSHAKE_TIMEOUT=$((RANDOM + 5000))ms tls_push
done
RSA=1 anew shop-rsa rsa "$SERVER" "$(san DNS:shop.example,DNS:www.shop.example)"
stop tls1 # endpoints lose their connections: new ones are made with the new certificate
tls_server_up 1
for w in kept fresh mtls there; do goes_on $w; done
enough kept fresh mtls there
for w in wrk wrknew; do
	kill -INT "$(pid_of $w)"
	wait "$(pid_of $w)" || fail "$w: $(cat "$NET_DIR/$w.log")"
	! grep -qE 'Socket errors|Non-2xx' "$NET_DIR/$w.log" || fail "$w: $(cat "$NET_DIR/$w.log")"
	echo "$w: $(grep 'requests in' "$NET_DIR/$w.log")"
done
is "certificates that new connections were shown" "$(say fresh "len(j['certificates']) > 2 and set(j['certificates']) <= set('$before ${seen[*]}'.split())")" True
is "kept connections were shown the first only" "$(say kept 'list(j["certificates"])')" "['$before']"
echo "connections by certificate: $(say fresh 'list(j["certificates"].values())')"
no_fallback

# ---- what is wrong is refused, and the old one stays ----

cert wrong inter "$SERVER" "$(san DNS:shop.example)"
refuses() { ! ctl "$@" >"$NET_DIR/cert.out" 2>&1 || fail "accepted: $*"; }
refuses cert replace shop --cert "$PKI/wrong.pem" --key "$PKI/shop.key"
refuses cert add shop --cert "$PKI/wrong.pem" --key "$PKI/wrong.key"
grep -q replace "$NET_DIR/cert.out" || fail "add of what is there does not say replace: $(cat "$NET_DIR/cert.out")"
refuses cert replace nobody --cert "$PKI/wrong.pem" --key "$PKI/wrong.key"
refuses cert check --cert "$PKI/wrong.pem" --key "$PKI/shop.key"
ctl cert check --cert "$PKI/wrong.pem" --key "$PKI/wrong.key" >"$NET_DIR/cert.out" 2>&1 || fail "cert check: $(cat "$NET_DIR/cert.out")"
FROM="-3 days" TO="-1 day" cert late inter "$SERVER" "$(san DNS:shop.example)"
refuses cert add late --cert "$PKI/late.pem" --key "$PKI/late.key"
grep -q expired "$NET_DIR/cert.out" || fail "an expired certificate: $(cat "$NET_DIR/cert.out")"
openssl pkey -in "$PKI/wrong.key" -aes128 -passout pass:x -out "$PKI/wrong.enc"
refuses cert add closed --cert "$PKI/wrong.pem" --key "$PKI/wrong.enc"
refuses cert add garbage --cert /bin/ls --key "$PKI/wrong.key"
refuses cert remove mesh
TO="+10 days" cert soon inter "$SERVER" "$(san DNS:soon.example)"
cert_add soon
ctl cert list >"$NET_DIR/list.out"
grep -q soon "$NET_DIR/list.out" || fail "cert list: $(cat "$NET_DIR/list.out")"
ctl cert remove soon >"$NET_DIR/cert.out" 2>&1 || fail "cert remove: $(cat "$NET_DIR/cert.out")"
is "what is shown still" "$(shown)" "$now"
is "rights of what is kept" "$(find "$NET_DIR/state" -type f -name '*shop*' -perm /077 | wc -l)" 0
sed 's/certificates = ( /certificates = ( "nobody", /' "$NET_DIR/t.conf" >"$NET_DIR/bad.conf"
! ctl push "$NET_DIR/bad.conf" >"$NET_DIR/push.out" 2>&1 || fail "a table with a certificate that nobody added was taken"
grep -q nobody "$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"

# ---- tickets from outside, and processes that go ----

asks shop.example /who >"$NET_DIR/ask"
# session FILE: a session kept; resumes WHAT FILE HOW: New or Reused.
session() { s_client 443 -tls1_3 -sess_out "$1" -ign_eof <"$NET_DIR/ask" || fail "a session: $(sc_says)"; }
resumes() {
	s_client 443 -tls1_3 -sess_in "$2" -ign_eof <"$NET_DIR/ask" || fail "$1: $(sc_says)"
	grep -aq "^$3, TLSv1.3" "$NET_DIR/sc.out" || fail "$1: not $3: $(sc_says)"
}
session "$NET_DIR/own.sess"
ctl tickets rotate >/dev/null || fail "tickets rotate"
resumes "by the keys before" "$NET_DIR/own.sess" Reused
head -c 80 /dev/urandom >"$NET_DIR/tickets1"
head -c 80 /dev/urandom | cat - "$NET_DIR/tickets1" >"$NET_DIR/tickets2"
ctl tickets install "$NET_DIR/tickets1" >"$NET_DIR/tickets.out" 2>&1 || fail "tickets install: $(cat "$NET_DIR/tickets.out")"
ctl tickets show >"$NET_DIR/tickets.out" 2>&1 || fail "tickets show: $(cat "$NET_DIR/tickets.out")"
session "$NET_DIR/one.sess"
resumes "by installed keys" "$NET_DIR/one.sess" Reused
resumes "by keys that are gone" "$NET_DIR/own.sess" New
ctl tickets install "$NET_DIR/tickets2" >"$NET_DIR/tickets.out" 2>&1 || fail "tickets install: $(cat "$NET_DIR/tickets.out")"
resumes "by the second of installed keys" "$NET_DIR/one.sess" Reused
refuses tickets install "$NET_DIR/push.out"

load through --seconds 300 --timeout $patience --threads 4 "${https[@]}" "https://$VIP/who"
stop sluiced KILL
daemon_up
wait_for 10 "the dataplane connected again" connected
goes_on through
enough through
ctl cert list >"$NET_DIR/list2.out"
for n in shop shop-rsa wild exact gw mesh; do grep -q "$n" "$NET_DIR/list2.out" || fail "$n is gone: $(cat "$NET_DIR/list2.out")"; done
is "what is shown" "$(shown)" "$now"
resumes "after the daemon was killed" "$NET_DIR/one.sess" Reused

stop dataplane KILL
dataplane_up
wait_for 10 "the certificate shown again" shown_is "$now"
resumes "by another dataplane with the same keys" "$NET_DIR/one.sess" Reused
tgives "and so to endpoints" 200 443 / -H 'x-to: mutual'
ctl upgrade >"$NET_DIR/upgrade.out" 2>&1 || fail "upgrade: $(cat "$NET_DIR/upgrade.out")"
wait_for 10 "the certificate shown after an upgrade" shown_is "$now"
ctl tickets own >"$NET_DIR/tickets.out" 2>&1 || fail "tickets own: $(cat "$NET_DIR/tickets.out")"
resumes "by keys behind the gateway's own" "$NET_DIR/one.sess" Reused
for _ in 1 2 3; do ctl tickets rotate >/dev/null || fail "tickets rotate"; done
resumes "by keys that are gone" "$NET_DIR/one.sess" New
no_fallback
quiet
no_bad_drops
