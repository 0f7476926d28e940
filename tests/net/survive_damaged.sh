#!/usr/bin/env bash
# A flow region that a new dataplane must not believe: another version, a flipped bit in its head.  It says what is wrong
# and what is lost, in its log, the daemon's, status and the audit log; dsr flows go on by Maglev.
FORWARD=dsr
export WORKERS=2 FLOWS=65536 HELD=${HELD:-1000}
# shellcheck source=tests/net/lib_survive.sh
. "$(dirname "$0")/lib_survive.sh"

# poke OFFSET: flips a bit of the region that the daemon holds, as root can.
poke() {
	python3 - "$(pid_of sluiced)" "$1" <<-'END'
		import os, sys
		fds = f"/proc/{sys.argv[1]}/fd"
		found = [f"{fds}/{n}" for n in os.listdir(fds) if "memfd:sluice-flows" in os.readlink(f"{fds}/{n}")]
		assert len(found) == 1, found
		fd, at = os.open(found[0], os.O_RDWR), int(sys.argv[2])
		os.pwrite(fd, bytes([os.pread(fd, 1, at)[0] ^ 16]), at)
	END
}

survive_up
hold_up
held "before"
while read -r offset text; do
	stop dataplane KILL
	poke "$offset"
	run gw dataplane "$BUILD/dataplane/sluice-dataplane" -c "$NET_DIR/dataplane.conf"
	wait_for 10 "an outcome" flows_are empty
	held "byte $offset flipped"
	for where in "$NET_DIR/dataplane.log" "$NET_DIR/sluiced.log" "$NET_DIR/audit.log"; do
		grep 'start empty' "$where" | tail -n 1 | grep -q "$text.*Maglev, nat and fullnat flows are lost" ||
			fail "$where does not say '$text': $(grep 'start empty' "$where")"
	done
	[ "$(ctl status | grep -c "^flows .*$text")" -eq 1 ] || fail "status does not say '$text': $(ctl status)"
	again TERM # this one's region is good
	flows_say "f['outcome']" taken
	held "and taken again"
done <<-'END'
	4 version
	48 sum
	64 sum
END
no_bad_drops
