#!/usr/bin/env bash
# sluicectl upgrade: the dataplane becomes another program file under load and keeps every flow; a file that does not run,
# fails its check or has other formats is refused, and nothing changes.
export WORKERS=2 FLOWS=65536 BOOT_KEYS='privileges = "keep";'
# shellcheck source=tests/net/lib_survive.sh
. "$(dirname "$0")/lib_survive.sh"

program=$NET_DIR/bin/sluice-dataplane
mkdir -p "$NET_DIR/bin"
cp "$BUILD/dataplane/sluice-dataplane" "$program"
dataplane_up() {
	run gw dataplane "$program" -c "$NET_DIR/dataplane.conf"
	wait_for 60 "sluice-dataplane" grep -q 'ready:' "$NET_DIR/dataplane.log"
}
boot_id() { ctl_json "j['dataplane']['boot_id']" status; }

# put TEXT: a script in the program's place; the running one keeps its own file.
put() {
	printf '#!/bin/sh\n%s\n' "$1" >"$program.new"
	chmod +x "$program.new"
	mv "$program.new" "$program"
}
versions=$("$program" --versions)

# refused TEXT: with exit code 1 and TEXT on stderr, the same dataplane goes on.
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
mapfile -t urls < <(vips 80 | sed "s|^|http://|")
load busy --seconds 300 --threads 14 --keepalive --timeout 15 "${urls[@]}"

put 'echo no good >&2; exit 7'
refused "gives 7: no good"
put "echo '${versions//flows [0-9]*/flows 999}'"
refused "other formats"
put "[ \$1 = --versions ] && echo '$versions' && exit; echo the check fails; exit 1"
refused "the check fails"
rm "$program"
refused "cannot be run"
printf 'not a program' >"$program"
refused "cannot be run"
held "after five refusals"

first=$(boot_id)
cp "$BUILD/dataplane/sluice-dataplane" "$program.new"
mv "$program.new" "$program"
ctl upgrade || fail "the upgrade failed: $?"
[ "$(boot_id)" != "$first" ] || fail "the same dataplane is there"
[ "$(ctl_json "j['dataplane']['pid']" status)" = "$(pid_of dataplane)" ] || fail "it is another process"
flows_say "f['outcome']" taken
flows_say "f['kept'] >= $HELD and f['lost'] == 0" True
held "upgraded"
in_time

workers 1
ctl upgrade || fail "the upgrade to one worker failed: $?"
flows_say "f['outcome']" copied
held "upgraded from 2 workers to 1"
goes_on busy
enough busy
ctl --json show audit | grep -q '"upgrade"' || fail "no audit line for the upgrade"
no_bad_drops
