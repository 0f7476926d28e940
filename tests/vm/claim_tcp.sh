#!/usr/bin/env bash
# mode = "tcp" through VFIO-bound NICs: connections end in the gateway, endpoints of either family see it.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin
gateway standard

for v in 10.77.9.20 10.77.9.21 fd77:9::20 fd77:9::21; do
	echo "relay-${v//[.:]/-} tcp $v 7000 --count 8 --up 20000 --down 20000 --timeout 20"
	echo "relay-kept-${v//[.:]/-} tcp $v 7000 --count 6 --up 3000 --down 3000 --keep --timeout 20"
done | peers
for v in 10.77.9.20 10.77.9.21 fd77:9::20 fd77:9::21; do
	seen=10.77.2.1
	case $v in 10.77.9.21 | fd77:9::20) seen=fd77:2::1 ;; esac
	asked "relay-${v//[.:]/-}" 8 e1,e2 $seen
	asked "relay-kept-${v//[.:]/-}" 6 e1,e2 $seen
	one "relay-kept-${v//[.:]/-}"
done
spread e1,e2 relay-10-77-9-20 relay-10-77-9-21 relay-fd77-9--20 relay-fd77-9--21
no_bad_drops
