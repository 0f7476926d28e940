#!/usr/bin/env bash
# scripts/devbind on made-up machines: what it refuses, with which words, and that a refusal changes nothing; what it binds, remembers
# and gives back.  The interfaces that routes, addresses and sessions are about exist in a namespace, under the names that the
# made-up devices have; dpdk-devbind.py and modprobe are stand-ins.  (The real ones: suite vm.)
#
#   $NET namespace:  eth0 ─ peer0 10.98.0.1/24     eth1 … eth7 ─ peer1 … peer7
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
NET=${NET:-t$$x}
dir=$(mktemp -d)
host=${NET}host
peer=${NET}peer
listener="" why=""

# shellcheck disable=SC2317 # called by the trap
finish() {
	local rc=$?
	trap : INT TERM
	[ -z "$listener" ] || kill "$listener" 2>/dev/null || true
	[ "$rc" -eq 0 ] || { echo "--- last answer" && cat "$dir/out" "$dir/err" 2>/dev/null && echo "--- calls" && cat "$dir/calls"; } || true
	ip netns del "$host" 2>/dev/null || true
	ip netns del "$peer" 2>/dev/null || true
	rm -rf "$dir"
	[ -z "$why" ] || echo "$why"
	exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT TERM
fail() {
	why="FAILED: $* (at ${BASH_LINENO[*]})"
	exit 1
}
# shellcheck source=tests/net/lib_sysfs.sh
. "$top/tests/net/lib_sysfs.sh"

export SLUICE_SYSFS=$sys SLUICE_STATE=$dir/state SLUICE_PROC=$dir/proc PATH=$dir/bin:$PATH
unset SSH_CONNECTION
devbind() { ip netns exec "$host" "$top/scripts/devbind" "$@"; }
in_host() { ip netns exec "$host" "$@"; }

# try RC ARGS…: devbind ends with that status; its words are in $dir/out and $dir/err.
try() {
	local want=$1 rc=0
	shift
	devbind "$@" >"$dir/out" 2>"$dir/err" || rc=$?
	[ "$rc" -eq "$want" ] || fail "devbind $*: status $rc, not $want"
	! grep -q Traceback "$dir/err" || fail "devbind $*: not caught"
}
says() { grep -qF -- "$1" "$dir/err" || fail "it does not say '$1'"; }
told() { grep -qF -- "$1" "$dir/out" || fail "it does not tell '$1'"; }
drivers() { for a in "$@"; do printf '%s ' "$(driver_of "$a")"; done; }
have() { # have "DRIVERS" ADDRESS…
	local want=$1
	shift
	[ "$(drivers "$@")" = "$want " ] || fail "the drivers of $* are '$(drivers "$@")', not '$want'"
}
# refuses TEXT ARGS…: status 1, with that text; dpdk-devbind.py was not called and nothing is remembered.
refuses() {
	local text=$1
	shift
	: >"$dir/calls"
	try 1 "$@"
	says "$text"
	says "nothing was changed"
	[ ! -s "$dir/calls" ] || fail "devbind $*: it called dpdk-devbind.py"
}
# only_force TEXT IF: refused with that text, done with --force, given back.
only_force() {
	refuses "$1" bind "$2"
	says "--force passes over it"
	try 0 bind --force "$2"
	says "note: forced"
	try 0 unbind "$2"
}

D=0000:00
machine() {
	rm -rf "$sys" "$dir/state" "$dir/proc"
	mkdir -p "$dir/proc/self"
	: >"$dir/proc/self/mountinfo"
	stand_ins
	pci $D:03.0 e1000e eth0 3
	pci $D:04.0 e1000e eth1 4
	pci $D:05.0 virtio-pci eth2 5 0x020000 1af4 1041
	pci $D:06.0 mlx5_core eth3 6 0x020000 15b3 1017
	pci $D:07.0 e1000e eth4 7 # shares its group with eth5 and a bridge
	pci $D:07.1 e1000e eth5 7
	pci $D:1c.0 pcieport - 7 0x060400
	pci $D:08.0 e1000e eth6 8 # and this one with a disk controller
	pci $D:09.0 ahci - 8 0x010601
	pci $D:0a.0 - eth7 10
	mkdir -p "$sys/bus/pci/drivers/vfio-pci" "$sys/class/net/veth9" "$sys/devices/system/node/node0/hugepages/hugepages-2048kB"
	echo 512 | tee "$sys/devices/system/node/node0/hugepages/hugepages-2048kB/"{nr,free}_hugepages >/dev/null
}
upper() { mkdir -p "$sys/class/net/$1/upper_$2" "$sys/class/net/$2"; }

ip netns add "$host"
ip netns add "$peer"
in_host ip link set lo up
for i in 0 1 2 3 4 5 6 7; do
	ip link add eth$i netns "$host" type veth peer name peer$i netns "$peer"
	in_host ip link set eth$i up
	ip -n "$peer" link set peer$i up
done
machine

# Wrong words.
for words in "" "bnd" "bind" "unbind" "bind --force" "status x" "status --jso" "bind --forc eth1" "bind --driver e1000e eth1" "bind --json eth1" \
	"unbind --driver vfio-pci eth1" "unbind --driver ../x eth1" "unbind --driver" "--force bind eth1"; do
	# shellcheck disable=SC2086
	try 2 $words
	says "usage: devbind"
done
try 0 --help
told "devbind bind [--force] DEVICE"
[ "$(cat "$dir/calls")" = "" ] || fail "it called dpdk-devbind.py"

# Wrong devices; one wrong among good ones stops all.
for row in "eth9;there is no interface eth9" "0000:00:1f.7;there is no PCI device 0000:00:1f.7" "00:1e.0;there is no PCI device 0000:00:1e.0" \
	"../etc;neither a PCI address" ".;neither a PCI address" "name-longer-than-any;neither a PCI address" "0000:00:03;there is no interface" \
	"veth9;veth9 is no PCI device" "$D:09.0;is no network device (class 0x010601)" "eth3;stays with its driver mlx5_core"; do
	refuses "${row#*;}" bind "${row%%;*}"
	refuses "${row#*;}" bind --force eth1 "${row%%;*}"
done
refuses "neither a PCI address" bind ""
refuses "neither a PCI address" bind $'eth1\n'
try 1 bind eth9 veth9
says "eth9" && says "veth9" # all that is wrong, not the first alone
have "e1000e e1000e virtio-pci mlx5_core" $D:03.0 $D:04.0 $D:05.0 $D:06.0
echo "wrong words and wrong devices are refused"

# Bind and unbind, each twice.
try 0 bind eth1
told "$D:04.0 (eth1): vfio-pci in place of e1000e"
have vfio-pci $D:04.0
try 0 bind $D:04.0
told "has vfio-pci already"
try 0 bind eth1 00:04.0 # by what it was called, and the short address
[ "$(grep -c bind= "$dir/calls")" -eq 1 ] || fail "bound more than once"
try 0 status
told "the gateway's, was eth1 by e1000e"
try 0 unbind eth1
told "$D:04.0 (eth1): e1000e again"
have e1000e $D:04.0
[ -z "$(ls "$dir/state/devbind")" ] || fail "still remembered: $(ls "$dir/state/devbind")"
try 0 unbind eth1
told "has e1000e already"
# Several at once, one with virtio's driver, one without any.
try 0 bind eth1 eth2 $D:0a.0 eth1
have "vfio-pci vfio-pci vfio-pci" $D:04.0 $D:05.0 $D:0a.0
try 0 unbind eth1 eth2 $D:0a.0
have "e1000e virtio-pci " $D:04.0 $D:05.0 $D:0a.0
try 0 unbind $D:0a.0
told "has no driver already"
# The machine started anew: the kernel's drivers are back, what is remembered is old.
try 0 bind eth1
undrive $D:04.0 && drive $D:04.0 igb
try 0 bind eth1
try 0 unbind eth1
have igb $D:04.0
undrive $D:04.0 && drive $D:04.0 e1000e
# Broken off on the way: no driver at all, and what it had is still known.
try 0 bind eth1
undrive $D:04.0
try 0 bind $D:04.0
try 0 unbind eth1
have e1000e $D:04.0
echo "bound, remembered, given back; twice is harmless"

# All or none: what fails on the way.
echo "$D:05.0 vfio-pci" >"$dir/refuses"
try 1 bind eth1 eth2
says "Error: bind failed for $D:05.0"
says "all have their drivers again"
have "e1000e virtio-pci" $D:04.0 $D:05.0
[ -z "$(ls "$dir/state/devbind")" ] || fail "remembered what was not bound"
: >"$dir/refuses"
try 0 bind eth1
echo "$D:04.0 e1000e" >"$dir/refuses"
try 1 unbind eth1
says "not bound to e1000e"
[ -e "$dir/state/devbind/$D:04.0" ] || fail "forgot the driver that could not be given back"
: >"$dir/refuses"
try 0 unbind eth1
have e1000e $D:04.0

# What was not bound by us.
undrive $D:04.0 && drive $D:04.0 vfio-pci
try 0 bind $D:04.0
refuses "nothing is remembered of its driver" unbind $D:04.0
refuses "its driver nosuch is not there" unbind --driver nosuch $D:04.0
try 0 unbind --driver e1000e $D:04.0
have e1000e $D:04.0
# A driver that has to be loaded first.
try 0 bind eth1
rmdir "$sys/bus/pci/drivers/e1000e"
refuses "its driver e1000e is not there" unbind eth1
echo e1000e >"$dir/modules" && echo e1000e >"$dir/broken"
refuses "modprobe e1000e failed" unbind eth1
: >"$dir/broken"
try 0 unbind eth1
have e1000e $D:04.0
# Somebody works with it.
try 0 bind eth1
mkdir -p "$dir/proc/4711/fd"
ln -s /dev/vfio/4 "$dir/proc/4711/fd/9"
echo sluice-dataplan >"$dir/proc/4711/comm"
refuses "is in use by sluice-dataplan (pid 4711)" unbind eth1
try 0 status
told "used by sluice-dataplan (pid 4711)"
rm -r "$dir/proc/4711"
try 0 unbind eth1
echo "failures and users of a device"

# IOMMU and groups.
refuses "the kernel has others of its IOMMU group 7: $D:07.1 (eth5) by e1000e" bind eth4
says "devbind bind $D:07.0 $D:07.1"
refuses "the kernel has others" bind --force eth4
try 0 bind $D:07.0 $D:07.1
have "vfio-pci vfio-pci pcieport" $D:07.0 $D:07.1 $D:1c.0
try 0 unbind eth4 eth5
refuses "$D:09.0 by ahci (put the card into another slot" bind --force eth6
mv "$sys/devices/pci0000:00/$D:04.0/iommu_group" "$dir/aside"
refuses "is behind no IOMMU" bind eth1
mv "$sys/kernel/iommu_groups" "$dir/groups" && mkdir "$sys/kernel/iommu_groups"
refuses "this machine has no IOMMU in use (turn VT-d on in the firmware and boot with intel_iommu=on iommu=pt" bind --force eth1
echo "vendor_id : AuthenticAMD" >"$dir/proc/cpuinfo"
refuses "turn AMD-Vi on in the firmware and boot with iommu=pt" bind eth1
echo "ro amd_iommu=on" >"$dir/proc/cmdline"
refuses "the kernel was told to use it and found none" bind eth1
mkdir -p "$sys/module/vfio/parameters" && echo Y >"$sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
try 0 bind eth1
says "note: without an IOMMU: the device may write anywhere in memory"
try 0 unbind eth1
machine

# vfio-pci and hugepages.
rmdir "$sys/bus/pci/drivers/vfio-pci"
refuses "vfio-pci: this kernel has no such module" bind --force eth1
try 0 status
told "vfio-pci   missing"
echo vfio-pci >"$dir/modules" && echo vfio-pci >"$dir/broken"
refuses "modprobe vfio-pci failed" bind eth1
: >"$dir/broken"
try 0 status
told "vfio-pci   loadable"
echo 20 >"$sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages"
try 0 bind eth1
says "note: 40 MB of hugepages of node 0 are free, the gateway takes 512 unless told (hugepages --node 0 1024)"
try 0 unbind eth1
PATH=$(echo "$PATH" | sed "s#^$dir/bin:##") # without the stand-ins
if ! type dpdk-devbind.py >/dev/null 2>&1; then refuses_tool() { try 1 bind eth1 && says "there is no dpdk-devbind.py in PATH (apt install dpdk)"; } && refuses_tool; fi
PATH=$dir/bin:$PATH
echo "IOMMU, groups, vfio-pci, hugepages"

# Whoever would be cut off.
machine
in_host ip addr add 10.98.0.1/24 dev eth0
in_host ip route add default via 10.98.0.2
ip -n "$peer" addr add 10.98.0.2/24 dev peer0
only_force "has the default route (IPv4)" eth0
in_host ip route del default
in_host ip -6 route add default dev eth0 metric 5000
only_force "has the default route (IPv6)" eth0
in_host ip -6 route del default dev eth0 metric 5000
in_host ip route add default dev eth0 table 77
only_force "has the default route (IPv4)" eth0
in_host ip route del default table 77
in_host ip route add default nexthop dev eth0 nexthop dev eth1
refuses "$D:04.0 (eth1): has the default route" bind eth1 eth0
says "$D:03.0 (eth0): has the default route"
in_host ip route del default
only_force "is in use: 10.98.0.1/24 (ip addr flush dev eth0)" eth0
in_host ip route add 192.0.2.0/24 dev eth1
only_force "is in use: a route to 192.0.2.0/24" eth1

# The session: our address, the way to the peer, behind sudo, a connection of whoever called.
export SSH_CONNECTION="203.0.113.9 50000 10.98.0.1 22"
only_force "carries your session from 203.0.113.9" eth0
export SSH_CONNECTION="192.0.2.9 50000 203.0.113.1 22"
only_force "carries your session from 192.0.2.9" eth1
export SSH_CONNECTION="::ffff:192.0.2.9 50000 203.0.113.1 22"
refuses "carries your session from 192.0.2.9" bind eth1
export SSH_CONNECTION="fe80::9%eth2 50000 fe80::1%eth2 22"
only_force "carries your session from fe80::9" eth2
for SSH_CONNECTION in "" "UNKNOWN 65535 UNKNOWN 65535" "a b" "127.0.0.1 5 127.0.0.1 22" "::1 5 ::1 22" "%;\$(x) 1 % 2"; do
	try 0 bind eth2
	try 0 unbind eth2
done
unset SSH_CONNECTION
SLUICE_PROC=/proc SSH_CONNECTION="192.0.2.9 50000 203.0.113.1 22" bash -c \
	'unset SSH_CONNECTION; "$@"; true' - ip netns exec "$host" "$top/scripts/devbind" bind eth1 >"$dir/out" 2>"$dir/err" # as sudo does
says "carries your session from 192.0.2.9"
ip netns exec "$peer" python3 -c 'import socket; s = socket.create_server(("10.98.0.2", 9922)); print("ready", flush=True)
while True: a = s.accept()' >"$dir/listener" &
listener=$!
for _ in $(seq 600); do
	grep -q ready "$dir/listener" && break
	read -r -t 0.05 <> <(:) || true
done
# shellcheck disable=SC2016
SLUICE_PROC=/proc in_host bash -c 'exec 3<>/dev/tcp/10.98.0.2/9922; "$@" 3>&-; true' - "$top/scripts/devbind" bind eth0 >"$dir/out" 2>"$dir/err"
says "carries your session from 10.98.0.2"
have "e1000e e1000e" $D:03.0 $D:04.0
echo "default route and session"

# What stands on it: VLAN, bridge, bond; the default route through them.
upper eth2 eth2.100
only_force "has eth2.100 standing on it (ip link del eth2.100)" eth2
machine
upper eth2 br0
mkdir "$sys/class/net/br0/bridge" && ln -s ../br0 "$sys/class/net/eth2/master"
only_force "is a member of bridge br0 (ip link set eth2 nomaster)" eth2
machine
upper eth2 bond0 && upper bond0 eth0
mkdir "$sys/class/net/bond0/bonding" && ln -s ../bond0 "$sys/class/net/eth2/master"
in_host ip route add default via 10.98.0.2
refuses "is a member of bond bond0" bind eth2
says "has the default route (IPv4) by eth0 on it"
in_host ip route del default
machine

# Disks over the network.
mount_line() { echo "36 25 0:40 / /srv/shared\\040files rw,relatime shared:1 - $1" >"$dir/proc/self/mountinfo"; }
for line in "nfs4 10.98.0.7:/x rw,vers=4.2,addr=192.0.2.7,clientaddr=1" "nfs 192.0.2.7:/x rw" "cifs //server/x rw,addr=192.0.2.7" \
	"ceph 192.0.2.7:6789,192.0.2.8:6789:/ rw" "9p 192.0.2.7 rw,trans=tcp"; do
	mount_line "$line"
	refuses "leads to the disk at /srv/shared" bind eth1
done
mount_line "ext4 /dev/vda rw,addr=192.0.2.7"
refuses "is in use: a route to 192.0.2.0/24" bind eth1
: >"$dir/proc/self/mountinfo"
mkdir -p "$sys/class/iscsi_connection/connection1:0" && echo 192.0.2.7 >"$sys/class/iscsi_connection/connection1:0/persistent_address"
only_force "leads to the disk at iSCSI connection1:0" eth1
machine
in_host ip route del 192.0.2.0/24 dev eth1
rm -r "$sys/devices/pci0000:00/$D:04.0/net" "$sys/class/net/eth1"
refuses "e1000e has it, but no interface of it is here" bind $D:04.0
machine
echo 2 >"$sys/devices/pci0000:00/$D:04.0/sriov_numvfs"
only_force "its virtual functions would end (echo 0 >" eth1
echo "bridges, bonds, VLANs, disks"

# What is remembered may be damaged or not ours.
machine
try 0 bind eth1
for text in "" "{" '{"driver": 3, "interfaces": []}' '{"driver": "../../x", "interfaces": []}' '{"driver": "e1000e"}' '[]' '{"driver": "e1000e", "interfaces": [1]}'; do
	echo "$text" >"$dir/state/devbind/$D:04.0"
	try 1 unbind eth1
	says "$D:04.0 is damaged (remove it"
	try 1 status
done
rm "$dir/state/devbind/$D:04.0"
try 0 unbind --driver e1000e $D:04.0
chmod 777 "$dir/state/devbind"
try 1 bind eth1
says "can be written by others"
rmdir "$dir/state/devbind" && mkdir "$dir/elsewhere" && ln -s "$dir/elsewhere" "$dir/state/devbind"
try 1 bind eth1
says "it must be a directory of its own"
have e1000e $D:04.0
[ -z "$(ls "$dir/elsewhere")" ] || fail "wrote through a symbolic link"
rm "$dir/state/devbind"
mkdir "$dir/state/devbind"
flock "$dir/state/devbind" ip netns exec "$host" "$top/scripts/devbind" bind eth1 >"$dir/out" 2>"$dir/err" && fail "two at once"
says "another devbind is at work"

# status
try 0 bind eth1
try 0 status --json
python3 - "$dir/out" <<-'END' || fail "status --json"
	import json, sys
	j = json.load(open(sys.argv[1]))
	d = {r["address"][8:]: r for r in j["devices"]}
	assert sorted(d) == ["03.0"[0:4], "04.0", "05.0", "06.0", "07.0", "07.1", "08.0", "0a.0"], sorted(d)
	assert d["04.0"]["driver"] == "vfio-pci" and d["04.0"]["was"] == "e1000e" and d["04.0"]["was_interfaces"] == ["eth1"]
	assert d["05.0"]["interfaces"] == ["eth2"] and d["05.0"]["ids"] == "1af4:1041" and d["05.0"]["busy"] == []
	assert d["03.0"]["busy"] == ["addresses"] and d["03.0"]["iommu_group"] == 3 and d["03.0"]["link"] == "up"
	assert "mlx5_core" in d["06.0"]["hindered"][0] and "ahci" in d["08.0"]["hindered"][0] and d["0a.0"]["driver"] is None
	assert j["vfio_pci"] == "loaded" and j["iommu_groups"] == 7 and j["hugepages"][0]["free"] == 512
END
try 0 status
[ "$(awk '/^0000/ { print index($0, "0000:") }' "$dir/out" | sort -u)" = 1 ] || fail "status is not aligned"
awk 'NR == 1 { at = index($0, "USE") } NR > 1 && NR < 10 && substr($0, at - 1, 1) != " " { exit 1 }' "$dir/out" || fail "status is not aligned"
if [ "$(id -u)" -eq 0 ]; then # everybody may look, root alone may bind
	cp "$top/scripts/devbind" "$dir/devbind" && chmod 755 "$dir" "$dir/devbind" && chmod 700 "$dir/state"
	in_host setpriv --reuid 65534 --clear-groups "$dir/devbind" status >"$dir/out" 2>"$dir/err" || fail "status for somebody else than root"
	told "the gateway's"
	in_host setpriv --reuid 65534 --clear-groups "$dir/devbind" bind eth2 >"$dir/out" 2>"$dir/err" && fail "bound by somebody else than root"
	says "run it as root"
fi
rm -rf "$sys/bus/pci/devices" # a machine without PCI
try 0 status
told "there is no PCI network device"
echo "all holds"
