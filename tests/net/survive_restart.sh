#!/usr/bin/env bash
# sluicectl upgrade of a dataplane without privileges, under a manager (played by fdstore.py; this is not systemd) that starts it anew:
# the new file is looked at by a child, the process ends with status 75, the next one is the new file and has every flow. A
# file that is wrong is refused, and nothing changes.
export WORKERS=2 FLOWS=65536 HELD=${HELD:-2000} SLUICE_UPGRADE=restart
# shellcheck source=tests/net/lib_survive.sh
. "$(dirname "$0")/lib_survive.sh"

said=$NET_DIR/manager.said program=$NET_DIR/bin/sluice-dataplane
mkdir -p "$NET_DIR/bin"
cp "$BUILD/dataplane/sluice-dataplane" "$program"
dataplane_up() {
	run gw dataplane python3 "$top/tests/net/fdstore.py" "$said" "$program" -c "$NET_DIR/dataplane.conf"
	wait_for 60 "sluice-dataplane" grep -q 'ready:' "$NET_DIR/dataplane.log"
}
boot_id() { ctl_json "j['dataplane']['boot_id']" status; }
starts() { grep -c '^started' "$said"; }
# put TEXT: a script in the program's place; the running one keeps its own file.
put() {
	printf '#!/bin/sh\n%s\n' "$1" >"$program.new"
	chmod +x "$program.new"
	mv "$program.new" "$program"
}
refused() {
	local before rc=0
	before=$(boot_id)
	ctl upgrade 2>"$NET_DIR/upgrade.err" || rc=$?
	[ "$rc" -eq 1 ] || fail "an upgrade that should be refused gave $rc: $(cat "$NET_DIR/upgrade.err")"
	grep -q "$1" "$NET_DIR/upgrade.err" || fail "the refusal does not say '$1': $(cat "$NET_DIR/upgrade.err")"
	[ "$(boot_id)" = "$before" ] || fail "a refused upgrade changed the dataplane"
}

survive_up
hold_up
grep -q 'privileges: .*filter of system calls' "$NET_DIR/dataplane.log" || fail "it has its privileges"
mapfile -t urls < <(vips 80 | sed "s|^|http://|")
load busy --seconds 300 --threads 8 --keepalive --timeout 15 "${urls[@]}"

versions=$("$program" --versions)
put 'sleep 30'
refused "not done after 5 s"
put "[ \$1 = --versions ] && echo '$versions' && exit; sed -n 's/^CapEff/caps/p; s/^NoNewPrivs/nnp/p' /proc/self/status; exit 1"
refused "nnp:.*1"
rm "$program"
refused "cannot be run"
held "after refusals"
[ "$(starts)" -eq 1 ] || fail "a refused upgrade started another: $(cat "$said")"

first=$(boot_id)
cp "$BUILD/dataplane/sluice-dataplane" "$program.new"
mv "$program.new" "$program"
ctl upgrade || fail "the upgrade failed: $?"
[ "$(boot_id)" != "$first" ] || fail "the same dataplane is there"
grep -q '^ended 75' "$said" || fail "it did not end with 75: $(cat "$said")"
[ "$(starts)" -eq 2 ] || fail "not one start more: $(cat "$said")"
flows_say "f['outcome']" taken
flows_say "f['kept'] >= $HELD and f['lost'] == 0" True
held "upgraded"
in_time
goes_on busy
enough busy
no_bad_drops
