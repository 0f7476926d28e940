#!/usr/bin/env bash
# The package in a throw-away root: made twice the same, lintian finds nothing; installed: users, owners, conffiles, nothing
# started, default files are good, pages and completion are there; a newer version over it restarts nothing and keeps what was
# changed; removed: configuration and state stay; purged: nothing does, but what is somebody else's.
set -euo pipefail
# shellcheck source=tests/net/lib_root.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_root.sh"

# ---- outside ----

outside() {
	local hash
	root_trap
	BUILD=$BUILD "$top/scripts/package" --out "$dir" >"$dir/log" 2>&1 || fail "scripts/package: $(cat "$dir/log")"
	hash=$(sha256sum <"$dir"/sluice_*.deb)
	BUILD=$BUILD "$top/scripts/package" --out "$dir" >"$dir/log" 2>&1
	[ "$hash" = "$(sha256sum <"$dir"/sluice_*.deb)" ] || fail "made again, the package has other bytes"
	if BUILD=$BUILD "$top/scripts/package" --version '1 2' --out "$dir" >"$dir/log" 2>&1; then fail "version '1 2' was taken"; fi
	mv "$dir"/sluice_*.deb "$dir/new.deb"
	lintian --allow-root --fail-on error,warning "$dir/new.deb" >"$dir/log" 2>&1 || fail "lintian: $(cat "$dir/log")"
	older "$dir"
	mkdir "$dir/root"
	unshare --mount --pid --net --ipc --fork --kill-child=KILL bash "$0" inside "$dir" "$dir/root" &
	root_pid=$!
	wait "$root_pid" || fail "in the root (above)"
	root_pid=""
}

# older DIR: a package of an earlier version with another example.
older() {
	dpkg-deb -R "$1/new.deb" "$1/older"
	sed -i 's/^Version: .*/Version: 0.0.1/' "$1/older/DEBIAN/control"
	echo "# of an earlier version" >>"$1/older/etc/sluice/table.conf.example"
	dpkg-deb --root-owner-group --build "$1/older" "$1/old.deb" >/dev/null
	rm -rf "$1/older"
}

# ---- inside ----

in_root() { chroot "$root" "$@"; }
package() { in_root dpkg --force-unsafe-io "$@" </dev/null >"$work/out" 2>&1 || fail "dpkg $*: $(cat "$work/out")"; }
alone() { [ "$(in_root ps -eo comm= | grep -c '^sluice')" -eq 0 ] || fail "the installation started $(in_root ps -eo args)"; }

installed() {
	local f
	alone
	[ -z "$(find "$root"/etc/systemd/system -name 'sluice*')" ] || fail "a unit was enabled"
	[ "$(in_root dpkg-query -W -f '${Conffiles}' sluice | awk 'NF { print $1 }' | sort | xargs)" = \
		"/etc/sluice/dataplane.conf /etc/sluice/sluiced.conf /etc/sluice/table.conf.example" ] || fail "conffiles are others"
	while read -r f; do
		[ -L "$root$f" ] || [ -z "$(find "$root$f" -maxdepth 0 \( ! -user root -o ! -group root -o -perm /6022 \))" ] ||
			fail "$f: $(stat -c '%U:%G %a' "$root$f")"
	done < <(in_root dpkg -L sluice | sed 's,^/\.$,/,')
	in_root getent passwd sluice | grep -qE '^sluice:x:[0-9]{1,3}:[0-9]{1,3}:[^:]*:/nonexistent:/usr/sbin/nologin$' ||
		fail "user sluice is $(in_root getent passwd sluice)"
	[ "$(in_root id -nG sluice-dataplane)" = sluice ] || fail "sluice-dataplane is in $(in_root id -nG sluice-dataplane)"
	[ "$(in_root id -nG sluice)" = "sluice bird" ] || fail "sluice is in $(in_root id -nG sluice)"
	for f in "/run/sluice root:sluice 1775" "/var/lib/sluice sluice:sluice 700" "/var/log/sluice sluice:sluice 750"; do
		[ "$(in_root stat -c '%n %U:%G %a' "${f%% *}")" = "$f" ] || fail "not $f"
	done
}

