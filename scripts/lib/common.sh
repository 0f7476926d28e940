# shellcheck shell=bash disable=SC2034
# common.sh — sourced by the scripts: packages, builds, progress lines.  Needs bash.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Complete for a bare Debian 12, without recommended packages.  libdpdk-dev brings the drivers of all ports.
BUILD_PACKAGES="gcc libc6-dev meson ninja-build pkg-config libdpdk-dev libssl-dev libconfig-dev libcunit1-dev
libhyperscan-dev libipsec-mb-dev libuv1-dev libc-ares-dev libcurl4-openssl-dev libjansson-dev libmicrohttpd-dev libncurses-dev libseccomp-dev libyaml-dev"
RUN_PACKAGES="dnsmasq-base openssl python3 iproute2 ethtool nginx-light curl procps util-linux iputils-ping iperf3"
TEST_PACKAGES="bird2 dnsmasq-base dpdk etcd-client etcd-server gdb gnutls-bin haproxy lintian mandoc nghttp2-client openssh-client openssh-server openssl prometheus python3-jwt python3-scapy
systemd testssl.sh tmux unbound varnish wrk"
PACKAGE_PACKAGES="dpkg-dev binutils"
VM_PACKAGES="qemu-system-x86 linux-image-amd64 busybox-static cpio kmod adduser dpdk ipvsadm"
LINT_PACKAGES="git clang-format-14 clang-14 shellcheck"
BENCH_PACKAGES="dpdk dpdk-dev python3 iproute2 ethtool procps util-linux haproxy nginx-light libnginx-mod-stream"

say() { printf '%s\n' "$*"; }
step() { printf '%s · %s\n' "$(date +%T)" "$*"; }
die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# install PACKAGE…: what is missing, from Debian; quiet, retried.
install() {
	local missing=() p log i
	for p in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
			missing+=("$p")
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	[ "$(id -u)" -eq 0 ] || die "these Debian packages are missing, and only root can install them: ${missing[*]}"
	step "installing ${#missing[@]} Debian packages: ${missing[*]}"
	log=$(mktemp)
	for i in 1 2 3; do
		if apt-get update -qq >"$log" 2>&1 &&
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
				-o Dpkg::Use-Pty=0 "${missing[@]}" >>"$log" 2>&1; then
			rm -f "$log"
			return 0
		fi
		[ "$i" -lt 3 ] && step "that failed; again in 5 s" && sleep 5
	done
	tail -n 20 "$log" >&2
	rm -f "$log"
	die "could not install: ${missing[*]} (the end of apt's output is above)"
}

# build DIR [meson options]: set up once, then compile; output only when it fails.
build() {
	local dir=$1 log
	shift
	log=$(mktemp)
	if [ ! -f "$dir/build.ninja" ]; then
		rm -rf "$dir"
		configured "$log" meson setup "$dir" "$top" "$@"
	elif [ $# -gt 0 ] && [ "$(cat "$dir/.options" 2>/dev/null)" != "$*" ]; then
		configured "$log" meson configure "$dir" "$@"
	fi
	[ $# -eq 0 ] || echo "$*" >"$dir/.options"
	if ! ninja -C "$dir" >"$log" 2>&1; then
		grep -E -A12 'FAILED|error:|warning:|ERROR' "$log" | head -n 80 >&2
		rm -f "$log"
		die "build failed in $dir (ninja -C $dir shows all)"
	fi
	rm -f "$log"
}

# configured LOG COMMAND…: die with the end of LOG unless it succeeds.
configured() {
	local log=$1
	shift
	"$@" >"$log" 2>&1 || {
		tail -n 40 "$log" >&2
		rm -f "$log"
		die "failed: $*"
	}
}
