#!/usr/bin/env bash
# The bad line that the impaired tests rest on, by itself: clean it changes nothing; bad it does what it says, as often as it
# says, and the same for the same seed; how much it carries.  No gateway.
#
#      ia ─eth0────la─ im ─lb────eth0─ ib       10.77.6.1, 10.77.6.2; in im: impair la lb
set -euo pipefail
# shellcheck source=tests/net/lib_test.sh
. "$(dirname "$0")/lib_test.sh"

mkdir -p "$NET_DIR"
NET_MORE=(ia im ib)
for n in ia im ib; do
	ip netns add "$NET$n"
	ns $n sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
done
link ia eth0 im la
link ib eth0 im lb
ns ia ip addr add 10.77.6.1/24 dev eth0
ns ib ip addr add 10.77.6.2/24 dev eth0

python3 "$top/tests/net/impair.py" "${NET}ia" "${NET}ib" "$BUILD/tests/net/impair" "${NET}im" "$NET_DIR/line.log" ||
	fail "not everything is as it says"

for wrong in "" "la" "la lb c" "la lb --loss 101" "la lb --loss x" "la lb --nothing 1" "la lb --delay -1"; do
	# shellcheck disable=SC2086
	! ns im timeout 5 "$BUILD/tests/net/impair" $wrong >"$NET_DIR/wrong.out" 2>&1 || fail "'$wrong' was taken"
	[ -s "$NET_DIR/wrong.out" ] || fail "'$wrong' is refused without a word"
done

run im line "$BUILD/tests/net/impair" la lb
wait_for 5 "the bridge" grep -q ready "$NET_DIR/line.log"
run ib iperf3 iperf3 -s --forceflush
runs=0
listens() { [ "$(grep -c '^Server listening' "$NET_DIR/iperf3.log")" -gt "$runs" ]; } # anew for each run
for way in "" -R; do
	for _ in 1 2 3; do # on a busy machine one second says little
		wait_for 15 "iperf3 for run $runs" listens
		runs=$((runs + 1))
		# shellcheck disable=SC2086
		ns ia iperf3 -c 10.77.6.2 -t 1 -J $way >"$NET_DIR/iperf.json" || fail "iperf3 $way"
		mbit=$(json "$NET_DIR/iperf.json" 'round(j["end"]["sum_received"]["bits_per_second"] / 1e6)')
		[ "$mbit" -lt 100 ] || break
	done
	echo "clean line: $mbit Mbit/s"
	[ "$mbit" -ge 100 ] || fail "the bridge is too slow"
done
stop line
[ "$(tail -n 1 "$NET_DIR/line.log" | python3 -c 'import json,sys; j=json.load(sys.stdin); print(j["a_to_b"]["unfinished"] + j["b_to_a"]["unfinished"])')" -eq 0 ] ||
	fail "frames with unfinished checksums: $(tail -n 1 "$NET_DIR/line.log")"
