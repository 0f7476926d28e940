#!/usr/bin/env bash
# What the running processes may do: no thread of the dataplane has capabilities, gains any by exec, or is without the filter of
# system calls; L4, TCP, HTTP and TLS go on like that. No core of it is written. From inside, a program cannot be run and nobody
# can be traced (the process is killed), a process cannot be made (refused, and told); user = "nobody"; privileges = "keep".
set -euo pipefail
export WORKERS=2 DRIVER=af_xdp LARGE=100000 MEMORY=128 BOOT_KEYS='tls = { memory_mb = 160; };'
# shellcheck source=tests/net/lib_tls.sh
. "$(dirname "$0")/lib_tls.sh"
look=$top/tests/net/privileges.py
# Where the limit of locked memory cannot be raised, and is not raised already, the right to lock memory has to stay.
stays=0
(ulimit -l unlimited) 2>/dev/null || stays=4000

# every WHO FIELD VALUE: of each thread.
every() {
	local bad
	bad=$(grep -v " $2=$3\( \|$\)" "$NET_DIR/$1.threads" || true)
	[ -z "$bad" ] || fail "$1: $2 is not $3: $bad"
}
# bare WHO UID KEPT: threads and descriptors of the dataplane are as they should be.
bare() {
	python3 "$look" threads "$(pid_of "$1")" >"$NET_DIR/$1.threads"
	cat "$NET_DIR/$1.threads"
	for name in sluice-dataplan eal-intr-thread rte-worker-1 rte-worker-2; do
		grep -q "^$name " "$NET_DIR/$1.threads" || fail "$1: no thread $name was looked at"
	done
	every "$1" uid "$2"
	for set in Prm Eff; do every "$1" $set "$3"; done
	for set in Inh Amb; do every "$1" $set 0; done
	every "$1" nnp 1
	every "$1" filter 2
}
serving() {
	tgives "$1: TLS" 200 443 /
	for way in plain secure mutual; do tgives "$1: HTTP, endpoint $way" 200 443 / -H "x-to: $way"; done
	tgives "$1: TCP" 200 9443 /
	is "$1: L4" "$(get -o "$NET_DIR/body" -w '%{http_code}' http://10.77.9.10/)" 200
}
# inside CALL: a system call of the dataplane's main thread, by its number.
inside() { python3 "$look" inject "$(pid_of dataplane)" "$1" || fail "call $1 cannot be made from inside"; }
killed_by() {
	local rc=0
	inside "$1"
	wait "$(pid_of dataplane)" 2>/dev/null || rc=$?
	is "the end after system call $1" $rc 159 # 128 + SIGSYS
}
with_l4() { # the table, and a listener of mode l4
	sed -i '0,/services = (/s//services = ( { name = "l4"; forward = "nat"; max_endpoints = 40; endpoints = ( { name = "e1"; address = "10.77.2.11"; port = 80; } ); },/
		0,/listeners = (/s//listeners = ( { name = "l4"; address = "10.77.9.10"; port = 80; protocol = "tcp"; mode = "l4"; service = "l4"; },/' "$NET_DIR/t.conf"
	ctl push "$NET_DIR/t.conf" >"$NET_DIR/push.out" || fail "push: $(cat "$NET_DIR/push.out")"
}
again() {
	dataplane_up
	wait_for 10 "the table" sh -c "grep -q 'active on all' $NET_DIR/dataplane.log"
}

tls_up
with_l4

# ---- as it is by default ----

bare dataplane 0 $stays
every dataplane Bnd $stays
grep -q "hs-0" "$NET_DIR/dataplane.threads" || fail "no handshake thread was looked at"
grep -q "privileges: .*, filter of system calls, user root" "$NET_DIR/dataplane.log" || fail "the log does not say what was given up"
serving dropped
ctl status | grep -q '^privileges  none kept.*, filter of system calls on$' || fail "status does not say it: $(ctl status)"
python3 "$look" descriptors "$(pid_of dataplane)" >"$NET_DIR/fds"
cat "$NET_DIR/fds"
! grep -v -E '^[0-9]+ (socket|eventfd|eventpoll|signalfd|timerfd|bpf.*|btf|pipe|/dev/null|memfd (nohuge|sluice-(state|stats|streams|events|flows))|file '"$NET_DIR"'/dataplane.log)$' "$NET_DIR/fds" ||
	fail "descriptors that a dataplane does not need"
warden=$(pgrep -P "$(pid_of dataplane)" sluice-warden) || fail "no warden"
python3 "$look" threads "$warden" >"$NET_DIR/warden.threads"
for set in Prm Eff Bnd; do every warden $set $stays; done
every warden nnp 1
ctl upgrade >"$NET_DIR/upgrade.out" 2>&1 && fail "an upgrade without privileges and manager began"
grep -q "SLUICE_UPGRADE=restart" "$NET_DIR/upgrade.out" || fail "the refusal does not say what to do: $(cat "$NET_DIR/upgrade.out")"

# ---- from inside ----

inside 57 # fork
wait_for 5 "what was refused, in the log" grep -q 'system call fork (57) was refused' "$NET_DIR/dataplane.log"
is "children, after a fork that was refused" "$(pgrep -c -P "$(pid_of dataplane)")" 1
serving "after a refused call"
inside 57
[ "$(grep -c 'system call fork' "$NET_DIR/dataplane.log")" -eq 1 ] || fail "one call is told more than once"
# every other line of that kind is a call that the filter should know
no_others() { ! grep 'was refused: the filter' "$NET_DIR"/dataplane.log | grep -v 'fork (57)' || fail "the filter lacks system calls"; }
no_others
killed_by 59 # execve
again
killed_by 101 # ptrace
again
serving "after two that were killed"
no_others

# ---- cores ----

mkdir "$NET_DIR/cores"
core_of() { # COMMAND…: whether it leaves a core where it runs
	rm -f "$NET_DIR"/cores/*
	(cd "$NET_DIR/cores" && ulimit -c unlimited && "$@") || true
	[ -n "$(ls "$NET_DIR/cores")" ]
}
aborted() {
	dataplane_up
	kill -ABRT "$(pid_of dataplane)"
	wait "$(pid_of dataplane)" 2>/dev/null
}
if core_of sh -c 'kill -ABRT $$' 2>/dev/null; then
	stop dataplane
	! core_of aborted 2>/dev/null || fail "a core of the dataplane was written"
else
	echo "this machine writes no cores here: $(cat /proc/sys/kernel/core_pattern)"
	stop dataplane
fi
rm -rf "$NET_DIR/cores"

# ---- another user ----

sed -i '$a user = "nobody";' "$NET_DIR/dataplane.conf"
again
bare dataplane 65534 $stays
grep -q "user nobody" "$NET_DIR/dataplane.log" || fail "the log does not say which user"
serving "as nobody"
stop dataplane KILL
again
[ "$(ctl_json "j['flows']['outcome']" status)" = taken ] || fail "flows after a kill: $(ctl_json "j['flows']" status)"
serving "as nobody, after a kill"
no_others
stop dataplane
sed -i 's/user = "nobody"/user = "nobody-at-all"/' "$NET_DIR/dataplane.conf"
! ns gw "$BUILD/dataplane/sluice-dataplane" -c "$NET_DIR/dataplane.conf" >"$NET_DIR/none.out" 2>&1 || fail "it runs as a user that is not there"
grep -q 'user: there is no user "nobody-at-all"' "$NET_DIR/none.out" || fail "a user that is not there: $(cat "$NET_DIR/none.out")"

# ---- keep ----

sed -i 's/^user = .*/privileges = "keep";/' "$NET_DIR/dataplane.conf"
again
python3 "$look" threads "$(pid_of dataplane)" >"$NET_DIR/dataplane.threads"
every dataplane nnp 0
every dataplane filter 0
kept_too() { ctl status | grep -q '^privileges  those it was started with'; }
wait_for 5 "status to say it" kept_too
inside 59
serving "kept, and the same from inside is no end"
stop dataplane
quiet
