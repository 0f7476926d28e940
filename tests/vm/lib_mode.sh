# shellcheck shell=bash
# lib_mode.sh — requests and datagrams in one way of forwarding; sourced by its claims.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_vm.sh"
claim_begin
gateway standard

# mode_claim MODE VIP ENDPOINTS: none fails, these endpoints answer, and they see the client, or a source in fullnat.
mode_claim() {
	local f vip
	for f in 4 6; do
		vip=10.77.9.$2
		[ $f = 4 ] || vip=fd77:9::$2
		echo "tcp-$2-$f tcp $vip 7000 --count 12 --up 3000 --down 3000 --timeout 10"
		echo "udp-$2-$f udp $vip 7000 --count 12 --up 300 --down 300 --timeout 10"
		echo "kept-$2-$f tcp $vip 7000 --count 6 --keep --timeout 10"
	done | peers
	for f in 4 6; do
		case $1$f in
		fullnat4) set -- "$1" "$2" "$3" 10.77.2.201 10.77.2.202 ;;
		fullnat6) set -- "$1" "$2" "$3" fd77:2::201 fd77:2::202 ;;
		*4) set -- "$1" "$2" "$3" 10.77.1.100 ;;
		*6) set -- "$1" "$2" "$3" fd77:1::100 ;;
		esac
		asked "tcp-$2-$f" 12 "$3" "${@:4}"
		asked "udp-$2-$f" 12 "$3" "${@:4}"
		asked "kept-$2-$f" 6 "$3" "${@:4}"
		one "kept-$2-$f"
	done
	spread "$3" "tcp-$2-4" "tcp-$2-6" "udp-$2-4" "udp-$2-6"
	no_bad_drops
}
