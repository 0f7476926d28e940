#!/usr/bin/env bash
# Debian's kernel, with the IOMMU on: every NIC lies in a group of its own, and endpoints of the guest answer the host.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin

guest "uname -r; cat /proc/cmdline"
guest 'test -d /sys/class/iommu/dmar0'
groups=$(guest "for n in $NIC_FRONT $NIC_BACK $NIC_SPARE $NIC_KERN; do basename \$(readlink /sys/bus/pci/devices/\$n/iommu_group); done | sort -u")
[ "$(wc -w <<<"$groups")" -eq 4 ] || fail "IOMMU groups of the NICs: $groups"
for v in 10.77.2.13 10.77.2.14 fd77:2::13 fd77:2::14; do
	echo "direct-${v//[.:]/-} tcp $v 7000 --count 2 --up 1000 --down 1000"
done | peers
for v in 10.77.2.13 10.77.2.14; do asked "direct-${v//[.:]/-}" 2 "e${v: -1}" 10.77.2.100; done
for v in fd77:2::13 fd77:2::14; do asked "direct-${v//[.:]/-}" 2 "e${v: -1}" fd77:2::100; done
