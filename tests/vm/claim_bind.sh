#!/usr/bin/env bash
# Hugepages are reserved, and e1000e and virtio NICs bound to vfio-pci with the IOMMU on.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin

rm -f "$NET_DIR/bound"
vm_bound
for n in $NIC_FRONT $NIC_BACK $NIC_SPARE; do
	[ "$(guest "basename \$(readlink /sys/bus/pci/devices/$n/driver)")" = vfio-pci ] || fail "$n is not with vfio-pci"
done
[ "$(guest "basename \$(readlink /sys/bus/pci/devices/$NIC_KERN/driver)")" = virtio-pci ]
guest 'test ! -e /sys/module/vfio/parameters/enable_unsafe_noiommu_mode || grep -q N /sys/module/vfio/parameters/enable_unsafe_noiommu_mode'
guest 'ls /dev/vfio; grep Huge /proc/meminfo'
