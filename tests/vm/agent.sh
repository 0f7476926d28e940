#!/usr/bin/env bash
# agent.sh DIR — process 1 of the guest: runs what the host asks for.  A line on the control channel is the name of a request:
# DIR/NAME.sh is run beside all others, its output goes to DIR/NAME.out, at last its exit status to DIR/NAME.rc.
dir=$1
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DIR=$dir
mkdir -p /dev/pts /dev/shm /run/lock /run/netns
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ip link set lo up
hostname guest
channel=
until [ -c "$channel" ]; do
	for port in /sys/class/virtio-ports/*; do
		[ "$(cat "$port/name" 2>/dev/null)" != ctl ] || channel=/dev/${port##*/}
	done
done
exec 3<"$channel"
: >"$dir/up"
while read -r name <&3; do
	(
		bash "$dir/$name.sh" >"$dir/$name.out" 2>&1 </dev/null 3<&-
		echo $? >"$dir/$name.rc.new"
		mv "$dir/$name.rc.new" "$dir/$name.rc"
	) &
done
echo o >/proc/sysrq-trigger
