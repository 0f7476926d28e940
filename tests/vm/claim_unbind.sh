#!/usr/bin/env bash
# sluice-devbind unbind: each NIC has its old driver again, and the kernel's traffic goes over it.
# shellcheck source=tests/vm/lib_vm.sh
. "$(dirname "$0")/lib_vm.sh"
claim_begin

vm_bound
gateway_stop
here=$(guest "cd /sys/bus/pci/devices && ls -d $NIC_FRONT $NIC_BACK $NIC_SPARE 2>/dev/null; true" | tr '\n' ' ')
GUEST_S=240 guest "sluice-devbind unbind $here"
rm -f "$NET_DIR/bound"
for n in $here; do
	want=e1000e
	[ "$n" != "$NIC_FRONT" ] || want=virtio-pci
	got=$(guest "basename \$(readlink /sys/bus/pci/devices/$n/driver)")
	[ "$got" = $want ] || fail "$n has $got, not $want"
	echo "$n: $got again"
done
guest "ip link del kfront 2>/dev/null
	for n in $NIC_FRONT:10.77.1.3 $NIC_BACK:10.77.2.33; do
		i=\$(ls -d /sys/bus/pci/devices/\${n%:10.*}/virtio*/net/* /sys/bus/pci/devices/\${n%:10.*}/net/* 2>/dev/null | head -n 1)
		i=\${i##*/}
		ip addr replace \${n##*:}/24 dev \$i && ip link set \$i up || exit 1
	done"
wait_for 20 "the kernel's ping over the virtio NIC" ns cl ping -c 1 -W 1 10.77.1.3
wait_for 20 "the kernel's ping over the e1000e" ns e1 ping -c 1 -W 1 10.77.2.33
