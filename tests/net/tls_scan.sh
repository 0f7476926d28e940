#!/usr/bin/env bash
# testssl.sh and sslscan look at a listener: nothing worse than OK, but for what a private CA is the cause of.  1 worker, af_packet.
set -euo pipefail
export WORKERS=1 DRIVER=af_packet LARGE=100000
# shellcheck source=tests/net/lib_tls.sh
. "$(dirname "$0")/lib_tls.sh"

# A private CA has no revocation and no transparency; what a page says of itself (HSTS and its like) is the endpoint's; the engine is openssl's here.
# Its test of tickets hangs up as soon as hands are shaken, often before the ticket of TLS 1.3 has come, and calls that a connect problem: resumption
# itself is asserted in tls_1w and tls_2w.
ALLOWED="cert_revocation cert_ocspRevoked cert_mustStapleExtension DNS_CAArecord OCSP_stapling certificate_transparency HSTS security_headers engine_problem"

command -v testssl >/dev/null || { echo "testssl.sh is not installed" && exit 77; }
CERTS='"shop", "shop-rsa"' tls_up

# scan NAME: testssl.sh on the listener; its findings in $NET_DIR/NAME.json.
declare -A SCANS=([defaults]="--protocols --standard --fs --server-defaults" [preference]="--server-preference --grease" [vulnerable]=--vulnerable)
scan() {
	local name=$1
	rm -f "$NET_DIR/$name.json" # it writes over nothing
	# shellcheck disable=SC2086 # words
	run cl "$name" testssl --quiet --color 0 --warnings off --nodns none --ip "$VIP" --add-ca "$PKI/root.crt,$PKI/rsa.crt" \
		--jsonfile "$NET_DIR/$name.json" ${SCANS[$name]} shop.example:443
}
# clean NAME: the end of its scan is waited for, and it found nothing; what it found is $NET_DIR/NAME.out.
clean() {
	local s=$1
	wait "$(pid_of "$s")" || true # its status counts findings
	[ -s "$NET_DIR/$s.json" ] || fail "testssl.sh: $(tail -n 5 "$NET_DIR/$s.log")"
	python3 -c '
import json, sys
rows, allowed = json.load(open(sys.argv[1])), sys.argv[2].split()
hung_up = lambda r: r["id"].startswith("sessionresumption_") and r["finding"] == "check failed because of connect problem"
bad = [r for r in rows if r["severity"] not in ("OK", "INFO") and r["id"].split(" ")[0] not in allowed and not hung_up(r)]
for r in bad:
    print(r["severity"], r["id"], r["finding"], end="; ")
print(len(rows), "findings,", sum(r["severity"] == "OK" for r in rows), "OK")
sys.exit(bool(bad) or len(rows) < 5)' "$NET_DIR/$s.json" "$ALLOWED" >"$NET_DIR/$s.out" 2>&1
}
for s in "${!SCANS[@]}"; do scan "$s"; done
wrong=""
for s in "${!SCANS[@]}"; do clean "$s" || wrong="$wrong $s"; done
# It waits seconds for answers and takes what is late for none: what it finds again, nothing beside it, is there.
for s in $wrong; do
	echo "again, $s: $(cat "$NET_DIR/$s.out")"
	scan "$s"
	clean "$s" || fail "testssl.sh, $s, twice: $(cat "$NET_DIR/$s.out")"
done
for s in "${!SCANS[@]}"; do echo "$s: $(cat "$NET_DIR/$s.out")"; done
if command -v sslscan >/dev/null; then
	ns cl timeout 60 sslscan --no-colour --timeout=15 --sni-name=shop.example "$VIP:443" >"$NET_DIR/sslscan.out" 2>&1 || fail "sslscan: $(tail -n 5 "$NET_DIR/sslscan.out")"
	for p in SSLv2 SSLv3 TLSv1.0 TLSv1.1; do grep -q "$p *disabled" "$NET_DIR/sslscan.out" || fail "sslscan: $p"; done
	for p in TLSv1.2 TLSv1.3; do grep -q "$p *enabled" "$NET_DIR/sslscan.out" || fail "sslscan: $p"; done
	! grep -E '^(Accepted|Preferred)' "$NET_DIR/sslscan.out" | grep -vE 'TLSv1.3|ECDHE.*(GCM|CHACHA20)' || fail "sslscan: suites that nobody asked for"
fi
no_fallback
quiet
no_bad_drops
