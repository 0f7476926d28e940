#!/usr/bin/env bash
# scripts/hugepages on a made-up machine with two NUMA nodes: wrong words, what it refuses, all or nothing, what it mounts.  Mounts
# are made in a mount namespace of the test's own.  (The real thing: suite vm.)
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$(mktemp -d)
why=""

# shellcheck disable=SC2317 # called by the trap
finish() {
	local rc=$?
	[ "$rc" -eq 0 ] || { echo "--- last answer" && cat "$dir/out" "$dir/err" 2>/dev/null; } || true
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

export SLUICE_SYSFS=$dir/sys SLUICE_PROC=$dir/proc
nodes=$dir/sys/devices/system/node all=$dir/sys/kernel/mm/hugepages
# pool DIRECTORY PAGES FREE
pool() {
	mkdir -p "$1"
	echo "$2" >"$1/nr_hugepages"
	echo "$3" >"$1/free_hugepages"
}
machine() {
	rm -rf "$dir/sys" "$dir/proc"
	mkdir -p "$dir/proc"
	pool "$all/hugepages-2048kB" 12 12
	pool "$all/hugepages-1048576kB" 0 0
	for n in 0 1; do
		pool "$nodes/node$n/hugepages/hugepages-2048kB" 6 6
		pool "$nodes/node$n/hugepages/hugepages-1048576kB" 0 0
		printf 'Node %d MemTotal: 9000000 kB\nNode %d MemFree: 4000000 kB\nNode %d Inactive(file): 96000 kB\n' $n $n $n >"$nodes/node$n/meminfo"
	done
	printf 'MemAvailable: 8192000 kB\nHugepagesize:    2048 kB\n' >"$dir/proc/meminfo"
	echo "hugetlbfs $dir/huge hugetlbfs rw,relatime 0 0" >"$dir/proc/mounts"
}
# try RC ARGS…
try() {
	local want=$1 rc=0
	shift
	"$top/scripts/hugepages" "$@" >"$dir/out" 2>"$dir/err" || rc=$?
	[ "$rc" -eq "$want" ] || fail "hugepages $*: status $rc, not $want"
}
says() { grep -qF -- "$1" "$dir/err" || fail "it does not say '$1'"; }
told() { grep -qE -- "$1" "$dir/out" || fail "it does not tell '$1'"; }
have() { [ "$(cat "$1/nr_hugepages")" = "$2" ] || fail "$1 has $(cat "$1/nr_hugepages") pages, not $2"; }
sums() { find "$dir/sys" -type f -exec cat {} + | cksum; }
refuses() {
	local text=$1 before
	shift
	before=$(sums)
	try 1 "$@"
	says "$text"
	[ "$(sums)" = "$before" ] || fail "hugepages $*: refused, and something changed"
}

machine
before=$(sums)
for words in "x" "-1" "1.5" "4k" "0x10" "4 5" "9999999999" "--nod 0 4" "--node" "--node x 4" "--node -1 4" "--size" "--size 4K 4" "--size 2 4" "status 4" "4 --json"; do
	# shellcheck disable=SC2086
	try 2 $words
	says "usage: hugepages"
done
try 2 ""
[ "$(sums)" = "$before" ] || fail "wrong words changed something"
try 0 --help
told "hugepages \[--node N\]"

for words in "" status; do
	# shellcheck disable=SC2086
	try 0 $words
	told "^ +0 +2M +6 +12 +6 +12$"
	told "^ +1 +1G +0 +0 +0 +0$"
	told "^mounted: $dir/huge \(2M\)"
done

# What there shall be in the end, twice; rounded up; a leading zero is no octal; on one node; the other size; back.
for _ in 1 2; do
	try 0 100
	have "$all/hugepages-2048kB" 50
done
try 0 0101
have "$all/hugepages-2048kB" 51
try 0 --node 1 64
have "$nodes/node1/hugepages/hugepages-2048kB" 32
have "$nodes/node0/hugepages/hugepages-2048kB" 6
echo "hugetlbfs $dir/huge hugetlbfs rw,pagesize=1024M 0 0" >>"$dir/proc/mounts"
try 0 --size 1G 1025
have "$all/hugepages-1048576kB" 2
told "$dir/huge \(1G\)"
try 0 --node 0 --size 1G 1024
have "$nodes/node0/hugepages/hugepages-1048576kB" 1
echo 51 >"$all/hugepages-2048kB/free_hugepages"
try 0 0
have "$all/hugepages-2048kB" 0

# Refused, nothing changed.
machine
refuses "there is no NUMA node 2 (there are: node0 node1)" --node 2 64
rm -r "$all/hugepages-1048576kB"
refuses "this machine has no hugepages of 1G (of 1G the CPU needs pdpe1gb" --size 1G 1024
refuses "9976 MB more are asked for, 8000 MB are available" 10000
refuses "4988 MB more are asked for, 4000 MB are available on node 1" --node 1 5000
echo 3 >"$all/hugepages-2048kB/free_hugepages"
refuses "9 pages of 2M are in use, 8 are fewer (stop the gateway first" 16
refuses "9 pages of 2M are in use" 0
try 0 18
have "$all/hugepages-2048kB" 9

# A kernel that gives less than it was asked for (20 pages are all it has): what there was before is there again.
machine
mkdir "$dir/bin"
cat >"$dir/bin/cat" <<-'END'
	#!/usr/bin/env bash
	read -r n <"$1" || exit 1
	[[ $1 != */nr_hugepages || $n -le 20 ]] || n=20
	echo "$n"
END
chmod +x "$dir/bin/cat"
PATH=$dir/bin:$PATH refuses "asked for 32 pages of 2M on node 1, the kernel gave 20, so there are 6 again: memory is short or in pieces (boot with hugepages=32)" --node 1 64
have "$nodes/node1/hugepages/hugepages-2048kB" 6
rm "$nodes/node1/hugepages/hugepages-2048kB/nr_hugepages"
mkdir "$nodes/node1/hugepages/hugepages-2048kB/nr_hugepages" # takes no number
try 1 --node 1 64
says "the kernel takes no number"
if [ "$(id -u)" -eq 0 ]; then
	cp "$top/scripts/hugepages" "$dir/hugepages" && chmod 755 "$dir" "$dir/hugepages"
	setpriv --reuid 65534 --clear-groups "$dir/hugepages" 100 >"$dir/out" 2>"$dir/err" && fail "changed by somebody else than root"
	says "run it as root"
fi

# Mounted where nothing of that size is: the first at /dev/hugepages, another size beside it.
machine
: >"$dir/proc/mounts"
# shellcheck disable=SC2016
mounted() { unshare -m --propagation private bash -c 'mount -t tmpfs none /dev && "$@" >/dev/null && grep " hugetlbfs " /proc/self/mounts' - "$top/scripts/hugepages" "$@" >"$dir/out" 2>"$dir/err" || fail "hugepages $*: not mounted"; }
mounted 64
told " /dev/hugepages hugetlbfs .*pagesize=2M"
echo "hugetlbfs /dev/hugepages hugetlbfs rw,pagesize=2M 0 0" >"$dir/proc/mounts"
mounted --size 1G 1024
told " /dev/hugepages-1G hugetlbfs .*pagesize=1024M"
echo "all holds"
