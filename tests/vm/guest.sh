# shellcheck shell=bash disable=SC2034,SC2154 # top: of lib/common.sh
# guest.sh — Debian's kernel in QEMU, emulated, with the host's file system for its own.  Sourced behind scripts/lib/net.sh.
#
#   guest_boot             boots; QEMU runs in namespace sw, where its TAPs are ports of bridges
#   guest COMMAND…         runs a line of bash there: its output, its exit status; several may run at a time
#   guest_run NAME COMMAND…   in the background of the guest; output in $NET_DIR/NAME.log; guest_stop NAME ends it
#   monitor COMMAND…       a line to QEMU's monitor
#   guest_down             ends QEMU
#
# $NET_DIR is the same directory on both sides.  NICs of the guest, each behind a PCIe port of its own so that it can be
# pulled out, are named by these addresses:

NIC_FRONT=0000:01:00.0 # virtio-net, two queue pairs, RSS, behind the IOMMU: TAP front in sw, bridge brf
NIC_BACK=0000:02:00.0  # e1000e: TAP back, bridge br0
NIC_SPARE=0000:03:00.0 # e1000e: TAP spare, bridge br0
NIC_KERN=0000:04:00.0  # virtio-net that stays with the guest's kernel: TAP kern, bridge br0
# Modules that the initramfs needs to get to the host's files; the others come from there by modprobe.
GUEST_EARLY="virtio_pci 9pnet_virtio 9p overlay virtio_console"

# guest_kernel: the newest image of Debian's that is there; its version.
guest_kernel() {
	local image
	image=$(find /boot -name 'vmlinuz-*-amd64' | sort -V | tail -n 1)
	[ -n "$image" ] || { echo "no /boot/vmlinuz-*-amd64: apt-get install linux-image-amd64" >&2 && return 1; }
	echo "${image#/boot/vmlinuz-}"
}

# guest_initramfs KERNEL: busybox, init and the early modules, in $NET_DIR/initramfs.
guest_initramfs() {
	local kernel=$1 d=$NET_DIR/root m file
	mkdir -p "$d/bin" "$d/modules"
	cp /bin/busybox "$d/bin/busybox"
	install -m 755 "$top/tests/vm/init" "$d/init"
	for m in $GUEST_EARLY; do modprobe -S "$kernel" --show-depends "$m"; done |
		awk '$1 == "insmod" && !had[$2]++ { print $2 }' | while read -r file; do
		cp "$file" "$d/modules/"
		basename "$file"
	done >"$d/modules/order"
	(cd "$d" && find . | cpio --quiet -o -H newc -R 0:0) >"$NET_DIR/initramfs"
	rm -rf "$d"
}

