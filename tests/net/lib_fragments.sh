# shellcheck shell=bash
# lib_fragments.sh — datagrams larger than the links, both ways, and pieces made by hand in every order.  WORKERS and DRIVER are set.
set -euo pipefail
# shellcheck source=tests/net/lib_modes.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_modes.sh"

modes_up

one_mode() {
	local m=$1 f vip size
	for f in 4 6; do
		vip=$(host "$m" $f)
		case $m$f in
		# The kernel cuts IPv6 datagrams for the link, and a tunnel takes less: it hears of that by the first.
		ipip?6 | gue?6) peer "warm-$m-$f" udp "$vip" 7000 --up 4000 --timeout 1 ;;
		esac
		for size in 4000 20000; do
			peer "udp-$m-$f-$size" udp "$vip" 7000 --count 20 --up $size --down $size --timeout 20
		done
		ns cl /usr/bin/python3 "$top/tests/net/frag.py" "$vip" 7000 >"$NET_DIR/frag-$m-$f.json" 2>&1 || true
	done
}
before=$(drops_of frag_overlap)
jobs=()
for m in ${FRAGMENT_MODES:-nat dsr fullnat ipip4}; do
	one_mode "$m" &
	jobs+=($!)
done
wait "${jobs[@]}"
overlaps=0
for m in ${FRAGMENT_MODES:-nat dsr fullnat ipip4}; do
	for f in 4 6; do
		for size in 4000 20000; do
			good "udp-$m-$f-$size"
			[ "$(say "udp-$m-$f-$size" "len(j['by']) > 1")" = True ] || fail "$m $f $size: one endpoint got all datagrams"
		done
		good "frag-$m-$f"
		overlaps=$((overlaps + $(say "frag-$m-$f" "j['overlaps']")))
	done
done
rose() { echo $(($(drops_of frag_overlap) - before)); }
counted() { [ "$(rose)" -ge "$overlaps" ]; }
wait_for 10 "each overlap counted" counted || fail "frag_overlap rose by $(rose) for $overlaps datagrams"
echo "$overlaps datagrams with an overlap, frag_overlap rose by $(rose)"
no_bad_drops
ctl show drops | awk '$2 > 0'
