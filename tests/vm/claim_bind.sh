#!/usr/bin/env bash
# sluice-hugepages reserves memory; sluice-devbind refuses the interface of the default route, and gives e1000e and virtio NICs to
# vfio-pci, with the IOMMU on.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin
vm_installed

# drivers: of the four NICs
drivers() { guest "for n in $NIC_FRONT $NIC_BACK $NIC_SPARE $NIC_KERN; do basename \$(readlink /sys/bus/pci/devices/\$n/driver); done" | xargs; }

guest "ip addr add 10.77.2.30/24 dev kern0 && ip route add default via 10.77.2.100"
! guest "sluice-devbind bind $NIC_SPARE kern0" || fail "the interface of the default route was given away"
[ "$(drivers)" = "virtio-pci e1000e e1000e virtio-pci" ] || fail "refused, but the drivers are $(drivers)"
guest "ip addr flush dev kern0"

rm -f "$NET_DIR/bound"
vm_bound
[ "$(drivers)" = "vfio-pci vfio-pci vfio-pci virtio-pci" ] || fail "the drivers are $(drivers)"
guest "sluice-devbind status; grep -qx N /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts && ! test -e /dev/vfio/noiommu-0" ||
	fail "bound, but not behind an IOMMU that remaps interrupts"
