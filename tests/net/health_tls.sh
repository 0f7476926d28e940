#!/usr/bin/env bash
# Probes by TLS, with the settings of the service, of nginx: who is up and who is not, and why; a bundle replaced while probes run.
set -euo pipefail
# shellcheck source=tests/net/lib_tls.sh
. "$(dirname "$0")/lib_tls.sh"

tls_up
for i in $TLS_ENDPOINTS; do ns gw ip route add "10.77.2.1$i/32" via "10.77.3.1$i"; done
sed 's|policy = "round_robin";|& health = { type = "http"; path = "/health"; body = "ok"; interval = "300ms"; timeout = "300ms"; fall = 2; rise = 1; };|' \
	"$NET_DIR/t.conf" >"$NET_DIR/probed.conf"
ctl push "$NET_DIR/probed.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"

# is_now SERVICE STATE WORDS: of both endpoints.
is_now() {
	ctl --json show endpoints "$1" >"$NET_DIR/endpoints.json"
	[ "$(json "$NET_DIR/endpoints.json" "all(e['state'] == '$2' and '$3' in e['why'] for e in j['endpoints']) and len(j['endpoints'])")" = 2 ]
}
while read -r service state words; do
	wait_for 10 "$service $state: $words" is_now "$service" "$state" "$words" || fail "$service: $(cat "$NET_DIR/endpoints.json")"
done <<-END
	secure up ok, HTTP status 200, the body is as expected
	mutual up ok, HTTP status 200
	old up ok, HTTP status 200
	careless up ok, HTTP status 200
	plain up ok, HTTP status 200
	bare down HTTP status 400, expected 200
	wrong down TLS: the certificate has none of the names that are wanted
	expired down TLS: the certificate does not verify: certificate has expired
	stranger down TLS: the certificate does not verify
	usage down TLS: the certificate does not verify
	pass443 down HTTP status 400, expected 200
END
ctl cert replace mesh --ca "$PKI/other.pem" >"$NET_DIR/cert.out" 2>&1 || fail "cert replace: $(cat "$NET_DIR/cert.out")"
wait_for 10 "secure down by another bundle" is_now secure down "does not verify"
wait_for 10 "stranger up by it" is_now stranger up "ok, HTTP status 200"
ctl cert replace mesh --ca "$PKI/root.pem" >"$NET_DIR/cert.out" 2>&1 || fail "cert replace: $(cat "$NET_DIR/cert.out")"
wait_for 10 "secure up by the one before" is_now secure up "ok, HTTP status 200"

# ---- the key that was shown to who asked is in sluiced's memory no longer than a probe ----

wait_for 10 "mutual up" is_now mutual up "ok, HTTP status 200"
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" 2>&1 || fail "push: $(cat "$NET_DIR/push.out")"
unprobed() { [ "$(ctl_json "all(e['state'] == 'unprobed' for e in j['endpoints'])" show endpoints)" = True ]; }
wait_for 5 "no probes any more" unprobed
secrets=$top/tests/net/tls_secrets.py
python3 "$secrets" needles "$NET_DIR/needles.json" "$PKI/gw.key" >"$NET_DIR/needles.out" || fail "needles: $(cat "$NET_DIR/needles.out")"
python3 "$secrets" memory "$(pid_of sluiced)" "$NET_DIR/needles.json" >"$NET_DIR/memory.json" 2>"$NET_DIR/memory.err" || fail "memory: $(tail -n 3 "$NET_DIR/memory.err")"
[ "$(json "$NET_DIR/memory.json" 'j["bytes"] > 1000000 and not j["found"] and not j["excluded"]')" = True ] || fail "the gateway's key: $(cat "$NET_DIR/memory.json")"
no_bad_drops
