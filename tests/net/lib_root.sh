# shellcheck shell=bash
# lib_root.sh — sourced by tests of the package: a throw-away root over this machine's own file system (overlayfs, what is written
# lies in memory), in namespaces of its own.  What runs there sees no process, interface or /run of the machine, and ends with us.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$top/build}
NET=${NET:-sl-}

fail() {
	echo "FAILED: $*"
	exit 1
}
# wait_for SECONDS WHAT COMMAND…: until COMMAND succeeds, looking every 50 ms.
wait_for() {
	local limit=$1 what=$2 end
	shift 2
	end=$((${EPOCHREALTIME/./} + limit * 1000000))
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -le "$end" ] || fail "$what: not within $limit s"
		read -r -t 0.05 <> <(:) || true
	done
}

# root_trap: dir is a directory that goes when we do, and so does root_pid, the namespaces' unshare.
root_trap() {
	root_pid=""
	dir=$(mktemp -d)
	trap 'echo "FAILED: $BASH_COMMAND (line $LINENO)"' ERR
	trap root_end EXIT
	trap 'exit 130' INT TERM
}
# shellcheck disable=SC2317 # called by the trap
root_end() {
	local rc=$?
	if [ -n "$root_pid" ]; then
		kill -KILL "$root_pid" 2>/dev/null || true
		wait "$root_pid" 2>/dev/null || true
	fi
	rm -rf "$dir"
	exit "$rc"
}

# root_make DIR: DIR/root is this machine as if nothing of ours had ever been there.  In a mount namespace of the caller's own.
root_make() {
	local d=$1 n a b r=$1/root
	mount --make-rprivate /
	mount -t tmpfs -o mode=755 sluice-test "$d"
	mkdir "$d/upper" "$d/work" "$r"
	mount -t overlay -o "lowerdir=/,upperdir=$d/upper,workdir=$d/work" overlay "$r"
	mount -t proc proc "$r/proc"
	mount -t sysfs -o ro sysfs "$r/sys"
	for n in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$r/$n"; done
	chmod 1777 "$r/tmp"
	mkdir "$r/run/lock" "$r/dev/net" "$r/dev/pts" "$r/dev/shm"
	while read -r n a b; do mknod -m 666 "$r/dev/$n" c "$a" "$b"; done <<-END
		null 1 3
		zero 1 5
		full 1 7
		random 1 8
		urandom 1 9
		tty 5 0
		net/tun 10 200
	END
	ln -s pts/ptmx "$r/dev/ptmx"
	ln -s /proc/self/fd "$r/dev/fd"
	rm -rf "$r/var/lib/sluice" "$r/var/log/sluice" "$r/etc/sluice"
	rm -f "$r/var/lib/man-db/auto-update" # the index of all pages of the machine
	! grep -q ^sluice: "$r/etc/passwd" || chroot "$r" userdel sluice
	grep -q ^bird: "$r/etc/group" || chroot "$r" groupadd --system bird
	ip link set lo up
}

# small_gateway ROOT: the package's boot file, for a machine that others use.
small_gateway() {
	sed -i 's/^memory = .*/memory = { hugepages = "never"; size_mb = 128; };\nbuffers = 4096; flows = 4096; power = "adaptive";/' \
		"$1/etc/sluice/dataplane.conf"
}
