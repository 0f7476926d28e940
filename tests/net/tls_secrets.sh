#!/usr/bin/env bash
# Key bytes are where they must be alone: not in cores of either process, not in memory that is shared, in logs, statistics, the audit log or
# answers.  Private keys, ticket keys, secrets of sessions; and the search finds what was planted.  1 worker, af_packet.
set -euo pipefail
export WORKERS=1 DRIVER=af_packet LARGE=100000 MEMORY=128 BOOT_KEYS='tls = { core_dumps = true; };'
# shellcheck source=tests/net/lib_tls.sh
. "$(dirname "$0")/lib_tls.sh"

secrets=$top/tests/net/tls_secrets.py
PLANT="planted-$RANDOM$RANDOM$RANDOM"
tls_up

# What there is to be found: keys of listeners and services in use, one replaced, one removed; sessions of both versions, some open; ticket keys.
cp "$PKI/shop.key" "$PKI/shop-before.key"
cert shop inter "$SERVER" "$(san DNS:shop.example,DNS:www.shop.example)"
ctl cert replace shop --cert "$PKI/shop.pem" --key "$PKI/shop.key" >"$NET_DIR/cert.out" 2>&1 || fail "cert replace: $(cat "$NET_DIR/cert.out")"
cert removed inter "$SERVER" "$(san DNS:removed.example)"
cert_add removed
ctl cert remove removed >"$NET_DIR/cert.out" 2>&1 || fail "cert remove: $(cat "$NET_DIR/cert.out")"
cert mismatch inter "$SERVER" "$(san DNS:removed.example)"
! ctl cert add mismatch --cert "$PKI/shop.pem" --key "$PKI/mismatch.key" >"$NET_DIR/refused.log" 2>&1 || fail "a pair that is none was taken"
head -c 160 /dev/urandom >"$NET_DIR/tickets"
ctl tickets install "$NET_DIR/tickets" >"$NET_DIR/cert.out" 2>&1 || fail "tickets install: $(cat "$NET_DIR/cert.out")"
run cl hold python3 "$top/tests/net/tls_peer.py" hold "$VIP" 443 3 "$NET_DIR/keys.log"
wait_for 10 "sessions that are held" grep -q ready "$NET_DIR/hold.log"
for way in secure mutual; do tgives "endpoints by TLS" 200 443 "/?$PLANT" -H "x-to: $way"; done
mv "$NET_DIR/keys.log" "$NET_DIR/keys" # not a log of ours
tls_count server_done >"$NET_DIR/done"

python3 "$secrets" needles "$NET_DIR/needles.json" "$PKI"/{shop,shop-before,shop-rsa,wild,gw,removed,mismatch}.key --tickets "$NET_DIR/tickets" \
	--log "$NET_DIR/keys" --plant "$PLANT" >"$NET_DIR/needles.out" || fail "needles: $(cat "$NET_DIR/needles.out")"
echo "looked for: $(cat "$NET_DIR/needles.out")"
# An anonymous mapping of ours with all of them: what the search must find.
run cl planter python3 -c '
import json, signal, sys
held = [bytes.fromhex(v) for v in json.load(open(sys.argv[1])).values()]
print("ready", flush=True)
signal.pause()' "$NET_DIR/needles.json"
wait_for 5 "what is planted" grep -q ready "$NET_DIR/planter.log"

# looks WHERE KIND ARGS…: the search; its result in $NET_DIR/WHERE.json.
looks() {
	local where=$1
	shift
	python3 "$secrets" "$@" >"$NET_DIR/$where.json" 2>"$NET_DIR/$where.err" || fail "looking into $where: $(tail -n 3 "$NET_DIR/$where.err")"
	echo "$where: $(say "$where" 'j["bytes"] >> 20') MB looked at"
}
# found WHERE: which needles, but for what was planted; nothing WHERE: none.
found() { say "$1" '{w: n for w, names in j["found"].items() for n in [[x for x in names if x != "planted"]] if n}'; }
nothing() { [ "$(found "$1")" = "{}" ] || fail "key bytes in $1: $(found "$1" | cut -c1-1500)"; }

# ---- the search finds ----

looks planter memory "$(pid_of planter)" "$NET_DIR/needles.json"
is "all that was planted is found" "$(say planter 'len({n for names in j["found"].values() for n in names})')" "$(say needles 'len(set(j.values()))')"
[ "$(found planter)" != "{}" ] || fail "the search is blind"

# ---- what a core would hold, of both ----

looks dataplane memory "$(pid_of dataplane)" "$NET_DIR/needles.json"
nothing dataplane
[ "$(say dataplane 'any("shop.key" in x for names in j["excluded"].values() for x in names)')" = True ] ||
	fail "the key in use is nowhere: it was looked for wrongly"
is "the key that was replaced is gone" "$(say dataplane 'sorted({x for names in j["excluded"].values() for x in names if "removed" in x or "mismatch" in x})')" "[]"
looks sluiced memory "$(pid_of sluiced)" "$NET_DIR/needles.json"
nothing sluiced

# ---- a core ----

if command -v gdb >/dev/null; then
	gdb -batch -nx -ex "set pagination off" -ex "generate-core-file $NET_DIR/core" -p "$(pid_of dataplane)" >"$NET_DIR/gdb.out" 2>&1 || fail "gdb: $(tail -n 3 "$NET_DIR/gdb.out")"
	looks core files "$NET_DIR/needles.json" "$NET_DIR/core"
	nothing core
	rm "$NET_DIR/core"
fi

# ---- all that is told ----

mkdir "$NET_DIR/told"
ns gw curl -sf --max-time 10 --unix-socket "$NET_DIR/metrics.sock" http://sluiced/metrics >"$NET_DIR/told/metrics"
for w in "status" "cert list" "cert show shop" "cert show mesh" "tickets show" "show tls" "show listeners" "show services" "show audit" "show http"; do
	# shellcheck disable=SC2086
	ctl --json $w >"$NET_DIR/told/${w// /-}" 2>&1 || fail "$w: $(tail -n 3 "$NET_DIR/told/${w// /-}")"
done
looks told files "$NET_DIR/needles.json" "$NET_DIR/told" "$NET_DIR/audit.log" "$NET_DIR/access.log" "$NET_DIR/dataplane.log" "$NET_DIR/sluiced.log" "$NET_DIR/refused.log"
nothing told
grep -q "$PLANT" "$NET_DIR/access.log" || fail "the access log does not have what was planted"

# ---- without core_dumps the kernel writes none; key_log is not for release builds ----

is "state on disk" "$(find "$NET_DIR/state" -name '*shop*' -type f -perm /077 | wc -l)" 0
sed 's/core_dumps = true;//' "$NET_DIR/dataplane.conf" >"$NET_DIR/again.conf"
stop dataplane
mv "$NET_DIR/again.conf" "$NET_DIR/dataplane.conf"
dataplane_up
wait_for 10 "the dataplane connected again" connected
is "the kernel's word on dumps" "$(awk '/^Max core file size/ { print $5 }' "/proc/$(pid_of dataplane)/limits")" 0
no_fallback
quiet
no_bad_drops
