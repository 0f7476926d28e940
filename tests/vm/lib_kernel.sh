# shellcheck shell=bash
# lib_kernel.sh — the exception path in the guest; sourced by its claims.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_vm.sh"
claim_begin

# kernel_claim GATEWAY WAY: the gateway says that it is this way, and traffic of the guest's own kernel goes over port front.
kernel_claim() {
	local a
	gateway "$1"
	grep "kfront ($2)\|kfront.*$2" "$NET_DIR/dataplane.log" || fail "the log does not say that kfront is by $2"
	guest "ip addr add 10.77.1.2/24 dev kfront; ip -6 addr add fd77:1::2/64 dev kfront nodad; ip -br addr show kfront"
	guest_run "peer_kernel" python3 "$top/tests/net/peer.py" serve kernel 7000
	wait_for 30 "peer.py of the guest" grep -q ready "$NET_DIR/peer_kernel.log"
	run cl peer_cl python3 "$top/tests/net/peer.py" serve cl 7000
	wait_for 10 "peer.py in cl" grep -q ready "$NET_DIR/peer_cl.log"
	for a in 10.77.1.2 fd77:1::2; do wait_for 20 "a ping of the guest's kernel at $a" ns cl ping -c 1 -W 1 "$a"; done
	{
		for a in 10.77.1.2 fd77:1::2; do
			echo "kernel-tcp-${a//[.:]/-} tcp $a 7000 --count 4 --up 20000 --down 20000 --timeout 20"
			echo "kernel-udp-${a//[.:]/-} udp $a 7000 --count 4 --up 800 --down 800 --timeout 20"
		done
		echo "vip-beside tcp 10.77.9.10 7000 --count 6 --timeout 20"
	} | peers
	for a in 10.77.1.2:10.77.1.100 fd77:1::2:fd77:1::100; do
		case $a in
		10*) set -- 10-77-1-2 10.77.1.100 ;;
		*) set -- fd77-1--2 fd77:1::100 ;;
		esac
		asked "kernel-tcp-$1" 4 kernel "$2"
		asked "kernel-udp-$1" 4 kernel "$2"
	done
	guest "python3 $top/tests/net/peer.py tcp 10.77.1.100 7000 --count 3 --up 5000 --down 5000 --timeout 20" >"$NET_DIR/from-kernel.json"
	asked from-kernel 3 cl 10.77.1.2
	[ "$(json "$NET_DIR/vip-beside.json" 'j["failed"]')" = 0 ] || fail "a VIP beside it: $(cat "$NET_DIR/vip-beside.json")"
	guest_stop peer_kernel
	no_bad_drops
}