good_files() {
	local f n
	in_root setpriv --reuid sluice --regid sluice --init-groups sluiced -c /etc/sluice/sluiced.conf --check >/dev/null
	in_root sluice-dataplane --check >"$work/out" 2>&1 || fail "$(cat "$work/out")"
	in_root sluicectl check /etc/sluice/table.conf.example >/dev/null
	for f in "$root"/usr/bin/sluice* "$root"/usr/sbin/sluice*; do
		n=$(basename "$f")
		[ -n "$(find "$root"/usr/share/man -name "$n.[18].gz")" ] || fail "$n has no page"
	done
	in_root sluice-hugepages status >/dev/null
	in_root sluice-devbind status >/dev/null || [ $? -eq 1 ] || fail "sluice-devbind status"
	in_root bash -c '. /usr/share/bash-completion/completions/sluicectl && complete -p sluicectl' >/dev/null
	in_root sluice-pktgen --pcap /tmp/syn.pcap --count 10 -f /usr/share/sluice/pktgen/syn.pkt >/dev/null 2>&1 || fail "sluice-pktgen"
}

served() { in_root sluicectl status | grep "^generation  1 active" >/dev/null; }
run_gateway() {
	chroot "$root" setpriv --reuid sluice --regid sluice --init-groups sluiced -c /etc/sluice/sluiced.conf >"$work/sluiced.log" 2>&1 &
	sluiced=$!
	chroot "$root" sluice-dataplane >"$work/dataplane.log" 2>&1 &
	dataplane=$!
	wait_for 30 "the daemon" in_root sluicectl push /etc/sluice/table.conf.example
	wait_for 60 "the gateway" served # offered as soon as the dataplane is there
}

inside() {
	work=$1 root=$2/root
	export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
	root_make "$2"
	cp "$work/old.deb" "$work/new.deb" "$root/tmp/"
	package -i /tmp/old.deb
	installed
	good_files
	small_gateway "$root"
	echo "# mine" >>"$root/etc/sluice/dataplane.conf"
	run_gateway
	before=$(sha256sum <"$root/etc/sluice/dataplane.conf")
	package -i /tmp/new.deb
	[ "$(in_root dpkg-query -W -f '${Version}' sluice)" != 0.0.1 ] || fail "the version is the old one"
	[ "$before" = "$(sha256sum <"$root/etc/sluice/dataplane.conf")" ] || fail "a changed file was replaced"
	if grep -q "of an earlier version" "$root/etc/sluice/table.conf.example"; then fail "an unchanged file was not replaced"; fi
	[ -z "$(find "$root/etc/sluice" -name '*.dpkg-*')" ] || fail "left: $(ls "$root/etc/sluice")"
	grep -q "nothing was restarted" "$work/out" || fail "it does not say that nothing was restarted: $(cat "$work/out")"
	if ! kill -0 "$sluiced" || ! kill -0 "$dataplane"; then fail "the new version ended what ran"; fi
	served || fail "$(in_root sluicectl status; cat "$work/sluiced.log" "$work/dataplane.log")"
	kill "$dataplane" && wait "$dataplane"
	kill "$sluiced" && wait "$sluiced"
	package -r sluice
	alone
	[ ! -e "$root/usr/sbin/sluiced" ] && [ -f "$root/etc/sluice/dataplane.conf" ] && [ -d "$root/var/lib/sluice/generations" ] ||
		fail "removed: $(find "$root"/usr/sbin/sluice* "$root/etc/sluice" "$root/var/lib/sluice")"
	package -i /tmp/new.deb
	[ "$before" = "$(sha256sum <"$root/etc/sluice/dataplane.conf")" ] || fail "installed again, a changed file was replaced"
	touch "$root/etc/sluice/mine.conf"
	package -P sluice
	[ "$(find "$root"/etc/sluice -type f)" = "$root/etc/sluice/mine.conf" ] || fail "purged: $(ls "$root/etc/sluice")"
	rm "$root/etc/sluice/mine.conf"
	package -i /tmp/new.deb
	package -P sluice
	for f in /etc/sluice /var/lib/sluice /var/log/sluice /run/sluice /usr/share/sluice /usr/sbin/sluiced; do
		[ ! -e "$root$f" ] || fail "purged, $f is there"
	done
	if in_root getent passwd sluice sluice-dataplane || in_root getent group sluice; then fail "purged, the user is there"; fi
	in_root dpkg --audit
}

case ${1:-} in
inside) inside "$2" "$3" ;;
*) outside ;;
esac
