#!/usr/bin/env bash
# Strangers to mode http, by the hundred and of each kind: slow, silent, oversized, endless, gone in the middle.  A good client beside
# them sees no error and waits hardly longer, a counter names each kind, and nothing stays behind.  2 workers, af_packet.
# Runs alone.
set -euo pipefail
export BOOT_KEYS='tcp = { timewait = 4096; };' # as in tcp_hostile.sh: what good clients leave for a minute is not measured
export WORKERS=2 DRIVER=${DRIVER:-af_packet} PORT=80
# shellcheck source=tests/net/lib_http.sh
. "$(dirname "$0")/lib_http.sh"

export HTTP_KEYS='ejection = { after = 0; };' TCP_KEYS='max_connections = 0;'
export TABLE_KEYS='header_timeout = "3s"; idle_timeout = "4s"; stream_idle_timeout = "3s";' # a busy machine's own pauses are shorter
export ROUTES='{ name = "peer"; prefix = "/peer"; rewrite = { prefix = "/"; }; service = "peer"; }, { name = "rest"; service = "web"; }'
KINDS="idle heads bodies readers half resets oversized extensions" MANY=${MANY:-300}
py=$top/tests/net
# Memory of its own: rings of the access log and statistics are shared, of a size, and touched record by record.
rss() { awk '/^RssAnon/ { print $2 }' "/proc/$(pid_of dataplane)/status"; }
now() { python3 -c 'import time; print(time.monotonic())'; }

net_up
truncate -s 1G "$NET_DIR/gigabyte"
servers_up
http_peer_up 4
gateway_up
http_table "$NET_DIR/t.conf"
{
	PORT=8080 tcp_service peer 10.77.2. 4
	echo ,
} >"$NET_DIR/peer.conf"
sed -i "/^services = (/r $NET_DIR/peer.conf" "$NET_DIR/t.conf"
ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"

run cl good python3 "$py/http_hostile.py" good "$NET_DIR/good.txt" 10.77.9.30 fd77:9::30
wait_for 10 "the good client" grep -q ready "$NET_DIR/good.log"
quiet=()
calm() { # a span without strangers
	local start
	start=$(now)
	read -r -t 0.9 <> <(:) || true
	quiet+=("$start" "$(now)")
}

# come KIND N SECONDS COUNTER HOW_MANY: they come, the counter grows by HOW_MANY at least, they are gone.
span=()
come() {
	local kind=$1 n=$2 seconds=$3 counter=$4 least=$5 before start
	calm
	before=$(http_count "$counter")
	run cl "$kind" python3 "$py/http_hostile.py" "$kind" 10.77.9.30 "$n" "$seconds"
	wait_for 60 "$kind have begun" grep -q ready "$NET_DIR/$kind.log"
	start=$(now)
	wait "$(pid_of "$kind")" || fail "$kind: $(cat "$NET_DIR/$kind.log")"
	span=("$start" "$(now)")
	kill -0 "$(pid_of dataplane)" || fail "$kind: the dataplane died"
	tail -n 1 "$NET_DIR/$kind.log" >"$NET_DIR/$kind.json"
	[ "$(say "$kind" 'j["ended"] == j["made"] > 0')" = True ] || fail "$kind: the gateway did not end all: $(cat "$NET_DIR/$kind.json")"
	[ "$least" != all ] || least=$(say "$kind" 'j["made"]')
	grown() { [ $(($(http_count "$counter") - before)) -ge "$least" ]; }
	wait_for 5 "$kind: $counter counts $least ($(($(http_count "$counter") - before)))" grown
	empty() { [ "$(http_row gauge exchanges)" -le 1 ] && [ "$(http_row gauge connections)" -le 4 ]; } # but for the good client's
	wait_for 10 "$kind: nothing stays behind" empty
}

# hardly_longer KIND: of those who were the last to come.  The good client's 99th percentile: the median of slices beside them is at most
# twice that of slices without any.  On a busy machine slices differ: so it is their upper quartile, and 5 ms more.
slices() { python3 "$py/http_hostile.py" slices "$NET_DIR/good.txt" "$@" 2>"$NET_DIR/slices.err"; }
hardly_longer() {
	slices "${quiet[@]}" >"$NET_DIR/calm.json"
	slices "${span[@]}" >"$NET_DIR/beside.json"
	echo "beside $(say "$1" 'j["made"]') $1: p50 $(say beside 'j["p50"]') us, p99 $(say beside 'j["p99"]') us, $(say beside 'j["errors"]') errors of $(say beside 'j["requests"]')"
	[ "$(say beside "j['slices'] > 0 and j['p99'] <= 2 * $(say calm 'j["p99_high"]') + 5000")" = True ]
}
# strangers KIND …: as come.  Once more, four times at most, where the good client waited: it may be others who kept it from running.
strangers() {
	local _
	for _ in 1 2 3 4 5; do
		come "$@"
		calm
		if hardly_longer "$1"; then return 0; fi
	done
	fail "beside $1: $(cat "$NET_DIR/beside.json"), alone $(cat "$NET_DIR/calm.json")"
}

calm
strangers idle 1000 12 client_idle 0
strangers heads "$MANY" 12 head_timeout all
strangers bodies "$MANY" 12 body_timeout all
strangers readers $((MANY / 2)) 12 stream_idle all
strangers half 20 2 client_gone all
strangers resets 5 2 client_gone all
strangers oversized 5 2 head_too_large all
strangers extensions 5 2 bad_request all
calm
# All at once, three times: the first two touch pools as far as all of them together reach, the third must not take more.
all_at_once() {
	local kind n
	for kind in $KINDS; do
		n=$(say "$kind" 'min(j["made"], 400)')
		[[ " half resets oversized extensions " != *" $kind "* ]] || n=5
		run cl "all-$kind" python3 "$py/http_hostile.py" "$kind" 10.77.9.30 "$n" 4
	done
	for kind in $KINDS; do wait "$(pid_of "all-$kind")" || fail "$kind with all: $(cat "$NET_DIR/all-$kind.log")"; done
}
all_at_once
all_at_once
before=$(rss)
all_at_once
stop good
quiet 10
small() { [ "$(rss)" -le $((before + 8192)) ]; }
wait_for 10 "memory back at what it was ($before kB, now $(rss) kB)" small
over() { [ "$(http_row gauge connections) $(http_row gauge exchanges) $(http_row gauge head_bytes)" = "0 0 0" ]; }
wait_for 10 "nothing is held" over
echo "resident memory $before kB before all kinds at once, $(rss) kB after"

echo "good client alone: p50 $(say calm 'j["p50"]') us, p99 $(say calm 'j["p99"]') us (upper quartile $(say calm 'j["p99_high"]') us) over $(say calm 'j["slices"]') slices"
! grep error "$NET_DIR/good.txt" || fail "the good client saw errors"
no_bad_drops
