# shellcheck shell=bash disable=SC2154
# lib_sysfs.sh — a made-up /sys with PCI devices, and stand-ins for the tools that change the real one.  Sourced by tests of
# scripts/devbind; $dir is a directory of the test's own.

sys=$dir/sys

# pci ADDRESS DRIVER INTERFACE GROUP [CLASS [VENDOR DEVICE]]: a device; "-" for none.  virtio's interfaces lie a level deeper.
pci() {
	local a=$1 d=$sys/devices/pci0000:00/$1
	mkdir -p "$d" "$sys/bus/pci/devices" "$sys/bus/pci/drivers" "$sys/class/net" "$sys/kernel/iommu_groups"
	echo "${5:-0x020000}" >"$d/class"
	echo "0x${6:-8086}" >"$d/vendor"
	echo "0x${7:-10d3}" >"$d/device"
	echo 0 >"$d/numa_node"
	ln -sfn "../../../devices/pci0000:00/$a" "$sys/bus/pci/devices/$a"
	if [ "$4" != - ]; then
		mkdir -p "$sys/kernel/iommu_groups/$4/devices"
		ln -sfn "../../../kernel/iommu_groups/$4" "$d/iommu_group"
		ln -sfn "../../../../devices/pci0000:00/$a" "$sys/kernel/iommu_groups/$4/devices/$a"
	fi
	[ "$3" = - ] || echo "$3" >"$d/.interface" # what its driver will call it
	[ "$2" = - ] || drive "$a" "$2"
}

# drive ADDRESS DRIVER: as the kernel does when a driver gets the device; undrive takes it away.
drive() {
	local d=$sys/devices/pci0000:00/$1 i at
	mkdir -p "$sys/bus/pci/drivers/$2"
	ln -sfn "../../../bus/pci/drivers/$2" "$d/driver"
	[ "$2" != vfio-pci ] && [ -e "$d/.interface" ] || return 0
	i=$(cat "$d/.interface")
	at=$d
	if [ "$2" = virtio-pci ]; then
		at=$d/virtio0
		mkdir -p "$at"
	fi
	mkdir -p "$at/net/$i"
	ln -sfn "../.." "$at/net/$i/device"
	echo up >"$at/net/$i/operstate"
	ln -sfn "$at/net/$i" "$sys/class/net/$i"
}
undrive() {
	local d=$sys/devices/pci0000:00/$1
	rm -rf "$d/driver" "$d/net" "$d/virtio0"
	[ ! -e "$d/.interface" ] || rm -f "$sys/class/net/$(cat "$d/.interface")"
}

driver_of() { basename "$(readlink "$sys/devices/pci0000:00/$1/driver")" 2>/dev/null || true; }

# stand_ins: dpdk-devbind.py and modprobe in $dir/bin.  $dir/calls: what the first was asked; $dir/refuses: addresses that get no
# driver by it; $dir/modules: what the second can load, $dir/broken: and what fails when it is loaded.
stand_ins() {
	mkdir -p "$dir/bin"
	: >"$dir/calls" && : >"$dir/refuses" && : >"$dir/modules" && : >"$dir/broken"
	cat >"$dir/bin/dpdk-devbind.py" <<-END
		#!/usr/bin/env bash
		dir=$dir
		$(declare -f drive undrive)
		sys=$sys
		echo "\$*" >>$dir/calls
		driver=
		for word in "\$@"; do
			case \$word in
			--force | --unbind) ;;
			--bind=*) driver=\${word#--bind=} ;;
			*)
				undrive "\$word"
				if [ -n "\$driver" ] && grep -qx "\$word \$driver" $dir/refuses; then
					echo "Error: bind failed for \$word"
				elif [ -n "\$driver" ]; then
					drive "\$word" "\$driver"
				fi
				;;
			esac
		done
	END
	cat >"$dir/bin/modprobe" <<-END
		#!/usr/bin/env bash
		name=\${*: -1}
		grep -qx "\$name" $dir/modules || exit 1
		[[ " \$* " != *" -n "* ]] || exit 0
		! grep -qx "\$name" $dir/broken || exit 1
		mkdir -p "$sys/bus/pci/drivers/\$name"
	END
	chmod +x "$dir/bin/dpdk-devbind.py" "$dir/bin/modprobe"
}