# guest_boot: QEMU; returns when the agent answers.
guest_boot() {
	local kernel t off=csum=off,guest_csum=off,gso=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off,guest_tso4=off
	off=$off,guest_tso6=off,guest_ecn=off,guest_ufo=off
	kernel=$(guest_kernel)
	guest_initramfs "$kernel"
	for t in front:brf back:br0 spare:br0 kern:br0; do
		ns sw ip tuntap add "${t%:*}" mode tap "$([ "${t%:*}" = front ] && echo multi_queue || echo one_queue)"
		ns sw ip link set "${t%:*}" master "${t#*:}" up
	done
	mkfifo "$NET_DIR/ctl.in" "$NET_DIR/ctl.out" "$NET_DIR/mon.in" "$NET_DIR/mon.out"
	guest_open
	run sw qemu qemu-system-x86_64 -name "${NET}guest" -nodefaults -no-user-config -no-reboot -display none \
		-machine q35,kernel-irqchip=off -accel tcg,thread=multi -cpu max -m "${GUEST_MB:-2048}" -smp "${GUEST_CPUS:-2}" \
		-device intel-iommu,intremap=on,caching-mode=on \
		-virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap \
		-virtfs local,path="$NET_DIR",mount_tag=share,security_model=none,multidevs=remap \
		-chardev pipe,id=ctl,path="$NET_DIR/ctl" -device virtio-serial-pci -device virtserialport,chardev=ctl,name=ctl \
		-chardev pipe,id=mon,path="$NET_DIR/mon" -mon chardev=mon,mode=readline \
		-chardev file,id=console,path="$NET_DIR/console.log" -serial chardev:console \
		-device pcie-root-port,id=rp1,bus=pcie.0,chassis=1,addr=10.0 -device pcie-root-port,id=rp2,bus=pcie.0,chassis=2,addr=11.0 \
		-device pcie-root-port,id=rp3,bus=pcie.0,chassis=3,addr=12.0 -device pcie-root-port,id=rp4,bus=pcie.0,chassis=4,addr=13.0 \
		-netdev tap,id=front,ifname=front,script=no,downscript=no,vhost=off,queues=2 \
		-device "virtio-net-pci,id=front,bus=rp1,netdev=front,mac=02:00:00:00:01:01,disable-legacy=on,iommu_platform=on,ats=on,mq=on,rss=on,vectors=6,$off" \
		-netdev tap,id=back,ifname=back,script=no,downscript=no,vhost=off -device e1000e,id=back,bus=rp2,netdev=back,mac=02:00:00:00:02:01 \
		-netdev tap,id=spare,ifname=spare,script=no,downscript=no,vhost=off -device e1000e,id=spare,bus=rp3,netdev=spare,mac=02:00:00:00:02:02 \
		-netdev tap,id=kern,ifname=kern,script=no,downscript=no,vhost=off \
		-device "virtio-net-pci,id=kern,bus=rp4,netdev=kern,mac=02:00:00:00:02:03,disable-legacy=on,$off" \
		-kernel "/boot/vmlinuz-$kernel" -initrd "$NET_DIR/initramfs" \
		-append "console=ttyS0 quiet panic=-1 intel_iommu=on iommu=pt mitigations=off dir=$NET_DIR agent=$top/tests/vm/agent.sh"
	wait_for "${GUEST_BOOT_S:-120}" "the guest (see $NET_DIR/console.log)" guest_is_up
	[ -e "$NET_DIR/up" ]
}
# either its agent is there, or QEMU is not
guest_is_up() { [ -e "$NET_DIR/up" ] || ! kill -0 "$(pid_of qemu)" 2>/dev/null; }

# guest_open: descriptors to the running guest; for each process that talks to it.
guest_open() { exec {GUEST_CTL}<>"$NET_DIR/ctl.in" {GUEST_MON}<>"$NET_DIR/mon.in"; }

# guest COMMAND…: GUEST_S (60): seconds it may take.
guest() {
	local name rc
	name=$(mktemp -u "$NET_DIR/call-XXXXXXXX")
	printf '%s\n' "$*" >"$name.sh"
	echo "${name##*/}" >&"$GUEST_CTL"
	wait_for "${GUEST_S:-60}" "in the guest: $*" guest_said "$name" || { cat "$name.out" && return 124; }
	cat "$name.out"
	rc=$(cat "$name.rc" 2>/dev/null || echo 125)
	rm -f "$name".*
	return "$rc"
}
guest_said() { [ -e "$1.rc" ] || ! kill -0 "$(pid_of qemu)" 2>/dev/null; }

guest_run() {
	local name=$1
	shift
	: >"$NET_DIR/$name.log"
	guest "setsid bash -c 'echo \$\$ >$NET_DIR/$name.gpid; exec $*' >$NET_DIR/$name.log 2>&1 </dev/null &
		until [ -s $NET_DIR/$name.gpid ]; do sleep 0.05; done"
}
# guest_stop NAME [SIGNAL]: it is gone afterwards.
guest_stop() {
	[ -e "$NET_DIR/$1.gpid" ] || return 0
	guest "p=\$(cat $NET_DIR/$1.gpid); kill -${2:-TERM} \$p 2>/dev/null && timeout 20 tail --pid=\$p -s 0.1 -f /dev/null || kill -KILL \$p 2>/dev/null; true"
	rm -f "$NET_DIR/$1.gpid"
}

monitor() { echo "$*" >&"$GUEST_MON"; }

guest_down() {
	[ ! -e "$NET_DIR/qemu.pid" ] || stop qemu
}
