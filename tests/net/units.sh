#!/usr/bin/env bash
# The units, under a systemd of the test's own: first process of a throw-away root with the package in it.  systemd-analyze finds
# nothing wrong, and no more exposure than told here; nothing runs before it is told to; what runs opens its ports and then has the
# privileges it should; killed however often, it is back with its table; a newer package restarts nothing, sluicectl upgrade does
# and keeps the flows' region; the dataplane stops before the daemon; removal stops both.
set -euo pipefail
# shellcheck source=tests/net/lib_root.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib_root.sh"

# What systemd-analyze security says at most, in tenths (0 to 100).  The dataplane starts as root, with ports to open.
EXPOSURE="sluiced.service:17 sluice-dataplane.service:44"

# ---- inside: up to the first process ----

if [ "${1:-}" = inside ]; then
	root_make "$2/root"
	cd "$2/root/root"
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	cp "$2"/*.deb srv/ # /tmp is systemd's to mount
	chroot . dpkg --force-unsafe-io -i "/srv/$(basename "$2"/sluice_*.deb)"
	small_gateway .
	# Ports that need what the units leave: AF_XDP with an interface for the kernel, AF_PACKET.
	sed -i '/^ports = /,$d' etc/sluice/dataplane.conf
	cat >>etc/sluice/dataplane.conf <<-END
		ports = ( { name = "front"; device = "front0"; driver = "af_xdp"; kernel = "kernel0"; },
		          { name = "back"; device = "back0"; driver = "af_packet"; } );
	END
	for port in front back; do
		ip link add ${port}0 type veth peer name ${port}1
		ip link set ${port}0 up
		ip link set ${port}1 up
		ethtool -K ${port}0 tx off tso off gso off gro off >/dev/null
	done
	rm -f etc/systemd/system/*.wants/*
	printf '[Unit]\nDescription=nothing but what the test starts\nAllowIsolate=yes\n' >etc/systemd/system/test.target
	mkdir old
	pivot_root . old
	umount -l old
	exec env -i container=sluice-test "PATH=$PATH" LC_ALL=C.UTF-8 \
		/lib/systemd/systemd --system --unit=test.target --show-status=0 --log-target=journal
fi

# ---- outside ----

in_root() { timeout 60 nsenter -t "$first" --mount --pid --net --ipc --cgroup --root --wd "$@" </dev/null; }
of() { in_root systemctl show -P "$1" "$2"; }
is() { [ "$(of "$1" "$2")" = "$3" ]; }
status_of() { in_root sed -n "s/^$2:[[:blank:]]*//p" "/proc/$(of MainPID "$1")/status"; }
serves() { in_root sluicectl status | grep "^generation  $1 active" >/dev/null; }
connected() { in_root sluicectl status | grep "^dataplane   pid $(of MainPID sluice-dataplane)" >/dev/null; }
more() {
	in_root journalctl --no-pager -o cat -u sluiced -u sluice-dataplane | tail -n 40
	fail "$*"
}

root_trap
BUILD=$BUILD "$top/scripts/package" --out "$dir" >"$dir/log" 2>&1 || fail "scripts/package: $(cat "$dir/log")"
mkdir "$dir/root"
unshare --mount --pid --net --ipc --cgroup --fork --kill-child=KILL bash "$0" inside "$dir" >"$dir/log" 2>&1 </dev/null &
root_pid=$!
booted() {
	first=$(cut -d ' ' -f 1 "/proc/$root_pid/task/$root_pid/children") && [ -n "$first" ] &&
		[ "$(cat "/proc/$first/comm")" = systemd ] && in_root systemctl is-active test.target
}
end=$((SECONDS + 90))
until booted >/dev/null 2>&1; do
	kill -0 "$root_pid" 2>/dev/null || fail "the root: $(cat "$dir/log")"
	[ $SECONDS -lt $end ] || fail "systemd is not up: $(cat "$dir/log")"
	read -r -t 0.1 <> <(:) || true
done

# As they stand in the package.
in_root systemd-analyze verify sluiced.service sluice-dataplane.service >"$dir/verify" 2>&1 || true
[ ! -s "$dir/verify" ] || fail "systemd-analyze verify: $(cat "$dir/verify")"
for row in $EXPOSURE; do
	in_root systemd-analyze security --no-pager --offline=true --threshold="${row#*:}" "${row%:*}" >"$dir/security" ||
		fail "$(sed -n '/^→/p; /^✗/p' "$dir/security")"
	sed -n 's/^→ //p' "$dir/security"
done
for u in sluiced sluice-dataplane; do
	is ActiveState $u inactive || fail "$u runs after the installation"
	is UnitFileState $u disabled || fail "$u is $(of UnitFileState $u) after the installation"
done

