#!/usr/bin/env bash
# Strangers to TLS, in the handshake and after it, of each kind and all at once: each is ended in the way that RFC 8446 says, a counter
# names it, a good client beside them sees no error, and nothing stays behind.  2 workers, af_packet.
# Runs alone.
set -euo pipefail
export BOOT_KEYS='tcp = { timewait = 4096; };' # as in tcp_hostile.sh: what good clients leave for a minute is not measured
export WORKERS=2 DRIVER=${DRIVER:-af_packet} LARGE=100000
# shellcheck source=tests/net/lib_tls.sh
. "$(dirname "$0")/lib_tls.sh"

export HANDSHAKE_TIMEOUT=4s TABLE_KEYS='idle_timeout = "5s";'
MANY=${MANY:-300} FEW=3
hostile=$top/tests/net/tls_hostile.py
rss() { awk '/^RssAnon/ { print $2 }' "/proc/$(pid_of dataplane)/status"; }
tls_up

load good --seconds 300 --timeout 15 --threads 4 --keepalive --spread --ca "$PKI/root.pem" --name shop.example "https://$VIP/who" "https://[fd77:9::40]/who"
load new --seconds 300 --timeout 15 --threads 2 --pause 0.02 --ca "$PKI/root.pem" --name shop.example "https://$VIP/who"

# strangers KIND N COUNTER [ALERT]: they come, the gateway ends all of them, with that alert, and the counter grows by as many.
strangers() {
	local kind=$1 n=$2 counter=$3 alert=${4:-} before
	before=$(tls_count "$counter")
	ns cl timeout 60 python3 "$hostile" "$kind" "$VIP" 443 "$n" >"$NET_DIR/$kind.json" 2>"$NET_DIR/$kind.err" || fail "$kind: $(tail -n 3 "$NET_DIR/$kind.err")"
	kill -0 "$(pid_of dataplane)" || fail "$kind: the dataplane died"
	[ "$(say "$kind" 'j["ended"] == j["made"]')" = True ] || fail "$kind: the gateway did not end all: $(cat "$NET_DIR/$kind.json")"
	[ -z "$alert" ] || is "alerts of $kind" "$(say "$kind" 'j["alerts"]')" "{'$alert': $n}"
	grown() { [ $(($(tls_count "$counter") - before)) -ge "$n" ]; }
	wait_for 5 "$kind: $counter counts $n" grown || fail "$kind: $counter counts $(($(tls_count "$counter") - before)) of $n"
	echo "$kind: $(cat "$NET_DIR/$kind.json")"
}

# ---- in the handshake ----

strangers http "$FEW" fail_protocol
strangers garbage "$FEW" fail_protocol
strangers record-long "$FEW" fail_protocol
strangers record-type "$FEW" fail_protocol
strangers hello-long "$FEW" fail_protocol
strangers old "$FEW" fail_version 70
strangers gone "$FEW" fail_gone
strangers hello-reset "$FEW" fail_gone
strangers hello-half "$FEW" fail_timeout
strangers slow "$MANY" fail_timeout
strangers silent "$MANY" fail_timeout

# ---- with keys ----

strangers tag "$FEW" bad_record 20
strangers long "$FEW" bad_length 22
strangers short "$FEW" bad_length
strangers inner "$FEW" bad_length 10
strangers ccs "$FEW" bad_length 10
strangers plain "$FEW" bad_length
strangers hello "$FEW" bad_message 10
strangers ticket "$FEW" bad_message 10
strangers finished "$FEW" bad_message 10
strangers endless "$FEW" bad_message
strangers value "$FEW" bad_message 47
strangers trailing "$FEW" bad_message 10
strangers split-update "$FEW" bad_message 10
strangers updates "$FEW" flood
strangers empties "$FEW" flood

# Renegotiation (TLS 1.2): openssl asks for it by a letter.
renegotiates() {
	mkfifo "$NET_DIR/talk"
	ns cl timeout 10 openssl s_client -connect "$VIP:443" -servername shop.example -tls1_2 <"$NET_DIR/talk" >"$NET_DIR/sc.out" 2>&1 &
	local n=$!
	exec 9>"$NET_DIR/talk"
	shown() { grep -q 'Verify return code' "$NET_DIR/sc.out"; }
	wait_for 5 "a session of TLS 1.2" shown
	printf 'R\n' >&9
	wait_for 8 "an end to who renegotiates" gone_by "$n" || true
	exec 9>&-
	wait "$n" || true
	rm "$NET_DIR/talk"
	grep -q RENEGOTIATING "$NET_DIR/sc.out" || fail "openssl did not ask: $(sc_says)"
	[ "$(grep -c 'verify return' "$NET_DIR/sc.out")" -le 3 ] || fail "it was renegotiated: $(sc_says)"
}
gone_by() { ! kill -0 "$1"; }
renegotiates
echo "renegotiation: $(grep -aoE 'error:[0-9A-F]+:[^:]*:[^:]*:[^:]*|no renegotiation' "$NET_DIR/sc.out" | head -n 1)"

# ---- all at once; floods of handshakes ----

all_at_once() {
	local kind
	for kind in http garbage hello-half hello-reset slow silent gone old; do
		run cl "all-$kind" python3 "$hostile" "$kind" "$VIP" 443 150
	done
	for kind in tag endless updates empties; do
		run cl "all-$kind" python3 "$hostile" "$kind" "$VIP" 443 "$FEW"
	done
	run cl all-flood python3 "$hostile" flood "$VIP" 443 3
	for kind in http garbage hello-half hello-reset slow silent gone old tag endless updates empties flood; do
		wait "$(pid_of "all-$kind")" || fail "$kind with all: $(cat "$NET_DIR/all-$kind.log")"
	done
	kill -0 "$(pid_of dataplane)" || fail "the dataplane died"
}
all_at_once
all_at_once
before=$(rss)
all_at_once
echo "flood: $(tail -n 1 "$NET_DIR/all-flood.log")"
stop good
stop new
tail -n 1 "$NET_DIR/good.log" >"$NET_DIR/good.json"
tail -n 1 "$NET_DIR/new.log" >"$NET_DIR/new.json"
for c in good new; do
	is "errors of the $c client" "$(say $c 'j["failed"]')" 0
	echo "$c client: $(say $c 'j["requests"]') requests"
done
small() { [ "$(rss)" -le $((before + 8192)) ]; }
wait_for 10 "memory back at what it was ($before kB, now $(rss) kB)" small
echo "memory: $before kB before the last time, $(rss) kB after"
quiet 10
no_fallback
no_bad_drops