# Started: one brings the other.
in_root systemctl start sluice-dataplane || more "sluice-dataplane does not start"
wait_for 30 "sluiced" is ActiveState sluiced active
wait_for 30 "the daemon sees the dataplane" connected
in_root sluicectl push /etc/sluice/table.conf.example >"$dir/log" || more "$(cat "$dir/log")"
own_user() { [ "$(status_of "$1" Uid | cut -f 1,2 | xargs)" = "$(in_root id -u "$2") $(in_root id -u "$2")" ]; }
own_user sluiced sluice || fail "sluiced is uid $(status_of sluiced Uid)"
own_user sluice-dataplane sluice-dataplane || fail "the dataplane is uid $(status_of sluice-dataplane Uid)"
for u in sluiced sluice-dataplane; do
	[ "$(status_of $u NoNewPrivs) $(status_of $u Seccomp)" = "1 2" ] || fail "$u: no filter, or may gain privileges"
	# LimitMEMLOCK=infinity, where systemd may give that; else locking memory stays a capability
	kept=0000000000000000
	in_root grep -q 'locked memory  *unlimited' "/proc/$(of MainPID $u)/limits" || [ $u = sluiced ] || kept=0000000000004000
	for set in CapPrm CapEff; do
		[ "$(status_of $u $set)" = $kept ] || more "$u: $set is $(status_of $u $set), not $kept"
	done
	[ "$(status_of $u CapInh) $(status_of $u CapAmb)" = "0000000000000000 0000000000000000" ] || more "$u: $(status_of $u CapInh) is inherited"
done
in_root su -s /bin/sh nobody -c 'sluicectl status' >"$dir/log" 2>&1 && fail "nobody may look"
grep -q "no role" "$dir/log" || fail "nobody is told: $(cat "$dir/log")"

ports() {
	in_root sluicectl show ports >"$dir/log" 2>&1 && grep -q af_xdp "$dir/log" && grep -q af_packet "$dir/log" && grep -q kernel0 "$dir/log"
}
wait_for 10 "ports of both drivers and an interface for the kernel" ports
in_root ip link show kernel0 >/dev/null || more "there is no interface for the kernel"

# Killed more often than systemd's own limit; the table comes back.
for i in 1 2 3 4 5 6 7; do
	before=$(of MainPID sluice-dataplane)
	in_root systemctl kill -s KILL sluice-dataplane
	back() { is ActiveState sluice-dataplane active && [ "$(of MainPID sluice-dataplane)" != "$before" ]; }
	wait_for 30 "the dataplane after kill $i" back
done
wait_for 30 "the table after kills" connected
wait_for 30 "the table after kills, active" serves 1
is NFileDescriptorStore sluice-dataplane 1 || fail "systemd does not hold the flows"
in_root sluicectl status | grep '^flows .*taken over in place' >/dev/null || more "flows were not taken over: $(in_root sluicectl status)"
before=$(of MainPID sluiced)
in_root systemctl kill -s KILL sluiced
daemon_back() { is ActiveState sluiced active && [ "$(of MainPID sluiced)" != "$before" ] && connected; }
wait_for 30 "the daemon after a kill" daemon_back
wait_for 30 "the table that the daemon had" serves 1

# A newer package restarts nothing; what follows does.
before="$(of MainPID sluiced) $(of MainPID sluice-dataplane)"
in_root sh -c 'dpkg --force-unsafe-io -i /srv/sluice_*.deb' >"$dir/log" 2>&1 || fail "$(cat "$dir/log")"
[ "$before" = "$(of MainPID sluiced) $(of MainPID sluice-dataplane)" ] || fail "the package restarted something"
in_root readlink "/proc/${before#* }/exe" | grep -q deleted || fail "the new program file is the old one"
in_root systemctl restart sluiced
wait_for 30 "the new daemon" connected
in_root sluicectl upgrade >"$dir/log" 2>&1 || more "upgrade: $(cat "$dir/log")"
upgraded() { [ "$(of MainPID sluice-dataplane)" != "${before#* }" ] && connected && serves 1; }
wait_for 30 "the new dataplane" upgraded
[ "$(in_root readlink "/proc/$(of MainPID sluice-dataplane)/exe")" = /usr/sbin/sluice-dataplane ] || fail "the old program runs"
is Result sluice-dataplane success || fail "an upgrade is a failure: $(of Result sluice-dataplane)"
in_root sluicectl status | grep '^flows .*taken over in place' >/dev/null || more "the upgrade lost the flows: $(in_root sluicectl status)"

# Stopped as at a shutdown: the dataplane first, the daemon sees it to its end.
in_root systemctl isolate test.target || more "isolate"
wait_for 30 "the end of sluiced" is ActiveState sluiced inactive
is ActiveState sluice-dataplane inactive || fail "sluiced ended before the dataplane"
# systemd's word of it comes to the journal after the state
stopped_first() { in_root journalctl --no-pager -o cat | grep -E '^Stopped Sluice|^Stopped sluice' | tail -n 2 | head -n 1 | grep -i dataplane; }
wait_for 10 "word that the dataplane stopped first" stopped_first

# Removed while it runs.
in_root systemctl enable --now sluiced sluice-dataplane 2>/dev/null
in_root dpkg --force-unsafe-io -P sluice >"$dir/log" 2>&1 || fail "$(cat "$dir/log")"
[ -z "$(in_root ps -eo comm= | grep '^sluice' || true)" ] || fail "removed, it runs"
[ -z "$(in_root find /etc/systemd/system -name 'sluice*')" ] || fail "removed, it is enabled"
